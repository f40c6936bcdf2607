// Package portal serves the portal to browsers: its files, the sessions of people who
// signed in, what they keep there, and the page of the server's state.
//
// The portal works on the public API, whose routes take its session as they take a token
// (Portal is an api.Sessions); nothing here reads a noun of the product. What is below
// /portal/ is about the session of one person: signing in step by step (signin.go, sso.go),
// their own account (account.go), what they keep. No token of an API application reaches
// it; a script may use it as a page does (Documented).
//
// What keeps a session its person's: the cookie is for this host alone, out of reach of
// scripts and not sent by other sites; every request that changes something carries a
// proof that only a page of the session knows; no page can be framed, and no script runs
// that the server did not bring (policy.go). Start at Portal.ServeHTTP.
package portal

import (
	"context"
	"crypto/rand"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/health"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/preference"
	"github.com/vedette-edr/vedette/server/sso"
)

// Config is what the portal is made of.
type Config struct {
	Version     string
	Files       fs.FS // as package web has them
	Health      *health.Registry
	Directory   *access.Directory
	Sessions    *access.Sessions
	Preferences *preference.Service
	SSO         SingleSignOn // nil for nobody outside who vouches for people
	// Origin returns the address of this server by the name under which a request came,
	// without a slash at its end. Whatever a request claims, it is one of the server's own.
	Origin func(*http.Request) string
	// Trusted reports whether a request may see what is behind a part's state.
	Trusted func(*http.Request) bool
	// Attempted is told how each attempt to sign in ended, for the audit record; nil for
	// nobody.
	Attempted func(ctx context.Context, a Attempt)
	// Reported is told of each report of a browser that a page broke its policy; nil for
	// nobody.
	Reported func()
	Log      *slog.Logger     // nil for none
	Clock    func() time.Time // nil for time.Now
	Rand     io.Reader        // nil for crypto/rand
}

// Attempt is one try to sign in, or the end of a session.
type Attempt struct {
	Tenant ident.TenantID
	Actor  ident.Actor // as claimed; proven only when Error is ""
	Verb   string      // session.open, session.end, or what somebody did to their account
	From   string      // address
	Detail string      // more than the address; "" for nothing
	Error  string      // why it was refused; "" for success
}

// SingleSignOn takes people in for whom an identity provider vouches; sso.Service does.
type SingleSignOn interface {
	Offered(ctx context.Context, tenant ident.TenantID) ([]*sso.Provider, error)
	Begin(ctx context.Context, tenant ident.TenantID, id ident.ProviderID, redirect, to string) (*sso.Departure, error)
	Finish(ctx context.Context, sealed string, a sso.Answer) (*sso.Arrival, error)
	EndAddress(ctx context.Context, session *access.Session, back string) string
}

// nobody is the SingleSignOn of who has none.
type nobody struct{}

// Offered implements SingleSignOn.
func (nobody) Offered(context.Context, ident.TenantID) ([]*sso.Provider, error) { return nil, nil }

// Begin implements SingleSignOn.
func (nobody) Begin(context.Context, ident.TenantID, ident.ProviderID, string, string) (*sso.Departure, error) {
	return nil, errs.New("portal", errs.NotFound, errs.ResourceNotFound, "there is no such identity provider")
}

// Finish implements SingleSignOn.
func (nobody) Finish(context.Context, string, sso.Answer) (*sso.Arrival, error) {
	return &sso.Arrival{}, errs.New("portal", errs.Unauthenticated, access.SignInStale, "there is no identity provider")
}

// EndAddress implements SingleSignOn.
func (nobody) EndAddress(context.Context, *access.Session, string) string { return "" }

// Portal is the http.Handler of everything that is neither an API nor an agent's. It is
// safe for concurrent use.
type Portal struct {
	Config
	assets   *assets
	attempts *api.Attempts
	reports  *reports
	origin   *http.CrossOriginProtection
}

var _ api.Sessions = (*Portal)(nil)

// New returns the portal. It fails when the files of the build are damaged.
func New(c Config) (*Portal, error) {
	p := &Portal{Config: c, origin: http.NewCrossOriginProtection()}
	if p.Clock == nil {
		p.Clock = time.Now
	}
	if p.Rand == nil {
		p.Rand = rand.Reader
	}
	if p.Log == nil {
		p.Log = slog.New(slog.DiscardHandler)
	}
	if p.Attempted == nil {
		p.Attempted = func(context.Context, Attempt) {}
	}
	if p.Reported == nil {
		p.Reported = func() {}
	}
	if p.SSO == nil {
		p.SSO = nobody{}
	}
	if p.Origin == nil {
		p.Origin = func(*http.Request) string { return "" }
	}
	p.attempts, p.reports = api.NewAttempts(p.Clock), newReports()
	var err error
	p.assets, err = load(c.Files)
	return p, err
}

// ServeHTTP implements http.Handler.
func (p *Portal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	switch at := r.URL.Path; {
	case at == "/status", at == "/" && !p.assets.built():
		p.status(w, r)
	case strings.HasPrefix(at, "/portal/"):
		p.call(w, r)
	case p.assets.serve(w, r):
	case p.assets.built() && isPage(r):
		p.page(w, r)
	default:
		http.Error(w, "There is nothing at this address.", http.StatusNotFound)
	}
}

// isPage reports whether a request may be for a page of the portal, of which the portal in
// the browser knows those that exist. What looks like a file is one to whoever asks for no
// page; a browser that goes to an address does, and addresses hold those of hosts.
func isPage(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && len(r.URL.Path) < 2048 &&
		(path.Ext(r.URL.Path) == "" || strings.Contains(r.Header.Get("Accept"), "text/html"))
}

// handler serves a call of the portal's own API.
type handler func(w http.ResponseWriter, r *api.Request) error

// maxBody bounds what a call carries, in bytes: a preference and a little.
const maxBody = preference.MaxSize + 4096

// call serves what is below /portal/.
func (p *Portal) call(w http.ResponseWriter, hr *http.Request) {
	r := &api.Request{Request: hr, Correlation: uuid.NewString()}
	w.Header().Set("Cache-Control", "no-store")
	hr.Body = http.MaxBytesReader(w, hr.Body, maxBody)
	if err := p.dispatch(w, r); err != nil {
		if !errs.Is(err, errs.Unauthenticated) && !errs.Is(err, errs.Denied) && !errs.Is(err, errs.Invalid) {
			p.Log.Error("portal", "path", hr.URL.Path, "correlation", r.Correlation, "err", err)
		}
		api.WriteError(w, r, err)
	}
}

// dispatch finds what serves a call. What stands for itself is a route without a person;
// everything else is for who is signed in.
func (p *Portal) dispatch(w http.ResponseWriter, r *api.Request) error {
	const op = "portal.dispatch"
	rest := strings.TrimPrefix(r.URL.Path, "/portal/")
	for _, c := range p.calls() {
		name, ok := c.fits(r.Method, rest)
		if !ok {
			continue
		}
		h := func(w http.ResponseWriter, r *api.Request) error { return c.serve(w, r, name) }
		if c.open {
			return h(w, r)
		}
		return p.person(h)(w, r)
	}
	return errs.New(op, errs.NotFound, errs.NotFoundCode, "there is no %s %s", r.Method, r.URL.Path)
}

// person lets only somebody who signed in reach h.
func (p *Portal) person(h handler) handler {
	return func(w http.ResponseWriter, r *api.Request) error {
		who, err := p.Resume(r.Request)
		if err != nil {
			return err
		}
		if who == nil {
			return errs.New("portal.person", errs.Unauthenticated, access.SessionOver, "nobody is signed in")
		}
		r.Caller = who
		r.Request = r.WithContext(access.WithPrincipal(r.Context(), who))
		return h(w, r)
	}
}

func remoteIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
