package oauth_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

const (
	callback = "http://localhost/done"
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636, appendix B
	proof    = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// native registers a public application.
func (i *installation) native(t *testing.T) *access.Application {
	t.Helper()
	a, _, err := i.dir.RegisterApplication(t.Context(), i.tenant.ID, access.ApplicationRequest{Name: "native", Public: true,
		Delegated: []access.Permission{access.AlertRead, access.AlertReadWrite}, Redirects: []string{callback}})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (i *installation) authorizeURL(a *access.Application, more ...string) string {
	v := url.Values{"client_id": {string(a.ID)}, "response_type": {"code"}, "redirect_uri": {"http://localhost:4711/done"}, "state": {"s t&"},
		"scope": {"openid offline_access " + ownURL + "/Alert.Read"}, "code_challenge": {proof}, "code_challenge_method": {"S256"}, "nonce": {"n1"}}
	for n := 0; n < len(more); n += 2 {
		if v.Set(more[n], more[n+1]); more[n+1] == "" {
			v.Del(more[n])
		}
	}
	return "/" + string(i.tenant.ID) + "/oauth2/v2.0/authorize?" + v.Encode()
}

var hidden = regexp.MustCompile(`name="vedette_form" value="([^"]+)"`)

// open gets the page and returns its token and cookie.
func (i *installation) open(t *testing.T, target string) (string, *http.Cookie, *httptest.ResponseRecorder) {
	t.Helper()
	w := httptest.NewRecorder()
	i.handler.ServeHTTP(w, httptest.NewRequest("GET", target, nil))
	m := hidden.FindStringSubmatch(w.Body.String())
	if w.Code != 200 || m == nil || len(w.Result().Cookies()) != 1 {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	return m[1], w.Result().Cookies()[0], w
}

func (i *installation) signIn(t *testing.T, target, login, password string) *httptest.ResponseRecorder {
	t.Helper()
	token, cookie, _ := i.open(t, target)
	f := url.Values{"vedette_form": {token}, "username": {login}, "password": {password}}
	r := httptest.NewRequest("POST", target, strings.NewReader(f.Encode()))
	r.AddCookie(cookie)
	w := httptest.NewRecorder()
	i.handler.ServeHTTP(w, r)
	return w
}

// code signs the administrator in and returns the code that the program gets.
func (i *installation) code(t *testing.T, target string) string {
	t.Helper()
	w := i.signIn(t, target, "admin", i.password)
	to, err := url.Parse(w.Header().Get("Location"))
	if err != nil || w.Code != 303 || !strings.HasPrefix(to.String(), "http://localhost:4711/done?") || to.Query().Get("state") != "s t&" ||
		to.Query().Get("iss") != i.authority.Issuer(i.tenant.ID, access.V2) {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	return to.Query().Get("code")
}

func (i *installation) redeem(a *access.Application, code string, more ...string) (int, map[string]any) {
	v := url.Values{"grant_type": {"authorization_code"}, "client_id": {string(a.ID)}, "code": {code},
		"redirect_uri": {"http://localhost:4711/done"}, "code_verifier": {verifier}}
	for n := 0; n < len(more); n += 2 {
		v.Set(more[n], more[n+1])
	}
	status, answer, _ := i.post("/"+string(i.tenant.ID)+"/oauth2/v2.0/token", v)
	return status, answer
}

func (i *installation) refresh(a *access.Application, token string) (int, map[string]any) {
	status, answer, _ := i.post("/"+string(i.tenant.ID)+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"refresh_token"}, "client_id": {string(a.ID)}, "refresh_token": {token}})
	return status, answer
}

func TestSomebodySignsInForAProgram(t *testing.T) {
	i := install(t)
	a := i.native(t)
	target := i.authorizeURL(a)
	_, cookie, page := i.open(t, target)
	policy := page.Header().Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "form-action 'self' http://localhost:4711;", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("policy %q lacks %q", policy, want)
		}
	}
	if !cookie.HttpOnly || !strings.Contains(page.Body.String(), "native") || strings.Contains(page.Body.String(), "<script") {
		t.Errorf("cookie %v, page %s", cookie, page.Body)
	}
	status, v := i.redeem(a, i.code(t, target))
	if status != 200 || v["scope"] != "Alert.Read" {
		t.Fatalf("%d %v", status, v)
	}
	c := unverified(t, v["access_token"].(string))
	if c["scp"] != "Alert.Read" || c["idtyp"] != "user" || c["upn"] != "admin" || c["oid"] == nil || c["roles"] != nil {
		t.Errorf("claims %v", c)
	}
	p, err := i.authority.Verify(t.Context(), v["access_token"].(string))
	if err != nil || !p.Can(access.AlertRead) || p.Can(access.AlertReadWrite) || !p.Scope.All {
		t.Errorf("principal %+v, %v", p, err)
	}
	id := unverified(t, v["id_token"].(string))
	if id["aud"] != string(a.ID) || id["nonce"] != "n1" || id["preferred_username"] != "admin" || id["iss"] != i.authority.Issuer(i.tenant.ID, access.V2) {
		t.Errorf("identity token %v", id)
	}
	// An identity token opens no API.
	if _, err := i.authority.Verify(t.Context(), v["id_token"].(string)); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("an identity token as an access token: %v", err)
	}
}

func TestACodeIsGoodOnceForWhoAskedForIt(t *testing.T) {
	i := install(t)
	a, target := i.native(t), ""
	target = i.authorizeURL(a)
	for name, c := range map[string]struct {
		more []string
		code float64
	}{
		"wrong verifier":  {[]string{"code_verifier", strings.Repeat("x", 43)}, 501481},
		"no verifier":     {[]string{"code_verifier", ""}, 501481},
		"another address": {[]string{"redirect_uri", "http://localhost:1/done"}, 700005},
		"another program": {[]string{"client_id", string(i.app.ID), "client_secret", i.secret}, 700005},
		"a guessed code":  {[]string{"code", "x"}, 700082},
	} {
		code := i.code(t, target)
		status, v := i.redeem(a, code, c.more...)
		if status != 400 || v["error"] != "invalid_grant" || fmt.Sprint(v["error_codes"]) != fmt.Sprint([]any{c.code}) {
			t.Errorf("%s: %d %v", name, status, v)
		}
		if name != "a guessed code" {
			if status, v := i.redeem(a, code); status != 400 {
				t.Errorf("%s: the code is still good: %v", name, v)
			}
		}
	}
	code := i.code(t, target)
	i.now = i.now.Add(access.CodeLife)
	if status, _ := i.redeem(a, code); status != 400 {
		t.Error("an old code is good")
	}
	// A code that is used twice ends what it led to.
	code = i.code(t, target)
	_, first := i.redeem(a, code)
	if status, v := i.redeem(a, code); status != 400 || fmt.Sprint(v["error_codes"]) != "[54005]" {
		t.Errorf("a second use: %v", v)
	}
	if status, _ := i.refresh(a, first["refresh_token"].(string)); status != 400 {
		t.Error("the refresh token of a code that was used twice is good")
	}
}

func TestRefreshTokensRotate(t *testing.T) {
	i := install(t)
	a := i.native(t)
	_, v := i.redeem(a, i.code(t, i.authorizeURL(a)))
	old := v["refresh_token"].(string)
	status, v := i.refresh(a, old)
	if status != 200 || v["scope"] != "Alert.Read" || v["refresh_token"] == old {
		t.Fatalf("%d %v", status, v)
	}
	young := v["refresh_token"].(string)
	if status, v := i.refresh(i.app, young); status != 401 {
		t.Errorf("without the application's secret: %d %v", status, v)
	}
	if status, v := i.refresh(a, old); status != 400 || fmt.Sprint(v["error_codes"]) != "[54005]" {
		t.Errorf("used again: %d %v", status, v)
	}
	if status, _ := i.refresh(a, young); status != 400 {
		t.Error("the thief's or the owner's token is still good after a reuse")
	}
	for name, end := range map[string]func(p *access.Person) error{
		"a new password": func(p *access.Person) error {
			i.now = i.now.Add(time.Second)
			i.password = "a new long password"
			return i.dir.SetPassword(t.Context(), i.tenant.ID, p.ID, i.password)
		},
		"disabling": func(p *access.Person) error {
			if _, _, err := i.dir.NewPerson(t.Context(), i.tenant.ID, "second", "", []ident.RoleID{access.Admin}); err != nil {
				return err
			}
			yes := true
			_, err := i.dir.ChangePerson(t.Context(), i.tenant.ID, p.ID, access.PersonChange{Disabled: &yes})
			return err
		},
	} {
		people, err := i.dir.People(t.Context(), i.tenant.ID)
		if err != nil {
			t.Fatal(err)
		}
		no := false
		if _, err := i.dir.ChangePerson(t.Context(), i.tenant.ID, people[0].ID, access.PersonChange{Disabled: &no}); err != nil {
			t.Fatal(err)
		}
		_, v := i.redeem(a, i.code(t, i.authorizeURL(a)))
		if err := end(people[0]); err != nil {
			t.Fatal(err)
		}
		if status, _ := i.refresh(a, v["refresh_token"].(string)); status != 400 {
			t.Errorf("%s leaves the refresh token good", name)
		}
		if _, err := i.authority.Verify(t.Context(), v["access_token"].(string)); !errs.Is(err, errs.Unauthenticated) {
			t.Errorf("%s leaves the access token good: %v", name, err)
		}
	}
}

func TestTheSignInPageSendsNobodyAstray(t *testing.T) {
	i := install(t)
	a := i.native(t)
	for name, more := range map[string][]string{
		"another host":      {"redirect_uri", "https://evil.example/done"},
		"another path":      {"redirect_uri", "http://localhost:4711/other"},
		"userinfo":          {"redirect_uri", "http://localhost:4711@evil.example/done"},
		"no such program":   {"client_id", "5f3ad3a4-0000-4000-8000-000000000000"},
		"markup in a name":  {"client_id", `"><script>alert(1)</script>`},
		"twice, other case": {"client_id", ""},
	} {
		w := httptest.NewRecorder()
		i.handler.ServeHTTP(w, httptest.NewRequest("GET", i.authorizeURL(a, more...), nil))
		if w.Code != 400 || w.Header().Get("Location") != "" || strings.Contains(w.Body.String(), "<script") || strings.Contains(w.Body.String(), "<form") {
			t.Errorf("%s: %d %v %s", name, w.Code, w.Header(), w.Body)
		}
	}
	for name, c := range map[string]struct {
		more []string
		err  string
	}{
		"no proof":      {[]string{"code_challenge", ""}, "invalid_request"},
		"plain proof":   {[]string{"code_challenge_method", "plain"}, "invalid_request"},
		"implicit":      {[]string{"response_type", "token"}, "unsupported_response_type"},
		"foreign scope": {[]string{"scope", "https://management.azure.com/x"}, "invalid_scope"},
		"no page":       {[]string{"prompt", "none"}, "login_required"},
	} {
		w := httptest.NewRecorder()
		i.handler.ServeHTTP(w, httptest.NewRequest("GET", i.authorizeURL(a, c.more...), nil))
		to, err := url.Parse(w.Header().Get("Location"))
		if err != nil || w.Code != 303 || to.Query().Get("error") != c.err || to.Query().Get("state") != "s t&" {
			t.Errorf("%s: %d %v", name, w.Code, w.Header())
		}
	}
	// A form that another site posts has no cookie, or another one.
	target := i.authorizeURL(a)
	token, cookie, _ := i.open(t, target)
	for name, c := range map[string]*http.Cookie{"none": nil, "another": {Name: cookie.Name, Value: "x"}} {
		r := httptest.NewRequest("POST", target, strings.NewReader(url.Values{"vedette_form": {token}, "username": {"admin"}, "password": {i.password}}.Encode()))
		if c != nil {
			r.AddCookie(c)
		}
		w := httptest.NewRecorder()
		if i.handler.ServeHTTP(w, r); w.Code != 403 {
			t.Errorf("cookie %s: %d", name, w.Code)
		}
	}
	if w := i.signIn(t, target, "admin", "wrong"); w.Code != 400 || !strings.Contains(w.Body.String(), `role="alert"`) {
		t.Errorf("a wrong password: %d %s", w.Code, w.Body)
	}
	locked := false
	for n := 0; n < 30 && !locked; n++ {
		locked = i.signIn(t, target, "nobody", "wrong").Code == 429
	}
	if !locked || i.signIn(t, target, "nobody", i.password).Code != 429 {
		t.Error("guessing goes on for ever")
	}
}

// TestRolesAreAskedAtEachRequest: what a role permits and no more, and at once.
func TestRolesAreAskedAtEachRequest(t *testing.T) {
	i := install(t)
	a := i.native(t)
	ctx := t.Context()
	reader, password, err := i.dir.NewPerson(ctx, i.tenant.ID, "reader", "", []ident.RoleID{access.SecurityReader})
	if err != nil {
		t.Fatal(err)
	}
	w := i.signIn(t, i.authorizeURL(a, "scope", "openid"), "reader", password)
	to, err := url.Parse(w.Header().Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	_, v := i.redeem(a, to.Query().Get("code"))
	can := func() string {
		p, err := i.authority.Verify(ctx, v["access_token"].(string))
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(p.Can(access.AlertRead), p.Can(access.AlertReadWrite), p.Can(access.MachineRead))
	}
	if got := can(); got != "true false false" {
		t.Errorf("a reader: %s", got)
	}
	role, err := i.dir.NewRole(ctx, i.tenant.ID, access.RoleRequest{Name: "Tier 1", Rights: []access.Right{access.InvestigateAlerts}})
	if err != nil {
		t.Fatal(err)
	}
	team, err := i.dir.NewUserGroup(ctx, i.tenant.ID, access.UserGroupRequest{Name: "SOC", Roles: []ident.RoleID{role.ID}})
	if err != nil {
		t.Fatal(err)
	}
	groups, none := []ident.UserGroupID{team.ID}, []ident.RoleID{}
	if _, err := i.dir.ChangePerson(ctx, i.tenant.ID, reader.ID, access.PersonChange{Roles: &none, Groups: &groups}); err != nil {
		t.Fatal(err)
	}
	if got := can(); got != "false true false" {
		t.Errorf("an investigator by way of a group: %s", got)
	}
	if err := i.dir.DeleteRole(ctx, i.tenant.ID, role.ID); err != nil {
		t.Fatal(err)
	}
	if got := can(); got != "false false false" {
		t.Errorf("without the role: %s", got)
	}
}

func TestClientAssertions(t *testing.T) {
	i := install(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "client"}, NotBefore: i.now, NotAfter: i.now.Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := i.dir.AddCertificate(t.Context(), i.tenant.ID, i.app.ID, "laptop", der); err != nil {
		t.Fatal(err)
	}
	thumb, long := sha1.Sum(der), sha256.Sum256(der)
	path := "/" + string(i.tenant.ID) + "/oauth2/v2.0/token"
	make := func(k *rsa.PrivateKey, header map[string]string, change func(map[string]any)) string {
		opts := (&jose.SignerOptions{}).WithType("JWT")
		for name, s := range header {
			opts = opts.WithHeader(jose.HeaderKey(name), s)
		}
		s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: k}, opts)
		if err != nil {
			t.Fatal(err)
		}
		c := map[string]any{"iss": string(i.app.ID), "sub": string(i.app.ID), "aud": ownURL + path, "jti": fmt.Sprint(time.Now().UnixNano()),
			"nbf": i.now.Unix(), "exp": i.now.Add(10 * time.Minute).Unix()}
		if change != nil {
			change(c)
		}
		text, err := jwt.Signed(s).Claims(c).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	send := func(assertion string) (int, map[string]any) {
		status, v, _ := i.post(path, i.form("client_secret", "", "client_assertion", assertion,
			"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"))
		return status, v
	}
	b64 := base64.RawURLEncoding.EncodeToString
	for name, header := range map[string]map[string]string{"x5t": {"x5t": b64(thumb[:])}, "x5t#S256": {"x5t#S256": b64(long[:])}, "nothing": nil} {
		if status, v := send(make(key, header, nil)); status != 200 {
			t.Errorf("named by %s: %d %v", name, status, v)
		}
	}
	good := make(key, nil, nil)
	if status, _ := send(good); status != 200 {
		t.Error("refused")
	}
	for name, text := range map[string]string{
		"used before":       good,
		"another key":       make(stranger, nil, nil),
		"another name":      make(key, map[string]string{"x5t": b64(long[:20])}, nil),
		"another audience":  make(key, nil, func(c map[string]any) { c["aud"] = "https://login.microsoftonline.com/x" }),
		"expired":           make(key, nil, func(c map[string]any) { c["exp"] = i.now.Add(-time.Hour).Unix() }),
		"for ever":          make(key, nil, func(c map[string]any) { c["exp"] = i.now.Add(100 * 24 * time.Hour).Unix() }),
		"no end":            make(key, nil, func(c map[string]any) { delete(c, "exp") }),
		"not yet":           make(key, nil, func(c map[string]any) { c["nbf"] = i.now.Add(time.Hour).Unix() }),
		"of another client": make(key, nil, func(c map[string]any) { c["sub"] = "x" }),
		"nonsense":          "x.y.z",
	} {
		if status, v := send(text); status != 401 || v["error"] != "invalid_client" {
			t.Errorf("%s: %d %v", name, status, v)
		}
	}
	i.now = i.now.Add(25 * time.Hour)
	if status, _ := send(make(key, nil, nil)); status != 401 {
		t.Error("the certificate has ended and is taken")
	}
}

func TestDiscoveryIsTrue(t *testing.T) {
	i := install(t)
	w := httptest.NewRecorder()
	i.handler.ServeHTTP(w, httptest.NewRequest("GET", "/"+string(i.tenant.ID)+"/v2.0/.well-known/openid-configuration", nil))
	var d struct {
		Issuer    string   `json:"issuer"`
		Authorize string   `json:"authorization_endpoint"`
		Token     string   `json:"token_endpoint"`
		Keys      string   `json:"jwks_uri"`
		Grants    []string `json:"grant_types_supported"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || d.Issuer != i.authority.Issuer(i.tenant.ID, access.V2) {
		t.Fatalf("%v: %s", err, w.Body)
	}
	for _, address := range []string{d.Authorize, d.Keys} {
		w := httptest.NewRecorder()
		i.handler.ServeHTTP(w, httptest.NewRequest("GET", strings.TrimPrefix(address, ownURL), nil))
		if w.Code == 404 {
			t.Errorf("%s is not there", address)
		}
	}
	for _, g := range d.Grants {
		_, v, _ := i.post(strings.TrimPrefix(d.Token, ownURL), i.form("grant_type", g))
		if v["error"] == "unsupported_grant_type" {
			t.Errorf("%s is announced and not done", g)
		}
	}
}
