package ca

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"

	"github.com/vedette-edr/vedette/durable"
)

func writeKey(name string, key crypto.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return write(name, "PRIVATE KEY", der)
}

func writeCert(name string, der []byte) error { return write(name, "CERTIFICATE", der) }

// write puts a PEM file in place whole: a key that was half written would be lost for
// good.
func write(name, kind string, der []byte) error {
	return durable.Write(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

func read(name, kind string) ([]byte, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	p, _ := pem.Decode(b)
	if p == nil || p.Type != kind {
		return nil, fmt.Errorf("%s holds no %s in PEM", filepath.Base(name), kind)
	}
	return p.Bytes, nil
}

func readKey(name string) (crypto.Signer, error) {
	der, err := read(name, "PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	k, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	s, ok := k.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s holds a key that cannot sign", filepath.Base(name))
	}
	return s, nil
}

func readCert(name string) (*x509.Certificate, error) {
	der, err := read(name, "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
