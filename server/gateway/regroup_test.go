package gateway

import (
	"testing"

	"github.com/vedette-edr/vedette/server/device"
)

// TestAMovedDeviceNeedsEverything: what a device has counts only in the group that it got
// it in, and a move changes the number that it is told.
func TestAMovedDeviceNeedsEverything(t *testing.T) {
	for _, c := range []struct{ had, now, revision, want uint64 }{
		{0, 0, 7, 7}, {1, 1, 7, 7}, {0, 1, 7, 0}, {1, 2, 7, 0}, {2, 1, 7, 0}, {0, 1, 0, 0}, {regroupedMask, regroupedMask, 7, 7},
	} {
		number := announce(c.had, c.revision)
		d := &device.Device{Regrouped: c.now}
		if got := applied(d, number); got != c.want {
			t.Errorf("a set of revision %d, had after %d moves, is worth %d after %d, want %d", c.revision, c.had, got, c.now, c.want)
		}
		if c.had != c.now && announce(c.now, c.revision) == number {
			t.Errorf("after %d and %d moves the device is told the same number", c.had, c.now)
		}
	}
	h := newHub()
	d := &device.Device{ID: "d", Tenant: "t"}
	w := h.add(d)
	h.indicators("t", 5)
	if _, got := h.take(w); got != 5 {
		t.Errorf("announced %d, want 5", got)
	}
	h.moved(&device.Device{ID: "d", Tenant: "t", Regrouped: 1}, 5)
	if _, got := h.take(w); got != announce(1, 5) {
		t.Errorf("after a move: %d", got)
	}
	h.indicators("t", 6)
	if _, got := h.take(w); got != announce(1, 6) {
		t.Errorf("after a change: %d", got)
	}
}
