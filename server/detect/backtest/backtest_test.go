package backtest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

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
		"scope":     {as(t, tenant, access.Scope{Groups: []int64{1}}), backtest.Request{Rule: rule, From: noon}, errs.Denied},
		"span":      {ctx, backtest.Request{Rule: rule, From: noon.Add(-10000 * time.Hour)}, errs.Invalid},
		"indicator": {ctx, backtest.Request{Indicator: backtest.Indicator{Type: "IpAddress", Value: "x' or true"}, From: noon}, errs.Invalid},
		"type":      {ctx, backtest.Request{Indicator: backtest.Indicator{Type: "Planet", Value: "x"}, From: noon}, errs.Invalid},
	} {
		if _, err := s.Start(k.ctx, k.r); !errs.Is(err, k.kind) {
			t.Errorf("%s: %v, want %v", name, err, k.kind)
		}
	}
}
