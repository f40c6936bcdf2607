package oauth_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api/oauth"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/store"
)

const ownURL = "https://vedette.example:8443"

// installation is a server's sign-in side on a real store.
type installation struct {
	dir       *access.Directory
	authority *access.Authority
	handler   *oauth.Handler
	tenant    *access.Tenant
	app       *access.Application
	secret    string
	password  string
	attempts  []oauth.Attempt
	now       time.Time
}

func install(t testing.TB) *installation {
	t.Helper()
	ctx := t.Context()
	s, err := store.Open(ctx, store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	i := &installation{now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return i.now }
	i.dir = access.NewDirectory(access.DirectoryConfig{
		Tenants: s.Access(), Applications: s.Access(), People: s.Access(), SecretKey: s.Key().Derive("client-secret"), Clock: clock,
		Roles: s.Access(), Groups: s.Access(), SignIns: s.Access(), Policies: s.Access(), Sealer: s.Key(),
	})
	i.authority, err = access.OpenAuthority(ctx, access.AuthorityConfig{
		Keys: s.Access(), Applications: s.Access(), People: s.Access(), URLs: []string{ownURL + "/"}, Clock: clock, Roles: s.Access(), Groups: s.Access(),
	})
	if err != nil {
		t.Fatal(err)
	}
	i.handler = oauth.New(oauth.Config{Directory: i.dir, Authority: i.authority, Clock: clock,
		Attempted: func(_ context.Context, a oauth.Attempt) { i.attempts = append(i.attempts, a) }})
	if i.tenant, err = i.dir.NewTenant(ctx, "Contoso", "contoso.onmicrosoft.com"); err != nil {
		t.Fatal(err)
	}
	if i.app, i.secret, err = i.dir.NewApplication(ctx, i.tenant.ID, "script", []access.Permission{access.AlertRead, access.MachineIsolate}); err != nil {
		t.Fatal(err)
	}
	if _, i.password, err = i.dir.NewPerson(ctx, i.tenant.ID, "admin", "", []ident.RoleID{access.Admin}); err != nil {
		t.Fatal(err)
	}
	return i
}

func (i *installation) form(more ...string) url.Values {
	v := url.Values{"grant_type": {"client_credentials"}, "client_id": {string(i.app.ID)}, "client_secret": {i.secret}}
	for n := 0; n < len(more); n += 2 {
		v.Set(more[n], more[n+1])
		if more[n+1] == "" {
			v.Del(more[n])
		}
	}
	return v
}

func (i *installation) do(r *http.Request) (int, map[string]any, http.Header) {
	w := httptest.NewRecorder()
	i.handler.ServeHTTP(w, r)
	var v map[string]any
	_ = json.Unmarshal(w.Body.Bytes(), &v)
	return w.Code, v, w.Header()
}

func (i *installation) post(path string, form url.Values) (int, map[string]any, http.Header) {
	r := httptest.NewRequest("POST", path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return i.do(r)
}

// TestClientShapes sends what clients in the wild send, see the package comment.
func TestClientShapes(t *testing.T) {
	i := install(t)
	v1, v2 := "/"+string(i.tenant.ID)+"/oauth2/token", "/"+string(i.tenant.ID)+"/oauth2/v2.0/token"
	resource := i.form("resource", "https://api.securitycenter.microsoft.com").Encode()
	scope := i.form("scope", "https://api.securitycenter.microsoft.com/.default").Encode()
	for _, c := range []struct {
		name, method, target, contentType, body string
		basic                                   bool
		aud                                     string
	}{
		{"v1 form", "POST", v1, "application/x-www-form-urlencoded", resource, false, "https://api.securitycenter.microsoft.com"},
		{"v1 no content type", "POST", v1, "", resource, false, "https://api.securitycenter.microsoft.com"},
		{"v1 wrong content type", "POST", v1, "application/json", resource, false, "https://api.securitycenter.microsoft.com"},
		{"v1 GET with a form body", "GET", v1, "", resource, false, "https://api.securitycenter.microsoft.com"},
		{"v1 GET with a query", "GET", v1 + "?" + resource, "", "", false, "https://api.securitycenter.microsoft.com"},
		{"v1 trailing slash and stray separator", "POST", v1 + "/", "", resource + "&\r\n", false, "https://api.securitycenter.microsoft.com"},
		{"v1 path in capitals", "POST", strings.ToUpper(v1), "", resource, false, "https://api.securitycenter.microsoft.com"},
		{"v1 basic", "POST", v1, "", "grant_type=client_credentials&resource=https://api.security.microsoft.com", true, "https://api.security.microsoft.com"},
		{"v1 basic and the same in the form", "POST", v1, "", resource, true, "https://api.securitycenter.microsoft.com"},
		{"v1 domain for a tenant", "POST", "/contoso.onmicrosoft.com/oauth2/token", "", resource, false, "https://api.securitycenter.microsoft.com"},
		{"v1 common", "POST", "/common/oauth2/token", "", resource, false, "https://api.securitycenter.microsoft.com"},
		{"v1 resource with a slash", "POST", v1, "", i.form("resource", "https://graph.microsoft.com/").Encode(), false, "https://graph.microsoft.com"},
		{"v1 windowsatpservice", "POST", v1, "", i.form("resource", "https://securitycenter.onmicrosoft.com/windowsatpservice").Encode(), false, "https://securitycenter.onmicrosoft.com/windowsatpservice"},
		{"v1 own address", "POST", v1, "", i.form("resource", ownURL).Encode(), false, ownURL},
		{"v1 without a resource", "POST", v1, "", i.form().Encode(), false, ownURL},
		{"v2 form", "POST", v2, "application/x-www-form-urlencoded", scope, false, "https://api.securitycenter.microsoft.com"},
		{"v2 basic", "POST", v2, "", "grant_type=client_credentials&scope=" + ownURL + "/.default", true, ownURL},
		{"v2 double slash", "POST", v2, "", i.form("scope", "https://api.securitycenter.microsoft.com//.default").Encode(), false, "https://api.securitycenter.microsoft.com"},
		{"v2 windowsatpservice", "POST", v2, "", i.form("scope", "https://securitycenter.onmicrosoft.com/windowsatpservice/.default").Encode(), false, "https://securitycenter.onmicrosoft.com/windowsatpservice"},
		{"v2 organizations, OpenID scopes beside", "POST", "/organizations/oauth2/v2.0/token", "", i.form("scope", "https://graph.microsoft.com/.default openid profile offline_access").Encode(), false, "https://graph.microsoft.com"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(c.method, c.target, strings.NewReader(c.body))
			r.RequestURI = c.target
			if c.contentType != "" {
				r.Header.Set("Content-Type", c.contentType)
			}
			if c.basic {
				r.SetBasicAuth(url.QueryEscape(string(i.app.ID)), url.QueryEscape(i.secret))
			}
			status, v, header := i.do(r)
			if status != 200 {
				t.Fatalf("status %d: %v", status, v)
			}
			if ct := header.Get("Content-Type"); !strings.Contains(ct, "json") || !strings.Contains(header.Get("Cache-Control"), "no-store") {
				t.Errorf("headers %v", header)
			}
			checkShape(t, v, strings.Contains(c.target, "v2.0") || strings.Contains(c.target, "V2.0"))
			p, err := i.authority.Verify(t.Context(), v["access_token"].(string))
			if err != nil {
				t.Fatal(err)
			}
			want := ident.Actor{Kind: ident.ActorApp, ID: string(i.app.ID), Name: "script", Tenant: i.tenant.ID}
			if p.Actor != want || !p.Can(access.AlertRead) || p.Can(access.AlertReadWrite) {
				t.Errorf("principal %+v", p)
			}
			if got := unverified(t, v["access_token"].(string))["aud"]; got != c.aud {
				t.Errorf("aud = %v, want %s", got, c.aud)
			}
		})
	}
}

func checkShape(t *testing.T, v map[string]any, second bool) {
	t.Helper()
	if v["token_type"] != "Bearer" {
		t.Errorf("token_type = %v", v["token_type"])
	}
	for _, k := range []string{"expires_in", "ext_expires_in"} {
		if _, isNumber := v[k].(float64); isNumber != second {
			t.Errorf("%s is a %T", k, v[k])
		}
	}
	if second {
		if v["expires_in"] != 3599.0 || v["resource"] != nil {
			t.Errorf("v2 answer %v", v)
		}
		return
	}
	if v["expires_in"] != "3599" || v["not_before"] != "1795262400" || v["expires_on"] != "1795265999" || v["resource"] == nil {
		t.Errorf("v1 answer %v", v)
	}
}

// unverified reads a token as clients do, without checking it.
func unverified(t *testing.T, text string) map[string]any {
	t.Helper()
	tok, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := tok.UnsafeClaimsWithoutVerification(&c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestClaims(t *testing.T) {
	i := install(t)
	_, v, _ := i.post("/"+string(i.tenant.ID)+"/oauth2/token", i.form("resource", ownURL))
	c := unverified(t, v["access_token"].(string))
	for k, want := range map[string]any{
		"aud": ownURL, "iss": ownURL + "/" + string(i.tenant.ID) + "/", "appid": string(i.app.ID), "tid": string(i.tenant.ID),
		"idtyp": "app", "ver": "1.0", "exp": 1795265999.0, "nbf": 1795262400.0, "iat": 1795262400.0,
		"roles": []any{"Alert.Read.All", "Machine.Isolate"}, "scp": nil,
	} {
		if !reflect.DeepEqual(c[k], want) {
			t.Errorf("%s = %v, want %v", k, c[k], want)
		}
	}
	if c["oid"] == nil || c["oid"] == c["appid"] || c["oid"] != c["sub"] {
		t.Errorf("oid %v, sub %v", c["oid"], c["sub"])
	}
}

// TestPerson gets a delegated token for the administrator's password, without a secret, as
// native clients do.
func TestPerson(t *testing.T) {
	i := install(t)
	f := i.form("grant_type", "password", "client_secret", "", "username", "admin", "password", i.password)
	status, v, _ := i.post("/common/oauth2/v2.0/token", f)
	wantFailure(t, status, v, 401, "invalid_client", 7000218)
	native, _, err := i.dir.RegisterApplication(t.Context(), i.tenant.ID, access.ApplicationRequest{
		Name: "native", Public: true, Delegated: []access.Permission{access.AlertRead, access.MachineIsolate}})
	if err != nil {
		t.Fatal(err)
	}
	status, v, _ = i.post("/common/oauth2/v2.0/token", i.form("client_id", string(native.ID), "client_secret", ""))
	wantFailure(t, status, v, 401, "unauthorized_client", 7000218)
	f = i.form("grant_type", "password", "client_id", string(native.ID), "client_secret", "", "username", "ADMIN", "password", i.password, "scope", ownURL+"/.default openid")
	status, v, _ = i.post("/common/oauth2/v2.0/token", f)
	if status != 200 {
		t.Fatalf("status %d: %v", status, v)
	}
	p, err := i.authority.Verify(t.Context(), v["access_token"].(string))
	if err != nil {
		t.Fatal(err)
	}
	if p.Kind != ident.ActorUser || p.Name != "admin" || !p.Can(access.AlertRead) || !p.Can(access.MachineIsolate) || p.Can(access.TIReadWrite) {
		t.Errorf("principal %+v: want what person and application both may", p)
	}
	if v["scope"] != "Alert.Read Machine.Isolate" {
		t.Errorf("scope = %v", v["scope"])
	}
	f.Set("password", "wrong password")
	status, v, _ = i.post("/common/oauth2/v2.0/token", f)
	wantFailure(t, status, v, 400, "invalid_grant", 50126)
	f.Set("username", "nobody")
	status, v, _ = i.post("/common/oauth2/v2.0/token", f)
	wantFailure(t, status, v, 400, "invalid_grant", 50126)
}

func wantFailure(t *testing.T, status int, v map[string]any, wantStatus int, wantError string, code float64) {
	t.Helper()
	if status != wantStatus || v["error"] != wantError || !slices.Equal(v["error_codes"].([]any), []any{code}) {
		t.Errorf("got %d %v %v, want %d %s %v", status, v["error"], v["error_codes"], wantStatus, wantError, code)
	}
	for _, k := range []string{"error_description", "timestamp", "trace_id", "correlation_id"} {
		if s, ok := v[k].(string); !ok || s == "" {
			t.Errorf("%s = %v", k, v[k])
		}
	}
}

func TestFailures(t *testing.T) {
	i := install(t)
	other, err := i.dir.NewTenant(t.Context(), "Fabrikam")
	if err != nil {
		t.Fatal(err)
	}
	disabled, disabledSecret, err := i.dir.NewApplication(t.Context(), i.tenant.ID, "old", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := i.dir.Disable(t.Context(), i.tenant.ID, disabled.ID); err != nil {
		t.Fatal(err)
	}
	expiring, _, err := i.dir.AddSecret(t.Context(), i.tenant.ID, i.app.ID, "short", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	i.now = i.now.Add(time.Hour)
	own := "/" + string(i.tenant.ID) + "/oauth2/token"
	for _, c := range []struct {
		name, path string
		form       url.Values
		status     int
		err        string
		code       float64
	}{
		{"wrong secret", own, i.form("client_secret", "x"), 401, "invalid_client", 7000215},
		{"no secret", own, i.form("client_secret", ""), 401, "invalid_client", 7000218},
		{"expired secret", own, i.form("client_secret", expiring), 401, "invalid_client", 7000222},
		{"assertion", own, i.form("client_secret", "", "client_assertion", "x",
			"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"), 401, "invalid_client", 700027},
		{"unknown application", own, i.form("client_id", "5f3a"), 400, "unauthorized_client", 700016},
		{"application of another tenant", "/" + string(other.ID) + "/oauth2/token", i.form(), 400, "unauthorized_client", 700016},
		{"disabled application", own, i.form("client_id", string(disabled.ID), "client_secret", disabledSecret), 400, "unauthorized_client", 7000112},
		{"unknown tenant", "/5f3ad3a4-0000-4000-8000-000000000000/oauth2/token", i.form(), 400, "invalid_request", 90002},
		{"no grant type", own, i.form("grant_type", ""), 400, "invalid_request", 900144},
		{"no client", own, i.form("client_id", ""), 400, "invalid_request", 900144},
		{"other grant type", own, i.form("grant_type", "device_code"), 400, "unsupported_grant_type", 70003},
		{"foreign resource", own, i.form("resource", "https://management.azure.com"), 400, "invalid_resource", 500011},
		{"foreign scope", own, i.form("scope", "https://management.azure.com/.default"), 400, "invalid_scope", 70011},
		{"two resources", own, i.form("scope", "https://graph.microsoft.com/.default "+ownURL+"/.default"), 400, "invalid_scope", 70011},
		{"delegated scope for an application", own, i.form("scope", ownURL+"/Alert.Read"), 400, "invalid_scope", 70011},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, v, _ := i.post(c.path, c.form)
			wantFailure(t, status, v, c.status, c.err, c.code)
		})
	}
	for name, body := range map[string]string{
		"bad escape": "grant_type=%zz", "json": `{"grant_type":"client_credentials"}`, "contradiction": "client_id=a&client_id=b",
		"too large": strings.Repeat("a", 70_000),
	} {
		t.Run(name, func(t *testing.T) {
			status, v, _ := i.do(httptest.NewRequest("POST", own, strings.NewReader(body)))
			wantFailure(t, status, v, 400, "invalid_request", 9002313)
		})
	}
	t.Run("method", func(t *testing.T) {
		status, _, header := i.do(httptest.NewRequest("PUT", own, nil))
		if status != 405 || header.Get("Allow") != "GET, POST" {
			t.Errorf("got %d %v", status, header)
		}
	})
	var wrong int
	for _, a := range i.attempts {
		if a.Error == "invalid_client AADSTS7000215" && a.Actor.ID == string(i.app.ID) && a.Tenant == i.tenant.ID {
			wrong++
		}
	}
	if wrong != 1 {
		t.Errorf("the wrong secret was reported %d times: %v", wrong, i.attempts)
	}
}

func TestGuessingIsBounded(t *testing.T) {
	i := install(t)
	path := "/" + string(i.tenant.ID) + "/oauth2/token"
	refused := 0
	for range 40 {
		status, v, header := i.post(path, i.form("client_secret", "guess"))
		if status == 429 {
			refused++
			if header.Get("Retry-After") == "" || v["error_description"] == nil {
				t.Fatalf("429 with %v %v", header, v)
			}
		}
	}
	if refused != 20 {
		t.Errorf("%d of 40 guesses were refused, want 20", refused)
	}
	if status, _, _ := i.post(path, i.form()); status != 429 {
		t.Errorf("the right secret right after: %d", status)
	}
	r := httptest.NewRequest("POST", path, strings.NewReader(i.form().Encode()))
	r.RemoteAddr = "198.51.100.7:999"
	if status, v, _ := i.do(r); status != 200 {
		t.Errorf("another address: %d %v", status, v)
	}
	i.now = i.now.Add(time.Minute)
	for range 100 { // success costs nothing
		if status, _, _ := i.post(path, i.form()); status != 200 {
			t.Fatalf("a minute later: %d", status)
		}
	}
}

func TestDiscovery(t *testing.T) {
	i := install(t)
	get := func(path string) map[string]any {
		t.Helper()
		status, v, _ := i.do(httptest.NewRequest("GET", path, nil))
		if status != 200 {
			t.Fatalf("%s: %d %v", path, status, v)
		}
		return v
	}
	id := string(i.tenant.ID)
	v := get("/" + id + "/v2.0/.well-known/openid-configuration")
	if v["issuer"] != ownURL+"/"+id+"/v2.0" || v["token_endpoint"] != ownURL+"/"+id+"/oauth2/v2.0/token" {
		t.Errorf("document %v", v)
	}
	if got := get("/common/v2.0/.well-known/openid-configuration")["issuer"]; got != ownURL+"/{tenantid}/v2.0" {
		t.Errorf("issuer of common = %v", got)
	}
	keysURL, err := url.Parse(v["jwks_uri"].(string))
	if err != nil {
		t.Fatal(err)
	}
	// A client that checks signatures itself finds the key by the token's kid.
	w := httptest.NewRecorder()
	i.handler.ServeHTTP(w, httptest.NewRequest("GET", keysURL.Path, nil))
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(io.LimitReader(w.Body, 1<<20)).Decode(&set); err != nil {
		t.Fatal(err)
	}
	_, answer, _ := i.post("/"+id+"/oauth2/v2.0/token", i.form())
	tok, err := jwt.ParseSigned(answer["access_token"].(string), []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	found := set.Key(tok.Headers[0].KeyID)
	if len(found) != 1 || !found[0].IsPublic() {
		t.Fatalf("keys %v", set)
	}
	var c jwt.Claims
	if err := tok.Claims(found[0].Key, &c); err != nil || c.Issuer != v["issuer"] {
		t.Errorf("claims %+v, %v", c, err)
	}
}

func TestOwns(t *testing.T) {
	for path, want := range map[string]bool{
		"/common/oauth2/token": true, "/x/OAuth2/V2.0/Token/": true, "/x/v2.0/.well-known/openid-configuration": true,
		"/oauth2/token": false, "/": false, "/api/alerts": false, "/x/oauth2": false, "//oauth2/token": false,
	} {
		if oauth.Owns(path) != want {
			t.Errorf("Owns(%q) = %v", path, !want)
		}
	}
}

// FuzzToken: whatever is sent, the answer is one of the two shapes and nobody gets a
// token without the secret.
func FuzzToken(f *testing.F) {
	i := install(f)
	f.Add("POST", "grant_type=client_credentials&client_id="+string(i.app.ID), "a=b", "Basic Og==")
	f.Add("GET", "&&=&%00=%ff", "client_id=x&client_id=y", "Basic %%%")
	f.Add("POST", "grant_type=password&username=admin&password=x&client_id="+string(i.app.ID), "", "")
	f.Fuzz(func(t *testing.T, method, body, query, auth string) {
		if method != "GET" {
			method = "POST"
		}
		r := httptest.NewRequest(method, "/common/oauth2/token", strings.NewReader(body))
		r.URL.RawQuery = query
		r.Header.Set("Authorization", auth)
		i.now = i.now.Add(time.Hour)
		status, v, _ := i.do(r)
		if status == 200 && !strings.Contains(body+query, i.secret) && !strings.Contains(body+query, i.password) {
			t.Fatalf("a token without a secret: %v", v)
		}
		if status != 200 && (v["error"] == nil || v["error_description"] == nil) {
			t.Fatalf("answer %d %v", status, v)
		}
	})
}
