package link

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"testing"
	"time"
)

func TestWhatTheFirstStartLacksIsSaid(t *testing.T) {
	c := Config{Server: "https://127.0.0.1:1", StateDir: t.TempDir()}
	if _, err := Ensure(t.Context(), c); !errors.Is(err, ErrNoCA) {
		t.Errorf("without a CA: %v", err)
	}
	c.CA = []byte("x")
	if _, err := Ensure(t.Context(), c); !errors.Is(err, ErrNoToken) {
		t.Errorf("without a token: %v", err)
	}
}

func TestAServerThatIsAwayIsToldOnceWhileEnrolling(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	away := l.Addr().String()
	l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	told := make(chan error, 100)
	c := Config{
		Server: "https://" + away, StateDir: t.TempDir(), Token: "t", MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond,
		CA:      pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate(t)}),
		Trouble: func(err error) { told <- err },
	}
	done := make(chan error, 1)
	go func() {
		_, err := Ensure(ctx, c)
		done <- err
	}()
	select {
	case err := <-told:
		if err == nil {
			t.Error("nil was told")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was told")
	}
	time.Sleep(50 * time.Millisecond) // tens of tries
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Ensure: %v", err)
	}
	if n := len(told); n != 0 {
		t.Errorf("told %d times more", n)
	}
}

// certificate returns one of its own authority.
func certificate(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
