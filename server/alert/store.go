package alert

import (
	"context"
	"time"

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
	// OpenLike returns up to limit alerts of a device that are not resolved, whose title is
	// the same but for case, and whose last event is at or after since (zero for any time),
	// last event first.
	OpenLike(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, title string, since time.Time, limit int) ([]*Alert, error)
	// Absorb remembers that the detection which would have made the alert id was merged
	// into another; doing it again changes nothing.
	Absorb(ctx context.Context, tenant ident.TenantID, id, into ident.AlertID) error
	// Known returns the alert that tells of the detection id: the id itself, or the alert
	// that absorbed it; "" when there is neither.
	Known(ctx context.Context, tenant ident.TenantID, id ident.AlertID) (ident.AlertID, error)
	// UpdateAlert reads, changes and writes one alert in a transaction; an error of
	// change leaves it as it was and is returned.
	UpdateAlert(ctx context.Context, tenant ident.TenantID, id ident.AlertID, change func(*Alert) error) (*Alert, error)
}

// SuppressionStore keeps suppression rules, as Store keeps alerts.
type SuppressionStore interface {
	// CreateSuppression keeps a new rule and gives it its ID.
	CreateSuppression(ctx context.Context, r *Suppression) error
	// Suppressions returns the tenant's rules by id.
	Suppressions(ctx context.Context, tenant ident.TenantID) ([]*Suppression, error)
	// UpdateSuppression reads, changes and writes one rule in a transaction; an error of
	// change leaves it as it was and is returned.
	UpdateSuppression(ctx context.Context, tenant ident.TenantID, id ident.SuppressionID, change func(*Suppression) error) (*Suppression, error)
	// DeleteSuppression forgets one rule; its id is never given again.
	DeleteSuppression(ctx context.Context, tenant ident.TenantID, id ident.SuppressionID) error
}
