package portal_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api/portal"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/health"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/preference"
	"github.com/vedette-edr/vedette/server/store"
)

const password = "correct horse battery"

// site is a portal on a real store, with one person.
type site struct {
	*portal.Portal
	now         time.Time
	dir         *access.Directory
	preferences *preference.Service
	person      *access.Person
	attempts    []portal.Attempt
	reports     int
}

func zipped(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return s.now }
	db, err := store.Open(t.Context(), store.Config{Dir: t.TempDir(), Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	s.dir = access.NewDirectory(access.DirectoryConfig{Tenants: db.Access(), Applications: db.Access(), People: db.Access(), Roles: db.Access(), Groups: db.Access(),
		Policies: db.Access(), Sealer: db.Key(), SecretKey: []byte("k"), Clock: clock})
	tenant, err := s.dir.NewTenant(t.Context(), "T", "t.example")
	if err != nil {
		t.Fatal(err)
	}
	if s.person, _, err = s.dir.NewPerson(t.Context(), tenant.ID, "ada", password, []ident.RoleID{access.Admin}); err != nil {
		t.Fatal(err)
	}
	authority, err := access.OpenAuthority(t.Context(), access.AuthorityConfig{Keys: db.Access(), Applications: db.Access(), People: db.Access(), Roles: db.Access(), Groups: db.Access(),
		URLs: []string{"https://vedette.example"}, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	s.preferences = preference.New(db.Preferences())
	const page = `<html><title>Vedette</title><script src="/assets/a.js"></script></html>`
	s.Portal, err = portal.New(portal.Config{Version: "1", Health: health.New(clock()), Directory: s.dir, Clock: clock,
		Sessions:    access.NewSessions(access.SessionsConfig{Store: db.Access(), Authority: authority, Key: []byte("s"), Clock: clock}),
		Preferences: s.preferences, Trusted: func(*http.Request) bool { return false },
		Attempted: func(_ context.Context, a portal.Attempt) { s.attempts = append(s.attempts, a) }, Reported: func() { s.reports++ },
		Files: fstest.MapFS{"index.html.gz": {Data: zipped(t, page)}, "assets/a.js.gz": {Data: zipped(t, "run()")}, "assets/a.js.br": {Data: []byte("br")}, "README.txt": {Data: []byte("x")}}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// do sends a request to the portal as a browser would over TLS; more is names and values of
// headers.
func (s *site) do(t *testing.T, method, path, body string, more ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, "https://vedette.example"+path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for n := 0; n < len(more); n += 2 {
		r.Header.Set(more[n], more[n+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Result()
}

// signIn returns the cookie and the proof of a new session.
func (s *site) signIn(t *testing.T, more ...string) (cookie, proof string) {
	t.Helper()
	res := s.do(t, "POST", "/portal/session", `{"login":"ada","password":"`+password+`"}`, more...)
	if res.StatusCode != http.StatusOK {
		t.Fatalf("signing in: %s", res.Status)
	}
	var e struct{ Proof string }
	if err := json.NewDecoder(res.Body).Decode(&e); err != nil {
		t.Fatal(err)
	}
	return cookieOf(t, res, "vedette-session"), e.Proof
}

// cookieOf is a cookie that an answer set, as a browser sends it.
func cookieOf(t *testing.T, res *http.Response, name string) string {
	t.Helper()
	for _, c := range res.Cookies() {
		if c.Name == "__Host-"+name && c.MaxAge >= 0 {
			return c.Name + "=" + c.Value
		}
	}
	t.Fatalf("no cookie %s in %v", name, res.Cookies())
	return ""
}

func (s *site) resume(method string, more ...string) (*access.Principal, error) {
	r := httptest.NewRequest(method, "https://vedette.example/api/alerts", nil)
	for n := 0; n < len(more); n += 2 {
		r.Header.Set(more[n], more[n+1])
	}
	return s.Resume(r)
}

func TestTheSessionsCookieIsForThisHostAndNoScript(t *testing.T) {
	s := newSite(t)
	res := s.do(t, "POST", "/portal/session", `{"login":"ADA","password":"`+password+`"}`)
	c := res.Cookies()[0]
	if c.Name != "__Host-vedette-session" || !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || len(c.Value) < 43 {
		t.Errorf("the cookie is %+v", c)
	}
	if got := res.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control is %q", got)
	}
	if len(s.attempts) != 1 || s.attempts[0].Error != "" || s.attempts[0].Actor.ID != string(s.person.ID) {
		t.Errorf("the attempts are %+v", s.attempts)
	}
}

func TestSigningInIsRefusedAlikeForWhomeverItDoesNotFit(t *testing.T) {
	s := newSite(t)
	for _, body := range []string{`{"login":"ada","password":"wrong"}`, `{"login":"nobody","password":"` + password + `"}`, `{"login":"","password":""}`} {
		res := s.do(t, "POST", "/portal/session", body)
		if res.StatusCode != http.StatusUnauthorized || len(res.Cookies()) != 0 {
			t.Errorf("%s: %s, cookies %v", body, res.Status, res.Cookies())
		}
	}
	for n := 0; n < 20; n++ {
		s.do(t, "POST", "/portal/session", `{"login":"ada","password":"wrong"}`)
	}
	res := s.do(t, "POST", "/portal/session", `{"login":"ada","password":"`+password+`"}`)
	if res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") == "" {
		t.Errorf("after many guesses: %s, Retry-After %q", res.Status, res.Header.Get("Retry-After"))
	}
	s.now = s.now.Add(2 * time.Minute)
	s.signIn(t)
}

func TestABodyThatAFormOfAnotherSiteCanSendDoesNotSignIn(t *testing.T) {
	s := newSite(t)
	good := `{"login":"ada","password":"` + password + `"}`
	for what, header := range map[string][]string{
		"a form's content type": {"Content-Type", "text/plain"},
		"another origin":        {"Origin", "https://evil.example"},
		"another site":          {"Sec-Fetch-Site", "cross-site"},
	} {
		if res := s.do(t, "POST", "/portal/session", good, header...); res.StatusCode < 400 || len(res.Cookies()) != 0 {
			t.Errorf("%s: %s", what, res.Status)
		}
	}
}

func TestASessionThatABrowserBroughtAlongIsNotSignedIn(t *testing.T) {
	s := newSite(t)
	first, _ := s.signIn(t)
	second, _ := s.signIn(t, "Cookie", first)
	if first == second {
		t.Error("signing in kept the session that was there")
	}
	if _, err := s.resume("GET", "Cookie", first); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("the session from before goes on: %v", err)
	}
	fixed := "__Host-vedette-session=" + strings.Repeat("A", 43)
	if got, _ := s.signIn(t, "Cookie", fixed); got == fixed {
		t.Error("a session that somebody else chose was signed in")
	}
}

func TestChangingNeedsTheProofOfASessionsPage(t *testing.T) {
	s := newSite(t)
	cookie, proof := s.signIn(t)
	other, otherProof := s.signIn(t)
	if who, err := s.resume("GET", "Cookie", cookie); err != nil || who.Name != "ada" || !who.Portal || !who.Can(access.ServerAdmin) {
		t.Errorf("reading: %+v, %v", who, err)
	}
	if _, err := s.resume("POST", "Cookie", cookie, "Vedette-Proof", proof); err != nil {
		t.Errorf("with the proof: %v", err)
	}
	for what, header := range map[string][]string{
		"no proof":                     {},
		"the proof of another session": {"Vedette-Proof", otherProof},
		"the cookie as proof":          {"Vedette-Proof", cookie},
		"from another site":            {"Vedette-Proof", proof, "Sec-Fetch-Site", "cross-site"},
		"from a sibling host":          {"Vedette-Proof", proof, "Sec-Fetch-Site", "same-site"},
		"from another origin":          {"Vedette-Proof", proof, "Origin", "https://evil.example"},
	} {
		if _, err := s.resume("POST", append(header, "Cookie", cookie)...); !errs.Is(err, errs.Denied) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := s.resume("GET", "Cookie", cookie, "Sec-Fetch-Site", "cross-site"); !errs.Is(err, errs.Denied) {
		t.Errorf("reading from another site: %v", err)
	}
	if who, err := s.resume("POST"); who != nil || err != nil {
		t.Errorf("without a cookie: %v, %v", who, err)
	}
	_ = other
}

func TestASessionEnds(t *testing.T) {
	over := func(t *testing.T, s *site, cookie string) {
		t.Helper()
		if _, err := s.resume("GET", "Cookie", cookie); !errs.Is(err, errs.Unauthenticated) {
			t.Errorf("the session goes on: %v", err)
		}
	}
	t.Run("when nobody is there", func(t *testing.T) {
		s := newSite(t)
		cookie, _ := s.signIn(t)
		for range 5 {
			s.now = s.now.Add(10 * time.Minute)
			if _, err := s.resume("GET", "Cookie", cookie, "Vedette-Presence", "idle"); err != nil {
				t.Errorf("at %v: %v", s.now, err)
			}
		}
		s.now = s.now.Add(10 * time.Minute)
		over(t, s, cookie)
	})
	t.Run("when it is old", func(t *testing.T) {
		s := newSite(t)
		cookie, _ := s.signIn(t)
		for range 23 {
			s.now = s.now.Add(31 * time.Minute)
			if _, err := s.resume("GET", "Cookie", cookie); err != nil {
				t.Fatalf("at %v: %v", s.now, err)
			}
		}
		s.now = s.now.Add(31 * time.Minute)
		over(t, s, cookie)
	})
	t.Run("when the person signs out", func(t *testing.T) {
		s := newSite(t)
		cookie, proof := s.signIn(t)
		res := s.do(t, "DELETE", "/portal/session", "", "Cookie", cookie, "Vedette-Proof", proof)
		if c := res.Cookies(); res.StatusCode != http.StatusOK || len(c) != 1 || c[0].MaxAge >= 0 {
			t.Errorf("signing out: %s, cookies %v", res.Status, c)
		}
		over(t, s, cookie)
	})
	t.Run("when the password changes", func(t *testing.T) {
		s := newSite(t)
		cookie, proof := s.signIn(t)
		other, _ := s.signIn(t)
		s.now = s.now.Add(time.Minute)
		if res := s.do(t, "POST", "/portal/account/password", `{"Old":"wrong","New":"a password of mine"}`, "Cookie", cookie, "Vedette-Proof", proof); res.StatusCode != http.StatusBadRequest {
			t.Errorf("with a wrong password: %s", res.Status)
		}
		res := s.do(t, "POST", "/portal/account/password", `{"Old":"`+password+`","New":"a password of mine"}`, "Cookie", cookie, "Vedette-Proof", proof)
		if res.StatusCode != http.StatusOK {
			t.Errorf("changing the password: %s", res.Status)
		}
		over(t, s, cookie)
		over(t, s, other)
		// Whoever changed it goes on, in a session that nobody knew before.
		if _, err := s.resume("GET", "Cookie", cookieOf(t, res, "vedette-session")); err != nil {
			t.Error(err)
		}
	})
	t.Run("when the account is disabled", func(t *testing.T) {
		s := newSite(t)
		cookie, _ := s.signIn(t)
		if _, _, err := s.dir.NewPerson(t.Context(), s.person.Tenant, "bob", password, []ident.RoleID{access.Admin}); err != nil {
			t.Fatal(err)
		}
		yes := true
		if _, err := s.dir.ChangePerson(t.Context(), s.person.Tenant, s.person.ID, access.PersonChange{Disabled: &yes}); err != nil {
			t.Fatal(err)
		}
		over(t, s, cookie)
	})
}

func TestPreferencesAreOnesOwnAndBounded(t *testing.T) {
	s := newSite(t)
	cookie, proof := s.signIn(t)
	own := []string{"Cookie", cookie, "Vedette-Proof", proof}
	if res := s.do(t, "PUT", "/portal/preferences/columns.alerts", `{"hidden":["a"]}`, own...); res.StatusCode != http.StatusNoContent {
		t.Errorf("keeping one: %s", res.Status)
	}
	for what, put := range map[string][2]string{
		"a bad name":   {"/portal/preferences/..%2Fx", `1`},
		"no name":      {"/portal/preferences/", `1`},
		"no JSON":      {"/portal/preferences/a", `{`},
		"a long value": {"/portal/preferences/a", `"` + strings.Repeat("x", preference.MaxSize) + `"`},
	} {
		if res := s.do(t, "PUT", put[0], put[1], own...); res.StatusCode < 400 || res.StatusCode >= 500 {
			t.Errorf("%s: %s", what, res.Status)
		}
	}
	res := s.do(t, "GET", "/portal/preferences", "", own...)
	var got struct{ Value map[string]json.RawMessage }
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil || len(got.Value) != 1 || string(got.Value["columns.alerts"]) != `{"hidden":["a"]}` {
		t.Errorf("kept are %s, %v", got.Value, err)
	}
	if res := s.do(t, "GET", "/portal/preferences", ""); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a session: %s", res.Status)
	}
}

func TestThePageRunsNothingButItsOwn(t *testing.T) {
	s := newSite(t)
	seen := map[string]bool{}
	for _, path := range []string{"/", "/incidents/5", "/devices/%3Cscript%3E"} {
		res := s.do(t, "GET", path, "")
		var b bytes.Buffer
		b.ReadFrom(res.Body)
		policy := res.Header.Get("Content-Security-Policy")
		_, rest, _ := strings.Cut(policy, "'nonce-")
		nonce, _, _ := strings.Cut(rest, "'")
		if res.StatusCode != http.StatusOK || len(nonce) < 22 || seen[nonce] || !strings.Contains(b.String(), `content="`+nonce+`"`) {
			t.Errorf("%s: %s, nonce %q in %s", path, res.Status, nonce, b.String())
		}
		seen[nonce] = true
		for _, want := range []string{"default-src 'none'", "script-src 'self';", "frame-ancestors 'none'", "base-uri 'none'", "object-src 'none'", "report-uri /portal/report"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: the policy lacks %s: %s", path, want, policy)
			}
		}
		for _, no := range []string{"unsafe-eval", "script-src 'self' 'unsafe-inline'", "https:", "*"} {
			if strings.Contains(policy, no) {
				t.Errorf("%s: the policy allows %s: %s", path, no, policy)
			}
		}
		if res.Header.Get("X-Frame-Options") != "DENY" || res.Header.Get("Referrer-Policy") != "no-referrer" || res.Header.Get("X-Content-Type-Options") != "nosniff" || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", path, res.Header)
		}
	}
	for _, path := range []string{"/wp-login.php", "/assets/none.js", "/README.txt", "/index.html"} {
		if res := s.do(t, "GET", path, ""); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
}

func TestFilesAreSentAsTheBrowserTakesThem(t *testing.T) {
	s := newSite(t)
	for accept, want := range map[string][2]string{"gzip, br": {"br", "br"}, "gzip": {"gzip", ""}, "": {"", "run()"}, "br;q=0, identity": {"", "run()"}} {
		res := s.do(t, "GET", "/assets/a.js", "", "Accept-Encoding", accept)
		var b bytes.Buffer
		b.ReadFrom(res.Body)
		if got := res.Header.Get("Content-Encoding"); got != want[0] || want[1] != "" && b.String() != want[1] {
			t.Errorf("%q: %q, %q", accept, got, b.String())
		}
		if res.Header.Get("Content-Type") != "text/javascript; charset=utf-8" || !strings.Contains(res.Header.Get("Cache-Control"), "immutable") || res.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%q: headers %v", accept, res.Header)
		}
	}
	if res := s.do(t, "POST", "/assets/a.js", ""); res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("posting to a file: %s", res.Status)
	}
}

func TestReportsAreBounded(t *testing.T) {
	s := newSite(t)
	if res := s.do(t, "POST", "/portal/report", `{"csp-report":{"effective-directive":"script-src","blocked-uri":"inline"}}`); res.StatusCode != http.StatusNoContent || s.reports != 1 {
		t.Errorf("a report: %s, %d counted", res.Status, s.reports)
	}
	for _, body := range []string{"", "{", strings.Repeat("x", 20<<10)} {
		if res := s.do(t, "POST", "/portal/report", body); res.StatusCode != http.StatusBadRequest || s.reports != 1 {
			t.Errorf("%d bytes: %s, %d counted", len(body), res.Status, s.reports)
		}
	}
}

func TestWithoutABuildTheServerSaysSo(t *testing.T) {
	p, err := portal.New(portal.Config{Version: "1", Health: health.New(time.Now()), Files: fstest.MapFS{"README.txt": {}}, Trusted: func(*http.Request) bool { return false }})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "built without the portal") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w = httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequest("GET", "/incidents", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("a page of a portal that is not there: %d", w.Code)
	}
}

// TestThePageSaysWhoIsSignedIn reads what stands within the page: for whom the cookie says,
// for nobody else, and as text that cannot end where it stands.
func TestThePageSaysWhoIsSignedIn(t *testing.T) {
	s := newSite(t)
	cookie, _ := s.signIn(t)
	data := func(more ...string) string {
		t.Helper()
		body := text(t, s.do(t, http.MethodGet, "/incidents", "", append([]string{"Accept", "text/html"}, more...)...))
		_, rest, ok := strings.Cut(body, `<script type="application/json" id="session">`)
		if !ok {
			return ""
		}
		inner, _, _ := strings.Cut(rest, "</script>")
		return inner
	}
	for name, headers := range map[string][]string{
		"without a cookie": nil, "with a wrong one": {"Cookie", "__Host-vedette-session=x"}, "from another site": {"Cookie", cookie, "Sec-Fetch-Site", "cross-site"},
	} {
		if got := data(headers...); got != "" {
			t.Errorf("%s the page says %s", name, got)
		}
	}
	hostile := `</script><script>alert(1)</script>`
	if err := s.preferences.Put(t.Context(), ident.Actor{Kind: ident.ActorUser, ID: string(s.person.ID), Name: "ada", Tenant: s.person.Tenant}, "x", json.RawMessage(`"`+hostile+`"`)); err != nil {
		t.Fatal(err)
	}
	got := data("Cookie", cookie, "Sec-Fetch-Site", "none")
	if strings.Contains(got, "<") {
		t.Errorf("the page could end there: %s", got)
	}
	var v struct {
		Session struct {
			SignedIn bool
			Proof    string
			User     struct{ Login string }
		}
		Preferences map[string]any
	}
	if err := json.Unmarshal([]byte(got), &v); err != nil || !v.Session.SignedIn || v.Session.Proof == "" || v.Session.User.Login != "ada" || v.Preferences["x"] != hostile {
		t.Errorf("%v: %s", err, got)
	}
}

func text(t *testing.T, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
