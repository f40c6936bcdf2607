package storetest

import (
	"fmt"
	"testing"
	"time"

	dev "github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/expert"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// ExpertStores is what keeps receivers and cases, over one database with the devices that
// cases are about.
type ExpertStores struct {
	Receivers expert.ReceiverStore
	Cases     expert.CaseStore
	Devices   dev.Store
}

// Experts tests an expert.ReceiverStore and an expert.CaseStore. open returns empty ones.
func Experts(t *testing.T, open func(testing.TB) ExpertStores) {
	t.Run("receivers", func(t *testing.T) {
		s, ctx := open(t).Receivers, t.Context()
		one := &expert.Receiver{Tenant: tenantA, Name: "one", Mail: []string{"a@b.example"}, Hand: expert.ByLink, Life: time.Hour, Created: base}
		two := &expert.Receiver{Tenant: tenantA, Name: "two", URL: "https://x.example/"}
		other := &expert.Receiver{Tenant: tenantB, Name: "other"}
		for _, r := range []*expert.Receiver{one, two, other} {
			check(t, s.CreateReceiver(ctx, r))
		}
		if one.ID != 1 || two.ID != 2 || other.ID != 1 {
			t.Errorf("ids %d, %d, %d", one.ID, two.ID, other.ID)
		}
		got, err := s.Receivers(ctx, tenantA)
		check(t, err)
		wantEqual(t, "receivers", got, []*expert.Receiver{one, two})
		_, err = s.UpdateReceiver(ctx, tenantA, 1, func(r *expert.Receiver) error { r.Name = "lost"; return errChange })
		wantOwn(t, err)
		changed, err := s.UpdateReceiver(ctx, tenantA, 1, func(r *expert.Receiver) error { r.Name = "uno"; return nil })
		check(t, err)
		got, err = s.Receivers(ctx, tenantA)
		check(t, err)
		wantEqual(t, "changed", got, []*expert.Receiver{changed, two})
		_, err = s.UpdateReceiver(ctx, tenantB, 2, func(*expert.Receiver) error { return nil })
		wantKind(t, "another tenant's", err, errs.NotFound)
		check(t, s.DeleteReceiver(ctx, tenantA, 1))
		wantKind(t, "deleted twice", s.DeleteReceiver(ctx, tenantA, 1), errs.NotFound)
	})
	t.Run("cases", func(t *testing.T) { cases(t, open(t)) })
}

func cases(t *testing.T, s ExpertStores) {
	ctx := t.Context()
	for n := range 3 {
		d := newDevice(tenantA, n)
		d.Group = int64(n)
		check(t, s.Devices.Create(ctx, d))
	}
	// Case n is about the devices up to n, in the groups up to n.
	var all []*expert.Case
	for n := range 3 {
		c := &expert.Case{ID: ident.ActionID(guid(n)), Tenant: tenantA, About: expert.About{Device: device(n)}, Question: fmt.Sprint(n), Created: base.Add(time.Duration(n) * time.Hour),
			Due: base.Add(time.Duration(3-n) * time.Minute), Open: true}
		for k := range n + 1 {
			c.Subjects = append(c.Subjects, expert.Subject{Device: device(k), Name: "x"})
		}
		check(t, s.Cases.CreateCase(ctx, c))
		all = append(all, c)
	}
	check(t, s.Cases.CreateCase(ctx, &expert.Case{ID: ident.ActionID(guid(9)), Tenant: tenantB, Open: true, Due: base, About: expert.About{Incident: 7}}))
	got, err := s.Cases.Case(ctx, tenantA, all[1].ID)
	check(t, err)
	wantEqual(t, "a case", got, all[1])
	_, err = s.Cases.Case(ctx, tenantB, all[1].ID)
	wantKind(t, "another tenant's", err, errs.NotFound)
	page, err := s.Cases.Cases(ctx, tenantA, filter.Query{})
	check(t, err)
	wantEqual(t, "newest first", page.Items, []*expert.Case{all[2], all[1], all[0]})
	for groups, want := range map[string]int{"": 0, "0": 1, "1": 0, "01": 2, "12": 0, "012": 3} {
		var in []int64
		for _, r := range groups {
			in = append(in, int64(r-'0'))
		}
		page, err := s.Cases.Cases(within(ctx, in...), tenantA, filter.Query{})
		check(t, err)
		if len(page.Items) != want {
			t.Errorf("who sees the groups %q sees %d cases, want %d", groups, len(page.Items), want)
		}
		for n, c := range all {
			_, err := s.Cases.UpdateCase(within(ctx, in...), tenantA, c.ID, func(*expert.Case) error { return nil })
			if n < want {
				check(t, err)
			} else {
				wantKind(t, "changing what is out of scope", err, errs.NotFound)
			}
		}
	}
	due, err := s.Cases.DueCases(ctx, base.Add(2*time.Minute), 10)
	check(t, err)
	if len(due) != 3 || due[0].Tenant != tenantB || due[1].ID != all[2].ID || due[2].ID != all[1].ID {
		t.Errorf("due are %d cases", len(due))
	}
	_, err = s.Cases.UpdateCase(ctx, tenantA, all[2].ID, func(c *expert.Case) error { c.Open = false; return errChange })
	wantOwn(t, err)
	_, err = s.Cases.UpdateCase(ctx, tenantA, all[2].ID, func(c *expert.Case) error { c.Open = false; return nil })
	check(t, err)
	open, _ := expert.Fields.Find("isOpen")
	page, err = s.Cases.Cases(ctx, tenantA, filter.Query{Where: filter.Compare{Field: open, Op: filter.Eq, Value: filter.Value{Type: filter.Bool, B: false}}})
	check(t, err)
	if len(page.Items) != 1 || page.Items[0].ID != all[2].ID {
		t.Errorf("%d cases have ended", len(page.Items))
	}
	due, err = s.Cases.DueCases(ctx, base.Add(time.Hour), 1)
	check(t, err)
	if len(due) != 1 || due[0].Tenant != tenantB {
		t.Errorf("the longest due is %+v", due)
	}
}
