package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/vedette-edr/vedette/client"
)

// answer is what the server says over plain HTTP.
type answer struct {
	status int
	header http.Header
	body   string
	Error  struct{ Code, Message, Target string }
}

// call makes one request with a token, or with none when it is "".
func (s *server) call(t testing.TB, hc *http.Client, token, method, path, body string) answer {
	t.Helper()
	req, err := http.NewRequest(method, s.profile.APIURL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := hc.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, body: string(raw)}
	json.Unmarshal(raw, &a) // not every answer is an error, nor JSON
	return a
}

// token signs in with the parameters of a form and returns the access token.
func (s *server) token(t testing.TB, hc *http.Client, form url.Values) string {
	t.Helper()
	resp, err := hc.PostForm(s.profile.TokenURL, form)
	if err != nil {
		t.Fatal(err)
	}
	var out struct {
		AccessToken string `json:"access_token"`
	}
	decode(t, resp, http.StatusOK, &out)
	return out.AccessToken
}

// newApp registers an application by the command line and returns its credentials.
func (s *server) newApp(t testing.TB, name string, roles ...string) client.Application {
	t.Helper()
	args := []string{"-o", "json", "app", "create", name}
	for _, r := range roles {
		args = append(args, "--role", r)
	}
	var app client.Application
	if err := json.Unmarshal([]byte(s.cli(t, args...)), &app); err != nil {
		t.Fatal(err)
	}
	return app
}

// TestRequestsThatAreRefused sends what a broken, curious or hostile client sends, and
// expects an answer that says what is wrong and where.
func TestRequestsThatAreRefused(t *testing.T) {
	s := startServer(t)
	hc := s.httpClient(t)
	const scope = "https://api.securitycenter.microsoft.com/.default"
	form := func(id, secret string) url.Values {
		return url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}, "scope": {scope}}
	}
	all := s.token(t, hc, form(s.profile.ClientID, s.profile.ClientSecret))
	reader := s.newApp(t, "reader of alerts", "Alert.Read.All")
	narrow := s.token(t, hc, form(reader.ID, reader.Secret))

	t.Run("token", func(t *testing.T) {
		for what, token := range map[string]string{"none": "", "no token": "x", "changed": all[:len(all)-4] + "AAAA",
			"unsigned": "eyJhbGciOiJub25lIn0." + strings.Split(all, ".")[1] + "."} {
			a := s.call(t, hc, token, "GET", "/api/alerts", "")
			if a.status != http.StatusUnauthorized || !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer") || a.Error.Code == "" || a.Error.Target == "" {
				t.Errorf("%s: %d, WWW-Authenticate %q, %s", what, a.status, a.header.Get("WWW-Authenticate"), a.body)
			}
		}
	})
	t.Run("role", func(t *testing.T) {
		if a := s.call(t, hc, narrow, "GET", "/api/alerts", ""); a.status != http.StatusOK {
			t.Errorf("what it may read: %d %s", a.status, a.body)
		}
		for _, c := range [][3]string{
			{"GET", "/api/machines", ""}, {"POST", "/api/advancedqueries/run", `{"Query":"DeviceInfo"}`},
			{"POST", "/api/indicators", `{}`}, {"POST", "/api/machines/x/isolate", `{}`}, {"POST", "/V1.0/AlertDefinitions", `{}`},
			{"GET", "/api/vedette/applications", ""}, {"POST", "/api/vedette/applications", `{"name":"more","roles":["Vedette.Admin.All"]}`},
		} {
			a := s.call(t, hc, narrow, c[0], c[1], c[2])
			if a.status != http.StatusForbidden || a.Error.Code == "" || !strings.Contains(a.Error.Message, ".") {
				t.Errorf("%s %s: %d %s", c[0], c[1], a.status, a.body)
			}
		}
	})
	t.Run("disabled", func(t *testing.T) {
		s.cli(t, "app", "disable", reader.ID)
		if a := s.call(t, hc, narrow, "GET", "/api/alerts", ""); a.status != http.StatusUnauthorized {
			t.Errorf("the token of a disabled application: %d %s", a.status, a.body)
		}
	})
	t.Run("place", func(t *testing.T) {
		long := strings.Repeat("(", 100_000)
		for _, c := range []struct{ method, path, body, place string }{
			{"POST", "/api/advancedqueries/run", "{\n \"Query\": DeviceInfo}", "line 2, column 11"},
			{"POST", "/api/advancedqueries/run", `{"Query":7}`, "line 1, column 10"},
			{"POST", "/api/advancedqueries/run", `["Query"]`, "line 1, column 1"},
			{"POST", "/api/advancedqueries/run", `{}`, "Query"},
			{"POST", "/api/advancedqueries/run", `{"Query":"DeviceInfo\n| where Nonsense == 1"}`, "2:9:"},
			{"POST", "/api/advancedqueries/run", `{"Query":"NoSuchTable | take 1"}`, "1:1:"},
			{"POST", "/api/advancedqueries/run", `{"Query":"DeviceInfo | where (DeviceId == \"x\""}`, "1:36:"},
			{"POST", "/api/advancedqueries/run", `{"Query":"DeviceInfo | where ` + long + `"}`, "1:70:"},
			{"POST", "/api/indicators", `{"indicatorValue":"x","indicatorType":"Nonsense","action":"Audit","title":"t","description":"d"}`, "indicatorType"},
			{"GET", "/api/alerts?$filter=" + url.QueryEscape("severity eq"), "", "$filter, column 12"},
			{"GET", "/api/alerts?$filter=" + url.QueryEscape("nonsense eq 'High'"), "", "$filter, column 1:"},
			{"GET", "/api/alerts?$top=-1", "", "$top"},
			{"GET", "/api/machines?$orderby=" + url.QueryEscape("lastSeen sideways"), "", "$orderby: \\\"sideways\\\""},
			{"POST", "/V1.0/AlertDefinitions", `{"Name":`, "line 1, column"},
		} {
			a := s.call(t, hc, all, c.method, c.path, c.body)
			if a.status != http.StatusBadRequest || !strings.Contains(a.body, c.place) {
				t.Errorf("%s %.60s %.60s: %d %.300s does not name %s", c.method, c.path, c.body, a.status, a.body, c.place)
			}
		}
	})
	t.Run("size", func(t *testing.T) {
		huge := `{"Query":"` + strings.Repeat("x", 40<<20) + `"}`
		req, _ := http.NewRequest("POST", s.profile.APIURL+"/api/advancedqueries/run", bytes.NewReader([]byte(huge)))
		req.Header.Set("Authorization", "Bearer "+all)
		resp, err := hc.Do(req)
		if err != nil {
			t.Fatal(err) // the answer comes although the body was not read to its end
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%d bytes are answered %s", len(huge), resp.Status)
		}
		if a := s.call(t, hc, strings.Repeat("x", 60_000), "GET", "/api/alerts", ""); a.status != http.StatusUnauthorized {
			t.Errorf("a token of 60,000 bytes: %d", a.status)
		}
	})
	t.Run("route", func(t *testing.T) {
		for _, path := range []string{"/api/nonsense", "/api/machines/x/y/z", "/V1.0/Nonsense", "/api/../etc/passwd", "/api/%2e%2e/x"} {
			a := s.call(t, hc, all, "GET", path, "")
			if a.status != http.StatusNotFound || a.Error.Code == "" || !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
				t.Errorf("%s: %d %s %s", path, a.status, a.header.Get("Content-Type"), a.body)
			}
		}
		if a := s.call(t, hc, all, "DELETE", "/api/alerts", ""); a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") == "" || a.Error.Code == "" {
			t.Errorf("DELETE /api/alerts: %d, Allow %q, %s", a.status, a.header.Get("Allow"), a.body)
		}
	})
	t.Run("sign-in", func(t *testing.T) {
		for what, f := range map[string]url.Values{
			"wrong secret": form(s.profile.ClientID, "wrong"), "unknown application": form("11111111-1111-1111-1111-111111111111", "x"),
			"disabled application": form(reader.ID, reader.Secret), "nothing": {},
		} {
			resp, err := hc.PostForm(s.profile.TokenURL, f)
			if err != nil {
				t.Fatal(err)
			}
			raw, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != 400 && resp.StatusCode != 401 || !strings.Contains(string(raw), "AADSTS") {
				t.Errorf("%s: %s %s", what, resp.Status, raw)
			}
		}
	})
	if a := s.call(t, hc, all, "GET", "/api/alerts", ""); a.status != http.StatusOK {
		t.Errorf("afterwards the server answers %d %s", a.status, a.body)
	}
}
