package store

import (
	"context"

	"github.com/vedette-edr/vedette/server/alert"
)

// indexAlert writes what the evidence of an alert names. Evidence is only ever added to.
func indexAlert(ctx context.Context, q querier, a *alert.Alert) error {
	for _, e := range a.Entities() {
		if _, err := q.ExecContext(ctx, `INSERT INTO alert_entity (tenant, entity, alert) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`,
			string(a.Tenant), e, string(a.ID)); err != nil {
			return err
		}
	}
	return nil
}

// indexAlerts indexes the alerts that a release wrote which had no index of entities.
func (s *Store) indexAlerts(ctx context.Context) error {
	for {
		n := 0
		err := s.update(ctx, "store.indexAlerts", func(ctx context.Context, q querier) error {
			rows, err := q.QueryContext(ctx, `SELECT doc FROM alert WHERE indexed = 0 LIMIT 500`)
			if err != nil {
				return err
			}
			list, err := documents[alert.Alert](rows)
			if err != nil {
				return err
			}
			n = len(list)
			for _, a := range list {
				if err := indexAlert(ctx, q, a); err != nil {
					return err
				}
				if _, err := q.ExecContext(ctx, `UPDATE alert SET indexed = 1 WHERE tenant = ? AND id = ?`, string(a.Tenant), string(a.ID)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || n == 0 {
			return err
		}
	}
}
