package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/vedette-edr/vedette/client"
)

const (
	ssoPath    = "/api/vedette/identityproviders"
	policyPath = "/api/vedette/signinpolicy"
)

type ssoCommand struct {
	List   ssoList   `cmd:"" help:"List the identity providers by which people sign in."`
	Get    ssoGet    `cmd:"" help:"Show an identity provider, with the redirect address to register there."`
	Create ssoCreate `cmd:"" help:"Add an identity provider (OpenID Connect)."`
	Update ssoUpdate `cmd:"" help:"Change an identity provider; what is not given stays."`
	Test   ssoTest   `cmd:"" help:"Tell what is wrong with an identity provider."`
	Delete ssoDelete `cmd:"" help:"Delete an identity provider."`
	Policy ssoPolicy `cmd:"" help:"Show, or say, of whom a second factor is required."`
}

type ssoList struct{}

func (*ssoList) Run(s *session) error {
	return all(s, ssoPath, []string{"NAME", "ISSUER", "DISABLED", "ID"}, func(p client.IdentityProvider) []string {
		return []string{p.Name, p.Issuer, yes(p.Disabled), p.ID}
	})
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

func showProvider(p client.IdentityProvider) [][2]string {
	var groups []string
	for _, m := range p.Mappings {
		groups = append(groups, m.Group+"="+m.Role)
	}
	return [][2]string{{"Name", p.Name}, {"Id", p.ID}, {"Issuer", p.Issuer}, {"Client id", p.ClientID}, {"Client secret", map[bool]string{true: "set", false: "none"}[p.HasSecret]},
		{"Redirect address", p.Redirect}, {"Scopes", "openid " + strings.Join(p.Scopes, " ")}, {"User name claim", p.LoginClaim}, {"Groups claim", p.GroupsClaim},
		{"Roles by groups", strings.Join(groups, ", ")}, {"Roles", strings.Join(p.Roles, ", ")}, {"Allowed domains", strings.Join(p.Domains, ", ")},
		{"Makes accounts", yes(p.Create)}, {"Takes accounts over", yes(p.Link)}, {"Our second factor", yes(p.Factor)}, {"Disabled", yes(p.Disabled)}}
}

type ssoGet struct {
	ID string `arg:"" help:"Id of the identity provider."`
}

func (c *ssoGet) Run(s *session) error {
	return send(s, http.MethodGet, ssoPath+"/"+url.PathEscape(c.ID), nil, showProvider)
}

// ssoFlags is what an identity provider is made of. The secret comes from the environment:
// arguments can be seen by others.
type ssoFlags struct {
	Issuer    *string   `help:"Address of the provider, exactly as it calls itself."`
	ClientID  *string   `help:"This server's id there." name:"client-id"`
	Scope     *[]string `help:"Scope beside openid; may be given several times. Without it profile and email."`
	UserClaim *string   `help:"Claim of the user name." name:"user-claim"`
	Groups    *string   `help:"Claim of the groups, or its path with dots." name:"groups-claim"`
	GroupRole *[]string `help:"GROUP=ROLE: members of the group have the role; may be given several times." name:"group-role" sep:"none"`
	Role      *[]string `help:"Role of everybody; may be given several times."`
	Domain    *[]string `help:"Domain of whose people alone are let in; may be given several times."`
	Create    *bool     `help:"Make an account at the first sign-in." name:"create-accounts" negatable:""`
	Link      *bool     `help:"Take over accounts of the same login." name:"link-accounts" negatable:""`
	Factor    *bool     `help:"Ask for this server's second factor as well." name:"second-factor" negatable:""`
	Disabled  *bool     `help:"Let nobody in by it." negatable:""`
}

// secretEnv holds the client secret.
const secretEnv = "VEDETTE_SSO_SECRET"

// body is a provider as the API takes it: p with what the flags say.
func (f *ssoFlags) body(p client.IdentityProvider) (map[string]any, error) {
	give(&p.Issuer, f.Issuer)
	give(&p.ClientID, f.ClientID)
	give(&p.LoginClaim, f.UserClaim)
	give(&p.GroupsClaim, f.Groups)
	give(&p.Create, f.Create)
	give(&p.Link, f.Link)
	give(&p.Factor, f.Factor)
	give(&p.Disabled, f.Disabled)
	for to, from := range map[*[]string]*[]string{&p.Scopes: f.Scope, &p.Roles: f.Role, &p.Domains: f.Domain} {
		if from != nil {
			*to = filled(*from)
		}
	}
	if f.GroupRole != nil {
		p.Mappings = []client.GroupRole{}
		for _, pair := range filled(*f.GroupRole) {
			i := strings.LastIndex(pair, "=")
			if i <= 0 || i == len(pair)-1 {
				return nil, fmt.Errorf("--group-role %q is not GROUP=ROLE", pair)
			}
			p.Mappings = append(p.Mappings, client.GroupRole{Group: pair[:i], Role: pair[i+1:]})
		}
	}
	out := map[string]any{"name": p.Name, "issuer": p.Issuer, "clientId": p.ClientID, "userNameClaim": p.LoginClaim, "groupsClaim": p.GroupsClaim,
		"groupRoles": p.Mappings, "roles": p.Roles, "allowedDomains": p.Domains, "createAccounts": p.Create, "linkAccounts": p.Link, "requireSecondFactor": p.Factor, "disabled": p.Disabled}
	if p.Scopes != nil {
		out["scopes"] = p.Scopes
	}
	if secret, ok := os.LookupEnv(secretEnv); ok {
		out["clientSecret"] = secret
	}
	return out, nil
}

func give[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

type ssoCreate struct {
	Name string `arg:"" help:"Name on the sign-in page. The client secret is taken from VEDETTE_SSO_SECRET."`
	ssoFlags
}

func (c *ssoCreate) Run(s *session) error {
	b, err := c.body(client.IdentityProvider{Name: c.Name, Create: true})
	if err != nil {
		return err
	}
	return send(s, http.MethodPost, ssoPath, b, showProvider)
}

type ssoUpdate struct {
	ID   string  `arg:"" help:"Id of the identity provider. A new client secret is taken from VEDETTE_SSO_SECRET."`
	Name *string `help:"Name on the sign-in page."`
	ssoFlags
}

func (c *ssoUpdate) Run(s *session) error {
	api, err := s.client()
	if err != nil {
		return err
	}
	path := ssoPath + "/" + url.PathEscape(c.ID)
	var p client.IdentityProvider
	if err := api.Do(s.ctx, http.MethodGet, path, nil, &p); err != nil {
		return err
	}
	give(&p.Name, c.Name)
	b, err := c.body(p)
	if err != nil {
		return err
	}
	return send(s, http.MethodPut, path, b, showProvider)
}

type ssoTest struct {
	ID string `arg:"" help:"Id of the identity provider."`
}

func (c *ssoTest) Run(s *session) error {
	api, err := s.client()
	if err != nil {
		return err
	}
	var out struct{ Value []client.IdentityCheck }
	if err := api.Do(s.ctx, http.MethodPost, ssoPath+"/"+url.PathEscape(c.ID)+"/test", nil, &out); err != nil {
		return err
	}
	cells := make([][]string, len(out.Value))
	for i, k := range out.Value {
		cells[i] = []string{k.Name, k.Result, k.Detail}
	}
	if err := s.out.rows(out.Value, []string{"CHECK", "RESULT", "DETAIL"}, cells); err != nil {
		return err
	}
	if slices.ContainsFunc(out.Value, func(k client.IdentityCheck) bool { return k.Result == "Failed" }) {
		return errors.New("people cannot sign in by this provider as it is")
	}
	return nil
}

type ssoDelete struct {
	ID string `arg:"" help:"Id of the identity provider."`
}

func (c *ssoDelete) Run(s *session) error {
	return s.do(http.MethodDelete, ssoPath+"/"+url.PathEscape(c.ID), nil)
}

// signInPolicy is of whom a second factor is required.
type signInPolicy struct {
	Required string   `json:"secondFactor"`
	Roles    []string `json:"roles"`
}

type ssoPolicy struct {
	Required string   `arg:"" optional:"" help:"Of whom a second factor is required: None, All, or Roles with --role. Without it the policy is shown."`
	Role     []string `help:"Role whose holders need a second factor; may be given several times."`
}

func (c *ssoPolicy) Run(s *session) error {
	show := func(p signInPolicy) [][2]string {
		return [][2]string{{"Second factor required of", p.Required}, {"Roles", strings.Join(p.Roles, ", ")}}
	}
	if c.Required == "" {
		return send(s, http.MethodGet, policyPath, nil, show)
	}
	return send(s, http.MethodPut, policyPath, map[string]any{"secondFactor": c.Required, "roles": filled(c.Role)}, show)
}
