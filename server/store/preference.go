package store

import (
	"context"
	"encoding/json"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/preference"
)

// Preferences is the preference.Store of this database.
type Preferences struct{ s *Store }

var _ preference.Store = Preferences{}

// Preferences returns the store of what people chose in the portal.
func (s *Store) Preferences() Preferences { return Preferences{s} }

// Preferences implements preference.Store.
func (v Preferences) Preferences(ctx context.Context, tenant ident.TenantID, person ident.UserID) (map[string]json.RawMessage, error) {
	out := map[string]json.RawMessage{}
	err := v.s.view(ctx, "store.Preferences", func(ctx context.Context, q querier) error {
		rows, err := q.QueryContext(ctx, `SELECT name, doc FROM preference WHERE tenant = ? AND person = ?`, string(tenant), string(person))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var name, doc string
			if err := rows.Scan(&name, &doc); err != nil {
				return err
			}
			out[name] = json.RawMessage(doc)
		}
		return rows.Err()
	})
	return out, err
}

// PutPreference implements preference.Store.
func (v Preferences) PutPreference(ctx context.Context, tenant ident.TenantID, person ident.UserID, name string, value json.RawMessage, most int) error {
	const op = "store.PutPreference"
	return v.s.update(ctx, op, func(ctx context.Context, q querier) error {
		var others int
		err := q.QueryRowContext(ctx, `SELECT count(*) FROM preference WHERE tenant = ? AND person = ? AND name <> ?`, string(tenant), string(person), name).Scan(&others)
		if err != nil {
			return err
		}
		if others >= most {
			return errs.New(op, errs.Exhausted, errs.QuotaExceeded, "no more than %d preferences are kept", most)
		}
		_, err = q.ExecContext(ctx, `INSERT INTO preference (tenant, person, name, doc) VALUES (?, ?, ?, ?)
			ON CONFLICT (tenant, person, name) DO UPDATE SET doc = excluded.doc`, string(tenant), string(person), name, string(value))
		return err
	})
}

// DeletePreference implements preference.Store.
func (v Preferences) DeletePreference(ctx context.Context, tenant ident.TenantID, person ident.UserID, name string) error {
	return v.s.update(ctx, "store.DeletePreference", func(ctx context.Context, q querier) error {
		_, err := q.ExecContext(ctx, `DELETE FROM preference WHERE tenant = ? AND person = ? AND name = ?`, string(tenant), string(person), name)
		return err
	})
}
