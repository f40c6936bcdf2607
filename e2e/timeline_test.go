package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/schema/event"
)

// TestATimelineGoesAnywhere has a browser jump and scroll in a timeline that is longer than
// a scroll bar can be, of a device that sends many events at one instant: what is shown is
// the server's own list, each event once.
func TestATimelineGoesAnywhere(t *testing.T) {
	const events, span = 240_000, 3 * 24 * time.Hour
	s := startServer(t)
	first := time.Now().Add(-span - time.Hour)
	device := loadEvents(t, s, events, func(n int, e *event.Event) {
		p := *e.Process
		p.CommandLine = fmt.Sprintf("step #%d#", n)
		e.Process = &p
		// Seven at an instant, and thousands at another: more than are read at once.
		at := n / 7 * 7
		if n > events/2 && n < events/2+3000 {
			at = events / 2
		}
		e.Time = first.Add(span / events * time.Duration(at))
	})
	journey(t, "", "https://"+s.addr, s.profile, "timeline", "DEVICE="+device, fmt.Sprint("EVENTS=", events))
}
