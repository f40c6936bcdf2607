package incident_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/history"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/incident"
	"github.com/vedette-edr/vedette/server/store"
)

const tenant ident.TenantID = "0a0a0a0a-0000-4000-8000-000000000001"

var analyst = &access.Principal{Actor: ident.Actor{Kind: ident.ActorUser, ID: "u", Name: "ana@example", Tenant: tenant}}

type fixture struct {
	*incident.Service
	alerts *alert.Service
	store  *store.Store
	now    time.Time
	n      int
}

func setup(t testing.TB) *fixture {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	f := &fixture{store: s, now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return f.now }
	log := audit.New(s.Audit(), s.Key().Derive("audit"), clock)
	f.Service = incident.New(incident.Config{Store: s.Incidents(), Links: s.Incidents(), History: s.Histories(), Audit: log, Clock: clock, Atomic: s.Atomic})
	f.alerts = alert.NewService(alert.Config{Store: s.Alerts(), Suppressions: s.Alerts(), History: s.Histories(), Audit: log, Clock: clock, Atomic: s.Atomic,
		Observers: []alert.Observer{f.Service}})
	f.Use(f.alerts)
	return f
}

// on makes an alert on a host that nothing else is known of, some time after noon.
func (f *fixture) on(host int, after time.Duration, evidence ...alert.Evidence) *alert.Alert {
	f.n++
	at := f.now.Add(after)
	return &alert.Alert{
		ID: ident.AlertID(fmt.Sprintf("da%d_1", f.n)), Tenant: tenant, Device: ident.DeviceID(fmt.Sprintf("%040x", host)), DeviceName: fmt.Sprintf("h%d.example", host),
		Title: fmt.Sprint("Title ", f.n), Severity: alert.Medium, Category: "Execution", FirstEvent: at, LastEvent: at, Evidence: evidence,
	}
}

func (f *fixture) raise(t testing.TB, a *alert.Alert) ident.IncidentID {
	t.Helper()
	made, err := f.alerts.Raise(t.Context(), []*alert.Alert{a})
	if err != nil || len(made) != 1 || made[0].Incident == 0 {
		t.Fatalf("raised %+v, %v", made, err)
	}
	return made[0].Incident
}

func (f *fixture) get(t testing.TB, id ident.IncidentID) *incident.Incident {
	t.Helper()
	i, err := f.Get(t.Context(), tenant, id)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func ptr[T any](v T) *T { return &v }

func TestWhatJoinsAlerts(t *testing.T) {
	hash := strings.Repeat("ab", 32)
	for name, c := range map[string]struct {
		host  int // of the second alert; the first is on 1
		after time.Duration
		a, b  []alert.Evidence
		join  bool
	}{
		"same device, soon":              {1, 4 * time.Hour, nil, nil, true},
		"same device, late":              {1, 5 * time.Hour, nil, nil, false},
		"same device, earlier":           {1, -3 * time.Hour, nil, nil, true},
		"another device":                 {2, 0, nil, nil, false},
		"same file":                      {2, 70 * time.Hour, []alert.Evidence{{Type: "File", SHA256: hash, FilePath: "/tmp"}}, []alert.Evidence{{Type: "Process", SHA256: strings.ToUpper(hash), FilePath: "/home/x"}}, true},
		"same file, days later":          {2, 100 * time.Hour, []alert.Evidence{{Type: "File", SHA256: hash}}, []alert.Evidence{{Type: "File", SHA256: hash}}, false},
		"same shell":                     {2, 0, []alert.Evidence{{Type: "Process", SHA256: hash, FilePath: "/bin"}}, []alert.Evidence{{Type: "Process", SHA256: hash, FilePath: "/usr/bin"}}, false},
		"same address":                   {2, 23 * time.Hour, []alert.Evidence{{Type: "Ip", IP: "203.0.113.7"}}, []alert.Evidence{{Type: "Ip", IP: "::ffff:203.0.113.7"}}, true},
		"same gateway":                   {2, 0, []alert.Evidence{{Type: "Ip", IP: "10.0.0.1"}}, []alert.Evidence{{Type: "Ip", IP: "10.0.0.1"}}, false},
		"same resolver":                  {2, 0, []alert.Evidence{{Type: "Ip", IP: "8.8.8.8"}}, []alert.Evidence{{Type: "Ip", IP: "8.8.8.8"}}, false},
		"same loopback":                  {2, 0, []alert.Evidence{{Type: "Ip", IP: "127.0.0.53"}}, []alert.Evidence{{Type: "Ip", IP: "127.0.0.53"}}, false},
		"same name":                      {2, time.Hour, []alert.Evidence{{Type: "Url", URL: "http://Evil.example/a"}}, []alert.Evidence{{Type: "Url", URL: "evil.example"}}, true},
		"same person":                    {2, time.Hour, []alert.Evidence{{Type: "User", Account: "Eve", Domain: "corp", UserID: "S-1-5-21-9"}}, []alert.Evidence{{Type: "User", Account: "eve", Domain: "CORP"}}, true},
		"same local name":                {2, time.Hour, []alert.Evidence{{Type: "User", Account: "eve", Domain: "h1"}}, []alert.Evidence{{Type: "User", Account: "eve", Domain: "h2"}}, false},
		"root":                           {2, 0, []alert.Evidence{{Type: "User", Account: "root", Domain: "corp", UserID: "0"}}, []alert.Evidence{{Type: "User", Account: "root", Domain: "corp", UserID: "0"}}, false},
		"a service":                      {2, 0, []alert.Evidence{{Type: "User", Account: "prom", Domain: "corp", UserID: "998"}}, []alert.Evidence{{Type: "User", Account: "prom", Domain: "corp", UserID: "998"}}, false},
		"a day later with a local name":  {1, 20 * time.Hour, []alert.Evidence{{Type: "User", Account: "eve"}, {Type: "Ip", IP: "10.0.0.9"}}, []alert.Evidence{{Type: "User", Account: "eve"}, {Type: "Ip", IP: "10.0.0.9"}}, true},
		"local name and private address": {2, 0, []alert.Evidence{{Type: "User", Account: "eve"}, {Type: "Ip", IP: "10.0.0.9"}}, []alert.Evidence{{Type: "User", Account: "eve"}, {Type: "Ip", IP: "10.0.0.9"}}, false},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			f := setup(t)
			a := f.raise(t, f.on(1, 0, c.a...))
			if b := f.raise(t, f.on(c.host, c.after, c.b...)); (a == b) != c.join {
				t.Errorf("incidents %d and %d", a, b)
			}
		})
	}
}

// TestAnIncidentDoesNotRunAway lets a whole estate alert at once, with everything in
// common that machines have in common, and one machine alert for weeks.
func TestAnIncidentDoesNotRunAway(t *testing.T) {
	f := setup(t)
	shared := []alert.Evidence{
		{Type: "Process", FileName: "bash", FilePath: "/usr/bin", SHA256: strings.Repeat("b", 64), Account: "root", Domain: "x", UserID: "0"},
		{Type: "User", Account: "deploy", UserID: "1001"}, {Type: "Ip", IP: "10.0.0.1"}, {Type: "Ip", IP: "1.1.1.1"}, {Type: "Url", URL: "http://localhost/"},
	}
	seen := map[ident.IncidentID]bool{}
	for host := range 60 {
		seen[f.raise(t, f.on(host, 0, shared...))] = true
	}
	if len(seen) != 60 {
		t.Errorf("60 hosts with nothing of their own in common make %d incidents", len(seen))
	}
	sizes := map[ident.IncidentID]int{}
	for n := range 620 {
		sizes[f.raise(t, f.on(100, time.Duration(n)*time.Hour*2))]++
	}
	for id, n := range sizes {
		i := f.get(t, id)
		if n > 500 || i.LastEvent.Sub(i.FirstEvent) > 30*24*time.Hour {
			t.Errorf("incident %d has %d alerts over %s", id, n, i.LastEvent.Sub(i.FirstEvent))
		}
	}
	if len(sizes) < 2 {
		t.Errorf("%d incidents in 52 days", len(sizes))
	}
}

func TestAnOutbreakIsOneIncidentWithinBounds(t *testing.T) {
	f := setup(t)
	evil := alert.Evidence{Type: "File", SHA256: strings.Repeat("e", 64), FilePath: "/tmp"}
	sizes := map[ident.IncidentID]int{}
	for host := range 130 {
		sizes[f.raise(t, f.on(host, time.Duration(host)*time.Minute, evil))]++
	}
	if len(sizes) != 2 || sizes[1] != 100 {
		t.Errorf("sizes %v", sizes)
	}
	if i := f.get(t, 1); i.Alerts != 100 || len(i.Devices) != 100 || !strings.Contains(i.Name, "100 devices") {
		t.Errorf("%d alerts, %d devices, %q", i.Alerts, len(i.Devices), i.Name)
	}
}

func TestWhatFollowsFromTheAlerts(t *testing.T) {
	f := setup(t)
	a := f.on(1, 0)
	a.User = alert.User{Name: "eve", Domain: "corp"}
	id := f.raise(t, a)
	if i := f.get(t, id); i.Name != "Title 1 on h1.example" || i.Severity != alert.Medium || i.Status != incident.Active || !slices.Equal(i.Users, []string{`corp\eve`}) {
		t.Errorf("begun %+v", i)
	}
	b := f.on(1, time.Hour)
	b.Severity, b.Category = alert.High, "Persistence"
	f.raise(t, b)
	if i := f.get(t, id); i.Name != "Multi-stage incident: Execution and Persistence on h1.example" || i.Severity != alert.High || i.Alerts != 2 || i.Unresolved != 2 {
		t.Errorf("grown %+v", i)
	}
	resolve := func(id ident.AlertID, status string) {
		t.Helper()
		if _, err := f.alerts.Update(t.Context(), analyst, id, alert.Change{Status: &status}); err != nil {
			t.Fatal(err)
		}
	}
	resolve(a.ID, "Resolved")
	if i := f.get(t, id); i.Status != incident.Active || i.Unresolved != 1 {
		t.Errorf("one resolved: %+v", i)
	}
	resolve(b.ID, "Resolved")
	if i := f.get(t, id); i.Status != incident.Resolved || !i.Resolved.Equal(f.now) {
		t.Errorf("all resolved: %+v", i)
	}
	if other := f.raise(t, f.on(1, 2*time.Hour)); other == id {
		t.Error("an alert joined a resolved incident")
	}
	resolve(b.ID, "New")
	if i := f.get(t, id); i.Status != incident.Active || !i.Resolved.IsZero() {
		t.Errorf("reopened: %+v", i)
	}
}

func TestUpdate(t *testing.T) {
	f := setup(t)
	a, b := f.on(1, 0), f.on(1, time.Hour)
	id := f.raise(t, a)
	f.raise(t, b)
	i, err := f.Update(t.Context(), analyst, id, incident.Change{Status: ptr("resolved"), AssignedTo: ptr("bob"), Classification: ptr("truepositive"),
		Determination: ptr("Apt"), Tags: ptr([]string{"x", "x", "y"}), Comment: "done", Name: ptr("Mine"), Severity: ptr("low")})
	if err != nil {
		t.Fatal(err)
	}
	if i.Status != incident.Resolved || i.Unresolved != 0 || i.Determination != "MultiStagedAttack" || len(i.Tags) != 2 || i.Comments[0].By != "ana@example" || i.Name != "Mine" || i.Severity != alert.Low {
		t.Errorf("incident %+v", i)
	}
	for _, x := range []ident.AlertID{a.ID, b.ID} {
		got, err := f.alerts.Get(t.Context(), tenant, x)
		if err != nil || got.Status != alert.Resolved || got.AssignedTo != "bob" || got.Classification != "TruePositive" || got.Determination != "MultiStagedAttack" {
			t.Errorf("alert %+v, %v", got, err)
		}
	}
	es, err := f.History(t.Context(), tenant, id, 0, 100)
	if err != nil || !slices.ContainsFunc(es, func(e history.Entry) bool {
		return e.Field == "status" && e.Old == "Active" && e.New == "Resolved" && e.By.Name == "ana@example"
	}) {
		t.Errorf("history %+v, %v", es, err)
	}
	if i, err = f.Update(t.Context(), analyst, id, incident.Change{Severity: ptr(""), Name: ptr("")}); err != nil || i.Severity != alert.Medium || i.Name == "Mine" {
		t.Errorf("following again: %+v, %v", i, err)
	}
	for name, c := range map[string]incident.Change{
		"nothing": {}, "status": {Status: ptr("Redirected")}, "severity": {Severity: ptr("Bad")}, "pair": {Classification: ptr("FalsePositive"), Determination: ptr("Malware")},
		"tag": {Tags: ptr([]string{" "})}, "name": {Name: ptr(strings.Repeat("x", 257))},
	} {
		if _, err := f.Update(t.Context(), analyst, id, c); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	stranger := &access.Principal{Actor: ident.Actor{Tenant: "other"}}
	if _, err := f.Update(t.Context(), stranger, id, incident.Change{Comment: "x"}); !errs.Is(err, errs.NotFound) {
		t.Errorf("across tenants: %v", err)
	}
}

func TestMergeAndSplit(t *testing.T) {
	f := setup(t)
	a, b, c := f.on(1, 0), f.on(2, 0), f.on(2, time.Hour)
	c.Severity = alert.High
	one, two := f.raise(t, a), f.raise(t, b)
	f.raise(t, c)
	got, err := f.Merge(t.Context(), analyst, two, one)
	if err != nil || got.ID != one || got.Alerts != 3 || got.Severity != alert.High || len(got.Devices) != 2 {
		t.Fatalf("merged %+v, %v", got, err)
	}
	if i := f.get(t, two); i.Status != incident.Redirected || i.Redirect != one || i.Alerts != 0 {
		t.Errorf("left behind %+v", i)
	}
	if into := f.raise(t, f.on(2, 90*time.Minute)); into != one {
		t.Errorf("a further alert joined incident %d", into)
	}
	if _, err := f.Update(t.Context(), analyst, two, incident.Change{Comment: "x"}); !errs.Is(err, errs.Conflict) {
		t.Errorf("changing a redirected one: %v", err)
	}
	for _, x := range [][2]ident.IncidentID{{one, one}, {two, one}, {one, two}, {one, 99}} {
		if _, err := f.Merge(t.Context(), analyst, x[0], x[1]); err == nil {
			t.Errorf("merged %v", x)
		}
	}
	split, err := f.Move(t.Context(), analyst, []ident.AlertID{c.ID}, 0)
	if err != nil || split.ID == one || split.Alerts != 1 || split.Severity != alert.High || split.Name != "Title 3 on h2.example" {
		t.Fatalf("split %+v, %v", split, err)
	}
	if i := f.get(t, one); i.Alerts != 3 || i.Severity != alert.Medium {
		t.Errorf("what stayed %+v", i)
	}
	back, err := f.Move(t.Context(), analyst, []ident.AlertID{c.ID}, one)
	if err != nil || back.Alerts != 4 {
		t.Errorf("moved back %+v, %v", back, err)
	}
	if i := f.get(t, split.ID); i.Status != incident.Redirected || i.Redirect != one {
		t.Errorf("emptied %+v", i)
	}
}

func TestAdopt(t *testing.T) {
	f := setup(t)
	s := f.Service
	bare := alert.NewService(alert.Config{Store: f.store.Alerts()})
	for n := range 3 {
		if _, err := bare.Raise(t.Context(), []*alert.Alert{f.on(n%2, 0)}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := s.Adopt(t.Context(), tenant, f.now.Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	page, err := s.List(t.Context(), tenant, filter.Query{})
	if err != nil || len(page.Items) != 2 || page.Items[0].Alerts+page.Items[1].Alerts != 3 {
		t.Errorf("adopted %+v, %v", page.Items, err)
	}
}

// TestTheAccountIsThatOfTheAlerts does anything in any order and compares each incident
// with its alerts.
func TestTheAccountIsThatOfTheAlerts(t *testing.T) {
	f := setup(t)
	rapid.Check(t, func(r *rapid.T) {
		f.now = f.now.Add(60 * 24 * time.Hour) // away from what other rounds did
		var ids []ident.AlertID
		for range rapid.IntRange(1, 12).Draw(r, "steps") {
			switch rapid.IntRange(0, 4).Draw(r, "what") {
			case 0, 1:
				a := f.on(rapid.IntRange(1, 3).Draw(r, "host"), 0)
				a.Title = rapid.SampledFrom([]string{"A", "B", a.Title}).Draw(r, "title")
				made, err := f.alerts.Raise(t.Context(), []*alert.Alert{a})
				if err != nil {
					r.Fatal(err)
				}
				for _, m := range made {
					ids = append(ids, m.ID)
				}
			case 2:
				if len(ids) > 0 {
					status := rapid.SampledFrom([]string{"New", "Resolved", "InProgress"}).Draw(r, "status")
					if _, err := f.alerts.Update(t.Context(), analyst, rapid.SampledFrom(ids).Draw(r, "alert"), alert.Change{Status: &status}); err != nil {
						r.Fatal(err)
					}
				}
			case 3:
				if len(ids) > 0 {
					if _, err := f.Move(t.Context(), analyst, []ident.AlertID{rapid.SampledFrom(ids).Draw(r, "alert")}, 0); err != nil {
						r.Fatal(err)
					}
				}
			case 4:
				if len(ids) > 0 {
					a, err := f.alerts.Get(t.Context(), tenant, rapid.SampledFrom(ids).Draw(r, "from"))
					b, err2 := f.alerts.Get(t.Context(), tenant, rapid.SampledFrom(ids).Draw(r, "to"))
					if err != nil || err2 != nil {
						r.Fatal(err, err2)
					}
					if a.Incident != b.Incident {
						if _, err := f.Merge(t.Context(), analyst, a.Incident, b.Incident); err != nil {
							r.Fatal(err)
						}
					}
				}
			}
		}
		f.compare(r, ids)
	})
}

func (f *fixture) compare(r *rapid.T, ids []ident.AlertID) {
	ctx := r.Context()
	in := map[ident.IncidentID][]*alert.Alert{}
	for _, id := range ids {
		a, err := f.alerts.Get(ctx, tenant, id)
		if err != nil {
			r.Fatal(err)
		}
		in[a.Incident] = append(in[a.Incident], a)
	}
	for id, alerts := range in {
		i, err := f.Get(ctx, tenant, id)
		if err != nil {
			r.Fatal(err)
		}
		open, worst := 0, alert.Informational
		for _, a := range alerts {
			if a.Open() {
				open++
			}
			if a.Severity.Rank() > worst.Rank() {
				worst = a.Severity
			}
		}
		if i.Alerts != len(alerts) || i.Unresolved != open || i.Severity != worst || (i.Status == incident.Resolved) != (open == 0) || i.Status == incident.Redirected {
			r.Fatalf("incident %+v has %d alerts, %d open, worst %s", i, len(alerts), open, worst)
		}
	}
}
