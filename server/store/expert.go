package store

import (
	"context"
	"time"

	"github.com/vedette-edr/vedette/server/expert"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

var (
	receiverTable = numbered{"expert_receiver", "expert receiver"}
	caseTable     = table{
		name: "expert_case", what: "expert case", schema: expert.Fields, key: "id", order: "created DESC NULLS LAST, id DESC",
		// A case tells of all its devices.
		scope: `NOT EXISTS (SELECT 1 FROM expert_device WHERE expert_device.tenant = expert_case.tenant AND expert_device.case_id = expert_case.id
			AND NOT ` + ofDevice("expert_device", "device") + `)`,
		columns: columns{"id": "id", "alertId": "alert", "incidentId": "incident", "machineId": "device", "isOpen": "open", "creationTime": "created"},
		clocks:  []string{"creationTime"}, solid: []string{"created", "id"},
	}
)

// Experts is the expert.ReceiverStore and expert.CaseStore of this database.
type Experts struct{ s *Store }

var (
	_ expert.ReceiverStore = Experts{}
	_ expert.CaseStore     = Experts{}
)

// Experts returns the store of receivers of cases and of cases.
func (s *Store) Experts() Experts { return Experts{s} }

// CreateReceiver implements expert.ReceiverStore.
func (e Experts) CreateReceiver(ctx context.Context, r *expert.Receiver) error {
	return insertNumbered(ctx, e.s, receiverTable, r.Tenant, r, func(r *expert.Receiver, id int64) { r.ID = ident.ReceiverID(id) })
}

// Receivers implements expert.ReceiverStore.
func (e Experts) Receivers(ctx context.Context, tenant ident.TenantID) ([]*expert.Receiver, error) {
	return fetchAll[expert.Receiver](ctx, e.s, &table{name: receiverTable.name}, "WHERE tenant = ? ORDER BY id", string(tenant))
}

// UpdateReceiver implements expert.ReceiverStore.
func (e Experts) UpdateReceiver(ctx context.Context, tenant ident.TenantID, id ident.ReceiverID, change func(*expert.Receiver) error) (*expert.Receiver, error) {
	return updateNumbered(ctx, e.s, receiverTable, tenant, int64(id), change)
}

// DeleteReceiver implements expert.ReceiverStore.
func (e Experts) DeleteReceiver(ctx context.Context, tenant ident.TenantID, id ident.ReceiverID) error {
	return deleteNumbered(ctx, e.s, receiverTable, tenant, int64(id))
}

// CreateCase implements expert.CaseStore.
func (e Experts) CreateCase(ctx context.Context, c *expert.Case) error {
	return e.s.update(ctx, "store.CreateCase", func(ctx context.Context, q querier) error {
		doc, err := encode(c)
		if err != nil {
			return err
		}
		var of any
		if c.About.Incident != 0 {
			of = int64(c.About.Incident)
		}
		device := ""
		if len(c.Subjects) > 0 {
			device = string(c.Subjects[0].Device)
		}
		if _, err := q.ExecContext(ctx, `INSERT INTO expert_case (tenant, id, alert, incident, device, open, due, created, doc) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			string(c.Tenant), string(c.ID), text(string(c.About.Alert)), of, text(device), flag(c.Open), nanos(c.Due), stamp(c.Created), doc); err != nil {
			return err
		}
		for _, s := range c.Subjects {
			if _, err := q.ExecContext(ctx, `INSERT INTO expert_device (tenant, case_id, device) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`,
				string(c.Tenant), string(c.ID), string(s.Device)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Case implements expert.CaseStore.
func (e Experts) Case(ctx context.Context, tenant ident.TenantID, id ident.ActionID) (*expert.Case, error) {
	return fetch[expert.Case](ctx, e.s, &caseTable, "tenant = ? AND id = ?", string(tenant), string(id))
}

// Cases implements expert.CaseStore.
func (e Experts) Cases(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*expert.Case], error) {
	return fetchPage[expert.Case](ctx, e.s, &caseTable, tenant, q)
}

// UpdateCase implements expert.CaseStore. change runs once and must not call the store.
func (e Experts) UpdateCase(ctx context.Context, tenant ident.TenantID, id ident.ActionID, change func(*expert.Case) error) (*expert.Case, error) {
	var out *expert.Case
	err := e.s.update(ctx, "store.UpdateCase", func(ctx context.Context, q querier) error {
		c, err := one[expert.Case](ctx, q, &caseTable, "tenant = ? AND id = ?", string(tenant), string(id))
		if err != nil {
			return err
		}
		if err := change(c); err != nil {
			return callerError{err}
		}
		c.Tenant, c.ID = tenant, id
		doc, err := encode(c)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `UPDATE expert_case SET open = ?, due = ?, doc = ? WHERE tenant = ? AND id = ?`, flag(c.Open), nanos(c.Due), doc, string(tenant), string(id))
		out = c
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// DueCases implements expert.CaseStore.
func (e Experts) DueCases(ctx context.Context, now time.Time, limit int) ([]*expert.Case, error) {
	return fetchAll[expert.Case](ctx, e.s, &table{name: "expert_case"}, "WHERE open = 1 AND due <= ? ORDER BY due, id LIMIT ?", nanos(now), limit)
}
