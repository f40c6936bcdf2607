package ioc

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/indicator"
	"github.com/vedette-edr/vedette/server/telemetry"
)

// Tallies keeps what was seen of indicators; an indicator.TallyStore is one.
type Tallies interface {
	// AddTallies adds all or, with an error, none.
	AddTallies(ctx context.Context, ts []indicator.Tally) error
}

// Bounds on what waits to be written, and on the devices whose last batch is known.
const (
	maxTallies  = 1 << 16
	maxSequence = 1 << 16
	flushAtOnce = 1000 // in one transaction
)

// tally counts sightings until they are written. Matching only adds to a map; a batch that
// is sent again counts once, unless the server was started in between.
type tally struct {
	store     Tallies
	uncounted atomic.Uint64
	flushing  sync.Mutex // one flush at a time

	mu      sync.Mutex
	pending map[indicator.TallyKey]*indicator.Tally
	last    map[deviceKey]uint64 // highest sequence counted
}

func newTally(s Tallies) *tally {
	return &tally{store: s, pending: map[indicator.TallyKey]*indicator.Tally{}, last: map[deviceKey]uint64{}}
}

// counting is the counts of one batch; nil where nothing is to be counted.
type counting struct {
	tally *tally
	batch *telemetry.Batch
	found []indicator.Tally
}

// begin returns nil for a batch that was counted before.
func (t *tally) begin(b *telemetry.Batch) *counting {
	if t.store == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if last, ok := t.last[deviceKey{b.Device, b.Incarnation}]; ok && b.Sequence <= last {
		return nil
	}
	return &counting{tally: t, batch: b}
}

// add counts a hit.
func (c *counting) add(h *hit, e *event.Event, raised bool) {
	if c == nil {
		return
	}
	w := h.value.ref.row()
	x := indicator.Tally{Matches: 1, First: seenAt(c.batch, e)}
	x.Last = x.First
	x.TallyKey = indicator.TallyKey{Tenant: c.batch.Tenant, Noun: indicator.AnIOC, ID: w.id(), Device: c.batch.Device}
	if w.indicator() {
		x.Noun = indicator.AnIndicator
		if did := enforcementOf(e); did.indicator == 0 || did.indicator == w.id() {
			x.Matches += did.repeated
			if did.blocked {
				x.Blocks = 1 + did.repeated
			}
		}
	}
	if raised {
		x.Alerts = 1
	}
	c.found = append(c.found, x)
}

// seenAt is when an event was, by the server's clock and not after it came in.
func seenAt(b *telemetry.Batch, e *event.Event) time.Time {
	at := e.Time.UTC()
	if b.Offset > skew || b.Offset < -skew {
		at = at.Add(b.Offset)
	}
	if !b.Received.IsZero() && at.After(b.Received) {
		at = b.Received.UTC()
	}
	return at
}

// end adds the batch's counts to what waits.
func (c *counting) end() {
	if c == nil {
		return
	}
	t := c.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	k := deviceKey{c.batch.Device, c.batch.Incarnation}
	if _, ok := t.last[k]; !ok && len(t.last) >= maxSequence {
		for old := range t.last {
			delete(t.last, old)
			break
		}
	}
	t.last[k] = max(t.last[k], c.batch.Sequence)
	for i := range c.found {
		t.put(&c.found[i])
	}
}

// put is called with mu held.
func (t *tally) put(x *indicator.Tally) {
	have := t.pending[x.TallyKey]
	if have == nil {
		if len(t.pending) >= maxTallies {
			t.uncounted.Add(uint64(x.Matches))
			return
		}
		t.pending[x.TallyKey] = x
		return
	}
	have.Add(x)
}

// Flush writes what was counted since the last time. When that fails it waits for the
// next.
func (m *Matcher) Flush(ctx context.Context) error {
	t := m.tally
	if t.store == nil {
		return nil
	}
	t.flushing.Lock()
	defer t.flushing.Unlock()
	t.mu.Lock()
	taken := t.pending
	t.pending = map[indicator.TallyKey]*indicator.Tally{}
	t.mu.Unlock()
	if len(taken) == 0 {
		return nil
	}
	list := make([]indicator.Tally, 0, len(taken))
	for _, x := range taken {
		list = append(list, *x)
	}
	for len(list) > 0 {
		n := min(len(list), flushAtOnce)
		if err := t.store.AddTallies(ctx, list[:n]); err != nil {
			t.mu.Lock()
			defer t.mu.Unlock()
			for i := range list {
				t.put(&list[i])
			}
			return errs.Wrap("ioc.Flush", err)
		}
		list = list[n:]
	}
	return nil
}
