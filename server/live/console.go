package live

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/wire"
)

// Event is what a console is shown.
type Event struct {
	Type      string // waiting, ready, started, output, directory, end, closed
	Run       int
	Line      string
	Data      []byte
	Directory string
	Session   *Session
	Status    string
	Exit      int
	Error     string
	Files     []File
	Reason    string
}

// Input is what a console says.
type Input struct {
	Type          string // run, input, resize, cancel, background, close
	Run           int    // of all but run and close
	Line          string
	Data          []byte
	Columns, Rows int
}

// Console is a person's side of a session. Send may be called by several goroutines, and
// waits while nobody reads. What Receive takes for no message is errs.Invalid, and ends the
// session with its detail.
type Console interface {
	Send(ctx context.Context, e Event) error
	Receive(ctx context.Context) (Input, error)
}

// Seat is a person's side of a session, which a ticket has opened.
type Seat struct {
	relay *relay
	by    *access.Principal
}

// Redeem takes a ticket of a session, which is good once. One that is wrong in any way, or of
// another session, is errs.Unauthenticated.
func (s *Service) Redeem(id ident.ActionID, text string) (*Seat, error) {
	r, by, err := s.redeem(id, text)
	if err != nil {
		return nil, err
	}
	return &Seat{r, by}, nil
}

// Take joins a console with its session, and returns when that is over.
func (p *Seat) Take(ctx context.Context, c Console) error {
	const op = "live.Take"
	r, by := p.relay, p.by
	if !r.claim(1) {
		return errs.New(op, errs.Conflict, errs.BadRequest, "the session is over, or has its console already")
	}
	defer r.both.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.console <- consoleOf{c, by}
	var pumped sync.WaitGroup
	pumped.Go(func() { r.obey(ctx, consoleOf{c, by}) })
	pumped.Go(func() { r.recheck(ctx, by) })
	<-r.stopped
	<-r.parted // the last word is said
	cancel()
	pumped.Wait()
	return nil
}

// obey takes what the person says until the console closes.
func (r *relay) obey(ctx context.Context, c consoleOf) {
	for {
		in, err := c.Receive(ctx)
		if err != nil {
			var e *errs.E
			if errors.As(err, &e) {
				r.refuse(e.Detail)
			} else {
				r.end(consoleClosed)
			}
			return
		}
		if in.Type == "close" {
			r.end("closed by " + c.by.Name)
			return
		}
		select {
		case <-r.ready:
		case <-r.stopped:
			return
		}
		r.mu.Lock()
		r.active = r.s.cfg.Clock()
		r.mu.Unlock()
		if err := r.told(ctx, c.by, in); err != nil {
			var e *errs.E
			if !errors.As(err, &e) {
				r.end("the connection to the device broke")
				return
			}
			r.s.cfg.Log.Error("live response", "session", r.session.ID, "err", err)
			r.end("the server could not record what was done")
			return
		}
	}
}

// told carries out what the person says. An error of another kind than errs.E is the
// device's stream's.
func (r *relay) told(ctx context.Context, by *access.Principal, in Input) error {
	run := uint32(max(in.Run, 0))
	switch in.Type {
	case "run":
		return r.begin(ctx, by, in)
	case "input":
		if !r.running(in.Run) { // it ended meanwhile, or there never was one
			return nil
		}
		for part := range slices.Chunk(in.Data, wire.MaxLiveInput) {
			r.cast.event("i", part)
			if err := r.stream.Send(Down{Run: run, Input: part}); err != nil {
				return err
			}
		}
		return nil
	case "resize":
		if !r.running(in.Run) || in.Columns < 1 || in.Rows < 1 || in.Columns > 1000 || in.Rows > 1000 {
			return nil
		}
		r.sized(in)
		return r.stream.Send(Down{Run: run, Columns: uint32(in.Columns), Rows: uint32(in.Rows)})
	case "cancel":
		return r.stream.Send(Down{Run: run, Cancel: run != 0})
	case "background":
		return r.stream.Send(Down{Run: run, Background: run != 0})
	}
	return nil
}

// running reports whether a run has begun on the device and not ended.
func (r *relay) running(run int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.runs[run]
	return c != nil && c.Ended.IsZero()
}

// sized notes in the transcript how large the terminal of the console is, when that changed.
func (r *relay) sized(in Input) {
	if size := [2]int{in.Columns, in.Rows}; size != r.size && in.Columns >= 1 && in.Rows >= 1 && in.Columns <= 1000 && in.Rows <= 1000 {
		r.size = size
		r.cast.event("r", fmt.Appendf(nil, "%dx%d", in.Columns, in.Rows))
	}
}

// begin records a command, and only then lets the device have it.
func (r *relay) begin(ctx context.Context, by *access.Principal, in Input) error {
	const op = "live.begin"
	in.Line = strings.TrimSpace(strings.ToValidUTF8(in.Line, "\ufffd"))
	if in.Line == "" {
		return nil
	}
	switch why, err := r.withdrawn(ctx, by); {
	case err != nil:
		return errs.Wrap(op, err)
	case why != "":
		r.end(why)
		return nil
	}
	command, words, wrong := r.judge(in.Line)
	if len(in.Line) > wire.MaxLiveLine { // it was refused: half a command is another one
		in.Line = strings.ToValidUTF8(in.Line[:wire.MaxLiveLine], "") + "…"
	}
	now := r.s.cfg.Clock().UTC()
	r.mu.Lock()
	if r.next >= maxRuns {
		r.mu.Unlock()
		r.end(fmt.Sprintf("a session has at most %d commands", maxRuns))
		return nil
	}
	r.next++
	c := &Command{Run: r.next, Line: in.Line, Begun: now, Status: "running"}
	r.mu.Unlock()
	outcome := audit.Done
	if wrong != nil {
		outcome, c.Status, c.Error, c.Ended = audit.Denied, "denied", wrong.Error(), now
	}
	r.sized(in)
	r.cast.event("o", []byte("> "+in.Line+"\r\n"))
	if err := r.s.cfg.Store.PutCommand(ctx, r.session.Tenant, r.session.ID, c); err != nil {
		return errs.Wrap(op, err)
	}
	if _, err := r.s.cfg.Store.UpdateSession(ctx, r.session.Tenant, r.session.ID, func(n *Session) error {
		n.Commands = c.Run
		return nil
	}); err != nil {
		return errs.Wrap(op, err)
	}
	detail := fmt.Sprintf("device %s, command %d: %s", r.session.Device, c.Run, in.Line)
	if wrong != nil {
		detail += ": " + wrong.Error()
	}
	if err := r.s.cfg.Audit.Record(ctx, audit.Entry{At: now, Tenant: r.session.Tenant, Actor: by.Actor, Verb: "live.command", Object: string(r.session.ID),
		Detail: detail, Outcome: outcome}); err != nil {
		return errs.Wrap(op, err)
	}
	r.show(Event{Type: "started", Run: c.Run, Line: in.Line})
	if c.Status == "denied" {
		r.cast.event("o", []byte(c.Error+"\r\n"))
		r.show(Event{Type: "end", Run: c.Run, Status: "denied", Error: c.Error})
		return nil
	}
	r.mu.Lock()
	r.runs[c.Run] = c
	r.mu.Unlock()
	if command.Server {
		r.shelf(ctx, by, c, words)
		return nil
	}
	if command.Name == "putfile" || command.Name == "run" {
		r.mu.Lock()
		for _, w := range words {
			r.granted[w.Text] = true
		}
		r.mu.Unlock()
	}
	return r.stream.Send(Down{Run: uint32(c.Run), Line: in.Line, Columns: uint32(max(in.Columns, 0)), Rows: uint32(max(in.Rows, 0))})
}

// judge says whether the session may use the command of a line.
func (r *relay) judge(line string) (wire.LiveCommand, []wire.LiveWord, error) {
	words, err := wire.SplitLine(line)
	if err != nil {
		return wire.LiveCommand{}, nil, err
	}
	if len(words) == 0 {
		return wire.LiveCommand{}, nil, errors.New("there is no command")
	}
	c, ok := wire.FindLiveCommand(strings.ToLower(words[0].Text))
	switch {
	case !ok:
		return c, nil, fmt.Errorf("there is no command %q; see help", words[0].Text)
	case !r.session.Level.Allows(c):
		return c, nil, fmt.Errorf("%s needs an advanced session", c.Name)
	}
	return c, words[1:], nil
}
