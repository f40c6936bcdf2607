package store

import (
	"context"

	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

var alertTable = table{
	name: "alert", what: "alert", schema: alert.Stored, key: "id", order: "created DESC NULLS LAST, id DESC",
	clocks: []string{"alertCreationTime", "lastUpdateTime", "lastEventTime", "firstEventTime"}, solid: []string{"created", "updated", "id"},
	scope: ofDevice("alert", "device"),
	columns: columns{
		"id": "fold_id", "incidentId": "incident", "investigationId": "investigation", "assignedTo": "assigned",
		"severity": "severity", "status": "status", "category": "category", "detectionSource": "source",
		"machineId": "device", "title": "title", "alertCreationTime": "created", "firstEventTime": "first_event",
		"lastEventTime": "last_event", "lastUpdateTime": "updated",
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
			r, err := q.ExecContext(ctx, `INSERT INTO alert (tenant, id, fold_id, device, incident, severity, status,
				category, source, title, assigned, created, first_event, last_event, updated, open_rank, doc, indexed)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1) ON CONFLICT DO NOTHING`, args...)
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
		text(string(a.ID)), text(string(a.Device)), number(a.Incident), text(string(a.Severity)), text(string(a.Status)),
		text(a.Category), text(a.DetectionSource), text(a.Title), text(a.AssignedTo),
		stamp(a.Created), stamp(a.FirstEvent), stamp(a.LastEvent), stamp(a.Updated), openRank(a), doc,
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
		_, err = q.ExecContext(ctx, `UPDATE alert SET fold_id = ?, device = ?, incident = ?, severity = ?, status = ?,
			category = ?, source = ?, title = ?, assigned = ?, created = ?, first_event = ?, last_event = ?,
			updated = ?, open_rank = ?, doc = ? WHERE tenant = ? AND id = ?`,
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
