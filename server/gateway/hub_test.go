package gateway

import (
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/device"
)

func woken(w *watcher) bool {
	select {
	case <-w.wake:
		return true
	default:
		return false
	}
}

func TestNudgesReachTheOneTheyAreForAndMerge(t *testing.T) {
	h := newHub()
	a := &device.Device{ID: "a", Tenant: "t1"}
	b := &device.Device{ID: "b", Tenant: "t2"}
	wa, wb := h.add(a), h.add(b)
	h.commands("a")
	h.commands("a")
	h.indicators("t1", 7)
	h.indicators("t1", 8)
	h.commands("nobody")
	if !woken(wa) || woken(wa) || woken(wb) {
		t.Error("the nudges of one device do not wake it once, or wake another")
	}
	if commands, revision := h.take(wa); !commands || revision != 8 {
		t.Errorf("taken: %v, %d", commands, revision)
	}
	if commands, revision := h.take(wa); commands || revision != 0 {
		t.Errorf("taken twice: %v, %d", commands, revision)
	}
}

func TestANewWatchTakesThePlaceOfTheOld(t *testing.T) {
	h := newHub()
	d := &device.Device{ID: "a", Tenant: "t"}
	old := h.add(d)
	next := h.add(d)
	select {
	case <-old.gone:
	default:
		t.Error("the old watch goes on")
	}
	h.remove(d.ID, old)
	if !h.has(d.ID) {
		t.Error("the end of the old watch removed the new one")
	}
	h.close()
	h.close()
	for _, w := range []*watcher{next, h.add(d)} {
		select {
		case <-w.gone:
		default:
			t.Error("a watch outlives its hub")
		}
	}
}

func TestEnrolmentIsLimitedByAddress(t *testing.T) {
	now := time.Unix(1000, 0)
	l := newLimits(2, func() time.Time { return now })
	count := func(address string) (n int) {
		for range 100 {
			if l.allow(address) {
				n++
			}
		}
		return n
	}
	if n := count("192.0.2.1"); n != 2*burst+1 {
		t.Errorf("%d at once from one address", n)
	}
	if n := count("192.0.2.2"); n != 2*burst+1 {
		t.Errorf("%d at once from another", n)
	}
	now = now.Add(time.Second)
	if n := count("192.0.2.1"); n != 2 {
		t.Errorf("%d a second later", n)
	}
}
