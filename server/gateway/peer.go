package gateway

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/vedette-edr/vedette/server/ca"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/wire"
)

var versionText = strconv.Itoa(wire.Version)

// peer is who is at the other end of a request.
type peer struct {
	address  string // without port; "" when unknown
	protocol int
	device   *device.Device // nil on the way to enrolment
	control  *http.ResponseController
}

type peerKey struct{}

func peerOf(ctx context.Context) *peer {
	p, _ := ctx.Value(peerKey{}).(*peer)
	if p == nil {
		return &peer{}
	}
	return p
}

// withPeer returns the request's context with what is known of its sender.
func withPeer(w http.ResponseWriter, r *http.Request) context.Context {
	p := &peer{control: http.NewResponseController(w)}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		if a, err := netip.ParseAddr(host); err == nil {
			p.address = a.Unmap().WithZone("").String()
		}
	}
	p.protocol, _ = wire.ParseVersion(r.Header.Get(wire.VersionHeader)) // checkVersion has seen it
	return context.WithValue(r.Context(), peerKey{}, p)
}

func checkVersion(r *http.Request) error {
	const op = "gateway.version"
	v, ok := wire.ParseVersion(r.Header.Get(wire.VersionHeader))
	if !ok {
		return errs.New(op, errs.Invalid, errs.BadRequest, "the header %s is missing or no number", wire.VersionHeader)
	}
	if v < wire.MinVersion {
		return errs.New(op, errs.Unsupported, errs.ClientVersionNotSupported,
			"the agent speaks protocol %d, this server %d to %d", v, wire.MinVersion, wire.Version)
	}
	return nil
}

// authenticated lets only enrolled devices through, and gives the handler the device.
func (g *Gateway) authenticated(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d, err := g.authenticate(r)
		if err != nil {
			g.refuse(w, r, err)
			return
		}
		peerOf(r.Context()).device = d
		h.ServeHTTP(w, r)
	})
}

func (g *Gateway) authenticate(r *http.Request) (*device.Device, error) {
	const op = "gateway.authenticate"
	if len(r.TLS.VerifiedChains) == 0 {
		return nil, errs.New(op, errs.Unauthenticated, errs.DeviceUnknown, "no client certificate was shown")
	}
	cert := r.TLS.PeerCertificates[0]
	// The handshake checked it; the connection may have outlived it.
	if g.cfg.Clock().After(cert.NotAfter) {
		return nil, errs.New(op, errs.Unauthenticated, errs.DeviceUnknown, "the certificate has ended")
	}
	id, err := ca.Named(cert)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	d, err := g.known.get(r.Context(), device.Identity{Device: id.Device, Incarnation: id.Incarnation, Serial: cert.SerialNumber.Text(16)})
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	if d.Tenant != id.Tenant {
		return nil, errs.New(op, errs.Unauthenticated, errs.DeviceUnknown, "the certificate is of another tenant")
	}
	return d, nil
}

// knownFor is how long the answer of Authenticate may be reused. What this process itself
// changes is forgotten at once; the span is for other processes on the same store.
const knownFor = 3 * time.Second

// known spares the store a look-up for each call of a device that calls often.
type known struct {
	devices *device.Service
	now     func() time.Time

	mu     sync.Mutex
	byID   map[device.Identity]knownDevice
	epoch  map[ident.DeviceID]uint64 // counts forget, so that a slow look-up is not kept
	pruned time.Time
}

type knownDevice struct {
	device *device.Device
	until  time.Time
}

func newKnown(s *device.Service, now func() time.Time) *known {
	return &known{devices: s, now: now, byID: map[device.Identity]knownDevice{}, epoch: map[ident.DeviceID]uint64{}}
}

// get returns the device; callers only read it.
func (k *known) get(ctx context.Context, id device.Identity) (*device.Device, error) {
	k.mu.Lock()
	now := k.now()
	have, ok := k.byID[id]
	epoch := k.epoch[id.Device]
	k.mu.Unlock()
	if ok && now.Before(have.until) {
		return have.device, nil
	}
	d, err := k.devices.Authenticate(ctx, id)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.epoch[id.Device] != epoch {
		return d, nil
	}
	k.byID[id] = knownDevice{d, now.Add(knownFor)}
	if now.Sub(k.pruned) > knownFor || now.Before(k.pruned) {
		k.pruned = now
		for i, e := range k.byID {
			if !now.Before(e.until) {
				delete(k.byID, i)
			}
		}
	}
	return d, nil
}

// forget drops what is remembered of a device, after its row changed.
func (k *known) forget(id ident.DeviceID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.epoch[id]++
	for i := range k.byID {
		if i.Device == id {
			delete(k.byID, i)
		}
	}
}
