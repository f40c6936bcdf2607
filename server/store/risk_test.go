package store_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/store"
)

// TestRiskFollowsTheAlerts raises, resolves and opens alerts in any order and compares the
// risk of each device with its alerts.
func TestRiskFollowsTheAlerts(t *testing.T) {
	s := open(t, t.TempDir())
	const tenant = ident.TenantID("00000000-0000-4000-8000-000000000001")
	severities := []alert.Severity{alert.Informational, alert.Low, alert.Medium, alert.High}
	round := 0
	rapid.Check(t, func(r *rapid.T) {
		round++
		var ids [2]ident.DeviceID
		for i := range ids {
			ids[i] = ident.DeviceID(fmt.Sprintf("%040x", round*2+i))
			if err := s.Devices().Create(t.Context(), &device.Device{ID: ids[i], Tenant: tenant}); err != nil {
				t.Fatal(err)
			}
		}
		all := map[ident.AlertID]*alert.Alert{}
		for n := range rapid.IntRange(1, 12).Draw(r, "steps") {
			id := ident.AlertID(fmt.Sprintf("da%d_%d", round, rapid.IntRange(0, n).Draw(r, "alert")))
			severity := rapid.SampledFrom(severities).Draw(r, "severity")
			status := rapid.SampledFrom([]alert.Status{alert.New, alert.InProgress, alert.Resolved}).Draw(r, "status")
			if all[id] == nil {
				all[id] = &alert.Alert{ID: id, Tenant: tenant, Device: rapid.SampledFrom(ids[:]).Draw(r, "device"), Severity: severity,
					Status: status, Created: time.Unix(1, 0), Updated: time.Unix(1, 0)}
				if _, err := s.Alerts().CreateAlerts(t.Context(), []*alert.Alert{all[id]}); err != nil {
					t.Fatal(err)
				}
				continue
			}
			var err error
			all[id], err = s.Alerts().UpdateAlert(t.Context(), tenant, id, func(a *alert.Alert) error {
				a.Severity, a.Status = severity, status
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, id := range ids {
			want, worst := device.NoRisk, -1
			for _, a := range all {
				for rank, severity := range severities {
					if a.Device == id && a.Status != alert.Resolved && a.Severity == severity && rank > worst {
						want, worst = device.Risk(severity), rank
					}
				}
			}
			d, err := s.Devices().Get(t.Context(), tenant, id)
			if err != nil {
				t.Fatal(err)
			}
			if d.Risk != want {
				r.Fatalf("risk %s, want %s", d.Risk, want)
			}
		}
	})
}

// riskSite is alerts as detection raises them and people change them, with the devices
// whose risk follows.
type riskSite struct {
	t      testing.TB
	s      *store.Store
	alerts *alert.Service
	by     *access.Principal
	now    time.Time
	n      int
}

func newRiskSite(t testing.TB) *riskSite {
	x := &riskSite{t: t, s: open(t, t.TempDir()), now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	x.alerts = alert.NewService(alert.Config{Store: x.s.Alerts(), Suppressions: x.s.Alerts(), History: x.s.Histories(), Atomic: x.s.Atomic, Clock: func() time.Time { return x.now }})
	x.by = &access.Principal{Actor: ident.Actor{Kind: ident.ActorUser, ID: "u", Name: "u", Tenant: riskTenant}, Scope: access.Everything,
		Scopes: []string{"Alert.ReadWrite"}, Rights: []access.Right{access.InvestigateAlerts}}
	return x
}

const riskTenant = ident.TenantID("00000000-0000-4000-8000-000000000001")

func (x *riskSite) device(n int) ident.DeviceID {
	x.t.Helper()
	id := ident.DeviceID(fmt.Sprintf("%040x", n))
	x.must(x.s.Devices().Create(x.t.Context(), &device.Device{ID: id, Tenant: riskTenant}))
	return id
}

func (x *riskSite) must(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

// detect raises what a rule found and returns its id.
func (x *riskSite) detect(d ident.DeviceID, title string, severity alert.Severity) ident.AlertID {
	x.t.Helper()
	x.n++
	x.now = x.now.Add(time.Second)
	a := &alert.Alert{ID: ident.AlertID(fmt.Sprintf("da%d_1", x.n)), Tenant: riskTenant, Device: d, DeviceName: "host", Title: title, Severity: severity,
		FirstEvent: x.now, LastEvent: x.now, DetectionSource: "CustomerTI", Evidence: []alert.Evidence{{Type: "Process", ProcessID: int64(x.n)}}}
	id := a.ID
	_, err := x.alerts.Raise(x.t.Context(), []*alert.Alert{a})
	x.must(err)
	return id
}

func (x *riskSite) set(id ident.AlertID, status alert.Status) {
	x.t.Helper()
	text := string(status)
	_, err := x.alerts.Update(access.WithPrincipal(x.t.Context(), x.by), x.by, id, alert.Change{Status: &text})
	x.must(err)
}

func (x *riskSite) suppress(title string, action alert.SuppressAction) {
	x.t.Helper()
	_, err := x.alerts.CreateSuppression(x.t.Context(), x.by, alert.Suppression{Name: title, Enabled: true, Action: action,
		Conditions: []alert.Condition{{Field: "title", Op: "equals", Values: []string{title}}}})
	x.must(err)
}

func (x *riskSite) risk(d ident.DeviceID) device.Risk {
	x.t.Helper()
	got, err := x.s.Devices().Get(x.t.Context(), riskTenant, d)
	x.must(err)
	return got.Risk
}

// TestRiskThroughMergeAndSuppression follows the risk of a device through detections that
// become one alert, that are suppressed, and that are resolved and opened again.
func TestRiskThroughMergeAndSuppression(t *testing.T) {
	x := newRiskSite(t)
	d, quiet := x.device(1), x.device(2)
	want := func(what string, id ident.DeviceID, risk device.Risk) {
		t.Helper()
		if got := x.risk(id); got != risk {
			t.Errorf("%s: risk %s, want %s", what, got, risk)
		}
	}
	want("nothing yet", d, device.NoRisk)
	first := x.detect(d, "Odd", alert.Low)
	want("one low alert", d, "Low")
	x.detect(d, "Odd", alert.High)
	if all, err := x.alerts.List(t.Context(), riskTenant, filter.Query{Top: 10, Count: true}); err != nil || all.Total != 1 || all.Items[0].Severity != alert.High {
		t.Fatalf("the second was not merged: %+v, %v", all, err)
	}
	want("a high one merged into it", d, "High")
	x.detect(d, "Odd", alert.Informational)
	want("a lesser one merged into it", d, "High")

	x.suppress("Noise", alert.Resolve)
	x.suppress("Silence", alert.Hide)
	x.detect(quiet, "Noise", alert.High)
	x.detect(quiet, "Silence", alert.High)
	want("suppressed alerts", quiet, device.NoRisk)
	x.detect(quiet, "Murmur", alert.Medium)
	want("another beside suppressed ones", quiet, "Medium")

	x.suppress("Odd", alert.Resolve)
	x.detect(d, "Odd", alert.High)
	want("the open alert stays when its like is suppressed", d, "High")
	x.set(first, alert.Resolved)
	want("resolved", d, device.NoRisk)
	x.detect(d, "Odd", alert.High)
	want("suppressed after it was resolved", d, device.NoRisk)
	x.set(first, alert.InProgress)
	want("opened again, with what was merged into it", d, "High")
	low := x.detect(d, "Else", alert.Low)
	x.set(first, alert.Resolved)
	want("the lesser is left", d, "Low")
	x.set(low, alert.Resolved)
	want("all are resolved", d, device.NoRisk)
	want("the other device", quiet, "Medium")
}

// TestRiskIsTheGreatestOfTheOpenAlerts lets detections, suppressions, resolutions and
// reopenings come in any order, and holds the risk against a model that knows titles alone:
// an open alert of a title takes what comes of it, a suppressed title adds nothing.
func TestRiskIsTheGreatestOfTheOpenAlerts(t *testing.T) {
	x := newRiskSite(t)
	severities := []alert.Severity{alert.Informational, alert.Low, alert.Medium, alert.High}
	round := 100
	rapid.Check(t, func(r *rapid.T) {
		type one struct {
			id    ident.AlertID
			title string
			rank  int
			open  bool
		}
		round++
		d := x.device(round)
		var all []*one
		suppressed := map[string]bool{}
		for range rapid.IntRange(1, 15).Draw(r, "steps") {
			title := fmt.Sprint(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(r, "title"), round)
			switch rapid.IntRange(0, 9).Draw(r, "what") {
			case 0:
				if !suppressed[title] {
					suppressed[title] = true
					x.suppress(title, rapid.SampledFrom([]alert.SuppressAction{alert.Resolve, alert.Hide}).Draw(r, "how"))
				}
			case 1, 2, 3:
				if len(all) == 0 {
					continue
				}
				o := rapid.SampledFrom(all).Draw(r, "alert")
				o.open = !o.open
				x.set(o.id, map[bool]alert.Status{true: alert.New, false: alert.Resolved}[o.open])
			default:
				rank := rapid.IntRange(0, 3).Draw(r, "severity")
				// Two that were opened again may have one title: the newest takes what comes.
				open := 0
				for _, o := range all {
					if o.open && o.title == title {
						open++
					}
				}
				if open > 1 {
					continue
				}
				id := x.detect(d, title, severities[rank])
				if suppressed[title] {
					continue
				}
				if open == 0 {
					all = append(all, &one{id, title, rank, true})
					continue
				}
				for _, o := range all {
					if o.open && o.title == title {
						o.rank = max(o.rank, rank)
					}
				}
			}
			want, worst := device.NoRisk, -1
			for _, o := range all {
				if o.open && o.rank > worst {
					want, worst = device.Risk(severities[o.rank]), o.rank
				}
			}
			if got := x.risk(d); got != want {
				r.Fatalf("risk %s, want %s", got, want)
			}
		}
	})
}
