package spool

import (
	"sync/atomic"
	"time"
	"unsafe"
)

// counter is a page of a file, mapped and shared: what it says outlasts the death of the
// process by any means, though not that of the machine.
type counter struct {
	page  []byte
	unmap func() error
}

const counterSize = 4096

func openCounter(name string) (*counter, error) {
	page, unmap, err := mapFile(name, counterSize)
	if err != nil {
		return nil, err
	}
	return &counter{page: page, unmap: unmap}, nil
}

func (c *counter) word(i int) *uint64 { return (*uint64)(unsafe.Pointer(&c.page[8*i])) }

// add counts n events, the last of them at t.
func (c *counter) add(n uint64, t time.Time) {
	atomic.AddUint64(c.word(0), n)
	atomic.StoreUint64(c.word(1), uint64(t.UnixNano()))
}

func (c *counter) set(n uint64)    { atomic.StoreUint64(c.word(0), n) }
func (c *counter) emitted() uint64 { return atomic.LoadUint64(c.word(0)) }

// alive notes that the agent runs at t.
func (c *counter) alive(t time.Time) { atomic.StoreUint64(c.word(1), uint64(t.UnixNano())) }

// last is when the agent was last known to run; zero for never.
func (c *counter) last() time.Time {
	n := int64(atomic.LoadUint64(c.word(1)))
	if n <= 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// The delays between what happened and its emission that are taken note of; what took
// longer was no delay but a record of the past.
const (
	minSlack = 2 * time.Second
	maxDelay = time.Minute
)

// delayed notes how long an event was on its way to the spool.
func (c *counter) delayed(d time.Duration) {
	for {
		old := atomic.LoadUint64(c.word(2))
		if d > maxDelay || d <= time.Duration(old) || atomic.CompareAndSwapUint64(c.word(2), old, uint64(d)) {
			return
		}
	}
}

// forget lets delays of long ago fade.
func (c *counter) forget() {
	old := atomic.LoadUint64(c.word(2))
	atomic.CompareAndSwapUint64(c.word(2), old, old-old/8)
}

// slack is how long before the agent's last sign of life things may have happened that
// were still on their way to the spool then.
func (c *counter) slack() time.Duration {
	return max(minSlack, 2*min(time.Duration(atomic.LoadUint64(c.word(2))), maxDelay))
}

// watch notes whether the sensors have said that they watch.
func (c *counter) watch(yes bool) {
	n := uint64(0)
	if yes {
		n = 1
	}
	atomic.StoreUint64(c.word(3), n)
}

func (c *counter) watching() bool { return atomic.LoadUint64(c.word(3)) == 1 }

func (c *counter) close() error { return c.unmap() }
