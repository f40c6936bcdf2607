package server

import (
	"context"

	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/notify"
)

// approvals tells people of actions that wait for somebody to agree.
type approvals struct{ notices *notify.Service }

// Waits implements action.Waiting.
func (a approvals) Waits(ctx context.Context, act *action.Action) error {
	return a.notices.Tell(ctx, act.Tenant, notify.News{
		Subject: notify.OfApprovals, Action: act.ID, Title: string(act.Kind) + " of " + act.DeviceName + " waits for approval",
		// Whatever severity a rule asks for: nothing happens until somebody agrees.
		Severity: alert.High, Category: string(act.Kind), Source: act.Source, Device: act.Device, DeviceName: act.DeviceName, At: act.Created,
		Text: act.Requestor.Name + ": " + act.Comment,
	})
}
