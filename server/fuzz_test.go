package server

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/device/group"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/hunt/hunttest"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/indicator"
)

// This file sends requests that are made from the OpenAPI document to a whole server: valid
// ones, mutated ones and hostile ones, from callers who see everything of their tenant and
// from one who sees a single device group.

// Marks that stand in everything of another tenant, and of a device group that the scoped
// caller does not see.
const (
	foreign = "zzforeignzz"
	hidden  = "zzhiddenzz"
)

// target is the server that is fuzzed.
type target struct {
	handler http.Handler
	session func(r *http.Request) // has a person who is signed in send a request
	spec    *spec
	ids     map[string][]string
}

// marked lets a token be the name of a caller.
type marked struct{ tenant ident.TenantID }

// Authenticate implements api.Authenticator.
func (m marked) Authenticate(_ context.Context, token, _ string) (*access.Principal, error) {
	p := &access.Principal{Actor: ident.Actor{Kind: ident.ActorApp, ID: token, Name: token, Tenant: m.tenant}}
	for _, r := range access.Permissions() {
		p.Roles = append(p.Roles, string(r))
	}
	switch token {
	case "all":
		p.Scope = access.Everything
	case "scoped":
		p.Scope = access.Scope{Groups: []int64{0}}
	default:
		return nil, errs.New("test", errs.Unauthenticated, errs.Unauthorized, "no such token")
	}
	return p, nil
}

func newTarget(t testing.TB) *target {
	t.Helper()
	ctx := context.Background()
	s, err := New(ctx, Config{DataDir: t.TempDir(), Listen: "127.0.0.1:0", RateLimit: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	rows := inMemory(s)
	tenants, err := s.control.store.Access().Tenants(ctx)
	if err != nil {
		t.Fatal(err)
	}
	own := tenants[0].ID
	other, err := s.control.directory.NewTenant(ctx, "other")
	if err != nil {
		t.Fatal(err)
	}
	f := &target{ids: map[string][]string{"tenant": {string(own), "common"}}}
	// By name, because the requests change tags; and no request may delete or change it.
	apart, err := s.control.groups.Create(ctx, access.System(own, "test"), group.Request{Name: "apart",
		Rules: []group.Condition{{Property: group.Name, Operator: group.Contains, Values: []string{hidden}}}})
	if err != nil {
		t.Fatal(err)
	}
	f.ids["deviceGroupId"] = []string{"0", "99"}
	f.seed(t, s, rows, own, "plain", 0)
	f.seed(t, s, rows, own, hidden, apart.ID)
	f.seed(t, s, rows, other.ID, foreign, 0)
	f.people(t, s, rows, own)
	table, err := routes(s)
	if err != nil {
		t.Fatal(err)
	}
	router, err := api.New(api.Config{Auth: marked{own}, Log: slog.New(slog.DiscardHandler)}, table)
	if err != nil {
		t.Fatal(err)
	}
	pages, err := newPortal(s)
	if err != nil {
		t.Fatal(err)
	}
	f.handler = publicHandler(s, router, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/portal/") {
			pages.ServeHTTP(w, r)
			return
		}
		http.NotFound(w, r) // and not a page, which would hide that no operation is there
	}), browser(pages))
	person, _, err := s.control.directory.NewPerson(ctx, own, "signed.in@vedette.example", "a password of somebody", nil)
	if err != nil {
		t.Fatal(err)
	}
	f.session = func(r *http.Request) {
		// Another one each time: requests end sessions.
		text, _, err := s.control.sessions.Open(ctx, &access.Admission{Person: person, Step: access.Admitted}, "", "")
		if err != nil {
			t.Fatal(err)
		}
		r.AddCookie(&http.Cookie{Name: "vedette-session", Value: text})
		r.Header.Set("Vedette-Proof", s.control.sessions.Proof(text))
	}
	w := f.send("all", httptest.NewRequest(http.MethodGet, "/api/openapi.json", nil))
	f.spec = readSpec(t, w.Body.Bytes())
	return f
}

// seed makes a device of the group with an alert, an action, an indicator and telemetry,
// all of which bear the mark.
func (f *target) seed(t testing.TB, s *Server, rows *hunttest.Memory, tenant ident.TenantID, mark string, group int64) {
	t.Helper()
	ctx, now := context.Background(), time.Now().UTC()
	id := ident.DeviceID(fmt.Sprintf("%040x", []byte(mark)))
	by := access.System(tenant, "test")
	d := &device.Device{ID: id, Tenant: tenant, Name: mark + ".example", Incarnation: 1, Fingerprint: [32]byte{mark[2]}, FirstSeen: now, LastSeen: now,
		LastReport: now, LastData: now, Platform: "Linux", Value: device.Normal, Group: group, Tags: []string{mark}}
	d.Inventory.Interfaces = []device.Interface{{Name: "eth0", Type: "Ethernet", Status: "Up", Addresses: []string{"192.0.2.10/24"}}}
	a := &alert.Alert{ID: ident.AlertID("da" + mark + "_1"), Tenant: tenant, Device: id, DeviceName: d.Name, Title: mark, Description: mark, Category: "Malware",
		Severity: alert.High, DetectionSource: "CustomerTI", User: alert.User{Name: mark}, FirstEvent: now, LastEvent: now,
		Evidence: []alert.Evidence{{Type: "File", FileName: mark, SHA1: fmt.Sprintf("%040x", []byte(mark))}, {Type: "Ip", IP: "203.0.113.9"}, {Type: "Url", URL: "http://" + mark + ".example/"}}}
	i := &indicator.Indicator{Value: mark + ".example", Type: indicator.Domain, Action: indicator.Audit, GenerateAlert: true, Title: mark, Description: mark}
	asked := access.WithPrincipal(ctx, &access.Principal{Actor: by.Actor, Roles: []string{string(access.TIReadWrite)}, Scope: access.Everything})
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(s.control.store.Devices().Create(ctx, d))
	_, err := s.control.alerts.Raise(ctx, []*alert.Alert{a})
	check(err)
	act, err := s.control.actions.Request(ctx, by, action.Request{Kind: action.Isolate, Device: id, Comment: mark, Source: "test"})
	check(err)
	if mark != hidden { // whoever may change indicators sees all that no group restricts
		i, err = s.control.indicators.Put(asked, i)
		check(err)
		f.ids["/indicators/"] = append(f.ids["/indicators/"], i.ID.String())
	}
	account := &event.Account{Name: mark, Domain: mark}
	rows.Add(tenant, event.Origin{DeviceID: string(id), DeviceName: d.Name, ReportID: 1},
		&event.Event{Table: event.LogonEvents, Action: "LogonSuccess", Time: now, Account: account, Logon: &event.Logon{Type: "Interactive"}})
	if mark != hidden { // what belongs to the tenant as a whole
		for key, id := range s.furnishRules(t, tenant, mark, uuid.NewSHA1(uuid.Nil, []byte(mark)).String()) {
			word, _, _ := strings.Cut(key, "/")
			root := map[string]string{"suppressions": "/api/vedette/suppressions", "notifications": "/api/vedette/notifications", "backtests": "/api/vedette/backtests",
				"detections": "/api/vedette/detections", "subscriptions": "/subscriptions", "detectionrules": "/beta/security/rules/detectionRules",
				"libraryfiles": "/api/libraryfiles", "approvalpolicies": "/api/vedette/approvalpolicies"}[word]
			f.ids[root] = append(f.ids[root], id)
		}
		_, def, ioc := (&site{Server: s}).furnishThreats(t, tenant, len(f.ids["/V1.0/AlertDefinitions"]), 0)
		f.ids["/V1.0/AlertDefinitions"] = append(f.ids["/V1.0/AlertDefinitions"], def.ID.String())
		f.ids["/V1.0/IndicatorsOfCompromise"] = append(f.ids["/V1.0/IndicatorsOfCompromise"], ioc.ID.String())
	}
	if mark != hidden { // an action that waits for somebody to agree, and one to be undone
		waits, err := s.control.actions.Request(ctx, by, action.Request{Kind: action.CollectPackage, Device: id, Comment: mark, Source: "test"})
		check(err)
		_, err = s.control.dispatch.Pending(ctx, d, nil)
		check(err)
		f.ids["/api/vedette/machineactions"] = append(f.ids["/api/vedette/machineactions"], string(waits.ID), string(act.ID))
	}
	if mark == "plain" { // these routes answer with the name that was asked for, known or not
		f.ids["/api/domains"], f.ids["/api/files"] = []string{mark + ".example"}, []string{fmt.Sprintf("%040x", []byte(mark))}
		f.ids["/api/users"], f.ids["/api/ips"] = []string{mark}, []string{"203.0.113.9"}
	}
	f.ids["prefix"] = []string{"true", "false"}
	f.ids["event"] = append(f.ids["event"], now.Format(time.RFC3339Nano))
	f.ids["/alerts/{"] = append(f.ids["/alerts/{"], string(a.ID))
	f.ids["/machines/"] = append(f.ids["/machines/"], string(id), d.Name)
	f.ids["/machineactions/"] = append(f.ids["/machineactions/"], string(act.ID))
	f.ids["ip"], f.ids["timestamp"] = []string{"192.0.2.10", "'192.0.2.10'"}, []string{now.Format(time.RFC3339)}
}

func (f *target) send(as string, r *http.Request) *httptest.ResponseRecorder {
	r.Header.Set("Authorization", "Bearer "+as)
	if strings.HasPrefix(r.URL.Path, "/portal/") {
		f.session(r)
	}
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, r)
	return w
}

// internals is what must never be in an answer.
var internals = regexp.MustCompile(`(?i)goroutine |runtime error|panic|sqlite|SQL logic|syntax error near|\.go:[0-9]+|no such column|/tmp/`)

// shoot sends the request that the seed makes of an operation and judges the answer. What
// it returns is what is wrong, "" for nothing, what was asked, and the status.
func (f *target) shoot(o *operation, seed uint64) (wrong, asked string, status int) {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 1)), spec: f.spec, ids: f.ids}
	return f.request(o, g, g.pick([]string{"all", "scoped"}), fmt.Sprint("seed ", seed))
}

// try sends a request that is meant to succeed, as the caller who sees everything.
func (f *target) try(o *operation, seed uint64) (wrong, asked string, status int) {
	return f.request(o, &generator{Rand: rand.New(rand.NewPCG(seed, 1)), spec: f.spec, ids: f.ids, benign: true}, "all", "valid")
}

func (f *target) request(o *operation, g *generator, as, why string) (wrong, asked string, status int) {
	r := g.request(o)
	sent := []string{r.URL.String()}
	var body strings.Builder
	if r.Body != nil {
		b := make([]byte, 1<<16)
		n, _ := r.Body.Read(b) // the beginning: ids stand there
		body.Write(b[:n])
		rest := r.Body
		r.Body = struct {
			*prefixed
			closer
		}{&prefixed{b[:n], rest}, closer{}}
	}
	if unescaped, err := url.QueryUnescape(sent[0]); err == nil {
		sent = append(sent, unescaped)
	}
	sent = append(sent, body.String())
	asked = fmt.Sprintf("%s as %s, %s: %.300s body %.300q", o, as, why, sent[0], body.String())
	w := f.send(as, r)
	var v any
	if strings.Contains(o.path, "/devicegroups") || w.Code >= 300 {
		// The group that hides what is hidden stays out of reach.
	} else if json.Unmarshal(w.Body.Bytes(), &v) == nil {
		// What a collection lists, or one thing of it; what is done to a thing has other ids.
		if _, rest, _ := strings.Cut(o.path, "}"); strings.Trim(rest, ")") == "" {
			g.learn(collectionOf(o.path), v)
		}
		g.links(w.Body.String())
	}
	return f.judge(o, w, as, sent), asked, w.Code
}

// prefixed gives back what was read of a body.
type prefixed struct {
	head []byte
	rest interface{ Read([]byte) (int, error) }
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.head) > 0 {
		n := copy(b, p.head)
		p.head = p.head[n:]
		return n, nil
	}
	return p.rest.Read(b)
}

type closer struct{}

func (closer) Close() error { return nil }

func (f *target) judge(o *operation, w *httptest.ResponseRecorder, as string, sent []string) string {
	text := w.Body.String()
	switch {
	case w.Code >= 500 && w.Code != http.StatusInsufficientStorage:
		return fmt.Sprintf("%d %.500s", w.Code, text)
	case !utf8.ValidString(text):
		return "the answer is not UTF-8"
	case w.Code >= 400 && internals.MatchString(text):
		return "the error tells internals: " + text
	}
	for mark, sees := range map[string]bool{foreign: false, hidden: as == "all"} {
		said := strings.Contains(strings.Join(sent, " "), mark) || strings.Contains(strings.Join(sent, " "), fmt.Sprintf("%040x", []byte(mark)))
		if !sees && strings.Contains(text, mark) && !(said && w.Code >= 400) {
			return fmt.Sprintf("%d: what %s must not see: %.500s", w.Code, as, text)
		}
	}
	if w.Code >= 400 {
		return judgeError(o, w, as)
	}
	answer, ok := o.Responses[fmt.Sprint(w.Code)]
	if !ok {
		return fmt.Sprintf("the status %d is not documented", w.Code)
	}
	media, _, _ := strings.Cut(w.Header().Get("Content-Type"), ";")
	c, ok := answer.Content[media]
	if !ok {
		if len(answer.Content) == 0 && text == "" {
			return ""
		}
		return fmt.Sprintf("the answer is of type %q, which is not documented: %.200s", media, text)
	}
	if media != "application/json" {
		return ""
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return "the answer is no JSON: " + err.Error()
	}
	if strings.Contains(strings.Join(sent, " "), "select") || strings.Contains(strings.Join(sent, " "), "SELECT") {
		return "" // fewer properties than documented
	}
	return f.spec.judge("answer", c.Schema, v)
}

// judgeError holds an error against the published form, or that of the token endpoint.
func judgeError(o *operation, w *httptest.ResponseRecorder, as string) string {
	if strings.HasPrefix(o.path, "/{tenant}/") {
		return "" // its own test holds it against its form, and pages are HTML
	}
	var e struct {
		Error struct{ Code, Message, Target string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Error.Code == "" || e.Error.Message == "" || e.Error.Target == "" {
		return fmt.Sprintf("%d is not answered in the form of errors: %.300s", w.Code, w.Body)
	}
	if strings.HasPrefix(o.path, "/portal/session") {
		return "" // who signs in with what is made up is told so
	}
	if w.Code == http.StatusUnauthorized || w.Code == http.StatusForbidden && e.Error.Code == string(errs.Forbidden) && !mayForbid(o, as, e.Error.Message) {
		return fmt.Sprintf("%d to a caller with every permission: %s", w.Code, w.Body)
	}
	return ""
}

// forbidden is what callers with every permission are refused, by the end of the path, and
// the reason that they are told: those whom device groups restrict may not act beyond them,
// and links answer for themselves.
var forbidden = []struct {
	path, reason string
	scoped       bool // only to callers whom device groups restrict
}{
	{"/indicators", "the indicator is for device groups that the caller has no access to", true},
	{"/indicators/{id}", "the indicator is for device groups that the caller has no access to", true},
	{"/tiindicators", "the indicator is for device groups that the caller has no access to", true},
	{"/tiindicators/{id}", "the indicator is for device groups that the caller has no access to", true},
	{"/indicators/BatchDelete", "the indicator is for device groups that the caller has no access to", true},
	{"/files/{id}/block", "the indicator is for device groups that the caller has no access to", true},
	{"/files/{id}/unblock", "the indicator is for device groups that the caller has no access to", true},
	{"/vedette/backtests", "a backtest looks at every device", true},
	{"/incidents/{id}/merge", "has alerts on devices that the caller does not see", true},
	{"/vedette/machineactions/{id}/approve", "the policies that ask for approval name others as approvers", false},
	{"/vedette/machineactions/{id}/approve", "who asked for an action cannot agree to it", false},
	{"/vedette/machineactions/{id}/reject", "the policies that ask for approval name others as approvers", false},
	{"/vedette/audit", "the audit record speaks of every device", true},
	{"/vedette/audit/verify", "the audit record speaks of every device", true},
	{"/vedette/queries/{id}", "save a copy to change it", false},
	{"/vedette/exports/{file}", "the link's signature does not fit", false},
}

func mayForbid(o *operation, as, message string) bool {
	for _, f := range forbidden {
		if strings.HasSuffix(strings.ToLower(o.path), strings.ToLower(f.path)) && strings.Contains(message, f.reason) && (as == "scoped" || !f.scoped) {
			return true
		}
	}
	return false
}

// seedOf makes the seeds of operations differ and stay the same from run to run.
func seedOf(o *operation, n int) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, o.String(), n)
	return h.Sum64()
}

// TestEveryOperationSurvivesHostileRequests is the short form: the same requests each time.
func TestEveryOperationSurvivesHostileRequests(t *testing.T) {
	f := newTarget(t)
	f.eachSucceeds(t)
	for n := range 30 {
		for i := range f.spec.operations {
			o := &f.spec.operations[i]
			if wrong, asked, _ := f.shoot(o, seedOf(o, n)); wrong != "" {
				t.Errorf("%s\n\t%s", asked, wrong)
			}
		}
	}
}

// rank is the order in which operations are tried: what makes things, what looks at them,
// what changes them, and what ends them.
func rank(o *operation) int {
	switch path := strings.ToLower(o.path); {
	case o.method == http.MethodDelete && strings.Contains(path, "{"), strings.Contains(path, "delete"), strings.HasSuffix(path, "/cancel"), strings.HasSuffix(path, "/offboard"),
		strings.HasSuffix(path, "/merge"):
		return 5
	case o.method == http.MethodDelete:
		return 6 // all of a kind
	case o.method == http.MethodPatch, o.method == http.MethodPut:
		return 4
	case o.method == http.MethodGet && strings.Contains(path, "{"):
		return 3
	case o.method == http.MethodGet:
		return 2
	}
	return 1
}

// eachSucceeds tries each operation with valid requests until one succeeds: hostile
// requests to what refuses everything try nothing behind it.
func (f *target) eachSucceeds(t *testing.T) {
	t.Helper()
	order := make([]*operation, len(f.spec.operations))
	for i := range order {
		order[i] = &f.spec.operations[i]
	}
	slices.SortStableFunc(order, func(a, b *operation) int { return rank(a) - rank(b) })
	var refused []string
	for _, o := range order {
		served := false
		last := ""
		for n := 0; n < 12 && !served; n++ {
			wrong, asked, status := f.try(o, seedOf(o, n))
			if wrong != "" {
				t.Errorf("%s\n\t%s", asked, wrong)
			}
			served, last = status < 400, asked
		}
		if !served {
			refused = append(refused, o.String()+": "+last)
		}
	}
	t.Logf("%d of %d operations succeeded", len(order)-len(refused), len(order))
	if len(refused)*10 > len(order) {
		t.Errorf("%d of %d operations refused every request:\n%s", len(refused), len(order), strings.Join(refused, "\n"))
	}
}

// FuzzAPI is the long form.
func FuzzAPI(f *testing.F) {
	f.Add(uint64(1))
	there := newTarget(f) // once: the process that fuzzes has it for all its inputs
	f.Fuzz(func(t *testing.T, seed uint64) {
		o := &there.spec.operations[seed%uint64(len(there.spec.operations))]
		if wrong, asked, _ := there.shoot(o, seed); wrong != "" {
			t.Errorf("%s\n\t%s", asked, wrong)
		}
	})
}
