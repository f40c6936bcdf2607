// Package access knows who a caller is and what the caller may do: API applications and
// their secrets, access tokens, people, and the permissions that the published API names.
//
// Every entry into the server turns its credentials into a Principal here and asks the
// Principal before it acts; nothing else decides about permission.
package access

import (
	"context"
	"slices"
	"strings"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// Principal is an authenticated caller.
type Principal struct {
	ident.Actor
	Roles  []string       // application permissions: the token's roles claim
	Scopes []string       // delegated permissions: the token's scp claim
	Rights []Right        // of the person, whose delegated permissions act within them
	Scope  Scope          // devices it may see; Authenticate decides it at each request
	In     []ident.RoleID // portal roles of the person, those of its user groups included
	Portal bool           // acts in a session of the portal
	// Provider vouched for the person when that session was opened; "" for none.
	Provider ident.ProviderID
}

// Can reports whether p holds one of the permissions: as an application, or delegated by
// somebody who has the right that the permission takes.
func (p *Principal) Can(any ...Permission) bool {
	return slices.ContainsFunc(any, func(want Permission) bool {
		for _, g := range want.covering() {
			if slices.Contains(p.Roles, string(g.Permission)) {
				return true
			}
			named := slices.ContainsFunc(g.Delegated, func(n string) bool { return slices.Contains(p.Scopes, n) })
			if named && p.may(want) {
				return true
			}
		}
		return false
	})
}

// may reports whether the person has a right that the permission takes.
func (p *Principal) may(want Permission) bool {
	return slices.ContainsFunc(want.usage().Rights, func(r Right) bool { return slices.Contains(p.Rights, r) })
}

// Require returns errs.Denied, naming what would be needed, unless p can.
func (p *Principal) Require(op string, any ...Permission) error {
	if p.Can(any...) {
		return nil
	}
	names := make([]string, len(any))
	for i, a := range any {
		names[i] = string(a)
	}
	return errs.New(op, errs.Denied, errs.Forbidden, "the caller lacks the permission: one of %s is needed", strings.Join(names, ", "))
}

type principalKey struct{}

// WithPrincipal returns a context that carries p.
func WithPrincipal(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// FromContext returns the caller, or errs.Unauthenticated when ctx carries none.
func FromContext(ctx context.Context) (*Principal, error) {
	p, ok := ctx.Value(principalKey{}).(*Principal)
	if !ok {
		return nil, errs.New("access.FromContext", errs.Unauthenticated, errs.Unauthorized, "the request carries no valid access token")
	}
	return p, nil
}

// System returns the principal under which the server's own parts act in a tenant.
func System(tenant ident.TenantID, part string) *Principal {
	return &Principal{Actor: ident.Actor{Kind: ident.ActorSystem, ID: part, Name: part, Tenant: tenant}, Scope: Everything}
}
