package action

import (
	"context"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// Undo asks for the inverse of an action, by which the device comes back to what it was. The
// action itself is reverted when the device has proven that. It can be asked for as soon as
// the device may have done something: also where it never said what. The caller needs the
// permission of the inverse, which Inverse tells. A kind without an inverse is
// errs.Unsupported; an action that did nothing, or is undone already, errs.Conflict.
func (s *Service) Undo(ctx context.Context, by *access.Principal, id ident.ActionID, comment, source string) (*Action, error) {
	const op = "action.Undo"
	a, inverse, err := s.Inverse(ctx, by.Tenant, id)
	if err != nil {
		return nil, err
	}
	switch {
	case a.Undoable():
	case a.State == Reverted:
		return nil, errs.New(op, errs.Conflict, errs.BadRequest, "the action is undone already")
	default:
		return nil, errs.New(op, errs.Conflict, errs.BadRequest, "the action is %s: there is nothing to undo", a.State)
	}
	out, err := s.Request(ctx, by, Request{Device: a.Device, Kind: inverse, File: a.File, Comment: comment, Source: source, External: a.External, Undoes: a.ID})
	return out, errs.Wrap(op, err)
}

// Inverse returns an action and the kind that undoes it.
func (s *Service) Inverse(ctx context.Context, tenant ident.TenantID, id ident.ActionID) (*Action, Kind, error) {
	const op = "action.Undo"
	a, err := s.cfg.Store.Action(ctx, tenant, id)
	if err != nil {
		return nil, "", errs.Wrap(op, err)
	}
	inverse, ok := a.Kind.Undo()
	if !ok {
		return nil, "", errs.New(op, errs.Unsupported, errs.DisallowedOperation, "an action of type %s cannot be undone", a.Kind)
	}
	return a, inverse, nil
}
