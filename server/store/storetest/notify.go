package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/notify"
)

func newNotice(tenant ident.TenantID, n int) *notify.Rule {
	return &notify.Rule{Tenant: tenant, Name: fmt.Sprintf("Rüle %d", n), Enabled: true, Subject: notify.OfAlerts, Severity: alert.High, Groups: []int64{0, 3}, Mail: []string{"a@example.org"},
		URL: "https://hook.example/", Secret: "sealed", Digest: time.Hour, PerHour: 7, CreatedBy: ident.Actor{Kind: ident.ActorUser, ID: "u", Name: "u", Tenant: tenant}, Created: base, Updated: base}
}

func newMessage(n int, due time.Duration) *notify.Message {
	return &notify.Message{ID: fmt.Sprint("m", n), Tenant: tenantA, Channel: "rule/1", Kind: notify.ByMail, To: []string{"a@example.org"}, Subject: "s", Body: "Zoë \x00",
		State: notify.Waiting, Created: base.Add(time.Duration(n) * time.Second), Due: base.Add(due)}
}

// Notifications tests a notify.Store. open returns an empty one.
func Notifications(t *testing.T, open func(testing.TB) notify.Store) {
	t.Run("rules", func(t *testing.T) {
		s, ctx := open(t), t.Context()
		a, b := newNotice(tenantA, 1), newNotice(tenantA, 2)
		check(t, s.CreateRule(ctx, a))
		check(t, s.CreateRule(ctx, b))
		if a.ID == 0 || b.ID <= a.ID {
			t.Fatalf("the ids %d and %d do not rise", a.ID, b.ID)
		}
		_, err := s.UpdateRule(ctx, tenantB, a.ID, func(*notify.Rule) error { return nil })
		wantKind(t, "write across tenants", err, errs.NotFound)
		_, err = s.UpdateRule(ctx, tenantA, a.ID, func(r *notify.Rule) error { r.Name = "half"; return errChange })
		wantOwn(t, err)
		got, err := s.UpdateRule(ctx, tenantA, a.ID, func(r *notify.Rule) error { r.PerHour = 9; return nil })
		check(t, err)
		a.PerHour = 9
		wantEqual(t, "changed", got, a)
		all, err := s.Rules(ctx, tenantA)
		check(t, err)
		wantEqual(t, "rules", all, []*notify.Rule{a, b})
		none, err := s.Rules(ctx, tenantB)
		check(t, err)
		wantEqual(t, "rules of another tenant", len(none), 0)
		check(t, s.Gather(ctx, &notify.Item{ID: "i", Tenant: tenantA, Rule: a.ID, Due: base, At: base}, &notify.Item{ID: "j", Tenant: tenantA, Rule: b.ID, Due: base, At: base}))
		wantKind(t, "delete across tenants", s.DeleteRule(ctx, tenantB, a.ID), errs.NotFound)
		check(t, s.DeleteRule(ctx, tenantA, a.ID))
		wantKind(t, "deleted twice", s.DeleteRule(ctx, tenantA, a.ID), errs.NotFound)
		items, err := s.TakeDigest(ctx, base, 10)
		check(t, err)
		if len(items) != 1 || items[0].ID != "j" {
			t.Errorf("a deleted rule's digest is sent: %+v", items)
		}
	})
	t.Run("subscriptions", func(t *testing.T) {
		s, ctx := open(t), t.Context()
		sub := func(tenant ident.TenantID, n int) *notify.Subscription {
			return &notify.Subscription{ID: ident.SubscriptionID(guid(n)), Tenant: tenant, URL: "https://hook.example/", ClientState: "ß", Resource: "alerts", ChangeType: "created",
				Secret: "sealed", Expires: base.Add(time.Duration(n) * time.Hour), Created: base.Add(-time.Duration(n) * time.Second)}
		}
		for n := range 3 {
			check(t, s.CreateSubscription(ctx, sub(tenantA, n)))
		}
		check(t, s.CreateSubscription(ctx, sub(tenantB, 7)))
		all, err := s.Subscriptions(ctx, tenantA)
		check(t, err)
		wantEqual(t, "by creation", all, []*notify.Subscription{sub(tenantA, 2), sub(tenantA, 1), sub(tenantA, 0)})
		_, err = s.UpdateSubscription(ctx, tenantB, all[0].ID, func(*notify.Subscription) error { return nil })
		wantKind(t, "write across tenants", err, errs.NotFound)
		_, err = s.UpdateSubscription(ctx, tenantA, all[0].ID, func(*notify.Subscription) error { return errChange })
		wantOwn(t, err)
		_, err = s.UpdateSubscription(ctx, tenantA, all[0].ID, func(x *notify.Subscription) error { x.Expires = base; return nil })
		check(t, err)
		check(t, s.ExpireSubscriptions(ctx, base.Add(time.Minute)))
		all, err = s.Subscriptions(ctx, tenantA)
		check(t, err)
		wantEqual(t, "what has not ended", all, []*notify.Subscription{sub(tenantA, 1)})
		wantKind(t, "delete across tenants", s.DeleteSubscription(ctx, tenantB, all[0].ID), errs.NotFound)
		check(t, s.DeleteSubscription(ctx, tenantA, all[0].ID))
		wantKind(t, "deleted twice", s.DeleteSubscription(ctx, tenantA, all[0].ID), errs.NotFound)
	})
	t.Run("outbox", func(t *testing.T) { outbox(t, open(t)) })
	t.Run("digests", func(t *testing.T) {
		s, ctx := open(t), t.Context()
		item := func(n int, rule ident.NotificationID, due time.Duration) *notify.Item {
			return &notify.Item{ID: fmt.Sprint("i", n), Tenant: tenantA, Rule: rule, Due: base.Add(due), At: base.Add(time.Duration(n) * time.Second), News: notify.News{Title: "t", Alert: "da1"}}
		}
		items := []*notify.Item{item(1, 1, time.Hour), item(2, 1, time.Hour), item(3, 2, 2*time.Hour), item(4, 1, 3*time.Hour)}
		check(t, s.Gather(ctx, items...))
		check(t, s.Gather(ctx, item(1, 9, 0))) // its id is taken
		ready := func(at time.Duration, want bool) {
			t.Helper()
			got, err := s.DigestDue(ctx, base.Add(at))
			check(t, err)
			wantEqual(t, fmt.Sprint("due at ", at), got, want)
		}
		take := func(at time.Duration, limit int, want ...*notify.Item) {
			t.Helper()
			got, err := s.TakeDigest(ctx, base.Add(at), limit)
			check(t, err)
			wantEqual(t, fmt.Sprint("taken at ", at), got, want)
		}
		ready(time.Hour-1, false)
		take(time.Hour-1, 10)
		ready(time.Hour, true)
		take(2*time.Hour, 1, items[0])
		take(2*time.Hour, 10, items[1])
		take(2*time.Hour, 10, items[2])
		take(2*time.Hour, 10)
		take(3*time.Hour, 10, items[3])
		ready(9*time.Hour, false)
	})
}

func outbox(t *testing.T, s notify.Store) {
	ctx := t.Context()
	a, b, c := newMessage(1, 2*time.Minute), newMessage(2, time.Minute), newMessage(3, time.Hour)
	c.Channel = "subscription/x"
	check(t, s.Enqueue(ctx, a, b, c))
	again := newMessage(1, 0)
	again.Body = "another"
	check(t, s.Enqueue(ctx, again))
	due := func(at time.Duration, limit int, want ...*notify.Message) {
		t.Helper()
		got, err := s.Due(ctx, notify.Notices, base.Add(at), limit)
		check(t, err)
		wantEqual(t, fmt.Sprint("due at ", at), got, want)
	}
	due(time.Minute-1, 10)
	due(2*time.Minute, 10, b, a)
	due(2*time.Minute, 1, b)
	wantKind(t, "write across tenants", s.UpdateMessage(ctx, tenantB, "m1", func(*notify.Message) error { return nil }), errs.NotFound)
	wantOwn(t, s.UpdateMessage(ctx, tenantA, "m1", func(m *notify.Message) error { m.State = notify.Sent; return errChange }))
	check(t, s.UpdateMessage(ctx, tenantA, "m1", func(m *notify.Message) error {
		m.Attempts, m.LastError, m.Due = 1, "down", base.Add(3*time.Minute)
		return nil
	}))
	a.Attempts, a.LastError, a.Due = 1, "down", base.Add(3*time.Minute)
	due(2*time.Minute, 10, b)
	due(3*time.Minute, 10, b, a)
	check(t, s.UpdateMessage(ctx, tenantA, "m2", func(m *notify.Message) error {
		m.State, m.Done = notify.Sent, base.Add(time.Minute)
		return nil
	}))
	b.State, b.Done = notify.Sent, base.Add(time.Minute)
	due(3*time.Minute, 10, a)
	parcel := newMessage(7, 0)
	parcel.Lane, parcel.Channel, parcel.File = notify.Parcels, "expert/x", &notify.Parcel{Name: "n", SHA256: "s", Size: 1}
	check(t, s.Enqueue(ctx, parcel))
	due(3*time.Minute, 10, a)
	got, err := s.Due(ctx, notify.Parcels, base.Add(time.Hour), 10)
	check(t, err)
	wantEqual(t, "the other lane", got, []*notify.Message{parcel})
	check(t, s.UpdateMessage(ctx, tenantA, parcel.ID, func(m *notify.Message) error {
		m.State, m.Done = notify.Sent, base.Add(-time.Hour)
		return nil
	}))
	check(t, s.Tidy(ctx, base))
	of := func(tenant ident.TenantID, channel string, limit int, want ...*notify.Message) {
		t.Helper()
		got, err := s.Messages(ctx, tenant, channel, limit)
		check(t, err)
		wantEqual(t, "messages of "+channel, got, want)
	}
	of(tenantA, "", 10, c, b, a)
	of(tenantA, "", 2, c, b)
	of(tenantA, "rule/1", 10, b, a)
	of(tenantB, "", 10)
	for since, want := range map[time.Duration]int{0: 2, time.Second: 2, 2 * time.Second: 1, time.Minute: 0} {
		n, err := s.CountMessages(ctx, tenantA, "rule/1", base.Add(since))
		check(t, err)
		wantEqual(t, fmt.Sprint("made since ", since), n, want)
	}
	check(t, s.Tidy(ctx, base.Add(time.Minute)))
	of(tenantA, "rule/1", 10, b, a)
	check(t, s.Tidy(ctx, base.Add(time.Minute+1)))
	of(tenantA, "rule/1", 10, a)
}
