package store

import (
	"context"

	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/library"
)

var libraryTable = table{
	name: "library_file", what: "library file", schema: library.Fields, key: "name", order: "name",
	columns: columns{"fileName": "fold_name", "sha256": "sum", "creationTime": "created", "lastUpdatedTime": "updated", "createdBy": "made_by"},
	solid:   []string{"name"},
}

// Library is the library.Store of this database.
type Library struct{ s *Store }

var _ library.Store = Library{}

// Library returns the store of the live response library.
func (s *Store) Library() Library { return Library{s} }

// PutFile implements library.Store.
func (l Library) PutFile(ctx context.Context, f *library.File) error {
	return l.s.update(ctx, "store.PutFile", func(ctx context.Context, q querier) error {
		doc, err := encode(f)
		if err != nil {
			return err
		}
		if _, err := q.ExecContext(ctx, `DELETE FROM library_file WHERE tenant = ? AND name = ?`, string(f.Tenant), f.Name); err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `INSERT INTO library_file (tenant, name, fold_name, sum, size, made_by, created, updated, doc)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`, string(f.Tenant), f.Name, fold(f.Name), f.SHA256, f.Size, text(f.By), stamp(f.Created), stamp(f.Updated), doc)
		return err
	})
}

// File implements library.Store.
func (l Library) File(ctx context.Context, tenant ident.TenantID, name string) (*library.File, error) {
	return fetch[library.File](ctx, l.s, &libraryTable, "tenant = ? AND name = ?", string(tenant), name)
}

// Files implements library.Store.
func (l Library) Files(ctx context.Context, tenant ident.TenantID, query filter.Query) (filter.Page[*library.File], error) {
	return fetchPage[library.File](ctx, l.s, &libraryTable, tenant, query)
}

// DeleteFile implements library.Store.
func (l Library) DeleteFile(ctx context.Context, tenant ident.TenantID, name string) error {
	const op = "store.DeleteFile"
	return l.s.update(ctx, op, func(ctx context.Context, q querier) error {
		r, err := q.ExecContext(ctx, `DELETE FROM library_file WHERE tenant = ? AND name = ?`, string(tenant), name)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n > 0 {
			return err
		}
		return notFound(op, "the library file")
	})
}

// Held implements library.Store.
func (l Library) Held(ctx context.Context, tenant ident.TenantID) (bytes int64, err error) {
	err = l.s.view(ctx, "store.Held", func(ctx context.Context, q querier) error {
		return q.QueryRowContext(ctx, `SELECT coalesce(sum(size), 0) FROM (SELECT DISTINCT sum, size FROM library_file WHERE tenant = ?) AS held`,
			string(tenant)).Scan(&bytes)
	})
	return bytes, err
}

// Sums calls each with the hash of every content that a file of any tenant has.
func (l Library) Sums(ctx context.Context, each func(sum string)) error {
	return l.s.view(ctx, "store.Sums", func(ctx context.Context, q querier) error {
		rows, err := q.QueryContext(ctx, `SELECT DISTINCT sum FROM library_file`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var sum string
			if err := rows.Scan(&sum); err != nil {
				return err
			}
			each(sum)
		}
		return rows.Err()
	})
}
