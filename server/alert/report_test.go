package alert_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

func report(minute int) alert.Report {
	at := time.Date(2026, 11, 21, 11, minute, 0, 0, time.UTC)
	return alert.Report{
		Title: "Odd", Description: "d", Recommended: "r", Category: "execution", Severity: "HIGH", Device: "d1", DeviceName: "host",
		At: at, ReportID: int64(minute), User: alert.User{Name: "eve", Domain: "host"},
		Evidence: []alert.Evidence{{Type: "Ip", IP: "203.0.113.7", Created: at}, {Type: "Process", ProcessID: int64(minute), Created: at}},
	}
}

func TestReportsOfOneTitleMakeOneAlert(t *testing.T) {
	f := setup(t)
	first, err := f.Report(t.Context(), analyst, report(30))
	if err != nil {
		t.Fatal(err)
	}
	if first.Severity != alert.High || first.Category != "Execution" || first.Status != alert.New || first.DetectionSource != "CustomDetection" ||
		first.Source != (alert.Source{Rule: alert.RuleReport, ReportID: 30}) || !first.Created.Equal(f.now) {
		t.Errorf("created %+v", first)
	}
	f.now = f.now.Add(time.Minute)
	for _, minute := range []int{40, 20, 30} {
		got, err := f.Report(t.Context(), analyst, report(minute))
		if err != nil || got.ID != first.ID {
			t.Fatalf("minute %d: %v, %v", minute, got, err)
		}
	}
	got, err := f.Get(t.Context(), tenant, first.ID)
	if err != nil {
		t.Fatal(err)
	}
	// One address, and a process for each event.
	if len(got.Evidence) != 4 || got.FirstEvent.Minute() != 20 || got.LastEvent.Minute() != 40 || !got.Updated.Equal(f.now) || got.Created.Equal(f.now) {
		t.Errorf("merged %+v", got)
	}
	if n, m := len(f.created.Events()), len(f.updated.Events()); n != 1 || m != 3 {
		t.Errorf("%d created, %d updated", n, m)
	}
	rs, err := f.log.Records(t.Context(), tenant, 0, 10)
	if err != nil || len(rs) != 4 || rs[0].Verb != "alert.create" || rs[1].Verb != "alert.merge" || rs[1].Object != string(first.ID) {
		t.Errorf("audit %+v, %v", rs, err)
	}
}

// TestReportsThatDoNotMerge changes what decides about merging, one thing at a time.
func TestReportsThatDoNotMerge(t *testing.T) {
	f := setup(t)
	type key struct {
		tenant ident.TenantID
		id     ident.AlertID
	}
	seen := map[key]string{}
	ask := func(what string, by *access.Principal, change func(*alert.Report)) ident.AlertID {
		t.Helper()
		r := report(1)
		change(&r)
		a, err := f.Report(t.Context(), by, r)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		k := key{a.Tenant, a.ID}
		if other, ok := seen[k]; ok {
			t.Errorf("%s: merged with that of %s", what, other)
		}
		seen[k] = what
		return a.ID
	}
	stranger := &access.Principal{Actor: ident.Actor{Tenant: "0a0a0a0a-0000-4000-8000-000000000002"}, Scope: access.Everything}
	first := ask("the first", analyst, func(*alert.Report) {})
	ask("another device", analyst, func(r *alert.Report) { r.Device = "d2" })
	ask("another title", analyst, func(r *alert.Report) { r.Title = "odd" })
	ask("another tenant", stranger, func(*alert.Report) {})
	ask("evidence that has no room", analyst, func(r *alert.Report) {
		r.Evidence = nil
		for i := range 499 {
			r.Evidence = append(r.Evidence, alert.Evidence{Type: "Ip", IP: fmt.Sprint(i)})
		}
	})
	// The newest has no room, the one before has.
	if a, err := f.Report(t.Context(), analyst, report(2)); err != nil || a.ID != first {
		t.Errorf("the alert with room was passed over: %v, %v", a, err)
	}
	if _, err := f.Update(t.Context(), analyst, first, alert.Change{Status: ptr("Resolved")}); err != nil {
		t.Fatal(err)
	}
	ask("after the first was resolved, in the same instant", analyst, func(*alert.Report) {})
}

func TestReportsThatAreRefused(t *testing.T) {
	f := setup(t)
	for name, change := range map[string]func(*alert.Report){
		"no title":             func(r *alert.Report) { r.Title = "" },
		"blank description":    func(r *alert.Report) { r.Description = "\n" },
		"no action":            func(r *alert.Report) { r.Recommended = "" },
		"long title":           func(r *alert.Report) { r.Title = strings.Repeat("x", 1001) },
		"title not UTF-8":      func(r *alert.Report) { r.Title = "\xff" },
		"no severity":          func(r *alert.Report) { r.Severity = "" },
		"severity of no API":   func(r *alert.Report) { r.Severity = "Informational" },
		"severity that clears": func(r *alert.Report) { r.Severity = "unknown" },
		"no category":          func(r *alert.Report) { r.Category = "" },
		"unknown category":     func(r *alert.Report) { r.Category = "UnwantedSoftware" },
		"no device":            func(r *alert.Report) { r.Device = "" },
		"no time":              func(r *alert.Report) { r.At = time.Time{} },
	} {
		r := report(1)
		change(&r)
		if a, err := f.Report(t.Context(), analyst, r); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v, %v", name, a, err)
		}
	}
	if n := len(f.created.Events()); n != 0 {
		t.Errorf("%d alerts", n)
	}
}
