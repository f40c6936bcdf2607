package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// tokens is an authenticator that knows a fixed set of tokens.
type tokens map[string]*access.Principal

func (t tokens) Authenticate(_ context.Context, token, audience string) (*access.Principal, error) {
	if p, ok := t[token]; ok && audience == "mde" {
		return p, nil
	}
	return nil, errs.New("test", errs.Unauthenticated, errs.Unauthorized, "the token is not valid")
}

func reader() tokens {
	return tokens{
		"good":  {Actor: ident.Actor{ID: "app", Tenant: "t"}, Roles: []string{"Alert.Read.All"}},
		"other": {Actor: ident.Actor{ID: "app2", Tenant: "t"}, Roles: []string{"Ti.ReadWrite.All"}},
		"user":  {Actor: ident.Actor{Kind: ident.ActorUser, ID: "u", Tenant: "t"}, Scopes: []string{"Alert.Read"}, Rights: []access.Right{access.ViewOperations}},
		"idle":  {Actor: ident.Actor{Kind: ident.ActorUser, ID: "i", Tenant: "t"}, Scopes: []string{"Alert.Read"}},
	}
}

func newRouter(t *testing.T, routes ...api.Route) (*api.Router, *strings.Builder) {
	t.Helper()
	var log strings.Builder
	r, err := api.New(api.Config{
		Auth: reader(), Audience: "mde", Log: slog.New(slog.NewTextHandler(&log, nil)),
		NewID: func() string { return "cid" }, Now: func() time.Time { return time.Unix(0, 0) },
	}, routes)
	if err != nil {
		t.Fatal(err)
	}
	return r, &log
}

func do(h http.Handler, method, target, body string, header ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, target, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer good")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}

var alertRead = []access.Permission{access.AlertRead}

// echo answers with the pattern's name and the values of vars.
func echo(name string, vars ...string) api.Handler {
	return func(w http.ResponseWriter, r *api.Request) error {
		got := name
		for _, v := range vars {
			got += " " + v + "=" + r.Var(v)
		}
		return api.WriteText(w, http.StatusOK, got)
	}
}

func TestPathsMatchAsClientsSendThem(t *testing.T) {
	r, _ := newRouter(t,
		api.Route{Method: "GET", Pattern: "/api/alerts", Need: alertRead, Handle: echo("list")},
		api.Route{Method: "GET", Pattern: "/api/alerts/{id}", Need: alertRead, Handle: echo("get", "id")},
		api.Route{Method: "GET", Pattern: "/api/alerts/$count", Need: alertRead, Handle: echo("count")},
		api.Route{Method: "POST", Pattern: "/api/alerts/batchUpdate", Need: alertRead, Handle: echo("batch")},
		api.Route{Method: "GET", Pattern: "/api/machines/{id}", Need: alertRead, Handle: echo("machine", "id")},
		api.Route{Method: "GET", Pattern: "/api/machines/findbyip(ip={ip},timestamp={ts})", Need: alertRead, Handle: echo("find", "ip", "ts")},
		api.Route{Method: "GET", Pattern: "/V1.0/AlertDefinitions({id})", Need: alertRead, Handle: echo("def", "id")},
		api.Route{Method: "PUT", Pattern: "/V1.0/AlertDefinitions({id})/$ref", Need: alertRead, Handle: echo("ref", "id")},
		api.Route{Method: "GET", Pattern: "/V1.0", Need: alertRead, Handle: echo("service")},
		api.Route{Method: "GET", Pattern: "/", Need: alertRead, Handle: echo("root")},
	)
	for _, c := range []struct{ method, target, want string }{
		{"GET", "/api/alerts", "list"},
		{"GET", "/API/Alerts/", "list"},
		{"GET", "/api/v1.0/alerts", "list"},
		{"GET", "/api/V1.0//alerts//", "list"},
		{"GET", "/api/alerts?$top=5&", "list"},
		{"GET", "/api/alerts/da1_-2", "get id=da1_-2"},
		{"GET", "/api/alerts/v1.0", "get id=v1.0"},
		{"GET", "/api/alerts/$count", "count"},
		{"GET", "/api/alerts/%24count", "count"},
		{"POST", "/api/alerts/BatchUpdate", "batch"},
		{"GET", "/api/machines/a%2Fb", "machine id=a/b"},
		{"GET", "/api/machines/findbyip(ip='10.1.2.3',timestamp=2019-01-01T00:00:00Z)", "find ip=10.1.2.3 ts=2019-01-01T00:00:00Z"},
		{"GET", "/api/machines/FindByIP(Timestamp=2019-01-01T00:00:00Z,IP=%27::1%27)", "find ip=::1 ts=2019-01-01T00:00:00Z"},
		{"GET", "/api/machines/findbyip(ip='1.2.3.4')", "machine id=findbyip(ip='1.2.3.4')"},
		{"GET", "/v1.0/alertdefinitions(7)", "def id=7"},
		{"GET", "/v1.0/AlertDefinitions('o''x,y')", "def id=o'x,y"},
		{"GET", "/v1.0/AlertDefinitions(Id=7)", "def id=7"},
		{"PUT", "/v1.0/AlertDefinitions(7)/$ref", "ref id=7"},
		{"GET", "/V1.0/", "service"},
		{"GET", "/", "root"},
	} {
		w := do(r, c.method, c.target, "")
		if got := w.Body.String(); w.Code != 200 || got != c.want {
			t.Errorf("%s %s: %d %q, want %q", c.method, c.target, w.Code, got, c.want)
		}
	}
}

func TestErrorsHaveThePublishedFormAndStatus(t *testing.T) {
	fail := func(err error) api.Handler { return func(http.ResponseWriter, *api.Request) error { return err } }
	cases := []struct {
		err       error
		status    int
		code, msg string
	}{
		{errs.New("x", errs.Invalid, errs.InvalidInput, "bad"), 400, "InvalidInput", "bad"},
		{errs.New("x", errs.NotFound, errs.ResourceNotFound, "gone"), 404, "ResourceNotFound", "gone"},
		{errs.New("x", errs.NotFound, "", "gone"), 404, "NotFound", "gone"},
		{errs.New("x", errs.Conflict, errs.ActiveRequestAlreadyExists, "Action is already in progress"), 400, "ActiveRequestAlreadyExists", "Action is already in progress"},
		{errs.New("x", errs.Conflict, "", "busy"), 409, "BadRequest", "busy"},
		{errs.New("x", errs.Denied, "", "no"), 403, "Forbidden", "no"},
		{errs.New("x", errs.Unauthenticated, "", "who"), 401, "Unauthorized", "who"},
		{errs.New("x", errs.Unsupported, errs.OSPlatformNotSupported, "os"), 400, "OsPlatformNotSupported", "os"},
		{errs.New("x", errs.Exhausted, "", "full"), 507, "QuotaExceeded", "full"},
		{errs.New("x", errs.Timeout, "", "slow"), 504, "InternalServerError", "slow"},
		{fmt.Errorf("outer: %w", errs.Wrap("y", errs.New("x", errs.Invalid, errs.InvalidURL, "u"))), 400, "InvalidUrl", "u"},
		{context.DeadlineExceeded, 504, "InternalServerError", "Gateway Timeout"},
		{errors.New("secret internals"), 500, "InternalServerError", "an internal error occurred; the server's log has it under the target of this error"},
	}
	for _, c := range cases {
		r, log := newRouter(t, api.Route{Method: "GET", Pattern: "/x", Need: alertRead, Handle: fail(c.err)})
		w := do(r, "GET", "/x", "")
		want := fmt.Sprintf(`{"error":{"code":%q,"message":%q,"target":"cid"}}`, c.code, c.msg)
		if w.Code != c.status || w.Body.String() != want {
			t.Errorf("%v:\n got %d %s\nwant %d %s", c.err, w.Code, w.Body, c.status, want)
		}
		if !strings.Contains(log.String(), "correlation=cid") {
			t.Errorf("%v: the log lacks the correlation id: %s", c.err, log)
		}
	}
}

func TestAnswersCarryTheODataHeaders(t *testing.T) {
	r, _ := newRouter(t,
		api.Route{Method: "GET", Pattern: "/x", Need: alertRead, Handle: func(w http.ResponseWriter, r *api.Request) error {
			return api.WriteJSON(w, r, 200, map[string]string{"a": "<&>"})
		}},
		api.Route{Method: "DELETE", Pattern: "/x", Need: alertRead, Handle: func(w http.ResponseWriter, r *api.Request) error {
			return api.WriteEmpty(w, 204)
		}})
	w := do(r, "GET", "/x", "")
	if got := w.Header().Get("Content-Type"); got != "application/json; odata.metadata=minimal; odata.streaming=true; charset=utf-8" {
		t.Errorf("content type %q", got)
	}
	if got := w.Header().Get("OData-Version"); got != "4.0" {
		t.Errorf("odata version %q", got)
	}
	if got := w.Body.String(); got != `{"a":"<&>"}` {
		t.Errorf("body %q", got)
	}
	if w := do(r, "GET", "/x", "", "Accept", "application/json; odata.metadata=none"); !strings.Contains(w.Header().Get("Content-Type"), "odata.metadata=none") {
		t.Errorf("metadata=none was not honoured: %v", w.Header())
	}
	w = do(r, "DELETE", "/x", "")
	if w.Code != 204 || w.Body.Len() != 0 || w.Header().Get("Content-Type") != "" {
		t.Errorf("empty answer: %d %q %v", w.Code, w.Body, w.Header())
	}
}

func TestCallersAreAskedForTokenAndPermission(t *testing.T) {
	r, log := newRouter(t,
		api.Route{Method: "GET", Pattern: "/x", Need: alertRead, Handle: func(w http.ResponseWriter, r *api.Request) error {
			p, err := access.FromContext(r.Context())
			if err != nil {
				return err
			}
			return api.WriteText(w, 200, p.ID)
		}},
		api.Route{Method: "GET", Pattern: "/open", Open: "health is public", Handle: echo("open")})
	for _, c := range []struct {
		auth   string
		status int
		want   string
	}{
		{"Bearer good", 200, "app"},
		{"bearer  good", 200, "app"},
		{"Bearer user", 200, "u"},
		{"Bearer wrong", 401, "not valid"},
		{"Basic good", 401, "no bearer token"},
		{"", 401, "no bearer token"},
		{"Bearer other", 403, "Alert.Read.All"},
	} {
		w := do(r, "GET", "/x", "", "Authorization", c.auth)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%q: %d %s, want %d %q", c.auth, w.Code, w.Body, c.status, c.want)
		}
		if c.status == 401 && !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%q: no challenge", c.auth)
		}
	}
	if w := do(r, "GET", "/open", "", "Authorization", ""); w.Code != 200 {
		t.Errorf("open route: %d", w.Code)
	}
	if strings.Contains(log.String(), "wrong") {
		t.Errorf("a token is in the log: %s", log)
	}
}

func TestRoutesThatCannotBeServedAreRefused(t *testing.T) {
	ok := api.Route{Method: "GET", Pattern: "/a/{id}", Need: alertRead, Handle: echo("")}
	with := func(f func(*api.Route)) api.Route { r := ok; f(&r); return r }
	for name, routes := range map[string][]api.Route{
		"no permission":         {with(func(r *api.Route) { r.Need = nil })},
		"permission and open":   {with(func(r *api.Route) { r.Open = "why" })},
		"no handler":            {with(func(r *api.Route) { r.Handle = nil })},
		"same shape":            {ok, with(func(r *api.Route) { r.Pattern = "/A/{other}" })},
		"same arguments":        {with(func(r *api.Route) { r.Pattern = "/f(a={a},b={b})" }), with(func(r *api.Route) { r.Pattern = "/F(B={x},A={y})" })},
		"unbalanced":            {with(func(r *api.Route) { r.Pattern = "/a({id}" })},
		"literal argument":      {with(func(r *api.Route) { r.Pattern = "/a(b)" })},
		"positional, several":   {with(func(r *api.Route) { r.Pattern = "/a({b},{c})" })},
		"no slash at the start": {with(func(r *api.Route) { r.Pattern = "a" })},
	} {
		if _, err := api.New(api.Config{Auth: reader()}, routes); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	r, _ := newRouter(t, ok)
	var got []string
	r.Walk(func(r api.Route) { got = append(got, r.Pattern) })
	if diff := cmp.Diff([]string{"/a/{id}"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestWrongMethodsPathsAndQueriesAreNamed(t *testing.T) {
	r, _ := newRouter(t,
		api.Route{Method: "GET", Pattern: "/x", Need: alertRead, Handle: echo("x")},
		api.Route{Method: "POST", Pattern: "/x", Need: alertRead, Handle: echo("x")})
	w := do(r, "DELETE", "/x", "")
	if w.Code != 405 || w.Header().Get("Allow") != "GET, POST" {
		t.Errorf("405: %d %v", w.Code, w.Header())
	}
	if w := do(r, "GET", "/nowhere", ""); w.Code != 404 || !strings.Contains(w.Body.String(), "/nowhere") {
		t.Errorf("404: %d %s", w.Code, w.Body)
	}
	if w := do(r, "HEAD", "/x", ""); w.Code != 200 {
		t.Errorf("HEAD: %d", w.Code)
	}
	if w := do(r, "GET", "/x?$filter=%zz", ""); w.Code != 400 || !strings.Contains(w.Body.String(), "$filter") {
		t.Errorf("bad escape: %d %s", w.Code, w.Body)
	}
	if w := do(r, "GET", "/x?$top=1&$TOP=2", ""); w.Code != 400 || !strings.Contains(w.Body.String(), "$top") {
		t.Errorf("twice: %d %s", w.Code, w.Body)
	}
}

func TestQueryKeepsSemicolonsAndReadsPlusAsSpace(t *testing.T) {
	got, err := api.ParseQuery("&$filter=title+eq+'a;b%2Bc'&&KEY=%e2%82%ac&flag&")
	if err != nil {
		t.Fatal(err)
	}
	want := api.Query{"$filter": "title eq 'a;b+c'", "key": "€", "flag": ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !got.Has("Flag") || got.Has("none") || got.Get("Key") != "€" {
		t.Error("lookup in any case")
	}
}

func TestPanicsAndLateErrorsNeverLookWhole(t *testing.T) {
	r, log := newRouter(t,
		api.Route{Method: "GET", Pattern: "/panic", Need: alertRead, Handle: func(http.ResponseWriter, *api.Request) error { panic("boom") }},
		api.Route{Method: "GET", Pattern: "/late", Need: alertRead, Handle: func(w http.ResponseWriter, r *api.Request) error {
			_, _ = io.WriteString(w, strings.Repeat("x", 10000))
			return errors.New("too late")
		}})
	w := do(r, "GET", "/panic", "")
	if w.Code != 500 || strings.Contains(w.Body.String(), "boom") || !strings.Contains(log.String(), "boom") {
		t.Errorf("panic: %d %s / %s", w.Code, w.Body, log)
	}
	srv := httptest.NewServer(r)
	defer srv.Close()
	req, _ := http.NewRequest("GET", srv.URL+"/late", nil)
	req.Header.Set("Authorization", "Bearer good")
	resp, err := http.DefaultClient.Do(req)
	if err == nil {
		_, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
	}
	if err == nil {
		t.Error("an answer that broke off was read as whole")
	}
}

func TestRetryAfterIsInWholeSeconds(t *testing.T) {
	r, _ := newRouter(t, api.Route{Method: "GET", Pattern: "/x", Need: alertRead, Handle: func(http.ResponseWriter, *api.Request) error {
		return &errs.E{Kind: errs.Limited, Detail: "later", Retry: 1200 * time.Millisecond}
	}})
	w := do(r, "GET", "/x", "")
	if w.Code != 429 || w.Header().Get("Retry-After") != "2" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestBodiesAreBounded(t *testing.T) {
	read := func(w http.ResponseWriter, r *api.Request) error {
		if _, err := r.JSON(); err != nil {
			return err
		}
		return api.WriteEmpty(w, 200)
	}
	r, _ := newRouter(t, api.Route{Method: "POST", Pattern: "/x", Need: alertRead, MaxBody: 16, Handle: read})
	if w := do(r, "POST", "/x", `{"a":1}`); w.Code != 200 {
		t.Errorf("small: %d %s", w.Code, w.Body)
	}
	w := do(r, "POST", "/x", `{"a":"`+strings.Repeat("x", 100)+`"}`)
	if w.Code != 413 || !json.Valid(w.Body.Bytes()) || !strings.Contains(w.Body.String(), "16 bytes") {
		t.Errorf("large: %d %s", w.Code, w.Body)
	}
}

func TestHostSelectsGraph(t *testing.T) {
	named := func(name string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) })
	}
	h := api.ByHost(named("api"), map[string]http.Handler{"graph": named("graph")})
	for host, want := range map[string]string{"graph.microsoft.com": "graph", "Graph.example:8443": "graph", "api.graph.com": "api", "127.0.0.1:80": "api"} {
		req := httptest.NewRequest("GET", "/v1.0/security", nil)
		req.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if w.Body.String() != want {
			t.Errorf("%s: %s", host, w.Body)
		}
	}
}
