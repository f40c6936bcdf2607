package store

import (
	"context"
	"time"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/indicator"
)

var _ indicator.LookbackStore = Threats{}

func askLookback(ctx context.Context, q querier, tenant ident.TenantID, id ident.IndicatorID, at time.Time) error {
	_, err := q.ExecContext(ctx, `INSERT INTO indicator_lookback (tenant, id, asked) VALUES (?, ?, ?)
		ON CONFLICT (tenant, id) DO UPDATE SET asked = excluded.asked`, string(tenant), int64(id), nanos(at))
	return err
}

// Lookbacks implements indicator.LookbackStore.
func (v Threats) Lookbacks(ctx context.Context, limit int) ([]indicator.Lookback, error) {
	var out []indicator.Lookback
	err := v.s.view(ctx, "store.Lookbacks", func(ctx context.Context, q querier) error {
		rows, err := q.QueryContext(ctx, `SELECT tenant, id, asked FROM indicator_lookback ORDER BY asked, tenant, id LIMIT ?`, limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var l indicator.Lookback
			var at int64
			if err := rows.Scan(&l.Tenant, &l.ID, &at); err != nil {
				return err
			}
			l.Asked = instant(&at)
			out = append(out, l)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		for n := range out {
			i, err := one[indicator.Indicator](unscoped(ctx), q, &indicatorTable, "tenant = ? AND id = ?", string(out[n].Tenant), int64(out[n].ID))
			if err != nil && !errs.Is(err, errs.NotFound) {
				return err
			}
			out[n].Indicator = i
		}
		return nil
	})
	return out, err
}

// LookedBack implements indicator.LookbackStore.
func (v Threats) LookedBack(ctx context.Context, l indicator.Lookback) error {
	return v.s.update(ctx, "store.LookedBack", func(ctx context.Context, q querier) error {
		_, err := q.ExecContext(ctx, `DELETE FROM indicator_lookback WHERE tenant = ? AND id = ? AND asked = ?`, string(l.Tenant), int64(l.ID), nanos(l.Asked))
		return err
	})
}
