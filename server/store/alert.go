package store

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"time"

	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

var alertTable = table{
	name: "alert", what: "alert", schema: alert.Stored, key: "id", order: "created DESC NULLS LAST, id DESC",
	clocks: []string{"alertCreationTime", "lastUpdateTime", "lastEventTime", "firstEventTime"}, solid: []string{"created", "updated", "id"},
	scope: ofDevice("alert", "device"), device: "device",
	columns: columns{
		"id": "fold_id", "incidentId": "incident", "investigationId": "investigation", "assignedTo": "assigned",
		"severity": "severity", "status": "status", "category": "category", "detectionSource": "source",
		"machineId": "device", "title": "title", "alertCreationTime": "created", "firstEventTime": "first_event",
		"lastEventTime": "last_event", "lastUpdateTime": "updated", "classification": "classification",
		"determination": "determination", "suppressed": "suppressed",
	},
	lists: map[string]rows{"$entities": {table: "alert_entity", owner: "alert", columns: columns{filter.Element.Name: "entity"}}},
}

// Alerts is the alert.Store of this database.
type Alerts struct{ s *Store }

var _ alert.Store = Alerts{}

// Alerts returns the store of alerts.
func (s *Store) Alerts() Alerts { return Alerts{s} }

// CreateAlerts implements alert.Store.
func (a Alerts) CreateAlerts(ctx context.Context, alerts []*alert.Alert) ([]*alert.Alert, error) {
	var created []*alert.Alert
	err := a.s.update(ctx, "store.CreateAlerts", func(ctx context.Context, q querier) error {
		for _, al := range alerts {
			doc, err := encode(al)
			if err != nil {
				return err
			}
			args := append([]any{string(al.Tenant), string(al.ID)}, alertColumns(al, doc)...)
			r, err := q.ExecContext(ctx, `INSERT INTO alert (tenant, id, fold_id, device, incident, investigation, severity,
				status, category, source, title, assigned, created, first_event, last_event, updated,
				classification, determination, suppressed, open_rank, doc, indexed)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1) ON CONFLICT DO NOTHING`, args...)
			if err != nil {
				return err
			}
			if n, err := r.RowsAffected(); err != nil {
				return err
			} else if n == 0 {
				continue
			}
			created = append(created, al)
			if err := indexAlert(ctx, q, al); err != nil {
				return err
			}
			if err := assess(ctx, q, al.Tenant, al.Device); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return created, nil
}

// alertColumns are the values from fold_id on, in the order of the statements.
func alertColumns(a *alert.Alert, doc string) []any {
	return []any{
		text(string(a.ID)), text(string(a.Device)), number(int64(a.Incident)), number(a.Investigation), text(string(a.Severity)), text(string(a.Status)),
		text(a.Category), text(a.DetectionSource), text(a.Title), text(a.AssignedTo),
		stamp(a.Created), stamp(a.FirstEvent), stamp(a.LastEvent), stamp(a.Updated), text(a.Classification), text(a.Determination),
		flag(a.Suppression != 0), openRank(a), doc,
	}
}

// Alert implements alert.Store.
func (a Alerts) Alert(ctx context.Context, tenant ident.TenantID, id ident.AlertID) (*alert.Alert, error) {
	return fetch[alert.Alert](ctx, a.s, &alertTable, "tenant = ? AND id = ?", string(tenant), string(id))
}

// Alerts implements alert.Store.
func (a Alerts) Alerts(ctx context.Context, tenant ident.TenantID, query filter.Query) (filter.Page[*alert.Alert], error) {
	return fetchPage[alert.Alert](ctx, a.s, &alertTable, tenant, query)
}

// UpdateAlert implements alert.Store. change runs once and must not call the store.
func (a Alerts) UpdateAlert(ctx context.Context, tenant ident.TenantID, id ident.AlertID, change func(*alert.Alert) error) (*alert.Alert, error) {
	var out *alert.Alert
	err := a.s.update(ctx, "store.UpdateAlert", func(ctx context.Context, q querier) error {
		al, err := one[alert.Alert](ctx, q, &alertTable, "tenant = ? AND id = ?", string(tenant), string(id))
		if err != nil {
			return err
		}
		if err := change(al); err != nil {
			return callerError{err}
		}
		al.Tenant, al.ID = tenant, id
		doc, err := encode(al)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `UPDATE alert SET fold_id = ?, device = ?, incident = ?, investigation = ?, severity = ?, status = ?,
			category = ?, source = ?, title = ?, assigned = ?, created = ?, first_event = ?, last_event = ?,
			updated = ?, classification = ?, determination = ?, suppressed = ?, open_rank = ?, doc = ? WHERE tenant = ? AND id = ?`,
			append(alertColumns(al, doc), string(tenant), string(id))...)
		if err != nil {
			return err
		}
		out = al
		if err := indexAlert(ctx, q, al); err != nil {
			return err
		}
		return assess(ctx, q, tenant, al.Device)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// OpenLike implements alert.Store.
func (a Alerts) OpenLike(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, title string, since time.Time, limit int) ([]*alert.Alert, error) {
	from := int64(math.MinInt64)
	if !since.IsZero() {
		from = nanos(since)
	}
	return fetchAll[alert.Alert](ctx, a.s, &alertTable, `WHERE tenant = ? AND device = ? AND title = ? AND status <> 'resolved' AND last_event >= ?
		ORDER BY last_event DESC, created DESC, id DESC LIMIT ?`, string(tenant), text(string(device)), text(title), from, limit)
}

// Absorb implements alert.Store.
func (a Alerts) Absorb(ctx context.Context, tenant ident.TenantID, id, into ident.AlertID) error {
	return a.s.update(ctx, "store.Absorb", func(ctx context.Context, q querier) error {
		_, err := q.ExecContext(ctx, `INSERT INTO alert_absorbed (tenant, id, alert, at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			string(tenant), string(id), string(into), nanos(a.s.now()))
		return err
	})
}

// Known implements alert.Store.
func (a Alerts) Known(ctx context.Context, tenant ident.TenantID, id ident.AlertID) (ident.AlertID, error) {
	var known string
	err := a.s.view(ctx, "store.Known", func(ctx context.Context, q querier) error {
		err := q.QueryRowContext(ctx, `SELECT id FROM alert WHERE tenant = ? AND id = ? UNION ALL
			SELECT alert FROM alert_absorbed WHERE tenant = ? AND id = ? LIMIT 1`,
			string(tenant), string(id), string(tenant), string(id)).Scan(&known)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	return ident.AlertID(known), err
}

// PruneAbsorbed forgets detections that were merged before a time: devices send nothing
// again that old.
func (a Alerts) PruneAbsorbed(ctx context.Context, before time.Time) error {
	return a.s.update(ctx, "store.PruneAbsorbed", func(ctx context.Context, q querier) error {
		_, err := q.ExecContext(ctx, `DELETE FROM alert_absorbed WHERE at < ?`, nanos(before))
		return err
	})
}
