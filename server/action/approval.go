package action

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// Approval is what has to be agreed about an action, and what was said so far.
type Approval struct {
	Demands []Demand
	Until   time.Time // it is given up when nobody agreed until then
	Votes   []Vote
}

// Demand is what one policy demands, as it stood when the action was asked for.
type Demand struct {
	Policy    ident.ApprovalID
	Name      string
	Need      int
	Approvers []string // ids of roles and applications; empty for everybody with the permission
	Self      bool
}

// Vote is what one principal said.
type Vote struct {
	By      ident.Actor
	Agrees  bool
	Comment string
	At      time.Time
	Counts  []ident.ApprovalID // the demands that it counts for
}

// Signature is an approver's own over the body of an action's command: for devices whose
// local policy asks for more than the server's word.
type Signature struct {
	Key       []byte // ed25519, 32 bytes
	Signature []byte // 64 bytes
	By        string // whose approval it came with
}

// maxSignatures is how many signatures an action holds: a device looks at 16, one of them
// the server's.
const maxSignatures = 15

// Envelopes knows the form in which a command goes to a device.
type Envelopes interface {
	// Body returns the bytes that the server and approvers sign.
	Body(c Command) ([]byte, error)
	// Signed reports whether a signature over the body is good.
	Signed(body []byte, s Signature) bool
}

// Waiting hears of actions that wait for somebody to agree.
type Waiting interface {
	// Waits is called in the transaction that keeps the action.
	Waits(ctx context.Context, a *Action) error
}

type nobody struct{}

// Waits implements Waiting.
func (nobody) Waits(context.Context, *Action) error { return nil }

// demand finds out who must agree to an action that by asks of d, and makes it wait for them
// or approves it.
func (s *Service) demand(ctx context.Context, by *access.Principal, d *device.Device, a *Action) error {
	policies, err := s.cfg.Policies.Policies(ctx, a.Tenant)
	if err != nil {
		return err
	}
	var v Approval
	for _, p := range policies {
		if !p.about(a.Kind, by, d) {
			continue
		}
		v.Demands = append(v.Demands, Demand{Policy: p.ID, Name: p.Name, Need: p.Need, Approvers: p.Approvers, Self: p.Self})
		if until := a.Created.Add(p.Patience); v.Until.IsZero() || until.Before(v.Until) {
			v.Until = until
		}
	}
	if len(v.Demands) == 0 {
		a.move(Approved, a.Created, "policy", "no policy asks for anybody's approval", nil)
		return nil
	}
	// The command that approvers may sign must not change any more: it ends when the last
	// moment of approval and the wait for the device have passed.
	a.Approval, a.Expires = &v, v.Until.Add(a.Life)
	var names []string
	for _, m := range v.Demands {
		names = append(names, fmt.Sprintf("%q (%d)", m.Name, m.Need))
	}
	a.move(Requested, a.Created, "policy", "waits for the approval that is demanded by "+strings.Join(names, ", "), nil)
	if s.cfg.Envelopes == nil || a.Kind.ByServer() {
		return nil
	}
	a.Body, err = s.cfg.Envelopes.Body(a.command())
	return err
}

// Missing says for each demand that is not met how many more must agree.
func (v *Approval) Missing() map[ident.ApprovalID]int {
	out := map[ident.ApprovalID]int{}
	for _, m := range v.Demands {
		n := m.Need
		for _, w := range v.Votes {
			if w.Agrees && slices.Contains(w.Counts, m.Policy) {
				n--
			}
		}
		if n > 0 {
			out[m.Policy] = n
		}
	}
	return out
}

// mayVote returns the demands for which by counts, or why it counts for none.
func (a *Action) mayVote(by *access.Principal) ([]ident.ApprovalID, error) {
	const op = "action.Approve"
	if by.Kind == ident.ActorSystem {
		return nil, errs.New(op, errs.Denied, errs.Forbidden, "a part of the server cannot agree to anything")
	}
	same := a.Requestor.Kind == by.Kind && a.Requestor.ID == by.ID
	var out []ident.ApprovalID
	own := false
	for _, m := range a.Approval.Demands {
		if len(m.Approvers) > 0 && !slices.ContainsFunc(m.Approvers, func(w string) bool { return stands(by, w) }) {
			continue
		}
		if same && !m.Self {
			own = true
			continue
		}
		out = append(out, m.Policy)
	}
	switch {
	case len(out) > 0:
		return out, nil
	case own:
		return nil, errs.New(op, errs.Denied, errs.Forbidden, "who asked for an action cannot agree to it: somebody else has to")
	}
	return nil, errs.New(op, errs.Denied, errs.Forbidden, "the policies that ask for approval name others as approvers")
}

// Approve agrees to an action. When every demand is met it is approved and goes to its
// device. signatures are the approver's own over the command's body; they may be none.
// Somebody who is none of the approvers, or asked for the action, is errs.Denied; who has
// voted already errs.Conflict, as is an action that does not wait.
func (s *Service) Approve(ctx context.Context, by *access.Principal, id ident.ActionID, comment string, signatures ...Signature) (*Action, error) {
	const op = "action.Approve"
	if err := checkReason(op, "an approval", comment); err != nil {
		return nil, err
	}
	return s.vote(ctx, by, id, "action.approve", comment, func(a *Action, w Vote) error {
		if err := s.sign(a, by, signatures); err != nil {
			return err
		}
		w.Agrees = true
		a.Approval.Votes = append(a.Approval.Votes, w)
		missing := a.Approval.Missing()
		more := 0
		for _, n := range missing {
			more = max(more, n)
		}
		if more > 0 {
			a.move(Requested, w.At, by.Name, fmt.Sprintf("approved, %d more must: %s", more, comment), nil)
			return nil
		}
		a.Deadline = w.At.Add(a.Life)
		a.move(Approved, w.At, by.Name, "approved: "+comment, nil)
		return nil
	})
}

// Reject refuses an action, which ends as Cancelled: one approver's word is enough. Errors
// are those of Approve.
func (s *Service) Reject(ctx context.Context, by *access.Principal, id ident.ActionID, comment string) (*Action, error) {
	const op = "action.Reject"
	if err := checkReason(op, "a rejection", comment); err != nil {
		return nil, err
	}
	return s.vote(ctx, by, id, "action.reject", comment, func(a *Action, w Vote) error {
		a.Approval.Votes = append(a.Approval.Votes, w)
		a.Cancel = Cancellation{By: by.Name, Comment: comment, At: w.At}
		a.move(Cancelled, w.At, by.Name, "rejected: "+comment, nil)
		return nil
	})
}

// vote lets by say something on an action that waits, and records it.
func (s *Service) vote(ctx context.Context, by *access.Principal, id ident.ActionID, verb, comment string, say func(*Action, Vote) error) (*Action, error) {
	const op = "action.vote"
	now := s.cfg.Clock().UTC()
	record := func(ctx context.Context, outcome audit.Outcome, detail string) error {
		return s.cfg.Audit.Record(ctx, audit.Entry{At: now, Tenant: by.Tenant, Actor: by.Actor, Verb: verb, Object: string(id), Detail: detail, Outcome: outcome})
	}
	var out *Action
	err := s.cfg.Atomic(ctx, func(ctx context.Context) (err error) {
		out, err = s.cfg.Store.UpdateAction(ctx, by.Tenant, id, func(a *Action) error {
			if a.State != Requested || a.Approval == nil {
				return errs.New(op, errs.Conflict, errs.BadRequest, "the action waits for nobody's approval: it is %s", a.State)
			}
			if !now.Before(a.Approval.Until) {
				return errs.New(op, errs.Conflict, errs.BadRequest, "the time to approve the action ended at %s", a.Approval.Until.Format(time.RFC3339))
			}
			counts, err := a.mayVote(by)
			if err != nil {
				return err
			}
			if slices.ContainsFunc(a.Approval.Votes, func(w Vote) bool { return w.By.Kind == by.Kind && w.By.ID == by.ID }) {
				return errs.New(op, errs.Conflict, errs.BadRequest, "%s has approved the action already", by.Name)
			}
			return say(a, Vote{By: by.Actor, Comment: comment, At: now, Counts: counts})
		})
		if err != nil {
			return err
		}
		s.cfg.Fault(faultVoting)
		return record(ctx, audit.Done, string(out.Kind)+" of device "+string(out.Device)+": "+comment)
	})
	if errs.Is(err, errs.Denied) {
		if e := record(ctx, audit.Denied, detailOf(err)); e != nil {
			return nil, errs.Wrap(op, e)
		}
	}
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	s.cfg.Fault(faultVoted)
	s.cfg.Changed.Publish(Changed{out})
	if out.State == Approved && !out.Kind.ByServer() {
		s.cfg.Nudger.Nudge(out.Device)
	}
	return out, nil
}

// sign keeps an approver's signatures with an action; wrong ones are errs.Invalid.
func (s *Service) sign(a *Action, by *access.Principal, signatures []Signature) error {
	const op = "action.Approve"
	if len(signatures) == 0 {
		return nil
	}
	if s.cfg.Envelopes == nil || len(a.Body) == 0 {
		return errs.New(op, errs.Unsupported, errs.DisallowedOperation, "the action has no command that could be signed")
	}
	for i, g := range signatures {
		switch {
		case !s.cfg.Envelopes.Signed(a.Body, g):
			return errs.New(op, errs.Invalid, errs.InvalidInput, "Signatures[%d] is no good signature of its key over the command's body", i)
		case slices.ContainsFunc(a.Signatures, func(h Signature) bool { return string(h.Key) == string(g.Key) }):
			return errs.New(op, errs.Conflict, errs.BadRequest, "Signatures[%d]: the key has signed already", i)
		case len(a.Signatures) >= maxSignatures:
			return errs.New(op, errs.Invalid, errs.InvalidInput, "Signatures: the action has %d, which is as many as a device looks at", maxSignatures)
		}
		a.Signatures = append(a.Signatures, Signature{Key: g.Key, Signature: g.Signature, By: by.Name})
	}
	return nil
}

func detailOf(err error) string {
	var e *errs.E
	if errors.As(err, &e) {
		return e.Detail
	}
	return ""
}
