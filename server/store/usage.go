package store

import (
	"context"
	"time"

	"github.com/vedette-edr/vedette/server/ident"
)

// Usage is the hunt.Usage of this database.
type Usage struct{ s *Store }

// Usage returns what was used of the quotas of hunts.
func (s *Store) Usage() Usage { return Usage{s} }

// Spend implements hunt.Usage.
func (v Usage) Spend(ctx context.Context, tenant ident.TenantID, minute int64, d time.Duration, forget int64) error {
	return v.s.update(ctx, "store.Spend", func(ctx context.Context, q querier) error {
		if _, err := q.ExecContext(ctx, "DELETE FROM hunt_usage WHERE tenant = ? AND minute < ?", string(tenant), forget); err != nil {
			return err
		}
		_, err := q.ExecContext(ctx, `INSERT INTO hunt_usage (tenant, minute, spent) VALUES (?, ?, ?)
			ON CONFLICT (tenant, minute) DO UPDATE SET spent = hunt_usage.spent + excluded.spent`, string(tenant), minute, int64(d))
		return err
	})
}

// Spent implements hunt.Usage.
func (v Usage) Spent(ctx context.Context, tenant ident.TenantID, from int64) (map[int64]time.Duration, error) {
	out := map[int64]time.Duration{}
	err := v.s.view(ctx, "store.Spent", func(ctx context.Context, q querier) error {
		return eachRow(ctx, q, "SELECT minute, spent FROM hunt_usage WHERE tenant = ? AND minute >= ?", []any{string(tenant), from}, func(scan func(...any) error) error {
			var minute, spent int64
			err := scan(&minute, &spent)
			out[minute] = time.Duration(spent)
			return err
		})
	})
	return out, err
}
