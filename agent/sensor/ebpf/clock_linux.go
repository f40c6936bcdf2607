package ebpf

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// clock turns the kernel's boot time into wall-clock time. The wall clock may be set at any
// moment, so the distance between the two is measured again and again.
type clock struct {
	now  func() time.Time
	boot atomic.Int64 // wall-clock ns at which boot time was 0
}

func newClock(now func() time.Time) *clock {
	c := &clock{now: now}
	c.adjust()
	return c
}

// adjust measures the distance. Two readings in a row err by the time between them, which
// would make one instant wander by microseconds: a change below 1 ms is not taken over.
func (c *clock) adjust() {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return
	}
	at := c.now().UnixNano() - ts.Nano()
	if d := at - c.boot.Load(); d > int64(time.Millisecond) || d < -int64(time.Millisecond) {
		c.boot.Store(at)
	}
}

// wall returns the instant at ns after boot.
func (c *clock) wall(ns uint64) time.Time { return time.Unix(0, c.boot.Load()+int64(ns)).UTC() }
