package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/library"
)

// TestOnlyWhatNothingRefersToIsSwept has contents of a library file, of an action's result,
// of both, of a result that is too old, and of nobody, as a crash leaves one.
func TestOnlyWhatNothingRefersToIsSwept(t *testing.T) {
	s := newSite(t)
	ctx, c := t.Context(), s.control
	tenants, err := c.store.Access().Tenants(ctx)
	if err != nil {
		t.Fatal(err)
	}
	tenant := tenants[0].ID
	by := access.System(tenant, "test")
	d := &device.Device{ID: ident.DeviceID(strings.Repeat("1", 40)), Tenant: tenant, Name: "web", Incarnation: 1}
	if err := c.store.Devices().Create(ctx, d); err != nil {
		t.Fatal(err)
	}
	put := func(text string, hours int) string {
		t.Helper()
		sum, _, err := c.blobs.Put(strings.NewReader(text), 100)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(-time.Duration(hours) * time.Hour)
		if err := os.Chtimes(filepath.Join(s.cfg.DataDir, "blob", sum[:2], sum), at, at); err != nil {
			t.Fatal(err)
		}
		return sum
	}
	file := func(name, text string) {
		t.Helper()
		if _, err := c.library.Put(ctx, by, library.Upload{Name: name, Content: strings.NewReader(text)}); err != nil {
			t.Fatal(err)
		}
	}
	result := func(id string, sum string, days int) {
		t.Helper()
		at := time.Now().AddDate(0, 0, -days)
		if err := c.store.Actions().CreateAction(ctx, &action.Action{ID: ident.ActionID(id), Tenant: tenant, Device: d.ID, Kind: action.LiveResponse,
			State: action.Verified, Created: at, Updated: at, Incarnation: 1, Artifacts: []action.Artifact{{Name: "f", SHA256: sum, Size: 3}}}); err != nil {
			t.Fatal(err)
		}
	}
	file("one", "of the library")
	file("two", "of both")
	inLibrary, both := put("of the library", 9), put("of both", 9)
	young, old := put("of a young result", 9), put("of an old result", 9)
	crashed, fresh := put("of a crash", 9), put("of somebody who is about to name it", 0)
	result("00000000-0000-4000-8000-000000000001", both, 1)
	result("00000000-0000-4000-8000-000000000002", young, 29)
	result("00000000-0000-4000-8000-000000000003", old, 31)
	kept := func(when string, want map[string]bool) {
		t.Helper()
		if err := c.sweepBlobs(ctx); err != nil {
			t.Fatal(err)
		}
		for sum, is := range want {
			f, err := c.blobs.Open(sum)
			if (err == nil) != is {
				t.Errorf("%s: content %.8s is there: %t, want %t", when, sum, err == nil, is)
			}
			if err == nil {
				_ = f.Close()
			}
		}
	}
	kept("at first", map[string]bool{inLibrary: true, both: true, young: true, old: false, crashed: false, fresh: true})
	for _, name := range []string{"one", "two"} {
		if err := c.library.Delete(ctx, by, name); err != nil {
			t.Fatal(err)
		}
	}
	kept("with the library empty", map[string]bool{inLibrary: false, both: true, young: true, fresh: true})
	a, err := c.store.Actions().Action(ctx, tenant, "00000000-0000-4000-8000-000000000003")
	if err != nil || len(a.Artifacts) != 0 {
		t.Errorf("the old action still names its result: %v %v", a, err)
	}
}
