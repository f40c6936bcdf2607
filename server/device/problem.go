package device

import (
	"fmt"
	"time"
)

// Problems says in words for people what is wrong with the device, the most important
// first; it is empty, not nil, when all is well.
func (d *Device) Problems() []string {
	out := []string{}
	if d.Clone != nil {
		out = append(out, fmt.Sprintf("Two copies of this device spoke with one identity on %s: each was told to enrol again. Look for a cloned disk or a stolen key.",
			d.Clone.At.UTC().Format(time.RFC3339)))
	}
	if d.ClockWrong() {
		side := "behind"
		if d.Offset < 0 {
			side = "ahead of"
		}
		out = append(out, fmt.Sprintf("The device's clock is %s %s the server's: Timestamp is corrected, RawTimestamp keeps the device's reading. Set the clock.",
			d.Offset.Abs().Round(time.Second), side))
	}
	if d.Spool.Dropped > 0 {
		out = append(out, fmt.Sprintf("The device dropped %d events since its agent started: see VedetteTelemetryGaps.", d.Spool.Dropped))
	}
	for _, f := range d.Facilities {
		if f.State == "working" {
			continue
		}
		text := f.Name + " is " + f.State
		if f.Detail != "" {
			text += ": " + f.Detail
		}
		if f.Remedy != "" {
			text += " (to mend it: " + f.Remedy + ")"
		}
		out = append(out, text)
	}
	return out
}
