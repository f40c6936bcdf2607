package ingest

import "time"

// clock is what is known of one device's clock.
type clock struct {
	offset time.Duration // server minus device
	known  bool
}

// A measurement that is further off than jump is a clock that was set; nearer ones differ
// by the network's delay and are smoothed.
const (
	jump   = time.Second
	smooth = 8
)

// measure takes one measurement and returns the offset to go by. The delay of the network
// makes every measurement too large, never too small, so one that is lower counts at once.
func (c *clock) measure(m time.Duration) time.Duration {
	switch d := m - c.offset; {
	case !c.known, d > jump, d < 0:
		c.offset = m
	default:
		c.offset += d / smooth
	}
	c.known = true
	return c.offset
}
