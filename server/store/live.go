package store

import (
	"context"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/live"
)

var liveTable = table{
	name: "live_session", what: "live response session", schema: live.Fields, key: "id", order: "created DESC NULLS LAST, id DESC",
	scope: ofDevice("live_session", "device"), device: "device",
	clocks: []string{"creationDateTimeUtc"}, solid: []string{"created", "id"},
	columns: columns{"id": "id", "machineId": "device", "state": "state", "startedBy": "started_by", "creationDateTimeUtc": "created"},
}

// Live is the live.Store of this database.
type Live struct{ s *Store }

var _ live.Store = Live{}

// Live returns the store of live response sessions.
func (s *Store) Live() Live { return Live{s} }

// sessionColumns are the values from device on, in the order of the statements.
func sessionColumns(n *live.Session, doc string) []any {
	return []any{text(string(n.Device)), text(string(n.State)), text(n.By.Name), stamp(n.Created), flag(n.State != live.Ended), doc}
}

// CreateSession implements live.Store.
func (v Live) CreateSession(ctx context.Context, n *live.Session) error {
	const op = "store.CreateSession"
	return v.s.update(ctx, op, func(ctx context.Context, q querier) error {
		var open int
		if err := q.QueryRowContext(ctx, `SELECT count(*) FROM live_session WHERE tenant = ? AND device = ? AND open = 1`,
			string(n.Tenant), text(string(n.Device))).Scan(&open); err != nil {
			return err
		}
		if open > 0 {
			return errs.New(op, errs.Conflict, errs.ActiveRequestAlreadyExists, "A live response session with the device is open already")
		}
		doc, err := encode(n)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `INSERT INTO live_session (tenant, id, device, state, started_by, created, open, doc) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			append([]any{string(n.Tenant), string(n.ID)}, sessionColumns(n, doc)...)...)
		return err
	})
}

// Session implements live.Store.
func (v Live) Session(ctx context.Context, tenant ident.TenantID, id ident.ActionID) (*live.Session, error) {
	return fetch[live.Session](ctx, v.s, &liveTable, "tenant = ? AND id = ?", string(tenant), string(id))
}

// Sessions implements live.Store.
func (v Live) Sessions(ctx context.Context, tenant ident.TenantID, query filter.Query) (filter.Page[*live.Session], error) {
	return fetchPage[live.Session](ctx, v.s, &liveTable, tenant, query)
}

// UpdateSession implements live.Store. change runs once and must not call the store.
func (v Live) UpdateSession(ctx context.Context, tenant ident.TenantID, id ident.ActionID, change func(*live.Session) error) (*live.Session, error) {
	var out *live.Session
	err := v.s.update(ctx, "store.UpdateSession", func(ctx context.Context, q querier) error {
		n, err := one[live.Session](ctx, q, &liveTable, "tenant = ? AND id = ?", string(tenant), string(id))
		if err != nil {
			return err
		}
		if err := change(n); err != nil {
			return callerError{err}
		}
		n.Tenant, n.ID = tenant, id
		doc, err := encode(n)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `UPDATE live_session SET device = ?, state = ?, started_by = ?, created = ?, open = ?, doc = ? WHERE tenant = ? AND id = ?`,
			append(sessionColumns(n, doc), string(tenant), string(id))...)
		out = n
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// OpenSessions implements live.Store.
func (v Live) OpenSessions(ctx context.Context) ([]*live.Session, error) {
	var out []*live.Session
	err := v.s.view(ctx, "store.OpenSessions", func(ctx context.Context, q querier) (err error) {
		rows, err := q.QueryContext(ctx, `SELECT doc FROM live_session WHERE open = 1 ORDER BY created, id`)
		if err != nil {
			return err
		}
		out, err = documents[live.Session](rows)
		return err
	})
	return out, err
}

// PutCommand implements live.Store.
func (v Live) PutCommand(ctx context.Context, tenant ident.TenantID, id ident.ActionID, c *live.Command) error {
	return v.s.update(ctx, "store.PutCommand", func(ctx context.Context, q querier) error {
		doc, err := encode(c)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `INSERT INTO live_command (tenant, session, run, doc) VALUES (?, ?, ?, ?)
			ON CONFLICT (tenant, session, run) DO UPDATE SET doc = excluded.doc`, string(tenant), string(id), c.Run, doc)
		return err
	})
}

// Commands implements live.Store.
func (v Live) Commands(ctx context.Context, tenant ident.TenantID, id ident.ActionID) ([]*live.Command, error) {
	var out []*live.Command
	err := v.s.view(ctx, "store.Commands", func(ctx context.Context, q querier) (err error) {
		rows, err := q.QueryContext(ctx, `SELECT doc FROM live_command WHERE tenant = ? AND session = ? ORDER BY run`, string(tenant), string(id))
		if err != nil {
			return err
		}
		out, err = documents[live.Command](rows)
		return err
	})
	return out, err
}
