package link

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"connectrpc.com/connect"

	"github.com/vedette-edr/vedette/wire"
	"github.com/vedette-edr/vedette/wire/wirepb"
	"github.com/vedette-edr/vedette/wire/wirepb/wirepbconnect"
)

// What the first start cannot do without.
var (
	ErrNoCA    = errors.New("link: enrol: no CA was given")
	ErrNoToken = errors.New("link: enrol: no enrolment token was given")
)

// Ensure returns the device's identity: the one in the state directory, or a new one by
// enrolment. It tries until ctx ends while the server cannot be reached; a token that the
// server refuses is an error at once.
func Ensure(ctx context.Context, c Config) (*Identity, error) {
	c = c.orDefault()
	d, err := newDialer(c.Server, c.StateDir)
	if err != nil {
		return nil, err
	}
	id, err := Load(c.StateDir)
	if err == nil || enrolled(err) {
		return id, err
	}
	switch {
	case len(c.CA) == 0:
		return nil, ErrNoCA
	case c.Token == "":
		return nil, ErrNoToken
	}
	b := &backoff{min: c.MinBackoff, max: c.MaxBackoff}
	said := false
	for {
		id, err := enrol(ctx, c, d, nil)
		if err == nil {
			return id, nil
		}
		f := FaultOf(err)
		if permanent(err) && f.Retry == 0 {
			return nil, err
		}
		if !said {
			said = true
			c.Trouble(err)
		}
		if werr := wait(ctx, b.next(f.Retry)); werr != nil {
			return nil, errors.Join(err, werr)
		}
	}
}

// permanent reports whether asking again cannot help.
func permanent(err error) bool {
	var c *connect.Error
	if !errors.As(err, &c) {
		return true // not the network: the configuration or the state directory
	}
	switch c.Code() {
	case connect.CodeInvalidArgument, connect.CodeUnauthenticated, connect.CodePermissionDenied, connect.CodeUnimplemented:
		return true
	}
	var cert *tls.CertificateVerificationError
	return errors.As(err, &cert)
}

// enrol asks for an identity and keeps it. A former identity is proven when there is one.
func enrol(ctx context.Context, c Config, d *dialer, former *Identity) (*Identity, error) {
	id, m, err := prepare(c, former)
	if err != nil {
		return nil, fmt.Errorf("link: enrol: %w", err)
	}
	pool, err := poolOf(id.CA)
	if err != nil {
		return nil, err
	}
	t := transport(&tls.Config{MinVersion: tls.VersionTLS13, RootCAs: pool, Time: tolerant(id.CA)}, d)
	defer t.CloseIdleConnections()
	client := wirepbconnect.NewEnrolmentClient(&http.Client{Transport: t}, "https://"+wire.EnrolName, options()...)
	r, err := client.Enrol(ctx, connect.NewRequest(m))
	if err != nil {
		return nil, fmt.Errorf("link: enrol: %w", err)
	}
	if err := id.fill(r.Msg); err != nil {
		return nil, fmt.Errorf("link: enrol: %w", err)
	}
	return id, id.save(c.StateDir)
}

// prepare makes a key and the request to certify it.
func prepare(c Config, former *Identity) (*Identity, *wirepb.EnrolRequest, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	id := &Identity{}
	if id.Key, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
		return nil, nil, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, nil, err
	}
	m := &wirepb.EnrolRequest{Token: c.Token, Csr: csr, Name: c.Name, Platform: c.Platform, AgentVersion: c.AgentVersion}
	if c.Fingerprint != [32]byte{} {
		m.Fingerprint = c.Fingerprint[:]
	}
	if former == nil {
		p, _ := pem.Decode(c.CA)
		if p == nil || p.Type != "CERTIFICATE" {
			return nil, nil, errors.New("the CA is no certificate in PEM")
		}
		id.CA = p.Bytes
		return id, m, nil
	}
	id.CA = former.CA
	old, err := former.key()
	if err != nil {
		return nil, nil, err
	}
	digest := sha256.Sum256(append([]byte(wire.ReenrolContext), csr...))
	m.PreviousCertificate = former.Certificate
	m.PreviousSignature, err = ecdsa.SignASN1(rand.Reader, old, digest[:])
	return id, m, err
}

var deviceForm = regexp.MustCompile(`^[0-9a-f]{40}$`)

// fill takes the server's answer in, after checking that it fits the key and the pinned
// CA: an identity that could not be used must not replace one that can.
func (id *Identity) fill(m *wirepb.EnrolResponse) error {
	if !deviceForm.MatchString(m.Device) || m.Incarnation == 0 || len(m.CommandKey) != ed25519.PublicKeySize {
		return errors.New("the server's answer is malformed")
	}
	id.Device, id.Incarnation, id.Tenant, id.CommandKey = m.Device, m.Incarnation, m.Tenant, m.CommandKey
	return id.certify(m.Certificate, time.Unix(0, m.ServerTime))
}

func (id *Identity) certify(der []byte, at time.Time) error {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return errors.New("the server's answer holds no certificate")
	}
	key, err := id.key()
	if err != nil {
		return err
	}
	if pub, ok := cert.PublicKey.(*ecdsa.PublicKey); !ok || !pub.Equal(&key.PublicKey) {
		return errors.New("the certificate is of another key")
	}
	pool, err := poolOf(id.CA)
	if err != nil {
		return err
	}
	if _, err := cert.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		return fmt.Errorf("the certificate: %w", err)
	}
	id.Certificate = der
	return nil
}

// renew asks for a new certificate with a new key.
func (l *Link) renew(ctx context.Context) error {
	id, client := l.current()
	next, m, err := prepare(l.conf, id)
	if err != nil {
		return err
	}
	r, err := client.Renew(ctx, connect.NewRequest(&wirepb.RenewRequest{Csr: m.Csr}))
	if err != nil {
		return err
	}
	next.Device, next.Incarnation, next.Tenant, next.CommandKey = id.Device, id.Incarnation, id.Tenant, id.CommandKey
	if err := next.certify(r.Msg.Certificate, time.Unix(0, r.Msg.ServerTime)); err != nil {
		return fmt.Errorf("link: renew: %w", err)
	}
	if err := next.save(l.conf.StateDir); err != nil {
		return err
	}
	return l.adopt(next)
}
