package store

import (
	"context"

	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

var actionTable = table{
	name: "action", what: "machine action", schema: action.CenterFields, key: "id", order: "created DESC NULLS LAST, id DESC",
	scope: ofDevice("action", "device"), device: "device",
	columns: columns{
		"id": "id", "status": "status", "machineId": "device", "type": "kind", "requestor": "requestor",
		"creationDateTimeUtc": "created", "lastUpdateDateTimeUtc": "updated",
		"requestSource": "source", "awaitsApproval": "waiting", "isOpen": "open",
	},
}

// Actions is the action.Store of this database.
type Actions struct{ s *Store }

var _ action.Store = Actions{}

// Actions returns the store of response actions.
func (s *Store) Actions() Actions { return Actions{s} }

// CreateAction implements action.Store.
func (a Actions) CreateAction(ctx context.Context, ac *action.Action) error {
	const op = "store.CreateAction"
	return a.s.update(ctx, op, func(ctx context.Context, q querier) error {
		var open int
		err := q.QueryRowContext(ctx, `SELECT count(*) FROM action WHERE tenant = ? AND device = ? AND kind = ? AND open = 1`,
			string(ac.Tenant), text(string(ac.Device)), text(string(ac.Kind))).Scan(&open)
		if err != nil {
			return err
		}
		if open > 0 && ac.State.Open() && !ac.Kind.ByServer() {
			return errs.New(op, errs.Conflict, errs.ActiveRequestAlreadyExists, "Action is already in progress")
		}
		doc, err := encode(ac)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `INSERT INTO action (tenant, id, device, kind, status, requestor, open, rank, created, updated, source, waiting, doc)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			append([]any{string(ac.Tenant), string(ac.ID)}, actionColumns(ac, doc)...)...)
		if isDuplicate(err) {
			return &errs.E{Op: op, Kind: errs.Conflict, Detail: "an action of this id exists", Err: err}
		}
		return err
	})
}

// actionColumns are the values from device on, in the order of the statements.
func actionColumns(a *action.Action, doc string) []any {
	rank := 1
	if a.Kind.Containment() {
		rank = 0
	}
	return []any{
		text(string(a.Device)), text(string(a.Kind)), text(string(a.State.Status())), text(a.Requestor.Name),
		flag(a.State.Open()), rank, stamp(a.Created), stamp(a.Updated), text(a.Source), flag(a.State == action.Requested), doc,
	}
}

// Action implements action.Store.
func (a Actions) Action(ctx context.Context, tenant ident.TenantID, id ident.ActionID) (*action.Action, error) {
	return fetch[action.Action](ctx, a.s, &actionTable, "tenant = ? AND id = ?", string(tenant), string(id))
}

// Actions implements action.Store.
func (a Actions) Actions(ctx context.Context, tenant ident.TenantID, query filter.Query) (filter.Page[*action.Action], error) {
	return fetchPage[action.Action](ctx, a.s, &actionTable, tenant, query)
}

// UpdateAction implements action.Store. change runs once and must not call the store.
func (a Actions) UpdateAction(ctx context.Context, tenant ident.TenantID, id ident.ActionID, change func(*action.Action) error) (*action.Action, error) {
	var out *action.Action
	err := a.s.update(ctx, "store.UpdateAction", func(ctx context.Context, q querier) error {
		ac, err := one[action.Action](ctx, q, &actionTable, "tenant = ? AND id = ?", string(tenant), string(id))
		if err != nil {
			return err
		}
		if err := change(ac); err != nil {
			return callerError{err}
		}
		ac.Tenant, ac.ID = tenant, id
		doc, err := encode(ac)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `UPDATE action SET device = ?, kind = ?, status = ?, requestor = ?, open = ?, rank = ?,
			created = ?, updated = ?, source = ?, waiting = ?, doc = ? WHERE tenant = ? AND id = ?`,
			append(actionColumns(ac, doc), string(tenant), string(id))...)
		if err != nil {
			return err
		}
		out = ac
		return scanned(ctx, q, ac)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// OpenActions implements action.Store.
func (a Actions) OpenActions(ctx context.Context, tenant ident.TenantID, device ident.DeviceID) ([]*action.Action, error) {
	var out []*action.Action
	err := a.s.view(ctx, "store.OpenActions", func(ctx context.Context, q querier) error {
		where, args := "tenant = ? AND open = 1", []any{string(tenant)}
		if device != "" {
			where, args = where+" AND device = ?", append(args, text(string(device)))
		}
		rows, err := q.QueryContext(ctx, "SELECT doc FROM action WHERE "+where+" ORDER BY rank, created, id", args...)
		if err != nil {
			return err
		}
		out, err = documents[action.Action](rows)
		return err
	})
	return out, err
}

var policyTable = numbered{"approval_policy", "approval policy"}

var _ action.PolicyStore = Actions{}

// CreatePolicy implements action.PolicyStore.
func (a Actions) CreatePolicy(ctx context.Context, p *action.Policy) error {
	return insertNumbered(ctx, a.s, policyTable, p.Tenant, p, func(p *action.Policy, n int64) { p.ID = ident.ApprovalID(n) })
}

// Policies implements action.PolicyStore.
func (a Actions) Policies(ctx context.Context, tenant ident.TenantID) ([]*action.Policy, error) {
	return fetchAll[action.Policy](ctx, a.s, &table{name: policyTable.name}, "WHERE tenant = ? ORDER BY id", string(tenant))
}

// UpdatePolicy implements action.PolicyStore.
func (a Actions) UpdatePolicy(ctx context.Context, tenant ident.TenantID, id ident.ApprovalID, change func(*action.Policy) error) (*action.Policy, error) {
	return updateNumbered(ctx, a.s, policyTable, tenant, int64(id), change)
}

// DeletePolicy implements action.PolicyStore.
func (a Actions) DeletePolicy(ctx context.Context, tenant ident.TenantID, id ident.ApprovalID) error {
	return deleteNumbered(ctx, a.s, policyTable, tenant, int64(id))
}
