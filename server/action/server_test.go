package action_test

import (
	"context"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// TestWhatTheServerCarriesOut moves an action of a kind of the server's own: no device hears
// of it, only steps that follow are taken, and the timer leaves it to whoever carries it out.
func TestWhatTheServerCarriesOut(t *testing.T) {
	f := setup(t)
	a, b := f.request(t, action.AskExpert), f.request(t, action.AskExpert) // several at a time
	if ids := f.pending(t); len(ids) != 0 || len(f.nudges.list) != 0 {
		t.Errorf("the device was told of %v, nudged %v", ids, f.nudges.list)
	}
	carry := func(id ident.ActionID, to action.State, follows string) {
		t.Helper()
		_, err := f.dispatch.Carry(t.Context(), tenant, id, to, "expert", "because", nil)
		if follows == "" && err != nil || follows != "" && !errs.Is(err, errs.Conflict) {
			t.Errorf("to %s: %v, want %q", to, err, follows)
		}
	}
	for _, to := range []action.State{action.Applied, action.Verified, action.Cancelled, action.Requested, action.Unknown} {
		carry(a.ID, to, "a conflict")
	}
	carry(a.ID, action.Delivered, "")
	carry(a.ID, action.Delivered, "a conflict")
	if err := f.dispatch.Tell(t.Context(), tenant, a.ID, "halfway"); err != nil {
		t.Error(err)
	}
	carry(a.ID, action.Applied, "")
	f.now = f.now.Add(30 * 24 * time.Hour)
	if err := f.dispatch.Sweep(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	if got, err := f.Get(t.Context(), tenant, a.ID); err != nil || got.State != action.Applied {
		t.Errorf("the timer moved it to %s, %v", got.State, err)
	}
	if got, err := f.Get(t.Context(), tenant, b.ID); err != nil || got.State != action.Expired {
		t.Errorf("one that nobody began with is %s, %v", got.State, err)
	}
	// Asked to stop, it goes on until whoever carries it out says what came of it.
	if _, err := f.Cancel(t.Context(), analyst, a.ID, "no more"); err != nil {
		t.Fatal(err)
	}
	carry(a.ID, action.Cancelled, "")
	carry(a.ID, action.Verified, "a conflict")
	scan := f.request(t, action.RunAntiVirusScan)
	carry(scan.ID, action.Delivered, "a conflict") // its device's
}

// TestActionsTogetherAreAllOrNone asks for two things of which one cannot be.
func TestActionsTogetherAreAllOrNone(t *testing.T) {
	f := setup(t)
	ask := []action.Request{{Device: host, Kind: action.CollectPackage, Comment: "x"}, {Device: host, Kind: action.AskExpert, Comment: "x"}}
	no := errs.New("x", errs.Conflict, errs.BadRequest, "no")
	if _, err := f.RequestTogether(t.Context(), analyst, ask, func(context.Context, []*action.Action) error { return no }); !errs.Is(err, errs.Conflict) {
		t.Errorf("an error of the last of it: %v", err)
	}
	if open, err := f.store.Actions().OpenActions(t.Context(), tenant, host); err != nil || len(open) != 0 {
		t.Errorf("%d actions were kept, %v", len(open), err)
	}
	as, err := f.RequestTogether(t.Context(), analyst, ask, func(context.Context, []*action.Action) error { return nil })
	if err != nil || len(as) != 2 || as[0].Kind != action.CollectPackage || len(f.nudges.list) != 1 {
		t.Errorf("%d actions, %d nudges, %v", len(as), len(f.nudges.list), err)
	}
}

// TestALiveResponseIsBarredWhereSessionsAre asks for one on a device whose group has none.
func TestALiveResponseIsBarredWhereSessionsAre(t *testing.T) {
	f := setup(t)
	s := action.NewService(action.Config{Store: f.store.Actions(), Devices: f.store.Devices(), Audit: f.log, Atomic: f.store.Atomic,
		Barred: func(_ context.Context, d *device.Device) (string, error) {
			if d.ID == host {
				return "its group has no live response", nil
			}
			return "", nil
		}})
	ask := func(id ident.DeviceID, k action.Kind) error {
		_, err := s.Request(t.Context(), person("ana"), action.Request{Device: id, Kind: k, Comment: "x", Commands: []action.LiveCommand{{Kind: action.GetFile, Params: []action.Param{{Key: "Path", Value: "/a"}}}}})
		return err
	}
	if err := ask(host, action.LiveResponse); !errs.Is(err, errs.Denied) {
		t.Errorf("a live response: %v", err)
	}
	if err := ask(own, action.LiveResponse); err != nil {
		t.Errorf("on another device: %v", err)
	}
	if err := ask(host, action.RunAntiVirusScan); err != nil {
		t.Errorf("another action: %v", err)
	}
	rs, err := f.log.Records(t.Context(), tenant, 0, 10)
	if err != nil || len(rs) == 0 || rs[0].Outcome != "denied" {
		t.Errorf("recorded %+v, %v", rs, err)
	}
}
