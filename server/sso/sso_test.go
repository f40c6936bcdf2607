package sso_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/outbound"
	"github.com/vedette-edr/vedette/server/sso"
	"github.com/vedette-edr/vedette/server/store"
)

const (
	redirect = "https://vedette.example/portal/sso/callback"
	clientID = "vedette"
	secret   = "a secret of the client: 4711/+="
)

// provider is the go-oidc project's test provider with a token endpoint, which says what a
// test wants it to say: those that are honest are in the end-to-end tests.
type provider struct {
	*httptest.Server
	keys     *oidctest.Server
	key      *rsa.PrivateKey
	config   map[string]any // changes of the configuration; nil values take a member out
	claims   map[string]any // changes of the identity token
	sign     func(claims string) string
	token    http.HandlerFunc // in place of the token endpoint
	codes    map[string]bool  // that were not redeemed
	userinfo map[string]any
	nonce    string
	asked    url.Values // of the last token request
	user     string
	calls    int
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{key: key, config: map[string]any{}, claims: map[string]any{}, codes: map[string]bool{"good": true},
		keys: &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: "k", Algorithm: "RS256"}}}}
	p.sign = func(claims string) string { return oidctest.SignIDToken(p.key, "k", "RS256", claims) }
	p.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.calls++
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			rec := httptest.NewRecorder()
			p.keys.ServeHTTP(rec, r)
			var doc map[string]any
			_ = json.Unmarshal(rec.Body.Bytes(), &doc)
			doc["code_challenge_methods_supported"] = []string{"S256"}
			doc["end_session_endpoint"] = p.URL + "/end?x=1"
			doc["introspection_endpoint"] = p.URL + "/introspect"
			if p.userinfo != nil {
				doc["userinfo_endpoint"] = p.URL + "/userinfo"
			}
			maps.Copy(doc, p.config)
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(doc)
		case "/token":
			_ = r.ParseForm()
			p.asked = r.PostForm
			p.user, _, _ = r.BasicAuth()
			if p.token != nil {
				p.token(w, r)
				return
			}
			p.issue(w, r)
		case "/introspect":
			if _, given, _ := r.BasicAuth(); given != url.QueryEscape(secret) {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			w.Write([]byte(`{"active":false}`))
		case "/userinfo":
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(p.userinfo)
		default:
			p.keys.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(p.Close)
	p.keys.SetIssuer(p.URL)
	return p
}

// issue redeems a code once.
func (p *provider) issue(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	fail := func(code string) {
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": code, "error_description": "<script>\x07"})
	}
	// The standard has the parts of Basic form-encoded.
	if _, given, _ := r.BasicAuth(); given != url.QueryEscape(secret) {
		fail("invalid_client")
		return
	}
	if !p.codes[r.PostForm.Get("code")] {
		fail("invalid_grant")
		return
	}
	p.codes[r.PostForm.Get("code")] = false
	now := time.Now()
	all := map[string]any{"iss": p.URL, "aud": clientID, "sub": "s-1", "exp": now.Add(time.Hour).Unix(), "iat": now.Unix(), "nonce": p.nonce,
		"preferred_username": "ada", "name": "Ada", "email": "ada@example.org", "email_verified": true, "groups": []string{"soc", "all"}}
	maps.Copy(all, p.claims)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	b, _ := json.Marshal(all)
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": p.sign(string(b))})
}

// world is a service with one provider of one tenant.
type world struct {
	*sso.Service
	db     *store.Store
	dir    *access.Directory
	tenant ident.TenantID
	now    time.Time
	tls    *tls.Config
}

func newWorld(t *testing.T, p *provider) *world {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	w := &world{db: db, now: time.Now()}
	clock := func() time.Time { return w.now }
	a := db.Access()
	w.dir = access.NewDirectory(access.DirectoryConfig{Tenants: a, Applications: a, People: a, Roles: a, Groups: a, Policies: a, Sealer: db.Key(), SecretKey: []byte("k"), Clock: clock})
	tenant, err := w.dir.NewTenant(t.Context(), "T")
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(p.Certificate())
	w.tenant, w.tls = tenant.ID, &tls.Config{RootCAs: pool}
	w.Service = sso.New(sso.Config{Store: a, Accounts: w.dir, Sealer: db.Key(), TLS: w.tls, Clock: clock,
		Guard: outbound.Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}})
	t.Cleanup(w.Close)
	return w
}

func request(p *provider) sso.Request {
	s := secret
	return sso.Request{Name: "Company", Issuer: p.URL, ClientID: clientID, Secret: &s, Scopes: sso.DefaultScopes(), Create: true, Roles: []ident.RoleID{access.SecurityReader}}
}

// setUp is a world with the provider set up in it; change may change the request.
func setUp(t *testing.T, change func(*sso.Request)) (*provider, *world, *sso.Provider) {
	t.Helper()
	p := newProvider(t)
	w := newWorld(t, p)
	r := request(p)
	if change != nil {
		change(&r)
	}
	x, err := w.Create(t.Context(), w.tenant, r)
	if err != nil {
		t.Fatal(err)
	}
	return p, w, x
}

// leave begins a sign-in and returns what the browser has then.
func (w *world) leave(t *testing.T, p *provider, x *sso.Provider) (flow string, query url.Values) {
	t.Helper()
	d, err := w.Begin(t.Context(), w.tenant, x.ID, redirect, "/alerts?q=1")
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(d.Address)
	if err != nil {
		t.Fatal(err)
	}
	p.nonce = u.Query().Get("nonce")
	return d.Flow, u.Query()
}

// arrive signs in with the good code.
func (w *world) arrive(t *testing.T, p *provider, x *sso.Provider) (*sso.Arrival, error) {
	t.Helper()
	flow, q := w.leave(t, p, x)
	p.codes["good"] = true
	return w.Finish(t.Context(), flow, sso.Answer{State: q.Get("state"), Code: "good"})
}

func wantRefused(t *testing.T, what string, err error, code errs.Code, says string) {
	t.Helper()
	var e *errs.E
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Detail, says) {
		t.Errorf("%s: %v, want %s that says %q", what, err, code, says)
	}
}

func TestSomebodyComesInByAProvider(t *testing.T) {
	p, w, x := setUp(t, nil)
	flow, q := w.leave(t, p, x)
	for name, want := range map[string]string{"response_type": "code", "client_id": clientID, "redirect_uri": redirect, "scope": "openid profile email", "code_challenge_method": "S256"} {
		if got := q.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if len(q.Get("state")) < 43 || len(q.Get("nonce")) < 43 || strings.Contains(flow, q.Get("state")) {
		t.Errorf("asked with %v", q)
	}
	in, err := w.Finish(t.Context(), flow, sso.Answer{State: q.Get("state"), Code: "good"})
	if err != nil {
		t.Fatal(err)
	}
	if in.To != "/alerts?q=1" || in.Step != access.Admitted || !in.Made || in.Person.Login != "ada" || in.Person.Name != "Ada" || in.Person.Mail != "ada@example.org" || in.Admission.Provider != x.ID {
		t.Errorf("%+v %+v", in.Admission, in.Person)
	}
	sum := sha256.Sum256([]byte(p.asked.Get("code_verifier")))
	if base64.RawURLEncoding.EncodeToString(sum[:]) != q.Get("code_challenge") || p.asked.Get("redirect_uri") != redirect || p.user != clientID {
		t.Errorf("the code was redeemed with %v as %q", p.asked, p.user)
	}
	// The code is good once: the provider says so, and it is believed.
	_, err = w.Finish(t.Context(), flow, sso.Answer{State: q.Get("state"), Code: "good"})
	wantRefused(t, "the same code again", err, sso.TokenRefused, "invalid_grant <script> ")
	if in, err = w.arrive(t, p, x); err != nil || in.Made {
		t.Errorf("a second time: %+v, %v", in, err)
	}
	// Signing out leads to the provider and back.
	end := w.EndAddress(t.Context(), &access.Session{Tenant: w.tenant, Provider: x.ID, Token: in.Token}, "https://vedette.example/")
	u, err := url.Parse(end)
	if err != nil || u.Query().Get("x") != "1" || u.Query().Get("client_id") != clientID || u.Query().Get("post_logout_redirect_uri") != "https://vedette.example/" || strings.Count(u.Query().Get("id_token_hint"), ".") != 2 {
		t.Errorf("%v: %s", err, end)
	}
	if got := w.EndAddress(t.Context(), &access.Session{Tenant: w.tenant}, "https://vedette.example/"); got != "" {
		t.Errorf("of a password: %s", got)
	}
}

func TestWhatIsNotOfThisBrowserAndMomentIsRefused(t *testing.T) {
	p, w, x := setUp(t, nil)
	flow, q := w.leave(t, p, x)
	other, otherQuery := w.leave(t, p, x)
	state := q.Get("state")
	for what, try := range map[string][2]string{
		"no cookie": {"", state}, "another browser's cookie": {other, state}, "another state": {flow, otherQuery.Get("state")}, "no state": {flow, ""},
		"a forged cookie": {flow[:len(flow)-4] + "AAAA", state}, "a long cookie": {strings.Repeat("A", 1<<16), state},
	} {
		_, err := w.Finish(t.Context(), try[0], sso.Answer{State: try[1], Code: "good"})
		wantRefused(t, what, err, access.SignInStale, "")
	}
	_, err := w.Finish(t.Context(), flow, sso.Answer{State: state, Code: "good", Issuer: "https://evil.example"})
	wantRefused(t, "an answer of somebody else", err, sso.TokenRefused, "not of Company")
	_, err = w.Finish(t.Context(), flow, sso.Answer{State: state, Error: "access_denied", Description: "no\nway"})
	wantRefused(t, "a refusal", err, sso.ProviderRefused, "access_denied no way")
	_, err = w.Finish(t.Context(), flow, sso.Answer{State: state})
	wantRefused(t, "no code", err, sso.TokenRefused, "no code")
	w.now = w.now.Add(sso.FlowLife)
	_, err = w.Finish(t.Context(), flow, sso.Answer{State: state, Code: "good"})
	wantRefused(t, "too late", err, access.SignInStale, "")
}

func TestTokensThatAreNotOfThisSignInAreRefused(t *testing.T) {
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	enc := base64.RawURLEncoding.EncodeToString
	for what, c := range map[string]struct {
		change func(*provider)
		says   string
	}{
		"another issuer":        {func(p *provider) { p.claims["iss"] = "https://evil.example" }, "different provider"},
		"another audience":      {func(p *provider) { p.claims["aud"] = "somebody" }, "audience"},
		"audiences without azp": {func(p *provider) { p.claims["aud"] = []string{clientID, "somebody"} }, "azp"},
		"another azp":           {func(p *provider) { p.claims["azp"] = "somebody" }, "azp"},
		"expired":               {func(p *provider) { p.claims["exp"] = time.Now().Add(-time.Hour).Unix() }, "expired"},
		"of the future":         {func(p *provider) { p.claims["iat"] = time.Now().Add(time.Hour).Unix() }, "future"},
		"not valid yet":         {func(p *provider) { p.claims["nbf"] = time.Now().Add(time.Hour).Unix() }, "nbf"},
		"another nonce":         {func(p *provider) { p.claims["nonce"] = "x" }, "nonce"},
		"no nonce":              {func(p *provider) { p.claims["nonce"] = nil }, "nonce"},
		"another access token":  {func(p *provider) { p.claims["at_hash"] = enc(make([]byte, 16)) }, "access token"},
		"alg none": {func(p *provider) {
			p.sign = func(c string) string { return enc([]byte(`{"alg":"none"}`)) + "." + enc([]byte(c)) + "." }
		}, "not accepted"},
		"signed with the secret": {func(p *provider) {
			p.sign = func(c string) string { return oidctest.SignIDToken([]byte(secret+secret), "k", "HS256", c) }
		}, "not accepted"},
		"signed with the public key as secret": {func(p *provider) {
			p.config["id_token_signing_alg_values_supported"] = []string{"HS256", "none"}
			p.sign = func(c string) string {
				return oidctest.SignIDToken(x509.MarshalPKCS1PublicKey(&p.key.PublicKey), "k", "HS256", c)
			}
		}, "not accepted"},
		"signed by a stranger": {func(p *provider) {
			p.sign = func(c string) string { return oidctest.SignIDToken(stranger, "k", "RS256", c) }
		}, "not accepted"},
		"a key nobody knows": {func(p *provider) {
			p.sign = func(c string) string { return oidctest.SignIDToken(stranger, "other", "RS256", c) }
		}, "not accepted"},
		"no token":   {func(p *provider) { p.sign = func(string) string { return "" } }, "no identity token"},
		"half a one": {func(p *provider) { p.sign = func(string) string { return "e30.e30" } }, "not accepted"},
		"long text":  {func(p *provider) { p.sign = func(string) string { return strings.Repeat("x", 100<<10) } }, "too long"},
		"somebody else's information": {func(p *provider) {
			p.claims["preferred_username"], p.userinfo = nil, map[string]any{"sub": "s-2", "preferred_username": "eve"}
		}, "somebody else"},
		"nobody":             {func(p *provider) { p.claims["preferred_username"] = nil }, "no claim preferred_username"},
		"a name of controls": {func(p *provider) { p.claims["preferred_username"] = "a\nb" }, "no claim preferred_username"},
		"an address that is not verified": {func(p *provider) {
			p.claims["preferred_username"], p.claims["email_verified"] = "ada@example.org", "false"
		}, "did not verify"},
	} {
		t.Run(strings.ReplaceAll(what, " ", "-"), func(t *testing.T) {
			p, w, x := setUp(t, nil)
			c.change(p)
			in, err := w.arrive(t, p, x)
			wantRefused(t, what, err, sso.TokenRefused, c.says)
			if in.Admission != nil {
				t.Errorf("let in: %+v", in.Admission)
			}
			if all, err := w.dir.People(t.Context(), w.tenant); err != nil || len(all) != 0 {
				t.Errorf("accounts %v, %v", all, err)
			}
		})
	}
}

func TestProvidersThatAnswerBadlyAreNamed(t *testing.T) {
	for what, c := range map[string]struct {
		change func(*provider)
		says   string
	}{
		"another name":          {func(p *provider) { p.config["issuer"] = "https://evil.example" }, "calls itself https://evil.example"},
		"a plain token address": {func(p *provider) { p.config["token_endpoint"] = "http://" + p.Listener.Addr().String() + "/token" }, "token_endpoint"},
		"no keys":               {func(p *provider) { p.config["jwks_uri"] = "" }, "jwks_uri"},
		"a file as sign-out":    {func(p *provider) { p.config["end_session_endpoint"] = "file:///etc/passwd" }, "end_session_endpoint"},
		"a huge document":       {func(p *provider) { p.config["x"] = strings.Repeat("x", 2<<20) }, "larger than is read"},
	} {
		p, w, x := setUp(t, nil)
		c.change(p)
		_, err := w.Begin(t.Context(), w.tenant, x.ID, redirect, "/")
		wantRefused(t, what, err, sso.ProviderFailed, c.says)
	}
	for what, c := range map[string]struct {
		token http.HandlerFunc
		code  errs.Code
		says  string
	}{
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example/?"+r.PostForm.Encode(), http.StatusTemporaryRedirect)
		}, sso.ProviderFailed, "redirects"},
		"endless": {func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte(`{"access_token":"` + strings.Repeat("x", 2<<20)))
		}, sso.ProviderFailed, ""},
		"a failure": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, sso.ProviderFailed, "502"},
		"no JSON":   {func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) }, sso.ProviderFailed, ""},
	} {
		p, w, x := setUp(t, nil)
		p.token = c.token
		_, err := w.arrive(t, p, x)
		wantRefused(t, what, err, c.code, c.says)
	}
}

func TestANetworkThatIsNotAllowedIsNotReached(t *testing.T) {
	p, w, x := setUp(t, nil)
	s := sso.New(sso.Config{Store: w.db.Access(), Accounts: w.dir, Sealer: w.db.Key(), TLS: w.tls})
	t.Cleanup(s.Close)
	before := p.calls
	_, err := s.Begin(t.Context(), w.tenant, x.ID, redirect, "/")
	wantRefused(t, "loopback", err, sso.ProviderFailed, "may not connect")
	if p.calls != before {
		t.Error("it was asked all the same")
	}
}

func TestRolesFollowGroups(t *testing.T) {
	p, w, x := setUp(t, func(r *sso.Request) {
		r.GroupsClaim = "realm.roles"
		r.Mappings = []sso.Mapping{{Group: "soc", Role: access.SecurityOperator}, {Group: "boss", Role: access.SecurityAdmin}}
	})
	for _, c := range []struct {
		groups any
		want   []ident.RoleID
	}{
		{map[string]any{"roles": []string{"soc", "x"}}, []ident.RoleID{access.SecurityReader, access.SecurityOperator}},
		{map[string]any{"roles": "boss"}, []ident.RoleID{access.SecurityReader, access.SecurityAdmin}},
		{map[string]any{"roles": []string{}}, []ident.RoleID{access.SecurityReader}},
		{nil, []ident.RoleID{access.SecurityReader}},
	} {
		p.claims["realm"] = c.groups
		in, err := w.arrive(t, p, x)
		if err != nil || !slices.Equal(in.Person.Roles, c.want) {
			t.Errorf("%v: %v, %v", c.groups, in.Person, err)
		}
	}
	// What the token does not say may be asked for.
	p.userinfo = map[string]any{"sub": "s-1", "realm": map[string]any{"roles": []string{"boss"}}}
	w.now = w.now.Add(11 * time.Minute)
	p.claims["exp"] = w.now.Add(time.Hour).Unix()
	if in, err := w.arrive(t, p, x); err != nil || !slices.Contains(in.Person.Roles, access.SecurityAdmin) {
		t.Errorf("by the information of the person: %v, %v", in.Person, err)
	}
	p.userinfo, p.claims["realm"] = nil, nil
	w.now = w.now.Add(11 * time.Minute)
	p.claims["exp"] = w.now.Add(time.Hour).Unix()
	p.claims["_claim_names"], p.claims["_claim_sources"] = map[string]string{"realm.roles": "src1"}, map[string]any{"src1": map[string]string{"endpoint": p.URL + "/evil"}}
	_, err := w.arrive(t, p, x)
	wantRefused(t, "groups that are too many", err, sso.TokenRefused, "too many")
}

func TestWhoIsLetIn(t *testing.T) {
	t.Run("people-of-a-domain", func(t *testing.T) {
		p, w, x := setUp(t, func(r *sso.Request) { r.Domains = []string{"@Example.org"} })
		for _, c := range []struct {
			login, mail string
			ok          bool
		}{
			{"ada", "ada@EXAMPLE.org", true}, {"ada", "ada@example.org.evil.example", false}, {"ada", "", false}, {"ada@evil.example", "ada@example.org", false},
			{"ada@x@example.org", "x", true}, {"ada", "ada@sub.example.org", false},
		} {
			p.claims["preferred_username"], p.claims["email"], p.claims["sub"] = c.login, c.mail, c.login+c.mail
			_, err := w.arrive(t, p, x)
			if c.ok && err != nil && !strings.Contains(err.Error(), "exists") || !c.ok && err == nil {
				t.Errorf("%+v: %v", c, err)
			}
			if !c.ok {
				wantRefused(t, c.login+" "+c.mail, err, sso.DomainRefused, "domain")
			}
		}
	})
	t.Run("nobody-new", func(t *testing.T) {
		p, w, x := setUp(t, func(r *sso.Request) { r.Create = false })
		_, err := w.arrive(t, p, x)
		wantRefused(t, "nobody of that name", err, access.AccountUnknown, "ada")
	})
	t.Run("with-our-second-factor", func(t *testing.T) {
		p, w, x := setUp(t, func(r *sso.Request) { r.Factor = true })
		if _, err := w.dir.SetSignInPolicy(t.Context(), w.tenant, access.RequiredOfAll, nil); err != nil {
			t.Fatal(err)
		}
		in, err := w.arrive(t, p, x)
		if err != nil || in.Step != access.SetUpCodes {
			t.Errorf("%+v, %v", in.Admission, err)
		}
	})
	t.Run("not-by-one-that-is-disabled", func(t *testing.T) {
		p, w, x := setUp(t, nil)
		flow, q := w.leave(t, p, x)
		r := request(p)
		r.Disabled, r.Secret = true, nil
		if _, err := w.Change(t.Context(), w.tenant, x.ID, r); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Begin(t.Context(), w.tenant, x.ID, redirect, "/"); !errs.Is(err, errs.NotFound) {
			t.Errorf("leaving: %v", err)
		}
		_, err := w.Finish(t.Context(), flow, sso.Answer{State: q.Get("state"), Code: "good"})
		wantRefused(t, "coming back", err, sso.ProviderRefused, "disabled")
		if all, err := w.Offered(t.Context(), w.tenant); err != nil || len(all) != 0 {
			t.Errorf("offered %v, %v", all, err)
		}
	})
	t.Run("not-of-another-tenant", func(t *testing.T) {
		_, w, x := setUp(t, nil)
		if _, err := w.Begin(t.Context(), "other", x.ID, redirect, "/"); !errs.Is(err, errs.NotFound) {
			t.Error(err)
		}
	})
}

// TestASessionLastsNoLongerThanItsProvider disables, enables and deletes the provider by which
// somebody is signed in; a session by a password is none of its business.
func TestASessionLastsNoLongerThanItsProvider(t *testing.T) {
	p, w, x := setUp(t, nil)
	a := w.db.Access()
	authority, err := access.OpenAuthority(t.Context(), access.AuthorityConfig{Keys: a, Applications: a, People: a, Roles: a, Groups: a,
		Vouches: w.Vouches, URLs: []string{"https://vedette.example"}, Clock: func() time.Time { return w.now }})
	if err != nil {
		t.Fatal(err)
	}
	sessions := access.NewSessions(access.SessionsConfig{Store: a, Authority: authority, Key: []byte("k"), Clock: func() time.Time { return w.now }})
	in, err := w.arrive(t, p, x)
	if err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(time.Second)
	text, _, err := sessions.Open(t.Context(), in.Admission, "", "")
	if err != nil {
		t.Fatal(err)
	}
	local, _, err := sessions.Open(t.Context(), &access.Admission{Person: in.Person, Step: access.Admitted}, "", "")
	if err != nil {
		t.Fatal(err)
	}
	begin := w.now
	_, who, err := sessions.Resume(t.Context(), text, access.Active)
	if err != nil {
		t.Fatal(err)
	}
	lasts := func(what string, want bool) {
		t.Helper()
		_, _, err := sessions.Resume(t.Context(), text, access.Active)
		if (err == nil) != want || !want && !errs.Is(err, errs.Unauthenticated) {
			t.Errorf("%s: %v", what, err)
		}
		// What was begun in the session, and is asked about for hours, is over with it.
		if _, err := authority.Renew(t.Context(), who, begin); (err == nil) != want || !want && !errs.Is(err, errs.Unauthenticated) {
			t.Errorf("%s, what was begun in it: %v", what, err)
		}
		if _, _, err := sessions.Resume(t.Context(), local, access.Active); err != nil {
			t.Errorf("%s, by password: %v", what, err)
		}
	}
	change := func(disabled bool) {
		t.Helper()
		r := request(p)
		r.Disabled, r.Secret = disabled, nil
		if _, err := w.Change(t.Context(), w.tenant, x.ID, r); err != nil {
			t.Fatal(err)
		}
	}
	lasts("signed in", true)
	change(true)
	lasts("the provider is disabled", false)
	change(false)
	lasts("it is enabled again", true)
	if err := w.Delete(t.Context(), w.tenant, x.ID); err != nil {
		t.Fatal(err)
	}
	lasts("it is gone", false)
}

func TestTheSecretStaysAtItsProvider(t *testing.T) {
	p, w, x := setUp(t, nil)
	if strings.Contains(x.Secret, secret) {
		t.Error("the secret is not sealed")
	}
	r := request(p)
	r.Issuer, r.Secret = "https://evil.example", nil
	_, err := w.Change(t.Context(), w.tenant, x.ID, r)
	wantRefused(t, "another address with the secret that is there", err, errs.MissingRequiredParameter, "clientSecret")
	r = request(p)
	r.Secret, r.Name = nil, "Renamed"
	if _, err := w.Change(t.Context(), w.tenant, x.ID, r); err != nil {
		t.Fatal(err)
	}
	if _, err := w.arrive(t, p, x); err != nil {
		t.Errorf("with the secret that was there: %v", err)
	}
}

func TestWhatCannotBeAProvider(t *testing.T) {
	p, w, _ := setUp(t, nil)
	for what, change := range map[string]func(*sso.Request){
		"no name": func(r *sso.Request) { r.Name = " " }, "a plain address": func(r *sso.Request) { r.Issuer = "http://login.example" }, "no address": func(r *sso.Request) { r.Issuer = "login" },
		"a user's name": func(r *sso.Request) { r.Issuer = "https://a:b@login.example" }, "a query": func(r *sso.Request) { r.Issuer += "?x" }, "no client": func(r *sso.Request) { r.ClientID = "" },
		"a scope of spaces": func(r *sso.Request) { r.Scopes = []string{"a b"} }, "no domain": func(r *sso.Request) { r.Domains = []string{"*.x"} }, "no such role": func(r *sso.Request) { r.Roles = []ident.RoleID{"x"} },
		"no such role of a group": func(r *sso.Request) { r.Mappings = []sso.Mapping{{Group: "g", Role: "x"}} }, "no group": func(r *sso.Request) { r.Mappings = []sso.Mapping{{Role: access.Admin}} },
		"a long list": func(r *sso.Request) { r.Domains = make([]string, 101) }, "a name of controls": func(r *sso.Request) { r.Name = "a\nb" },
	} {
		r := request(p)
		r.Name = "Another"
		change(&r)
		if _, err := w.Create(t.Context(), w.tenant, r); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestATestSaysWhatIsWrong(t *testing.T) {
	for what, c := range map[string]struct {
		change func(*provider)
		check  string
		want   sso.Verdict
		says   string
	}{
		"nothing": {func(*provider) {}, "Client", sso.Passed, ""},
		"the secret": {func(p *provider) {
			p.token = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(401)
				w.Write([]byte(`{"error":"invalid_client"}`))
			}
		}, "Client", sso.Failed, "does not take the client"},
		"a secret that is looked at after the code": {func(p *provider) {
			p.config["token_endpoint_auth_methods_supported"] = []string{"client_secret_post"}
			p.token = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(400)
				w.Write([]byte(`{"error":"invalid_grant"}`))
			}
		}, "Client", sso.Failed, "does not take the client"},
		"nothing that tells": {func(p *provider) { p.config["introspection_endpoint"] = "" }, "Client", sso.Warning, "first sign-in"},
		"the address":        {func(p *provider) { p.config["issuer"] = p.URL + "/" }, "Configuration", sso.Failed, "calls itself"},
		"keys":               {func(p *provider) { p.config["jwks_uri"] = p.URL + "/nothing" }, "Keys", sso.Failed, "404"},
		"signatures":         {func(p *provider) { p.config["id_token_signing_alg_values_supported"] = []string{"HS256"} }, "Signatures", sso.Failed, "HS256"},
		"the flow":           {func(p *provider) { p.config["response_types_supported"] = []string{"id_token"} }, "Code flow", sso.Failed, "id_token"},
		"PKCE":               {func(p *provider) { p.config["code_challenge_methods_supported"] = []string{"plain"} }, "PKCE", sso.Warning, "S256"},
		"signing out":        {func(p *provider) { p.config["end_session_endpoint"] = "" }, "Sign-out", sso.Warning, "stays signed in"},
	} {
		p, w, x := setUp(t, nil)
		c.change(p)
		all, err := w.Test(t.Context(), w.tenant, x.ID, redirect)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(all, func(k sso.Check) bool { return k.Name == c.check })
		if i < 0 || all[i].Verdict != c.want || !strings.Contains(all[i].Detail, c.says) {
			t.Errorf("%s: %+v", what, all)
		}
		for _, k := range all {
			if what == "nothing" && k.Verdict != sso.Passed {
				t.Errorf("%+v", k)
			}
		}
	}
}
