package store

import (
	"context"

	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/query"
)

var queryTable = table{name: "saved_query", what: "query"}

// Queries is the query.Store of this database.
type Queries struct{ s *Store }

var _ query.Store = Queries{}

// Queries returns the store of saved hunting queries.
func (s *Store) Queries() Queries { return Queries{s} }

// PutQuery implements query.Store.
func (v Queries) PutQuery(ctx context.Context, x *query.Query) error {
	return v.s.update(ctx, "store.PutQuery", func(ctx context.Context, q querier) error {
		doc, err := encode(x)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `INSERT INTO saved_query (tenant, id, owner, shared, folder, name, doc) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (tenant, id) DO UPDATE SET owner = excluded.owner, shared = excluded.shared, folder = excluded.folder, name = excluded.name, doc = excluded.doc`,
			string(x.Tenant), x.ID, x.Owner.ID, flag(x.Shared), x.Folder, x.Name, doc)
		return err
	})
}

// Query implements query.Store.
func (v Queries) Query(ctx context.Context, tenant ident.TenantID, id string) (*query.Query, error) {
	return fetch[query.Query](ctx, v.s, &queryTable, "tenant = ? AND id = ?", string(tenant), id)
}

// Queries implements query.Store.
func (v Queries) Queries(ctx context.Context, tenant ident.TenantID, owner string) ([]*query.Query, error) {
	return fetchAll[query.Query](ctx, v.s, &queryTable, "WHERE tenant = ? AND (shared = 1 OR owner = ?) ORDER BY folder, name, id", string(tenant), owner)
}

// DeleteQuery implements query.Store.
func (v Queries) DeleteQuery(ctx context.Context, tenant ident.TenantID, id string) error {
	const op = "store.DeleteQuery"
	return v.s.update(ctx, op, func(ctx context.Context, q querier) error {
		r, err := q.ExecContext(ctx, `DELETE FROM saved_query WHERE tenant = ? AND id = ?`, string(tenant), id)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n > 0 {
			return err
		}
		return notFound(op, "the query")
	})
}
