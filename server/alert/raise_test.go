package alert_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/store"
)

// detection is what a rule found on a device at a minute of the day.
func detection(n, minute int) *alert.Alert {
	at := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC).Add(time.Duration(minute) * time.Minute)
	return &alert.Alert{
		ID: ident.AlertID(fmt.Sprintf("da%d_7", n)), Tenant: tenant, Device: "d1", DeviceName: "web.example", Title: "Odd", Severity: alert.Low,
		FirstEvent: at, LastEvent: at, DetectionSource: "CustomerTI", Techniques: []string{"T1071"},
		Evidence: []alert.Evidence{{Type: "Ip", IP: "203.0.113.7", Created: at}, {Type: "Process", ProcessID: int64(n), Created: at}},
	}
}

func (f *fixture) detect(t *testing.T, as ...*alert.Alert) []*alert.Alert {
	t.Helper()
	made, err := f.Raise(t.Context(), as)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestDetectionsOfOneTitleAndDeviceMakeOneAlert(t *testing.T) {
	f := setup(t)
	first := detection(1, 600)
	if made := f.detect(t, first); len(made) != 1 {
		t.Fatalf("created %v", made)
	}
	worse := detection(2, 660)
	worse.Severity, worse.Techniques = alert.High, []string{"T1059", "T1071"}
	if made := f.detect(t, worse, detection(3, 590)); len(made) != 0 {
		t.Errorf("created %v", made)
	}
	got, err := f.Get(t.Context(), tenant, first.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got.Count != 3 || got.Severity != alert.High || len(got.Evidence) != 4 || len(got.Techniques) != 2 ||
		got.FirstEvent.Minute() != 50 || got.LastEvent.Hour() != 11 {
		t.Errorf("merged %+v", got)
	}
	if n := len(f.updated.Events()); n != 1 {
		t.Errorf("%d announcements for one batch", n)
	} else if u := <-f.updated.Events(); u.Added != 2 || u.Alert.Count != 3 {
		t.Errorf("announced %d added to %+v", u.Added, u.Alert)
	}
	// A batch that is sent again changes nothing.
	f.detect(t, worse, detection(3, 590), detection(1, 600))
	if again, err := f.Get(t.Context(), tenant, first.ID); err != nil || again.Count != 3 {
		t.Errorf("sent again: %+v, %v", again, err)
	}
	es, err := f.History(t.Context(), tenant, first.ID, 0, 100)
	if err != nil || len(es) != 3 || es[0].Field != "created" || es[1].Field != "evidence" || es[1].New != "3" || es[2].Seq != 3 {
		t.Errorf("history %+v, %v", es, err)
	}
}

func TestDetectionsThatDoNotMerge(t *testing.T) {
	f := setup(t)
	f.detect(t, detection(1, 600))
	other := func(n int, change func(*alert.Alert)) *alert.Alert {
		a := detection(n, 600)
		change(a)
		return a
	}
	for i, a := range []*alert.Alert{
		other(2, func(a *alert.Alert) { a.Device = "d2" }),
		other(3, func(a *alert.Alert) { a.Title = "ODD" }),
		other(4, func(a *alert.Alert) { a.Tenant = "0a0a0a0a-0000-4000-8000-000000000002" }),
		other(5, func(a *alert.Alert) {
			a.FirstEvent, a.LastEvent = a.FirstEvent.Add(25*time.Hour), a.LastEvent.Add(25*time.Hour)
		}),
	} {
		if made := f.detect(t, a); len(made) != 1 {
			t.Errorf("%d was merged", i)
		}
	}
	if _, err := f.Update(t.Context(), analyst, "da1_7", alert.Change{Status: ptr("Resolved")}); err != nil {
		t.Fatal(err)
	}
	if made := f.detect(t, other(6, func(a *alert.Alert) { a.FirstEvent = a.FirstEvent.Add(-time.Hour) })); len(made) != 1 {
		t.Errorf("merged into a resolved alert, or one a day away")
	}
}

// TestNothingIsLostInMerging raises detections in any order and batches, some of them
// twice: the counts of the alerts add up to the detections, and every one's evidence is
// there.
func TestNothingIsLostInMerging(t *testing.T) {
	round := 0
	f := setup(t)
	rapid.Check(t, func(r *rapid.T) {
		round++
		in := ident.TenantID(fmt.Sprintf("%08x-0000-4000-8000-000000000000", round))
		seen := map[int]bool{}
		for range rapid.IntRange(1, 8).Draw(r, "batches") {
			var batch []*alert.Alert
			for range rapid.IntRange(1, 5).Draw(r, "size") {
				n := rapid.IntRange(1, 30).Draw(r, "n")
				a := detection(n, n*97%4000)
				a.Tenant, a.Device = in, ident.DeviceID(fmt.Sprint("d", n%2))
				batch = append(batch, a)
				seen[n] = true
			}
			if _, err := f.Raise(context.Background(), batch); err != nil {
				r.Fatal(err)
			}
		}
		page, err := f.List(context.Background(), in, filter.Query{})
		if err != nil {
			r.Fatal(err)
		}
		var count int64
		told := map[int]bool{}
		for _, a := range page.Items {
			count += a.Count
			for _, e := range a.Evidence {
				if e.Type == "Process" {
					told[int(e.ProcessID)] = true
				}
			}
		}
		if int(count) != len(seen) || len(told) != len(seen) {
			r.Fatalf("%d detections: counted %d, %d have evidence", len(seen), count, len(told))
		}
	})
}

func rule(action alert.SuppressAction, cs ...alert.Condition) alert.Suppression {
	return alert.Suppression{Name: "known", Enabled: true, Action: action, Conditions: cs}
}

func is(field, op string, values ...string) alert.Condition {
	return alert.Condition{Field: field, Op: op, Values: values}
}

func TestSuppression(t *testing.T) {
	f := setup(t)
	r, err := f.CreateSuppression(t.Context(), analyst, rule("hide", is("TITLE", "equals", "odd"), is("ipaddress", "matches", "203.0.*.7")))
	if err != nil {
		t.Fatal(err)
	}
	made := f.detect(t, detection(1, 600))
	if len(made) != 1 || made[0].Status != alert.Resolved || made[0].Suppression != r.ID || !made[0].Hidden || made[0].Resolved.IsZero() {
		t.Fatalf("raised %+v", made)
	}
	field, _ := alert.Fields.Find("suppressed")
	page, err := f.List(t.Context(), tenant, filter.Query{Where: filter.Compare{Field: field, Op: filter.Eq, Value: filter.Value{Type: filter.Bool, B: true}}})
	if err != nil || len(page.Items) != 1 {
		t.Errorf("listed %v, %v", page.Items, err)
	}
	rules, err := f.Suppressions(t.Context(), tenant)
	if err != nil || len(rules) != 1 || rules[0].Matched != 1 || !rules[0].LastMatched.Equal(f.now) {
		t.Errorf("counted %+v, %v", rules, err)
	}
	if _, err := f.UpdateSuppression(t.Context(), analyst, r.ID, func(r *alert.Suppression) error { r.Enabled, r.Matched = false, 0; return nil }); err != nil {
		t.Fatal(err)
	}
	if made := f.detect(t, detection(2, 600)); len(made) != 1 || made[0].Status != alert.New {
		t.Errorf("a disabled rule matched: %+v", made)
	}
	if err := f.DeleteSuppression(t.Context(), analyst, r.ID); err != nil {
		t.Fatal(err)
	}
	rs, err := f.log.Records(t.Context(), tenant, 0, 10)
	if err != nil || len(rs) != 3 || rs[0].Verb != "suppression.create" || rs[2].Verb != "suppression.delete" {
		t.Errorf("audit %+v, %v", rs, err)
	}
}

func TestWhatSuppressionRulesMatch(t *testing.T) {
	a := detection(1, 600)
	a.Category, a.User.Name = "Execution", "eve"
	a.Evidence = []alert.Evidence{
		{Type: "Process", FileName: "curl", FilePath: "/usr/bin", CommandLine: "curl -s http://Evil.example/", SHA256: "ab", ParentName: "cron"},
		{Type: "File", FileName: "x.sh", FilePath: "/tmp/x.sh"},
	}
	for name, c := range map[string]struct {
		conditions []alert.Condition
		want       bool
	}{
		"alternatives":            {[]alert.Condition{is("title", "equals", "even", "ODD")}, true},
		"starts":                  {[]alert.Condition{is("deviceName", "startsWith", "web.")}, true},
		"ends":                    {[]alert.Condition{is("deviceName", "endsWith", ".test")}, false},
		"all must hold":           {[]alert.Condition{is("title", "equals", "odd"), is("category", "equals", "Malware")}, false},
		"joined path":             {[]alert.Condition{is("filePath", "equals", "/usr/bin/curl")}, true},
		"path with its name":      {[]alert.Condition{is("filePath", "matches", "/tmp/?.sh")}, true},
		"one piece":               {[]alert.Condition{is("fileName", "equals", "curl"), is("parentProcessName", "equals", "cron")}, true},
		"two pieces":              {[]alert.Condition{is("fileName", "equals", "x.sh"), is("parentProcessName", "equals", "cron")}, false},
		"wildcards":               {[]alert.Condition{is("commandLine", "matches", "*evil*/")}, true},
		"wildcard without a rest": {[]alert.Condition{is("commandLine", "matches", "curl")}, false},
		"missing":                 {[]alert.Condition{is("url", "contains", "e")}, false},
		"technique":               {[]alert.Condition{is("technique", "equals", "t1071")}, true},
	} {
		r := rule("Resolve", c.conditions...)
		if err := r.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := r.Match(a, 0); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	r := rule("Resolve", is("title", "equals", "odd"))
	r.Groups = []int64{3}
	if r.Match(a, 2) || !r.Match(a, 3) {
		t.Error("scope of a group")
	}
	r.Devices = []ident.DeviceID{"d1"}
	if !r.Match(a, 2) {
		t.Error("scope of a device")
	}
}

func TestSuppressionRulesThatAreRefused(t *testing.T) {
	f := setup(t)
	for name, r := range map[string]alert.Suppression{
		"no name":      {Action: alert.Hide, Conditions: []alert.Condition{is("title", "equals", "x")}},
		"no action":    {Name: "x", Conditions: []alert.Condition{is("title", "equals", "x")}},
		"no condition": rule(alert.Hide),
		"field":        rule(alert.Hide, is("colour", "equals", "x")),
		"op":           rule(alert.Hide, is("title", "like", "x")),
		"no value":     rule(alert.Hide, is("title", "equals")),
		"empty value":  rule(alert.Hide, is("title", "contains", "")),
		"device":       {Name: "x", Action: alert.Hide, Devices: []ident.DeviceID{"web"}, Conditions: []alert.Condition{is("title", "equals", "x")}},
	} {
		if _, err := f.CreateSuppression(t.Context(), analyst, r); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// roster says who is logged on to a device.
type roster map[ident.DeviceID][]alert.User

func (r roster) LoggedOn(_ context.Context, _ ident.TenantID, d ident.DeviceID) ([]alert.User, error) {
	return r[d], nil
}

// TestAlertsKeepWhoWasLoggedOn raises alerts while people come and go: each says who was there
// when it was raised, whatever is merged into it later.
func TestAlertsKeepWhoWasLoggedOn(t *testing.T) {
	db, err := store.Open(t.Context(), store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	there := roster{"d1": {{Name: "eve", Domain: "corp"}}}
	s := alert.NewService(alert.Config{Store: db.Alerts(), Sessions: there, Atomic: db.Atomic})
	raise := func(a *alert.Alert) {
		t.Helper()
		if _, err := s.Raise(t.Context(), []*alert.Alert{a}); err != nil {
			t.Fatal(err)
		}
	}
	want := func(id ident.AlertID, names ...string) {
		t.Helper()
		a, err := s.Get(t.Context(), tenant, id)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, u := range a.LoggedOn {
			got = append(got, u.Name)
		}
		if !slices.Equal(got, names) {
			t.Errorf("%s: %v were logged on, want %v", id, got, names)
		}
	}
	first, later, elsewhere := detection(1, 600), detection(3, 620), detection(4, 600)
	raise(first)
	there["d1"] = []alert.User{{Name: "mallory"}}
	raise(detection(2, 610))
	later.Title = "Else"
	raise(later)
	elsewhere.Device = "d2"
	raise(elsewhere)
	want(first.ID, "eve")
	want(later.ID, "mallory")
	want(elsewhere.ID)
}
