package fleetsim_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/agent/link"
	"github.com/vedette-edr/vedette/fleetsim"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/live"
	"github.com/vedette-edr/vedette/wire"
	"github.com/vedette-edr/vedette/wire/wirepb"
)

// withSessions tells devices of live sessions beside what the dispatcher tells them.
type withSessions struct {
	*action.Dispatcher
	live *live.Service
}

func (c withSessions) Pending(ctx context.Context, d *device.Device, have []ident.ActionID) (action.Work, error) {
	sessions, err := c.live.Pending(ctx, d, have)
	return action.Work{Commands: sessions}, err
}

func (c withSessions) Result(ctx context.Context, d *device.Device, r action.Result) error {
	return c.live.Result(ctx, d, r)
}

// person is a console in memory that says one line when it may.
type person struct {
	line   string
	inputs chan live.Input
	said   atomic.Pointer[string]
	done   chan struct{}
	once   sync.Once
}

func (p *person) Send(_ context.Context, e live.Event) error {
	switch e.Type {
	case "ready":
		p.inputs <- live.Input{Type: "run", Line: p.line}
	case "output":
		s := string(e.Data)
		p.said.Store(&s)
	case "end":
		p.once.Do(func() { close(p.done) })
	}
	return nil
}

func (p *person) Receive(ctx context.Context) (live.Input, error) {
	select {
	case in := <-p.inputs:
		return in, nil
	case <-ctx.Done():
		return live.Input{}, io.EOF
	}
}

// TestManySessionsAtOnce has a session with each of many devices, by the agent's own link
// over TLS, all open at the same time: $VEDETTE_LIVE_SESSIONS, or 50.
func TestManySessionsAtOnce(t *testing.T) {
	many := 50
	if v := os.Getenv("VEDETTE_LIVE_SESSIONS"); v != "" {
		var err error
		if many, err = strconv.Atoi(v); err != nil || many < 1 {
			t.Fatalf("VEDETTE_LIVE_SESSIONS=%q is no number of sessions", v)
		}
	}
	s := start(t)
	s.down()
	sessions, err := live.New(t.Context(), live.Config{Store: s.store.Live(), Devices: s.devices, Blobs: s.blobs, Library: s.library, Dir: t.TempDir(),
		Log: slog.New(slog.DiscardHandler), PerCaller: many, Connect: 2 * time.Minute, Nudge: func(id ident.DeviceID) { s.gateway.Nudge(id) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sessions.Close)
	// As devices do it; every second, as other tests have it, heartbeats were all that is measured.
	s.heartbeat = time.Minute
	s.commands, s.sessions = withSessions{action.NewDispatcher(action.Config{Store: s.store.Actions(), Devices: s.devices}), sessions}, sessions
	s.up()
	answer := func(ctx context.Context, d *fleetsim.Device, c *wire.Command) link.Result {
		stream, err := d.Live(ctx, c.ID)
		if err != nil {
			return link.Result{State: "failed", Detail: err.Error()}
		}
		defer stream.Close()
		for {
			m, err := stream.Receive()
			if err != nil || m.Close {
				return link.Result{State: "verified"}
			}
			if m.Line == "" {
				continue
			}
			if stream.Send(&wirepb.LiveUp{Run: m.Run, Output: []byte(d.Name() + " did " + m.Line)}) != nil ||
				stream.Send(&wirepb.LiveUp{Run: m.Run, End: &wirepb.LiveEnd{Status: "completed"}}) != nil {
				return link.Result{State: "failed"}
			}
		}
	}
	f := s.enrolled(many, func(c *fleetsim.Config) { c.Answer = answer })
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	app := &access.Principal{Actor: ident.Actor{Kind: ident.ActorApp, ID: "app", Name: "app", Tenant: tenant}, Roles: []string{string(access.MachineLive)}, Scope: access.Everything}
	people := make([]*person, many)
	began := time.Now()
	var wg sync.WaitGroup
	for i, d := range f.Devices() {
		people[i] = &person{line: fmt.Sprint("dir /", i), inputs: make(chan live.Input, 1), done: make(chan struct{})}
		n, ticket, err := sessions.Open(t.Context(), app, live.Request{Device: ident.DeviceID(d.ID())})
		if err != nil {
			t.Fatal(err)
		}
		seat, err := sessions.Redeem(n.ID, ticket)
		if err != nil {
			t.Fatal(n.ID, err)
		}
		wg.Go(func() { _ = seat.Take(t.Context(), people[i]) })
	}
	for i, d := range f.Devices() {
		select {
		case <-people[i].done:
		case <-time.After(2 * time.Minute):
			t.Fatalf("session %d does not answer", i)
		}
		if got := people[i].said.Load(); got == nil || *got != d.Name()+" did "+people[i].line {
			t.Errorf("session %d said %v", i, got)
		}
	}
	t.Logf("%d sessions open, each with a command carried out, after %v", many, time.Since(began).Round(time.Millisecond))
	if _, _, err := sessions.Open(t.Context(), app, live.Request{Device: ident.DeviceID(f.Devices()[0].ID())}); !errs.Is(err, errs.Limited) {
		t.Errorf("one more: %v", err)
	}
	sessions.Close()
	wg.Wait()
}
