// Package gateway is the server's side of the agent link: the handlers that agents call,
// the TLS that tells them from everybody else on the same port, and the nudges.
//
// It decides nothing about devices, telemetry, actions or indicators; it authenticates,
// limits, translates and passes on. The invariants: every call of an enrolled device is
// authenticated by its certificate and by the device's row, each time; what a device asks
// for or delivers concerns itself alone; a nudge carries no truth, so a lost one costs one
// poll. Agents reach it under the names of package wire, by TLS server name; every other
// name goes to the handler of the API, which an agent's certificate opens no door of.
// Start at New, TLSConfig and Handler.
package gateway

import (
	"context"
	"crypto/tls"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/ca"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/indicator"
	"github.com/vedette-edr/vedette/server/ingest"
	"github.com/vedette-edr/vedette/server/vulnerability"
	"github.com/vedette-edr/vedette/wire"
	"github.com/vedette-edr/vedette/wire/wirepb/wirepbconnect"
)

// Commands is where a device's commands come from and their results go to.
type Commands interface {
	// Pending returns what d is to carry out, but for what it says it has already, and what
	// of that it should stop.
	Pending(ctx context.Context, d *device.Device, have []ident.ActionID) (action.Work, error)
	// Result takes what became of a command. It may come more than once. A command that is
	// not d's is errs.NotFound.
	Result(ctx context.Context, d *device.Device, r action.Result) error
	// Progress takes how far a command is. A command that is not d's is errs.NotFound.
	Progress(ctx context.Context, d *device.Device, id ident.ActionID, p action.Progress) error
}

// Indicators is where the indicators that devices enforce come from.
type Indicators interface {
	Enforcing(ctx context.Context, tenant ident.TenantID, since indicator.Revision) (*indicator.Enforcement, error)
	Revision(tenant ident.TenantID) indicator.Revision
}

// Inventory takes what devices report of their software and settings.
type Inventory interface {
	// Report takes one section in; see vulnerability.Service.
	Report(ctx context.Context, d *device.Device, r vulnerability.Report) (have bool, digest []byte, err error)
}

// Config is what a Gateway needs. Members marked so may be left out.
type Config struct {
	CA         *ca.CA
	Devices    *device.Service
	Ingest     *ingest.Pipeline
	Commands   Commands
	Indicators Indicators            // nil for none
	Inventory  Inventory             // nil for none
	Transfers  Transfers             // nil for none
	Sessions   Sessions              // nil for none
	Metrics    prometheus.Registerer // nil for none
	Clock      func() time.Time      // nil for time.Now
	Heartbeat  time.Duration         // between two of one device; 0 for a minute
	// EnrolPerSecond bounds enrolments of one address; 0 for 20. The whole server takes
	// ten times as many.
	EnrolPerSecond float64
}

// Gateway answers agents.
type Gateway struct {
	cfg      Config
	hub      *hub
	known    *known
	limits   *limits
	metrics  *metrics
	services http.Handler
	writer   *connect.ErrorWriter
}

// New returns a gateway.
func New(c Config) *Gateway {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Heartbeat <= 0 {
		c.Heartbeat = time.Minute
	}
	if c.EnrolPerSecond <= 0 {
		c.EnrolPerSecond = 20
	}
	g := &Gateway{cfg: c, hub: newHub(), known: newKnown(c.Devices, c.Clock), limits: newLimits(c.EnrolPerSecond, c.Clock),
		metrics: newMetrics(c.Metrics), writer: connect.NewErrorWriter()}
	options := connect.WithHandlerOptions(
		connect.WithReadMaxBytes(wire.MaxMessage),
		connect.WithInterceptors(&translator{g}),
		connect.WithRecover(func(_ context.Context, _ connect.Spec, _ http.Header, v any) error {
			return errs.New("gateway", errs.Internal, "", "panic: %v", v)
		}),
	)
	mux := http.NewServeMux()
	path, h := wirepbconnect.NewAgentHandler(&agent{g}, options)
	mux.Handle(path, g.named(wire.AgentName, g.authenticated(g.metered(h))))
	path, h = wirepbconnect.NewEnrolmentHandler(&enrolment{g}, options)
	mux.Handle(path, g.named(wire.EnrolName, h))
	g.services = mux
	return g
}

// Handler answers agents, and passes requests under every other server name to next.
func (g *Gateway) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil || r.TLS.ServerName != wire.AgentName && r.TLS.ServerName != wire.EnrolName {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set(wire.VersionHeader, versionText)
		if err := checkVersion(r); err != nil {
			g.refuse(w, r, err)
			return
		}
		g.services.ServeHTTP(w, r.WithContext(withPeer(w, r)))
	})
}

// named answers 404 to requests that came under another server name.
func (g *Gateway) named(name string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS.ServerName != name {
			http.NotFound(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func (g *Gateway) refuse(w http.ResponseWriter, r *http.Request, err error) {
	g.metrics.refused(err)
	if werr := g.writer.Write(w, r, fault(err)); werr != nil {
		g.metrics.broken.Inc() // the connection is gone
	}
}

// TLSConfig returns the configuration of the one HTTPS port. Under the agents' names the
// server shows a certificate of its own CA; under every other name it shows public, or,
// when that holds none, its own certificate for hosts.
func (g *Gateway) TLSConfig(hosts []string, public tls.Certificate) (*tls.Config, error) {
	own, err := g.cfg.CA.Server(append([]string{wire.AgentName, wire.EnrolName}, hosts...))
	if err != nil {
		return nil, err
	}
	base := &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{own},
		NextProtos: []string{"h2", "http/1.1"}, Time: g.cfg.Clock,
	}
	enrol, agents, others := base.Clone(), base.Clone(), base.Clone()
	// Both sides are ours: nothing older than 1.3 need be spoken.
	enrol.MinVersion, agents.MinVersion = tls.VersionTLS13, tls.VersionTLS13
	agents.ClientAuth, agents.ClientCAs = tls.RequireAndVerifyClientCert, g.cfg.CA.Pool()
	if len(public.Certificate) > 0 {
		others.Certificates = []tls.Certificate{public}
	}
	base.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		switch hello.ServerName {
		case wire.AgentName:
			return agents, nil
		case wire.EnrolName:
			return enrol, nil
		}
		return others, nil
	}
	return base, nil
}

// Nudge tells a device that commands wait for it. It never waits and may be lost.
func (g *Gateway) Nudge(id ident.DeviceID) { g.hub.commands(id) }

// NudgeIndicators tells every connected device of a tenant that its enforcing indicators
// are at a revision now.
func (g *Gateway) NudgeIndicators(tenant ident.TenantID, r indicator.Revision) {
	g.hub.indicators(tenant, uint64(r))
}

// Regrouped tells devices that they are in another group now, and with it need other
// indicators. It reads those that are connected.
func (g *Gateway) Regrouped(ctx context.Context, tenant ident.TenantID, ids []ident.DeviceID) error {
	for _, id := range ids {
		g.known.forget(id)
		if g.cfg.Indicators == nil || !g.hub.has(id) {
			continue
		}
		d, err := g.cfg.Devices.Get(ctx, tenant, id)
		if errs.Is(err, errs.NotFound) {
			continue
		}
		if err != nil {
			return errs.Wrap("gateway.Regrouped", err)
		}
		g.hub.moved(d, uint64(g.cfg.Indicators.Revision(tenant)))
	}
	return nil
}

// Connected reports whether a device watches for nudges now.
func (g *Gateway) Connected(id ident.DeviceID) bool { return g.hub.has(id) }

// Close ends every watch, so that a server can shut down; agents come back by themselves.
func (g *Gateway) Close() { g.hub.close() }
