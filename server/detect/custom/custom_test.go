package custom_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/content"
	"github.com/vedette-edr/vedette/detection"
	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/detect/behavior"
	"github.com/vedette-edr/vedette/server/detect/custom"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/hunt"
	"github.com/vedette-edr/vedette/server/hunt/hunttest"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/indicator"
	"github.com/vedette-edr/vedette/server/store"
	"github.com/vedette-edr/vedette/server/telemetry"
)

const (
	tenant ident.TenantID = "aaaaaaaa-0000-4000-8000-000000000001"
	other  ident.TenantID = "bbbbbbbb-0000-4000-8000-000000000002"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// fixture is the whole of custom rules on a real control store, with telemetry in memory.
type fixture struct {
	*custom.Service
	now       time.Time
	db        *store.Store
	rows      *hunttest.Memory
	alerts    *alert.Service
	runner    *custom.Runner
	responder *custom.Responder
	asked     []action.Request
	put       []*indicator.Indicator
	broken    error // what hunts answer
	attack    *detection.Attack
}

func (f *fixture) clock() time.Time { return f.now }

// Run implements custom.Hunter.
func (f *fixture) Run(ctx context.Context, r hunt.Request) (*hunt.Result, error) {
	if f.broken != nil {
		return nil, f.broken
	}
	return hunt.New(hunt.Config{Store: f.rows, Clock: f.clock}).Run(ctx, r)
}

// Request implements custom.Actions.
func (f *fixture) Request(_ context.Context, _ *access.Principal, r action.Request) (*action.Action, error) {
	if slices.ContainsFunc(f.asked, func(o action.Request) bool { return o.Device == r.Device }) {
		return nil, errs.New("test", errs.Conflict, errs.ActiveRequestAlreadyExists, "already")
	}
	f.asked = append(f.asked, r)
	return &action.Action{ID: "action-1"}, nil
}

// Put implements custom.Indicators.
func (f *fixture) Put(_ context.Context, i *indicator.Indicator) (*indicator.Indicator, error) {
	f.put = append(f.put, i)
	i.ID = 7
	return i, i.Validate()
}

// FindByName implements custom.Devices.
func (f *fixture) FindByName(context.Context, ident.TenantID, string) ([]*device.Device, error) {
	return []*device.Device{{ID: "named"}}, nil
}

func setup(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{now: noon, rows: &hunttest.Memory{}}
	text, err := fs.ReadFile(content.FS, "attack.yaml")
	if err != nil {
		t.Fatal(err)
	}
	attack, err := detection.ParseAttack(text)
	if err != nil {
		t.Fatal(err)
	}
	f.attack = attack
	if f.db, err = store.Open(t.Context(), store.Config{Dir: t.TempDir(), Clock: f.clock}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.db.Close() })
	d := f.db.Detections()
	f.alerts = alert.NewService(alert.Config{Store: f.db.Alerts(), Clock: f.clock})
	f.Service = custom.NewService(custom.Config{Store: d, Attack: attack, Capabilities: custom.Offered{}, Clock: f.clock, Atomic: f.db.Atomic})
	f.runner = custom.NewRunner(custom.RunnerConfig{Store: d, Hunter: f, Alerts: f.alerts, Devices: f, Clock: f.clock})
	f.responder = custom.NewResponder(custom.ResponderConfig{Rules: d, Answers: d, Alerts: f.db.Alerts(), Actions: f, Indicators: f, Clock: f.clock})
	return f
}

func as(t *testing.T, id ident.TenantID) context.Context {
	return access.WithPrincipal(t.Context(), &access.Principal{Actor: ident.Actor{Kind: ident.ActorApp, ID: "app", Name: "engineer", Tenant: id}, Scope: access.Everything})
}

const query = `DeviceProcessEvents | where FileName == "nc" | project Timestamp, ReportId, DeviceId, DeviceName, FileName, SHA1, ProcessId, ProcessCommandLine`

func sound() *custom.Rule {
	return &custom.Rule{Name: "netcat", Enabled: true, Query: query, Period: custom.Hourly,
		Alert: custom.Template{Title: "{{FileName}} ran", Severity: "high", Category: "Execution", Techniques: []string{"T1059.004"},
			Details: map[string]string{"Command": "ProcessCommandLine"}, Impacted: []custom.Asset{{Kind: custom.Device, Column: "deviceId"}}}}
}

// nc puts one event of netcat into the store, which came in at another time than it happened.
func (f *fixture) nc(n int, happened, ingested time.Time) {
	e := &event.Event{Table: event.ProcessEvents, Action: "ProcessCreated", Time: happened, Process: &event.Process{Key: uint64(n), PID: uint32(n),
		CommandLine: fmt.Sprintf("nc -l %d", n), Image: event.File{Name: "nc", Path: "/usr/bin/nc", SHA1: strings.Repeat("a", 40)}}}
	f.rows.Add(tenant, event.Origin{DeviceID: fmt.Sprintf("%040x", 1), DeviceName: "host", ReportID: int64(n), Ingested: ingested}, e)
}

// due runs every rule that is due, as the Runner does.
func (f *fixture) due(t *testing.T) int {
	t.Helper()
	rules, err := f.db.Detections().DueRules(t.Context(), f.now, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		if err := f.runner.RunOnce(t.Context(), r); err != nil && f.broken == nil {
			t.Fatal(err)
		}
	}
	return len(rules)
}

func (f *fixture) raised(t *testing.T) []*alert.Alert {
	t.Helper()
	p, err := f.db.Alerts().Alerts(t.Context(), tenant, filter.Query{Top: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return p.Items
}

func (f *fixture) rule(t *testing.T, id int64) *custom.Rule {
	t.Helper()
	r, err := f.Get(as(t, tenant), id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCreateRefuses(t *testing.T) {
	f := setup(t)
	for want, change := range map[string]func(*custom.Rule){
		"displayName is missing": func(r *custom.Rule) { r.Name = " " },
		"schedule.period":        func(r *custom.Rule) { r.Period = "2H" },
		"severity":               func(r *custom.Rule) { r.Alert.Severity = "awful" },
		"T0000":                  func(r *custom.Rule) { r.Alert.Techniques = []string{"T0000"} },
		"no column ReportId":     func(r *custom.Rule) { r.Query = "DeviceProcessEvents | project Timestamp, DeviceId" },
		"no column Timestamp":    func(r *custom.Rule) { r.Query = "DeviceProcessEvents | summarize ReportId = max(ReportId) by DeviceId" },
		"whom it is about":       func(r *custom.Rule) { r.Query = "DeviceProcessEvents | project Timestamp, ReportId" },
		"1:29: KQL0101":          func(r *custom.Rule) { r.Query = "DeviceProcessEvents | where Nope == 1" },
		"1:23: KQL0201": func(r *custom.Rule) {
			r.Period, r.Query = custom.Continuous, "DeviceProcessEvents | top 5 by Timestamp"
		},
		`no column "Nope"`: func(r *custom.Rule) { r.Alert.Title = "{{Nope}}" },
		"responseActions: initiateInvestigation": func(r *custom.Rule) {
			r.Responses = []custom.Response{{Kind: custom.Investigate, Target: "deviceId"}}
		},
		"isolationType selective": func(r *custom.Rule) {
			r.Responses = []custom.Response{{Kind: custom.Isolate, Target: "deviceId", Scope: "selective"}}
		},
		"responseActions[0].identifier":        func(r *custom.Rule) { r.Responses = []custom.Response{{Kind: custom.BlockFile, Target: "fileName"}} },
		"markUserAsCompromised is not offered": func(r *custom.Rule) { r.Responses = []custom.Response{{Kind: custom.Compromised, Target: "deviceId"}} },
		"impactedAssets[0]":                    func(r *custom.Rule) { r.Alert.Impacted[0].Column = "accountSid" },
		"customDetails.Command":                func(r *custom.Rule) { r.Alert.Details["Command"] = "Nope" },
	} {
		r := sound()
		change(r)
		_, err := f.Create(as(t, tenant), r)
		var e *errs.E
		if !errors.As(err, &e) || !strings.Contains(e.Detail, want) || e.Kind != errs.Invalid && e.Kind != errs.Unsupported {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := f.Create(as(t, tenant), sound()); err != nil {
		t.Errorf("a sound rule: %v", err)
	}
	if _, err := f.Create(as(t, tenant), sound()); !errs.Is(err, errs.Conflict) {
		t.Errorf("the same name again: %v", err)
	}
	if _, err := f.Get(as(t, other), 1); !errs.Is(err, errs.NotFound) {
		t.Errorf("another tenant's rule: %v", err)
	}
}

func TestRunsRaiseEachResultOnce(t *testing.T) {
	f := setup(t)
	f.nc(1, noon.Add(-20*24*time.Hour), noon.Add(-20*24*time.Hour)) // within the span of a first run
	r, err := f.Create(as(t, tenant), sound())
	if err != nil {
		t.Fatal(err)
	}
	if n := f.due(t); n != 1 {
		t.Fatalf("%d rules are due at once, want 1", n)
	}
	as1 := f.raised(t)
	if len(as1) != 1 {
		t.Fatalf("%d alerts after the first run", len(as1))
	}
	a := as1[0]
	if a.Title != "nc ran" || a.DetectionSource != "CustomDetection" || a.DetectorID != r.DetectorID || a.Severity != alert.High ||
		a.Details["Command"] != "nc -l 1" || !strings.HasPrefix(string(a.ID), "ca") || len(a.Evidence) == 0 || a.Evidence[0].ProcessID != 1 {
		t.Errorf("alert %+v", a)
	}
	got := f.rule(t, r.ID)
	if got.Last.Status != custom.Completed || got.Last.Alerts != 1 || !got.Last.At.Equal(noon) || !got.Until.Equal(noon) || !got.Next.After(noon) {
		t.Errorf("after the first run: last %+v, until %v, next %v", got.Last, got.Until, got.Next)
	}
	if n := f.due(t); n != 0 {
		t.Errorf("%d rules are due right after a run", n)
	}
	// A spool that was away for three days comes in late.
	f.now = got.Next.Add(10 * time.Second)
	f.nc(2, noon.Add(-72*time.Hour), noon.Add(time.Minute))
	f.due(t)
	if n := len(f.raised(t)); n != 2 {
		t.Errorf("%d alerts after a late spool, want 2", n)
	}
	// What the next window sees again is not raised again, and not counted.
	f.now = f.rule(t, r.ID).Next.Add(10 * time.Second)
	f.due(t)
	if got := f.rule(t, r.ID); got.Last.Rows != 1 || got.Last.Alerts != 0 || len(f.raised(t)) != 2 {
		t.Errorf("a window that overlaps: %+v, %d alerts", got.Last, len(f.raised(t)))
	}
}

// A crash after the alerts and before the outcome leaves the slot due: it is run over the
// same window and doubles nothing.
func TestRunAgainAfterCrash(t *testing.T) {
	f := setup(t)
	f.nc(1, noon.Add(-time.Hour), noon.Add(-time.Hour))
	if _, err := f.Create(as(t, tenant), sound()); err != nil {
		t.Fatal(err)
	}
	due, err := f.db.Detections().DueRules(t.Context(), noon, 10)
	if err != nil || len(due) != 1 {
		t.Fatal(due, err)
	}
	for range 2 {
		again := *due[0]
		if err := f.runner.RunOnce(t.Context(), &again); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(f.raised(t)); n != 1 {
		t.Errorf("%d alerts, want 1", n)
	}
}

func TestMostAlertsOfARun(t *testing.T) {
	f := setup(t)
	for n := 1; n <= 130; n++ {
		f.nc(n, noon.Add(-time.Duration(n)*time.Minute), noon.Add(-time.Minute))
	}
	r, err := f.Create(as(t, tenant), sound())
	if err != nil {
		t.Fatal(err)
	}
	f.due(t)
	got := f.rule(t, r.ID)
	if n := len(f.raised(t)); n != custom.MaxAlerts || got.Last.Status != custom.Partial || got.Last.Code != "queryExceededResultSize" {
		t.Errorf("%d alerts, last run %+v", n, got.Last)
	}
	f.now = got.Next.Add(10 * time.Second)
	f.due(t)
	if n := len(f.raised(t)); n != 130 {
		t.Errorf("%d alerts after the next run, want the other 30 as well", n)
	}
}

// A run that fails says why, and what it should have looked at is looked at by the next
// that succeeds, however many were missed.
func TestFailureAndMissedRuns(t *testing.T) {
	f := setup(t)
	r, err := f.Create(as(t, tenant), sound())
	if err != nil {
		t.Fatal(err)
	}
	f.due(t)
	f.nc(1, noon.Add(time.Minute), noon.Add(time.Minute))
	f.broken = errs.New("test", errs.Timeout, "", "the query took more than 200 s")
	f.now = f.rule(t, r.ID).Next
	f.due(t)
	if got := f.rule(t, r.ID); got.Last.Status != custom.Failed || got.Last.Code != "queryTimeout" || !strings.Contains(got.Last.Reason, "200 s") || !got.Until.Equal(noon) {
		t.Errorf("after a failure: %+v, until %v", got.Last, got.Until)
	}
	f.broken, f.now = nil, noon.Add(100*time.Hour)
	f.due(t)
	got := f.rule(t, r.ID)
	if n := len(f.raised(t)); n != 1 {
		t.Errorf("%d alerts after 100 hours without a run, want 1", n)
	}
	for range 3 {
		if got = f.rule(t, r.ID); !got.Next.After(f.now) {
			f.due(t)
		}
	}
	if !got.Next.After(f.now) || got.Next.After(f.now.Add(2*time.Hour)) {
		t.Errorf("the next run is %v after now", got.Next.Sub(f.now))
	}
}

func TestDisabledAndChangedRules(t *testing.T) {
	f := setup(t)
	r, err := f.Create(as(t, tenant), sound())
	if err != nil {
		t.Fatal(err)
	}
	off := func(on bool) {
		if _, err := f.Update(as(t, tenant), r.ID, func(r *custom.Rule) error { r.Enabled = on; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	off(false)
	if n := f.due(t); n != 0 {
		t.Error("a disabled rule is due")
	}
	off(true)
	if n := f.due(t); n != 1 {
		t.Error("a rule that was enabled is not due")
	}
	if err := f.Delete(as(t, other), r.ID); !errs.Is(err, errs.NotFound) {
		t.Errorf("another tenant deletes: %v", err)
	}
	if err := f.Delete(as(t, tenant), r.ID); err != nil {
		t.Fatal(err)
	}
}

func TestResponses(t *testing.T) {
	f := setup(t)
	r := sound()
	r.Responses = []custom.Response{{Kind: custom.Isolate, Target: "deviceId", Scope: "full"}, {Kind: custom.BlockFile, Target: "sha1"}}
	if _, err := f.Create(as(t, tenant), r); err != nil {
		t.Fatal(err)
	}
	f.nc(1, noon.Add(-time.Hour), noon.Add(-time.Hour))
	f.nc(2, noon.Add(-time.Minute), noon.Add(-time.Minute))
	f.due(t)
	// Nobody was told of the alerts, as after a crash; looking for them twice is harmless.
	for range 2 {
		if err := f.responder.Catch(t.Context(), tenant, noon.Add(-24*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if _, err := f.responder.Work(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(f.asked) != 1 || f.asked[0].Device != ident.DeviceID(fmt.Sprintf("%040x", 1)) || f.asked[0].Kind != action.Isolate {
		t.Errorf("asked for %+v, want one isolation", f.asked)
	}
	if len(f.put) != 2 || f.put[0].Value != strings.Repeat("a", 40) || f.put[0].Action != indicator.Block {
		t.Errorf("indicators %+v, want that of the file for each alert", f.put)
	}
	if open, err := f.db.Detections().OpenAnswers(t.Context(), 10); err != nil || len(open) != 0 {
		t.Errorf("still to be done: %v, %v", open, err)
	}
}

// A continuous rule of somebody who sees some devices speaks of those alone.
func TestContinuousRulesKeepToTheirOwnersScope(t *testing.T) {
	f := setup(t)
	groups := custom.NewService(custom.Config{Store: f.db.Detections(), Attack: f.attack, Capabilities: custom.Offered{}, Clock: f.clock,
		GroupOf: func(_ context.Context, _ ident.TenantID, id ident.DeviceID) (int64, error) {
			return map[ident.DeviceID]int64{"mine": 1, "theirs": 2}[id], nil
		}})
	r := sound()
	r.Period = custom.Continuous
	ctx := access.WithPrincipal(t.Context(), &access.Principal{Actor: ident.Actor{ID: "p", Name: "p", Tenant: tenant}, Scope: access.Scope{Groups: []int64{1}}})
	if _, err := groups.Create(ctx, r); err != nil {
		t.Fatal(err)
	}
	rules, err := groups.Continuous(t.Context(), tenant, func(r *custom.Rule, err error) { t.Error(err) })
	if err != nil || len(rules) != 1 {
		t.Fatal(rules, err)
	}
	d := behavior.New(behavior.Config{}, nil)
	d.Replace(tenant, behavior.Custom, rules)
	for id, want := range map[ident.DeviceID]int{"mine": 1, "theirs": 0} {
		got, err := d.Match(t.Context(), &telemetry.Batch{Tenant: tenant, Device: id, FirstReport: 1, Received: noon, Events: []*event.Event{
			{Table: event.ProcessEvents, Action: "ProcessCreated", Time: noon, Process: &event.Process{PID: 3, Image: event.File{Name: "nc"}}}}})
		if err != nil || len(got) != want {
			t.Errorf("of %s it raised %d, %v, want %d", id, len(got), err, want)
		}
	}
}

func TestContinuousRulesStream(t *testing.T) {
	f := setup(t)
	r := sound()
	r.Period = custom.Continuous
	if _, err := f.Create(as(t, tenant), r); err != nil {
		t.Fatal(err)
	}
	if n := f.due(t); n != 0 {
		t.Error("a continuous rule is scheduled")
	}
	rules, err := f.Continuous(t.Context(), tenant, func(r *custom.Rule, err error) { t.Error(err) })
	if err != nil || len(rules) != 1 {
		t.Fatal(rules, err)
	}
	at := event.Origin{DeviceID: "d", DeviceName: "host", ReportID: 9, Timestamp: noon}
	rec := detection.FromEvent(at, &event.Event{Table: event.ProcessEvents, Action: "ProcessCreated", Time: noon, Process: &event.Process{PID: 3, CommandLine: "nc x", Image: event.File{Name: "nc"}}})
	var found []*detection.Finding
	set := detection.NewSet([]*detection.Compiled{rules[0].Compiled}, nil)
	if err := set.Match(detection.NewState(0), slices.Values([]*detection.Record{&rec}), func(f *detection.Finding) { found = append(found, f) }); err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	a := &alert.Alert{Device: "d"}
	rules[0].Finish(a, found[0])
	if a.DetectionSource != "CustomDetection" || a.Details["Command"] != "nc x" || !strings.HasPrefix(string(a.ID), "ca") || a.Source.Rule != "custom/1" {
		t.Errorf("alert %+v", a)
	}
}

// TestATenantHasSoManyRules creates the last rule that a tenant may have from many callers at
// once: one of them gets it. A rule that is deleted makes room, changing one does not need
// any, and another tenant has its own.
func TestATenantHasSoManyRules(t *testing.T) {
	f := setup(t)
	ctx := as(t, tenant)
	err := f.db.Atomic(ctx, func(ctx context.Context) error {
		for n := range custom.MaxRules - 1 {
			r := sound()
			r.Tenant, r.Name, r.DetectorID = tenant, fmt.Sprint("rule ", n), fmt.Sprintf("00000000-0000-4000-8000-%012d", n)
			r.Created, r.Modified = f.now, f.now
			if err := f.db.Detections().CreateRule(ctx, r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	create := func(ctx context.Context) (*custom.Rule, error) { return f.Create(ctx, sound()) }
	type made struct {
		rule *custom.Rule
		err  error
	}
	answers := make(chan made)
	const callers = 8
	for range callers {
		go func() {
			r, err := create(ctx)
			answers <- made{r, err}
		}()
	}
	var last *custom.Rule
	for range callers {
		a := <-answers
		var e *errs.E
		switch {
		case a.err == nil && last == nil:
			last = a.rule
		case a.err == nil:
			t.Errorf("two callers got the last rule")
		case !errors.As(a.err, &e) || e.Kind != errs.Exhausted || e.Code != errs.QuotaExceeded || !strings.Contains(e.Detail, fmt.Sprint(custom.MaxRules)):
			t.Errorf("%v, want that %d are the most", a.err, custom.MaxRules)
		}
	}
	if last == nil {
		t.Fatal("nobody got the last rule")
	}
	page, err := f.db.Detections().Rules(ctx, tenant, filter.Query{Top: 1, Count: true})
	if err != nil || page.Total != custom.MaxRules {
		t.Errorf("%d rules, %v", page.Total, err)
	}
	if _, err := create(as(t, other)); err != nil {
		t.Errorf("another tenant: %v", err)
	}
	if _, err := f.Update(ctx, last.ID, func(r *custom.Rule) error { r.Enabled = false; return nil }); err != nil {
		t.Errorf("changing the last: %v", err)
	}
	if err := f.Delete(ctx, last.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := create(ctx); err != nil {
		t.Errorf("after one was deleted: %v", err)
	}
	if _, err := create(ctx); !errs.Is(err, errs.Exhausted) {
		t.Errorf("one more: %v", err)
	}
}
