package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/history"
	"github.com/vedette-edr/vedette/server/ident"
)

// Histories tests a history.Store. open returns an empty one.
func Histories(t *testing.T, open func(testing.TB) history.Store) {
	s, ctx := open(t), t.Context()
	o := history.Object{Tenant: tenantA, Noun: "alert", ID: "1"}
	entry := func(n int) history.Entry {
		return history.Entry{At: base.Add(time.Duration(n) * time.Second), By: ident.Actor{Kind: ident.ActorUser, ID: "u", Name: "Zoë", Tenant: tenantA},
			Field: "status", Old: fmt.Sprint(n), New: "\x00\u202e"}
	}
	check(t, s.AppendHistory(ctx, o)) // of nothing
	check(t, s.AppendHistory(ctx, o, entry(1), entry(2)))
	check(t, s.AppendHistory(ctx, o, entry(3)))
	for i, other := range []history.Object{{Tenant: tenantB, Noun: "alert", ID: "1"}, {Tenant: tenantA, Noun: "incident", ID: "1"}, {Tenant: tenantA, Noun: "alert", ID: "2"}} {
		check(t, s.AppendHistory(ctx, other, entry(10+i)))
		got, err := s.History(ctx, other, 0, 10)
		check(t, err)
		want := entry(10 + i)
		want.Seq = 1
		wantEqual(t, "of another thing", got, []history.Entry{want})
	}
	all := []history.Entry{entry(1), entry(2), entry(3)}
	for i := range all {
		all[i].Seq = int64(i + 1)
	}
	for after := range 5 {
		for _, limit := range []int{1, 2, 10} {
			got, err := s.History(ctx, o, int64(after), limit)
			check(t, err)
			rest := all[min(after, len(all)):]
			wantEqual(t, fmt.Sprintf("%d after %d", limit, after), got, rest[:min(limit, len(rest))])
		}
	}
	for _, err := range together(20, func(n int) error { return s.AppendHistory(ctx, o, entry(n), entry(n)) }) {
		check(t, err)
	}
	got, err := s.History(ctx, o, 3, 100)
	check(t, err)
	for i, e := range got {
		if e.Seq != int64(i+4) || i%2 == 1 && e.Old != got[i-1].Old {
			t.Errorf("entry %d has number %d and says %q after %q", i, e.Seq, e.Old, got[max(i-1, 0)].Old)
		}
	}
	wantEqual(t, "entries of many writers", len(got), 40)
}
