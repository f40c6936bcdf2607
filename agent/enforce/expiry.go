package enforce

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// horizon is how far ahead expiries are listed; beyond it the set is looked through again.
const horizon = 10 * 60

// maxDue bounds the list, unless more than that expires within one second.
const maxDue = 100_000

// expiry lists the addresses and names that expire next, so that nobody has to look through
// a million entries each second. Files need no list: they are looked up when they are asked
// about. Times are Unix seconds.
type expiry struct {
	from  int64 // what expired until here has been dealt with
	until int64 // the list is complete to here
	due   []dueKey
	stale bool // something came that may belong into the list
}

type dueKey struct {
	at   int64
	kind kind
	key  string
}

// pushed are the kinds that are handed out, and so have to be taken back.
var pushed = [...]kind{kindAddress, kindDomain, kindURL}

// restart begins again at now: what has expired by then is not in force.
func (x *expiry) restart(now int64) { *x = expiry{from: now, until: now, stale: true} }

// came notes a changed entry.
func (x *expiry) came(e *entry) { x.stale = x.stale || e.expires != 0 }

// list looks through the state for what expires until now + horizon.
func (x *expiry) list(s *state, now int64) {
	x.due, x.stale = x.due[:0], false
	x.until = now + horizon
	full := 2 * maxDue
	for _, k := range pushed {
		s.expiring(k, func(at int64, key []byte) {
			if at <= x.from || at > x.until {
				return
			}
			x.due = append(x.due, dueKey{at, k, string(key)})
			if len(x.due) >= full {
				x.cut()
				full = 2 * max(maxDue, len(x.due))
			}
		})
	}
	x.cut()
}

// cut sorts the list and keeps its first maxDue, and whatever expires with the last of
// them, so that the list is complete to some second.
func (x *expiry) cut() {
	slices.SortFunc(x.due, func(a, b dueKey) int { return cmp.Compare(a.at, b.at) })
	if len(x.due) <= maxDue {
		return
	}
	n := maxDue
	x.until = x.due[n-1].at
	for n < len(x.due) && x.due[n].at == x.until {
		n++
	}
	x.due = x.due[:n]
}

// Run takes out of force what expires, until ctx ends.
func (s *Set) Run(ctx context.Context) {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-t.C:
		}
		t.Reset(s.expire())
	}
}

// look is how long Run sleeps at most, because the clock may be set meanwhile.
const look = 30 * time.Second

// expire takes out of force what has expired and returns when to be called again.
func (s *Set) expire() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cfg.Addresses == nil && s.names == nil {
		return look
	}
	wall := s.cfg.Now()
	now := wall.Unix()
	x := &s.clock
	if now < x.from-1 {
		// The clock was set back: what had expired by it may not have.
		s.redo(s.enforceAll())
	}
	if x.stale || now > x.until-int64(look/time.Second) {
		x.list(&s.state, now)
	}
	var gone []entry
	n := 0
	for n < len(x.due) && x.due[n].at <= now {
		gone = append(gone, entry{kind: x.due[n].kind, key: x.due[n].key})
		n++
	}
	if n > 0 {
		if err := s.enforce(gone); err != nil {
			s.redo(err)
			return time.Second // the list stays as it is
		}
		x.due = slices.Delete(x.due, 0, n)
	}
	x.from = min(now, x.until)
	if len(x.due) == 0 {
		return look
	}
	return min(max(time.Unix(x.due[0].at, 0).Sub(wall), time.Millisecond), look)
}

// redo notes that the state was brought into force again, or was not.
func (s *Set) redo(err error) {
	s.dirty = err
	s.publish()
}
