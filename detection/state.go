package detection

import (
	"container/list"
	"slices"
	"sync"
	"time"
)

// DefaultKeys is how many keys a State remembers when nobody says.
const DefaultKeys = 50_000

// State is what rules remember between events: for each rule and key the events that
// count towards a finding, and the finding that further ones belong to. It forgets the
// keys unused longest when it is full. Its methods are safe for concurrent use.
type State struct {
	mu      sync.Mutex
	max     int
	entries map[stateKey]*list.Element // of *entry
	order   *list.List                 // last used first
	rules   map[string]int             // entries of each rule, by its id
	evicted uint64
	dirty   bool
}

type stateKey struct{ Rule, Key string }

// entry is what one rule remembers of one key.
type entry struct {
	at     stateKey
	Hash   string // of the rule
	Used   time.Time
	Keep   Duration // after Used it is worth nothing
	Slots  []slot   // one a step; none for a rule of single events
	Raised *mark    // the finding that further ones belong to, nil for none
}

// slot is how far one step has come.
type slot struct {
	Hits  []hit  // the last ones, in the order of their time
	Chain *chain // when the step, and all before it, are met
}

// hit is one event that met a step.
type hit struct {
	At     time.Time
	Device string
	Report int64
	Value  string `json:",omitempty"` // of the distinct column
}

func (h hit) same(o hit) bool { return h.Device == o.Device && h.Report == o.Report }

// chain is events that met the steps up to one, in order.
type chain struct {
	Start, End time.Time
	Entities   []Entity // of the last event of each step
	Events     int
}

// mark is the event that a finding was raised by.
type mark struct {
	At     time.Time
	Device string
	Report int64
}

// NewState returns a State of at most keys keys, 0 for DefaultKeys.
func NewState(keys int) *State {
	if keys <= 0 {
		keys = DefaultKeys
	}
	return &State{max: keys, entries: map[stateKey]*list.Element{}, order: list.New(), rules: map[string]int{}}
}

// Stats is how full a State is.
type Stats struct {
	Keys    int
	Evicted uint64 // keys that were forgotten for want of room, since it was made
}

// Stats returns the figures for metrics.
func (s *State) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{len(s.entries), s.evicted}
}

// has reports whether there is an entry of a key; s.mu is held.
func (s *State) has(c *Compiled, key string) bool {
	el, ok := s.entries[stateKey{c.ID, key}]
	return ok && el.Value.(*entry).Hash == c.Hash
}

// use returns the entry of a key, which is new or of another version of the rule when its
// Hash is not hash; s.mu is held.
func (s *State) use(c *Compiled, key string, at time.Time) *entry {
	s.dirty = true
	k := stateKey{c.ID, key}
	if el, ok := s.entries[k]; ok {
		e := el.Value.(*entry)
		s.order.MoveToFront(el)
		if e.Hash == c.Hash {
			if at.After(e.Used) {
				e.Used = at
			}
			return e
		}
		*e = entry{at: k, Hash: c.Hash, Used: at, Keep: Duration(c.Span())}
		return e
	}
	if len(s.entries) >= s.max {
		s.remove(s.order.Back())
		s.evicted++
	}
	e := &entry{at: k, Hash: c.Hash, Used: at, Keep: Duration(c.Span())}
	s.add(e)
	return e
}

// add takes an entry of a new key; s.mu is held, as for remove.
func (s *State) add(e *entry) {
	s.entries[e.at] = s.order.PushFront(e)
	s.rules[e.at.Rule]++
}

func (s *State) remove(el *list.Element) {
	at := el.Value.(*entry).at
	delete(s.entries, at)
	s.order.Remove(el)
	if s.rules[at.Rule]--; s.rules[at.Rule] == 0 {
		delete(s.rules, at.Rule)
	}
}

// begun reports whether anything is remembered for a rule, whatever the key.
func (s *State) begun(c *Compiled) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rules[c.ID] > 0
}

// Expire forgets what cannot matter any more at now.
func (s *State) Expire(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for el := s.order.Back(); el != nil; {
		prev := el.Prev()
		if e := el.Value.(*entry); now.Sub(e.Used) > time.Duration(e.Keep) {
			s.remove(el)
			s.dirty = true
		}
		el = prev
	}
}

// raises reports whether a finding by h is a new one: none was raised within the window,
// or h itself raised it, in which case it was sent again and may not have been kept.
func (e *entry) raises(h hit, window time.Duration) bool {
	if m := e.Raised; m != nil {
		since := h.At.Sub(m.At)
		if since > -window && since < window && (m.Device != h.Device || m.Report != h.Report) {
			return false
		}
	}
	e.Raised = &mark{h.At, h.Device, h.Report}
	return true
}

// count adds h to the events of a slot, keeps the last n within the window that ends with
// the newest, and reports whether h completes n. One that is there already is not added.
func (sl *slot) count(h hit, n int, window time.Duration, distinct bool) bool {
	known := slices.ContainsFunc(sl.Hits, h.same)
	if !known && distinct {
		// Of a value only its last sighting counts.
		if i := slices.IndexFunc(sl.Hits, func(o hit) bool { return o.Value == h.Value }); i >= 0 {
			if sl.Hits[i].At.After(h.At) {
				known = true
			} else {
				sl.Hits = slices.Delete(sl.Hits, i, i+1)
			}
		}
	}
	if !known {
		i := len(sl.Hits)
		for i > 0 && sl.Hits[i-1].At.After(h.At) {
			i--
		}
		sl.Hits = slices.Insert(sl.Hits, i, h)
	}
	newest := sl.Hits[len(sl.Hits)-1].At
	drop := 0
	for newest.Sub(sl.Hits[drop].At) > window {
		drop++
	}
	drop = max(drop, len(sl.Hits)-n)
	sl.Hits = slices.Delete(sl.Hits, 0, drop)
	return len(sl.Hits) >= n
}

// threshold takes an event and reports whether it completes the count.
func (e *entry) threshold(c *Compiled, h hit) bool {
	if e.Slots == nil {
		e.Slots = make([]slot, 1)
	}
	return e.Slots[0].count(h, c.steps[0].count, c.within, c.distinct != "")
}

// sequence takes an event that met step i and returns the chain that it completes, nil
// when there is more to come.
func (e *entry) sequence(c *Compiled, i int, h hit, about func() []Entity) *chain {
	if len(e.Slots) != len(c.steps) {
		e.Slots = make([]slot, len(c.steps))
	}
	sl := &e.Slots[i]
	var before *chain
	if i > 0 {
		before = e.Slots[i-1].Chain
		if before == nil || h.At.Before(before.End) || h.At.Sub(before.Start) > c.within {
			return nil
		}
		// Events from before the step above was met do not count here.
		sl.Hits = slices.DeleteFunc(sl.Hits, func(o hit) bool { return o.At.Before(before.End) })
	}
	n := c.steps[i].count
	if !sl.count(h, n, c.within, false) {
		return nil
	}
	ents := about()
	made := &chain{Start: sl.Hits[0].At, End: sl.Hits[len(sl.Hits)-1].At, Entities: ents, Events: n}
	if before != nil {
		made.Start, made.Events = before.Start, before.Events+n
		made.Entities = slices.Concat(before.Entities, ents)
	}
	if made.End.Sub(made.Start) > c.within {
		return nil
	}
	sl.Chain = made
	if i == len(c.steps)-1 {
		return made
	}
	return nil
}
