package name

import (
	"context"
	"maps"
	"net/netip"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/agent/enforce/address"
)

// Bounds of what is kept of answers.
const (
	maxKnown = 16384 // addresses
	maxNames = 16    // of one address
	minGood  = 30 * time.Second
	maxGood  = 6 * time.Hour
)

type answer struct {
	name string
	addr netip.Addr
	ttl  time.Duration
}

// Resolved notes that a name leads to an address for ttl. It returns at once; when answers
// come faster than they can be looked at, some are left out, and counted.
func (b *Blocker) Resolved(name string, addr netip.Addr, ttl time.Duration) {
	select {
	case b.answers <- answer{strings.ToLower(name), addr.Unmap(), ttl}:
	default:
		b.mu.Lock()
		b.missed++
		b.mu.Unlock()
	}
}

// known is which names lead to which address, and until when.
type known struct {
	b       *Blocker
	names   map[netip.Addr]map[string]time.Time
	blocked map[netip.Addr]time.Time
}

// learn keeps the addresses of blocked names blocked until ctx ends. An address to which a
// name leads that is not blocked is left alone: many sites share one, and connections to
// the blocked one are told apart by the names they send.
func (b *Blocker) learn(ctx context.Context) {
	k := &known{b: b, names: map[netip.Addr]map[string]time.Time{}, blocked: map[netip.Addr]time.Time{}}
	t := time.NewTicker(time.Minute)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case a := <-b.answers:
			k.note(a, time.Now())
		case <-b.review:
			for addr := range k.names {
				k.settle(addr, time.Now())
			}
		case now := <-t.C:
			k.sweep(now)
		}
	}
}

func (k *known) note(a answer, now time.Time) {
	if k.names[a.addr] == nil {
		if len(k.names) >= maxKnown {
			k.evict()
		}
		k.names[a.addr] = map[string]time.Time{}
	}
	names := k.names[a.addr]
	if _, ok := names[a.name]; !ok && len(names) >= maxNames {
		for n := range names { // whichever comes first in the map's random order
			delete(names, n)
			break
		}
	}
	names[a.name] = now.Add(min(max(a.ttl, minGood), maxGood))
	k.settle(a.addr, now)
}

// evict makes room: an eighth of all, those that are not blocked.
func (k *known) evict() {
	n := 0
	for addr := range k.names {
		if _, blocked := k.blocked[addr]; blocked && n < maxKnown/2 {
			n++
			continue
		}
		k.forget(addr)
		delete(k.names, addr)
		if len(k.names) <= maxKnown-maxKnown/8 {
			return
		}
	}
}

func (k *known) sweep(now time.Time) {
	for addr, names := range k.names {
		maps.DeleteFunc(names, func(_ string, until time.Time) bool { return !now.Before(until) })
		k.settle(addr, now)
		if len(names) == 0 {
			delete(k.names, addr)
		}
	}
}

// settle blocks an address, or lets go of it.
func (k *known) settle(addr netip.Addr, now time.Time) {
	if k.b.cfg.Addresses == nil {
		return
	}
	var until time.Time
	var by address.Learned
	for n, good := range k.names[addr] {
		if !now.Before(good) {
			continue
		}
		r, err := k.b.Decide(n)
		if err != nil || !r.Verdict.Blocks() {
			until = time.Time{}
			break
		}
		if good.After(until) {
			until, by = good, address.Learned{Addr: addr, Name: n, ID: r.ID}
		}
	}
	if until.IsZero() {
		k.forget(addr)
		return
	}
	if k.blocked[addr].Equal(until) {
		return
	}
	by.For = until.Sub(now)
	if k.b.cfg.Addresses.Learn(by) == nil {
		k.blocked[addr] = until
		k.count()
	}
}

func (k *known) forget(addr netip.Addr) {
	if _, ok := k.blocked[addr]; !ok {
		return
	}
	if k.b.cfg.Addresses.Forget(addr) == nil {
		delete(k.blocked, addr)
		k.count()
	}
}

func (k *known) count() {
	k.b.mu.Lock()
	k.b.learned = len(k.blocked)
	k.b.mu.Unlock()
}
