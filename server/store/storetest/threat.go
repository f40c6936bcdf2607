package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/indicator"
)

// ThreatStore is everything that package indicator asks of a store.
type ThreatStore interface {
	indicator.DefinitionStore
	indicator.IOCStore
	indicator.IndicatorStore
	indicator.Feed
	indicator.TallyStore
	indicator.ExpiryStore
}

var quota = indicator.Quota{Definitions: 1000, IOCs: 1000, Patterns: 1000, Indicators: 1000, Now: base}

func newDefinition(n int) *indicator.Definition {
	return &indicator.Definition{Name: fmt.Sprintf("def%d", n), Severity: indicator.Low, Title: "T", Category: "Malware", Enabled: true,
		Stamps: indicator.Stamps{Created: base, CreatedBy: fmt.Sprintf("app%d", n%2), CreatedByName: "App"}}
}

func newIOC(d ident.DefinitionID, n int, f indicator.Function) *indicator.IOC {
	return &indicator.IOC{Definition: d, Type: indicator.Domain, Value: fmt.Sprintf("h%d.example", n), Function: f, Enabled: true,
		Stamps: indicator.Stamps{Created: base, CreatedBy: fmt.Sprintf("app%d", n%2)}}
}

func newIndicator(value string) *indicator.Indicator {
	return &indicator.Indicator{Value: value, Type: indicator.Domain, Action: indicator.Block, Title: "T", Description: "D", Groups: []string{"Servers"},
		Severity: indicator.High, Stamps: indicator.Stamps{Created: base, CreatedBy: "app0", CreatedByName: "App"}}
}

// put writes indicators that are new.
func put(t testing.TB, s indicator.IndicatorStore, tenant ident.TenantID, is ...*indicator.Indicator) indicator.Revision {
	t.Helper()
	keys := make([]indicator.Key, len(is))
	for n, i := range is {
		keys[n] = indicator.Key{Value: i.Value}
	}
	rev, err := s.PutIndicators(t.Context(), tenant, quota, keys, func(n int, old *indicator.Indicator) (*indicator.Indicator, error) {
		if old != nil {
			t.Errorf("%s is there already", old.Value)
		}
		return is[n], nil
	})
	check(t, err)
	return rev
}

// Threats tests a ThreatStore. open returns an empty one.
func Threats(t *testing.T, open func(testing.TB) ThreatStore) {
	t.Run("definitions and IOCs", func(t *testing.T) { definitionsAndIOCs(t, open(t)) })
	t.Run("quotas", func(t *testing.T) { quotas(t, open(t)) })
	t.Run("indicators", func(t *testing.T) { indicators(t, open(t)) })
	t.Run("tallies", func(t *testing.T) { tallies(t, open(t)) })
	t.Run("expiry", func(t *testing.T) { expiry(t, open(t)) })
	t.Run("feed", func(t *testing.T) { feed(t, open(t)) })
	t.Run("filter", func(t *testing.T) { filterIndicators(t, open(t)) })
}

func definitionsAndIOCs(t *testing.T, s ThreatStore) {
	ctx := t.Context()
	ds := []*indicator.Definition{newDefinition(0), newDefinition(1)}
	rev, err := s.CreateDefinitions(ctx, tenantA, quota, ds)
	check(t, err)
	if rev != 1 || ds[0].ID == 0 || ds[1].ID <= ds[0].ID {
		t.Fatalf("revision %d, ids %d and %d", rev, ds[0].ID, ds[1].ID)
	}
	got, err := s.Definition(ctx, tenantA, ds[1].ID)
	check(t, err)
	wantEqual(t, "kept", got, ds[1])
	_, err = s.Definition(ctx, tenantB, ds[1].ID)
	wantKind(t, "read across tenants", err, errs.NotFound)

	_, err = s.CreateIOCs(ctx, tenantA, quota, []*indicator.IOC{newIOC(ds[0].ID, 0, indicator.Equals), newIOC(999, 1, indicator.Equals)})
	wantKind(t, "an IOC of no definition", err, errs.NotFound)
	_, err = s.CreateIOCs(ctx, tenantB, quota, []*indicator.IOC{newIOC(ds[0].ID, 0, indicator.Equals)})
	wantKind(t, "an IOC of another tenant's definition", err, errs.NotFound)
	is := []*indicator.IOC{newIOC(ds[0].ID, 0, indicator.Equals), newIOC(ds[0].ID, 1, indicator.Contains), newIOC(ds[1].ID, 2, indicator.Equals)}
	rev, err = s.CreateIOCs(ctx, tenantA, quota, is)
	check(t, err)
	if rev != 2 {
		t.Errorf("revision %d after one success, want 2", rev)
	}
	gotIOC, err := s.IOC(ctx, tenantA, is[1].ID)
	check(t, err)
	wantEqual(t, "kept", gotIOC, is[1])
	_, _, err = s.UpdateIOC(ctx, tenantA, quota, is[0].ID, func(i *indicator.IOC) error { i.Definition = 999; return nil })
	wantKind(t, "bound to no definition", err, errs.NotFound)
	_, _, err = s.UpdateIOC(ctx, tenantA, quota, is[0].ID, func(*indicator.IOC) error { return errChange })
	wantOwn(t, err)
	moved, rev, err := s.UpdateIOC(ctx, tenantA, quota, is[0].ID, func(i *indicator.IOC) error { i.Definition, i.Expires = ds[1].ID, base.Add(time.Hour); return nil })
	check(t, err)
	if rev != 3 || moved.Definition != ds[1].ID {
		t.Errorf("moved %+v at revision %d", moved, rev)
	}
	// Deleting the second definition takes the IOCs that are bound to it now.
	_, err = s.DeleteDefinitions(ctx, tenantA, indicator.Which{IDs: []int64{int64(ds[1].ID)}, By: "app0"})
	wantKind(t, "deleting another's definition", err, errs.NotFound)
	rev, err = s.DeleteDefinitions(ctx, tenantA, indicator.Which{IDs: []int64{int64(ds[1].ID)}, By: "app1"})
	check(t, err)
	left, err := s.IOCs(ctx, tenantA, filter.Query{})
	check(t, err)
	if rev != 4 || len(left.Items) != 1 || left.Items[0].ID != is[1].ID {
		t.Errorf("revision %d, %d IOCs left", rev, len(left.Items))
	}
	rev, err = s.DeleteIOCs(ctx, tenantA, indicator.Which{Definition: ds[1].ID})
	check(t, err)
	if rev != 0 {
		t.Errorf("deleting nothing made revision %d", rev)
	}
	_, err = s.DeleteDefinitions(ctx, tenantA, indicator.Which{})
	check(t, err)
	again := newDefinition(5)
	_, err = s.CreateDefinitions(ctx, tenantA, quota, []*indicator.Definition{again})
	check(t, err)
	if again.ID <= ds[1].ID {
		t.Errorf("the id %d was given again", again.ID)
	}
}

func quotas(t *testing.T, s ThreatStore) {
	ctx := t.Context()
	q := indicator.Quota{Definitions: 1, IOCs: 2, Patterns: 1, Indicators: 2, Now: base}
	d := newDefinition(0)
	_, err := s.CreateDefinitions(ctx, tenantA, q, []*indicator.Definition{d})
	check(t, err)
	_, err = s.CreateDefinitions(ctx, tenantA, q, []*indicator.Definition{newDefinition(1)})
	wantKind(t, "one definition too many", err, errs.Exhausted)
	_, err = s.CreateDefinitions(ctx, tenantB, q, []*indicator.Definition{newDefinition(1)})
	check(t, err)

	expired := newIOC(d.ID, 0, indicator.Contains)
	expired.Expires = base.Add(-time.Second)
	a, b := newIOC(d.ID, 1, indicator.Equals), newIOC(d.ID, 2, indicator.Contains)
	_, err = s.CreateIOCs(ctx, tenantA, q, []*indicator.IOC{expired, a, b})
	check(t, err) // what has expired does not count
	_, err = s.CreateIOCs(ctx, tenantA, q, []*indicator.IOC{newIOC(d.ID, 3, indicator.Equals)})
	wantKind(t, "one IOC too many", err, errs.Exhausted)
	_, _, err = s.UpdateIOC(ctx, tenantA, q, a.ID, func(i *indicator.IOC) error { i.Function = indicator.Contains; return nil })
	wantKind(t, "one pattern too many", err, errs.Exhausted)
	_, _, err = s.UpdateIOC(ctx, tenantA, q, expired.ID, func(i *indicator.IOC) error { i.Expires = time.Time{}; return nil })
	wantKind(t, "brought back to life over the quota", err, errs.Exhausted)
	_, err = s.DeleteIOCs(ctx, tenantA, indicator.Which{IDs: []int64{int64(b.ID)}})
	check(t, err)
	_, _, err = s.UpdateIOC(ctx, tenantA, q, a.ID, func(i *indicator.IOC) error { i.Function = indicator.Contains; return nil })
	check(t, err)
	left, err := s.IOCs(ctx, tenantA, filter.Query{Count: true})
	check(t, err)
	if left.Total != 2 {
		t.Errorf("%d IOCs are left, want 2", left.Total)
	}
}

func indicators(t *testing.T, s ThreatStore) {
	ctx := t.Context()
	a, b := newIndicator("a.example"), newIndicator("b.example")
	rev := put(t, s, tenantA, a, b)
	if rev != 1 || a.ID == 0 || b.ID == 0 || a.ID == b.ID {
		t.Fatalf("revision %d, ids %d, %d", rev, a.ID, b.ID)
	}
	put(t, s, tenantB, newIndicator("a.example"))
	got, err := s.Indicator(ctx, tenantA, a.ID)
	check(t, err)
	wantEqual(t, "kept", got, a)

	// The id is looked for first, then the value; a later key sees what an earlier wrote.
	keys := []indicator.Key{{ID: a.ID, Value: "b.example"}, {ID: 99, Value: "b.example"}, {Value: "c.example"}, {Value: "c.example"}}
	var found []string
	rev, err = s.PutIndicators(ctx, tenantA, quota, keys, func(n int, old *indicator.Indicator) (*indicator.Indicator, error) {
		if old == nil {
			found = append(found, "")
			return newIndicator(keys[n].Value), nil
		}
		found = append(found, old.Value)
		if n == 1 {
			return nil, nil
		}
		old.Title = "changed"
		return old, nil
	})
	check(t, err)
	wantEqual(t, "found", found, []string{"a.example", "b.example", "", "c.example"})
	if rev != 2 {
		t.Errorf("revision %d, want 2", rev)
	}
	_, err = s.PutIndicators(ctx, tenantA, quota, []indicator.Key{{ID: a.ID}}, func(_ int, old *indicator.Indicator) (*indicator.Indicator, error) {
		old.Value = "b.example"
		return old, nil
	})
	wantKind(t, "two of one value", err, errs.Conflict)
	_, err = s.PutIndicators(ctx, tenantA, quota, []indicator.Key{{Value: "z"}, {Value: "y"}}, func(n int, _ *indicator.Indicator) (*indicator.Indicator, error) {
		if n == 1 {
			return nil, errChange
		}
		return newIndicator("z"), nil
	})
	wantOwn(t, err)
	rev, err = s.PutIndicators(ctx, tenantA, quota, []indicator.Key{{Value: "z"}}, func(_ int, old *indicator.Indicator) (*indicator.Indicator, error) {
		if old != nil {
			t.Error("what an error undid is there")
		}
		return nil, nil
	})
	check(t, err)
	if rev != 0 {
		t.Errorf("writing nothing made revision %d", rev)
	}
	tight := quota
	tight.Indicators = 3
	_, err = s.PutIndicators(ctx, tenantA, tight, []indicator.Key{{Value: "d.example"}}, func(int, *indicator.Indicator) (*indicator.Indicator, error) {
		return newIndicator("d.example"), nil
	})
	wantKind(t, "one indicator too many", err, errs.Exhausted)
	_, err = s.DeleteIndicators(ctx, tenantA, indicator.Which{IDs: []int64{int64(a.ID), 999}})
	wantKind(t, "deleting one that is not there", err, errs.NotFound)
	rev, err = s.DeleteIndicators(ctx, tenantA, indicator.Which{IDs: []int64{int64(a.ID), int64(b.ID)}})
	check(t, err)
	left, err := s.Indicators(ctx, tenantA, filter.Query{Count: true})
	check(t, err)
	if rev != 3 || left.Total != 1 {
		t.Errorf("revision %d, %d left", rev, left.Total)
	}
}

// follow reads the feed to its end into a copy of the tenant's rows.
func follow(t testing.TB, s indicator.Feed, tenant ident.TenantID, since indicator.Revision, limit int, rows map[string]string) indicator.Revision {
	t.Helper()
	for {
		p, err := s.Changes(t.Context(), tenant, since, limit)
		check(t, err)
		if p.Reset {
			clear(rows)
		}
		last := indicator.Revision(0)
		for _, c := range p.Changes {
			if c.Revision < last || !p.Reset && c.Revision <= since || c.Revision > p.Revision {
				t.Fatalf("revision %d after %d in a page of (%d, %d]", c.Revision, last, since, p.Revision)
			}
			last = c.Revision
			key := fmt.Sprint(c.Noun, "/", c.ID)
			switch {
			case c.Deleted() && since == 0:
				t.Fatal("a reader that starts with nothing is told of a deletion")
			case c.Deleted():
				delete(rows, key)
			case c.Definition != nil:
				rows[key] = c.Definition.Name
			case c.IOC != nil:
				rows[key] = c.IOC.Value
			default:
				rows[key] = c.Indicator.Title
			}
		}
		if since = p.Revision; !p.More {
			return since
		}
	}
}

func feed(t *testing.T, s ThreatStore) {
	ctx := t.Context()
	rapid.Check(t, func(r *rapid.T) {
		tenant := ident.TenantID(guid(rapid.IntRange(0, 1<<30).Draw(r, "tenant")))
		live := map[string]string{} // follows step by step, in pages of any size
		var at indicator.Revision
		for range rapid.IntRange(1, 12).Draw(r, "steps") {
			mutate(t, r, s, tenant)
			if rapid.Bool().Draw(r, "read") {
				at = follow(t, s, tenant, at, rapid.IntRange(1, 4).Draw(r, "limit"), live)
			}
		}
		at = follow(t, s, tenant, at, 3, live)
		fresh := map[string]string{}
		if end := follow(t, s, tenant, 0, 2, fresh); end != at {
			r.Fatalf("a fresh reader ends at %d, one that followed at %d", end, at)
		}
		wantEqual(t, "one that followed and a fresh reader", live, fresh)
		ds, err := s.Definitions(ctx, tenant, filter.Query{Count: true})
		check(t, err)
		is, err := s.IOCs(ctx, tenant, filter.Query{Count: true})
		check(t, err)
		ins, err := s.Indicators(ctx, tenant, filter.Query{Count: true})
		check(t, err)
		if n := int(ds.Total + is.Total + ins.Total); n != len(fresh) {
			r.Fatalf("the feed shows %d rows of %d", len(fresh), n)
		}
		past, err := s.Changes(ctx, tenant, at+5, 10)
		check(t, err)
		if !past.Reset {
			r.Fatal("a reader that is ahead of the store is not told to start over")
		}
	})
	tenants, err := s.Tenants(ctx)
	check(t, err)
	if len(tenants) == 0 || !slices.IsSorted(tenants) {
		t.Errorf("tenants %v", tenants)
	}
}

// mutate makes one change.
func mutate(t testing.TB, r *rapid.T, s ThreatStore, tenant ident.TenantID) {
	ctx := t.Context()
	page, err := s.Definitions(ctx, tenant, filter.Query{})
	check(t, err)
	n := rapid.IntRange(0, 99).Draw(r, "n")
	kind := rapid.IntRange(0, 6).Draw(r, "change")
	if len(page.Items) == 0 {
		kind = 0
	}
	switch kind {
	case 0:
		_, err = s.CreateDefinitions(ctx, tenant, quota, []*indicator.Definition{newDefinition(n), newDefinition(n)})
	case 1, 2:
		d := rapid.SampledFrom(page.Items).Draw(r, "definition")
		_, err = s.CreateIOCs(ctx, tenant, quota, []*indicator.IOC{newIOC(d.ID, n, indicator.Equals), newIOC(d.ID, n+1, indicator.Contains)})
	case 3:
		d := rapid.SampledFrom(page.Items).Draw(r, "definition")
		_, _, err = s.UpdateDefinition(ctx, tenant, d.ID, func(d *indicator.Definition) error { d.Name = fmt.Sprint("renamed", n); return nil })
	case 4:
		d := rapid.SampledFrom(page.Items).Draw(r, "definition")
		_, err = s.DeleteDefinitions(ctx, tenant, indicator.Which{IDs: []int64{int64(d.ID)}})
	case 5:
		_, err = s.PutIndicators(ctx, tenant, quota, []indicator.Key{{Value: fmt.Sprint("v", n%3)}}, func(_ int, old *indicator.Indicator) (*indicator.Indicator, error) {
			if old == nil {
				old = newIndicator(fmt.Sprint("v", n%3))
			}
			old.Title = fmt.Sprint(n)
			return old, nil
		})
	case 6:
		_, err = s.DeleteIndicators(ctx, tenant, indicator.Which{By: "app0"})
	}
	check(t, err)
}

func filterIndicators(t *testing.T, s ThreatStore) {
	round := 0
	rapid.Check(t, func(r *rapid.T) {
		round++
		tenant := ident.TenantID(guid(round))
		var rows []*indicator.Indicator
		for n := range rapid.IntRange(1, 10).Draw(r, "rows") {
			i := newIndicator(fmt.Sprint(n, drawText(r)))
			i.Title, i.Application, i.CreatedBy = drawText(r), drawText(r), drawText(r)
			i.Expires, i.Modified, i.GenerateAlert = drawTime(r), drawTime(r), rapid.Bool().Draw(r, "alert")
			i.Groups = nil
			for range rapid.IntRange(0, 3).Draw(r, "groups") {
				i.Groups = append(i.Groups, "g"+drawText(r))
			}
			rows = append(rows, i)
		}
		put(t, s, tenant, rows...)
		for range 5 {
			q := drawQuery(r, indicator.Fields)
			page, err := s.Indicators(t.Context(), tenant, q)
			if err != nil {
				t.Fatalf("%s: %v", show(q), err)
			}
			compare(r, q, page, rows, indicatorValue, func(i *indicator.Indicator) string { return i.ID.String() })
		}
	})
}

func indicatorValue(i *indicator.Indicator, field string) any {
	switch field {
	case "id":
		return int64(i.ID)
	case "indicatorValue":
		return i.Value
	case "indicatorType":
		return string(i.Type)
	case "action":
		return string(i.Action)
	case "application":
		return i.Application
	case "title":
		return i.Title
	case "severity":
		return string(i.Severity)
	case "expirationTime":
		return i.Expires
	case "generateAlert":
		return i.GenerateAlert
	case "rbacGroupNames":
		return i.Groups
	case "rbacGroupIds":
		return i.GroupIDs
	case "createdBy":
		return i.CreatedBy
	case "createdByDisplayName":
		return i.CreatedByName
	case "creationTimeDateTimeUtc":
		return i.Created
	case "lastUpdateTime":
		return i.Modified
	case "externalId":
		return i.ExternalID
	}
	panic(field)
}
