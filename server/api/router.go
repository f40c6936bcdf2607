package api

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
)

// DefaultMaxBody bounds a request body when neither Config nor Route says otherwise.
const DefaultMaxBody = 4 << 20

// Config is what a Router needs.
type Config struct {
	Auth     Authenticator    // required
	Sessions Sessions         // who comes with a cookie of the portal; nil for nobody
	Audience string           // what tokens must have been issued for; passed to Auth as it is
	Log      *slog.Logger     // one line a request; nil for none
	Now      func() time.Time // nil for time.Now
	NewID    func() string    // makes correlation ids; nil for random GUIDs
	MaxBody  int64            // bytes; 0 for DefaultMaxBody
	Limits   *Limits          // how the routes' limits are applied; nil for not at all
	// PublicURL is scheme and host that absolute links begin with. "" takes them from each
	// request, so that a client which reaches the server under a published name stays there.
	PublicURL string
}

// Router serves a table of routes. It is safe for concurrent use and never changes.
type Router struct {
	cfg    Config
	routes map[int][]entry // by number of segments, the most specific first
	table  []Route         // as given
	limits *limiter
}

type entry struct {
	Route
	segments []segment
}

// New compiles the table. It refuses a route that cannot be matched, that another one
// shadows, or whose permission is not settled.
func New(cfg Config, routes []Route) (*Router, error) {
	if cfg.Auth == nil {
		return nil, fmt.Errorf("api.New: no authenticator")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.NewID == nil {
		cfg.NewID = uuid.NewString
	}
	if cfg.MaxBody <= 0 {
		cfg.MaxBody = DefaultMaxBody
	}
	cfg.PublicURL = strings.TrimRight(cfg.PublicURL, "/")
	t := &Router{cfg: cfg, routes: map[int][]entry{}, table: slices.Clone(routes), limits: newLimiter(cfg.Limits, cfg.Now)}
	seen := map[string]string{}
	for _, r := range routes {
		if err := t.add(r, seen); err != nil {
			return nil, fmt.Errorf("api.New: %s %s: %w", r.Method, r.Pattern, err)
		}
	}
	for _, es := range t.routes {
		slices.SortStableFunc(es, moreSpecific)
	}
	return t, nil
}

func (t *Router) add(r Route, seen map[string]string) error {
	switch {
	case r.Method == "" || r.Handle == nil:
		return fmt.Errorf("a route needs a method and a handler")
	case (len(r.Need) == 0) == (r.Open == ""):
		return fmt.Errorf("a route needs either permissions or the reason why it is open")
	case len(r.NeedDelegated) > 0 && len(r.Need) == 0:
		return fmt.Errorf("a route with permissions for people needs some for applications too")
	}
	segs, err := compile(r.Pattern)
	if err != nil {
		return err
	}
	key := r.Method
	for _, s := range segs {
		key += "/" + s.shape()
	}
	if other, ok := seen[key]; ok {
		return fmt.Errorf("it matches the same requests as %s", other)
	}
	seen[key] = r.Pattern
	t.routes[len(segs)] = append(t.routes[len(segs)], entry{Route: r, segments: segs})
	return nil
}

func moreSpecific(a, b entry) int {
	for i := range a.segments {
		if c := cmp.Compare(b.segments[i].weight(), a.segments[i].weight()); c != 0 {
			return c
		}
	}
	return 0
}

// Walk calls f with every route, in the order they were given in.
func (t *Router) Walk(f func(Route)) {
	for _, r := range t.table {
		f(r)
	}
}

// ServeHTTP serves one request: it finds the route, establishes the caller, checks the
// permission, runs the handler, and writes the request's log line.
func (t *Router) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	start := t.cfg.Now()
	rec := &recorder{ResponseWriter: w}
	r := &Request{Request: hr, Correlation: t.cfg.NewID(), base: t.cfg.PublicURL}
	rec.Header().Set("X-Correlation-Id", r.Correlation)
	err := t.run(rec, r)
	t.log(rec, r, err, t.cfg.Now().Sub(start))
	if err != nil && rec.status != statusOf(err) {
		panic(http.ErrAbortHandler)
	}
}

// run serves r and turns what goes wrong, panics included, into the answer. The error is
// for the log.
func (t *Router) run(rec *recorder, r *Request) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &errs.E{Op: "api.Router", Kind: errs.Internal, Err: &panicError{value: p, stack: debug.Stack()}}
		}
		if err != nil && rec.status == 0 {
			WriteError(rec, r, err)
		}
	}()
	return t.serve(rec, r)
}

func (t *Router) serve(w http.ResponseWriter, r *Request) error {
	const op = "api.Router"
	route, vars, err := t.find(w, r.Request)
	if err != nil {
		return err
	}
	r.vars, r.route = vars, route.Pattern
	if r.Query, err = ParseQuery(r.URL.RawQuery); err != nil {
		return err
	}
	if route.Open == "" {
		if r.Caller, err = t.caller(r.Request); err != nil {
			return err
		}
		if err := r.Caller.Require(op, route.need(r.Caller)...); err != nil {
			return err
		}
		if err := t.limits.take(&route.Route, r.Caller); err != nil {
			return err
		}
		if r.Caller.Portal {
			w.Header().Set("Cache-Control", "no-store") // the browser may be somebody else's next
		}
		r.Request = r.WithContext(access.WithPrincipal(r.Context(), r.Caller))
	}
	limit := cmp.Or(route.MaxBody, t.cfg.MaxBody)
	r.Request.Body = http.MaxBytesReader(w, r.Request.Body, limit)
	return route.Handle(w, r)
}

// find returns the most specific route for the request and the variables of its path.
func (t *Router) find(w http.ResponseWriter, r *http.Request) (*entry, map[string]string, error) {
	const op = "api.Router"
	segs, err := segments(r.URL.EscapedPath())
	if err != nil {
		return nil, nil, &errs.E{Op: op, Kind: errs.Invalid, Code: errs.BadRequest, Detail: "the path is not properly escaped", Err: err}
	}
	allowed := map[string]bool{}
	for i := range t.routes[len(segs)] {
		e := &t.routes[len(segs)][i]
		vars := map[string]string{}
		if !matchAll(e.segments, segs, vars) {
			continue
		}
		if e.Method == r.Method || e.Method == http.MethodGet && r.Method == http.MethodHead {
			return e, vars, nil
		}
		allowed[e.Method] = true
	}
	if len(allowed) == 0 {
		return nil, nil, errs.New(op, errs.NotFound, errs.NotFoundCode, "no resource at %s", r.URL.Path)
	}
	list := strings.Join(slices.Sorted(maps.Keys(allowed)), ", ")
	w.Header().Set("Allow", list)
	return nil, nil, &methodError{method: r.Method, allowed: list}
}

func matchAll(pattern []segment, segs []string, vars map[string]string) bool {
	for i, s := range pattern {
		if !s.match(segs[i], vars) {
			return false
		}
	}
	return true
}

// caller establishes who sent the request: by its bearer token, or without one by the
// session of the portal.
func (t *Router) caller(r *http.Request) (*access.Principal, error) {
	if t.cfg.Sessions != nil && r.Header.Get("Authorization") == "" {
		if p, err := t.cfg.Sessions.Resume(r); p != nil || err != nil {
			return p, err
		}
	}
	token, err := bearer(r)
	if err != nil {
		return nil, err
	}
	return t.cfg.Auth.Authenticate(r.Context(), token, t.cfg.Audience)
}

func bearer(r *http.Request) (string, error) {
	scheme, token, _ := strings.Cut(strings.TrimSpace(r.Header.Get("Authorization")), " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", errs.New("api.Router", errs.Unauthenticated, errs.Unauthorized, "the request carries no bearer token in its Authorization header")
	}
	return token, nil
}

func (t *Router) log(rec *recorder, r *Request, err error, took time.Duration) {
	attrs := []slog.Attr{
		slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.String("route", r.route),
		slog.Int("status", rec.status), slog.Int64("bytes", rec.bytes), slog.Duration("took", took),
		slog.String("correlation", r.Correlation), slog.String("remote", r.RemoteAddr),
	}
	if r.Caller != nil {
		attrs = append(attrs, slog.String("tenant", string(r.Caller.Tenant)), slog.String("caller", r.Caller.ID))
	}
	level := slog.LevelInfo
	if err != nil {
		attrs = append(attrs, slog.Any("err", err))
		if statusOf(err) >= http.StatusInternalServerError {
			level = slog.LevelError
		}
	}
	t.cfg.Log.LogAttrs(r.Context(), level, "request", attrs...)
}
