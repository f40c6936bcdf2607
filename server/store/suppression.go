package store

import (
	"context"

	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/ident"
)

// numbered is a table of documents that are told apart by a number in their tenant, with
// no column to filter by.
type numbered struct{ name, what string }

var (
	suppressionTable  = numbered{"suppression", "suppression rule"}
	notificationTable = numbered{"notification_rule", "notification rule"}
)

// insertNumbered keeps a document under a new number, which set gives to v.
func insertNumbered[T any](ctx context.Context, s *Store, t numbered, tenant ident.TenantID, v *T, set func(*T, int64)) error {
	return s.update(ctx, "store."+t.name, func(ctx context.Context, q querier) error {
		n, err := nextID(ctx, q, tenant, t.name)
		if err != nil {
			return err
		}
		set(v, n)
		doc, err := encode(v)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, "INSERT INTO "+t.name+" (tenant, id, doc) VALUES (?, ?, ?)", string(tenant), n, doc)
		return err
	})
}

// updateNumbered reads, changes and writes one document.
func updateNumbered[T any](ctx context.Context, s *Store, t numbered, tenant ident.TenantID, id int64, change func(*T) error) (*T, error) {
	var out *T
	err := s.update(ctx, "store."+t.name, func(ctx context.Context, q querier) error {
		v, err := one[T](ctx, q, &table{name: t.name, what: t.what}, "tenant = ? AND id = ?", string(tenant), id)
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
		_, err = q.ExecContext(ctx, "UPDATE "+t.name+" SET doc = ? WHERE tenant = ? AND id = ?", doc, string(tenant), id)
		out = v
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func deleteNumbered(ctx context.Context, s *Store, t numbered, tenant ident.TenantID, id int64) error {
	return s.update(ctx, "store."+t.name, func(ctx context.Context, q querier) error {
		r, err := q.ExecContext(ctx, "DELETE FROM "+t.name+" WHERE tenant = ? AND id = ?", string(tenant), id)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n > 0 {
			return err
		}
		return notFound("store."+t.name, "the "+t.what)
	})
}

var _ alert.SuppressionStore = Alerts{}

// CreateSuppression implements alert.SuppressionStore.
func (a Alerts) CreateSuppression(ctx context.Context, r *alert.Suppression) error {
	return insertNumbered(ctx, a.s, suppressionTable, r.Tenant, r, func(r *alert.Suppression, n int64) { r.ID = ident.SuppressionID(n) })
}

// Suppressions implements alert.SuppressionStore.
func (a Alerts) Suppressions(ctx context.Context, tenant ident.TenantID) ([]*alert.Suppression, error) {
	return fetchAll[alert.Suppression](ctx, a.s, &table{name: suppressionTable.name}, "WHERE tenant = ? ORDER BY id", string(tenant))
}

// UpdateSuppression implements alert.SuppressionStore.
func (a Alerts) UpdateSuppression(ctx context.Context, tenant ident.TenantID, id ident.SuppressionID, change func(*alert.Suppression) error) (*alert.Suppression, error) {
	return updateNumbered(ctx, a.s, suppressionTable, tenant, int64(id), change)
}

// DeleteSuppression implements alert.SuppressionStore.
func (a Alerts) DeleteSuppression(ctx context.Context, tenant ident.TenantID, id ident.SuppressionID) error {
	return deleteNumbered(ctx, a.s, suppressionTable, tenant, int64(id))
}
