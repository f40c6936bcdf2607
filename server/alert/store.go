package alert

import (
	"context"

	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// Store keeps the alerts of all tenants. Every method is safe for concurrent use and sees
// only the tenant it is given and the devices in access.ScopeOf the context; a thing of
// another tenant or of a device out of scope is errs.NotFound.
type Store interface {
	// CreateAlerts keeps those of the alerts whose id is not there yet and returns them,
	// in one transaction. An empty result means that all were known.
	CreateAlerts(ctx context.Context, alerts []*Alert) ([]*Alert, error)
	// Alert returns one alert with its evidence and comments.
	Alert(ctx context.Context, tenant ident.TenantID, id ident.AlertID) (*Alert, error)
	// Alerts lists alerts, newest first unless q orders otherwise. Evidence is filled.
	Alerts(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*Alert], error)
	// UpdateAlert reads, changes and writes one alert in a transaction; an error of
	// change leaves it as it was and is returned.
	UpdateAlert(ctx context.Context, tenant ident.TenantID, id ident.AlertID, change func(*Alert) error) (*Alert, error)
}
