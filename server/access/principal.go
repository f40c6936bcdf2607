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

// Permission is an application permission of the published API, such as Alert.Read.All.
// The delegated form of the same permission is the name without ".All".
type Permission string

// The permissions that routes of this server ask for.
const (
	AlertRead          Permission = "Alert.Read.All"
	AlertReadWrite     Permission = "Alert.ReadWrite.All"
	MachineRead        Permission = "Machine.Read.All"
	MachineReadWrite   Permission = "Machine.ReadWrite.All"
	MachineIsolate     Permission = "Machine.Isolate"
	MachineCollect     Permission = "Machine.CollectForensics"
	MachineScan        Permission = "Machine.Scan"
	MachineRestrict    Permission = "Machine.RestrictExecution"
	MachineQuarantine  Permission = "Machine.StopAndQuarantine"
	MachineOffboard    Permission = "Machine.Offboard"
	MachineLive        Permission = "Machine.LiveResponse"
	TIReadWriteOwn     Permission = "Ti.ReadWrite"
	TIReadWrite        Permission = "Ti.ReadWrite.All"
	AdvancedQueryRead  Permission = "AdvancedQuery.Read.All"
	AdvancedHuntRead   Permission = "AdvancedHunting.Read.All"
	ThreatHuntingRead  Permission = "ThreatHunting.Read.All"
	UserRead           Permission = "User.Read.All"
	FileRead           Permission = "File.Read.All"
	IPRead             Permission = "Ip.Read.All"
	URLRead            Permission = "URL.Read.All"
	ServerAdmin        Permission = "Vedette.Admin.All" // our own: enrolment tokens, applications, health details
	ServerHealthDetail Permission = "Vedette.Health.Read"
)

// Principal is an authenticated caller.
type Principal struct {
	ident.Actor
	Roles  []string // application permissions: the token's roles claim
	Scopes []string // delegated permissions: the token's scp claim
	Scope  Scope    // devices it may see; Authenticate decides it at each request
}

// Can reports whether p holds one of the permissions, as an application or delegated.
func (p *Principal) Can(any ...Permission) bool {
	for _, want := range any {
		if slices.Contains(p.Roles, string(want)) ||
			slices.Contains(p.Scopes, string(want)) ||
			slices.Contains(p.Scopes, strings.TrimSuffix(string(want), ".All")) {
			return true
		}
	}
	return false
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
