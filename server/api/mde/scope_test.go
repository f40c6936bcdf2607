package mde_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/hunt"
	"github.com/vedette-edr/vedette/server/hunt/hunttest"
	"github.com/vedette-edr/vedette/server/ident"
)

// scoped is a scope: the devices of it that exist, and so many that never sent anything.
type scoped struct {
	real   []ident.DeviceID
	others int
}

// Within implements hunt.Devices.
func (f scoped) Within(context.Context, ident.TenantID) ([]ident.DeviceID, error) {
	out := slices.Clone(f.real)
	for n := range f.others {
		out = append(out, ident.DeviceID(fmt.Sprintf("c%039x", uint64(n)*2654435761)))
	}
	return out, nil
}

// analyst is somebody who sees the devices of one group.
func analyst(ctx context.Context, tenant ident.TenantID) context.Context {
	return access.WithPrincipal(ctx, &access.Principal{Actor: ident.Actor{Kind: ident.ActorUser, ID: "u", Name: "u", Tenant: tenant},
		Scopes: []string{"AdvancedQuery.Read"}, Rights: []access.Right{access.ViewOperations}, Scope: access.Scope{Groups: []int64{5}}})
}

// rowsOf runs a query and renders its rows, sorted.
func rowsOf(ctx context.Context, t testing.TB, s *hunt.Service, text string) ([]string, error) {
	t.Helper()
	r, err := s.Run(ctx, hunt.Request{Query: text})
	if err != nil {
		return nil, err
	}
	defer func() { check(t, r.Close()) }()
	out := []string{}
	for row, err := range r.Rows.All() {
		check(t, err)
		var cells []string
		for _, v := range row {
			cells = append(cells, v.Text())
		}
		out = append(out, strings.Join(cells, "|"))
	}
	slices.Sort(out)
	return out, nil
}

// TestBothEnginesKeepToAScope asks the embedded store and the interpreter, which share no
// code, with devices that stand in the plan and with so many that they are a relation: what
// SQL says whole, in parts, and not at all.
func TestBothEnginesKeepToAScope(t *testing.T) {
	e := newEngine(t)
	memory := &hunttest.Memory{}
	machines := []string{"web", "db", "server"}
	for _, m := range machines {
		ev := ran(fmt.Sprintf("curl %s", m))
		e.append(0, m, 1, 1, ev)
		memory.Add(e.tenants[0], event.Origin{DeviceID: e.vars[m], DeviceName: m, ReportID: 1, Ingested: now}, ev)
	}
	ctx := analyst(t.Context(), e.tenants[0])
	queries := []string{
		"DeviceProcessEvents | project DeviceId, ProcessCommandLine",
		"DeviceProcessEvents | summarize count()",
		"union DeviceProcessEvents, (DeviceProcessEvents | where FileName == 'curl') | summarize n = count() by DeviceId",
		"DeviceProcessEvents | join kind=inner (DeviceProcessEvents) on FileName | project DeviceId, DeviceId1",
		"DeviceProcessEvents | where ProcessCommandLine in ((DeviceProcessEvents | project ProcessCommandLine)) | project DeviceName",
		"let n = toscalar(DeviceProcessEvents | count); print n",
		"DeviceProcessEvents | extend d = todynamic(AdditionalFields) | evaluate bag_unpack(d) | project DeviceId",
		"DeviceProcessEvents | sort by DeviceId asc | scan with (step a: true;) | project DeviceId",
		"DeviceProcessEvents | partition by DeviceId (summarize n = count(), m = max(ProcessCommandLine))",
		"DeviceProcessEvents | where DeviceId startswith 'c' | count",
		"DeviceEvents | count",
	}
	real := []ident.DeviceID{ident.DeviceID(e.vars["web"]), ident.DeviceID(e.vars["server"])}
	for _, others := range []int{0, 100, 100_000} {
		if others == 100_000 && testing.Short() {
			continue
		}
		f := scoped{real, others}
		stored := hunt.New(hunt.Config{Store: e.store, Devices: f, Clock: clock})
		interpreted := hunt.New(hunt.Config{Store: memory, Devices: f, Clock: clock})
		for _, q := range queries {
			got, err := rowsOf(ctx, t, stored, q)
			check(t, err)
			want, err := rowsOf(ctx, t, interpreted, q)
			check(t, err)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%d others: %s (-interpreter +store):\n%s", others, q, d)
			}
			if text := strings.Join(got, " "); strings.Contains(text, e.vars["db"]) || strings.Contains(text, "curl db") {
				t.Errorf("%d others: %s tells of a device out of scope: %s", others, q, text)
			}
		}
		if got, _ := rowsOf(ctx, t, stored, queries[1]); !slices.Equal(got, []string{"2"}) {
			t.Errorf("%d others: %v rows, want 2", others, got)
		}
		// A query cannot say the relation's name, and the files it names are refused as ever.
		_, err := rowsOf(ctx, t, stored, "externaldata(value:string)['devices of the caller']")
		if !errs.Is(err, errs.Unsupported) && !errs.Is(err, errs.Invalid) {
			t.Errorf("%d others: externaldata: %v", others, err)
		}
	}
}

// BenchmarkScope measures what it costs a hunt that its caller sees 100,000 devices of one
// group and not all: one table, and a union of it fourfold.
func BenchmarkScope(b *testing.B) {
	e := newEngine(b)
	r := rand.New(rand.NewPCG(1, 2))
	var batch []*event.Event
	for range 20_000 {
		batch = append(batch, ran(fmt.Sprint("curl ", r.IntN(1000))))
	}
	e.append(0, "web", 1, 1, batch...)
	real := []ident.DeviceID{ident.DeviceID(e.vars["web"])}
	for _, c := range []struct {
		name  string
		scope hunt.Devices
		all   bool
	}{{"everything", nil, true}, {"one device", scoped{real, 0}, false}, {"100,000 devices", scoped{real, 99_999}, false}} {
		s := hunt.New(hunt.Config{Store: e.store, Devices: c.scope, Clock: clock, Quota: hunt.Quota{Hour: -1, Day: -1}})
		ctx := analyst(b.Context(), e.tenants[0])
		if c.all {
			p, err := access.FromContext(ctx)
			check(b, err)
			p.Scope = access.Everything
		}
		for _, q := range []struct{ name, text string }{
			{"one table", "DeviceProcessEvents | summarize count() by FileName"},
			{"four", "union DeviceProcessEvents, DeviceProcessEvents, DeviceProcessEvents, DeviceProcessEvents | summarize count() by FileName"},
		} {
			b.Run(c.name+"/"+q.name, func(b *testing.B) {
				var worst time.Duration
				for b.Loop() {
					began := time.Now()
					if _, err := rowsOf(ctx, b, s, q.text); err != nil {
						b.Fatal(err)
					}
					worst = max(worst, time.Since(began))
				}
				b.ReportMetric(worst.Seconds()*1e3, "worst-ms")
			})
		}
	}
}
