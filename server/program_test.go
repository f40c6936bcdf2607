package server

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/sso"
)

// A verifier and its challenge of RFC 7636, appendix B.
const (
	pkceVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	pkceChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// program is an application for which people sign in with a browser, and the server's handler.
type program struct {
	*Server
	handler http.Handler
	app     *access.Application
	tenant  ident.TenantID
	person  *access.Person
}

func newProgram(t *testing.T) *program {
	t.Helper()
	s, err := New(t.Context(), Config{DataDir: t.TempDir(), Listen: "127.0.0.1:0", RateLimit: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	pages, err := newPortal(s)
	if err != nil {
		t.Fatal(err)
	}
	p := &program{Server: s, handler: publicHandler(s, http.NotFoundHandler(), pages, browser(pages))}
	tenants, err := s.control.store.Access().Tenants(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p.tenant = tenants[0].ID
	if p.app, _, err = s.control.directory.RegisterApplication(t.Context(), p.tenant, access.ApplicationRequest{Name: "native", Public: true,
		Delegated: []access.Permission{access.AlertRead}, Redirects: []string{"http://localhost/done"}}); err != nil {
		t.Fatal(err)
	}
	if p.person, _, err = s.control.directory.NewPerson(t.Context(), p.tenant, "ada", "a password of somebody", []ident.RoleID{access.Admin}); err != nil {
		t.Fatal(err)
	}
	return p
}

// session opens a session in the portal.
func (p *program) session(t *testing.T, who *access.Person, by ident.ProviderID) *http.Cookie {
	t.Helper()
	text, _, err := p.control.sessions.Open(t.Context(), &access.Admission{Person: who, Step: access.Admitted, Provider: by}, "", "")
	if err != nil {
		t.Fatal(err)
	}
	return &http.Cookie{Name: "vedette-session", Value: text}
}

func (p *program) address(more ...string) string {
	v := url.Values{"client_id": {string(p.app.ID)}, "response_type": {"code"}, "redirect_uri": {"http://localhost:4711/done"}, "scope": {"offline_access Alert.Read"},
		"code_challenge": {pkceChallenge}, "code_challenge_method": {"S256"}}
	for n := 0; n < len(more); n += 2 {
		v.Set(more[n], more[n+1])
	}
	return "/" + string(p.tenant) + "/oauth2/v2.0/authorize?" + v.Encode()
}

func (p *program) do(r *http.Request, cookies ...*http.Cookie) *httptest.ResponseRecorder {
	for _, c := range cookies {
		if c != nil {
			r.AddCookie(c)
		}
	}
	w := httptest.NewRecorder()
	p.handler.ServeHTTP(w, r)
	return w
}

var hiddenField = regexp.MustCompile(`name="(vedette_form|vedette_session)" value="([^"]+)"`)

// page gets the sign-in page and returns what it posts back.
func (p *program) page(t *testing.T, address string, session *http.Cookie) (url.Values, *http.Cookie, string) {
	t.Helper()
	w := p.do(httptest.NewRequest("GET", address, nil), session)
	fields := url.Values{}
	for _, m := range hiddenField.FindAllStringSubmatch(w.Body.String(), -1) {
		fields.Set(m[1], m[2])
	}
	if w.Code != 200 || len(w.Result().Cookies()) != 1 || strings.Contains(w.Body.String(), "<script") {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	return fields, w.Result().Cookies()[0], w.Body.String()
}

func (p *program) send(address string, fields url.Values, cookies ...*http.Cookie) *httptest.ResponseRecorder {
	return p.do(httptest.NewRequest("POST", address, strings.NewReader(fields.Encode())), cookies...)
}

// token exchanges what w sends back to the program, or a refresh token.
func (p *program) token(t *testing.T, f url.Values) (int, map[string]any) {
	t.Helper()
	f.Set("client_id", string(p.app.ID))
	r := httptest.NewRequest("POST", "/"+string(p.tenant)+"/oauth2/v2.0/token", strings.NewReader(f.Encode()))
	w := p.do(r)
	var v map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	return w.Code, v
}

func (p *program) redeem(t *testing.T, w *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	to, err := url.Parse(w.Header().Get("Location"))
	if err != nil || w.Code != http.StatusSeeOther || to.Host != "localhost:4711" {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	status, v := p.token(t, url.Values{"grant_type": {"authorization_code"}, "code": {to.Query().Get("code")}, "redirect_uri": {"http://localhost:4711/done"}, "code_verifier": {pkceVerifier}})
	if status != 200 {
		t.Fatalf("%d %v", status, v)
	}
	return v
}

// TestASessionInThePortalSignsInForPrograms goes on as who is signed in with the browser, and
// tries to go on as somebody else, unasked, or from elsewhere.
func TestASessionInThePortalSignsInForPrograms(t *testing.T) {
	p := newProgram(t)
	mine := p.session(t, p.person, "")
	other, _, err := p.control.directory.NewPerson(t.Context(), p.tenant, "bob", "a password of somebody", nil)
	if err != nil {
		t.Fatal(err)
	}
	theirs := p.session(t, other, "")
	fields, form, page := p.page(t, p.address(), mine)
	if !strings.Contains(page, "Continue as ada") || fields.Get("vedette_session") == "" {
		t.Fatalf("the page does not offer to go on: %s", page)
	}
	got := p.redeem(t, p.send(p.address(), fields, form, mine))
	who, err := p.control.authority.Verify(t.Context(), got["access_token"].(string))
	if err != nil || who.ID != string(p.person.ID) || !who.Can(access.AlertRead) || who.Can(access.MachineIsolate) {
		t.Errorf("%+v, %v", who, err)
	}

	with := func(name, value string) url.Values {
		out := url.Values{}
		for k, v := range fields {
			out[k] = v
		}
		out.Set(name, value)
		return out
	}
	for what, w := range map[string]*httptest.ResponseRecorder{
		"in another's browser":       p.send(p.address(), fields, form, theirs),
		"without a session":          p.send(p.address(), fields, form),
		"with another proof":         p.send(p.address(), with("vedette_session", "x"), form, mine),
		"with another form":          p.send(p.address(), with("vedette_form", "x"), form, mine),
		"without the form's cookie":  p.send(p.address(), fields, mine),
		"though asked to sign in":    p.send(p.address("prompt", "login"), fields, form, mine),
		"though it is too long ago":  p.send(p.address("max_age", "-1"), fields, form, mine),
		"without saying who goes on": p.send(p.address(), with("vedette_session", ""), form, mine),
	} {
		if w.Code < 400 || w.Header().Get("Location") != "" {
			t.Errorf("%s: %d %v", what, w.Code, w.Header())
		}
	}
	for what, address := range map[string]string{"asked to sign in": p.address("prompt", "login"), "too long ago": p.address("max_age", "-1")} {
		if fields, _, page := p.page(t, address, mine); fields.Has("vedette_session") || strings.Contains(page, "ada") {
			t.Errorf("%s, and offered to go on: %s", what, page)
		}
	}

	// The browser does not bring the session along from elsewhere, and asks again from here.
	r := httptest.NewRequest("GET", "/"+p.address("state", `"><b>`), nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	w := p.do(r, mine)
	if body := w.Body.String(); w.Code != 200 || !strings.Contains(body, `http-equiv="refresh" content="0;url=?`) || strings.Contains(body, "ada") || strings.Contains(body, "<b>") || len(w.Result().Cookies()) > 0 {
		t.Errorf("from elsewhere: %d %s", w.Code, body)
	}

	// A program that asks from a frame whether somebody is signed in is told at once, and what is
	// wrong with its request too.
	for want, address := range map[string]string{"error=login_required": p.address("prompt", "none"), "error=unsupported_response_type": p.address("response_type", "token")} {
		r := httptest.NewRequest("GET", address, nil)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		if w := p.do(r, mine); w.Code != http.StatusSeeOther || !strings.Contains(w.Header().Get("Location"), want) {
			t.Errorf("%s from elsewhere: %d %v", want, w.Code, w.Header())
		}
	}

	// A session that is over opens nothing; nor does that of another tenant.
	if err := p.control.sessions.End(t.Context(), mine.Value); err != nil {
		t.Fatal(err)
	}
	if w := p.send(p.address(), fields, form, mine); w.Code < 400 {
		t.Errorf("after signing out: %d %v", w.Code, w.Header())
	}
	far, err := p.control.directory.NewTenant(t.Context(), "far")
	if err != nil {
		t.Fatal(err)
	}
	stranger, _, err := p.control.directory.NewPerson(t.Context(), far.ID, "ada", "a password of somebody", []ident.RoleID{access.Admin})
	if err != nil {
		t.Fatal(err)
	}
	if fields, _, page := p.page(t, p.address(), p.session(t, stranger, "")); fields.Has("vedette_session") {
		t.Errorf("another tenant's session is offered: %s", page)
	}
}

// TestWhatAProviderOpenedForAProgramEndsWithIt refreshes a token of somebody whom an identity
// provider signed in, and disables the provider.
func TestWhatAProviderOpenedForAProgramEndsWithIt(t *testing.T) {
	p := newProgram(t)
	x, err := p.control.sso.Create(t.Context(), p.tenant, sso.Request{Name: "Company <Login>", Issuer: "https://login.invalid", ClientID: "x"})
	if err != nil {
		t.Fatal(err)
	}
	session := p.session(t, p.person, x.ID)
	fields, form, page := p.page(t, p.address("login_hint", "ada"), session)
	m := regexp.MustCompile(`<a href="(/portal/sso/start\?[^"]+)">Sign in with Company &lt;Login&gt;</a>`).FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("the provider is not offered: %s", page)
	}
	way, err := url.Parse(strings.ReplaceAll(m[1], "&amp;", "&"))
	if err != nil || way.Query().Get("provider") != string(x.ID) || way.Query().Get("to") != p.address("login_hint", "ada") {
		t.Errorf("the way there is %s, %v", m[1], err)
	}
	if _, _, page := p.page(t, p.address("state", strings.Repeat("x", 4000)), nil); strings.Contains(page, "Sign in with") || !strings.Contains(page, "sign in to the portal first") {
		t.Errorf("an address that nobody can come back to: %s", page)
	}
	if _, _, page := p.page(t, p.address("signin", "AccountDisabled"), nil); !strings.Contains(page, "Your account is disabled.") {
		t.Errorf("who was turned away is not told why: %s", page)
	}

	got := p.redeem(t, p.send(p.address("login_hint", "ada"), fields, form, session))
	refresh := func(want int) {
		t.Helper()
		status, v := p.token(t, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got["refresh_token"].(string)}})
		if status != want {
			t.Errorf("%d %v, want %d", status, v, want)
		}
		if status == 200 {
			got = v
		}
	}
	refresh(200)
	refresh(200)
	if _, err := p.control.sso.Change(t.Context(), p.tenant, x.ID, sso.Request{Name: x.Name, Issuer: x.Issuer, ClientID: x.ClientID, Disabled: true}); err != nil {
		t.Fatal(err)
	}
	refresh(400)
	if _, _, err := p.control.sessions.Resume(t.Context(), session.Value, access.Active); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("the session goes on: %v", err)
	}
}

// TestWhoIsHalfwayIntoThePortalIsToldSo signs in with a password where a second factor is
// required, and asks for a program's page before setting one up.
func TestWhoIsHalfwayIntoThePortalIsToldSo(t *testing.T) {
	p := newProgram(t)
	if _, err := p.control.directory.SetSignInPolicy(t.Context(), p.tenant, access.RequiredOfAll, nil); err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("POST", "/portal/session", strings.NewReader(`{"login": "ada", "password": "a password of somebody"}`))
	r.Header.Set("Content-Type", "application/json")
	w := p.do(r)
	if w.Code != 200 || len(w.Result().Cookies()) != 1 {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	fields, _, page := p.page(t, p.address(), w.Result().Cookies()[0])
	if fields.Has("vedette_session") || !strings.Contains(page, "You have not finished signing in to the portal") {
		t.Errorf("the page says %s", page)
	}
}
