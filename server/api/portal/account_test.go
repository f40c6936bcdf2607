package portal_test

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api/portal"
)

// browser is somebody's browser: it keeps cookies and the proof of its session.
type browser struct {
	*site
	t       *testing.T
	cookies map[string]string
	proof   string
}

func (s *site) browser(t *testing.T) *browser {
	return &browser{site: s, t: t, cookies: map[string]string{}}
}

// answer is what a call may answer, as far as tests read it.
type answer struct {
	SignedIn      bool
	Step          string
	Proof         string
	Secret        string
	Address       string
	RecoveryCodes []string
	Error         struct{ Code, Message string }
	Value         []struct {
		ID, From string
		Current  bool
	}
	SecondFactor struct {
		Enabled, Required bool
		RecoveryCodes     int
	}
	Login, DisplayName, Name string
	RoleNames                []string
	PasswordSignIn           bool
}

// call sends a request as a page of the portal would and returns its status and answer.
func (b *browser) call(method, path, body string) (int, answer) {
	b.t.Helper()
	var all []string
	for k, v := range b.cookies {
		all = append(all, k+"="+v)
	}
	res := b.do(b.t, method, "/portal/"+path, body, "Cookie", strings.Join(all, "; "), "Vedette-Proof", b.proof, "Sec-Fetch-Site", "same-origin")
	for _, c := range res.Cookies() {
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c.Value
		}
	}
	var a answer
	_ = json.NewDecoder(res.Body).Decode(&a)
	if a.Proof != "" {
		b.proof = a.Proof
	}
	return res.StatusCode, a
}

func (b *browser) want(method, path, body string, status int) answer {
	b.t.Helper()
	got, a := b.call(method, path, body)
	if got != status {
		b.t.Fatalf("%s %s: %d %+v, want %d", method, path, got, a.Error, status)
	}
	return a
}

func object(pairs ...string) string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	b, _ := json.Marshal(m)
	return string(b)
}

func (b *browser) signInAs(password string, status int) answer {
	b.t.Helper()
	return b.want("POST", "session", object("login", "ada", "password", password), status)
}

// code is what an authenticator shows now.
func (s *site) code(t *testing.T, secret string) string {
	t.Helper()
	s.now = s.now.Add(time.Minute) // another one than that before
	out, err := exec.Command("oathtool", "--totp", "-b", "-N", s.now.Format("2006-01-02 15:04:05 UTC"), secret).CombinedOutput()
	if err != nil {
		t.Fatalf("oathtool: %v: %s (make setup-test installs it)", err, out)
	}
	return strings.TrimSpace(string(out))
}

// enrol sets up a second factor within a session.
func (b *browser) enrol() (secret string, recovery []string) {
	b.t.Helper()
	e := b.want("POST", "account/factor", object("password", password), 200)
	if !strings.HasPrefix(e.Address, "otpauth://totp/Vedette:ada?") || !strings.Contains(e.Address, "secret="+e.Secret) {
		b.t.Errorf("the address is %s", e.Address)
	}
	done := b.want("POST", "account/factor/confirm", object("code", b.code(b.t, e.Secret)), 200)
	if len(done.RecoveryCodes) != 10 {
		b.t.Errorf("recovery codes %v", done.RecoveryCodes)
	}
	return e.Secret, done.RecoveryCodes
}

func TestASecondFactorIsAskedForBeforeThereIsASession(t *testing.T) {
	s := newSite(t)
	b := s.browser(t)
	b.signInAs(password, 200)
	other := s.browser(t)
	other.signInAs(password, 200)
	b.want("POST", "account/factor", object("password", "wrong"), 400)
	secret, recovery := b.enrol()
	if a := b.want("GET", "account", "", 200); !a.SecondFactor.Enabled || a.SecondFactor.RecoveryCodes != 10 || a.SecondFactor.Required {
		t.Errorf("the account: %+v", a)
	}
	// What was signed in without it is not any more.
	other.want("GET", "account", "", 401)

	c := s.browser(t)
	if a := c.signInAs(password, 200); a.SignedIn || a.Step != "code" || len(c.cookies) != 1 || c.cookies["__Host-vedette-session"] != "" {
		t.Fatalf("after the password: %+v, cookies %v", a, c.cookies)
	}
	c.want("GET", "account", "", 401)
	c.want("GET", "preferences", "", 401)
	if a := c.want("GET", "session", "", 200); a.SignedIn || a.Step != "code" {
		t.Errorf("who is here: %+v", a)
	}
	if a := c.want("POST", "session/code", object("code", "000000"), 401); a.Error.Code != "FactorWrong" {
		t.Errorf("a wrong code: %+v", a.Error)
	}
	c.want("POST", "session/enrolment", "", 401) // there is one already
	c.want("POST", "session/enrolment/confirm", object("code", "000000"), 401)
	code := s.code(t, secret)
	if a := c.want("POST", "session/code", object("code", code), 200); !a.SignedIn || len(c.cookies) != 1 {
		t.Errorf("with the code: %+v, cookies %v", a, c.cookies)
	}
	c.want("GET", "account", "", 200)

	// The same code, and the cookie of the first step, are good for nothing more.
	d := s.browser(t)
	d.signInAs(password, 200)
	d.want("POST", "session/code", object("code", code), 401)
	d.want("POST", "session/code", object("code", recovery[0]), 200)
	e := s.browser(t)
	e.signInAs(password, 200)
	e.want("POST", "session/code", object("code", recovery[0]), 401)
	e.want("DELETE", "session/step", "", 204)
	e.want("POST", "session/code", object("code", recovery[1]), 401)
	e.signInAs(password, 200)
	s.now = s.now.Add(access.PendingLife)
	if a := e.want("POST", "session/code", object("code", recovery[1]), 401); a.Error.Code != "SignInStale" {
		t.Errorf("too late: %+v", a.Error)
	}
	verbs := func(verb string, refused bool) bool {
		return slices.ContainsFunc(s.attempts, func(a portal.Attempt) bool { return a.Verb == verb && (a.Error != "") == refused })
	}
	if !verbs("person.factor.on", false) || !verbs("person.factor.on", true) || !verbs("session.open", true) {
		t.Errorf("recorded: %+v", s.attempts)
	}
}

func TestASecondStepIsNotTakenFromAnotherSite(t *testing.T) {
	s := newSite(t)
	b := s.browser(t)
	b.signInAs(password, 200)
	_, recovery := b.enrol()
	b = s.browser(t)
	b.signInAs(password, 200)
	for _, path := range []string{"session/code", "session/enrolment", "session/enrolment/confirm"} {
		res := s.do(t, "POST", "/portal/"+path, object("code", recovery[0]), "Cookie", "__Host-vedette-sign-in="+b.cookies["__Host-vedette-sign-in"], "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example")
		if res.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
}

func TestGuessingCodesIsBounded(t *testing.T) {
	s := newSite(t)
	b := s.browser(t)
	b.signInAs(password, 200)
	secret, _ := b.enrol()
	b = s.browser(t)
	b.signInAs(password, 200)
	code := s.code(t, secret)
	for range 5 {
		b.want("POST", "session/code", object("code", "000000"), 401)
	}
	if a := b.want("POST", "session/code", object("code", code), 429); a.Error.Code != "FactorLocked" && a.Error.Code != "TooManyRequests" {
		t.Errorf("%+v", a.Error)
	}
}

func TestWhoHasToSetsUpASecondFactorFirst(t *testing.T) {
	s := newSite(t)
	if _, err := s.dir.SetSignInPolicy(t.Context(), s.person.Tenant, access.RequiredOfAll, nil); err != nil {
		t.Fatal(err)
	}
	b := s.browser(t)
	if a := b.signInAs(password, 200); a.SignedIn || a.Step != "enrol" {
		t.Fatalf("%+v", a)
	}
	b.want("GET", "account", "", 401)
	b.want("POST", "session/code", object("code", "000000"), 401)
	b.want("POST", "session/enrolment/confirm", object("code", "000000"), 409) // nothing was begun
	e := b.want("POST", "session/enrolment", "", 200)
	b.want("POST", "session/enrolment/confirm", object("code", "000000"), 401)
	a := b.want("POST", "session/enrolment/confirm", object("code", s.code(t, e.Secret)), 200)
	if !a.SignedIn || len(a.RecoveryCodes) != 10 {
		t.Errorf("%+v", a)
	}
	if a := b.want("GET", "account", "", 200); !a.SecondFactor.Required {
		t.Errorf("%+v", a)
	}
	b.want("POST", "account/factor/remove", object("password", password, "code", s.code(t, e.Secret)), 409)
}

func TestASecondFactorIsReplacedAndRemovedByWhoHasIt(t *testing.T) {
	s := newSite(t)
	b := s.browser(t)
	b.signInAs(password, 200)
	secret, recovery := b.enrol()
	b.want("POST", "account/factor", object("password", password), 400) // without the one that is on
	e := b.want("POST", "account/factor", object("password", password, "code", s.code(t, secret)), 200)
	b.want("POST", "account/factor/confirm", object("code", s.code(t, secret)), 400) // that of the old one
	b.want("POST", "account/factor/confirm", object("code", s.code(t, e.Secret)), 200)
	b.want("POST", "account/factor/recovery", object("password", password, "code", recovery[0]), 400) // of the old one
	fresh := b.want("POST", "account/factor/recovery", object("password", password, "code", s.code(t, e.Secret)), 200)
	b.want("POST", "account/factor/remove", object("password", "wrong", "code", fresh.RecoveryCodes[0]), 400)
	b.want("POST", "account/factor/remove", object("password", password, "code", fresh.RecoveryCodes[0]), 204)
	b.want("POST", "account/factor/remove", object("password", password), 409)
	if a := s.browser(t).signInAs(password, 200); !a.SignedIn {
		t.Errorf("without a second factor: %+v", a)
	}
}

func TestSessionsAreListedAndEndedByTheirPerson(t *testing.T) {
	s := newSite(t)
	var all []*browser
	for range 3 {
		s.now = s.now.Add(time.Minute)
		b := s.browser(t)
		b.signInAs(password, 200)
		all = append(all, b)
	}
	list := all[0].want("GET", "account/sessions", "", 200).Value
	if len(list) != 3 || list[0].From == "" {
		t.Fatalf("sessions %+v", list)
	}
	// The last one is the newest of the others, or this one, which was used just now.
	last := all[2].want("GET", "account/sessions", "", 200).Value
	i := slices.IndexFunc(last, func(x struct {
		ID, From string
		Current  bool
	}) bool {
		return x.Current
	})
	all[0].want("DELETE", "account/sessions/"+last[i].ID, "", 204)
	all[0].want("DELETE", "account/sessions/"+last[i].ID, "", 404)
	all[2].want("GET", "account", "", 401)
	all[1].want("GET", "account", "", 200)
	all[0].want("DELETE", "account/sessions", "", 204)
	all[1].want("GET", "account", "", 401)
	all[0].want("GET", "account", "", 200)
	all[0].proof = ""
	all[0].want("DELETE", "account/sessions", "", 403)
}

func TestOnesOwnNameAndPassword(t *testing.T) {
	s := newSite(t)
	b := s.browser(t)
	b.signInAs(password, 200)
	a := b.want("PATCH", "account", object("displayName", "Ada <b>"), 200)
	if a.Name != "Ada <b>" || a.Login != "ada" || !slices.Contains(a.RoleNames, "Global Administrator") || !a.PasswordSignIn {
		t.Errorf("%+v", a)
	}
	b.want("PATCH", "account", object("displayName", strings.Repeat("x", 300)), 400)
	b.want("PATCH", "account", object("displayName", ""), 400)
	b.want("PATCH", "account", object("roles", "admin"), 400)
	for what, next := range map[string]string{"a short one": "short", "the present one": password} {
		if status, _ := b.call("POST", "account/password", object("old", password, "new", next)); status != 400 {
			t.Errorf("%s: %d", what, status)
		}
	}
	// A wrong present password counts as a failed attempt to sign in does.
	for range 19 {
		b.want("POST", "account/password", object("old", "wrong", "new", "a password of mine"), 400)
	}
	for status := 0; status != http.StatusTooManyRequests; {
		status, _ = b.call("POST", "account/password", object("old", "wrong", "new", "a password of mine"))
		if status != 400 && status != 429 {
			t.Fatalf("%d", status)
		}
	}
	if status, _ := s.browser(t).call("POST", "session", object("login", "ada", "password", password)); status != http.StatusTooManyRequests {
		t.Errorf("signing in then: %d", status)
	}
}

func TestNobodyIsSentElsewhereAfterSigningIn(t *testing.T) {
	for to, want := range map[string]string{
		"/alerts?q=1#x": "/alerts?q=1#x", "": "/", "alerts": "/", "https://evil.example": "/", "//evil.example": "/", `/\evil.example`: "/", "/%2F/evil.example": "/",
		"/portal/sso/start?provider=x": "/", "javascript:alert(1)": "/", "/a\r\nb": "/", "/a?signin=x&b=1": "/a?b=1", "/" + strings.Repeat("x", 2048): "/", "/%": "/",
	} {
		if got := portal.Local(to); got != want {
			t.Errorf("%q leads to %q, want %q", to, got, want)
		}
	}
}
