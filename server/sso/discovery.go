package sso

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/outbound"
)

// ProviderFailed says that a provider does not answer as it should.
const ProviderFailed errs.Code = "ProviderFailed"

// freshFor is how long a provider's configuration is believed without asking again. Its
// keys are asked for whenever a token names one that is not known.
const freshFor = 10 * time.Minute

// known is what a provider says of itself.
type known struct {
	provider *oidc.Provider
	metadata metadata
	changed  time.Time // Provider.Changed, of what was asked for
	asked    time.Time
}

// metadata is what is read of the configuration beside what the library reads (OpenID
// Connect Discovery §3, RP-Initiated Logout §2.1, RFC 8414, RFC 9207).
type metadata struct {
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	Keys          string   `json:"jwks_uri"`
	UserInfo      string   `json:"userinfo_endpoint"`
	EndSession    string   `json:"end_session_endpoint"`
	Introspection string   `json:"introspection_endpoint"` // RFC 7662
	Revocation    string   `json:"revocation_endpoint"`    // RFC 7009
	Auth          []string `json:"token_endpoint_auth_methods_supported"`
	Challenges    []string `json:"code_challenge_methods_supported"`
	Algorithms    []string `json:"id_token_signing_alg_values_supported"`
	Responses     []string `json:"response_types_supported"`
	NamesIssuer   bool     `json:"authorization_response_iss_parameter_supported"`
}

// discover returns what the provider says of itself, from memory while it is fresh.
func (s *Service) discover(ctx context.Context, p *Provider) (*known, error) {
	s.mu.Lock()
	k := s.known[p.ID]
	s.mu.Unlock()
	if k != nil && k.changed.Equal(p.Changed) && s.now().Sub(k.asked) < freshFor {
		return k, nil
	}
	k, err := s.ask(ctx, p)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.known[p.ID] = k
	s.mu.Unlock()
	return k, nil
}

// ask reads the provider's configuration.
func (s *Service) ask(ctx context.Context, p *Provider) (*known, error) {
	const op = "sso.discover"
	fail := func(why string, err error) error {
		return &errs.E{Op: op, Kind: errs.Unavailable, Code: ProviderFailed, Detail: p.Name + ": " + why, Err: err}
	}
	// Fetching keys goes on after the request that asked first: the context is of the client alone.
	found, err := oidc.NewProvider(oidc.ClientContext(ctx, s.client), p.Issuer)
	var other *oidc.IssuerMismatchError
	switch {
	case errors.As(err, &other):
		return nil, fail("it calls itself "+clip(other.Discovered)+", and not "+p.Issuer+" as configured", err)
	case err != nil:
		return nil, fail("its configuration cannot be read: "+why(err), err)
	}
	k := &known{provider: found, changed: p.Changed, asked: s.now()}
	if err := found.Claims(&k.metadata); err != nil {
		return nil, fail("its configuration cannot be read: "+why(err), err)
	}
	m := k.metadata
	for name, at := range map[string]string{"authorization_endpoint": m.Authorization, "token_endpoint": m.Token, "jwks_uri": m.Keys} {
		if err := checkAddress(name, at); err != nil {
			return nil, fail("its configuration has no https address as "+name, err)
		}
	}
	for name, at := range map[string]string{"userinfo_endpoint": m.UserInfo, "end_session_endpoint": m.EndSession} {
		if err := checkAddress(name, at); at != "" && err != nil {
			return nil, fail("its "+name+" is no https address", err)
		}
	}
	return k, nil
}

// oauth is how tokens are asked for.
func (s *Service) oauth(p *Provider, k *known, redirect string) (*oauth2.Config, error) {
	c := &oauth2.Config{ClientID: p.ClientID, Endpoint: k.provider.Endpoint(), RedirectURL: redirect, Scopes: append([]string{oidc.ScopeOpenID}, p.Scopes...)}
	c.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	if p.Secret == "" {
		return c, nil
	}
	secret, err := s.sealer.Unseal(secretPurpose(p.Tenant, p.ID), p.Secret)
	c.ClientSecret = string(secret)
	// Without a word of the provider it is HTTP Basic (OpenID Connect Discovery §3).
	if len(k.metadata.Auth) == 0 || slices.Contains(k.metadata.Auth, "client_secret_basic") {
		c.Endpoint.AuthStyle = oauth2.AuthStyleInHeader
	}
	return c, err
}

// why words an error of a call for an administrator.
func why(err error) string {
	var refused *errs.E
	var call *url.Error
	switch {
	case errors.Is(err, outbound.ErrTooLarge) || strings.Contains(err.Error(), outbound.ErrTooLarge.Error()):
		return outbound.ErrTooLarge.Error()
	case errors.As(err, &refused):
		return refused.Detail + " (see sso-network)"
	case errors.As(err, &call):
		if call.Timeout() {
			return "it does not answer in time"
		}
		return clip(call.Err.Error())
	}
	return clip(err.Error())
}

// clip bounds what somebody else wrote.
func clip(s string) string {
	const most = 300
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}
