package hunt_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/hunt"
	"github.com/vedette-edr/vedette/server/hunt/hunttest"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/store"
	"github.com/vedette-edr/vedette/server/telemetry"
)

const (
	tenantA ident.TenantID = "aaaaaaaa-0000-4000-8000-000000000001"
	tenantB ident.TenantID = "bbbbbbbb-0000-4000-8000-000000000002"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func device(n int) ident.DeviceID { return ident.DeviceID(fmt.Sprintf("%040x", n)) }

// origin is a device whose events get the ReportIds from 100 on.
func origin(n int) event.Origin {
	return event.Origin{DeviceID: string(device(n)), DeviceName: fmt.Sprintf("host-%d", n), ReportID: 100}
}

type fixture struct {
	*hunt.Service
	rows *hunttest.Memory
	log  *audit.Chain
}

func setup(t *testing.T) *fixture {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	f := &fixture{rows: &hunttest.Memory{}, log: audit.New(db.Audit(), db.Key().Derive("audit"), nil)}
	f.Service = hunt.New(hunt.Config{Store: f.rows, Audit: f.log, Clock: func() time.Time { return noon.Add(time.Hour) }})
	return f
}

func (f *fixture) records(t *testing.T, tenant ident.TenantID) []audit.Record {
	t.Helper()
	rs, err := f.log.Records(t.Context(), tenant, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

// as returns a context of a caller of the tenant with these roles.
func as(t *testing.T, tenant ident.TenantID, roles ...access.Permission) context.Context {
	p := &access.Principal{Actor: ident.Actor{Kind: ident.ActorApp, ID: "app", Name: "hunter", Tenant: tenant}, Scope: access.Everything}
	for _, r := range roles {
		p.Roles = append(p.Roles, string(r))
	}
	return access.WithPrincipal(t.Context(), p)
}

func TestEachHuntIsRecorded(t *testing.T) {
	f := setup(t)
	ctx := as(t, tenantA, access.AdvancedHuntRead)
	long := "print '" + strings.Repeat("ü", 3000) + "'"
	for _, text := range []string{"print 1", "DeviceEvents | count", long, "range x from 1 to 100001 step 1"} {
		_, _ = f.Run(ctx, hunt.Request{Query: text})
	}
	if _, err := f.Run(ctx, hunt.Request{Query: "Nope"}); err == nil {
		t.Error("an unknown table was found")
	}
	var got []string
	for _, r := range f.records(t, tenantA) {
		if r.Verb != "hunt.run" || r.Actor.ID != "app" || r.Actor.Kind != ident.ActorApp {
			t.Errorf("record %+v", r)
		}
		got = append(got, fmt.Sprintf("%s %.20s", r.Outcome, r.Detail))
	}
	want := []string{"done print 1", "done DeviceEvents | count", "done print '" + strings.Repeat("ü", 13), "failed range x from 1 to 10"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if rs := f.records(t, tenantB); len(rs) != 0 {
		t.Errorf("records of another tenant: %v", rs)
	}
}

func TestWhoMayHunt(t *testing.T) {
	f := setup(t)
	q := hunt.Request{Query: "print 1"}
	for _, p := range []access.Permission{access.AdvancedQueryRead, access.AdvancedHuntRead, access.ThreatHuntingRead} {
		if _, err := f.Run(as(t, tenantA, p), q); err != nil {
			t.Errorf("with %s: %v", p, err)
		}
	}
	if _, err := f.Run(t.Context(), q); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("nobody: %v", err)
	}
	n := len(f.records(t, tenantA))
	if _, err := f.Run(as(t, tenantA, access.AlertReadWrite, access.UserRead), q); !errs.Is(err, errs.Denied) {
		t.Errorf("without the permission: %v", err)
	}
	if rs := f.records(t, tenantA)[n:]; len(rs) != 1 || rs[0].Outcome != audit.Denied || rs[0].Detail != "print 1" {
		t.Errorf("record of the refusal: %+v", rs)
	}
}

func TestTextsThatAreNoQueries(t *testing.T) {
	f := setup(t)
	ctx := as(t, tenantA, access.AdvancedQueryRead)
	for text, want := range map[string]string{
		"":                                      "empty",
		" \n\t":                                 "empty",
		"// only a remark":                      "",
		"print '\xff'":                          "UTF-8",
		strings.Repeat(" ", 2<<20) + "print 1":  "at most",
		"DeviceProcessEvent | take 1":           `1:1: KQL0102: there is no table "DeviceProcessEvent" (did you mean "DeviceProcessEvents"?)`,
		"DeviceEvents\n| where Filename == 'x'": `2:9: KQL0101: there is no column or name "Filename" (did you mean "FileName"?)`,
		"print (":                               "1:8: ",
		"print " + strings.Repeat("(", 100_000): "1:57: ",
	} {
		_, err := f.Run(ctx, hunt.Request{Query: text})
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
	}
	if rs := f.records(t, tenantA); len(rs) != 0 {
		t.Errorf("texts that never ran were recorded: %v", rs)
	}
}

// TestTooManyRows asks for the published limit and for one row more.
func TestTooManyRows(t *testing.T) {
	f := setup(t)
	ctx := as(t, tenantA, access.AdvancedQueryRead)
	r, err := f.Run(ctx, hunt.Request{Query: "range x from 1 to 100000 step 1"})
	if err != nil || r.Rows.Len() != 100_000 {
		t.Errorf("100,000 rows: %v", err)
	}
	if _, err = f.Run(ctx, hunt.Request{Query: "range x from 1 to 100001 step 1"}); !errs.Is(err, errs.Invalid) {
		t.Errorf("one more: %v", err)
	}
}

func gap(n int, from, to time.Time) telemetry.Row {
	return telemetry.Row{
		"Timestamp": event.At(to), "IngestionTime": event.At(to), "DeviceId": event.Str(string(device(n))), "Source": event.Str("kernel:exec"),
		"Reason": event.Str("ring full"), "EventsLost": event.Num(int64(n)), "GapStart": event.At(from), "GapEnd": event.At(to),
	}
}

// TestCompleteness puts one gap from noon to five past beside queries of many windows.
func TestCompleteness(t *testing.T) {
	f := setup(t)
	f.rows.AddRow(tenantA, telemetry.GapTable, gap(3, noon, noon.Add(5*time.Minute)))
	f.rows.AddRow(tenantB, telemetry.GapTable, gap(4, noon, noon.Add(5*time.Minute)))
	ctx := as(t, tenantA, access.AdvancedQueryRead)
	for where, overlaps := range map[string]bool{
		"":                             true,
		"| where Timestamp > ago(30d)": true,
		"| where Timestamp > ago(1m)":  false,
		"| where Timestamp between (datetime(2026-11-21 11:00) .. datetime(2026-11-21 11:59:59))": false,
		"| where Timestamp between (datetime(2026-11-21 11:00) .. datetime(2026-11-21 12:00:00))": true,
		"| where Timestamp between (datetime(2026-11-21 12:01) .. datetime(2026-11-21 12:02:00))": true,
		"| where Timestamp >= datetime(2026-11-21 12:05)":                                         true,
		"| where Timestamp > datetime(2026-11-21 12:05:00.0000001)":                               false,
		"| where FileName == 'x'": true,
		"| join kind=inner (DeviceEvents | where Timestamp > ago(1m)) on DeviceId": true,
	} {
		r, err := f.Run(ctx, hunt.Request{Query: "DeviceProcessEvents " + where})
		if err != nil {
			t.Errorf("%s: %v", where, err)
			continue
		}
		want := hunt.Completeness{Complete: true}
		if overlaps {
			want = hunt.Completeness{Gaps: []hunt.Gap{{Device: string(device(3)), Source: "kernel:exec", Reason: "ring full", Lost: 3, From: noon, To: noon.Add(5 * time.Minute)}}}
		}
		if diff := cmp.Diff(want, r.Completeness); diff != "" {
			t.Errorf("%s (-want +got):\n%s", where, diff)
		}
	}
	r, err := f.Run(ctx, hunt.Request{Query: "print 1"})
	if err != nil || !r.Completeness.Complete {
		t.Errorf("a query of no table: %+v, %v", r, err)
	}
}

func TestGapsThatAreListed(t *testing.T) {
	f := setup(t)
	for i := range hunt.MaxGaps + 1 {
		f.rows.AddRow(tenantA, telemetry.GapTable, gap(i, noon, noon.Add(time.Duration(i)*time.Second)))
	}
	r, err := f.Run(as(t, tenantA, access.AdvancedQueryRead), hunt.Request{Query: "DeviceEvents"})
	if err != nil {
		t.Fatal(err)
	}
	if c := r.Completeness; len(c.Gaps) != hunt.MaxGaps || !c.More || c.Complete || c.Gaps[0].Lost != hunt.MaxGaps {
		t.Errorf("%d gaps, more %v, first %+v", len(c.Gaps), c.More, c.Gaps[0])
	}
}
