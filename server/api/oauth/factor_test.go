package oauth_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/access"
)

var stepField = regexp.MustCompile(`name="vedette_step" value="([^"]+)"`)

// otp is what an authenticator shows, a minute after the last one.
func (i *installation) otp(t *testing.T, secret string) string {
	t.Helper()
	i.now = i.now.Add(time.Minute)
	out, err := exec.Command("oathtool", "--totp", "-b", "-N", i.now.UTC().Format("2006-01-02 15:04:05 UTC"), secret).CombinedOutput()
	if err != nil {
		t.Fatalf("oathtool: %v: %s (make setup-test installs it)", err, out)
	}
	return strings.TrimSpace(string(out))
}

// fill posts the page of target with what is filled in.
func (i *installation) fill(t *testing.T, target string, fields ...string) *httptest.ResponseRecorder {
	t.Helper()
	token, cookie, _ := i.open(t, target)
	f := url.Values{"vedette_form": {token}}
	for n := 0; n < len(fields); n += 2 {
		f.Set(fields[n], fields[n+1])
	}
	r := httptest.NewRequest("POST", target, strings.NewReader(f.Encode()))
	r.AddCookie(cookie)
	w := httptest.NewRecorder()
	i.handler.ServeHTTP(w, r)
	return w
}

func TestAPasswordAloneGetsNoTokenOfWhoHasASecondFactor(t *testing.T) {
	i := install(t)
	ada, _, err := i.dir.NewPerson(t.Context(), i.tenant.ID, "ada", "a password of somebody", nil)
	if err != nil {
		t.Fatal(err)
	}
	e, err := i.dir.BeginFactor(t.Context(), ada.Tenant, ada.ID)
	if err != nil {
		t.Fatal(err)
	}
	recovery, err := i.dir.ConfirmFactor(t.Context(), ada.Tenant, ada.ID, i.otp(t, e.Secret))
	if err != nil {
		t.Fatal(err)
	}
	path := "/" + string(i.tenant.ID) + "/oauth2/v2.0/token"
	status, v, _ := i.post(path, i.form("grant_type", "password", "username", "ada", "password", "a password of somebody"))
	wantFailure(t, status, v, 400, "invalid_grant", 50076)
	// Whoever does not know the password does not learn that there is a second factor.
	status, v, _ = i.post(path, i.form("grant_type", "password", "username", "ada", "password", "wrong"))
	wantFailure(t, status, v, 400, "invalid_grant", 50126)

	one, two := i.native(t), i.native(t)
	w := i.signIn(t, i.authorizeURL(one), "ada", "a password of somebody")
	m := stepField.FindStringSubmatch(w.Body.String())
	if w.Code != http.StatusOK || m == nil || w.Header().Get("Location") != "" {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	for what, try := range map[string]struct {
		app        *access.Application
		step, code string
	}{
		"no step": {one, "", recovery[0]}, "a step of another program": {two, m[1], recovery[0]}, "a forged step": {one, m[1] + "x", recovery[0]}, "a wrong code": {one, m[1], "123456"}, "no code": {one, m[1], ""},
	} {
		if w := i.fill(t, i.authorizeURL(try.app), "vedette_step", try.step, "code", try.code); w.Code == http.StatusSeeOther {
			t.Errorf("%s: %s", what, w.Header().Get("Location"))
		}
	}
	if w := i.fill(t, i.authorizeURL(one), "vedette_step", m[1], "code", recovery[0]); w.Code != http.StatusSeeOther || !strings.Contains(w.Header().Get("Location"), "code=") {
		t.Errorf("with a recovery code: %d %s", w.Code, w.Body)
	}
	if w := i.fill(t, i.authorizeURL(one), "vedette_step", m[1], "code", recovery[0]); w.Code == http.StatusSeeOther {
		t.Error("the same recovery code lets in again")
	}
}

func TestWhoHasToSetUpASecondFactorIsSentToThePortal(t *testing.T) {
	i := install(t)
	if _, _, err := i.dir.NewPerson(t.Context(), i.tenant.ID, "ada", "a password of somebody", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := i.dir.SetSignInPolicy(t.Context(), i.tenant.ID, access.RequiredOfAll, nil); err != nil {
		t.Fatal(err)
	}
	status, v, _ := i.post("/"+string(i.tenant.ID)+"/oauth2/v2.0/token", i.form("grant_type", "password", "username", "ada", "password", "a password of somebody"))
	wantFailure(t, status, v, 400, "invalid_grant", 50079)
	w := i.signIn(t, i.authorizeURL(i.native(t)), "ada", "a password of somebody")
	if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), `href="`+ownURL+`/"`) || strings.Contains(w.Body.String(), `name="password"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
