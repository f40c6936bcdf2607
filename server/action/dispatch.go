package action

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

// How long an action may stay where only the device can move it on.
const (
	// silence after delivery: carrying out a command takes seconds, and a device that
	// went offline with it reports when it is back, which is still taken.
	silence = 15 * time.Minute
	// unproven after it was applied: the device keeps probing for a while.
	unproven = time.Hour
)

// Bounds of what a device reports.
const (
	maxDetail   = 4000
	maxEvidence = 1 << 20
)

// Command is an action as the device is told of it; the gateway signs it.
type Command struct {
	ID          ident.ActionID
	Device      ident.DeviceID
	Incarnation uint64
	Kind        string // the responder's word: the Kind in lower case
	Params      json.RawMessage
	Issued      time.Time
	Expires     time.Time
	Body        []byte      // the command as approvers saw it; nil where none had to
	Signatures  []Signature // theirs
}

// Work is what a device is told when it asks for its commands.
type Work struct {
	Commands []Command        // in their order
	Stop     []ident.ActionID // of those that it has, what it should stop
}

// Result is what a device says became of a command.
type Result struct {
	ID       ident.ActionID
	State    string // applied, verified, failed, refused, cancelled
	Detail   string
	Evidence json.RawMessage // what its probes saw; nil for none
}

// Dispatcher hands actions to devices, takes their results, and ends what nobody will
// move on any more. It stands between Store and gateway.
type Dispatcher struct {
	cfg Config
}

// NewDispatcher returns the dispatcher.
func NewDispatcher(c Config) *Dispatcher { return &Dispatcher{c.filled()} }

// Pending returns the commands that d is to carry out, but for those that it says it has,
// and which of these it should stop. What is handed out counts as delivered: whether the
// answer reaches the device cannot be known, and it is handed out again until the device
// says that it has it. One that somebody cancelled before the device had it is not handed
// out again and ends.
func (p *Dispatcher) Pending(ctx context.Context, d *device.Device, have []ident.ActionID) (Work, error) {
	const op = "action.Pending"
	var out Work
	open, err := p.cfg.Store.OpenActions(ctx, d.Tenant, d.ID)
	if err != nil {
		return out, errs.Wrap(op, err)
	}
	now := p.cfg.Clock().UTC()
	for _, a := range open {
		if a.Kind.ByServer() || a.Incarnation != d.Incarnation || a.State != Approved && a.State != Delivered {
			continue
		}
		has := slices.Contains(have, a.ID)
		if !has && !now.Before(a.Due()) {
			continue
		}
		if a.State == Approved && !has {
			why, err := p.replaced(ctx, a)
			if err != nil {
				return out, errs.Wrap(op, err)
			}
			if why != "" {
				if err := p.refuse(ctx, a, why); err != nil {
					return out, errs.Wrap(op, err)
				}
				continue
			}
		}
		if a.State == Approved {
			p.cfg.Fault(faultHanding)
		}
		if a.State == Approved || has && !a.taken() || !has && a.stopping() && !a.taken() {
			a, err = p.step(ctx, d.Tenant, a.ID, func(a *Action) (bool, error) { return a.handOut(now, d.Name, has), nil })
			if err != nil {
				return out, errs.Wrap(op, err)
			}
		}
		switch {
		case a.State != Delivered: // somebody cancelled it in the meantime
		case has && a.stopping():
			out.Stop = append(out.Stop, a.ID)
		case has || a.taken() && a.stopping():
		default:
			out.Commands = append(out.Commands, a.command())
		}
	}
	if len(out.Commands) > 0 {
		p.cfg.Fault(faultHanded)
	}
	return out, nil
}

// refuse ends an action that no device was given yet, as failed.
func (p *Dispatcher) refuse(ctx context.Context, a *Action, why string) error {
	now := p.cfg.Clock().UTC()
	var out *Action
	err := p.cfg.Atomic(ctx, func(ctx context.Context) (err error) {
		moved := false
		out, err = p.cfg.Store.UpdateAction(ctx, a.Tenant, a.ID, func(a *Action) error {
			if moved = a.State == Approved; moved {
				a.move(Failed, now, "server", why, nil)
			}
			return nil
		})
		if err != nil || !moved {
			return err
		}
		return p.cfg.Audit.Record(ctx, audit.Entry{At: now, Tenant: a.Tenant, Actor: access.System(a.Tenant, "action").Actor,
			Verb: "action.result", Object: string(a.ID), Detail: string(a.Kind) + " refused: " + why, Outcome: audit.Denied})
	})
	if err != nil {
		return err
	}
	p.announce([]*Action{out})
	return nil
}

// command is a as its device is told of it.
func (a *Action) command() Command {
	return Command{ID: a.ID, Device: a.Device, Incarnation: a.Incarnation, Kind: a.Kind.word(), Params: a.Params,
		Issued: a.Created, Expires: a.Expires, Body: a.Body, Signatures: a.Signatures}
}

// stopping reports whether the device was asked to stop a, which it was given.
func (a *Action) stopping() bool { return a.State == Delivered && !a.Cancel.At.IsZero() }

// handOut notes that the device was given a, or says that it has it, and reports whether
// that was news.
func (a *Action) handOut(now time.Time, device string, has bool) bool {
	switch {
	case a.State == Approved:
		a.move(Delivered, now, "server", "handed to the device", nil)
		if has {
			a.move(Delivered, now, device, taken, nil)
		}
	case a.State == Delivered && has && !a.taken():
		a.move(Delivered, now, device, taken, nil)
	case !has && a.stopping() && !a.taken():
		// The device asks without having it: what was handed out never got there.
		a.move(Cancelled, now, a.Cancel.By, "cancelled before the device had it: "+a.Cancel.Comment, nil)
	default:
		return false
	}
	return true
}

// taken is the detail of the step by which a device says that it has a command.
const taken = "taken by the device"

func (a *Action) taken() bool {
	return slices.ContainsFunc(a.Steps, func(s Step) bool { return s.State == Delivered && s.Detail == taken })
}

// Result takes what d says of a command. It may come late, and more than once: what the
// device did is true even of an action that was given up as expired, cancelled or
// unknown, and saying it again changes nothing. A command of another device or
// incarnation is errs.NotFound.
func (p *Dispatcher) Result(ctx context.Context, d *device.Device, r Result) error {
	const op = "action.Result"
	to, err := r.check()
	if err != nil {
		return err
	}
	now := p.cfg.Clock().UTC()
	var changed []*Action
	err = p.cfg.Atomic(ctx, func(ctx context.Context) error {
		changed = nil
		moved := false
		a, err := p.cfg.Store.UpdateAction(ctx, d.Tenant, r.ID, func(a *Action) error {
			if a.Device != d.ID || a.Incarnation != d.Incarnation {
				return errs.New(op, errs.NotFound, errs.ResourceNotFound, "the device has no command %s", r.ID)
			}
			if moved = a.conclude(to, now, d.Name, r); moved {
				a.tally(r.Evidence, now)
			}
			return nil
		})
		if err != nil || !moved {
			return err
		}
		changed = append(changed, a)
		if undone, ok := a.Kind.inverse(); ok && to == Verified {
			more, err := p.revert(ctx, a, undone, now)
			if err != nil {
				return err
			}
			changed = append(changed, more...)
		}
		if a.Kind == Offboard && to == Verified {
			if err := p.cfg.Offboarded(ctx, a.Tenant, a.Device, a.Incarnation); err != nil {
				return err
			}
		}
		p.cfg.Fault(faultResult)
		outcome := audit.Done
		if to == Failed {
			outcome = audit.Failed
		}
		return p.cfg.Audit.Record(ctx, audit.Entry{
			At: now, Tenant: d.Tenant, Actor: ident.Actor{Kind: ident.ActorSystem, ID: string(d.ID), Name: d.Name, Tenant: d.Tenant},
			Verb: "action.result", Object: string(a.ID), Detail: string(a.Kind) + " " + string(to) + ": " + r.Detail, Outcome: outcome,
		})
	})
	if err != nil {
		return errs.Wrap(op, err)
	}
	p.cfg.Fault(faultConcluded)
	p.announce(changed)
	return nil
}

// conclude moves a by what its device says and reports whether that was news.
func (a *Action) conclude(to State, now time.Time, device string, r Result) bool {
	switch a.State {
	case Verified, Failed, Reverted, to:
		return false
	}
	detail := r.Detail
	if to == Cancelled && a.Cancel.At.IsZero() {
		// Nobody here asked for that.
		to, detail = Failed, strings.TrimSuffix("the device stopped by itself: "+detail, ": ")
	}
	if to == Applied && !a.State.Open() {
		// An ended action stays ended, because another of its kind may be open by now.
		if last := a.Steps[len(a.Steps)-1]; last.Actor == device {
			return false
		}
		to, detail = Unknown, strings.TrimSuffix("applied, not proven: "+detail, ": ")
	}
	a.move(to, now, device, detail, r.Evidence)
	return true
}

func (r *Result) check() (State, error) {
	const op = "action.Result"
	if len(r.Evidence) > maxEvidence || len(r.Evidence) > 0 && !json.Valid(r.Evidence) {
		return "", errs.New(op, errs.Invalid, errs.InvalidInput, "the evidence is not JSON or longer than %d bytes", maxEvidence)
	}
	if len(r.Detail) > maxDetail || !utf8.ValidString(r.Detail) {
		return "", errs.New(op, errs.Invalid, errs.InvalidInput, "the detail is not UTF-8 or longer than %d bytes", maxDetail)
	}
	switch r.State {
	case "applied":
		return Applied, nil
	case "verified":
		return Verified, nil
	case "failed", "refused":
		return Failed, nil
	case "cancelled":
		return Cancelled, nil
	}
	return "", errs.New(op, errs.Invalid, errs.InvalidInput, "the state is not applied, verified, failed, refused or cancelled")
}

// recent is how many earlier actions revert looks through: an undo reverts what was done
// since the undo before it.
const recent = 100

// revert ends the actions of a kind whose effect a, verified now, has undone.
func (p *Dispatcher) revert(ctx context.Context, a *Action, kind Kind, now time.Time) ([]*Action, error) {
	text := func(name, s string) filter.Expr {
		f, _ := Fields.Find(name)
		return filter.Compare{Field: f, Op: filter.Eq, Value: filter.Value{Type: filter.String, S: s}}
	}
	page, err := p.cfg.Store.Actions(ctx, a.Tenant, filter.Query{
		Where: filter.And{text("machineId", string(a.Device)), text("type", string(kind))}, Top: recent,
	})
	if err != nil {
		return nil, err
	}
	var out []*Action
	for _, b := range page.Items {
		if b.File != a.File { // another file came back
			continue
		}
		if b.Created.After(a.Created) || b.State != Verified && b.State != Applied {
			continue
		}
		to, why := Reverted, "undone by "+string(a.ID)
		if b.State == Applied {
			to, why = Unknown, why+" before its effect was proven"
		}
		b, err := p.cfg.Store.UpdateAction(ctx, a.Tenant, b.ID, func(b *Action) error {
			b.move(to, now, a.Requestor.Name, why, nil)
			return nil
		})
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

// Sweep ends the actions of a tenant that nobody will move on: not delivered within their
// lifetime, delivered and then silence, asked of an enrolment that is over. It is called
// now and then.
func (p *Dispatcher) Sweep(ctx context.Context, tenant ident.TenantID) error {
	const op = "action.Sweep"
	open, err := p.cfg.Store.OpenActions(ctx, tenant, "")
	if err != nil {
		return errs.Wrap(op, err)
	}
	now := p.cfg.Clock().UTC()
	for _, a := range open {
		if a.Kind.ByServer() && (a.State == Delivered || a.State == Applied) {
			continue // whoever carries it out ends it
		}
		again, err := p.enrolledAgain(ctx, a)
		if err != nil {
			return errs.Wrap(op, err)
		}
		if to, _ := a.overdue(now, again); to == "" {
			continue
		}
		_, err = p.step(ctx, tenant, a.ID, func(a *Action) (bool, error) {
			to, why := a.overdue(now, again)
			if to == "" {
				return false, nil
			}
			a.move(to, now, "timer", why, nil)
			return true, nil
		})
		if err != nil {
			return errs.Wrap(op, err)
		}
	}
	return nil
}

func (p *Dispatcher) enrolledAgain(ctx context.Context, a *Action) (bool, error) {
	if a.Kind.ByServer() {
		return false, nil
	}
	d, err := p.cfg.Devices.Get(ctx, a.Tenant, a.Device)
	if errs.Is(err, errs.NotFound) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return d.Incarnation != a.Incarnation || d.Left(), nil
}

// overdue says how a must end at now, "" when it need not. again says that the device
// enrolled anew since, or is gone.
func (a *Action) overdue(now time.Time, again bool) (State, string) {
	switch a.State {
	case Requested, Approved:
		if again {
			return Expired, "the device enrolled again, or was offboarded, before it took the action"
		}
		if a.State == Requested && a.Approval != nil {
			if !now.Before(a.Approval.Until) {
				return Expired, "nobody approved the action in time"
			}
			return "", ""
		}
		if !now.Before(a.Due()) {
			if a.Kind.ByServer() {
				return Expired, "the server did not begin with the action within its lifetime"
			}
			return Expired, "the device did not take the action within its lifetime"
		}
	case Delivered:
		if again {
			return Unknown, "the device enrolled again, or was offboarded, and never said what became of the action"
		}
		if a.taken() && now.Sub(a.heard()) >= silence {
			return Unknown, "the device took the action and never said what became of it"
		}
		if !a.taken() && now.Sub(a.Due()) >= silence {
			return Unknown, "the action was handed out and the device never said that it has it"
		}
	case Applied:
		if again || now.Sub(a.Updated) >= unproven {
			return Unknown, "the device applied the action and never proved its effect"
		}
	}
	return "", ""
}

// heard is when the device was heard of a last.
func (a *Action) heard() time.Time {
	if a.Progress != nil && a.Progress.At.After(a.Updated) {
		return a.Progress.At
	}
	return a.Updated
}

// step moves one action by change, which reports whether it did, and announces it.
func (p *Dispatcher) step(ctx context.Context, tenant ident.TenantID, id ident.ActionID, change func(*Action) (bool, error)) (*Action, error) {
	moved := false
	a, err := p.cfg.Store.UpdateAction(ctx, tenant, id, func(a *Action) (err error) {
		moved, err = change(a)
		return err
	})
	if err == nil && moved {
		p.announce([]*Action{a})
	}
	return a, err
}

func (p *Dispatcher) announce(as []*Action) {
	for _, a := range as {
		p.cfg.Changed.Publish(Changed{a})
	}
}
