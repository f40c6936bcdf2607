package ca_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-edr/vedette/server/ca"
	"github.com/vedette-edr/vedette/server/errs"
)

var who = ca.Identity{Tenant: "11111111-2222-3333-4444-555555555555", Device: "00112233445566778899aabbccddeeff00112233", Incarnation: 7}

func open(t *testing.T, dir string, now *time.Time) *ca.CA {
	t.Helper()
	a, err := ca.Open(ca.Config{Dir: dir, Clock: func() time.Time { return *now }})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func request(t *testing.T) []byte {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, k)
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

func TestADeviceIsKnownByItsCertificate(t *testing.T) {
	now, dir := time.Now(), t.TempDir()
	a := open(t, dir, &now)
	c, err := a.Device(request(t), who)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(c.DER)
	if err != nil {
		t.Fatal(err)
	}
	got, err := open(t, dir, &now).Identify(cert, ca.RefuseLapsed)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(who, got); d != "" {
		t.Error(d)
	}
	if c.Serial != cert.SerialNumber.Text(16) || !c.NotAfter.Equal(cert.NotAfter) {
		t.Errorf("issued %+v, the certificate says %x until %v", c, cert.SerialNumber, cert.NotAfter)
	}

	other := open(t, t.TempDir(), &now)
	if _, err := other.Identify(cert, ca.RefuseLapsed); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("another CA accepts it: %v", err)
	}
	now = now.Add(ca.DeviceLife + time.Hour)
	if _, err := a.Identify(cert, ca.RefuseLapsed); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("accepted after its end: %v", err)
	}
	if _, err := a.Identify(cert, ca.AllowLapsed); err != nil {
		t.Errorf("no proof of a former identity after its end: %v", err)
	}
}

func TestRequestsAreChecked(t *testing.T) {
	now := time.Now()
	a := open(t, t.TempDir(), &now)
	csr := request(t)
	csr[len(csr)-1] ^= 1
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ed, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, edKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"spoiled": csr, "empty": nil, "another kind of key": ed} {
		if _, err := a.Device(b, who); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestKeysAreForTheServerAloneAndStay(t *testing.T) {
	now, dir := time.Now(), filepath.Join(t.TempDir(), "ca")
	a := open(t, dir, &now)
	s, err := a.Server([]string{"agent.vedette", "192.0.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Leaf.Verify(x509.VerifyOptions{Roots: a.Pool(), DNSName: "agent.vedette", CurrentTime: now}); err != nil {
		t.Error(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if i, err := f.Info(); err != nil || i.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v: %v", f.Name(), i.Mode(), err)
		}
	}
	b := open(t, dir, &now)
	if !b.CommandKey().Equal(a.CommandKey()) || string(b.Certificate()) != string(a.Certificate()) {
		t.Error("another CA after opening it again")
	}
	again, err := b.Server([]string{"agent.vedette"})
	if err != nil || string(again.Certificate[0]) != string(s.Certificate[0]) {
		t.Errorf("another server certificate though the first one covers all: %v", err)
	}
	more, err := b.Server([]string{"agent.vedette", "new.example"})
	if err != nil || more.Leaf.VerifyHostname("new.example") != nil {
		t.Errorf("the server certificate does not follow its names: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "ca.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := ca.Open(ca.Config{Dir: dir}); err == nil {
		t.Error("a new CA took the place of one whose key is gone")
	}
}
