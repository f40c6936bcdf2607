package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/indicator"
)

func tallies(t *testing.T, s ThreatStore) {
	ctx := t.Context()
	a, b := newIndicator("a.example"), newIndicator("b.example")
	put(t, s, tenantA, a, b)
	tally := func(tenant ident.TenantID, id int64, device string, matches, blocks, alerts int64, first, last time.Duration) indicator.Tally {
		return indicator.Tally{TallyKey: indicator.TallyKey{Tenant: tenant, Noun: indicator.AnIndicator, ID: id, Device: ident.DeviceID(device)},
			Matches: matches, Blocks: blocks, Alerts: alerts, First: base.Add(first), Last: base.Add(last)}
	}
	id := int64(a.ID)
	check(t, s.AddTallies(ctx, []indicator.Tally{
		tally(tenantA, id, "one", 2, 1, 1, time.Second, 5*time.Second), tally(tenantA, id, "two", 1, 0, 0, 9*time.Second, 9*time.Second),
		tally(tenantA, int64(b.ID), "one", 7, 0, 0, 0, 0), tally(tenantB, id, "one", 50, 0, 0, 0, 0), tally(tenantA, 999, "one", 1, 0, 0, 0, 0),
	}))
	check(t, s.AddTallies(ctx, []indicator.Tally{tally(tenantA, id, "one", 3, 2, 1, 0, time.Second)}))
	want := func(name string, tenant ident.TenantID, id int64, w indicator.Stats) {
		t.Helper()
		got, err := s.Tallied(ctx, tenant, indicator.AnIndicator, id)
		check(t, err)
		wantEqual(t, name, *got, w)
	}
	seen := indicator.Stats{Matches: 6, Blocks: 3, Alerts: 2, Devices: 2, First: base, Last: base.Add(9 * time.Second)}
	want("added up", tenantA, id, seen)
	want("of another tenant, whose indicator is not there", tenantB, id, indicator.Stats{})
	want("of an indicator that is not there", tenantA, 999, indicator.Stats{})
	_, err := s.DeleteIndicators(ctx, tenantA, indicator.Which{IDs: []int64{id}})
	check(t, err)
	want("deleted", tenantA, id, indicator.Stats{})
	want("the other one", tenantA, int64(b.ID), indicator.Stats{Matches: 7, Devices: 1, First: base, Last: base})
}

func expiry(t *testing.T, s ThreatStore) {
	ctx := t.Context()
	var is []*indicator.Indicator
	for n := range 6 {
		i := newIndicator(fmt.Sprintf("h%d.example", n))
		if n < 4 {
			i.Expires = base.Add(time.Duration(n) * time.Second)
		}
		is = append(is, i)
	}
	put(t, s, tenantA, is...)
	rows := map[string]string{}
	at := follow(t, s, tenantA, 0, 100, rows)
	check(t, s.AddTallies(ctx, []indicator.Tally{{TallyKey: indicator.TallyKey{Tenant: tenantA, Noun: indicator.AnIndicator, ID: int64(is[0].ID), Device: "d"},
		Matches: 3, First: base, Last: base}}))
	long := base.Add(-time.Hour)
	got, err := s.ExpireIndicators(ctx, base.Add(-time.Second), long, 2)
	check(t, err)
	wantEqual(t, "before", len(got), 0)
	got, err = s.ExpireIndicators(ctx, base.Add(2*time.Second), long, 2)
	check(t, err)
	wantEqual(t, "two of three at a time", got, []indicator.Expiry{{Tenant: tenantA, Revision: at + 1, More: true}})
	got, err = s.ExpireIndicators(ctx, base.Add(2*time.Second), long, 2)
	check(t, err)
	wantEqual(t, "the third", got, []indicator.Expiry{{Tenant: tenantA, Revision: at + 2}})
	follow(t, s, tenantA, at, 100, rows)
	wantEqual(t, "the feed's rows", len(rows), 3)
	list := func(name string, of func() (filter.Page[*indicator.Indicator], error), want ...*indicator.Indicator) {
		t.Helper()
		page, err := of()
		check(t, err)
		wantEqual(t, name, page.Items, want)
	}
	expired := func() (filter.Page[*indicator.Indicator], error) {
		return s.ExpiredIndicators(ctx, tenantA, filter.Query{})
	}
	list("in force", func() (filter.Page[*indicator.Indicator], error) { return s.Indicators(ctx, tenantA, filter.Query{}) }, is[3:]...)
	list("expired", expired, is[:3]...)
	seen, err := s.Tallied(ctx, tenantA, indicator.AnIndicator, int64(is[0].ID))
	check(t, err)
	wantEqual(t, "what was seen of an expired one", seen.Matches, int64(3))
	// The value is free, and the quota counts what is in force.
	again := newIndicator("h0.example")
	put(t, s, tenantA, again)
	if again.ID == is[0].ID {
		t.Error("an id came again")
	}
	_, err = s.ExpireIndicators(ctx, base, base.Add(time.Second+1), 10)
	check(t, err)
	list("after the history's end", expired, is[2])
	seen, err = s.Tallied(ctx, tenantA, indicator.AnIndicator, int64(is[0].ID))
	check(t, err)
	wantEqual(t, "what was seen of one that is forgotten", *seen, indicator.Stats{})
}
