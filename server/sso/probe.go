package sso

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// Verdict is how a check of a provider ended.
type Verdict string

// The verdicts.
const (
	Passed  Verdict = "Passed"
	Warning Verdict = "Warning"
	Failed  Verdict = "Failed"
)

// Check is one thing that was looked at when a provider was tested.
type Check struct {
	Name    string
	Verdict Verdict
	Detail  string // for people
}

// Test asks a provider everything that can be asked without a person, and says what is
// wrong. It stops where nothing more can be asked. redirect is this server's address there.
func (s *Service) Test(ctx context.Context, tenant ident.TenantID, id ident.ProviderID, redirect string) ([]Check, error) {
	p, err := s.store.Provider(ctx, tenant, id)
	if err != nil {
		return nil, errs.Wrap("sso.Test", err)
	}
	var out []Check
	say := func(name string, v Verdict, detail string) { out = append(out, Check{name, v, detail}) }
	k, err := s.ask(ctx, p)
	if err != nil {
		var e *errs.E
		detail := err.Error()
		if errors.As(err, &e) {
			detail = e.Detail
		}
		say("Configuration", Failed, detail)
		return out, nil
	}
	say("Configuration", Passed, "read from "+p.Issuer+"/.well-known/openid-configuration")
	m := k.metadata
	s.testKeys(ctx, m.Keys, say)
	switch known := slices.DeleteFunc(slices.Clone(m.Algorithms), func(a string) bool { return !slices.Contains(signatures, a) }); {
	case len(m.Algorithms) == 0:
		say("Signatures", Passed, "not announced: RS256 is expected")
	case len(known) == 0:
		say("Signatures", Failed, "identity tokens are signed with none of "+list(signatures)+", but with "+clip(list(m.Algorithms)))
	default:
		say("Signatures", Passed, list(known))
	}
	if len(m.Responses) > 0 && !slices.Contains(m.Responses, "code") {
		say("Code flow", Failed, "it does not offer the response type code, but "+clip(list(m.Responses)))
	} else {
		say("Code flow", Passed, m.Authorization)
	}
	switch {
	case slices.Contains(m.Challenges, "S256"):
		say("PKCE", Passed, "S256")
	case p.Secret == "":
		say("PKCE", Failed, "it does not announce S256, without which a client that has no secret proves nothing")
	default:
		say("PKCE", Warning, "it does not announce S256; it is sent all the same")
	}
	s.testClient(ctx, p, k, redirect, say)
	if m.EndSession == "" {
		say("Sign-out", Warning, "it announces no end_session_endpoint: who signs out here stays signed in there")
	} else {
		say("Sign-out", Passed, m.EndSession)
	}
	return out, nil
}

// signatures are the algorithms by which identity tokens are accepted: all are asymmetric,
// and none is not among them.
var signatures = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA}

func list(all []string) string { return strings.Join(all, ", ") }

// testKeys looks at the keys that tokens are to be verified with.
func (s *Service) testKeys(ctx context.Context, at string, say func(string, Verdict, string)) {
	const name = "Keys"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		say(name, Failed, why(err))
		return
	}
	res, err := s.client.Do(req)
	if err != nil {
		say(name, Failed, at+": "+why(err))
		return
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	var set struct {
		Keys []struct {
			Use string `json:"use"`
			Kty string `json:"kty"`
		}
	}
	switch {
	case err != nil:
		say(name, Failed, at+": "+why(err))
	case res.StatusCode != http.StatusOK:
		say(name, Failed, at+" answers "+res.Status)
	case json.Unmarshal(body, &set) != nil || len(set.Keys) == 0:
		say(name, Failed, at+" holds no keys")
	default:
		say(name, Passed, at)
	}
}

// testClient asks for a token with a code that nobody gave: a provider that knows the
// client refuses the code, one that does not refuses the client. Some look at the code
// first, so that what only the client may ask is asked as well.
func (s *Service) testClient(ctx context.Context, p *Provider, k *known, redirect string, say func(string, Verdict, string)) {
	const name = "Client"
	c, err := s.oauth(p, k, redirect)
	if err != nil {
		say(name, Failed, "the client secret cannot be unsealed: set it again")
		return
	}
	_, err = c.Exchange(oidc.ClientContext(ctx, s.client), "vedette-test-of-the-client", oauth2.VerifierOption(oauth2.GenerateVerifier()))
	var said *oauth2.RetrieveError
	switch {
	case err == nil:
		say(name, Failed, "the token endpoint gave a token for a code that nobody issued")
	case !errors.As(err, &said):
		say(name, Failed, "the token endpoint cannot be asked: "+why(err))
	case said.ErrorCode == "invalid_grant":
		switch status := s.askAs(ctx, c, k.metadata); {
		case status == http.StatusOK:
			say(name, Passed, "it knows the client id and takes its secret")
		case status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusBadRequest:
			say(name, Failed, "it does not take the client id and secret")
		default:
			say(name, Warning, "it refuses a wrong code, as it should; whether it takes the secret shows at the first sign-in")
		}
	case said.ErrorCode == "invalid_client" || said.ErrorCode == "unauthorized_client":
		say(name, Failed, "it does not take the client id and secret: "+clip(said.ErrorCode+" "+said.ErrorDescription))
	case said.ErrorCode == "":
		say(name, Warning, "the token endpoint answers "+said.Response.Status+", from which nothing can be told")
	default:
		say(name, Warning, "the token endpoint says: "+clip(said.ErrorCode+" "+said.ErrorDescription))
	}
}

// askAs asks about a token that nobody issued, which needs the client's credentials and
// nothing else. It returns the status of the answer, 0 for none.
func (s *Service) askAs(ctx context.Context, c *oauth2.Config, m metadata) int {
	at := m.Introspection
	if at == "" {
		at = m.Revocation
	}
	if c.ClientSecret == "" || checkAddress("endpoint", at) != nil {
		return 0
	}
	form := url.Values{"token": {"vedette-test-of-the-client"}}
	if c.Endpoint.AuthStyle == oauth2.AuthStyleInParams {
		form.Set("client_id", c.ClientID)
		form.Set("client_secret", c.ClientSecret)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at, strings.NewReader(form.Encode()))
	if err != nil {
		return 0
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if c.Endpoint.AuthStyle == oauth2.AuthStyleInHeader {
		req.SetBasicAuth(url.QueryEscape(c.ClientID), url.QueryEscape(c.ClientSecret))
	}
	res, err := s.client.Do(req)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	return res.StatusCode
}
