package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/client"
)

// oathtool is a code of a secret, worked out by somebody else's program, so many seconds
// from now.
func oathtool(t *testing.T, secret string, from time.Duration) string {
	t.Helper()
	out, err := exec.Command("oathtool", "--totp", "-b", "-N", fmt.Sprintf("@%d", time.Now().Add(from).Unix()), secret).CombinedOutput()
	if err != nil {
		t.Fatalf("oathtool: %v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// me runs vedette me as somebody. It returns what was printed and what was said.
func (s *server) me(t *testing.T, env []string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	cmd := exec.Command(bin("vedette"), append([]string{"--profile", s.profilePath(), "-o", "json", "me"}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err = cmd.Run()
	return out.String(), said.String(), err
}

// TestAPersonsSecondFactorIsNoWayAround turns a second factor on by the command line, with a
// program of other hands for the codes, and tries every way in without it.
func TestAPersonsSecondFactorIsNoWayAround(t *testing.T) {
	s := startServer(t)
	const login, password = "ada@example.org", "a password of somebody"
	s.cli(t, "user", "create", login, "--role", "security-reader")
	var all struct{ Value []client.User }
	must(t, s.Do(t.Context(), http.MethodGet, "/api/vedette/users", nil, &all))
	id := ""
	for _, u := range all.Value {
		if u.Login == login {
			id = u.ID
		}
	}
	must(t, s.Do(t.Context(), http.MethodPost, "/api/vedette/users/"+id+"/password", map[string]string{"password": password}, nil))
	who := []string{"VEDETTE_LOGIN=" + login, "VEDETTE_PASSWORD=" + password}

	// The secret is read from what is said, and the code given to what is asked.
	cmd := exec.Command(bin("vedette"), "--profile", s.profilePath(), "-o", "json", "me", "factor", "on")
	cmd.Env = append(os.Environ(), who...)
	answers, err := cmd.StdinPipe()
	must(t, err)
	said, err := cmd.StderrPipe()
	must(t, err)
	var printed bytes.Buffer
	cmd.Stdout = &printed
	must(t, cmd.Start())
	var text bytes.Buffer
	buf := make([]byte, 4096)
	for !strings.Contains(text.String(), "shows now") {
		n, err := said.Read(buf)
		text.Write(buf[:n])
		if err != nil {
			t.Fatalf("vedette me factor on: %v: %s", err, &text)
		}
	}
	secret := regexp.MustCompile(`app: ([A-Z2-7]{32})`).FindStringSubmatch(text.String())
	if secret == nil || !strings.Contains(text.String(), "otpauth://totp/Vedette:ada@example.org?") {
		t.Fatalf("it says %s", &text)
	}
	fmt.Fprintln(answers, oathtool(t, secret[1], 0))
	must(t, answers.Close())
	must(t, cmd.Wait())
	var made struct{ RecoveryCodes []string }
	if err := json.Unmarshal(printed.Bytes(), &made); err != nil || len(made.RecoveryCodes) != 10 {
		t.Fatalf("recovery codes: %v %s", err, &printed)
	}

	// The password alone is not enough: for the command, for a program that sends it, for a form.
	if _, said, err := s.me(t, who, "show"); err == nil {
		t.Errorf("me show without a code: %s", said)
	}
	app := struct{ ID string }{}
	must(t, s.Do(t.Context(), http.MethodPost, "/api/vedette/applications", map[string]any{"name": "Program", "isPublicClient": true, "delegatedPermissions": []string{"Alert.Read"}, "redirectUris": []string{"http://localhost/back"}}, &app))
	token := func(form url.Values) map[string]any {
		t.Helper()
		out, err := exchange(s.httpClient(t), s.profile.TokenURL, form)
		must(t, err)
		return out
	}
	grant := url.Values{"grant_type": {"password"}, "client_id": {app.ID}, "username": {login}, "password": {password}}
	if got := token(grant); got["error"] != "invalid_grant" || !strings.Contains(fmt.Sprint(got["error_description"]), "AADSTS50076") || got["access_token"] != nil {
		t.Errorf("the password grant: %v", got)
	}
	code := s.authorize(t, app.ID, login, password, func() string { return oathtool(t, secret[1], 30*time.Second) })
	if got := token(url.Values{"grant_type": {"authorization_code"}, "client_id": {app.ID}, "code": {code}, "redirect_uri": {"http://localhost/back"}, "code_verifier": {verifier}}); got["access_token"] == nil {
		t.Errorf("the authorization code: %v", got)
	}

	// A recovery code is good once.
	if out, said, err := s.me(t, append(who, "VEDETTE_CODE="+made.RecoveryCodes[0]), "show"); err != nil || !strings.Contains(out, `"recoveryCodes": 9`) {
		t.Errorf("me show with a recovery code: %v %s%s", err, out, said)
	}
	if _, said, err := s.me(t, append(who, "VEDETTE_CODE="+made.RecoveryCodes[0]), "show"); err == nil || !strings.Contains(said, "wrong or was used before") {
		t.Errorf("the same recovery code: %v %s", err, said)
	}
	// One's own password; the administrator's reset; what is required.
	if _, said, err := s.me(t, append(who, "VEDETTE_CODE="+made.RecoveryCodes[1], "VEDETTE_NEW_PASSWORD=another password of theirs"), "password"); err != nil {
		t.Errorf("me password: %v %s", err, said)
	}
	who[1] = "VEDETTE_PASSWORD=another password of theirs"
	s.cli(t, "user", "reset-factor", id)
	if out, said, err := s.me(t, who, "sessions"); err != nil || !strings.Contains(out, `"current": true`) {
		t.Errorf("me sessions: %v %s%s", err, out, said)
	}
	s.cli(t, "sso", "policy", "Roles", "--role", "security-reader")
	if _, said, err := s.me(t, who, "show"); err == nil || !strings.Contains(said, "second factor is required") {
		t.Errorf("where one is required: %v %s", err, said)
	}
	grant.Set("password", "another password of theirs")
	if got := token(grant); !strings.Contains(fmt.Sprint(got["error_description"]), "AADSTS50079") {
		t.Errorf("the password grant where one is required: %v", got)
	}
	record := s.cli(t, "api", "GET", "/api/vedette/audit?$top=200")
	for _, verb := range []string{"person.factor.on", "person.password", "user.factor.reset", "signinpolicy.change", "wrong code of the second factor"} {
		if !strings.Contains(record, verb) {
			t.Errorf("the record lacks %s", verb)
		}
	}
}

// verifier is what a program proves itself with (RFC 7636 §4.1).
const verifier = "a-program-proves-that-it-is-the-one-who-began-0123456789"

// exchange asks the token endpoint for a token.
func exchange(hc *http.Client, at string, form url.Values) (out map[string]any, err error) {
	res, err := hc.PostForm(at, form)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return out, json.NewDecoder(res.Body).Decode(&out)
}

// authorizePath is the page on which people sign in for a program, which proves itself with
// verifier.
func (s *server) authorizePath(app, back string) string {
	sum := sha256.Sum256([]byte(verifier))
	return "/" + s.profile.TenantID + "/oauth2/v2.0/authorize?" + url.Values{"client_id": {app}, "response_type": {"code"}, "redirect_uri": {back},
		"scope": {"Alert.Read"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}}.Encode()
}

// notebook is a program that people sign in for with a browser: the path that it opens, the address
// where it waits, and what it gets for each code that comes there, or the error.
func (s *server) notebook(t *testing.T) (path, back string, tokens <-chan any) {
	t.Helper()
	got, hc := make(chan any, 10), s.httpClient(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	back = fmt.Sprintf("http://127.0.0.1:%d/back", l.Addr().(*net.TCPAddr).Port)
	var app struct{ ID string }
	must(t, s.Do(t.Context(), http.MethodPost, "/api/vedette/applications", map[string]any{"name": "Notebook", "isPublicClient": true, "delegatedPermissions": []string{"Alert.Read"}, "redirectUris": []string{back}}, &app))
	waits := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if code := r.URL.Query().Get("code"); code != "" {
			answer, err := exchange(hc, s.profile.TokenURL, url.Values{"grant_type": {"authorization_code"}, "client_id": {app.ID}, "code": {code}, "redirect_uri": {back}, "code_verifier": {verifier}})
			if err != nil {
				got <- err
			} else {
				got <- answer
			}
		}
		fmt.Fprint(w, "The program has what it needs.")
	})}
	go waits.Serve(l)
	t.Cleanup(func() { waits.Close() })
	return s.authorizePath(app.ID, back), back, got
}

// authorize signs in on the form for a program and returns the code that it sends back.
func (s *server) authorize(t *testing.T, app, login, password string, code func() string) string {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	hc := *s.httpClient(t)
	hc.Jar, hc.CheckRedirect = jar, func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	at := "https://" + s.addr + s.authorizePath(app, "http://localhost/back")
	field := func(page, name string) string {
		m := regexp.MustCompile(`name="` + name + `" value="([^"]+)"`).FindStringSubmatch(page)
		if m == nil {
			t.Fatalf("the page has no %s: %s", name, page)
		}
		return m[1]
	}
	read := func(res *http.Response, err error) (*http.Response, string) {
		t.Helper()
		must(t, err)
		defer res.Body.Close()
		var b bytes.Buffer
		_, err = b.ReadFrom(res.Body)
		must(t, err)
		return res, b.String()
	}
	_, page := read(hc.Get(at))
	res, page := read(hc.PostForm(at, url.Values{"vedette_form": {field(page, "vedette_form")}, "username": {login}, "password": {password}}))
	if res.StatusCode != http.StatusOK || !strings.Contains(page, `name="code"`) {
		t.Fatalf("after the password: %s %s", res.Status, page)
	}
	step := field(page, "vedette_step")
	res, page = read(hc.PostForm(at, url.Values{"vedette_form": {field(page, "vedette_form")}, "vedette_step": {step}, "code": {"000000"}}))
	if res.StatusCode != http.StatusForbidden || !strings.Contains(page, "wrong or was used before") {
		t.Errorf("a wrong code: %s %s", res.Status, page)
	}
	form := url.Values{"vedette_form": {field(page, "vedette_form")}, "vedette_step": {step}, "code": {code()}}
	res, page = read(hc.PostForm(at, form))
	to, err := url.Parse(res.Header.Get("Location"))
	if err != nil || res.StatusCode != http.StatusSeeOther || to.Query().Get("code") == "" {
		t.Fatalf("with the code: %s %s %s", res.Status, to, page)
	}
	return to.Query().Get("code")
}

// certificate writes a certificate of 127.0.0.1 that is its own authority.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "identity provider"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(k)
	must(t, err)
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	must(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	must(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	return cert, key
}

// TestPeopleSignInInThePortal has browsers go through one's own account and second factor,
// and through an identity provider, which is somebody else's program.
func TestPeopleSignInInThePortal(t *testing.T) {
	cert, key := certificate(t)
	s := &server{dir: t.TempDir(), addr: fmt.Sprintf("127.0.0.1:%d", freePort(t)), flags: []string{"--sso-network", "127.0.0.0/8", "--sso-ca", cert}}
	s.start(t)

	t.Run("by an identity provider", func(t *testing.T) {
		people := filepath.Join(t.TempDir(), "people.json")
		write := func(file string, groups ...string) {
			person := func(id, name, first, mail string, groups []string) map[string]any {
				return map[string]any{"ID": id, "Username": name, "Password": "verysecure", "FirstName": first, "LastName": "Lovelace", "Email": mail, "EmailVerified": true, "PreferredLanguage": "en", "Groups": groups}
			}
			raw, err := json.Marshal(map[string]any{"id1": person("id1", "ada", "Ada", "ada@example.org", groups), "id2": person("id2", "eve", "Eve", "eve@elsewhere.example", []string{"soc-leads"})})
			must(t, err)
			must(t, os.WriteFile(file, raw, 0o600))
		}
		write(people, "soc-team", "everybody")
		write(people+".next", "soc-leads")
		at := fmt.Sprintf("127.0.0.1:%d", freePort(t))
		issuer := "https://" + at
		start(t, bin("identityprovider"), "--listen", at, "--issuer", issuer, "--cert", cert, "--key", key, "--people", people, "--secret", "a secret of the client",
			"--redirect", "https://"+s.addr+"/portal/sso/callback", "--back", "https://"+s.addr+"/")
		program, back, tokens := s.notebook(t)
		journey(t, "", "https://"+s.addr, s.profile, "sso", "PROGRAM="+program, "BACK="+back, "ISSUER="+issuer, "SECRET=a secret of the client", "PERSON=ada", "PERSON_PASSWORD=verysecure", "STRANGER=eve", "CHANGED=cp "+people+".next "+people)
		for range 2 {
			got := <-tokens
			if answer, ok := got.(map[string]any); !ok || answer["scope"] != "Alert.Read" || answer["access_token"] == nil {
				t.Errorf("the program gets %v", got)
			}
		}
		if out := s.cli(t, "sso", "list"); !strings.Contains(out, issuer) {
			t.Errorf("vedette sso list: %s", out)
		}
		var providers struct{ Value []client.IdentityProvider }
		must(t, s.Do(t.Context(), http.MethodGet, "/api/vedette/identityproviders", nil, &providers))
		if out := s.cli(t, "sso", "test", providers.Value[0].ID); !strings.Contains(out, "it knows the client id") {
			t.Errorf("vedette sso test: %s", out)
		}
		s.cli(t, "sso", "update", providers.Value[0].ID, "--disabled", "--group-role", "a=b=security-reader")
		if out := s.cli(t, "sso", "get", providers.Value[0].ID); !strings.Contains(out, "a=b=security-reader") {
			t.Errorf("vedette sso get: %s", out)
		}
		s.cli(t, "sso", "delete", providers.Value[0].ID)
		record := s.cli(t, "api", "GET", "/api/vedette/audit?$top=200")
		for _, what := range []string{"identityprovider.create", "identityprovider.change", "user.vouched", "by the identity provider", "elsewhere.example"} {
			if !strings.Contains(record, what) {
				t.Errorf("the record lacks %s", what)
			}
		}
	})

	t.Run("with a second factor", func(t *testing.T) {
		const login, password = "second", "a password of the second person"
		must(t, s.Do(t.Context(), http.MethodPost, "/api/vedette/users", map[string]any{"login": login, "roles": []string{"security-reader"}, "password": password}, nil))
		journey(t, "", "https://"+s.addr, s.profile, "identity", "OTHER="+login, "OTHER_PASSWORD="+password)
	})

	res, err := s.httpClient(t).Get("https://" + s.addr + "/metrics")
	must(t, err)
	defer res.Body.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(res.Body)
	must(t, err)
	if !strings.Contains(b.String(), "vedette_portal_policy_reports_total 0") {
		t.Error("a page broke its policy")
	}
}
