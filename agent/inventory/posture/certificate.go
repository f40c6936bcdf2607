package posture

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// maxCertificates bounds the certificates of a report; a distribution's store has about 150.
const maxCertificates = 2000

// Certificate is one certificate of the system's stores.
type Certificate struct {
	Path        string            `json:"path"`
	Thumbprint  string            `json:"thumbprint"` // SHA-1 of the DER, lower-case hexadecimal
	Serial      string            `json:"serialNumber"`
	Subject     map[string]string `json:"subject,omitempty"`
	Issuer      map[string]string `json:"issuer,omitempty"`
	Algorithm   string            `json:"signatureAlgorithm"`
	KeyLength   int               `json:"keyLength,omitempty"` // bits
	NotBefore   time.Time         `json:"notBefore"`
	NotAfter    time.Time         `json:"notAfter"`
	SubjectType string            `json:"subjectType"` // CA or End Entity
	KeyUsage    []string          `json:"keyUsage,omitempty"`
	Extended    []string          `json:"extendedKeyUsage,omitempty"`
	SelfSigned  bool              `json:"isSelfSigned"`
}

// stores are the directories and bundles in which distributions keep certificates. A
// bundle that repeats a directory is not read where the directory is.
var stores = [][]string{
	{"etc/ssl/certs/*.pem", "etc/ssl/certs/*.crt", "etc/pki/tls/certs/*.crt"},
	{"etc/pki/ca-trust/source/anchors/*", "usr/local/share/ca-certificates/*"},
	{"etc/ssl/private/*.pem", "etc/ssl/private/*.crt", "etc/pki/tls/private/*.crt"},
}

func (c *Collector) certificates() ([]Certificate, string) {
	var out []Certificate
	seen := map[string]bool{}
	for _, s := range stores {
		for _, pattern := range s {
			files, _ := filepath.Glob(c.path(pattern))
			slices.Sort(files)
			for _, file := range files {
				rel, err := filepath.Rel(c.cfg.Root, file)
				if err != nil {
					continue
				}
				text, err := c.text(rel)
				if err != nil {
					continue
				}
				for rest := []byte(text); ; {
					var b *pem.Block
					if b, rest = pem.Decode(rest); b == nil {
						break
					}
					if b.Type != "CERTIFICATE" && b.Type != "TRUSTED CERTIFICATE" {
						continue
					}
					cert, err := x509.ParseCertificate(b.Bytes)
					if err != nil {
						continue
					}
					v := certificate("/"+rel, cert)
					if seen[v.Thumbprint] {
						continue
					}
					if len(out) == maxCertificates {
						return out, fmt.Sprintf("certificates: more than %d", maxCertificates)
					}
					seen[v.Thumbprint] = true
					out = append(out, v)
				}
			}
		}
	}
	return out, ""
}

func certificate(path string, c *x509.Certificate) Certificate {
	sum := sha1.Sum(c.Raw) //nolint:gosec // the published thumbprint is SHA-1
	v := Certificate{Path: clean(path), Thumbprint: hex.EncodeToString(sum[:]), Serial: clean(c.SerialNumber.Text(16)),
		Algorithm: c.SignatureAlgorithm.String(), NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(), SubjectType: "End Entity",
		SelfSigned: string(c.RawIssuer) == string(c.RawSubject)}
	if c.IsCA {
		v.SubjectType = "CA"
	}
	first := func(list []string) string {
		if len(list) == 0 {
			return ""
		}
		return clean(list[0])
	}
	name := func(common string, org, country, unit []string) map[string]string {
		m := map[string]string{}
		for k, s := range map[string]string{"Name": clean(common), "Organization": first(org), "CountryCode": first(country), "OrganizationalUnit": first(unit)} {
			if s != "" {
				m[k] = s
			}
		}
		return m
	}
	v.Subject = name(c.Subject.CommonName, c.Subject.Organization, c.Subject.Country, c.Subject.OrganizationalUnit)
	v.Issuer = name(c.Issuer.CommonName, c.Issuer.Organization, c.Issuer.Country, c.Issuer.OrganizationalUnit)
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		v.KeyLength = k.N.BitLen()
	case *ecdsa.PublicKey:
		v.KeyLength = k.Params().BitSize
	case ed25519.PublicKey:
		v.KeyLength = 256
	}
	for bit, word := range usages {
		if c.KeyUsage&(1<<bit) != 0 {
			v.KeyUsage = append(v.KeyUsage, word)
		}
	}
	for _, u := range c.ExtKeyUsage {
		if word, ok := extended[u]; ok {
			v.Extended = append(v.Extended, word)
		}
	}
	for _, oid := range c.UnknownExtKeyUsage[:min(len(c.UnknownExtKeyUsage), 16)] {
		v.Extended = append(v.Extended, clean(strings.TrimSpace(oid.String())))
	}
	return v
}

// usages are the words of RFC 5280, section 4.2.1.3, by bit.
var usages = []string{"digitalSignature", "contentCommitment", "keyEncipherment", "dataEncipherment", "keyAgreement", "keyCertSign", "cRLSign", "encipherOnly", "decipherOnly"}

// extended are the words of RFC 5280, section 4.2.1.12.
var extended = map[x509.ExtKeyUsage]string{
	x509.ExtKeyUsageAny: "anyExtendedKeyUsage", x509.ExtKeyUsageServerAuth: "serverAuth", x509.ExtKeyUsageClientAuth: "clientAuth",
	x509.ExtKeyUsageCodeSigning: "codeSigning", x509.ExtKeyUsageEmailProtection: "emailProtection",
	x509.ExtKeyUsageTimeStamping: "timeStamping", x509.ExtKeyUsageOCSPSigning: "OCSPSigning",
}
