package mde_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/mde"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/blob"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/hunt"
	"github.com/vedette-edr/vedette/server/hunt/hunttest"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/incident"
	"github.com/vedette-edr/vedette/server/indicator"
	"github.com/vedette-edr/vedette/server/investigation"
	"github.com/vedette-edr/vedette/server/library"
	"github.com/vedette-edr/vedette/server/store"
)

// now is the time at which every test takes place.
var now = time.Date(2024, 6, 1, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return now }

const address = "https://vedette.example:8443"

// site is a server's API over real services on a real store.
type site struct {
	http.Handler
	t        testing.TB
	devices  *device.Service
	alerts   *alert.Service
	dispatch *action.Dispatcher
	log      *audit.Chain
	platform string // of machines that are enrolled
	routes   []api.Route
	tenants  [2]ident.TenantID
	token    map[string]string // by the caller's name
	passed   time.Duration     // since now, for the API and the devices
	vars     map[string]string // device ids by label, and what scripts save
}

// verifier lets the token authority authenticate; every audience is its own affair.
type verifier struct{ *access.Authority }

func (v verifier) Authenticate(ctx context.Context, token, _ string) (*access.Principal, error) {
	return v.Verify(ctx, token)
}

// hunts answers the queries of the tests with results in hunt's own terms.
type hunts map[string]func() (*hunt.Result, error)

func (h hunts) Run(ctx context.Context, r hunt.Request) (*hunt.Result, error) {
	if _, err := access.FromContext(ctx); err != nil {
		return nil, err
	}
	f, ok := h[r.Query]
	if !ok {
		return nil, errs.New("hunt", errs.Invalid, errs.BadRequest, "line 1, column 1: unknown table %q", r.Query)
	}
	return f()
}

// reads answers hunts with hunts, and lookups from telemetry in memory.
type reads struct {
	hunts
	lookups
}

type lookups interface {
	mde.Events
	mde.Logons
	mde.Sightings
}

// newSite returns a site whose hunts are those of queries.
func newSite(t testing.TB, page int) *site {
	t.Helper()
	rows := &hunttest.Memory{}
	s := newSiteOn(t, page, func(c hunt.Config) mde.Telemetry {
		c.Store = rows
		return reads{queries(), hunt.New(c)}
	})
	s.observe(rows)
	return s
}

// newSiteOn returns a site over the telemetry that open makes.
func newSiteOn(t testing.TB, page int, open func(hunt.Config) mde.Telemetry) *site {
	t.Helper()
	ctx := context.Background()
	db, err := store.Open(ctx, store.Config{Dir: t.TempDir(), Clock: clock})
	check(t, err)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	log := audit.New(db.Audit(), db.Key().Derive("audit"), clock)
	s := &site{t: t, log: log, platform: "Linux", token: map[string]string{}, vars: map[string]string{}}
	s.devices = device.New(device.Config{Store: db.Devices(), Tokens: db.Tokens(), TokenKey: db.Key().Derive("tokens"),
		Clock: func() time.Time { return now.Add(s.passed) }, Rand: rand.NewChaCha8([32]byte{})})
	incidents := incident.New(incident.Config{Store: db.Incidents(), Links: db.Incidents(), History: db.Histories(), Audit: log, Clock: clock, Atomic: db.Atomic})
	s.alerts = alert.NewService(alert.Config{Store: db.Alerts(), Observers: []alert.Observer{incidents}, Audit: log, Clock: clock, Atomic: db.Atomic})
	incidents.Use(s.alerts)
	actions := action.Config{Store: db.Actions(), Devices: s.devices, Audit: log, Clock: clock, Atomic: db.Atomic,
		Self: func(d *device.Device) bool { return d.Name == "server.example" }}
	blobs, err := blob.Open(t.TempDir())
	check(t, err)
	files := library.New(library.Config{Store: db.Library(), Blobs: blobs, Audit: log, Clock: clock, Atomic: db.Atomic, Quota: 25 << 20})
	actions.Library, actions.Blobs, actions.Releases = files, blobs, codes{}
	s.dispatch = action.NewDispatcher(actions)
	indicators := indicator.New(indicator.Config{
		Definitions: db.Threats(), IOCs: db.Threats(), Indicators: db.Threats(), Tallies: db.Threats(), Expiry: db.Threats(), Feed: db.Threats(), Sink: nobody{}, Now: clock,
	})
	m := mde.New(mde.Config{
		Alerts: s.alerts, Incidents: incidents, Devices: s.devices, Actions: action.NewService(actions), Releases: action.NewService(actions), Indicators: indicators,
		Hunter: open(hunt.Config{Audit: log, Clock: clock}), Now: func() time.Time { return now.Add(s.passed) }, Page: page,
		Library: files, LinkKey: []byte("a key of tests"),
		Investigations: investigation.New(investigation.Config{Store: db.Investigations(), Devices: s.devices, Alerts: followed{s.alerts}, Audit: log, Clock: clock, Atomic: db.Atomic}),
	})
	s.routes = m.Routes()
	s.people(db)
	authority := s.authority(db, now)
	router, err := api.New(api.Config{
		Auth: verifier{authority}, Now: clock, PublicURL: address, NewID: func() string { return "00000000-0000-0000-0000-00000000c1d0" },
		Log: slog.New(slog.DiscardHandler),
	}, s.routes)
	check(t, err)
	s.Handler = router
	s.seed()
	return s
}

func (s *site) authority(db *store.Store, at time.Time) *access.Authority {
	a, err := access.OpenAuthority(context.Background(), access.AuthorityConfig{
		Keys: db.Access(), Applications: db.Access(), People: db.Access(), URLs: []string{address},
		Clock: func() time.Time { return at },
	})
	check(s.t, err)
	return a
}

// people registers callers and gives each a token.
func (s *site) people(db *store.Store) {
	ctx := context.Background()
	dir := access.NewDirectory(access.DirectoryConfig{
		Tenants: db.Access(), Applications: db.Access(), People: db.Access(), SecretKey: db.Key().Derive("secrets"), Clock: clock,
	})
	for i := range s.tenants {
		t, err := dir.NewTenant(ctx, fmt.Sprint("tenant", i))
		check(s.t, err)
		s.tenants[i] = t.ID
	}
	for _, c := range []struct {
		name   string
		tenant int
		at     time.Time
		roles  []access.Permission
	}{
		{"all", 0, now, access.Permissions()},
		{"other", 1, now, access.Permissions()},
		{"alerts", 0, now, []access.Permission{access.AlertRead}},
		{"machines", 0, now, []access.Permission{access.MachineRead}},
		{"writer", 0, now, []access.Permission{access.AlertReadWrite}},
		{"own", 0, now, []access.Permission{access.TIReadWriteOwn}},
		{"expired", 0, now.Add(-2 * time.Hour), access.Permissions()},
	} {
		app, _, err := dir.NewApplication(ctx, s.tenants[c.tenant], "app "+c.name, c.roles)
		check(s.t, err)
		tok, err := s.authority(db, c.at).Issue(access.Grant{Application: app, Resource: "https://api.securitycenter.microsoft.com/", Version: access.V1})
		check(s.t, err)
		s.token[c.name] = tok.Text
		s.vars["app_"+c.name] = string(app.ID)
	}
	s.token["wrong"] = "wrong"
}

// seed enrols three devices of the first tenant and one of the second, and raises alerts.
func (s *site) seed() {
	s.enrol("web", 0, "web.example", "192.0.2.10", now.Add(-time.Minute))
	s.enrol("db", 0, "db.example", "192.0.2.11", now.Add(-time.Minute))
	s.enrol("server", 0, "server.example", "192.0.2.1", now.Add(-time.Minute))
	s.enrol("foreign", 1, "web.example", "192.0.2.10", now.Add(-time.Minute))
	for i, name := range []string{"one", "two", "three"} {
		a := &alert.Alert{
			ID: ident.AlertID(fmt.Sprintf("da%018d_-%d", i+1, i+1)), Tenant: s.tenants[0], Device: ident.DeviceID(s.vars["web"]),
			DeviceName: "web.example", Title: "Alert " + name, Description: "What was seen", Recommended: "Look",
			Category: "SuspiciousActivity", Severity: []alert.Severity{alert.Low, alert.Medium, alert.High}[i], Status: alert.New,
			DetectionSource: "CustomerTI", DetectorID: "0f0e0d0c-0000-0000-0000-000000000001", Techniques: []string{"T1071"},
			Created: now.Add(time.Duration(i) * time.Minute), FirstEvent: now.Add(-time.Hour), LastEvent: now.Add(-time.Hour),
			User: alert.User{Name: "root", Domain: "web"},
			Evidence: []alert.Evidence{
				{Type: "Process", Created: now, SHA1: strings.Repeat("a", 40), SHA256: strings.Repeat("b", 64), FileName: "curl",
					FilePath: "/usr/bin", ProcessID: 4242, CommandLine: "curl http://evil.example/", ProcessCreated: now.Add(-time.Hour),
					ParentID: 1, ParentName: "bash", ParentPath: "/bin/bash", Account: "root", Domain: "web", Detection: "Detected"},
				{Type: "Ip", Created: now, IP: "203.0.113.7"}, {Type: "Ip", Created: now, IP: "203.0.113.7"},
				{Type: "Url", Created: now, URL: "http://Evil.example/x"},
			},
		}
		if i == 2 {
			a.Device, a.DeviceName, a.Status, a.Resolved = ident.DeviceID(s.vars["db"]), "db.example", alert.Resolved, now
		}
		_, err := s.alerts.Raise(context.Background(), []*alert.Alert{a})
		check(s.t, err)
		s.vars["alert_"+name] = string(a.ID)
	}
}

// observe reports what happened on the machines: on web, events 20776 and the following.
func (s *site) observe(rows *hunttest.Memory) {
	at := now.Add(-10 * time.Minute).Add(711518300)
	shell := &event.Process{PID: 10, Start: now.Add(-time.Hour), CommandLine: "bash", Image: event.File{Name: "bash", Path: "/usr/bin/bash", Size: -1},
		Account: event.Account{Name: "eve", Domain: "web", SID: "1000"}}
	curl := &event.Process{PID: 11, Start: at, CommandLine: "curl http://evil.example/", Account: event.Account{Name: "root", Domain: "web", SID: "0"},
		Image: event.File{Name: "curl", Path: "/usr/bin/curl", SHA1: strings.Repeat("c", 40), SHA256: strings.Repeat("d", 64), Size: 1}}
	logon := func(ago time.Duration, action, name, kind string) *event.Event {
		return &event.Event{Table: event.LogonEvents, Action: action, Time: now.Add(-ago), Account: &event.Account{Name: name, Domain: "web", SID: "1000"},
			Logon: &event.Logon{Type: kind, RemoteIP: "198.51.100.9"}}
	}
	events := []*event.Event{
		{Table: event.ProcessEvents, Action: "ProcessCreated", Time: at, Process: curl, Initiating: shell},
		{Table: event.NetworkEvents, Action: "ConnectionAttemptBlocked", Time: at.Add(time.Second), Initiating: curl,
			Network: &event.Network{RemoteIP: "203.0.113.7", RemotePort: 80, RemoteURL: "evil.example", Protocol: "Tcp"}},
		{Table: event.FileEvents, Action: "FileCreated", Time: at.Add(-time.Second), Initiating: curl, File: &event.File{Name: "x", Path: "/x", SHA1: strings.Repeat("e", 40), Size: 3}},
		logon(time.Hour, "LogonSuccess", "eve", "RemoteInteractive"),
		logon(30*time.Minute, "LogonSuccess", "eve", "Interactive"),
		logon(20*time.Minute, "LogonFailed", "mallory", "Network"),
		logon(2*time.Hour, "LogonSuccess", "backup", "Network"),
		logon(181*24*time.Hour, "LogonSuccess", "gone", "Interactive"),
	}
	rows.Add(s.tenants[0], event.Origin{DeviceID: s.vars["web"], DeviceName: "web.example", ReportID: 20776}, events...)
	rows.Add(s.tenants[1], event.Origin{DeviceID: s.vars["foreign"], DeviceName: "web.example", ReportID: 1}, events...)
}

func (s *site) enrol(label string, tenant int, name, ip string, seen time.Time) {
	ctx := context.Background()
	tok, _, err := s.devices.NewToken(ctx, s.tenants[tenant], device.TokenRequest{Name: "test"})
	check(s.t, err)
	d, err := s.devices.Enrol(ctx, device.Enrolment{Token: tok, Name: name, Platform: s.platform, AgentVersion: "1.0.0", Protocol: 1, ExternalIP: "198.51.100.1"})
	check(s.t, err)
	_, err = s.devices.Heartbeat(ctx, s.tenants[tenant], d.ID, device.Report{
		AgentVersion: "1.0.0", Protocol: 1, ExternalIP: "198.51.100.1",
		Inventory: &device.Inventory{
			Hostname: name, FQDN: name, Platform: s.platform, Version: "12", Architecture: "64-bit", Processor: "x64",
			Interfaces: []device.Interface{{Name: "eth0", MAC: "00:50:56:84:a9:e6", Type: "Ethernet", Status: "Up", Addresses: []string{ip + "/24"}}},
			Users:      []device.User{{Name: "root", Domain: "web", SID: "S-1"}},
		},
	})
	check(s.t, err)
	s.vars[label] = string(d.ID)
}

// nobody takes the changes of indicators: no test here matches any.
type nobody struct{}

func (nobody) Apply(context.Context, ident.TenantID, *indicator.Page) error { return nil }

// later lets time pass for the API, while everybody's tokens stay as they are.
func (s *site) later(d time.Duration) { s.passed += d }

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// call sends a request as the named caller.
func (s *site) call(as, method, target, body string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, target, strings.NewReader(body))
	if tok := s.token[as]; tok != "" {
		req.Header.Set("Authorization", "Bearer "+tok)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, req)
	return w
}

// decode reads a JSON answer with numbers as they are written.
func decode(t testing.TB, data []byte) any {
	t.Helper()
	var v any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	return v
}

// subset says where want is not part of got: objects may have more keys, the text "*"
// stands for any value, everything else must be equal.
func subset(path string, want, got any) error {
	switch want := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return fmt.Errorf("%s is %v, not an object", path, got)
		}
		var all []error
		for k, v := range want {
			x, ok := g[k]
			if !ok {
				all = append(all, fmt.Errorf("%s.%s is missing", path, k))
				continue
			}
			all = append(all, subset(path+"."+k, v, x))
		}
		return errors.Join(all...)
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(want) {
			return fmt.Errorf("%s has not %d elements: %v", path, len(want), got)
		}
		var all []error
		for i := range want {
			all = append(all, subset(fmt.Sprintf("%s[%d]", path, i), want[i], g[i]))
		}
		return errors.Join(all...)
	case string:
		if want == "*" {
			return nil
		}
	}
	if want != got {
		return fmt.Errorf("%s is %v, want %v", path, got, want)
	}
	return nil
}

// followed lets alerts follow their investigations, as the composition root does.
type followed struct{ alerts *alert.Service }

func (f followed) Investigated(ctx context.Context, tenant ident.TenantID, id ident.AlertID, number int64, state investigation.State) (func(), error) {
	_, err := f.alerts.Investigated(ctx, tenant, id, number, string(state))
	return func() {}, err
}
