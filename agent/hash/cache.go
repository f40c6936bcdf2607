package hash

import (
	"container/list"
	"sync"
)

// ID is a file in one state of its content, as the kernel knows it.
type ID struct {
	Dev   uint64 // as in stat(2)
	Ino   uint64
	MTime int64 // ns since the epoch
	CTime int64 // ns since the epoch
	Size  int64 // bytes
}

// Sums are a file's digests in lower-case hexadecimal.
type Sums struct {
	SHA1   string
	SHA256 string
	MD5    string
}

// cache is a bounded map that forgets what was not asked for the longest.
type cache struct {
	mu    sync.Mutex
	max   int
	byID  map[ID]*list.Element
	order list.List // of *cached, latest use first
}

type cached struct {
	id   ID
	sums Sums
}

func newCache(size int) *cache {
	return &cache{max: size, byID: make(map[ID]*list.Element)}
}

func (c *cache) get(id ID) (Sums, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	el, ok := c.byID[id]
	if !ok {
		return Sums{}, false
	}
	c.order.MoveToFront(el)
	return el.Value.(*cached).sums, true
}

func (c *cache) put(id ID, s Sums) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if el, ok := c.byID[id]; ok {
		el.Value.(*cached).sums = s
		return
	}
	if c.order.Len() >= c.max {
		last := c.order.Back()
		delete(c.byID, last.Value.(*cached).id)
		c.order.Remove(last)
	}
	c.byID[id] = c.order.PushFront(&cached{id: id, sums: s})
}

// matching returns the files whose digests match, those asked for last first.
func (c *cache) matching(match func(Sums) bool) []ID {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []ID
	for e := c.order.Front(); e != nil; e = e.Next() {
		if f := e.Value.(*cached); match(f.sums) {
			out = append(out, f.id)
		}
	}
	return out
}
