package backtest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vedette-edr/vedette/detection"
	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/detect/backtest"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/hunt"
	"github.com/vedette-edr/vedette/server/hunt/hunttest"
	"github.com/vedette-edr/vedette/server/ident"
)

const tenant ident.TenantID = "aaaaaaaa-0000-4000-8000-000000000001"

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func as(t *testing.T, id ident.TenantID, scope access.Scope) context.Context {
	return access.WithPrincipal(t.Context(), &access.Principal{Actor: ident.Actor{ID: "a", Name: "a", Tenant: id}, Scope: scope,
		Roles: []string{string(access.AdvancedHuntRead)}})
}

// finished waits for a job.
func finished(ctx context.Context, t *testing.T, s *backtest.Service, j *backtest.Job) *backtest.Job {
	t.Helper()
	for j.Status == backtest.Running {
		var err error
		if j, err = s.Get(ctx, j.ID); err != nil {
			t.Fatal(err)
		}
	}
	return j
}

func TestBacktests(t *testing.T) {
	rows := &hunttest.Memory{}
	for day := range 5 {
		for n := range 4 {
			at := noon.Add(-time.Duration(day)*24*time.Hour + time.Duration(n)*time.Second)
			rows.Add(tenant, event.Origin{DeviceID: fmt.Sprintf("%040x", day%2), DeviceName: fmt.Sprint("host-", day%2), ReportID: int64(100*day + n)},
				&event.Event{Table: event.LogonEvents, Action: "LogonFailed", Time: at, Logon: &event.Logon{RemoteIP: "203.0.113.9"}, Account: &event.Account{Name: "root"}})
		}
	}
	now := noon.Add(time.Hour)
	hunts := hunt.New(hunt.Config{Store: rows, Clock: func() time.Time { return now }})
	s := backtest.New(backtest.Config{Store: rows, Hunter: hunts, Clock: func() time.Time { return now }})
	defer s.Close()
	rule, err := detection.Compile(&detection.Rule{ID: "x", Title: "From {{RemoteIP}}", Threshold: &detection.Threshold{
		Query: `DeviceLogonEvents | where ActionType == "LogonFailed"`, By: []string{"RemoteIP"}, Within: detection.Duration(time.Minute), Count: 3}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx := as(t, tenant, access.Everything)
	for name, k := range map[string]struct {
		r              backtest.Request
		alerts, days   int
		device         backtest.Count
		title          string
		leastExaminded int
	}{
		"rule":      {backtest.Request{Rule: rule}, 3, 3, backtest.Count{Name: "host-0", N: 2}, "From 203.0.113.9", 12},
		"query":     {backtest.Request{Query: `DeviceLogonEvents | where AccountName == "root" | summarize arg_max(Timestamp, *) by DeviceId | project Timestamp, DeviceId, DeviceName, ReportId`}, 2, 2, backtest.Count{Name: "host-0", N: 1}, "", 2},
		"indicator": {backtest.Request{Indicator: backtest.Indicator{Type: "IpAddress", Value: "203.0.113.9"}}, 12, 3, backtest.Count{Name: "host-0", N: 8}, "", 12},
		"nothing":   {backtest.Request{Indicator: backtest.Indicator{Type: "FileSha1", Value: "da39a3ee5e6b4b0d3255bfef95601890afd80709"}}, 0, 0, backtest.Count{}, "", 0},
	} {
		k.r.From = noon.Add(-60 * time.Hour)
		j, err := s.Start(ctx, k.r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		j = finished(ctx, t, s, j)
		if j.Status != backtest.Succeeded || j.Progress != 1 || j.Alerts != k.alerts || len(j.Days) != k.days || j.Examined != k.leastExaminded {
			t.Errorf("%s: %+v", name, j)
			continue
		}
		if k.alerts > 0 && (j.Devices[0] != k.device || len(j.Samples) != k.alerts || j.Samples[0].Title != k.title) {
			t.Errorf("%s: devices %v, samples %+v", name, j.Devices, j.Samples)
		}
		if _, err := s.Get(as(t, "bbbbbbbb-0000-4000-8000-000000000002", access.Everything), j.ID); !errs.Is(err, errs.NotFound) {
			t.Errorf("%s: another tenant sees it: %v", name, err)
		}
	}
	for name, k := range map[string]struct {
		ctx  context.Context
		r    backtest.Request
		kind errs.Kind
	}{
		"span":      {ctx, backtest.Request{Rule: rule, From: noon.Add(-10000 * time.Hour)}, errs.Invalid},
		"indicator": {ctx, backtest.Request{Indicator: backtest.Indicator{Type: "IpAddress", Value: "x' or true"}, From: noon}, errs.Invalid},
		"type":      {ctx, backtest.Request{Indicator: backtest.Indicator{Type: "Planet", Value: "x"}, From: noon}, errs.Invalid},
	} {
		if _, err := s.Start(k.ctx, k.r); !errs.Is(err, k.kind) {
			t.Errorf("%s: %v, want %v", name, err, k.kind)
		}
	}
}

// halves says that devices with an even number are in group 1, the others in group 2.
type halves struct{}

func (halves) Within(ctx context.Context, _ ident.TenantID) ([]ident.DeviceID, error) {
	var out []ident.DeviceID
	for n := range 40 {
		if access.ScopeOf(ctx).Holds(int64(1 + n%2)) {
			out = append(out, ident.DeviceID(fmt.Sprintf("%040x", n)))
		}
	}
	return out, nil
}

// TestABacktestTellsNothingOfOtherGroups runs backtests of every kind as somebody who sees
// one group, and compares what they are told with the same over telemetry that has nothing
// of the other group: not the number of alerts, nor of events that were looked at, nor a
// threshold that both groups reach together, may differ.
func TestABacktestTellsNothingOfOtherGroups(t *testing.T) {
	whole, half := &hunttest.Memory{}, &hunttest.Memory{}
	for n := range 40 {
		for k := range 3 {
			at := noon.Add(-time.Duration(n/2%3)*24*time.Hour + time.Duration(n*k)*time.Second)
			origin := event.Origin{DeviceID: fmt.Sprintf("%040x", n), DeviceName: fmt.Sprint("host-", n), ReportID: int64(k + 1)}
			e := &event.Event{Table: event.LogonEvents, Action: "LogonFailed", Time: at, Logon: &event.Logon{RemoteIP: fmt.Sprint("203.0.113.", n/2)}, Account: &event.Account{Name: fmt.Sprint("user-", n)}}
			whole.Add(tenant, origin, e)
			if n%2 == 0 {
				half.Add(tenant, origin, e)
			}
		}
	}
	now := noon.Add(time.Hour)
	clock := func() time.Time { return now }
	service := func(rows *hunttest.Memory) *backtest.Service {
		s := backtest.New(backtest.Config{Store: rows, Hunter: hunt.New(hunt.Config{Store: rows, Clock: clock, Devices: halves{}}), Devices: halves{}, Clock: clock, Concurrent: 100})
		t.Cleanup(s.Close)
		return s
	}
	over, alone := service(whole), service(half)
	// Four of the other group's address and one's own make a threshold that neither reaches alone.
	rule, err := detection.Compile(&detection.Rule{ID: "x", Title: "From {{RemoteIP}}", Threshold: &detection.Threshold{
		Query: `DeviceLogonEvents | where ActionType == "LogonFailed"`, By: []string{"RemoteIP"}, Within: detection.Duration(time.Hour), Count: 4}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	each, err := detection.Compile(&detection.Rule{ID: "y", Title: "{{AccountName}}", Query: `DeviceLogonEvents | where ActionType == "LogonFailed"`}, nil)
	if err != nil {
		t.Fatal(err)
	}
	mine, theirs := as(t, tenant, access.Scope{Groups: []int64{1}}), as(t, tenant, access.Scope{Groups: []int64{2}})
	all, both := as(t, tenant, access.Everything), as(t, tenant, access.Scope{Groups: []int64{1, 2}})
	for name, r := range map[string]backtest.Request{
		"threshold": {Rule: rule}, "rule": {Rule: each},
		"query":     {Query: `DeviceLogonEvents | project Timestamp, DeviceId, DeviceName, ReportId`},
		"indirect":  {Query: `let n = toscalar(DeviceLogonEvents | count); DeviceLogonEvents | summarize arg_max(Timestamp, *) by DeviceId | where n > 60 | project Timestamp, DeviceId, DeviceName, ReportId`},
		"indicator": {Indicator: backtest.Indicator{Type: "IpAddress", Value: "203.0.113.7"}},
		"theirs":    {Query: `DeviceLogonEvents | where DeviceName == "host-1" | project Timestamp, DeviceId, DeviceName, ReportId`},
	} {
		r.From = noon.Add(-90 * time.Hour)
		run := func(ctx context.Context, s *backtest.Service) *backtest.Job {
			t.Helper()
			j, err := s.Start(ctx, r)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			j = finished(ctx, t, s, j)
			if j.Status != backtest.Succeeded {
				t.Fatalf("%s: %+v", name, j)
			}
			return j
		}
		got, want, everything := run(mine, over), run(all, alone), run(all, over)
		id := got.ID
		if d := cmp.Diff(want, got, cmpopts.IgnoreFields(backtest.Job{}, "ID")); d != "" {
			t.Errorf("%s: over both groups as over the own alone (-alone +both):\n%s", name, d)
		}
		if name != "theirs" && name != "indirect" && everything.Alerts <= got.Alerts {
			t.Errorf("%s: %d alerts for who sees both, %d for one", name, everything.Alerts, got.Alerts)
		}
		for who, k := range map[string]struct {
			ctx  context.Context
			id   string
			sees bool
		}{
			"the owner": {mine, id, true}, "who sees both groups": {both, id, true}, "who sees everything": {all, id, true}, "the other group": {theirs, id, false},
			"one group of a backtest of everything": {mine, everything.ID, false}, "both groups of a backtest of everything": {both, everything.ID, false},
		} {
			if _, err := over.Get(k.ctx, k.id); (err == nil) != k.sees || err != nil && !errs.Is(err, errs.NotFound) {
				t.Errorf("%s: %s: %v", name, who, err)
			}
			if err := over.Cancel(k.ctx, k.id); (err == nil) != k.sees {
				t.Errorf("%s: %s cancels it: %v", name, who, err)
			}
		}
	}
	none, err := over.Start(as(t, tenant, access.Scope{Groups: []int64{9}}), backtest.Request{Rule: each, From: noon.Add(-90 * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if j := finished(as(t, tenant, access.Scope{Groups: []int64{9}}), t, over, none); j.Alerts != 0 || j.Examined != 0 {
		t.Errorf("a group without devices: %+v", j)
	}
}
