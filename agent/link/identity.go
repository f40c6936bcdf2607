package link

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/vedette-edr/vedette/durable"
)

// Identity is who the device is to its server. It is kept in one file of mode 0600, so
// that key, certificate and pinned keys can never be of different enrolments.
type Identity struct {
	Device      string            `json:"device"`
	Incarnation uint64            `json:"incarnation"`
	Tenant      string            `json:"tenant"`
	Key         []byte            `json:"key"`         // PKCS#8
	Certificate []byte            `json:"certificate"` // DER
	CA          []byte            `json:"ca"`          // DER
	CommandKey  ed25519.PublicKey `json:"commandKey"`
}

const identityFile = "identity.json"

// Load reads the identity of a state directory; fs.ErrNotExist when there is none yet.
func Load(dir string) (*Identity, error) {
	b, err := os.ReadFile(filepath.Join(dir, identityFile))
	if err != nil {
		return nil, fmt.Errorf("link: identity: %w", err)
	}
	var id Identity
	if err := json.Unmarshal(b, &id); err != nil {
		return nil, fmt.Errorf("link: identity: %w", err)
	}
	if _, err := id.key(); err != nil {
		return nil, fmt.Errorf("link: identity: %w", err)
	}
	return &id, nil
}

func (id *Identity) save(dir string) error {
	b, err := json.Marshal(id)
	if err == nil {
		err = durable.Write(filepath.Join(dir, identityFile), b, 0o600)
	}
	if err != nil {
		return fmt.Errorf("link: identity: %w", err)
	}
	return nil
}

func (id *Identity) key() (*ecdsa.PrivateKey, error) {
	k, err := x509.ParsePKCS8PrivateKey(id.Key)
	if err != nil {
		return nil, err
	}
	e, ok := k.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("the key is not on a curve")
	}
	return e, nil
}

// tls returns the client's side of mutual TLS.
func (id *Identity) tls() (*tls.Config, error) {
	k, err := id.key()
	if err != nil {
		return nil, err
	}
	pool, err := poolOf(id.CA)
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: pool, Time: tolerant(id.CA),
		Certificates: []tls.Certificate{{Certificate: [][]byte{id.Certificate}, PrivateKey: k}}}, nil
}

func poolOf(der []byte) (*x509.CertPool, error) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("link: the CA's certificate: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(c)
	return pool, nil
}

// tolerant returns the clock that server certificates are judged by: the device's own,
// unless that lies outside the life of the pinned CA and so is certainly wrong. A device
// whose battery is dead must still reach its server, which tells it the time.
func tolerant(caDER []byte) func() time.Time {
	c, err := x509.ParseCertificate(caDER)
	if err != nil {
		return time.Now
	}
	return func() time.Time {
		now := time.Now()
		if now.Before(c.NotBefore) {
			return c.NotBefore.Add(96 * time.Hour)
		}
		return now
	}
}

// notAfter is when the certificate ends; zero when it cannot be read.
func (id *Identity) notAfter() time.Time {
	c, err := x509.ParseCertificate(id.Certificate)
	if err != nil {
		return time.Time{}
	}
	return c.NotAfter
}

// due reports whether less than a third of the certificate's life is left.
func (id *Identity) due(now time.Time) bool {
	c, err := x509.ParseCertificate(id.Certificate)
	return err == nil && c.NotAfter.Sub(now) < c.NotAfter.Sub(c.NotBefore)/3
}

// enrolled reports whether the directory holds an identity.
func enrolled(err error) bool { return !errors.Is(err, fs.ErrNotExist) }
