package store

import (
	"context"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/indicator"
)

var _ indicator.ExpiryStore = Threats{}

// historyTable is indicatorTable's form of what has expired.
var historyTable = func() table {
	t := indicatorTable
	t.name = "indicator_history"
	t.scope = strings.ReplaceAll(t.scope, "indicator.group_ids", "indicator_history.group_ids")
	return t
}()

// ExpireIndicators implements indicator.ExpiryStore.
func (v Threats) ExpireIndicators(ctx context.Context, now, forget time.Time, limit int) ([]indicator.Expiry, error) {
	tenants, err := v.expiring(ctx, now)
	if err != nil {
		return nil, err
	}
	var out []indicator.Expiry
	for _, t := range tenants {
		x, err := v.expire(ctx, t, now, limit)
		if err != nil {
			return out, err
		}
		if x.Revision != 0 {
			out = append(out, x)
		}
	}
	return out, v.forgetHistory(ctx, forget, limit)
}

// expiring returns the tenants that have indicators which have expired.
func (v Threats) expiring(ctx context.Context, now time.Time) ([]ident.TenantID, error) {
	return v.s.tenants(ctx, "store.expiring", `SELECT DISTINCT tenant FROM indicator WHERE expires <= ? ORDER BY tenant`, nanos(now))
}

func (v Threats) expire(ctx context.Context, tenant ident.TenantID, now time.Time, limit int) (indicator.Expiry, error) {
	out := indicator.Expiry{Tenant: tenant}
	err := v.s.update(ctx, "store.expire", func(ctx context.Context, q querier) error {
		ids, args := []string{}, []any{string(tenant)}
		rows, err := q.QueryContext(ctx, `SELECT id FROM indicator WHERE tenant = ? AND expires <= ? ORDER BY expires, id LIMIT ?`, string(tenant), nanos(now), limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id int64
			if err := rows.Scan(&id); err != nil {
				return err
			}
			ids, args = append(ids, "?"), append(args, id)
		}
		if err := rows.Err(); err != nil || len(ids) == 0 {
			return err
		}
		if out.Revision, err = bump(ctx, q, tenant); err != nil {
			return err
		}
		where := "tenant = ? AND id IN (" + strings.Join(ids, ", ") + ")"
		const all = "tenant, id, revision, " + indicatorNames
		if _, err := q.ExecContext(ctx, "INSERT INTO indicator_history ("+all+") SELECT "+all+" FROM indicator WHERE "+where, args...); err != nil {
			return err
		}
		out.More = len(ids) == limit
		return v.remove(ctx, q, &indicators, tenant, out.Revision, where, args)
	})
	return out, err
}

// forgetHistory deletes some of what expired before an instant, with its sightings.
func (v Threats) forgetHistory(ctx context.Context, before time.Time, limit int) error {
	const old = `SELECT tenant, id FROM indicator_history WHERE expires < ? ORDER BY expires LIMIT ?`
	return v.s.update(ctx, "store.forgetHistory", func(ctx context.Context, q querier) error {
		var some int
		if err := q.QueryRowContext(ctx, `SELECT count(*) FROM (`+old+`) AS past`, nanos(before), 1).Scan(&some); err != nil || some == 0 {
			return err
		}
		if _, err := q.ExecContext(ctx, `DELETE FROM indicator_tally WHERE noun = ? AND (tenant, id) IN (`+old+`)`, int64(indicator.AnIndicator), nanos(before), limit); err != nil {
			return err
		}
		_, err := q.ExecContext(ctx, `DELETE FROM indicator_history WHERE (tenant, id) IN (`+old+`)`, nanos(before), limit)
		return err
	})
}

// ExpiredIndicators implements indicator.ExpiryStore.
func (v Threats) ExpiredIndicators(ctx context.Context, tenant ident.TenantID, query filter.Query) (filter.Page[*indicator.Indicator], error) {
	return fetchPage[indicator.Indicator](ctx, v.s, &historyTable, tenant, query)
}
