package fleetsim_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/agent/link"
	"github.com/vedette-edr/vedette/fleetsim"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/wire"
)

// stubborn hands out the same commands whatever the device says that it has, and keeps
// every result: what a replaying server, or one that forgot, does.
type stubborn struct {
	mu      sync.Mutex
	list    func(d *device.Device) []action.Command
	polls   int
	results []action.Result
	broken  int // results to refuse first
}

func (s *stubborn) Pending(_ context.Context, d *device.Device, _ []ident.ActionID) (action.Work, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.polls++
	return action.Work{Commands: s.list(d)}, nil
}

func (s *stubborn) Progress(context.Context, *device.Device, ident.ActionID, action.Progress) error {
	return nil
}

func (s *stubborn) Result(_ context.Context, _ *device.Device, r action.Result) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken > 0 {
		s.broken--
		return errors.New("the store is busy")
	}
	s.results = append(s.results, r)
	return nil
}

func (s *stubborn) snapshot() (polls int, results []action.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.polls, append([]action.Result(nil), s.results...)
}

const (
	goodID    = "aaaaaaaa-0000-0000-0000-000000000001"
	foreignID = "aaaaaaaa-0000-0000-0000-000000000002"
	expiredID = "aaaaaaaa-0000-0000-0000-000000000003"
	formerID  = "aaaaaaaa-0000-0000-0000-000000000004"
)

func hostile(d *device.Device) []action.Command {
	now := time.Now()
	good := action.Command{ID: goodID, Device: d.ID, Incarnation: d.Incarnation, Kind: "isolate", Issued: now.Add(-time.Minute), Expires: now.Add(time.Hour)}
	good.Issued, good.Expires = good.Issued.Truncate(time.Hour), good.Expires.Truncate(time.Hour).Add(time.Hour)
	foreign, expired, former := good, good, good
	foreign.ID, foreign.Device = foreignID, "ffffffffffffffffffffffffffffffffffffffff"
	expired.ID, expired.Issued, expired.Expires = expiredID, now.Add(-2*time.Hour), now.Add(-time.Hour)
	former.ID, former.Incarnation = formerID, d.Incarnation+1
	return []action.Command{good, foreign, expired, former}
}

func TestCommandsThatAreReplayedOrNotForThisDeviceAreNotCarriedOut(t *testing.T) {
	s := start(t)
	s.down()
	bad := &stubborn{list: hostile, broken: 2}
	s.commands, s.heartbeat = bad, time.Second
	s.up()
	f := s.enrolled(1, nil)
	d := f.Devices()[0]
	poll := func() {
		t.Helper()
		before, _ := bad.snapshot()
		eventually(t, "two more polls", func() bool {
			s.gateway.Nudge(ident.DeviceID(d.ID()))
			n, _ := bad.snapshot()
			return n >= before+2
		})
	}
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	poll()
	eventually(t, "four results", func() bool { _, r := bad.snapshot(); return len(r) >= 4 })
	// Replayed to an agent that was started anew.
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	poll()
	if cs := d.Commands(); len(cs) != 1 || cs[0].ID != goodID {
		t.Errorf("%d commands were carried out", len(cs))
	}
	_, results := bad.snapshot()
	states := map[ident.ActionID][]string{}
	for _, r := range results {
		states[r.ID] = append(states[r.ID], r.State)
	}
	for id, want := range map[ident.ActionID]string{goodID: "verified", foreignID: "refused", expiredID: "refused", formerID: "refused"} {
		if len(states[id]) == 0 || states[id][0] != want {
			t.Errorf("%s: results %v, want %s", id, states[id], want)
		}
	}
	if n := len(states[goodID]); n != 1 {
		t.Errorf("the good command has %d results", n)
	}
}

func TestACommandThatHangsDoesNotHoldBackContainment(t *testing.T) {
	s := start(t)
	s.down()
	s.commands = &stubborn{list: func(d *device.Device) []action.Command {
		now := time.Now().Truncate(time.Hour)
		script := action.Command{ID: goodID, Device: d.ID, Incarnation: d.Incarnation, Kind: "run-script", Issued: now, Expires: now.Add(2 * time.Hour)}
		isolate := script
		isolate.ID, isolate.Kind = foreignID, "isolate"
		return []action.Command{script, isolate}
	}}
	s.up()
	hang := make(chan struct{})
	isolated := make(chan struct{}, 1)
	d := s.enrolled(1, func(c *fleetsim.Config) {
		c.Answer = func(_ context.Context, _ *fleetsim.Device, cmd *wire.Command) link.Result {
			if cmd.Kind == "run-script" {
				<-hang
			} else {
				isolated <- struct{}{}
			}
			return link.Result{State: "verified"}
		}
	}).Devices()[0]
	t.Cleanup(func() { close(hang) })
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-isolated:
	case <-time.After(30 * time.Second):
		t.Error("isolation waits for a script that hangs")
	}
}

func TestADeviceThatTheServerForgotStopsAndSaysSo(t *testing.T) {
	s := start(t)
	f := s.enrolled(1, nil)
	again := s.fleet(1, func(c *fleetsim.Config) { c.Token = ""; c.Dir = f.Dir() })
	d := again.Devices()[0]
	if err := d.Enrol(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.store.Devices().Update(t.Context(), tenant, ident.DeviceID(d.ID()), bump); err != nil {
		t.Fatal(err)
	}
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.Emit(d.Execs(5)...)
	eventually(t, "the status says so", func() bool { return d.Status().Problem != "" })
	eventually(t, "the events are on the device's disk", func() bool { return d.Spool().Spooled == 5 })
	err := d.Close()
	if !errors.Is(err, link.ErrNotEnrolled) {
		t.Errorf("the link ended with %v", err)
	}
	if n := len(s.memory.events("")); n != 0 {
		t.Errorf("%d events came in", n)
	}
	if n := s.counted("vedette_gateway_refusals_total", string(errs.DeviceUnknown)); n == 0 {
		t.Error("no refusal is counted")
	}
}
