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

func (c *counter) close() error { return c.unmap() }
