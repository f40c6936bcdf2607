package mde

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/store"
)

// cells is an alert as a row.
func cells(a *alert.Alert) row {
	return func(field string) any {
		switch field {
		case "title":
			return a.Title
		case "assignedTo":
			return a.AssignedTo
		case "incidentId":
			if a.Incident != 0 {
				return int64(a.Incident)
			}
		case "firstEventTime":
			return a.FirstEvent
		}
		return nil
	}
}

// TestMatchesAgreesWithTheStore filters and orders the same rows here and in the store.
func TestMatchesAgreesWithTheStore(t *testing.T) {
	ctx := context.Background()
	db, err := store.Open(ctx, store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	texts := []string{"", "a", "A", "ab", "Bſ", "bs", "É_é", "%", "K", "k"}
	times := []time.Time{{}, time.Unix(1, 0).UTC(), time.Unix(1, 1).UTC(), time.Unix(2, 0).UTC()}
	var rows []*alert.Alert
	for i := range 60 {
		rows = append(rows, &alert.Alert{
			ID: ident.AlertID(fmt.Sprintf("da%03d_1", i)), Tenant: "t", Title: texts[i%len(texts)], AssignedTo: texts[(i*7+3)%len(texts)],
			Incident: ident.IncidentID(i % 4), FirstEvent: times[(i/3)%len(times)],
		})
	}
	if _, err := db.Alerts().CreateAlerts(ctx, rows); err != nil {
		t.Fatal(err)
	}
	var fields []filter.Field
	for _, name := range []string{"title", "assignedTo", "incidentId", "firstEventTime"} {
		f, _ := alert.Fields.Find(name)
		fields = append(fields, f)
	}
	value := func(r *rapid.T, f filter.Field) filter.Value {
		v := filter.Value{Type: f.Type}
		switch f.Type {
		case filter.Int:
			v.N = rapid.Int64Range(-1, 4).Draw(r, "n")
		case filter.Time:
			v.T = rapid.SampledFrom(times[1:]).Draw(r, "t")
		default:
			v.S = rapid.SampledFrom(texts[1:]).Draw(r, "s")
		}
		return v
	}
	var gen func(r *rapid.T, depth int) filter.Expr
	gen = func(r *rapid.T, depth int) filter.Expr {
		f := rapid.SampledFrom(fields).Draw(r, "field")
		kinds := 5
		if depth == 0 {
			kinds = 2
		}
		switch rapid.IntRange(0, kinds).Draw(r, "kind") {
		case 0:
			return filter.Compare{Field: f, Op: filter.Op(rapid.IntRange(0, 1).Draw(r, "op")), Value: filter.Value{Type: f.Type, Null: true}}
		case 1:
			return filter.In{Field: f, Values: []filter.Value{value(r, f), value(r, f)}}
		case 3:
			return filter.Not{Term: gen(r, depth-1)}
		case 4:
			return filter.And{gen(r, depth-1), gen(r, depth-1)}
		case 5:
			return filter.Or{gen(r, depth-1), gen(r, depth-1)}
		}
		most := filter.Le
		if f.Type == filter.String {
			most = filter.Contains
		}
		return filter.Compare{Field: f, Op: filter.Op(rapid.IntRange(0, int(most)).Draw(r, "op")), Value: value(r, f)}
	}
	rapid.Check(t, func(r *rapid.T) {
		e := gen(r, 3)
		key, _ := alert.Fields.Find("id")
		keys := []filter.Order{
			{Field: rapid.SampledFrom(fields).Draw(r, "order"), Desc: rapid.Bool().Draw(r, "desc")}, {Field: key},
		}
		page, err := db.Alerts().Alerts(ctx, "t", filter.Query{Where: e, Order: keys, Top: 100})
		if err != nil {
			r.Fatal(err)
		}
		var got, want []ident.AlertID
		for _, a := range page.Items {
			want = append(want, a.ID)
		}
		mine := slices.DeleteFunc(slices.Clone(rows), func(a *alert.Alert) bool { return !matches(e, cells(a)) })
		slices.SortStableFunc(mine, func(a, b *alert.Alert) int { return order(keys[:1], cells(a), cells(b)) })
		for _, a := range mine {
			got = append(got, a.ID)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			r.Fatalf("%s ordered by %s: %s", odata.Format(e), keys[0].Field.Name, diff)
		}
	})
}
