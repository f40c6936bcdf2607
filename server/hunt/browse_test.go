package hunt_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/hunt"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/telemetry"
)

// read returns table, time and report of a section's events, and the place of the last.
func read(ctx context.Context, t *testing.T, f *fixture, v hunt.View, at hunt.Section) (names []string, last *hunt.Place, cut bool) {
	t.Helper()
	e, err := f.Section(ctx, v, at)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	col := map[string]int{}
	for i, c := range e.Columns {
		col[c.Name] = i
	}
	for row, err := range e.Rows.All() {
		if err != nil {
			t.Fatal(err)
		}
		when := func(name string) time.Time { return event.FromTicks(row[col[name]].I) }
		last = &hunt.Place{Time: when("Timestamp"), Report: row[col["ReportId"]].I, Ingested: when("IngestionTime")}
		names = append(names, fmt.Sprintf("%s %d %v %v", row[col[hunt.TimelineTable]].S, last.Report, last.Time.Sub(noon), last.Ingested.Sub(noon)))
	}
	return names, last, e.Cut
}

// crowd is events of device 1 as a hostile device sends them: many at one instant, the same
// reports in batches one after the other.
func crowd(f *fixture) int {
	kinds := []event.Table{event.DeviceEvents, event.ProcessEvents, event.NetworkEvents, event.FileEvents}
	rnd := rand.New(rand.NewPCG(1, 2))
	n := 0
	for batch := range 12 {
		o := origin(1)
		o.Ingested = noon.Add(time.Minute + time.Duration(batch)*100*time.Nanosecond)
		var events []*event.Event
		for range 40 {
			events = append(events, &event.Event{Table: kinds[rnd.IntN(len(kinds))], Action: "Something", Time: noon.Add(time.Duration(rnd.IntN(6)) * time.Second)})
		}
		f.rows.Add(tenantA, o, events...)
		n += len(events)
	}
	f.rows.Add(tenantA, origin(2), &event.Event{Table: event.DeviceEvents, Action: "Something", Time: noon})
	f.rows.Add(tenantB, origin(1), &event.Event{Table: event.DeviceEvents, Action: "Something", Time: noon})
	return n
}

var hour = hunt.View{Device: device(1), From: noon, To: noon.Add(time.Hour)}

// TestSectionsBetweenLandmarksAreTheWholeTimeline reads the sections that an outline names,
// in any order, and one after the other from the newest on: both are every event once.
func TestSectionsBetweenLandmarksAreTheWholeTimeline(t *testing.T) {
	f := setup(t)
	n := crowd(f)
	ctx := as(t, tenantA, access.AdvancedQueryRead)
	all, _, cut := read(ctx, t, f, hour, hunt.Section{Most: hunt.MaxSection})
	if len(all) != n || cut {
		t.Fatalf("%d events of %d, cut %v", len(all), n, cut)
	}
	seen := map[string]bool{}
	for _, e := range all {
		if seen[e] {
			t.Errorf("%s is there twice", e)
		}
		seen[e] = true
	}
	for _, every := range []int{1, 7, 100, n, n + 1} {
		o, err := f.Outline(ctx, hour, every, 60)
		if err != nil {
			t.Fatal(err)
		}
		if o.Total != int64(n) || o.Every != every || len(o.Landmarks) != n/every {
			t.Fatalf("every %d: %d of %d events, %d landmarks", every, o.Total, n, len(o.Landmarks))
		}
		var between []string
		var after *hunt.Place
		for i := range len(o.Landmarks) + 1 {
			at := hunt.Section{After: after, Most: every}
			if i < len(o.Landmarks) {
				at.Until = &o.Landmarks[i]
				after = at.Until
			}
			part, _, cut := read(ctx, t, f, hour, at)
			if cut {
				t.Errorf("every %d: section %d is cut", every, i)
			}
			between = append(between, part...)
		}
		if diff := cmp.Diff(all, between); diff != "" {
			t.Fatalf("every %d, between landmarks (-want +got):\n%s", every, diff)
		}
	}
	var along []string
	for at, more := (hunt.Section{Most: 11}), true; more; {
		var part []string
		part, at.After, more = read(ctx, t, f, hour, at)
		along = append(along, part...)
	}
	if diff := cmp.Diff(all, along); diff != "" {
		t.Fatalf("one after the other (-want +got):\n%s", diff)
	}
}

func TestAnOutlineCountsByTime(t *testing.T) {
	f := setup(t)
	ctx := as(t, tenantA, access.AdvancedQueryRead)
	var events []*event.Event
	for i := range 10 {
		events = append(events, &event.Event{Table: event.DeviceEvents, Action: "Something", Time: noon.Add(time.Duration(i*i) * time.Minute)})
	}
	f.rows.Add(tenantA, origin(1), events...)
	f.rows.AddRow(tenantA, "VedetteTelemetryGaps", telemetry.Row{"Timestamp": event.At(noon), "DeviceId": event.Str(string(device(1))),
		"GapStart": event.At(noon), "GapEnd": event.At(noon.Add(time.Minute)), "Source": event.Str("spool")})
	// 9 of 10: the last is past the end.
	o, err := f.Outline(ctx, hunt.View{Device: device(1), From: noon, To: noon.Add(81 * time.Minute)}, 4, 9)
	if err != nil {
		t.Fatal(err)
	}
	if o.Total != 9 || len(o.Bins) > 9 || len(o.Landmarks) != 2 || o.Completeness.Complete {
		t.Errorf("%+v", o)
	}
	var sum int64
	for i, n := range o.Bins {
		from := noon.Add(o.Step * time.Duration(i))
		want := int64(0)
		for _, e := range events[:9] {
			if !e.Time.Before(from) && e.Time.Before(from.Add(o.Step)) {
				want++
			}
		}
		if n != want {
			t.Errorf("bin %d has %d events, want %d", i, n, want)
		}
		sum += n
	}
	if sum != o.Total {
		t.Errorf("the bins have %d events of %d", sum, o.Total)
	}
	if o.Landmarks[0].Time != events[5].Time || o.Landmarks[1].Time != events[1].Time {
		t.Errorf("landmarks at %v", o.Landmarks)
	}
}

func TestAViewIsNarrowed(t *testing.T) {
	f := setup(t)
	ctx := as(t, tenantA, access.AdvancedQueryRead)
	f.rows.Add(tenantA, origin(1), examples()...)
	all, _, _ := read(ctx, t, f, hour, hunt.Section{Most: 100})
	of := func(v hunt.View) []string {
		t.Helper()
		v.Device, v.From, v.To = hour.Device, hour.From, hour.To
		got, _, _ := read(ctx, t, f, v, hunt.Section{Most: 100})
		o, err := f.Outline(ctx, v, 10, 10)
		if err != nil {
			t.Fatal(err)
		}
		if o.Total != int64(len(got)) {
			t.Errorf("%d events, and %d in the outline", len(got), o.Total)
		}
		return got
	}
	process := of(hunt.View{Tables: []string{"DeviceProcessEvents"}})
	if len(process) == 0 || len(process) == len(all) || !strings.HasPrefix(process[0], "DeviceProcessEvents") {
		t.Errorf("of processes: %v", process)
	}
	if got := of(hunt.View{Search: `") | take 0 //`}); len(got) != 0 {
		t.Errorf("a search for what is nowhere found %v", got)
	}
	one := examples()[1]
	if got := of(hunt.View{Marked: []hunt.Mark{{Time: one.Time, Report: 101}, {Time: noon, Report: 7}}}); len(got) != 1 || !strings.Contains(got[0], " 101 ") {
		t.Errorf("marked: %v", got)
	}
}

func TestWhoReadsATimelineAndWhatOf(t *testing.T) {
	f := setup(t)
	crowd(f)
	f.Service = hunt.New(hunt.Config{Store: f.rows, Audit: f.log, Devices: oneDevice{}, Quota: hunt.Quota{Hour: time.Nanosecond}, Clock: func() time.Time { return noon.Add(time.Hour) }})
	ctx := as(t, tenantA, access.AdvancedQueryRead)
	within := func(groups ...int64) context.Context {
		return access.WithPrincipal(t.Context(), &access.Principal{Actor: ident.Actor{Kind: ident.ActorUser, ID: "u", Name: "u", Tenant: tenantA},
			Scopes: []string{"AdvancedQuery.Read"}, Rights: []access.Right{access.ViewOperations}, Scope: access.Scope{Groups: groups}})
	}
	two := hour
	two.Device = device(2)
	for name, c := range map[string]struct {
		ctx  context.Context
		v    hunt.View
		at   hunt.Section
		kind errs.Kind
	}{
		"nobody":               {t.Context(), hour, hunt.Section{Most: 1}, errs.Unauthenticated},
		"without permission":   {as(t, tenantA, access.AlertRead), hour, hunt.Section{Most: 1}, errs.Denied},
		"out of scope":         {within(5), two, hunt.Section{Most: 1}, errs.NotFound},
		"within no group":      {within(6), hour, hunt.Section{Most: 1}, errs.NotFound},
		"no device":            {ctx, hunt.View{Device: `x" or 1 == 1 //`, From: noon, To: noon.Add(1)}, hunt.Section{Most: 1}, errs.NotFound},
		"backwards":            {ctx, hunt.View{Device: device(1), From: noon, To: noon}, hunt.Section{Most: 1}, errs.Invalid},
		"a table of others":    {ctx, hunt.View{Device: device(1), From: noon, To: noon.Add(1), Tables: []string{"IdentityInfo"}}, hunt.Section{Most: 1}, errs.Invalid},
		"too long a search":    {ctx, hunt.View{Device: device(1), From: noon, To: noon.Add(1), Search: strings.Repeat("x", 500)}, hunt.Section{Most: 1}, errs.Invalid},
		"too many marks":       {ctx, hunt.View{Device: device(1), From: noon, To: noon.Add(1), Marked: make([]hunt.Mark, 1001)}, hunt.Section{Most: 1}, errs.Invalid},
		"no events":            {ctx, hour, hunt.Section{}, errs.Invalid},
		"more than is allowed": {ctx, hour, hunt.Section{Most: hunt.MaxSection + 1}, errs.Invalid},
	} {
		if _, err := f.Section(c.ctx, c.v, c.at); !errs.Is(err, c.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, n := range map[string][2]int{"every": {0, 1}, "bins": {1, 0}, "too many bins": {1, hunt.MaxBins + 1}} {
		if _, err := f.Outline(ctx, hour, n[0], n[1]); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	before := len(f.records(t, tenantA))
	// The quota of an hour is used up by anything; it is not the timeline's.
	for range 3 {
		if got, _, _ := read(within(5), t, f, hour, hunt.Section{Most: 2}); len(got) != 2 {
			t.Errorf("in scope: %v", got)
		}
	}
	if n := len(f.records(t, tenantA)) - before; n != 3 {
		t.Errorf("%d records of three sections", n)
	}
}
