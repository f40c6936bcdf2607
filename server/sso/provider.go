// Package sso lets people sign in by an identity provider outside: OpenID Connect, the
// authorization code flow with PKCE.
//
// A Provider is what an administrator set up: who is asked, what its claims mean here, and
// what becomes of somebody who comes for the first time. Service keeps providers, tests
// them, sends browsers there (Begin) and believes what they bring back (Finish), as far as
// it is signed by the provider, for this server, for this browser and now. Who the person
// is then, is for package access to say (Directory.Vouch): this package opens no session.
//
// What a provider answers is hostile input: documents are bounded, redirects are not
// followed, addresses go through package outbound. Start at Service.Begin.
package sso

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// Provider is an identity provider of a tenant.
type Provider struct {
	ID       ident.ProviderID
	Tenant   ident.TenantID
	Name     string // as people read it on the sign-in page
	Issuer   string // https address below which its configuration is, exactly as its tokens name it
	ClientID string // this server's there
	Secret   string // sealed; "" for a public client, whom PKCE alone proves
	Scopes   []string
	// LoginClaim is whose value somebody is called by here, GroupsClaim whose values are
	// their groups there: the name of a claim, or its path with dots.
	LoginClaim  string
	GroupsClaim string
	// Mappings gives roles by groups, at every sign-in. Without any, people keep the roles
	// that they were given here.
	Mappings []Mapping
	Roles    []ident.RoleID // of everybody who comes by this provider
	Domains  []string       // of whom alone people are let in, lower case; empty for all
	Create   bool           // make an account at the first sign-in
	Link     bool           // take over an account of the same login that nobody vouches for
	Factor   bool           // ask for this server's second factor as well
	Disabled bool
	Created  time.Time
	Changed  time.Time
}

// Mapping gives a role to the members of a group.
type Mapping struct {
	Group string
	Role  ident.RoleID
}

// Store keeps identity providers.
type Store interface {
	// CreateProvider keeps a new one; a name that exists in the tenant, without regard to
	// case, is errs.Conflict.
	CreateProvider(ctx context.Context, p *Provider) error
	// Providers returns those of a tenant by name.
	Providers(ctx context.Context, tenant ident.TenantID) ([]*Provider, error)
	// Provider returns one or errs.NotFound.
	Provider(ctx context.Context, tenant ident.TenantID, id ident.ProviderID) (*Provider, error)
	// UpdateProvider reads, changes and writes one in a transaction; an error of change
	// leaves it as it was and is returned.
	UpdateProvider(ctx context.Context, tenant ident.TenantID, id ident.ProviderID, change func(*Provider) error) (*Provider, error)
	// DeleteProvider forgets one or is errs.NotFound.
	DeleteProvider(ctx context.Context, tenant ident.TenantID, id ident.ProviderID) error
}

// Request is a provider to be made, or what one is to become.
type Request struct {
	Name, Issuer, ClientID  string
	Secret                  *string // nil leaves the one there is; "" for none
	Scopes                  []string
	LoginClaim, GroupsClaim string
	Mappings                []Mapping
	Roles                   []ident.RoleID
	Domains                 []string
	Create, Link, Factor    bool
	Disabled                bool
}

// Bounds of a provider, in bytes or members.
const (
	maxName      = 100
	maxAddress   = 1024
	maxText      = 512
	maxList      = 100
	maxProviders = 20
)

// What is asked for, and read, unless somebody says otherwise.
const (
	DefaultLoginClaim  = "preferred_username"
	DefaultGroupsClaim = "groups"
)

// DefaultScopes are what is asked for beside openid.
func DefaultScopes() []string { return []string{"profile", "email"} }

// apply sets everything but the secret, which the service seals.
func (r *Request) apply(p *Provider) error {
	const op = "sso.Provider"
	refuse := func(format string, args ...any) error {
		return errs.New(op, errs.Invalid, errs.InvalidInput, format, args...)
	}
	name := strings.TrimSpace(r.Name)
	for place, s := range map[string]string{"name": name, "clientId": r.ClientID, "issuer": r.Issuer} {
		if s == "" {
			return errs.New(op, errs.Invalid, errs.MissingRequiredParameter, "%s is missing", place)
		}
	}
	if len(name) > maxName || !proper(name) {
		return refuse("name is longer than %d bytes or holds control characters", maxName)
	}
	if len(r.ClientID) > maxText || !proper(r.ClientID) {
		return refuse("clientId is longer than %d bytes or holds control characters", maxText)
	}
	if err := checkAddress("issuer", r.Issuer); err != nil {
		return err
	}
	if u, _ := url.Parse(r.Issuer); u.RawQuery != "" || u.Fragment != "" {
		return refuse("issuer has a query or fragment")
	}
	login, groups := cmp.Or(strings.TrimSpace(r.LoginClaim), DefaultLoginClaim), cmp.Or(strings.TrimSpace(r.GroupsClaim), DefaultGroupsClaim)
	for place, s := range map[string]string{"userNameClaim": login, "groupsClaim": groups} {
		if len(s) > maxText || !proper(s) {
			return refuse("%s is longer than %d bytes or holds control characters", place, maxText)
		}
	}
	for place, n := range map[string]int{"scopes": len(r.Scopes), "groupRoles": len(r.Mappings), "roles": len(r.Roles), "allowedDomains": len(r.Domains)} {
		if n > maxList {
			return refuse("%s has %d members, at most %d", place, n, maxList)
		}
	}
	scopes := []string{}
	for i, s := range r.Scopes {
		if s == "" || len(s) > maxText || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c == '"' || c == '\\' || c > '~' }) {
			return refuse("scopes[%d] is no scope (RFC 6749 §3.3)", i)
		}
		if s != "openid" && !slices.Contains(scopes, s) {
			scopes = append(scopes, s)
		}
	}
	domains := []string{}
	for i, s := range r.Domains {
		d := strings.ToLower(strings.TrimPrefix(strings.TrimSpace(s), "@"))
		if d == "" || len(d) > 253 || strings.ContainsAny(d, "@/*: ") || !proper(d) {
			return refuse("allowedDomains[%d] is no domain such as example.com", i)
		}
		if !slices.Contains(domains, d) {
			domains = append(domains, d)
		}
	}
	for i, m := range r.Mappings {
		if m.Group == "" || len(m.Group) > maxText || !proper(m.Group) {
			return refuse("groupRoles[%d].group is empty, longer than %d bytes or holds control characters", i, maxText)
		}
	}
	p.Name, p.Issuer, p.ClientID, p.Scopes, p.LoginClaim, p.GroupsClaim = name, r.Issuer, r.ClientID, scopes, login, groups
	p.Mappings, p.Roles, p.Domains = slices.Clone(r.Mappings), slices.Clone(r.Roles), domains
	p.Create, p.Link, p.Factor, p.Disabled = r.Create, r.Link, r.Factor, r.Disabled
	return nil
}

// checkAddress refuses what is no https address of a host.
func checkAddress(place, s string) error {
	u, err := url.Parse(s)
	if err != nil || len(s) > maxAddress || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return errs.New("sso.checkAddress", errs.Invalid, errs.InvalidURL, "%s is no address such as https://login.example.com/tenant", place)
	}
	return nil
}

func proper(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// rolesOf are the roles of a member of the groups.
func (p *Provider) rolesOf(groups []string) []ident.RoleID {
	out := slices.Clone(p.Roles)
	for _, m := range p.Mappings {
		if slices.Contains(groups, m.Group) && !slices.Contains(out, m.Role) {
			out = append(out, m.Role)
		}
	}
	return out
}
