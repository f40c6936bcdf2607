package admin

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/sso"
)

// Providers is what this package needs of sso.Service.
type Providers interface {
	Providers(ctx context.Context, tenant ident.TenantID) ([]*sso.Provider, error)
	Provider(ctx context.Context, tenant ident.TenantID, id ident.ProviderID) (*sso.Provider, error)
	Create(ctx context.Context, tenant ident.TenantID, r sso.Request) (*sso.Provider, error)
	Change(ctx context.Context, tenant ident.TenantID, id ident.ProviderID, r sso.Request) (*sso.Provider, error)
	Delete(ctx context.Context, tenant ident.TenantID, id ident.ProviderID) error
	Test(ctx context.Context, tenant ident.TenantID, id ident.ProviderID, redirect string) ([]sso.Check, error)
}

// Sessions is what this package needs of access.Sessions.
type Sessions interface {
	Of(ctx context.Context, p *access.Person) ([]*access.Session, error)
	EndOf(ctx context.Context, tenant ident.TenantID, person ident.UserID, but *access.Session) error
}

func (a *API) signInRoutes() []api.Route {
	const root = "/identityproviders"
	providers := a.keptProviders()
	return []api.Route{
		answering(administer(http.MethodGet, root, "List the identity providers by which people sign in", a.listProviders), nil, []provider{}, 0),
		answering(administer(http.MethodPost, root, "Add an identity provider", providers.post), providerBody{}, provider{}, http.StatusCreated),
		answering(administer(http.MethodGet, root+"/{providerId}", "Get an identity provider", a.getProvider), nil, provider{}, 0),
		answering(administer(http.MethodPut, root+"/{providerId}", "Change an identity provider", providers.put), providerBody{}, provider{}, 0),
		answering(administer(http.MethodDelete, root+"/{providerId}", "Delete an identity provider", providers.delete), nil, nil, http.StatusNoContent),
		answering(administer(http.MethodPost, root+"/{providerId}/test", "Tell what is wrong with an identity provider", a.testProvider), nil, []check{}, 0),
		answering(administer(http.MethodGet, "/signinpolicy", "Tell of whom a second factor is required", a.getPolicy), nil, policy{}, 0),
		answering(administer(http.MethodPut, "/signinpolicy", "Require a second factor", a.putPolicy), policyBody{}, policy{}, 0),
		answering(administer(http.MethodDelete, "/users/{userId}/factor", "Take away somebody's second factor, who has lost it; their sessions end", a.resetFactor), nil, nil, http.StatusNoContent),
		answering(administer(http.MethodDelete, "/users/{userId}/identity", "Let no identity provider vouch for an account any more; its sessions end", a.unlinkPerson), nil, nil, http.StatusNoContent),
		answering(administer(http.MethodGet, "/users/{userId}/sessions", "List somebody's sessions in the portal", a.listSessions), nil, []session{}, 0),
		answering(administer(http.MethodDelete, "/users/{userId}/sessions", "End somebody's sessions in the portal", a.endSessions), nil, nil, http.StatusNoContent),
	}
}

// groupRole gives a role to the members of a provider's group.
type groupRole struct {
	Group string `json:"group" doc:"required,max=512"`
	Role  string `json:"role" doc:"required"`
}

// providerBody is what an identity provider is made of.
type providerBody struct {
	Name         string      `json:"name" doc:"required,max=100"`
	Issuer       string      `json:"issuer" doc:"required,max=1024"` // exactly as its tokens name it
	ClientID     string      `json:"clientId" doc:"required,max=512"`
	ClientSecret string      `json:"clientSecret" doc:"max=512"` // absent leaves the one there is, "" is none
	Scopes       []string    `json:"scopes"`                     // beside openid; profile and email when absent
	LoginClaim   string      `json:"userNameClaim" doc:"max=512"`
	GroupsClaim  string      `json:"groupsClaim" doc:"max=512"`
	Mappings     []groupRole `json:"groupRoles"`
	Roles        []string    `json:"roles"`
	Domains      []string    `json:"allowedDomains"`
	Create       bool        `json:"createAccounts"`
	Link         bool        `json:"linkAccounts"`
	Factor       bool        `json:"requireSecondFactor"`
	Disabled     bool        `json:"disabled"`
}

// provider is an identity provider as it is answered.
type provider struct {
	ID          string      `json:"id"`
	Name        string      `json:"name"`
	Issuer      string      `json:"issuer"`
	ClientID    string      `json:"clientId"`
	HasSecret   bool        `json:"hasClientSecret"`
	Scopes      []string    `json:"scopes"`
	LoginClaim  string      `json:"userNameClaim"`
	GroupsClaim string      `json:"groupsClaim"`
	Mappings    []groupRole `json:"groupRoles"`
	Roles       []string    `json:"roles"`
	Domains     []string    `json:"allowedDomains"`
	Create      bool        `json:"createAccounts"`
	Link        bool        `json:"linkAccounts"`
	Factor      bool        `json:"requireSecondFactor"`
	Disabled    bool        `json:"disabled"`
	Redirect    string      `json:"redirectUri"` // to be registered there
	Created     time.Time   `json:"createdDateTimeUtc"`
	Changed     time.Time   `json:"lastUpdateDateTimeUtc"`
}

type check struct {
	Name    string `json:"check"`
	Verdict string `json:"result" doc:"enum=Passed|Warning|Failed"`
	Detail  string `json:"detail"`
}

type policyBody struct {
	Required string   `json:"secondFactor" doc:"required,enum=None|All|Roles"`
	Roles    []string `json:"roles"`
}

// policy is what is asked of people who sign in.
type policy struct {
	Required string     `json:"secondFactor"`
	Roles    []string   `json:"roles"`
	Changed  *time.Time `json:"lastUpdateDateTimeUtc"`
}

// session is a session of somebody in the portal.
type session struct {
	ID       string    `json:"id"`
	From     string    `json:"from"`
	Browser  string    `json:"browser"`
	Created  time.Time `json:"createdDateTimeUtc"`
	Seen     time.Time `json:"lastSeenDateTimeUtc"`
	Expires  time.Time `json:"expirationDateTimeUtc"`
	Provider string    `json:"identityProviderId"`
}

func (a *API) redirect() string {
	if len(a.settings.URLs) == 0 {
		return ""
	}
	return a.settings.URLs[0] + a.callback
}

func (a *API) showProvider(p *sso.Provider) provider {
	out := provider{ID: string(p.ID), Name: p.Name, Issuer: p.Issuer, ClientID: p.ClientID, HasSecret: p.Secret != "", Scopes: append([]string{}, p.Scopes...),
		LoginClaim: p.LoginClaim, GroupsClaim: p.GroupsClaim, Mappings: []groupRole{}, Roles: texts(p.Roles), Domains: append([]string{}, p.Domains...),
		Create: p.Create, Link: p.Link, Factor: p.Factor, Disabled: p.Disabled, Redirect: a.redirect(), Created: p.Created, Changed: p.Changed}
	for _, m := range p.Mappings {
		out.Mappings = append(out.Mappings, groupRole{m.Group, string(m.Role)})
	}
	return out
}

func providerID(r *api.Request) ident.ProviderID {
	return ident.ProviderID(strings.ToLower(r.Var("providerId")))
}

func (a *API) listProviders(w http.ResponseWriter, r *api.Request) error {
	all, err := a.providers.Providers(r.Context(), r.Caller.Tenant)
	if err != nil {
		return err
	}
	out := make([]provider, len(all))
	for i, p := range all {
		out[i] = a.showProvider(p)
	}
	return values(w, r, out)
}

func (a *API) getProvider(w http.ResponseWriter, r *api.Request) error {
	p, err := a.providers.Provider(r.Context(), r.Caller.Tenant, providerID(r))
	if err != nil {
		return err
	}
	return write(w, r, http.StatusOK, a.showProvider(p))
}

// providerRequest reads a body. That there is no such provider is said before what is wrong
// with the body.
func (a *API) providerRequest(r *api.Request) (sso.Request, error) {
	var out sso.Request
	if id := providerID(r); id != "" {
		if _, err := a.providers.Provider(r.Context(), r.Caller.Tenant, id); err != nil {
			return out, err
		}
	}
	body, err := r.JSON()
	if err != nil {
		return out, err
	}
	for name, to := range map[string]*string{"name": &out.Name, "issuer": &out.Issuer, "clientId": &out.ClientID, "userNameClaim": &out.LoginClaim, "groupsClaim": &out.GroupsClaim} {
		if *to, err = body.String(name); err != nil {
			return out, err
		}
	}
	for name, to := range map[string]*bool{"createAccounts": &out.Create, "linkAccounts": &out.Link, "requireSecondFactor": &out.Factor, "disabled": &out.Disabled} {
		if *to, err = body.Bool(name); err != nil {
			return out, err
		}
	}
	if body.Has("clientSecret") && !body.IsNull("clientSecret") {
		s, err := body.String("clientSecret")
		if err != nil {
			return out, err
		}
		out.Secret = &s
	}
	if out.Domains, err = body.Texts("allowedDomains"); err != nil {
		return out, err
	}
	if out.Roles, err = ids[ident.RoleID](body, "roles"); err != nil {
		return out, err
	}
	out.Scopes = sso.DefaultScopes()
	if body.Has("scopes") && !body.IsNull("scopes") {
		if out.Scopes, err = body.Texts("scopes"); err != nil {
			return out, err
		}
	}
	if !body.Has("groupRoles") || body.IsNull("groupRoles") {
		return out, nil
	}
	list, err := body.Objects("groupRoles")
	for _, o := range list {
		var m sso.Mapping
		if m.Group, err = o.RequireString("group"); err != nil {
			return out, err
		}
		role, err := o.RequireString("role")
		if err != nil {
			return out, err
		}
		m.Role = ident.RoleID(role)
		out.Mappings = append(out.Mappings, m)
	}
	return out, err
}

func (a *API) keptProviders() *kept[sso.Request, sso.Provider, ident.ProviderID, provider] {
	s := a.providers
	return &kept[sso.Request, sso.Provider, ident.ProviderID, provider]{API: a, noun: "identityprovider", variable: "providerId",
		read: a.providerRequest, create: s.Create, change: s.Change, remove: s.Delete, show: a.showProvider,
		describe: func(p *sso.Provider) (ident.ProviderID, string) {
			if p.Disabled {
				return p.ID, p.Name + ": " + p.Issuer + ", disabled"
			}
			return p.ID, p.Name + ": " + p.Issuer
		}}
}

func (a *API) testProvider(w http.ResponseWriter, r *api.Request) error {
	all, err := a.providers.Test(r.Context(), r.Caller.Tenant, providerID(r), a.redirect())
	if err != nil {
		return err
	}
	out := make([]check, len(all))
	for i, c := range all {
		out[i] = check{c.Name, string(c.Verdict), c.Detail}
	}
	return values(w, r, out)
}

func showPolicy(p *access.SignInPolicy) policy {
	return policy{Required: string(p.Required), Roles: texts(p.Roles), Changed: moment(p.Changed)}
}

func (a *API) getPolicy(w http.ResponseWriter, r *api.Request) error {
	p, err := a.directory.SignInPolicy(r.Context(), r.Caller.Tenant)
	if err != nil {
		return err
	}
	return write(w, r, http.StatusOK, showPolicy(p))
}

func (a *API) putPolicy(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	required, err := body.RequireString("secondFactor")
	if err != nil {
		return err
	}
	roles, err := ids[ident.RoleID](body, "roles")
	if err != nil {
		return err
	}
	p, err := a.directory.SetSignInPolicy(r.Context(), r.Caller.Tenant, access.Requirement(required), roles)
	if err != nil {
		return err
	}
	if err := a.record(r, "signinpolicy.change", "", "second factor: "+strings.TrimSpace(required+" "+strings.Join(texts(roles), " "))); err != nil {
		return err
	}
	return write(w, r, http.StatusOK, showPolicy(p))
}

func (a *API) resetFactor(w http.ResponseWriter, r *api.Request) error {
	return a.signInAnew(w, r, "user.factor.reset", a.directory.RemoveFactor)
}

func (a *API) unlinkPerson(w http.ResponseWriter, r *api.Request) error {
	return a.signInAnew(w, r, "user.unlink", a.directory.Unlink)
}

// signInAnew ends somebody's sessions, after a change of how they sign in.
func (a *API) signInAnew(w http.ResponseWriter, r *api.Request, verb string, change func(context.Context, ident.TenantID, ident.UserID) (*access.Person, error)) error {
	p, err := change(r.Context(), r.Caller.Tenant, userID(r))
	if err != nil {
		return err
	}
	if err := a.sessions.EndOf(r.Context(), p.Tenant, p.ID, nil); err != nil {
		return err
	}
	return a.done(w, r, verb, string(p.ID), p.Login)
}

func (a *API) listSessions(w http.ResponseWriter, r *api.Request) error {
	p, err := a.directory.Person(r.Context(), r.Caller.Tenant, userID(r))
	if err != nil {
		return err
	}
	all, err := a.sessions.Of(r.Context(), p)
	if err != nil {
		return err
	}
	out := make([]session, len(all))
	for i, s := range all {
		out[i] = session{ID: s.ID(), From: s.From, Browser: s.Browser, Created: s.Created, Seen: s.Seen, Expires: s.Expires, Provider: string(s.Provider)}
	}
	return values(w, r, out)
}

func (a *API) endSessions(w http.ResponseWriter, r *api.Request) error {
	return a.signInAnew(w, r, "user.sessions.end", a.directory.Person)
}
