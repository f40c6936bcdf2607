// Package bus carries events between parts of one server process that do not know each
// other: an alert was created, an action changed, a device changed.
//
// Each kind of event has a Topic of its own, made by the composition root and handed to
// publisher and subscribers; there is no global bus and no untyped event. Nothing durable
// lives here: an event says "look", the store says what is true. The invariant: Publish
// never waits. A subscriber that is slow loses events, is told how many (Dropped), and
// must then look for itself.
package bus

import (
	"sync"
	"sync/atomic"
)

// Topic is one kind of event. The zero Topic is ready; it must not be copied.
type Topic[E any] struct {
	mu   sync.RWMutex
	subs map[*Subscription[E]]struct{}
}

// Subscription receives the events of a topic from the moment it was made.
type Subscription[E any] struct {
	topic   *Topic[E]
	events  chan E
	dropped atomic.Uint64
}

// Publish hands e to every subscriber that has room for it. Subscribers share e: what it
// points to must not be changed any more. A nil Topic has no subscribers.
func (t *Topic[E]) Publish(e E) {
	if t == nil {
		return
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	for s := range t.subs {
		select {
		case s.events <- e:
		default:
			s.dropped.Add(1)
		}
	}
}

// Subscribe returns a subscription with room for size events that nobody has taken yet;
// at least one. The caller closes it.
func (t *Topic[E]) Subscribe(size int) *Subscription[E] {
	s := &Subscription[E]{topic: t, events: make(chan E, max(size, 1))}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.subs == nil {
		t.subs = map[*Subscription[E]]struct{}{}
	}
	t.subs[s] = struct{}{}
	return s
}

// Events is the channel of events, in the order of their publication. It is closed by
// Close, after which what was queued can still be read.
func (s *Subscription[E]) Events() <-chan E { return s.events }

// Dropped is how many events had no room, since the subscription was made.
func (s *Subscription[E]) Dropped() uint64 { return s.dropped.Load() }

// Close ends the subscription. It may be called more than once.
func (s *Subscription[E]) Close() {
	s.topic.mu.Lock()
	defer s.topic.mu.Unlock()
	if _, ok := s.topic.subs[s]; ok {
		delete(s.topic.subs, s)
		close(s.events)
	}
}
