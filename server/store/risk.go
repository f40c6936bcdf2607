package store

import (
	"context"

	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/ident"
)

// ranks orders the severities; an alert without one of them says nothing of the risk.
var ranks = map[alert.Severity]int64{alert.Informational: 1, alert.Low: 2, alert.Medium: 3, alert.High: 4}

// openRank is the value of the column open_rank: null for an alert that is resolved.
func openRank(a *alert.Alert) any {
	if a.Status == alert.Resolved {
		return nil
	}
	return number(ranks[a.Severity])
}

// assess keeps the risk of a device: the greatest rank of its unresolved alerts, which an
// index ends with.
func assess(ctx context.Context, q querier, tenant ident.TenantID, id ident.DeviceID) error {
	if id == "" {
		return nil
	}
	var rank *int64
	err := q.QueryRowContext(ctx, "SELECT max(open_rank) FROM alert WHERE tenant = ? AND device = ? AND open_rank IS NOT NULL",
		string(tenant), text(string(id))).Scan(&rank)
	if err != nil {
		return err
	}
	risk := "none"
	if rank != nil {
		for s, r := range ranks {
			if r == *rank {
				risk = text(string(s)).(string)
			}
		}
	}
	_, err = q.ExecContext(ctx, "UPDATE device SET risk = ? WHERE tenant = ? AND id = ? AND risk <> ?", risk, string(tenant), string(id), risk)
	return err
}
