package action_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
)

func TestManyDevicesAtOnce(t *testing.T) {
	f := setup(t)
	ids := []ident.DeviceID{host, own, "00000000000000000000000000000000000000ff", host}
	for n := range 120 {
		id := ident.DeviceID(fmt.Sprintf("%040x", 0x1000+n))
		if err := f.store.Devices().Create(t.Context(), &device.Device{ID: id, Tenant: tenant, Name: fmt.Sprint("many", n), Incarnation: 1}); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	busy := f.request(t, action.Isolate)
	ask := action.Request{Kind: action.Isolate, Comment: "outbreak"}
	counted, err := f.Count(t.Context(), analyst, ids, ask)
	if err != nil {
		t.Fatal(err)
	}
	page, err := f.List(t.Context(), tenant, everything)
	if err != nil || len(page.Items) != 1 {
		t.Fatalf("counting asked for something: %d actions, %v", len(page.Items), err)
	}
	asked, err := f.RequestMany(t.Context(), analyst, ids, ask)
	if err != nil {
		t.Fatal(err)
	}
	want := map[ident.DeviceID]errs.Kind{host: errs.Conflict, own: errs.Denied, ids[2]: errs.NotFound}
	for name, out := range map[string][]action.Outcome{"counted": counted, "asked": asked} {
		if len(out) != len(ids)-1 {
			t.Errorf("%s: %d outcomes of %d devices", name, len(out), len(ids)-1)
		}
		for _, o := range out {
			if kind, refused := want[o.Device]; refused != (o.Err != nil) || refused && !errs.Is(o.Err, kind) {
				t.Errorf("%s: %s: %v", name, o.Device, o.Err)
			}
			if (o.Action != nil) != (name == "asked" && o.Err == nil) {
				t.Errorf("%s: %s: action %v", name, o.Device, o.Action)
			}
		}
	}
	f.want(t, busy, action.Approved, action.Pending)
	if n := len(f.nudges.list); n != 121 {
		t.Errorf("%d devices were nudged", n)
	}
	if page, err = f.List(t.Context(), tenant, everything); err != nil || page.Total != 121 {
		t.Errorf("%d actions, %v", page.Total, err)
	}
	for name, wrong := range map[string]func() error{
		"nobody": func() error { _, err := f.RequestMany(t.Context(), analyst, nil, ask); return err },
		"too many": func() error {
			_, err := f.RequestMany(t.Context(), analyst, make([]ident.DeviceID, 1001), ask)
			return err
		},
		"no reason": func() error {
			_, err := f.RequestMany(t.Context(), analyst, ids, action.Request{Kind: action.Isolate})
			return err
		},
	} {
		if err := wrong(); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUndo(t *testing.T) {
	f := setup(t)
	undo := func(a *action.Action) (*action.Action, error) {
		f.now = f.now.Add(time.Second)
		return f.Undo(t.Context(), analyst, a.ID, "false alarm", "Portal")
	}
	iso := f.request(t, action.Isolate)
	if _, err := undo(iso); !errs.Is(err, errs.Conflict) {
		t.Errorf("before the device has it: %v", err)
	}
	f.pending(t, iso.ID)
	f.result(t, iso, "verified")
	un, err := undo(iso)
	if err != nil || un.Kind != action.Unisolate || un.Undoes != iso.ID || un.Source != "Portal" {
		t.Fatalf("%+v, %v", un, err)
	}
	f.pending(t, un.ID)
	f.result(t, un, "verified")
	f.want(t, iso, action.Reverted, action.Succeeded)
	if _, err := undo(iso); !errs.Is(err, errs.Conflict) {
		t.Errorf("twice: %v", err)
	}
	if _, err := undo(un); !errs.Is(err, errs.Unsupported) {
		t.Errorf("an undo: %v", err)
	}
	scan := f.request(t, action.RunAntiVirusScan)
	if _, err := undo(scan); !errs.Is(err, errs.Unsupported) {
		t.Errorf("a scan: %v", err)
	}
	// What nobody knows the end of can be undone.
	lost := f.request(t, action.RestrictCodeExecution)
	f.pending(t, lost.ID)
	f.sweep(t, time.Hour)
	f.want(t, lost, action.Unknown, action.TimeOut)
	if un, err := undo(lost); err != nil || un.Kind != action.AllowCodeExecution {
		t.Errorf("%+v, %v", un, err)
	}
}

// everything asks for all actions, counted.
var everything = filter.Query{Top: 1000, Count: true}
