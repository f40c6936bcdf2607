package ca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// uriScheme of the name in a device's certificate: vedette://tenant/device/incarnation.
const uriScheme = "vedette"

// Identity is what a device's certificate says: who it is, and which enrolment of it.
type Identity struct {
	Tenant      ident.TenantID
	Device      ident.DeviceID
	Incarnation uint64
}

// Issued is a certificate that was issued to a device.
type Issued struct {
	DER      []byte
	Serial   string // lower-case hexadecimal
	NotAfter time.Time
}

// Device issues a certificate for the key of a certificate request (PKCS#10, DER). From
// the request only the key is taken, after the request proved to hold it.
func (a *CA) Device(csr []byte, id Identity) (*Issued, error) {
	const op = "ca.Device"
	req, err := parseRequest(csr)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	serial, err := a.serial()
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	now := a.now()
	c := &Issued{Serial: serial.Text(16), NotAfter: now.Add(DeviceLife).UTC().Truncate(time.Second)}
	c.DER, err = x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: string(id.Device)},
		URIs:      []*url.URL{{Scheme: uriScheme, Host: string(id.Tenant), Path: "/" + string(id.Device) + "/" + strconv.FormatUint(id.Incarnation, 10)}},
		NotBefore: now.Add(-backdate), NotAfter: c.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
	}, a.cert, req.PublicKey, a.key)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	return c, nil
}

// Check says whether Device would take the certificate request.
func (a *CA) Check(csr []byte) error {
	_, err := parseRequest(csr)
	return errs.Wrap("ca.Check", err)
}

func parseRequest(csr []byte) (*x509.CertificateRequest, error) {
	const op = "ca.parseRequest"
	req, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "the certificate request is malformed")
	}
	if err := req.CheckSignature(); err != nil {
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "the certificate request is not signed by its own key")
	}
	if pub, ok := req.PublicKey.(*ecdsa.PublicKey); !ok || pub.Curve != elliptic.P256() {
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "the key of the certificate request is not on P-256")
	}
	return req, nil
}

// Identify reads who a device's certificate stands for. The certificate must be one that
// this CA issued to a device and be valid now; when lapsed is allowed, it may have ended.
func (a *CA) Identify(cert *x509.Certificate, lapsed Lapse) (Identity, error) {
	const op = "ca.Identify"
	at := a.now()
	if lapsed == AllowLapsed && at.After(cert.NotAfter) {
		at = cert.NotAfter
	}
	_, err := cert.Verify(x509.VerifyOptions{Roots: a.pool, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return Identity{}, &errs.E{Op: op, Kind: errs.Unauthenticated, Code: errs.DeviceUnknown,
			Detail: "the certificate is not a valid one of a device", Err: err}
	}
	return Named(cert)
}

// Named reads who a certificate stands for that was verified against Pool already, as a
// TLS server does.
func Named(cert *x509.Certificate) (Identity, error) {
	for _, u := range cert.URIs {
		tenant, known := ident.ParseTenantID(u.Host)
		name, inc, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
		id, ok := ident.ParseDeviceID(name)
		n, err := strconv.ParseUint(inc, 10, 64)
		if u.Scheme == uriScheme && known && ok && err == nil {
			return Identity{Tenant: tenant, Device: id, Incarnation: n}, nil
		}
	}
	return Identity{}, errs.New("ca.Named", errs.Unauthenticated, errs.DeviceUnknown, "the certificate names no device")
}

// Lapse says whether a certificate that has ended is still good enough.
type Lapse uint8

// The values of Lapse.
const (
	RefuseLapsed Lapse = iota
	AllowLapsed        // as proof of a former identity
)
