package group

import (
	"context"

	"github.com/vedette-edr/vedette/server/ident"
)

// Set is the groups of a tenant as one transaction changes them.
type Set struct {
	Groups []*Group // by rank; Default is among them when it was ever changed
	LastID int64    // the highest id ever given
}

// Store keeps the groups of all tenants and the group of every device. Every method is
// safe for concurrent use and sees only its tenant.
type Store interface {
	RuleStore
	MemberStore
}

// RuleStore keeps the groups.
type RuleStore interface {
	// Groups returns the groups of a tenant by rank and the generation of its rules: how
	// often they were changed.
	Groups(ctx context.Context, tenant ident.TenantID) ([]*Group, int64, error)
	// UpdateGroups reads, changes and writes the set in one transaction, which is a new
	// generation and makes the tenant unsorted. An error of change leaves everything as it
	// was and is returned. A name that two groups have is errs.Conflict.
	UpdateGroups(ctx context.Context, tenant ident.TenantID, change func(*Set) error) error
	// Unsorted returns the tenants whose devices were not sorted by the newest generation.
	Unsorted(ctx context.Context) ([]ident.TenantID, error)
	// Sorted notes that the devices of a tenant are sorted by a generation.
	Sorted(ctx context.Context, tenant ident.TenantID, generation int64) error
}

// MemberStore keeps which group each device is in.
type MemberStore interface {
	// Traits returns up to limit devices of a tenant after an id, by id, within the scope of
	// the context. Texts may be folded.
	Traits(ctx context.Context, tenant ident.TenantID, after ident.DeviceID, limit int) ([]Traits, error)
	// Move puts devices into the groups that assign says of what they are inside the
	// transaction, and returns those that changed their group. Devices that are gone are
	// passed over.
	Move(ctx context.Context, tenant ident.TenantID, ids []ident.DeviceID, assign func(Traits) int64) ([]ident.DeviceID, error)
	// Of returns the groups of those of the devices that are there.
	Of(ctx context.Context, tenant ident.TenantID, ids []ident.DeviceID) (map[ident.DeviceID]int64, error)
	// Within returns the devices of a tenant within the scope of the context, by id.
	Within(ctx context.Context, tenant ident.TenantID) ([]ident.DeviceID, error)
	// Sizes returns how many devices each group has.
	Sizes(ctx context.Context, tenant ident.TenantID) (map[int64]int64, error)
}
