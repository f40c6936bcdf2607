package sso

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// The reasons for which somebody who comes back from a provider is not let in, beside those
// of access.Vouch.
const (
	ProviderRefused errs.Code = "ProviderRefused" // the provider itself says no
	TokenRefused    errs.Code = "TokenRefused"    // what it says cannot be believed
	DomainRefused   errs.Code = "DomainRefused"   // people of that domain are not let in
)

// FlowLife is how long somebody may take at the provider.
const FlowLife = 10 * time.Minute

// Bounds of what comes back, in bytes.
const (
	maxFlow  = 4000
	maxCode  = 4096
	maxToken = 64 << 10
	keptHint = 8 << 10 // of an identity token that is kept to sign out with
)

// clockSkew is how far a provider's clock may be ahead.
const clockSkew = 5 * time.Minute

const (
	flowPurpose = "single-sign-on"
	hintPurpose = "single-sign-on-token"
)

// flow is what the browser holds, sealed, between leaving for the provider and coming back.
type flow struct {
	Tenant   ident.TenantID
	Provider ident.ProviderID
	State    string
	Nonce    string
	Verifier string // of PKCE (RFC 7636)
	Redirect string
	To       string
	Begun    time.Time
}

// Departure is where a browser is sent, with what it has to bring back.
type Departure struct {
	Address string // of the provider
	Flow    string // sealed: for a cookie that this browser alone has
}

// Begin sends a browser to a provider. redirect is where it is to come back to, to what is
// remembered for Finish.
func (s *Service) Begin(ctx context.Context, tenant ident.TenantID, id ident.ProviderID, redirect, to string) (*Departure, error) {
	const op = "sso.Begin"
	p, err := s.store.Provider(ctx, tenant, id)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	if p.Disabled {
		return nil, errs.New(op, errs.NotFound, errs.ResourceNotFound, "this identity provider is disabled")
	}
	k, err := s.discover(ctx, p)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	c, err := s.oauth(p, k, redirect)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	f := flow{Tenant: tenant, Provider: id, Redirect: redirect, To: to, Begun: s.now().UTC()}
	for _, v := range []*string{&f.State, &f.Nonce, &f.Verifier} {
		raw := make([]byte, 32)
		if _, err := io.ReadFull(s.rand, raw); err != nil {
			return nil, errs.Wrap(op, err)
		}
		*v = base64.RawURLEncoding.EncodeToString(raw)
	}
	b, err := json.Marshal(f)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	sealed, err := s.sealer.Seal(flowPurpose, b)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	if len(sealed) > maxFlow {
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "the address to go back to is too long")
	}
	return &Departure{Address: c.AuthCodeURL(f.State, oidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier)), Flow: sealed}, nil
}

// Answer is what a browser brings back from a provider, in the address.
type Answer struct {
	State, Code, Issuer string
	Error, Description  string
}

// Arrival is somebody who came back and was believed.
type Arrival struct {
	*access.Admission
	Provider *Provider
	To       string
	Made     bool // the account was made or found at this sign-in
}

// Finish takes in who comes back. sealed is the Flow of Begin as this browser had it: what
// another browser brings, what comes twice too late, and what the provider did not sign for
// this very sign-in is errs.Unauthenticated; whom the provider, or the administrator, does
// not let in is errs.Denied. Where the sign-in was begun is in the Arrival even of an error,
// as far as it is known.
func (s *Service) Finish(ctx context.Context, sealed string, a Answer) (*Arrival, error) {
	const op = "sso.Finish"
	out := &Arrival{}
	f, err := s.unseal(sealed)
	if err != nil || subtle.ConstantTimeCompare([]byte(f.State), []byte(a.State)) != 1 {
		return out, &errs.E{Op: op, Kind: errs.Unauthenticated, Code: access.SignInStale, Detail: "this sign-in was not begun in this browser, or too long ago: sign in again", Err: err}
	}
	out.To = f.To
	p, err := s.store.Provider(ctx, f.Tenant, f.Provider)
	if err == nil && p.Disabled {
		err = errs.New(op, errs.Denied, ProviderRefused, "this identity provider is disabled")
	}
	if err != nil {
		return out, errs.Wrap(op, err)
	}
	out.Provider = p
	if a.Error != "" {
		return out, errs.New(op, errs.Denied, ProviderRefused, "%s says: %s", p.Name, clip(strings.TrimSpace(a.Error+" "+a.Description)))
	}
	k, err := s.discover(ctx, p)
	if err != nil {
		return out, errs.Wrap(op, err)
	}
	// An answer that another provider gave (mix-up, RFC 9207).
	if a.Issuer != "" && a.Issuer != p.Issuer || a.Issuer == "" && k.metadata.NamesIssuer {
		return out, errs.New(op, errs.Unauthenticated, TokenRefused, "the answer is not of %s", p.Name)
	}
	if a.Code == "" || len(a.Code) > maxCode {
		return out, errs.New(op, errs.Unauthenticated, TokenRefused, "%s sent no code, or one that is too long", p.Name)
	}
	who, token, err := s.redeem(ctx, p, k, f, a.Code)
	if err != nil {
		return out, errs.Wrap(op, err)
	}
	person, made, err := s.accounts.Vouch(ctx, p.Tenant, *who)
	if err != nil {
		return out, errs.Wrap(op, err)
	}
	out.Made = made
	if out.Admission, err = s.accounts.Admit(ctx, person, p.ID, p.Factor); err != nil {
		return out, errs.Wrap(op, err)
	}
	if len(token) <= keptHint {
		out.Token, err = s.sealer.Seal(hintPurpose, []byte(token))
	}
	return out, errs.Wrap(op, err)
}

func (s *Service) unseal(sealed string) (*flow, error) {
	if sealed == "" || len(sealed) > maxFlow {
		return nil, errors.New("the browser brought nothing")
	}
	b, err := s.sealer.Unseal(flowPurpose, sealed)
	if err != nil {
		return nil, err
	}
	var f flow
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, err
	}
	if age := s.now().Sub(f.Begun); age >= FlowLife || age < 0 || f.State == "" {
		return nil, errors.New("it is too old")
	}
	return &f, nil
}

// redeem exchanges the code and reads who it stands for.
func (s *Service) redeem(ctx context.Context, p *Provider, k *known, f *flow, code string) (*access.Vouched, string, error) {
	const op = "sso.redeem"
	refuse := func(why string, err error) error {
		return &errs.E{Op: op, Kind: errs.Unauthenticated, Code: TokenRefused, Detail: p.Name + ": " + why, Err: err}
	}
	c, err := s.oauth(p, k, f.Redirect)
	if err != nil {
		return nil, "", err
	}
	ctx = oidc.ClientContext(ctx, s.client)
	t, err := c.Exchange(ctx, code, oauth2.VerifierOption(f.Verifier))
	var said *oauth2.RetrieveError
	switch {
	case errors.As(err, &said) && said.ErrorCode != "":
		return nil, "", refuse("it does not take the code: "+clip(strings.TrimSpace(said.ErrorCode+" "+said.ErrorDescription)), err)
	case err != nil:
		return nil, "", &errs.E{Op: op, Kind: errs.Unavailable, Code: ProviderFailed, Detail: p.Name + ": the token cannot be had: " + why(err), Err: err}
	}
	raw, _ := t.Extra("id_token").(string)
	if raw == "" || len(raw) > maxToken {
		return nil, "", refuse("its answer holds no identity token, or one that is too long", nil)
	}
	id, err := k.provider.Verifier(&oidc.Config{ClientID: p.ClientID, Now: s.now}).Verify(ctx, raw)
	if err != nil {
		return nil, "", refuse("its identity token is not accepted: "+clip(err.Error()), err)
	}
	var all claims
	if err := id.Claims(&all); err != nil {
		return nil, "", refuse("its identity token cannot be read", err)
	}
	switch {
	case subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(f.Nonce)) != 1:
		return nil, "", refuse("its identity token is of another sign-in (nonce)", nil)
	case id.IssuedAt.After(s.now().Add(clockSkew)):
		return nil, "", refuse("its identity token is of the future: one of the clocks is wrong", nil)
	case len(id.Audience) > 1 && all.text("azp") != p.ClientID, all.text("azp") != "" && all.text("azp") != p.ClientID:
		return nil, "", refuse("its identity token was made for somebody else (azp)", nil)
	}
	if id.AccessTokenHash != "" {
		if err := id.VerifyAccessToken(t.AccessToken); err != nil {
			return nil, "", refuse("its access token does not belong to its identity token", err)
		}
	}
	if k.metadata.UserInfo != "" && (all.text(p.LoginClaim) == "" || len(p.Mappings) > 0 && all.list(p.GroupsClaim) == nil) {
		if err := s.more(ctx, k, t, id.Subject, all); err != nil {
			return nil, "", refuse("what it knows of the person cannot be read: "+why(err), err)
		}
	}
	who, err := p.person(id.Subject, all)
	return who, raw, err
}

// more adds what the provider tells beside the token (OpenID Connect Core §5.3).
func (s *Service) more(ctx context.Context, k *known, t *oauth2.Token, subject string, into claims) error {
	info, err := k.provider.UserInfo(ctx, oauth2.StaticTokenSource(t))
	if err != nil {
		return err
	}
	if info.Subject != subject {
		return errors.New("it is about somebody else (sub)")
	}
	var also claims
	if err := info.Claims(&also); err != nil {
		return err
	}
	for name, v := range also {
		if _, ok := into[name]; !ok {
			into[name] = v
		}
	}
	return nil
}

// person reads who the claims are about.
func (p *Provider) person(subject string, all claims) (*access.Vouched, error) {
	const op = "sso.person"
	login, mail := all.text(p.LoginClaim), all.text("email")
	if login == "" {
		return nil, errs.New(op, errs.Denied, TokenRefused, "%s does not say who it is: there is no claim %s", p.Name, p.LoginClaim)
	}
	// A mail address that the provider did not check may be anybody's.
	unproven := all.is("email_verified", false)
	if unproven && strings.EqualFold(login, mail) {
		return nil, errs.New(op, errs.Denied, TokenRefused, "%s did not verify the address %s", p.Name, clip(mail))
	}
	if len(p.Domains) > 0 {
		of := login
		if !strings.Contains(of, "@") && !unproven {
			of = mail
		}
		at := strings.LastIndexByte(of, '@')
		if at < 0 || !slices.Contains(p.Domains, strings.ToLower(of[at+1:])) {
			return nil, errs.New(op, errs.Denied, DomainRefused, "people of this domain are not let in: %s", clip(of))
		}
	}
	groups := all.list(p.GroupsClaim)
	if len(p.Mappings) > 0 && groups == nil && all.elsewhere(p.GroupsClaim) {
		return nil, errs.New(op, errs.Denied, TokenRefused, "%s does not name the groups of %s: there are too many for a token. Have it send those alone that are assigned to this application", p.Name, clip(login))
	}
	v := &access.Vouched{Provider: p.ID, Subject: subject, Login: login, Name: all.text("name"), Roles: p.rolesOf(groups), Manages: len(p.Mappings) > 0, Create: p.Create, Link: p.Link}
	if !unproven {
		v.Mail = mail
	}
	return v, nil
}

// EndAddress is where a browser is sent so that the provider ends its session as well
// (OpenID Connect RP-Initiated Logout §2), and comes back to; "" where there is no need.
func (s *Service) EndAddress(ctx context.Context, session *access.Session, back string) string {
	if session == nil || session.Provider == "" {
		return ""
	}
	p, err := s.store.Provider(ctx, session.Tenant, session.Provider)
	if err != nil {
		return ""
	}
	k, err := s.discover(ctx, p)
	if err != nil || k.metadata.EndSession == "" {
		return ""
	}
	u, err := url.Parse(k.metadata.EndSession)
	if err != nil {
		return ""
	}
	q := u.Query()
	q.Set("client_id", p.ClientID)
	q.Set("post_logout_redirect_uri", back)
	if hint, err := s.sealer.Unseal(hintPurpose, session.Token); session.Token != "" && err == nil {
		q.Set("id_token_hint", string(hint))
	}
	u.RawQuery = q.Encode()
	return u.String()
}
