package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/incident"
)

// IncidentStore is everything that package incident asks of a store.
type IncidentStore interface {
	incident.Store
	incident.LinkStore
}

func newIncident(tenant ident.TenantID, n int) *incident.Incident {
	at := base.Add(time.Duration(n) * time.Second)
	return &incident.Incident{
		Tenant: tenant, Name: fmt.Sprintf("Ünknown %d", n), Severity: alert.High, Status: incident.Active, AssignedTo: "ann@example.org", Tags: []string{"Müll", "b"},
		Comments: []alert.Comment{{Text: "x", Created: at}}, Created: at, Updated: at.Add(time.Hour),
		Account: incident.Account{Alerts: 2, Unresolved: 1, FirstEvent: at, LastEvent: at, Titles: []string{"a"}, Devices: []incident.Device{{ID: device(1), Name: "h"}}},
	}
}

// Incidents tests an IncidentStore. open returns an empty one.
func Incidents(t *testing.T, open func(testing.TB) IncidentStore) {
	t.Run("ids, tenants, update", func(t *testing.T) {
		s, ctx := open(t), t.Context()
		a, b := newIncident(tenantA, 1), newIncident(tenantA, 2)
		check(t, s.CreateIncident(ctx, a))
		check(t, s.CreateIncident(ctx, b))
		if a.ID == 0 || b.ID <= a.ID {
			t.Fatalf("the ids %d and %d do not rise", a.ID, b.ID)
		}
		got, err := s.Incident(ctx, tenantA, a.ID)
		check(t, err)
		wantEqual(t, "kept", got, a)
		_, err = s.Incident(ctx, tenantB, a.ID)
		wantKind(t, "read across tenants", err, errs.NotFound)
		_, err = s.UpdateIncident(ctx, tenantB, a.ID, func(*incident.Incident) error { return nil })
		wantKind(t, "write across tenants", err, errs.NotFound)
		_, err = s.UpdateIncident(ctx, tenantA, a.ID, func(i *incident.Incident) error { i.Name = "half"; return errChange })
		wantOwn(t, err)
		for _, err := range together(20, func(n int) error {
			_, err := s.UpdateIncident(ctx, tenantA, a.ID, func(i *incident.Incident) error { i.Alerts++; i.ID, i.Tenant = 99, tenantB; return nil })
			return err
		}) {
			check(t, err)
		}
		got, err = s.Incident(ctx, tenantA, a.ID)
		check(t, err)
		a.Alerts += 20 // and neither its id nor its tenant can be changed
		wantEqual(t, "changed by many", got, a)
	})
	t.Run("filter", func(t *testing.T) {
		s, round := open(t), 0
		rapid.Check(t, func(r *rapid.T) {
			round++
			tenant := ident.TenantID(guid(round))
			var rows []*incident.Incident
			for range rapid.IntRange(1, 8).Draw(r, "rows") {
				i := &incident.Incident{Tenant: tenant, Name: drawText(r), Severity: alert.Severity(drawText(r)), Status: incident.Status(drawText(r)), AssignedTo: drawText(r),
					Classification: drawText(r), Determination: drawText(r), Created: drawTime(r), Updated: drawTime(r), Redirect: ident.IncidentID(drawInt(r))}
				// The service takes no empty tag; in filters "" is null.
				i.Tags = slices.DeleteFunc(rapid.SliceOfN(rapid.Custom(drawText), 0, 3).Draw(r, "tags"), func(s string) bool { return s == "" })
				check(t, s.CreateIncident(t.Context(), i))
				rows = append(rows, i)
			}
			for range 5 {
				q := drawQuery(r, incident.Fields)
				page, err := s.Incidents(t.Context(), tenant, q)
				if err != nil {
					r.Fatalf("%s: %v", show(q), err)
				}
				compare(r, q, page, rows, incidentValue, func(i *incident.Incident) string { return fmt.Sprint(i.ID) })
			}
		})
	})
	t.Run("links", func(t *testing.T) { incidentLinks(t, open(t)) })
}

func incidentValue(i *incident.Incident, field string) any {
	switch field {
	case "incidentId":
		return int64(i.ID)
	case "redirectIncidentId":
		return zeroIsNull(int64(i.Redirect))
	case "incidentName":
		return i.Name
	case "severity":
		return string(i.Severity)
	case "status":
		return string(i.Status)
	case "assignedTo":
		return i.AssignedTo
	case "classification":
		return i.Classification
	case "determination":
		return i.Determination
	case "tags":
		return i.Tags
	case "createdTime":
		return i.Created
	case "lastUpdateTime":
		return i.Updated
	}
	panic(field)
}

// incidentLinks compares links with a list of them.
func incidentLinks(t *testing.T, s IncidentStore) {
	ctx, round := t.Context(), 0
	at := func(r *rapid.T) time.Time {
		return base.Add(time.Duration(rapid.IntRange(0, 20).Draw(r, "minute")) * time.Minute)
	}
	keys := []incident.Key{{Kind: incident.OnDevice, Value: "a"}, {Kind: incident.OnDevice, Value: "b"}, {Kind: incident.File, Value: "a"}}
	rapid.Check(t, func(r *rapid.T) {
		round++
		tenant := ident.TenantID(guid(round))
		type row struct {
			key incident.Key
			id  ident.IncidentID
		}
		want := map[row]incident.Link{}
		for range rapid.IntRange(1, 12).Draw(r, "steps") {
			id := ident.IncidentID(rapid.IntRange(1, 3).Draw(r, "incident"))
			if rapid.IntRange(0, 5).Draw(r, "step") == 0 {
				check(t, s.Unlink(ctx, tenant, id))
				for k := range want {
					if k.id == id {
						delete(want, k)
					}
				}
				continue
			}
			key, first, last := rapid.SampledFrom(keys).Draw(r, "key"), at(r), at(r)
			if last.Before(first) {
				first, last = last, first
			}
			check(t, s.Link(ctx, tenant, id, []incident.Key{key}, first, last))
			l, known := want[row{key, id}]
			if !known || first.Before(l.First) {
				l.First = first
			}
			if last.After(l.Last) {
				l.Last = last
			}
			l.Incident = id
			want[row{key, id}] = l
		}
		key, from, to := rapid.SampledFrom(keys).Draw(r, "asked"), at(r), at(r)
		got, err := s.Links(ctx, tenant, key, from, to, 10)
		check(t, err)
		n := 0
		for k, l := range want {
			if k.key == key && !l.Last.Before(from) && !l.First.After(to) {
				n++
			}
		}
		if len(got) != n {
			r.Fatalf("%d links of %v in [%v, %v], want %d", len(got), key, from, to, n)
		}
		for i, l := range got {
			if want[row{key, l.Incident}] != l || i > 0 && l.Last.After(got[i-1].Last) {
				r.Fatalf("link %d is %v, kept was %v", i, l, want[row{key, l.Incident}])
			}
		}
		if n > 1 {
			few, err := s.Links(ctx, tenant, key, from, to, 1)
			check(t, err)
			wantEqual(t, "the last one", few, got[:1])
		}
	})
	check(t, s.Link(ctx, tenantA, 1, keys, base, base))
	check(t, s.Link(ctx, tenantA, 2, keys, base, base.Add(time.Nanosecond)))
	check(t, s.PruneLinks(ctx, base.Add(time.Nanosecond)))
	got, err := s.Links(ctx, tenantA, keys[0], base, base.Add(time.Hour), 10)
	check(t, err)
	wantEqual(t, "what ended before the time is forgotten", got, []incident.Link{{Incident: 2, First: base, Last: base.Add(time.Nanosecond)}})
	other, err := s.Links(ctx, tenantB, keys[0], base, base.Add(time.Hour), 10)
	check(t, err)
	wantEqual(t, "links of another tenant", len(other), 0)
}
