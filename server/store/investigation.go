package store

import (
	"context"
	"strconv"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/investigation"
)

var investigationTable = table{
	name: "investigation", what: "investigation", schema: investigation.Fields, key: "id", order: "started DESC NULLS LAST, id DESC",
	scope:  ofDevice("investigation", "device"),
	clocks: []string{"startTime"}, solid: []string{"started", "id"},
	columns: columns{"id": "id_text", "startTime": "started", "endTime": "ended", "state": "state", "machineId": "device", "triggeringAlertId": "alert"},
}

// Investigations is the investigation.Store of this database.
type Investigations struct{ s *Store }

var _ investigation.Store = Investigations{}

// Investigations returns the store of automated investigations.
func (s *Store) Investigations() Investigations { return Investigations{s} }

// investigationColumns are the values from device on, in the order of the statements.
func investigationColumns(i *investigation.Investigation, doc string) []any {
	return []any{text(string(i.Device)), text(string(i.State)), text(string(i.Alert)), stamp(i.Start), stamp(i.End), flag(i.State.Open()), doc}
}

// CreateInvestigation implements investigation.Store.
func (v Investigations) CreateInvestigation(ctx context.Context, i *investigation.Investigation) error {
	const op = "store.CreateInvestigation"
	return v.s.update(ctx, op, func(ctx context.Context, q querier) error {
		var open int
		if err := q.QueryRowContext(ctx, `SELECT count(*) FROM investigation WHERE tenant = ? AND device = ? AND open = 1`,
			string(i.Tenant), text(string(i.Device))).Scan(&open); err != nil {
			return err
		}
		if open > 0 {
			return errs.New(op, errs.Conflict, errs.ActiveRequestAlreadyExists, "Action is already in progress")
		}
		// Investigations are never deleted, so that no number is given twice.
		if err := q.QueryRowContext(ctx, `SELECT coalesce(max(id), 0) + 1 FROM investigation WHERE tenant = ?`, string(i.Tenant)).Scan(&i.ID); err != nil {
			return err
		}
		doc, err := encode(i)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `INSERT INTO investigation (tenant, id, id_text, device, state, alert, started, ended, open, doc)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			append([]any{string(i.Tenant), i.ID, strconv.FormatInt(i.ID, 10)}, investigationColumns(i, doc)...)...)
		return err
	})
}

// Investigation implements investigation.Store.
func (v Investigations) Investigation(ctx context.Context, tenant ident.TenantID, id int64) (*investigation.Investigation, error) {
	return fetch[investigation.Investigation](ctx, v.s, &investigationTable, "tenant = ? AND id = ?", string(tenant), id)
}

// Investigations implements investigation.Store.
func (v Investigations) Investigations(ctx context.Context, tenant ident.TenantID, query filter.Query) (filter.Page[*investigation.Investigation], error) {
	return fetchPage[investigation.Investigation](ctx, v.s, &investigationTable, tenant, query)
}

// UpdateInvestigation implements investigation.Store. change runs once and must not call
// the store.
func (v Investigations) UpdateInvestigation(ctx context.Context, tenant ident.TenantID, id int64, change func(*investigation.Investigation) error) (*investigation.Investigation, error) {
	var out *investigation.Investigation
	err := v.s.update(ctx, "store.UpdateInvestigation", func(ctx context.Context, q querier) error {
		i, err := one[investigation.Investigation](ctx, q, &investigationTable, "tenant = ? AND id = ?", string(tenant), id)
		if err != nil {
			return err
		}
		if err := change(i); err != nil {
			return callerError{err}
		}
		i.Tenant, i.ID = tenant, id
		doc, err := encode(i)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `UPDATE investigation SET device = ?, state = ?, alert = ?, started = ?, ended = ?, open = ?, doc = ? WHERE tenant = ? AND id = ?`,
			append(investigationColumns(i, doc), string(tenant), id)...)
		out = i
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
