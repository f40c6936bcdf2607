package live

import (
	"context"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/wire"
)

// Up is what a device says: output of a run, the end of one, or the working directory. The
// zero Up is a sign of life.
type Up struct {
	Run       uint32
	Output    []byte
	End       *End
	Directory string
}

// End says how a run ended.
type End struct {
	Status string
	Exit   int
	Error  string
	Files  []int
}

// Down is what a device is told. The zero Down is a sign of life.
type Down struct {
	Run           uint32
	Line          string
	Input         []byte
	Columns, Rows uint32
	Cancel        bool
	Background    bool
	Close         bool
}

// Stream is a device's side of a session. Send may be called by several goroutines.
type Stream interface {
	Send(Down) error
	Receive() (Up, error)
	// Close lets both give up, and waits for a Send that is under way.
	Close()
}

// Serve is a device's side: it returns when the session is over. A session that is not the
// device's is errs.NotFound.
func (s *Service) Serve(ctx context.Context, d *device.Device, id ident.ActionID, stream Stream) error {
	const op = "live.Serve"
	if _, err := s.of(ctx, d, id); err != nil {
		return errs.Wrap(op, err)
	}
	r := s.relay(id)
	if r == nil || !r.claim(0) {
		return errs.New(op, errs.Conflict, errs.BadRequest, "the session is over, or has its device already")
	}
	defer r.both.Done()
	if err := stream.Send(Down{}); err != nil { // so that the device's call is answered
		r.end("the device did not stay")
		return nil
	}
	r.device <- stream
	pumped := make(chan struct{})
	go func() {
		defer close(pumped)
		r.listen(stream)
	}()
	select {
	case <-ctx.Done():
		r.end("the connection to the device broke")
	case <-r.stopped:
	}
	// The device closes when it is told.
	t := time.NewTimer(goodbye)
	defer t.Stop()
	select {
	case <-pumped:
	case <-ctx.Done():
	case <-t.C:
	}
	stream.Close()
	<-pumped
	return nil
}

// claim takes a side of the relay, once each, while it is not over.
func (r *relay) claim(side int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over || r.taken[side] {
		return false
	}
	r.taken[side] = true
	r.both.Add(1)
	return true
}

// listen takes what the device says until it goes.
func (r *relay) listen(stream Stream) {
	for {
		up, err := stream.Receive()
		if err != nil {
			r.end("the device ended the session")
			return
		}
		select {
		case <-r.ready:
		case <-r.stopped:
			return
		}
		now := r.s.cfg.Clock()
		r.mu.Lock()
		r.heard = now
		if up.Run != 0 {
			r.active = now
		}
		r.mu.Unlock()
		switch {
		case len(up.Output) > wire.MaxLiveOutput || len(up.Directory) > 8<<10:
			r.end("the device says more at once than it may")
			return
		case up.End != nil:
			r.finish(int(up.Run), up.End)
		case len(up.Output) > 0:
			r.output(int(up.Run), up.Output)
		case up.Directory != "":
			r.show(Event{Type: "directory", Directory: strings.ToValidUTF8(up.Directory, "\ufffd")})
		}
		if r.ended() {
			return
		}
	}
}

// output shows what a run wrote. A run that nobody began says nothing.
func (r *relay) output(run int, data []byte) {
	r.mu.Lock()
	c := r.runs[run]
	if c != nil {
		c.Output += int64(len(data))
	}
	r.mu.Unlock()
	if c == nil {
		return
	}
	r.cast.event("o", data)
	r.show(Event{Type: "output", Run: run, Data: data})
}

// statuses are what a device may say of an end.
var statuses = map[string]bool{"completed": true, "failed": true, "cancelled": true, "timeout": true, "background": true}

func (r *relay) finish(run int, e *End) {
	ctx := context.Background()
	now := r.s.cfg.Clock().UTC()
	r.mu.Lock()
	c := r.runs[run]
	if c == nil || !c.Ended.IsZero() {
		r.mu.Unlock()
		return
	}
	c.Status, c.Exit, c.Error = e.Status, e.Exit, strings.ToValidUTF8(e.Error[:min(len(e.Error), maxComment)], "\ufffd")
	if !statuses[c.Status] {
		c.Status = "failed"
	}
	c.Files = e.Files[:min(len(e.Files), maxFiles)]
	if c.Status != "background" {
		c.Ended = now
	}
	said := *c
	r.mu.Unlock()
	if err := r.s.cfg.Store.PutCommand(ctx, r.session.Tenant, r.session.ID, &said); err != nil {
		r.s.cfg.Log.Error("command of a live response session", "session", r.session.ID, "err", err)
	}
	ev := Event{Type: "end", Run: run, Status: said.Status, Exit: said.Exit, Error: said.Error}
	if len(said.Files) > 0 {
		if n, err := r.s.cfg.Store.Session(ctx, r.session.Tenant, r.session.ID); err == nil {
			for _, i := range said.Files {
				if f, ok := n.file(i); ok {
					ev.Files = append(ev.Files, f)
				}
			}
		}
	}
	if said.Error != "" {
		r.cast.event("o", []byte(said.Error+"\r\n"))
	}
	r.show(ev)
}
