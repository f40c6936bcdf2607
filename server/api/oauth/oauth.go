// Package oauth is the sign-in side of the server: the OAuth 2.0 token endpoint in the
// two shapes that clients of the published API use (v1 with resource, v2 with scope), the
// page on which people sign in for a program, and the documents by which libraries find
// both.
//
// It checks no token and knows no route of the APIs; package access holds credentials and
// keys. It is tolerant in what it reads, because its clients are scripts that somebody
// else wrote: a form in the body of a GET, no Content-Type, HTTP Basic. It is strict in
// what it grants. Errors are worded as Entra ID words them; clients print them.
//
// Start at Handler.ServeHTTP; Owns says which paths are this package's.
package oauth

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/ident"
)

// Config is what the handler needs.
type Config struct {
	Directory *access.Directory
	Authority *access.Authority
	// Attempted is told how each attempt of a known application or person to get a token
	// ended, for the audit record; it must not wait long. nil for nobody.
	Attempted func(ctx context.Context, a Attempt)
	Browser   Browser
	// ClientIP returns the address that a request came from; nil takes the connection's.
	ClientIP func(*http.Request) string
	Clock    func() time.Time // nil for time.Now
	Rand     io.Reader        // nil for crypto/rand
}

// Attempt is one try to get a token.
type Attempt struct {
	Tenant ident.TenantID
	Actor  ident.Actor // as claimed; it is proven only when Error is ""
	Client string      // the application's id
	From   string      // address
	Error  string      // the answer's error and its AADSTS code; "" for success
}

// Handler serves the endpoints. It is safe for concurrent use.
type Handler struct {
	dir       *access.Directory
	authority *access.Authority
	attempted func(context.Context, Attempt)
	browser   Browser
	clientIP  func(*http.Request) string
	now       func() time.Time
	rand      io.Reader
	limit     *api.Attempts
}

// New returns the handler.
func New(c Config) *Handler {
	h := &Handler{dir: c.Directory, authority: c.Authority, attempted: c.Attempted, browser: c.Browser, clientIP: c.ClientIP, now: c.Clock, rand: c.Rand}
	if h.attempted == nil {
		h.attempted = func(context.Context, Attempt) {}
	}
	if h.clientIP == nil {
		h.clientIP = remoteIP
	}
	if h.now == nil {
		h.now = time.Now
	}
	if h.rand == nil {
		h.rand = rand.Reader
	}
	h.limit = api.NewAttempts(h.now)
	return h
}

func remoteIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// route is one endpoint below a tenant.
type route struct {
	path    string // in lower case, without the tenant
	methods string
	serve   func(h *Handler, w http.ResponseWriter, r *http.Request, tenant string)
}

// routes is every endpoint. Paths are taken without regard to case and trailing slashes.
func routes() []route {
	token := func(v access.Version) func(*Handler, http.ResponseWriter, *http.Request, string) {
		return func(h *Handler, w http.ResponseWriter, r *http.Request, tenant string) { h.token(w, r, tenant, v) }
	}
	discovery := func(v access.Version) func(*Handler, http.ResponseWriter, *http.Request, string) {
		return func(h *Handler, w http.ResponseWriter, r *http.Request, tenant string) { h.discovery(w, r, tenant, v) }
	}
	authorize := func(v access.Version) func(*Handler, http.ResponseWriter, *http.Request, string) {
		return func(h *Handler, w http.ResponseWriter, r *http.Request, tenant string) { h.authorize(w, r, tenant, v) }
	}
	return []route{
		{"oauth2/authorize", "GET HEAD POST", authorize(access.V1)},
		{"oauth2/v2.0/authorize", "GET HEAD POST", authorize(access.V2)},
		{"oauth2/token", "GET POST", token(access.V1)},
		{"oauth2/v2.0/token", "GET POST", token(access.V2)},
		{".well-known/openid-configuration", "GET HEAD", discovery(access.V1)},
		{"v2.0/.well-known/openid-configuration", "GET HEAD", discovery(access.V2)},
		{"discovery/keys", "GET HEAD", (*Handler).keys},
		{"discovery/v2.0/keys", "GET HEAD", (*Handler).keys},
		{"discovery/instance", "GET HEAD", (*Handler).instance},
	}
}

// find splits a path into the tenant and the endpoint.
func find(path string) (tenant string, rt route, ok bool) {
	tenant, rest, _ := strings.Cut(strings.Trim(path, "/"), "/")
	rest = strings.ToLower(rest)
	for _, rt := range routes() {
		if rt.path == rest && tenant != "" {
			return tenant, rt, true
		}
	}
	return "", route{}, false
}

// Owns reports whether the path is one of this package's endpoints, /{tenant}/….
func Owns(path string) bool {
	_, _, ok := find(path)
	return ok
}

// ServeHTTP implements http.Handler; a path that the package does not own is 404.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	tenant, rt, ok := find(r.URL.Path)
	if !ok {
		http.NotFound(w, r)
		return
	}
	for m := range strings.FieldsSeq(rt.methods) {
		if m == r.Method {
			rt.serve(h, w, r, tenant)
			return
		}
	}
	w.Header().Set("Allow", strings.ReplaceAll(rt.methods, " ", ", "))
	h.fail(w, r, failure{status: http.StatusMethodNotAllowed, err: "invalid_request", code: 900561, text: "The endpoint does not accept " + r.Method + " requests."})
}

// answer writes v as JSON that nobody caches unless maxAge says so.
func answer(w http.ResponseWriter, status int, cache string, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	hd := w.Header()
	hd.Set("Content-Type", "application/json; charset=utf-8")
	hd.Set("Cache-Control", cache)
	hd.Set("X-Content-Type-Options", "nosniff")
	if cache == noStore {
		hd.Set("Pragma", "no-cache")
	}
	w.WriteHeader(status)
	_, _ = w.Write(b) // the client is gone: nobody to tell
}

const (
	noStore   = "no-store, no-cache"
	fiveMin   = "public, max-age=300"
	maxForm   = 64 * 1024
	maxTenant = 256
)
