package incident

import (
	"context"
	"time"

	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// Store keeps the incidents of all tenants. Every method is safe for concurrent use and
// sees only the tenant it is given; a thing of another tenant is errs.NotFound.
type Store interface {
	// CreateIncident keeps a new incident and gives it its ID.
	CreateIncident(ctx context.Context, i *Incident) error
	// Incident returns one incident.
	Incident(ctx context.Context, tenant ident.TenantID, id ident.IncidentID) (*Incident, error)
	// Incidents lists incidents, newest first unless q orders otherwise.
	Incidents(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*Incident], error)
	// UpdateIncident reads, changes and writes one incident in a transaction; an error of
	// change leaves it as it was and is returned.
	UpdateIncident(ctx context.Context, tenant ident.TenantID, id ident.IncidentID, change func(*Incident) error) (*Incident, error)
}

// LinkStore keeps what links alerts to incidents.
type LinkStore interface {
	// Link notes that the incident holds each of the keys between first and last, or for
	// longer when it held it before.
	Link(ctx context.Context, tenant ident.TenantID, id ident.IncidentID, keys []Key, first, last time.Time) error
	// Links returns up to limit links of the key whose time reaches into [from, to], last
	// first.
	Links(ctx context.Context, tenant ident.TenantID, key Key, from, to time.Time, limit int) ([]Link, error)
	// Unlink forgets every link of an incident.
	Unlink(ctx context.Context, tenant ident.TenantID, id ident.IncidentID) error
	// PruneLinks forgets the links of all tenants that ended before a time.
	PruneLinks(ctx context.Context, before time.Time) error
}

// Link is a key that an incident holds for some time.
type Link struct {
	Incident    ident.IncidentID
	First, Last time.Time
}
