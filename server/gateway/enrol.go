package gateway

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"sync"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/time/rate"

	"github.com/vedette-edr/vedette/server/ca"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/wire"
	"github.com/vedette-edr/vedette/wire/wirepb"
)

// enrolment answers the service Enrolment.
type enrolment struct{ g *Gateway }

// maxCSR bounds a certificate request, and a certificate, in bytes.
const maxCSR = 8 << 10

// Enrol makes a computer that has the right to it a device.
func (s *enrolment) Enrol(ctx context.Context, r *connect.Request[wirepb.EnrolRequest]) (*connect.Response[wirepb.EnrolResponse], error) {
	if !s.g.limits.allow(peerOf(ctx).address) {
		s.g.metrics.enrolled.WithLabelValues("limited").Inc()
		return nil, &errs.E{Op: "gateway.Enrol", Kind: errs.Limited, Code: errs.TooManyRequests,
			Detail: "too many enrolments from this address", Retry: 5 * time.Second}
	}
	resp, err := s.enrol(ctx, r.Msg)
	outcome := "refused"
	if err == nil {
		outcome = "new"
		if resp.Incarnation > 1 {
			outcome = "again"
		}
	}
	s.g.metrics.enrolled.WithLabelValues(outcome).Inc()
	if err != nil {
		return nil, errs.Wrap("gateway.Enrol", err)
	}
	return connect.NewResponse(resp), nil
}

func (s *enrolment) enrol(ctx context.Context, m *wirepb.EnrolRequest) (*wirepb.EnrolResponse, error) {
	const op = "gateway.enrol"
	g, p := s.g, peerOf(ctx)
	if len(m.Csr) > maxCSR || len(m.PreviousCertificate) > maxCSR {
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "a certificate or request is longer than %d bytes", maxCSR)
	}
	if n := len(m.Fingerprint); n != 0 && n != sha256.Size {
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "the fingerprint is not %d bytes", sha256.Size)
	}
	// Before the token is used: a request that is wrong must not cost a use.
	if err := g.cfg.CA.Check(m.Csr); err != nil {
		return nil, err
	}
	e := device.Enrolment{Token: m.Token, Name: m.Name, Platform: m.Platform, AgentVersion: m.AgentVersion,
		Protocol: p.protocol, ExternalIP: p.address}
	copy(e.Fingerprint[:], m.Fingerprint)
	if len(m.PreviousCertificate) > 0 {
		id, err := g.former(m)
		if err != nil {
			return nil, err
		}
		e.Previous = id
	}
	d, err := g.cfg.Devices.Enrol(ctx, e)
	if err != nil {
		return nil, err
	}
	g.known.forget(d.ID)
	cert, err := g.issue(ctx, d, m.Csr)
	if err != nil {
		return nil, err
	}
	return &wirepb.EnrolResponse{
		Device: string(d.ID), Incarnation: d.Incarnation, Tenant: string(d.Tenant), Certificate: cert, Ca: g.cfg.CA.Certificate(),
		CommandKey: g.cfg.CA.CommandKey().Public().(ed25519.PublicKey), ServerTime: g.cfg.Clock().UnixNano(),
	}, nil
}

// former verifies the proof of a former identity.
func (g *Gateway) former(m *wirepb.EnrolRequest) (*device.Identity, error) {
	const op = "gateway.former"
	cert, err := x509.ParseCertificate(m.PreviousCertificate)
	if err != nil {
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "the former certificate is malformed")
	}
	id, err := g.cfg.CA.Identify(cert, ca.AllowLapsed)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(append([]byte(wire.ReenrolContext), m.Csr...))
	key, ok := cert.PublicKey.(*ecdsa.PublicKey)
	if !ok || !ecdsa.VerifyASN1(key, digest[:], m.PreviousSignature) {
		return nil, errs.New(op, errs.Unauthenticated, errs.DeviceUnknown, "the former identity is not proven")
	}
	return &device.Identity{Device: id.Device, Incarnation: id.Incarnation, Serial: cert.SerialNumber.Text(16)}, nil
}

// issue makes a certificate for a device and records it before anybody sees it.
func (g *Gateway) issue(ctx context.Context, d *device.Device, csr []byte) ([]byte, error) {
	c, err := g.cfg.CA.Device(csr, ca.Identity{Tenant: d.Tenant, Device: d.ID, Incarnation: d.Incarnation})
	if err != nil {
		return nil, err
	}
	if err := g.cfg.Devices.Issued(ctx, d.Tenant, d.ID, device.Certificate{Serial: c.Serial, Incarnation: d.Incarnation, NotAfter: c.NotAfter}); err != nil {
		return nil, err
	}
	g.known.forget(d.ID)
	return c.DER, nil
}

// limits holds one bucket of enrolments per address and one for all.
type limits struct {
	now func() time.Time
	per float64
	all *rate.Limiter

	mu        sync.Mutex
	addresses map[string]*rate.Limiter
}

// maxAddresses bounds the memory that strangers can make the server use.
const maxAddresses = 10_000

// burst is how many seconds' worth may come at once.
const burst = 5

func newLimits(per float64, now func() time.Time) *limits {
	return &limits{now: now, per: per, all: rate.NewLimiter(rate.Limit(10*per), int(10*per*burst)+1), addresses: map[string]*rate.Limiter{}}
}

func (l *limits) allow(address string) bool {
	l.mu.Lock()
	b := l.addresses[address]
	if b == nil {
		if len(l.addresses) >= maxAddresses {
			clear(l.addresses)
		}
		b = rate.NewLimiter(rate.Limit(l.per), int(l.per*burst)+1)
		l.addresses[address] = b
	}
	l.mu.Unlock()
	now := l.now()
	return b.AllowN(now, 1) && l.all.AllowN(now, 1)
}
