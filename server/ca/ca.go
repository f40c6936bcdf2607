// Package ca is the server's own certificate authority for devices and for itself, and
// the key that signs commands.
//
// It is not for the API's public certificate, which an operator may bring, and it decides
// nothing: who gets a certificate is for packages device and gateway. The invariant: the
// keys never leave their files (mode 0600, in one directory of mode 0700), and the
// command key is apart from the CA's, so that no certificate can command a device.
// Start at Open.
package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Lifetimes of certificates. A device renews its own when a third of it is left.
const (
	rootLife   = 20 * 365 * 24 * time.Hour
	DeviceLife = 365 * 24 * time.Hour
	ServerLife = 825 * 24 * time.Hour
	// backdate makes certificates valid for devices whose clock is behind.
	backdate = 72 * time.Hour
)

// CA issues certificates and signs commands.
type CA struct {
	dir     string
	now     func() time.Time
	rand    io.Reader
	cert    *x509.Certificate
	key     crypto.Signer
	command ed25519.PrivateKey
	pool    *x509.CertPool
}

// Config describes where a CA lives. Clock and Rand may be nil.
type Config struct {
	Dir   string // created with mode 0700
	Clock func() time.Time
	Rand  io.Reader // for serial numbers
}

// Open opens the CA in c.Dir, and makes one when there is none.
func Open(c Config) (*CA, error) {
	a := &CA{dir: c.Dir, now: c.Clock, rand: c.Rand}
	if a.now == nil {
		a.now = time.Now
	}
	if a.rand == nil {
		a.rand = rand.Reader
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	for _, step := range []func() error{a.openRoot, a.openCommand} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
	}
	a.pool = x509.NewCertPool()
	a.pool.AddCert(a.cert)
	return a, nil
}

func (a *CA) openRoot() error {
	key, err := readKey(a.path("ca.key"))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(a.path("ca.crt")); err == nil {
			return errors.New("ca.crt is there and ca.key is gone: restore it, a new CA would lock every device out")
		}
		return a.makeRoot()
	}
	if err != nil {
		return err
	}
	cert, err := readCert(a.path("ca.crt"))
	if errors.Is(err, fs.ErrNotExist) {
		return a.certifyRoot(key) // a crash between the two files
	}
	if err != nil {
		return err
	}
	if pub, ok := key.Public().(*ecdsa.PublicKey); !ok || !pub.Equal(cert.PublicKey) {
		return errors.New("ca.key is not the key of ca.crt")
	}
	a.key, a.cert = key, cert
	return nil
}

func (a *CA) makeRoot() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if err := writeKey(a.path("ca.key"), key); err != nil {
		return err
	}
	return a.certifyRoot(key)
}

func (a *CA) certifyRoot(key crypto.Signer) error {
	serial, err := a.serial()
	if err != nil {
		return err
	}
	id, err := keyID(key.Public())
	if err != nil {
		return err
	}
	now := a.now()
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "Vedette CA " + hex.EncodeToString(id[:4])},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(rootLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: id,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return err
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	a.key = key
	return writeCert(a.path("ca.crt"), der)
}

func (a *CA) openCommand() error {
	key, err := readKey(a.path("command.key"))
	if errors.Is(err, fs.ErrNotExist) {
		_, fresh, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return err
		}
		a.command = fresh
		return writeKey(a.path("command.key"), fresh)
	}
	if err != nil {
		return err
	}
	k, ok := key.(ed25519.PrivateKey)
	if !ok {
		return errors.New("command.key is no ed25519 key")
	}
	a.command = k
	return nil
}

func (a *CA) path(name string) string { return filepath.Join(a.dir, name) }

func (a *CA) serial() (*big.Int, error) {
	var b [16]byte
	if _, err := io.ReadFull(a.rand, b[:]); err != nil {
		return nil, err
	}
	b[0] = b[0]&0x3f | 0x40 // positive, and of one length
	return new(big.Int).SetBytes(b[:]), nil
}

// File is the path of the CA's certificate in PEM, for operators to hand to agents.
func (a *CA) File() string { return a.path("ca.crt") }

// Certificate returns the CA's certificate in DER.
func (a *CA) Certificate() []byte { return a.cert.Raw }

// Pool returns the CA as the one trusted root. The caller does not change it.
func (a *CA) Pool() *x509.CertPool { return a.pool }

// CommandKey returns the key that signs commands and indicator sets.
func (a *CA) CommandKey() ed25519.PrivateKey { return a.command }

// Server returns a certificate of the server for the given names and addresses, which is
// kept in the CA's directory and made anew when it does not cover them or ends within a
// month.
func (a *CA) Server(hosts []string) (tls.Certificate, error) {
	if c, err := a.readServer(); err == nil && c.Leaf.NotAfter.Sub(a.now()) > 30*24*time.Hour && covers(c.Leaf, hosts) {
		return c, nil
	}
	c, err := a.makeServer(hosts)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("ca: server certificate: %w", err)
	}
	return c, nil
}

func (a *CA) readServer() (tls.Certificate, error) {
	key, err := readKey(a.path("server.key"))
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := readCert(a.path("server.crt"))
	if err != nil {
		return tls.Certificate{}, err
	}
	pub, ok := key.Public().(*ecdsa.PublicKey)
	if !ok || !pub.Equal(leaf.PublicKey) || leaf.CheckSignatureFrom(a.cert) != nil {
		return tls.Certificate{}, errors.New("server.crt is not of this CA and key")
	}
	return tls.Certificate{Certificate: [][]byte{leaf.Raw, a.cert.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

func (a *CA) makeServer(hosts []string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	serial, err := a.serial()
	if err != nil {
		return tls.Certificate{}, err
	}
	now := a.now()
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "Vedette server"},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(ServerLife), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, key.Public(), a.key)
	if err != nil {
		return tls.Certificate{}, err
	}
	if err := errors.Join(writeKey(a.path("server.key"), key), writeCert(a.path("server.crt"), der)); err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key, Leaf: leaf}, err
}

func covers(c *x509.Certificate, hosts []string) bool {
	for _, h := range hosts {
		if c.VerifyHostname(h) != nil {
			return false
		}
	}
	return true
}

func keyID(pub crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, err
	}
	sum := sha1.Sum(der)
	return sum[:], nil
}
