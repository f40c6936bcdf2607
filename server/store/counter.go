package store

import (
	"context"

	"github.com/vedette-edr/vedette/server/ident"
)

// nextID returns the next number of a counter of the tenant, 1 at first. A number that was
// given in a transaction that is undone is given again.
func nextID(ctx context.Context, q querier, tenant ident.TenantID, name string) (int64, error) {
	var n int64
	err := q.QueryRowContext(ctx, `INSERT INTO counter (tenant, name, value) VALUES (?, ?, 1)
		ON CONFLICT (tenant, name) DO UPDATE SET value = counter.value + 1 RETURNING value`, string(tenant), name).Scan(&n)
	return n, err
}
