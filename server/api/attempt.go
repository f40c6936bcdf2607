package api

import (
	"net/netip"
	"sync"
	"time"
)

// Attempts that fail: a burst at once, then one each refill, for each address and account.
const (
	burst          = 20
	refill         = 3 * time.Second
	maxAttemptKeys = 50_000
)

// Attempts bounds failed attempts to sign in, by key: an address or an account. An attempt
// takes from its key's bucket before its credentials are looked at, so that parallel
// guesses are bounded too, and gives back when it succeeds. It is safe for concurrent use.
type Attempts struct {
	now func() time.Time

	mu      sync.Mutex
	buckets map[string]bucket
}

// bucket is how many attempts were left at a time.
type bucket struct {
	left float64
	at   time.Time
}

func (b bucket) fill(now time.Time) bucket {
	if d := now.Sub(b.at); d > 0 {
		b.left = min(burst, b.left+float64(d)/float64(refill))
	}
	b.at = now
	return b
}

// NewAttempts returns Attempts on a clock.
func NewAttempts(now func() time.Time) *Attempts {
	return &Attempts{now: now, buckets: map[string]bucket{}}
}

// Take takes one attempt for the key. It returns what gives it back, or nil and how long
// to wait.
func (l *Attempts) Take(key string) (give func(), wait time.Duration) {
	key = network(key)
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.buckets[key]
	if !ok {
		l.makeRoom(now)
		b = bucket{burst, now}
	}
	b = b.fill(now)
	if b.left < 1 {
		l.buckets[key] = b
		return nil, time.Duration((1 - b.left) * float64(refill))
	}
	b.left--
	l.buckets[key] = b
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if b, ok := l.buckets[key]; ok {
			if b.left = b.left + 1; b.left >= burst {
				delete(l.buckets, key)
			} else {
				l.buckets[key] = b
			}
		}
	}, 0
}

// makeRoom forgets keys that have nothing against them any more, and when there are none
// such, any: a flood from many addresses must cost neither memory nor other clients.
func (l *Attempts) makeRoom(now time.Time) {
	if len(l.buckets) < maxAttemptKeys {
		return
	}
	for k, b := range l.buckets {
		if b.fill(now).left >= burst {
			delete(l.buckets, k)
		}
	}
	for k := range l.buckets {
		if len(l.buckets) < maxAttemptKeys*9/10 {
			return
		}
		delete(l.buckets, k)
	}
}

// network maps an IPv6 address to its /64, which is what one machine has to itself.
func network(key string) string {
	a, err := netip.ParseAddr(key)
	if err != nil || a.Unmap().Is4() {
		return key
	}
	p, err := a.WithZone("").Prefix(64)
	if err != nil {
		return key
	}
	return p.String()
}
