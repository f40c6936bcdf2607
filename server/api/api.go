// Package api is the HTTP layer that every API of the server shares: the route table and
// its matching, authentication and permission, request bodies, answers and errors.
//
// It knows no noun. The packages below it (mde, ti, …) return their []Route, the
// composition root gives them all to New, and the Router serves them. The invariant: a
// route is served only when it names the permissions it needs or the reason why it needs
// none, and Router.serve is the one place that asks for them.
//
// Paths are matched as clients of the published API send them: in any case, with or
// without a version segment after /api, with stray slashes, with OData keys in
// parentheses (see Route). Start at Route, then Router.ServeHTTP.
package api

import (
	"context"
	"net/http"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/ident"
)

// Handler serves one request of a route. An error it returns before anything was written
// becomes the answer; one that comes later breaks the connection off, so that half an
// answer is never taken for a whole one.
type Handler func(w http.ResponseWriter, r *Request) error

// Route is one entry of the route table.
type Route struct {
	Method string // GET serves HEAD too
	// Pattern is the path, its segments matched without regard to case. A segment is a
	// literal, a variable {name}, or a literal with OData arguments: Things({id}) takes
	// Things(1), Things('x') and Things(id=1); find(ip={ip},key={k}) takes its arguments by
	// name in any order. A request may hold "v1.0" after a leading "api".
	Pattern string
	Need    []access.Permission // one of them suffices
	// NeedDelegated is what people need, where the published page asks something else of
	// them than of applications; nil for Need.
	NeedDelegated []access.Permission
	Open          string // why no permission is needed; only when Need is empty
	MaxBody       int64  // bytes of body at most; 0 for the router's own limit
	Limit         Limit  // calls a caller may make; zero members take DefaultLimit's
	Doc           Doc    // what the OpenAPI document says of it
	Handle        Handler
}

// need returns the permissions of which the caller must have one.
func (r *Route) need(p *access.Principal) []access.Permission {
	if p.Kind == ident.ActorUser && len(r.NeedDelegated) > 0 {
		return r.NeedDelegated
	}
	return r.Need
}

// Authenticator turns an access token into the caller it was issued to.
type Authenticator interface {
	// Authenticate verifies token, which must have been issued for audience (one of the
	// router's Config.Audience). A token that is wrong in any way is errs.Unauthenticated.
	Authenticate(ctx context.Context, token, audience string) (*access.Principal, error)
}

// Sessions authenticates requests of the portal's pages.
type Sessions interface {
	// Resume returns who acts in the session that the request belongs to, nil without an
	// error when it carries none. A session that is over is errs.Unauthenticated; a request
	// that may be forged by another site is errs.Denied.
	Resume(r *http.Request) (*access.Principal, error)
}
