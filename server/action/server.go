package action

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// This file is the machine for the kinds that the server carries out itself. Their states
// mean the same: Delivered, a part of the server has begun; Applied, it did its work and
// waits for the proof; Verified, the proof is there.

// RequestTogether asks for several actions: all of them are kept, in one transaction with
// what also does, or none. also gets the actions in the order of rs.
func (s *Service) RequestTogether(ctx context.Context, by *access.Principal, rs []Request, also func(context.Context, []*Action) error) ([]*Action, error) {
	const op = "action.RequestTogether"
	type prepared struct {
		action *Action
		keep   func(context.Context) error
	}
	var all []prepared
	var out []*Action
	for _, r := range rs {
		a, d, err := s.asked(ctx, by, r)
		if err != nil {
			return nil, err
		}
		all = append(all, prepared{a, func(ctx context.Context) error { return s.keep(ctx, by, d, a) }})
		out = append(out, a)
	}
	err := s.cfg.Atomic(ctx, func(ctx context.Context) error {
		for _, p := range all {
			if err := p.keep(ctx); err != nil {
				return err
			}
		}
		return also(ctx, out)
	})
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	for _, a := range out {
		s.announce(a)
	}
	return out, nil
}

// Carry moves an action of a kind that the server carries out: to Delivered, when it begins;
// to Applied; and to its end as Verified, Failed or Cancelled. part names who carries it out.
// A step that does not follow from where the action stands is errs.Conflict, so that a part
// which was overtaken, by a cancellation say, finds out.
func (p *Dispatcher) Carry(ctx context.Context, tenant ident.TenantID, id ident.ActionID, to State, part, detail string, evidence json.RawMessage) (*Action, error) {
	const op = "action.Carry"
	now := p.cfg.Clock().UTC()
	var out *Action
	err := p.cfg.Atomic(ctx, func(ctx context.Context) (err error) {
		out, err = p.cfg.Store.UpdateAction(ctx, tenant, id, func(a *Action) error {
			if !a.Kind.ByServer() {
				return errs.New(op, errs.Conflict, errs.BadRequest, "the action %s is its device's to carry out", id)
			}
			if !a.follows(to) {
				return errs.New(op, errs.Conflict, errs.BadRequest, "the action is %s and cannot become %s", a.State, to)
			}
			a.Progress = nil
			a.move(to, now, part, detail, evidence)
			return nil
		})
		if err != nil || to == Delivered {
			return err
		}
		outcome := audit.Done
		if to == Failed {
			outcome = audit.Failed
		}
		return p.cfg.Audit.Record(ctx, audit.Entry{At: now, Tenant: tenant, Actor: access.System(tenant, part).Actor, Verb: "action.result",
			Object: string(id), Detail: string(out.Kind) + " " + string(to) + ": " + detail, Outcome: outcome})
	})
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	p.announce([]*Action{out})
	return out, nil
}

// follows reports whether the server may bring a into a state.
func (a *Action) follows(to State) bool {
	switch to {
	case Delivered:
		return a.State == Approved
	case Applied:
		return a.State == Delivered && a.Cancel.At.IsZero()
	case Verified:
		return a.State == Applied
	case Failed:
		return a.State == Approved || a.State == Delivered || a.State == Applied
	case Cancelled:
		return (a.State == Delivered || a.State == Applied) && !a.Cancel.At.IsZero()
	}
	return false
}

// Tell says how far the server is with an action that it carries out. It says nothing of one
// that is not being carried out.
func (p *Dispatcher) Tell(ctx context.Context, tenant ident.TenantID, id ident.ActionID, detail string) error {
	now := p.cfg.Clock().UTC()
	_, err := p.step(ctx, tenant, id, func(a *Action) (bool, error) {
		if !a.Kind.ByServer() || a.State != Delivered && a.State != Applied || a.Progress != nil && a.Progress.Detail == detail {
			return false, errUnchanged
		}
		a.Progress = &Progress{Percent: -1, Detail: detail, At: now}
		return true, nil
	})
	if errors.Is(err, errUnchanged) {
		return nil
	}
	return errs.Wrap("action.Tell", err)
}

// errUnchanged keeps an update from being written.
var errUnchanged = errors.New("nothing changed")
