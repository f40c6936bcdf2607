package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"testing"
)

// trust returns a configuration that trusts the authority in file alone.
func trust(t testing.TB, file string) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatalf("%s holds no certificate", file)
	}
	return &tls.Config{RootCAs: pool}
}
