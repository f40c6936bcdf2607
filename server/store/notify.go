package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/notify"
)

// Notifications is the notify.Store of this database.
type Notifications struct{ s *Store }

var _ notify.Store = Notifications{}

// Notifications returns the store of notification rules, subscriptions and the outbox.
func (s *Store) Notifications() Notifications { return Notifications{s} }

// CreateRule implements notify.RuleStore.
func (n Notifications) CreateRule(ctx context.Context, r *notify.Rule) error {
	return insertNumbered(ctx, n.s, notificationTable, r.Tenant, r, func(r *notify.Rule, id int64) { r.ID = ident.NotificationID(id) })
}

// Rules implements notify.RuleStore.
func (n Notifications) Rules(ctx context.Context, tenant ident.TenantID) ([]*notify.Rule, error) {
	return fetchAll[notify.Rule](ctx, n.s, &table{name: notificationTable.name}, "WHERE tenant = ? ORDER BY id", string(tenant))
}

// UpdateRule implements notify.RuleStore.
func (n Notifications) UpdateRule(ctx context.Context, tenant ident.TenantID, id ident.NotificationID, change func(*notify.Rule) error) (*notify.Rule, error) {
	return updateNumbered(ctx, n.s, notificationTable, tenant, int64(id), change)
}

// DeleteRule implements notify.RuleStore.
func (n Notifications) DeleteRule(ctx context.Context, tenant ident.TenantID, id ident.NotificationID) error {
	return n.s.update(ctx, "store.DeleteRule", func(ctx context.Context, q querier) error {
		if _, err := q.ExecContext(ctx, `DELETE FROM digest_item WHERE tenant = ? AND rule = ?`, string(tenant), int64(id)); err != nil {
			return err
		}
		return deleteNumbered(ctx, n.s, notificationTable, tenant, int64(id))
	})
}

// CreateSubscription implements notify.SubscriptionStore.
func (n Notifications) CreateSubscription(ctx context.Context, s *notify.Subscription) error {
	return n.s.update(ctx, "store.CreateSubscription", func(ctx context.Context, q querier) error {
		doc, err := encode(s)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `INSERT INTO subscription (tenant, id, created, expires, doc) VALUES (?, ?, ?, ?, ?)`,
			string(s.Tenant), string(s.ID), nanos(s.Created), nanos(s.Expires), doc)
		return err
	})
}

// Subscriptions implements notify.SubscriptionStore.
func (n Notifications) Subscriptions(ctx context.Context, tenant ident.TenantID) ([]*notify.Subscription, error) {
	return fetchAll[notify.Subscription](ctx, n.s, &table{name: "subscription"}, "WHERE tenant = ? ORDER BY created, id", string(tenant))
}

// UpdateSubscription implements notify.SubscriptionStore.
func (n Notifications) UpdateSubscription(ctx context.Context, tenant ident.TenantID, id ident.SubscriptionID, change func(*notify.Subscription) error) (*notify.Subscription, error) {
	var out *notify.Subscription
	err := n.s.update(ctx, "store.UpdateSubscription", func(ctx context.Context, q querier) error {
		v, err := one[notify.Subscription](ctx, q, &table{name: "subscription", what: "subscription"}, "tenant = ? AND id = ?", string(tenant), string(id))
		if err != nil {
			return err
		}
		if err := change(v); err != nil {
			return callerError{err}
		}
		doc, err := encode(v)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `UPDATE subscription SET expires = ?, doc = ? WHERE tenant = ? AND id = ?`, nanos(v.Expires), doc, string(tenant), string(id))
		out = v
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// DeleteSubscription implements notify.SubscriptionStore.
func (n Notifications) DeleteSubscription(ctx context.Context, tenant ident.TenantID, id ident.SubscriptionID) error {
	return n.s.update(ctx, "store.DeleteSubscription", func(ctx context.Context, q querier) error {
		r, err := q.ExecContext(ctx, `DELETE FROM subscription WHERE tenant = ? AND id = ?`, string(tenant), string(id))
		if err != nil {
			return err
		}
		if k, err := r.RowsAffected(); err != nil || k > 0 {
			return err
		}
		return notFound("store.DeleteSubscription", "the subscription")
	})
}

// ExpireSubscriptions implements notify.SubscriptionStore.
func (n Notifications) ExpireSubscriptions(ctx context.Context, before time.Time) error {
	return n.s.update(ctx, "store.ExpireSubscriptions", func(ctx context.Context, q querier) error {
		_, err := q.ExecContext(ctx, `DELETE FROM subscription WHERE expires < ?`, nanos(before))
		return err
	})
}

// Enqueue implements notify.Outbox.
func (n Notifications) Enqueue(ctx context.Context, ms ...*notify.Message) error {
	return n.s.update(ctx, "store.Enqueue", func(ctx context.Context, q querier) error {
		for _, m := range ms {
			doc, err := encode(m)
			if err != nil {
				return err
			}
			_, err = q.ExecContext(ctx, `INSERT INTO message (tenant, id, channel, lane, waiting, created, due, done, doc) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
				ON CONFLICT DO NOTHING`, string(m.Tenant), m.ID, m.Channel, string(m.Lane), flag(m.State == notify.Waiting), nanos(m.Created), nanos(m.Due), stamp(m.Done), doc)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Gather implements notify.Outbox.
func (n Notifications) Gather(ctx context.Context, items ...*notify.Item) error {
	return n.s.update(ctx, "store.Gather", func(ctx context.Context, q querier) error {
		for _, i := range items {
			doc, err := encode(i)
			if err != nil {
				return err
			}
			_, err = q.ExecContext(ctx, `INSERT INTO digest_item (tenant, id, rule, due, at, doc) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
				string(i.Tenant), i.ID, int64(i.Rule), nanos(i.Due), nanos(i.At), doc)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Due implements notify.Outbox.
func (n Notifications) Due(ctx context.Context, lane notify.Lane, now time.Time, limit int) ([]*notify.Message, error) {
	return fetchAll[notify.Message](ctx, n.s, &table{name: "message"}, "WHERE waiting = 1 AND lane = ? AND due <= ? ORDER BY due LIMIT ?", string(lane), nanos(now), limit)
}

// UpdateMessage implements notify.Outbox.
func (n Notifications) UpdateMessage(ctx context.Context, tenant ident.TenantID, id string, change func(*notify.Message) error) error {
	return n.s.update(ctx, "store.UpdateMessage", func(ctx context.Context, q querier) error {
		m, err := one[notify.Message](ctx, q, &table{name: "message", what: "message"}, "tenant = ? AND id = ?", string(tenant), id)
		if err != nil {
			return err
		}
		if err := change(m); err != nil {
			return callerError{err}
		}
		doc, err := encode(m)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `UPDATE message SET waiting = ?, due = ?, done = ?, doc = ? WHERE tenant = ? AND id = ?`,
			flag(m.State == notify.Waiting), nanos(m.Due), stamp(m.Done), doc, string(tenant), id)
		return err
	})
}

// TakeDigest implements notify.Outbox.
func (n Notifications) TakeDigest(ctx context.Context, now time.Time, limit int) ([]*notify.Item, error) {
	var out []*notify.Item
	err := n.s.update(ctx, "store.TakeDigest", func(ctx context.Context, q querier) error {
		var tenant string
		var rule int64
		err := q.QueryRowContext(ctx, `SELECT tenant, rule FROM digest_item WHERE due <= ? ORDER BY due LIMIT 1`, nanos(now)).Scan(&tenant, &rule)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		rows, err := q.QueryContext(ctx, `SELECT doc FROM digest_item WHERE tenant = ? AND rule = ? AND due <= ? ORDER BY due, at, id LIMIT ?`, tenant, rule, nanos(now), limit)
		if err != nil {
			return err
		}
		if out, err = documents[notify.Item](rows); err != nil {
			return err
		}
		for _, i := range out {
			if _, err := q.ExecContext(ctx, `DELETE FROM digest_item WHERE tenant = ? AND id = ?`, tenant, i.ID); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// DigestDue implements notify.Outbox.
func (n Notifications) DigestDue(ctx context.Context, now time.Time) (bool, error) {
	var k int
	err := n.s.view(ctx, "store.DigestDue", func(ctx context.Context, q querier) error {
		return q.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 FROM digest_item WHERE due <= ? LIMIT 1) AS head`, nanos(now)).Scan(&k)
	})
	return k > 0, err
}

// Messages implements notify.Outbox.
func (n Notifications) Messages(ctx context.Context, tenant ident.TenantID, channel string, limit int) ([]*notify.Message, error) {
	if channel == "" {
		return fetchAll[notify.Message](ctx, n.s, &table{name: "message"}, "WHERE tenant = ? ORDER BY created DESC, id LIMIT ?", string(tenant), limit)
	}
	return fetchAll[notify.Message](ctx, n.s, &table{name: "message"}, "WHERE tenant = ? AND channel = ? ORDER BY created DESC, id LIMIT ?", string(tenant), channel, limit)
}

// CountMessages implements notify.Ledger.
func (n Notifications) CountMessages(ctx context.Context, tenant ident.TenantID, channel string, since time.Time) (int, error) {
	var k int
	err := n.s.view(ctx, "store.CountMessages", func(ctx context.Context, q querier) error {
		return q.QueryRowContext(ctx, `SELECT count(*) FROM message WHERE tenant = ? AND channel = ? AND created >= ?`, string(tenant), channel, nanos(since)).Scan(&k)
	})
	return k, err
}

// Tidy implements notify.Ledger.
func (n Notifications) Tidy(ctx context.Context, before time.Time) error {
	return n.s.update(ctx, "store.Tidy", func(ctx context.Context, q querier) error {
		_, err := q.ExecContext(ctx, `DELETE FROM message WHERE done < ?`, nanos(before))
		return err
	})
}
