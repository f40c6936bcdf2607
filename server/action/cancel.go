package action

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// Cancel withdraws an action. One that no device has been given yet ends as Cancelled at
// once. Of one that was handed out the device is asked to stop: the action stays as it is
// until the device says what happened, which may be that it was done all the same. An
// action that was applied, or has ended, is errs.Conflict: it can only be undone. What the
// server carries out itself can be cancelled until it is verified.
func (s *Service) Cancel(ctx context.Context, by *access.Principal, id ident.ActionID, comment string) (*Action, error) {
	const op = "action.Cancel"
	if err := checkReason(op, "a cancellation", comment); err != nil {
		return nil, err
	}
	now := s.cfg.Clock().UTC()
	var out *Action
	err := s.cfg.Atomic(ctx, func(ctx context.Context) (err error) {
		out, err = s.cfg.Store.UpdateAction(ctx, by.Tenant, id, func(a *Action) error { return a.cancel(now, by.Name, comment) })
		if err != nil {
			return err
		}
		return s.cfg.Audit.Record(ctx, audit.Entry{
			At: now, Tenant: by.Tenant, Actor: by.Actor, Verb: "action.cancel", Object: string(id), Detail: comment, Outcome: audit.Done,
		})
	})
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	s.cfg.Fault(faultCancel)
	s.cfg.Changed.Publish(Changed{out})
	if out.State == Delivered && !out.Kind.ByServer() {
		s.cfg.Nudger.Nudge(out.Device)
	}
	return out, nil
}

func (a *Action) cancel(now time.Time, by, comment string) error {
	const op = "action.Cancel"
	switch a.State {
	case Requested, Approved:
		a.Cancel = Cancellation{By: by, Comment: comment, At: now}
		a.move(Cancelled, now, by, comment, nil)
	case Delivered:
		if !a.Cancel.At.IsZero() {
			return nil // asked already
		}
		a.Cancel = Cancellation{By: by, Comment: comment, At: now}
		a.move(Delivered, now, by, a.stopWord()+comment, nil)
	case Applied:
		if a.Kind.ByServer() {
			if a.Cancel.At.IsZero() {
				a.Cancel = Cancellation{By: by, Comment: comment, At: now}
				a.move(Applied, now, by, a.stopWord()+comment, nil)
			}
			return nil
		}
		return errs.New(op, errs.Conflict, errs.BadRequest, "the device has done it already: it can be undone, not cancelled")
	default:
		return errs.New(op, errs.Conflict, errs.BadRequest, "the action has ended: it is %s", a.State)
	}
	return nil
}

// stopWord begins the detail of the step by which whoever carries the action out is asked to
// stop.
func (a *Action) stopWord() string {
	if a.Kind.ByServer() {
		return "asked to stop: "
	}
	return "the device is asked to stop: "
}

// checkReason refuses what gives no reason, or too much of one.
func checkReason(op, of, text string) error {
	if strings.TrimSpace(text) == "" {
		return errs.New(op, errs.Invalid, errs.MissingRequiredParameter, "Comment is missing: %s needs a reason", of)
	}
	if !utf8.ValidString(text) || utf8.RuneCountInString(text) > maxComment {
		return errs.New(op, errs.Invalid, errs.InvalidInput, "Comment is longer than %d characters or not UTF-8", maxComment)
	}
	return nil
}
