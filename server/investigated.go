package server

import (
	"context"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/investigation"
)

// investigated lets alerts follow the state of their investigations.
type investigated struct{ alerts *alert.Service }

// Investigated implements investigation.Alerts.
func (v investigated) Investigated(ctx context.Context, tenant ident.TenantID, id ident.AlertID, number int64, state investigation.State) (func(), error) {
	changed, err := v.alerts.Investigated(ctx, tenant, id, number, string(state))
	return func() { v.alerts.Announce(access.System(tenant, "investigation").Actor, changed) }, err
}
