package fleetsim_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/agent/link"
	"github.com/vedette-edr/vedette/agent/responder"
	"github.com/vedette-edr/vedette/fleetsim"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/wire"
)

var analyst = access.System(tenant, "analyst")

// request asks for an action on a device.
func (s *server) request(d *fleetsim.Device, k action.Kind) *action.Action {
	s.t.Helper()
	a, err := s.actions.Request(s.t.Context(), analyst, action.Request{Device: ident.DeviceID(d.ID()), Kind: k, Comment: "because"})
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// action returns how an action stands.
func (s *server) action(id ident.ActionID) *action.Action {
	s.t.Helper()
	a, err := s.actions.Get(s.t.Context(), tenant, id)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// TestProgressAndTheWishToStopGoTheWholeWay follows both over the wire, between the server's
// own action machine and the agent's own link.
func TestProgressAndTheWishToStopGoTheWholeWay(t *testing.T) {
	s := start(t)
	began := make(chan string, 10)
	d := s.enrolled(1, func(c *fleetsim.Config) {
		c.Answer = func(ctx context.Context, d *fleetsim.Device, cmd *wire.Command) link.Result {
			d.Progress(cmd.ID, responder.Progress{Percent: 20, Detail: "at it", Numbers: json.RawMessage(`{"files":20}`)})
			began <- cmd.Kind
			if cmd.Kind != "runantivirusscan" {
				return link.Result{State: "verified"}
			}
			for n := 21; ; n++ { // a scan that never ends by itself
				select {
				case <-ctx.Done():
					return link.Result{State: "failed", Detail: context.Cause(ctx).Error()}
				case <-time.After(time.Millisecond):
					d.Progress(cmd.ID, responder.Progress{Percent: min(n, 99)})
				}
			}
		}
	}).Devices()[0]
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	scan := s.request(d, action.RunAntiVirusScan)
	<-began
	eventually(t, "progress on the server", func() bool {
		p := s.action(scan.ID).Progress
		return p != nil && p.Percent >= 20
	})
	eventually(t, "further progress", func() bool { return s.action(scan.ID).Progress.Percent > 30 })
	// A scan that goes on holds nothing back, and one that waits behind it is cancelled too.
	other := s.request(d, action.Isolate)
	eventually(t, "isolation beside the scan", func() bool { return s.action(other.ID).State == action.Verified })

	got, err := s.actions.Cancel(t.Context(), analyst, scan.ID, "takes too long")
	if err != nil || got.State != action.Delivered {
		t.Fatalf("%+v, %v", got, err)
	}
	eventually(t, "the scan's end", func() bool { return !s.action(scan.ID).State.Open() })
	if a := s.action(scan.ID); a.State != action.Cancelled || a.Steps[len(a.Steps)-1].Actor != a.DeviceName {
		t.Errorf("the scan is %s: %+v", a.State, a.Steps)
	}
	// The device is as able as before.
	again := s.request(d, action.RunAntiVirusScan)
	<-began
	<-began
	if s.action(again.ID).State.Status() != action.InProgress {
		t.Errorf("the second scan is %s", s.action(again.ID).State)
	}
}
