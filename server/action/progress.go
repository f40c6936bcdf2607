package action

import (
	"bytes"
	"context"
	"encoding/json"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// Bounds of what a device says of its progress.
const (
	maxProgress = 1000     // bytes of the detail
	maxNumbers  = 16 << 10 // bytes of the numbers
)

// Progress takes how far d is with an action. It moves nothing: a device that works on is
// one that has the action and is not silent. What comes late says nothing any more and is
// passed over. An action of another device or incarnation is errs.NotFound.
func (p *Dispatcher) Progress(ctx context.Context, d *device.Device, id ident.ActionID, said Progress) error {
	const op = "action.Progress"
	switch {
	case said.Percent < -1 || said.Percent > 100:
		return errs.New(op, errs.Invalid, errs.InvalidInput, "the percentage is not between 0 and 100, nor -1")
	case len(said.Detail) > maxProgress || !utf8.ValidString(said.Detail):
		return errs.New(op, errs.Invalid, errs.InvalidInput, "the detail is not UTF-8 or longer than %d bytes", maxProgress)
	case len(said.Numbers) > maxNumbers || len(said.Numbers) > 0 && (!json.Valid(said.Numbers) || !bytes.HasPrefix(bytes.TrimSpace(said.Numbers), []byte("{"))):
		return errs.New(op, errs.Invalid, errs.InvalidInput, "the numbers are no JSON object or longer than %d bytes", maxNumbers)
	}
	if len(said.Numbers) == 0 {
		said.Numbers = nil
	}
	now := p.cfg.Clock().UTC()
	said.At = now
	_, err := p.step(ctx, d.Tenant, id, func(a *Action) (bool, error) {
		if a.Device != d.ID || a.Incarnation != d.Incarnation {
			return false, errs.New(op, errs.NotFound, errs.ResourceNotFound, "the device has no command %s", id)
		}
		if a.State != Delivered && a.State != Applied {
			return false, nil
		}
		a.handOut(now, d.Name, true) // who works on it has it
		a.Progress = &said
		return true, nil
	})
	return errs.Wrap(op, err)
}
