package expert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/notify"
)

// How cases are carried out.
const (
	lookEvery = time.Second
	atOnce    = 4
	batch     = 200
	makeTime  = 20 * time.Minute // for one attempt to make a bundle
	handOver  = 24 * time.Hour   // that a receiver is tried
)

// waits is how long the worker waits after each attempt to make a bundle that failed; after
// the last the case has failed.
var waits = []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute}

// worker is the name under which the server acts on cases.
const worker = "expert"

// busy is the cases that are being worked on.
type busy struct {
	mu  sync.Mutex
	ids map[string]bool
}

func (b *busy) take(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ids[id] {
		return false
	}
	b.ids[id] = true
	return true
}

func (b *busy) leave(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.ids, id)
}

// Run carries cases out until ctx ends. What it knows is in the store alone: after a crash it
// goes on from there.
func (s *Service) Run(ctx context.Context) error {
	g := &errgroup.Group{}
	g.SetLimit(atOnce)
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		if err := s.look(ctx, g); err != nil && ctx.Err() == nil {
			s.cfg.Failed(nil, err)
		}
		select {
		case <-ctx.Done():
			return g.Wait()
		case <-t.C:
		}
	}
}

// Work takes one step with each case that is due.
func (s *Service) Work(ctx context.Context) error {
	g := &errgroup.Group{}
	g.SetLimit(atOnce)
	err := s.look(ctx, g)
	return errors.Join(err, g.Wait())
}

// look begins a step with each case that is due and that nobody works on.
func (s *Service) look(ctx context.Context, g *errgroup.Group) error {
	due, err := s.cfg.Cases.DueCases(ctx, s.cfg.Clock().UTC(), batch)
	if err != nil {
		return errs.Wrap("expert.look", err)
	}
	for _, c := range due {
		id := string(c.Tenant) + string(c.ID)
		if !s.busy.take(id) {
			continue
		}
		begun := g.TryGo(func() error {
			defer s.busy.leave(id)
			if err := s.step(access.WithPrincipal(ctx, access.System(c.Tenant, worker)), c); err != nil && ctx.Err() == nil {
				s.cfg.Failed(c, err)
			}
			return nil
		})
		if !begun {
			s.busy.leave(id)
			return nil // the rest with the next look
		}
	}
	return nil
}

// step takes a case as far as it goes now.
func (s *Service) step(ctx context.Context, c *Case) error {
	a, err := s.cfg.Actions.Get(ctx, c.Tenant, c.ID)
	if err != nil {
		return err
	}
	stop := !a.Cancel.At.IsZero()
	switch {
	case !a.State.Open():
		return s.close(ctx, c)
	case a.State == action.Requested:
		return nil // somebody has to agree first
	case a.State == action.Approved:
		if a, err = s.carry(ctx, c, action.Delivered, "the server has begun to put the case together", nil); err != nil {
			return overtaken(err)
		}
		fallthrough
	case a.State == action.Delivered:
		if stop {
			return s.end(ctx, c, action.Cancelled, "cancelled before the bundle was made: "+a.Cancel.Comment, nil)
		}
		waits, err := s.waitsFor(ctx, c)
		if err != nil {
			return err
		}
		if waits != "" {
			return s.cfg.Executor.Tell(ctx, c.Tenant, c.ID, waits)
		}
		return s.put(ctx, c)
	default:
		return s.handed(ctx, c, a, stop)
	}
}

func (s *Service) carry(ctx context.Context, c *Case, to action.State, detail string, evidence any) (*action.Action, error) {
	var raw json.RawMessage
	if evidence != nil {
		var err error
		if raw, err = json.Marshal(evidence); err != nil {
			return nil, err
		}
	}
	return s.cfg.Executor.Carry(ctx, c.Tenant, c.ID, to, worker, detail, raw)
}

// overtaken passes over that the action moved in the meantime: the next look sees it.
func overtaken(err error) error {
	if errs.Is(err, errs.Conflict) {
		return nil
	}
	return err
}

// close notes that a case's action has ended.
func (s *Service) close(ctx context.Context, c *Case) error {
	_, err := s.cfg.Cases.UpdateCase(ctx, c.Tenant, c.ID, func(c *Case) error {
		c.Open, c.Finished = false, s.cfg.Clock().UTC()
		return nil
	})
	return err
}

// end ends a case and its action in one.
func (s *Service) end(ctx context.Context, c *Case, to action.State, detail string, evidence any) error {
	err := s.cfg.Atomic(ctx, func(ctx context.Context) error {
		if _, err := s.carry(ctx, c, to, detail, evidence); err != nil {
			return err
		}
		return s.close(ctx, c)
	})
	return overtaken(err)
}

// waitsFor says what a case waits for before its bundle is made, "" for nothing.
func (s *Service) waitsFor(ctx context.Context, c *Case) (string, error) {
	if !s.cfg.Clock().Before(c.Patience) {
		return "", nil
	}
	for _, sub := range c.Subjects {
		if sub.Package == "" {
			continue
		}
		a, err := s.cfg.Actions.Get(ctx, c.Tenant, sub.Package)
		if errs.Is(err, errs.NotFound) {
			continue
		}
		if err != nil {
			return "", err
		}
		if a.State.Open() {
			return fmt.Sprintf("waits until %s for the investigation package of %s, which is %s", c.Patience.Format(time.RFC3339), sub.Name, a.State), nil
		}
	}
	return "", nil
}

// put makes the bundle of a case and gives it to the outbox.
func (s *Service) put(ctx context.Context, c *Case) error {
	r, err := s.Receiver(ctx, c.Tenant, c.Receiver)
	if errs.Is(err, errs.NotFound) {
		return s.end(ctx, c, action.Failed, "the receiver was deleted before the bundle was made", nil)
	}
	if err != nil {
		return err
	}
	if !r.Enabled {
		return s.end(ctx, c, action.Failed, "the receiver was switched off before the bundle was made", nil)
	}
	if err := s.cfg.Executor.Tell(ctx, c.Tenant, c.ID, "the bundle is being made"); err != nil {
		return err
	}
	making, cancel := context.WithTimeout(ctx, makeTime)
	defer cancel()
	b, err := s.bundle(making, c, r)
	if ctx.Err() != nil {
		return ctx.Err() // the server ends: it is made anew
	}
	if err != nil {
		return errors.Join(s.failed(ctx, c, err), err)
	}
	c.Bundle = b
	m := s.message(c, r)
	err = s.cfg.Atomic(ctx, func(ctx context.Context) error {
		if _, err := s.carry(ctx, c, action.Applied, fmt.Sprintf("the bundle of %d bytes waits to be taken by %s", b.Size, c.Name), b.evidence()); err != nil {
			return err
		}
		if err := s.cfg.Outbox.Submit(ctx, m); err != nil {
			return err
		}
		_, err := s.cfg.Cases.UpdateCase(ctx, c.Tenant, c.ID, func(c *Case) error {
			c.Bundle, c.Message, c.Waiting = b, m.ID, ""
			return nil
		})
		return err
	})
	return overtaken(err)
}

// failed notes that a bundle could not be made: it is tried again, or the case has failed.
func (s *Service) failed(ctx context.Context, c *Case, why error) error {
	detail := reason(why)
	if c.Tries >= len(waits) || errs.Is(why, errs.Invalid) {
		return s.end(ctx, c, action.Failed, "the bundle could not be made: "+detail, nil)
	}
	_, err := s.cfg.Cases.UpdateCase(ctx, c.Tenant, c.ID, func(c *Case) error {
		c.Due = s.cfg.Clock().UTC().Add(waits[c.Tries])
		c.Tries++
		c.Waiting = detail
		return nil
	})
	if err != nil {
		return err
	}
	return s.cfg.Executor.Tell(ctx, c.Tenant, c.ID, cut("the bundle could not be made and is tried again: "+detail, 500))
}

// reason is what people are told about a failure.
func reason(err error) string {
	var e *errs.E
	switch {
	case errors.As(err, &e) && e.Detail != "":
		return cut(e.Detail, 500)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("it took longer than %v", makeTime)
	}
	return "something went wrong in the server; its log says what"
}

// channel is what the message of a case is counted by.
func channel(id ident.ActionID) string { return "expert/" + string(id) }

// handed looks what became of the message of a case.
func (s *Service) handed(ctx context.Context, c *Case, a *action.Action, stop bool) error {
	ms, err := s.cfg.Outbox.Channel(ctx, c.Tenant, channel(c.ID), 1)
	if err != nil {
		return err
	}
	if len(ms) == 0 {
		return s.end(ctx, c, action.Failed, "the message that hands the case over is gone", nil)
	}
	m := ms[0]
	evidence := map[string]any{"kind": m.Kind, "to": m.To, "attempts": m.Attempts, "messageId": m.ID}
	switch m.State {
	case notify.Sent:
		evidence["answer"], evidence["at"] = m.Answer, m.Done.UTC()
		return s.settle(ctx, c, m, action.Verified, "taken by "+c.Name+": "+cut(oneLine(m.Answer), 500), evidence)
	case notify.Failed:
		evidence["error"] = m.LastError
		if stop && m.LastError == withdrawn {
			return s.settle(ctx, c, m, action.Cancelled, "withdrawn before it was taken: "+a.Cancel.Comment, evidence)
		}
		return s.settle(ctx, c, m, action.Failed, c.Name+" did not take it: "+m.LastError, evidence)
	}
	if stop {
		// On its way it cannot be stopped; what comes of that is seen with the next look.
		return overtaken(s.cfg.Sender.Withdraw(ctx, c.Tenant, m.ID, withdrawn))
	}
	if m.LastError == "" {
		return nil
	}
	if m.LastError != c.Waiting || m.Attempts != c.Attempts {
		_, err = s.cfg.Cases.UpdateCase(ctx, c.Tenant, c.ID, func(c *Case) error {
			c.Attempts, c.Waiting = m.Attempts, m.LastError
			return nil
		})
	}
	return errors.Join(err, s.cfg.Executor.Tell(ctx, c.Tenant, c.ID, cut(fmt.Sprintf("not taken yet, %d attempts: %s", m.Attempts, m.LastError), 500)))
}

// withdrawn is the error of a message that was taken back.
const withdrawn = "withdrawn"

func (s *Service) settle(ctx context.Context, c *Case, m *notify.Message, to action.State, detail string, evidence any) error {
	err := s.cfg.Atomic(ctx, func(ctx context.Context) error {
		if _, err := s.carry(ctx, c, to, detail, evidence); err != nil {
			return err
		}
		_, err := s.cfg.Cases.UpdateCase(ctx, c.Tenant, c.ID, func(c *Case) error {
			c.Attempts, c.Waiting = m.Attempts, m.LastError
			if to == action.Verified {
				c.Taken, c.Answer, c.Waiting = m.Done, m.Answer, ""
			}
			return nil
		})
		if err != nil {
			return err
		}
		return s.close(ctx, c)
	})
	return overtaken(err)
}

// oneLine takes line breaks and control characters out of a text.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
}
