package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/admin"
	"github.com/vedette-edr/vedette/server/api/detection"
	expertapi "github.com/vedette-edr/vedette/server/api/expert"
	"github.com/vedette-edr/vedette/server/api/feed"
	"github.com/vedette-edr/vedette/server/api/graph"
	graphdetection "github.com/vedette-edr/vedette/server/api/graph/detection"
	"github.com/vedette-edr/vedette/server/api/hunting"
	liveapi "github.com/vedette-edr/vedette/server/api/live"
	"github.com/vedette-edr/vedette/server/api/mde"
	"github.com/vedette-edr/vedette/server/api/oauth"
	"github.com/vedette-edr/vedette/server/api/openapi"
	"github.com/vedette-edr/vedette/server/api/portal"
	"github.com/vedette-edr/vedette/server/api/preview"
	"github.com/vedette-edr/vedette/server/api/respond"
	"github.com/vedette-edr/vedette/server/api/ti"
	"github.com/vedette-edr/vedette/server/api/triage"
	"github.com/vedette-edr/vedette/server/api/tvm"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/web"
)

// front is what clients see: the servers on the listeners and the handlers behind them.
type front struct {
	server *Server
	https  *http.Server
	http   *http.Server // nil without --listen-http
}

// listeners are the server's sockets.
type listeners struct {
	tls   net.Listener
	plain net.Listener // nil without --listen-http
}

func listen(c Config) (*listeners, error) {
	if c.ListenHTTP != "" {
		host, _, err := net.SplitHostPort(c.ListenHTTP)
		if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return nil, fmt.Errorf("listen-http %q: without TLS the API is served on loopback addresses alone, such as 127.0.0.1:8080", c.ListenHTTP)
		}
	}
	l := &listeners{}
	var err error
	if l.tls, err = net.Listen("tcp", c.Listen); err != nil {
		return nil, err
	}
	if c.ListenHTTP != "" {
		if l.plain, err = net.Listen("tcp", c.ListenHTTP); err != nil {
			l.close()
			return nil, err
		}
	}
	return l, nil
}

// close closes what serving has not closed already.
func (l *listeners) close() {
	for _, n := range []net.Listener{l.tls, l.plain} {
		if n != nil {
			n.Close()
		}
	}
}

// shutdownGrace is how long requests may go on when the server stops.
const shutdownGrace = 10 * time.Second

func newFront(s *Server) (*front, error) {
	pages, err := newPortal(s)
	if err != nil {
		return nil, err
	}
	router, err := newRouter(s, pages)
	if err != nil {
		return nil, err
	}
	public := publicHandler(s, router, pages, browser(pages))
	conf, err := s.gateway.TLSConfig(s.where.hosts, tls.Certificate{})
	if err != nil {
		return nil, err
	}
	f := &front{server: s, https: newHTTP(s, s.gateway.Handler(public))}
	f.https.TLSConfig = conf
	if s.listeners.plain != nil {
		f.http = newHTTP(s, public)
	}
	return f, nil
}

func newHTTP(s *Server, h http.Handler) *http.Server {
	return &http.Server{
		Handler: usual.with(h), HTTP2: &http.HTTP2Config{
			// A device that lost its network leaves a connection on which nothing is said.
			SendPingTimeout: time.Minute, PingTimeout: 20 * time.Second, WriteByteTimeout: time.Minute,
		},
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
	}
}

// routes is the route table of every API, the document of it included.
func routes(s *Server) ([]api.Route, error) {
	c := s.control
	published := mde.New(mde.Config{Alerts: c.alerts, Incidents: c.incidents, Devices: c.devices, Actions: c.actions, Releases: c.actions, Indicators: c.indicators,
		Hunter: s.stream.hunts, Library: c.library, Investigations: c.investigations, LinkKey: c.linkKey, Groups: c.groups, Now: s.cfg.Clock, Retention: s.cfg.Retention, Model: tvm.Model()})
	own := admin.New(admin.Config{Directory: c.directory, Groups: c.groups, Devices: c.devices, Audit: c.audit, History: c.audit, Settings: s.settings(), Health: s.health, Now: s.cfg.Clock,
		Providers: c.sso, Sessions: c.sessions, Callback: portal.Callback})
	managed := tvm.New(tvm.Config{Service: c.vulnerabilities, Devices: c.devices, Groups: c.groups, Files: c.exports, Now: s.cfg.Clock})
	security := graph.New(graph.Config{Alerts: c.alerts, Incidents: c.incidents, Devices: c.devices, Hunter: s.stream.hunts, Groups: c.groups, Now: s.cfg.Clock})
	work := triage.New(triage.Config{Alerts: c.alerts, Suppressions: c.alerts, Incidents: c.incidents, Rules: c.notices, Tester: c.sender, Trees: s.stream.hunts})
	old := preview.New(preview.Config{Devices: c.devices, Groups: c.groups, Actions: c.actions, Indicators: c.indicators, Alerts: c.alerts, Now: s.cfg.Clock})
	sessions := liveapi.New(c.live, c.live)
	acting := respond.New(respond.Config{Actions: c.actions, Many: c.actions, Policies: c.actions, Devices: c.devices, Sightings: s.stream.hunts, Now: s.cfg.Clock})
	asking := expertapi.New(s.experts, s.experts, c.actions)
	all := slices.Concat(published.Routes(), old.Routes(), acting.Routes(), asking.Routes(), sessions.Routes(), security.Routes(), feeds(s).Routes(), work.Routes(), ti.Routes(c.indicators), own.Routes(), managed.Routes(),
		graphdetection.Routes(s.detect.rules), hunting.Routes(hunting.Config{Hunter: s.stream.hunts, Queries: c.queries, Devices: c.devices}),
		detection.Routes(detection.Config{Files: s.detect.library, Rules: s.detect.rules, Backtests: s.detect.backtests, Attack: s.detect.attack, Now: s.cfg.Clock}))
	doc, err := openapi.Route(documented(all))
	return append(all, doc), err
}

// settings is what administrators are shown of the configuration.
func (s *Server) settings() admin.Settings {
	c := s.cfg
	out := admin.Settings{Version: c.Version, RetentionDays: c.Retention.Hours() / 24, DiskReserve: c.DiskReserve, HuntHour: max(0, c.Quota.Hour.Seconds()),
		HuntDay: max(0, c.Quota.Day.Seconds()), RateFactor: max(0, c.RateLimit), Mail: c.Mail.URL != "", URLs: []string{}, ExternalHosts: append([]string{}, c.External.Hosts...)}
	if s.where != nil {
		out.URLs = s.where.urls
	}
	if s.control.ca != nil {
		if pem, err := os.ReadFile(s.control.ca.File()); err == nil {
			out.CA = string(pem)
		}
	}
	return out
}

// documented adds to the table what is served beside the router.
func documented(table []api.Route) []api.Route {
	return slices.Concat(table, oauth.Documented(), portal.Documented())
}

// hollow is a server of which the route table can be asked and nothing else.
func hollow() *Server { return &Server{control: &control{}, stream: &stream{}, detect: &detections{}} }

// OpenAPI returns the OpenAPI document of every route that a server has.
func OpenAPI() ([]byte, error) {
	// The table is the same whatever the handlers work on.
	all, err := routes(hollow())
	if err != nil {
		return nil, err
	}
	return openapi.Document(documented(all))
}

// newRouter serves the table. What differs by the host that a request was sent to: on
// Graph's, paths that are the custom TI API's elsewhere are not there; on those of the SIEM
// alert exporter, /api/alerts is its feed.
func newRouter(s *Server, sessions api.Sessions) (http.Handler, error) {
	table, err := routes(s)
	if err != nil {
		return nil, err
	}
	exporter := feeds(s).Exporter()
	limits, err := limits(s, slices.Concat(table, exporter))
	if err != nil {
		return nil, err
	}
	router := func(table []api.Route) (*api.Router, error) {
		return api.New(api.Config{Auth: verifier{s.control.authority}, Sessions: sessions, Audience: s.where.url, Log: s.cfg.Log, Now: s.cfg.Clock,
			Limits: limits}, table)
	}
	all, err := router(table)
	if err != nil {
		return nil, err
	}
	var security []api.Route
	for _, r := range table {
		if graph.Owns(r.Pattern) {
			security = append(security, r)
		}
	}
	g, err := router(security)
	if err != nil {
		return nil, err
	}
	e, err := router(exporter)
	if err != nil {
		return nil, err
	}
	labels := map[string]http.Handler{"graph": g}
	for _, l := range exporters {
		labels[l] = e
	}
	return api.ByHost(all, labels), nil
}

func feeds(s *Server) *feed.API {
	c := s.control
	return feed.New(feed.Config{Alerts: c.alerts, Devices: c.devices, Subscriptions: c.notices, Now: s.cfg.Clock})
}

// exporters are the first labels of the hosts of the SIEM alert exporter.
var exporters = []string{"wdatp-alertexporter-us", "wdatp-alertexporter-eu", "wdatp-alertexporter-uk"}

// limits returns how calls are limited, nil for not at all, with the metric of refusals.
func limits(s *Server, table []api.Route) (*api.Limits, error) {
	if s.cfg.RateLimit < 0 {
		return nil, nil
	}
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "vedette_api_limited_total", Help: "API calls refused with 429 because the caller or tenant made too many.",
	}, []string{"method", "route"})
	s.metrics.MustRegister(refused)
	for route := range s.cfg.RouteLimits {
		if !slices.ContainsFunc(table, func(r api.Route) bool { return r.Method+" "+r.Pattern == route }) {
			return nil, fmt.Errorf("route-limit: there is no route %q", route)
		}
	}
	return &api.Limits{Factor: s.cfg.RateLimit, Routes: s.cfg.RouteLimits,
		Refused: func(method, pattern string) { refused.WithLabelValues(method, pattern).Inc() }}, nil
}

// verifier lets the router authenticate by the authority, which knows its own audiences.
type verifier struct{ authority *access.Authority }

// Authenticate implements api.Authenticator.
func (v verifier) Authenticate(ctx context.Context, token, _ string) (*access.Principal, error) {
	return v.authority.Verify(ctx, token)
}

// here reports whether a request comes from this machine.
func here(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	return err == nil && own(host)
}

// newPortal makes what browsers see.
func newPortal(s *Server) (*portal.Portal, error) {
	c := s.control
	return portal.New(portal.Config{Version: s.cfg.Version, Files: web.Files(), Health: s.health, Directory: c.directory, Sessions: c.sessions,
		Preferences: c.preferences, SSO: c.sso, Origin: s.where.origin, Trusted: here, Reported: s.policyReports.Inc, Log: s.cfg.Log, Clock: s.cfg.Clock,
		Attempted: func(ctx context.Context, a portal.Attempt) {
			e := audit.Entry{Tenant: a.Tenant, Actor: a.Actor, Verb: a.Verb, Object: a.Actor.ID, Detail: a.From, Outcome: audit.Done}
			if a.Detail != "" {
				e.Detail += ": " + a.Detail
			}
			if a.Error != "" {
				e.Detail, e.Outcome = a.From+": "+a.Error, audit.Denied
			}
			if err := c.audit.Record(ctx, e); err != nil {
				s.cfg.Log.Error("audit record", "verb", e.Verb, "err", err)
			}
		}})
}

// browser lets people sign in for programs with what the portal knows of their browser.
func browser(pages *portal.Portal) oauth.Browser {
	return oauth.Browser{
		Visitor: func(r *http.Request) (v oauth.Visitor, err error) {
			v.Session, v.Person, v.Proof, v.Unfinished, err = pages.Visitor(r)
			return v, err
		},
		Ways: func(ctx context.Context, tenant ident.TenantID, to string) ([]oauth.Way, error) {
			all, err := pages.Ways(ctx, tenant, to)
			var out []oauth.Way
			for _, w := range all {
				out = append(out, oauth.Way(w))
			}
			return out, err
		},
	}
}

// publicHandler serves everything that is not an agent's.
func publicHandler(s *Server, router, pages http.Handler, people oauth.Browser) http.Handler {
	c := s.control
	tokens := oauth.New(oauth.Config{Directory: c.directory, Authority: c.authority, Clock: s.cfg.Clock, Browser: people,
		Attempted: func(ctx context.Context, a oauth.Attempt) {
			e := audit.Entry{Tenant: a.Tenant, Actor: a.Actor, Verb: "token.issue", Object: a.Client, Detail: a.From, Outcome: audit.Done}
			if a.Error != "" {
				e.Detail, e.Outcome = a.From+": "+a.Error, audit.Denied
			}
			if err := c.audit.Record(ctx, e); err != nil {
				s.cfg.Log.Error("audit record", "verb", e.Verb, "err", err)
			}
		}})
	metrics := promhttp.HandlerFor(s.metrics, promhttp.HandlerOpts{})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		guard(w.Header())
		switch path := r.URL.Path; {
		case path == "/healthz":
			s.health.Live(w, r)
		case path == "/readyz":
			s.health.Ready(w, r, here(r))
		case path == "/metrics":
			if !here(r) {
				http.Error(w, "metrics are served to this machine alone", http.StatusForbidden)
				return
			}
			metrics.ServeHTTP(w, r)
		case oauth.Owns(path):
			tokens.ServeHTTP(w, r)
		case isAPI(path):
			router.ServeHTTP(w, current(r))
		default:
			pages.ServeHTTP(w, r)
		}
	})
}

// guard sets what every answer carries. An answer that is a page sets a policy of its own;
// what a browser opens of the API runs nothing, is taken for nothing else and is framed by nobody.
func guard(h http.Header) {
	h.Set("Strict-Transport-Security", "max-age=31536000")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
}

// isAPI reports whether a path is below the root of the published API, of the custom TI
// API, of Graph or of the web hooks of the flow connector, in any case, with or without a doubled slash in front.
func isAPI(path string) bool {
	first, _, _ := strings.Cut(strings.TrimLeft(path, "/"), "/")
	return slices.ContainsFunc([]string{"api", "v1.0", "beta", "subscriptions", previewRoot, trigger}, func(root string) bool { return strings.EqualFold(first, root) })
}

// previewRoot is the root of the published API's form of before 2019, on the host of Graph.
const previewRoot = "testwdatppreview"

// trigger is the root below which the flow connector polls the published API for what is
// new: /trigger/api/remediationtasks.
const trigger = "trigger"

// current is a request of the preview, or of a trigger of the flow connector, as one of the
// API that it means; any other request is left as it is.
func current(r *http.Request) *http.Request {
	first, rest, _ := strings.Cut(strings.TrimLeft(r.URL.EscapedPath(), "/"), "/")
	target := "/" + rest
	switch {
	case strings.EqualFold(first, previewRoot):
		target = "/api/" + rest
	case !strings.EqualFold(first, trigger):
		return r
	}
	out := r.Clone(r.Context())
	out.URL.RawPath = target
	if path, err := url.PathUnescape(out.URL.RawPath); err == nil {
		out.URL.Path = path
	}
	return out
}

func (f *front) run(ctx context.Context, g *errgroup.Group) {
	serve := func(h *http.Server, serve func() error) {
		g.Go(func() error {
			if err := serve(); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
		g.Go(func() error {
			<-ctx.Done()
			f.server.gateway.Close()
			grace, cancel := context.WithTimeout(context.Background(), shutdownGrace)
			defer cancel()
			if err := h.Shutdown(grace); err != nil {
				_ = h.Close() // the listener is closed already; this cuts whom Shutdown waited for
			}
			return nil
		})
	}
	serve(f.https, func() error { return f.https.ServeTLS(f.server.listeners.tls, "", "") })
	if f.http != nil {
		serve(f.http, func() error { return f.http.Serve(f.server.listeners.plain) })
	}
}
