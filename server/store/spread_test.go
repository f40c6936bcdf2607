package store_test

import (
	"slices"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/store"
	"github.com/vedette-edr/vedette/server/vulnerability"
)

// TestALongCountHoldsNobodyUp changes what devices hold where counting takes a minute: for
// twenty minutes lists answer from the last count, and then count in the background.
func TestALongCountHoldsNobodyUp(t *testing.T) {
	ctx, now := t.Context(), time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	s, err := store.Open(ctx, store.Config{Dir: t.TempDir(), Clock: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	v := s.Vulnerabilities()
	hold := func(id string) {
		t.Helper()
		d := &device.Device{ID: ident.DeviceID(id), Tenant: tenant}
		if err := s.Devices().Create(ctx, d); err != nil {
			t.Fatal(err)
		}
		_, err := v.PutSoftware(ctx, tenant, d.ID, vulnerability.SoftwareChange{Digest: "00", At: now,
			Put: []vulnerability.PutSoftware{{Key: "k", Software: &vulnerability.Software{ID: "s", Product: "p", Vendor: "v", Name: "p", Version: "1"}}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	want := func(when string, ns ...int64) {
		t.Helper()
		page, err := v.Products(ctx, tenant, vulnerability.Narrow{}, filter.Query{})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Items) != 1 || !slices.Contains(ns, page.Items[0].Installed) {
			t.Errorf("%s: %+v, want one product on %d devices", when, page.Items, ns)
		}
	}
	hold("a")
	want("counted for the first time", 1)
	hold("b")
	want("a quick count is done at once", 2)
	hold("c")
	if err := s.CountTook(ctx, tenant, time.Minute); err != nil {
		t.Fatal(err)
	}
	now = now.Add(20 * time.Minute)
	want("a long one is good for twenty times as long", 2)
	s.Counted()
	want("and nothing was counted", 2)
	now = now.Add(time.Second)
	want("then whoever asks waits for no count", 2, 3) // 3 when the count behind it was faster
	s.Counted()
	want("while it is counted anew", 3)
}
