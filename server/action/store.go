package action

import (
	"context"

	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// Store keeps the actions of all tenants. Every method is safe for concurrent use; a
// thing of another tenant, or of a device outside of access.ScopeOf the context, is
// errs.NotFound. OpenActions is for the server itself and knows no scope.
type Store interface {
	// CreateAction keeps a new action. While an open action of the same kind exists on
	// the device it is errs.Conflict with code ActiveRequestAlreadyExists.
	CreateAction(ctx context.Context, a *Action) error
	// Action returns one action.
	Action(ctx context.Context, tenant ident.TenantID, id ident.ActionID) (*Action, error)
	// Actions lists actions, newest first unless q orders otherwise.
	Actions(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*Action], error)
	// UpdateAction reads, changes and writes one action in a transaction; an error of
	// change leaves it as it was and is returned.
	UpdateAction(ctx context.Context, tenant ident.TenantID, id ident.ActionID, change func(*Action) error) (*Action, error)
	// OpenActions returns the open actions of a device, containment first, then oldest
	// first; those of every device when device is "".
	OpenActions(ctx context.Context, tenant ident.TenantID, device ident.DeviceID) ([]*Action, error)
}
