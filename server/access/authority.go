package access

import (
	"cmp"
	"context"
	"crypto/rand"
	"io"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// TokenLife is how long an access token is good for.
const TokenLife = 3599 * time.Second

// maxToken bounds the text of a token that is looked at.
const maxToken = 16 * 1024

// algorithm is the only one that tokens are signed and accepted with.
const algorithm = jose.RS256

// AuthorityConfig is what an Authority needs.
type AuthorityConfig struct {
	Keys         KeyStore
	Applications ApplicationStore
	People       PersonStore
	Roles        RoleStore        // nil for none but the built-in ones
	Groups       UserGroupStore   // nil for none
	Scoper       Scoper           // nil for NoGroups
	Vouches      Vouches          // nil for no identity providers
	URLs         []string         // where the server is reached; the first one names it in tokens
	Clock        func() time.Time // nil for time.Now
	Rand         io.Reader        // nil for crypto/rand
}

// Authority issues access tokens and verifies them. Tokens are JWTs in the shape of Entra
// ID's: roles for applications, scp for people.
type Authority struct {
	ring      *keyring
	apps      ApplicationStore
	people    PersonStore
	roles     RoleStore
	groups    UserGroupStore
	scoper    Scoper
	vouches   Vouches
	url       string
	audiences audiences
	now       func() time.Time
	rand      io.Reader
}

// OpenAuthority loads the signing keys, making the first one when there is none.
func OpenAuthority(ctx context.Context, c AuthorityConfig) (*Authority, error) {
	a := &Authority{apps: c.Applications, people: c.People, roles: c.Roles, groups: c.Groups, scoper: c.Scoper, vouches: c.Vouches,
		audiences: newAudiences(c.URLs), now: c.Clock, rand: c.Rand}
	if a.roles == nil {
		a.roles = noRoles{}
	}
	if a.groups == nil {
		a.groups = noRoles{}
	}
	if a.scoper == nil {
		a.scoper = NoGroups{}
	}
	if a.now == nil {
		a.now = time.Now
	}
	if a.rand == nil {
		a.rand = rand.Reader
	}
	if len(c.URLs) > 0 {
		a.url = TrimResource(c.URLs[0])
	}
	a.ring = &keyring{store: c.Keys, now: a.now}
	if err := a.ring.maintain(ctx); err != nil {
		return nil, errs.Wrap("access.OpenAuthority", err)
	}
	return a, nil
}

// URL is the server's own address, without a trailing slash.
func (a *Authority) URL() string { return a.url }

// Accepts reports whether tokens are issued for the resource.
func (a *Authority) Accepts(resource string) bool { return a.audiences.has(resource) }

// Maintain changes the signing key when it is old and forgets those whose tokens have all
// expired. It is called now and then.
func (a *Authority) Maintain(ctx context.Context) error {
	return errs.Wrap("access.Maintain", a.ring.maintain(ctx))
}

// JWKS returns the public keys that tokens verify with.
func (a *Authority) JWKS() jose.JSONWebKeySet { return a.ring.public() }

// Version is the shape of a token: that of the v1 or the v2 endpoint.
type Version string

// The versions of tokens.
const (
	V1 Version = "1.0"
	V2 Version = "2.0"
)

// Issuer is what tokens of that version name as their issuer.
func (a *Authority) Issuer(tenant ident.TenantID, v Version) string {
	iss := a.url + "/" + string(tenant) + "/"
	if v == V2 {
		iss += "v2.0"
	}
	return iss
}

// Grant is what a token is issued for.
type Grant struct {
	Application *Application
	Person      *Person // nil when the application acts for itself
	// Scopes is the delegated permissions that were asked for by name; empty for all that
	// the application may have. Of no meaning without a Person.
	Scopes   []string
	Resource string // one that the Authority Accepts
	Version  Version
	// Proof is how the application proved itself: "0" not at all, "1" by secret, "2" by
	// certificate, the values of the claim appidacr; "" for "1".
	Proof string
}

// Token is an access token with what its answer says about it.
type Token struct {
	Text      string
	NotBefore time.Time
	Expires   time.Time
	Scopes    []string // delegated permissions; nil for an application's own token
}

// claims is the body of a token.
type claims struct {
	jwt.Claims
	Ver        Version  `json:"ver"`
	AppID      string   `json:"appid,omitempty"`
	AppIDACR   string   `json:"appidacr,omitempty"`
	AZP        string   `json:"azp,omitempty"`
	AppName    string   `json:"app_displayname,omitempty"`
	IDType     string   `json:"idtyp"`
	OID        string   `json:"oid"`
	TID        string   `json:"tid"`
	Roles      []string `json:"roles,omitempty"`
	Scopes     string   `json:"scp,omitempty"`
	UPN        string   `json:"upn,omitempty"`
	UniqueName string   `json:"unique_name,omitempty"`
	Name       string   `json:"name,omitempty"`
	UTI        string   `json:"uti"`
}

// Issue signs a token. The caller has checked the credentials; a resource that is not
// accepted is errs.Invalid.
func (a *Authority) Issue(g Grant) (*Token, error) {
	const op = "access.Issue"
	if !a.Accepts(g.Resource) {
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "no tokens are issued for this resource")
	}
	now := a.now().UTC().Truncate(time.Second)
	out := &Token{NotBefore: now, Expires: now.Add(TokenLife)}
	uti, err := uuid.NewRandomFromReader(a.rand)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	c := claims{
		Claims: jwt.Claims{
			Issuer: a.Issuer(g.Application.Tenant, g.Version), Audience: jwt.Audience{TrimResource(g.Resource)},
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(out.Expires),
		},
		Ver: g.Version, AppID: string(g.Application.ID), AppName: g.Application.Name,
		TID: string(g.Application.Tenant), UTI: uti.String(),
	}
	if g.Version == V2 {
		c.AZP = c.AppID
	} else {
		c.AppIDACR = cmp.Or(g.Proof, "1")
	}
	if p := g.Person; p != nil {
		if p.Tenant != g.Application.Tenant {
			return nil, errs.New(op, errs.Denied, errs.Forbidden, "the person and the application are of different tenants")
		}
		out.Scopes = scopes(g.Application, g.Scopes)
		c.IDType, c.OID, c.Scopes = "user", string(p.ID), strings.Join(out.Scopes, " ")
		c.UPN, c.UniqueName, c.Name = p.Login, p.Login, p.Name
	} else {
		c.IDType, c.OID, c.Roles = "app", servicePrincipal(g.Application), g.Application.Roles
	}
	c.Subject = c.OID
	if out.Text, err = a.ring.sign(c); err != nil {
		return nil, errs.Wrap(op, err)
	}
	return out, nil
}

// idClaims is the body of an identity token, which tells a program who signed in.
type idClaims struct {
	jwt.Claims
	Ver      Version `json:"ver"`
	OID      string  `json:"oid"`
	TID      string  `json:"tid"`
	UPN      string  `json:"upn,omitempty"`
	Username string  `json:"preferred_username"`
	Name     string  `json:"name,omitempty"`
	Email    string  `json:"email,omitempty"`
	Nonce    string  `json:"nonce,omitempty"`
}

// IssueID signs an identity token (OpenID Connect Core §2) for g's application.
func (a *Authority) IssueID(g Grant, nonce string) (string, error) {
	const op = "access.IssueID"
	if g.Person == nil {
		return "", errs.New(op, errs.Invalid, errs.InvalidInput, "no person signed in")
	}
	now, p := a.now().UTC().Truncate(time.Second), g.Person
	text, err := a.ring.sign(idClaims{
		Claims: jwt.Claims{
			Issuer: a.Issuer(g.Application.Tenant, g.Version), Subject: string(p.ID), Audience: jwt.Audience{string(g.Application.ID)},
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(TokenLife)),
		},
		Ver: g.Version, OID: string(p.ID), TID: string(p.Tenant), UPN: p.Login, Username: p.Login, Name: p.Name, Email: p.Mail, Nonce: nonce,
	})
	return text, errs.Wrap(op, err)
}

// servicePrincipal is an application's object id: fixed, and not its client id.
func servicePrincipal(a *Application) string {
	tenant, err := uuid.Parse(string(a.Tenant))
	if err != nil {
		tenant = uuid.Nil
	}
	return uuid.NewSHA1(tenant, []byte(a.ID)).String()
}

// Authenticate is Verify for a router that names the audience it serves: the token must be
// for that one or any other that this server answers to, because clients ask for tokens
// under every name that the published API ever had.
func (a *Authority) Authenticate(ctx context.Context, token, audience string) (*Principal, error) {
	if !a.Accepts(audience) {
		return nil, errs.New("access.Authenticate", errs.Internal, "", "the audience %q is none of this server's", audience)
	}
	return a.Verify(ctx, token)
}

// Verify returns who presents the token. A token that is malformed, expired, for another
// audience, of an unknown key, or of an application or person that may no longer sign
// in, is errs.Unauthenticated.
func (a *Authority) Verify(ctx context.Context, text string) (*Principal, error) {
	const op = "access.Verify"
	refuse := func(why string, err error) error {
		return &errs.E{Op: op, Kind: errs.Unauthenticated, Code: errs.Unauthorized, Detail: "the access token is " + why, Err: err}
	}
	if len(text) > maxToken {
		return nil, refuse("malformed", nil)
	}
	t, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{algorithm})
	if err != nil || len(t.Headers) != 1 {
		return nil, refuse("malformed", err)
	}
	key, err := a.ring.find(ctx, t.Headers[0].KeyID)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	if key == nil {
		return nil, refuse("signed by nobody this server knows", nil)
	}
	var c claims
	if err := t.Claims(key, &c); err != nil {
		return nil, refuse("not signed as it should be", err)
	}
	now := a.now()
	tenant := ident.TenantID(c.TID)
	switch {
	case c.Expiry == nil || !now.Before(c.Expiry.Time()):
		return nil, refuse("expired", nil)
	case c.NotBefore == nil || now.Add(time.Minute).Before(c.NotBefore.Time()):
		return nil, refuse("not valid yet", nil)
	case len(c.Audience) != 1 || !a.audiences.has(c.Audience[0]):
		return nil, refuse("for another audience", nil)
	case c.Issuer != a.Issuer(tenant, V1) && c.Issuer != a.Issuer(tenant, V2):
		return nil, refuse("of another issuer", nil)
	}
	app, err := a.apps.Application(ctx, ident.AppID(c.AppID))
	switch {
	case errs.Is(err, errs.NotFound) || err == nil && (app.Tenant != tenant || !app.Disabled.IsZero()):
		return nil, refuse("of an application that may no longer sign in", nil)
	case err != nil:
		return nil, errs.Wrap(op, err)
	}
	if c.IDType == "app" {
		return &Principal{Actor: ident.Actor{Kind: ident.ActorApp, ID: c.AppID, Name: app.Name, Tenant: tenant}, Roles: c.Roles, Scope: Everything}, nil
	}
	p, err := a.people.Person(ctx, tenant, ident.UserID(c.OID))
	switch {
	case errs.Is(err, errs.NotFound) || err == nil && !p.Disabled.IsZero():
		return nil, refuse("of a person who may no longer sign in", nil)
	case err != nil:
		return nil, errs.Wrap(op, err)
	}
	if c.IssuedAt == nil || c.IssuedAt.Time().Before(p.Changed.Truncate(time.Second)) {
		return nil, refuse("from before the person's password was changed", nil)
	}
	return a.delegated(ctx, p, strings.Fields(c.Scopes))
}

// delegated returns the principal that acts for a person, with what the person may do and
// see at this moment: a role that is taken away is gone with the next request.
func (a *Authority) delegated(ctx context.Context, p *Person, scopes []string) (*Principal, error) {
	const op = "access.Verify"
	s, err := standing(ctx, a.roles, a.groups, p)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	scope := Everything
	if !s.Administers() {
		if scope, err = a.scoper.ScopeOf(ctx, p.Tenant, s); err != nil {
			return nil, errs.Wrap(op, err)
		}
	}
	return &Principal{Actor: ident.Actor{Kind: ident.ActorUser, ID: string(p.ID), Name: p.Login, Tenant: p.Tenant},
		Scopes: scopes, Rights: s.Rights, Scope: scope, In: s.Roles}, nil
}
