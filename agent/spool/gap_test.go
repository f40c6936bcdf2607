package spool_test

import (
	"sync"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/schema/event"
)

// hand is a clock that a test sets.
type hand struct {
	mu  sync.Mutex
	now time.Time
}

func (h *hand) read() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *hand) set(t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = t
}

// TestPausesCoverWhatSensorsStillHeld opens and closes a spool as an agent does and
// expects each time in which something may have gone unseen to lie in a gap.
func TestPausesCoverWhatSensorsStillHeld(t *testing.T) {
	base := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(seconds float64) time.Time { return base.Add(time.Duration(seconds * float64(time.Second))) }
	clock := &hand{now: base}
	c := config(t.TempDir())
	c.Clock = clock.read
	var gaps []event.Gap
	run := func(from, watches, until float64, delay time.Duration) {
		clock.set(at(from))
		s := open(t, c)
		if watches > 0 {
			clock.set(at(watches))
			s.Watching()
		}
		clock.set(at(until))
		e := numbered(0, 0, "")
		e.Time = clock.read().Add(-delay)
		s.Emit(e)
		eventually(t, "the event is on disk", func() bool { return s.Stats().Spooled == 1 })
		gaps = append(gaps, drain(t, s, true).gaps...)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	run(0, 1, 100, 0)
	if len(gaps) > 0 {
		t.Fatalf("a device that was just enrolled begins with gaps: %v", gaps)
	}
	run(200, 203, 300, 5*time.Second) // its events came five seconds late
	run(400, 0, 500, 0)               // was stopped before its sensors watched
	run(600, 601, 700, time.Hour)     // a record of the past is no delay
	run(800, 801, 900, 0)
	for _, want := range [][2]float64{
		{98, 203},  // 2 s before the stop until the sensors watched
		{290, 600}, // twice the delay before the stop; the third run saw nothing
		{600, 601},
		{698, 801},
	} {
		for x := want[0]; x < want[1]; x += 0.5 {
			if !covered(gaps, at(x)) {
				t.Errorf("second %v is in no gap", x)
				break
			}
		}
	}
	for _, x := range []float64{50, 250, 650, 850} {
		if covered(gaps, at(x)) {
			t.Errorf("second %v is in a gap", x)
		}
	}
}

func covered(gaps []event.Gap, t time.Time) bool {
	for _, g := range gaps {
		if !t.Before(g.From) && !t.After(g.To) {
			return true
		}
	}
	return false
}
