package demo

import (
	"sync"
	"time"
)

// Clock is a clock that can be set ahead. It never goes back by Set, and between two Sets
// it goes on as time does. The zero Clock is the real time.
type Clock struct {
	mu     sync.Mutex
	offset time.Duration // what is added to the real time; never above 0
}

// Now is the time by this clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset)
}

// Set sets the clock to t, which is not in the future of the real time. Once it was read,
// only a later time than its own has an effect.
func (c *Clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if offset := min(0, time.Until(t)); c.offset == 0 || offset > c.offset {
		c.offset = offset
	}
}

// Release makes it the real time from now on.
func (c *Clock) Release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset = 0
}
