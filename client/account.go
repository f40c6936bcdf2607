package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"
)

// Credentials are what a person signs in with.
type Credentials struct {
	Tenant   string // needed where there are several and the login does not tell
	Login    string
	Password string
	// Code returns a code of the second factor, or a recovery code; nil for who has none.
	// It is called when one is asked for.
	Code func() (string, error)
}

// Person is somebody who signed in to the portal. What is about one's own account takes
// their session, and no token of an application. It is not safe for concurrent use.
type Person struct {
	base  string
	http  *http.Client
	proof string
}

// ErrEnrol says that a second factor is required of somebody who has none: the portal has
// them set one up when they sign in there.
var ErrEnrol = errors.New("a second factor is required of you: sign in to the portal, which sets it up")

// ErrCode says that a code of the second factor is asked for and there is nobody to give it.
var ErrCode = errors.New("a code of the second factor is asked for")

// opened is what signing in answers, as far as it is read.
type opened struct {
	SignedIn bool   `json:"signedIn"`
	Step     string `json:"step"`
	Proof    string `json:"proof"`
}

// SignIn signs a person in. The caller signs them out when all is done.
func (c *Client) SignIn(ctx context.Context, who Credentials) (*Person, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	own := *c.http
	own.Jar = jar
	p := &Person{base: c.profile.APIURL, http: &own}
	var o opened
	body := map[string]string{"login": who.Login, "password": who.Password}
	if who.Tenant != "" {
		body["tenant"] = who.Tenant
	}
	if err := p.Do(ctx, http.MethodPost, "/portal/session", body, &o); err != nil {
		return nil, err
	}
	switch {
	case o.Step == "enrol":
		return nil, ErrEnrol
	case o.Step == "code" && who.Code == nil:
		return nil, ErrCode
	case o.Step == "code":
		code, err := who.Code()
		if err != nil {
			return nil, err
		}
		if err := p.Do(ctx, http.MethodPost, "/portal/session/code", map[string]string{"code": code}, &o); err != nil {
			return nil, err
		}
	}
	p.proof = o.Proof
	return p, nil
}

// Do sends one request to a path below /portal/, as Client.Do does for others, but does not
// try again.
func (p *Person) Do(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, p.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "vedette")
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if p.proof != "" {
		req.Header.Set("Vedette-Proof", p.proof)
	}
	resp, err := p.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 400 {
		return apiError(resp)
	}
	if out == nil || resp.StatusCode == http.StatusNoContent {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

// SignOut ends the session.
func (p *Person) SignOut(ctx context.Context) error {
	return p.Do(ctx, http.MethodDelete, "/portal/session", nil, nil)
}

// Account is somebody's own account.
type Account struct {
	Login     string     `json:"login"`
	Name      string     `json:"name"`
	Mail      string     `json:"mail"`
	RoleNames []string   `json:"roleNames"`
	Password  bool       `json:"passwordSignIn"`
	Provider  string     `json:"identityProvider"`
	Changed   *time.Time `json:"passwordChangedDateTimeUtc"`
	Factor    struct {
		On       bool       `json:"enabled"`
		Since    *time.Time `json:"enabledDateTimeUtc"`
		Recovery int        `json:"recoveryCodes"`
		Required bool       `json:"required"`
	} `json:"secondFactor"`
}

// Account returns the person's own account.
func (p *Person) Account(ctx context.Context) (*Account, error) {
	var a Account
	return &a, p.Do(ctx, http.MethodGet, "/portal/account", nil, &a)
}

// Rename changes what the person is called.
func (p *Person) Rename(ctx context.Context, name string) (*Account, error) {
	var a Account
	return &a, p.Do(ctx, http.MethodPatch, "/portal/account", map[string]string{"displayName": name}, &a)
}

// ChangePassword changes the person's own password. Their other sessions and tokens end.
func (p *Person) ChangePassword(ctx context.Context, old, next string) error {
	var o opened
	if err := p.Do(ctx, http.MethodPost, "/portal/account/password", map[string]string{"old": old, "new": next}, &o); err != nil {
		return err
	}
	p.proof = o.Proof // the session is another one
	return nil
}

// PortalSession is a session of somebody in the portal.
type PortalSession struct {
	ID       string     `json:"id"`
	Current  bool       `json:"current"`
	From     string     `json:"from"`
	Browser  string     `json:"browser"`
	Created  *time.Time `json:"createdDateTimeUtc"`
	Seen     *time.Time `json:"lastSeenDateTimeUtc"`
	Expires  *time.Time `json:"expirationDateTimeUtc"`
	Provider string     `json:"identityProvider"`
}

// Sessions lists the person's own sessions, the one that was used last first.
func (p *Person) Sessions(ctx context.Context) ([]PortalSession, error) {
	var out struct{ Value []PortalSession }
	err := p.Do(ctx, http.MethodGet, "/portal/account/sessions", nil, &out)
	return out.Value, err
}

// EndSessions ends one of the person's own sessions, or with "" all but this one.
func (p *Person) EndSessions(ctx context.Context, id string) error {
	path := "/portal/account/sessions"
	if id != "" {
		path += "/" + url.PathEscape(id)
	}
	return p.Do(ctx, http.MethodDelete, path, nil, nil)
}

// Enrolment is a second factor that waits to be confirmed.
type Enrolment struct {
	Secret  string `json:"secret"`  // base32
	Address string `json:"address"` // otpauth://…
}

// Proof is what somebody shows who changes how they sign in.
type Proof struct {
	Password string `json:"password,omitempty"`
	Code     string `json:"code,omitempty"` // of the second factor that is on
}

// BeginFactor makes a second factor, which counts when ConfirmFactor was given a code of it.
func (p *Person) BeginFactor(ctx context.Context, by Proof) (*Enrolment, error) {
	var e Enrolment
	return &e, p.Do(ctx, http.MethodPost, "/portal/account/factor", by, &e)
}

// ConfirmFactor turns on what BeginFactor made and returns the recovery codes.
func (p *Person) ConfirmFactor(ctx context.Context, code string) ([]string, error) {
	return p.recovery(ctx, "confirm", map[string]string{"code": strings.TrimSpace(code)})
}

// NewRecoveryCodes replaces the recovery codes.
func (p *Person) NewRecoveryCodes(ctx context.Context, by Proof) ([]string, error) {
	return p.recovery(ctx, "recovery", by)
}

func (p *Person) recovery(ctx context.Context, verb string, in any) ([]string, error) {
	var out struct {
		Codes []string `json:"recoveryCodes"`
	}
	err := p.Do(ctx, http.MethodPost, "/portal/account/factor/"+verb, in, &out)
	return out.Codes, err
}

// RemoveFactor turns the second factor off.
func (p *Person) RemoveFactor(ctx context.Context, by Proof) error {
	return p.Do(ctx, http.MethodPost, "/portal/account/factor/remove", by, nil)
}

// IdentityProvider is an identity provider by which people sign in.
type IdentityProvider struct {
	ID          string      `json:"id,omitempty"`
	Name        string      `json:"name"`
	Issuer      string      `json:"issuer"`
	ClientID    string      `json:"clientId"`
	HasSecret   bool        `json:"hasClientSecret"`
	Scopes      []string    `json:"scopes"`
	LoginClaim  string      `json:"userNameClaim"`
	GroupsClaim string      `json:"groupsClaim"`
	Mappings    []GroupRole `json:"groupRoles"`
	Roles       []string    `json:"roles"`
	Domains     []string    `json:"allowedDomains"`
	Create      bool        `json:"createAccounts"`
	Link        bool        `json:"linkAccounts"`
	Factor      bool        `json:"requireSecondFactor"`
	Disabled    bool        `json:"disabled"`
	Redirect    string      `json:"redirectUri"`
}

// GroupRole gives a role to the members of a provider's group.
type GroupRole struct {
	Group string `json:"group"`
	Role  string `json:"role"`
}

// IdentityCheck is one thing that a test of an identity provider looked at.
type IdentityCheck struct {
	Name   string `json:"check"`
	Result string `json:"result"` // Passed, Warning or Failed
	Detail string `json:"detail"`
}
