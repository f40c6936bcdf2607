package ioc

import (
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/vedette-edr/vedette/server/indicator"
)

// Sizes at which the overlay is merged into the base.
const (
	minMerge    = 16 << 10 // rows; or an eighth of the base when that is more
	maxPatterns = 256      // patterns are scanned one by one until they are merged
)

// set is one tenant's indicators: an immutable base, a small overlay of what changed
// since, and, while a merge runs, the overlay that it is merging between them. A row in
// one layer voids the same row in all layers below, so an insert touches the overlay
// alone and a merge never blocks it.
type set struct {
	hash *hasher

	mu      sync.RWMutex
	base    *base
	frozen  *overlay // being merged; nil when none is
	over    *overlay
	defs    map[int64]*indicator.Definition
	highest [2]int64          // the highest id ever seen of IOCs and of indicators
	merged  chan struct{}     // closed when the running merge ends; nil when none runs
	shape   shape             // of all layers
	scopes  [][]string        // the lists of device groups that indicators are for; [0] is nil
	places  map[string]uint32 // where each list is in scopes
}

func newSet(h *hasher) *set {
	return &set{hash: h, base: newBase(nil, nil), over: newOverlay(), defs: map[int64]*indicator.Definition{},
		scopes: make([][]string, 1), places: map[string]uint32{}}
}

// apply makes changes visible. now is in seconds since 1970.
func (s *set) apply(changes []indicator.Change, now int64) {
	// Matching waits while mu is held: a large page goes in by pieces.
	const piece = 1024
	for len(changes) > 0 {
		n := min(piece, len(changes))
		s.mu.Lock()
		for i := range changes[:n] {
			s.applyOne(&changes[i], now)
		}
		s.reshape()
		s.mu.Unlock()
		changes = changes[n:]
	}
}

func (s *set) applyOne(c *indicator.Change, now int64) {
	if c.Noun == indicator.ADefinition {
		if c.Definition == nil {
			delete(s.defs, c.ID)
		} else {
			s.defs[c.ID] = c.Definition
		}
		return
	}
	w, noun := row(c.ID&maxID), 0
	if c.Noun == indicator.AnIndicator {
		w, noun = w|indicatorBit, 1
	}
	// Ids rise, so a row above all that were seen is in no layer and needs no tombstone.
	s.over.drop(w, c.ID <= s.highest[noun])
	s.highest[noun] = max(s.highest[noun], c.ID)
	switch {
	case c.IOC != nil:
		s.putIOC(w, c.IOC, now)
	case c.Indicator != nil:
		s.putIndicator(w, c.Indicator, now)
	}
}

func (s *set) putIOC(w row, i *indicator.IOC, now int64) {
	v := value{def: int64(i.Definition)}
	if !i.Enabled || !alive(&v, i.Expires.Unix(), i.Expires.IsZero(), now) {
		return
	}
	kind, n := i.Type.Kind(), uint8(min(len(i.Value), 255))
	switch i.Function {
	case indicator.Equals:
		k, t, n, ok := s.keyOf(kind, i.Value)
		if ok {
			v.ref = makeRef(w, t, n, false)
			s.over.put(k, v)
		}
	case indicator.StartWith:
		t := tagOf(kind, prefix)
		v.ref = makeRef(w, t, n, false)
		s.over.put(s.hash.text(t, i.Value), v)
	case indicator.EndWith:
		t := tagOf(kind, suffix)
		v.ref = makeRef(w, t, n, false)
		s.over.put(s.hash.text(t, i.Value), v)
	case indicator.Contains:
		v.ref = makeRef(w, tagOf(kind, whole), n, false)
		s.over.putPattern(pattern{text: strings.Clone(i.Value), value: v})
	}
}

func (s *set) putIndicator(w row, i *indicator.Indicator, now int64) {
	var v value
	if !alive(&v, i.Expires.Unix(), i.Expires.IsZero(), now) {
		return
	}
	kind := i.Type.Kind()
	text := i.Value
	if kind == indicator.KindURL {
		text = withoutScheme(text)
	}
	if k, t, n, ok := s.keyOf(kind, text); ok {
		v.ref, v.def = makeRef(w, t, n, !i.Alerts()), int64(makeMark(s.scope(i), i.Action))
		s.over.put(k, v)
	}
}

// scope returns the place of an indicator's groups. Lists are few beside indicators, and
// stay until the set goes. It is called with mu held.
func (s *set) scope(i *indicator.Indicator) uint32 {
	if len(i.Groups)+len(i.GroupIDs) == 0 {
		return 0
	}
	ids := slices.Clone(i.GroupIDs)
	slices.Sort(ids)
	name := strings.Join(ids, "\x00")
	place, ok := s.places[name]
	if !ok {
		place = uint32(len(s.scopes))
		s.scopes = append(s.scopes, ids)
		s.places[strings.Clone(name)] = place
	}
	return place
}

// scoped reports whether some indicator was for some device groups only.
func (s *set) scoped() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.scopes) > 1
}

// alive sets v's expiry and reports whether it is still to come.
func alive(v *value, expires int64, never bool, now int64) bool {
	if never {
		return true
	}
	v.expires = expires
	return expires > now
}

// keyOf returns where a whole value is kept. An address is kept by its bits, a range by
// those of its mask.
func (s *set) keyOf(kind indicator.Kind, text string) (key, tag, uint8, bool) {
	t := tagOf(kind, whole)
	if kind != indicator.KindIP {
		return s.hash.text(t, text), t, uint8(min(len(text), 255)), true
	}
	if a, err := netip.ParseAddr(text); err == nil {
		return s.hash.addr(t, a, 128), t, 128, true
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return key{}, 0, 0, false
	}
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	return s.hash.addr(cidr, mask(p.Addr(), bits), uint8(bits)), cidr, uint8(bits), true
}

// reshape recomputes which tags occur. It is called with mu held.
func (s *set) reshape() {
	for t := range s.shape {
		b, o := s.base.shape[t], s.over.shape[t]
		used, ls := b.used || o.used, b.lengths.or(o.lengths)
		if s.frozen != nil {
			f := s.frozen.shape[t]
			used, ls = used || f.used, ls.or(f.lengths)
		}
		s.shape[t].used, s.shape[t].lengths = used, ls
	}
}

// find calls f with every living value that has the key. It is called with mu held for
// reading.
func (s *set) find(k key, now int64, f func(value)) {
	for _, v := range s.over.byKey[k] {
		s.offer(v, now, f)
	}
	if s.frozen != nil {
		for _, v := range s.frozen.byKey[k] {
			if !s.over.supersedes(v.ref.row()) {
				s.offer(v, now, f)
			}
		}
	}
	from, to := s.base.find(k)
	for _, v := range s.base.values[from:to] {
		if !s.over.supersedes(v.ref.row()) && (s.frozen == nil || !s.frozen.supersedes(v.ref.row())) {
			s.offer(v, now, f)
		}
	}
}

func (s *set) offer(v value, now int64, f func(value)) {
	if v.expires == 0 || v.expires > now {
		f(v)
	}
}

// contained calls f with every living value of tag whose pattern is in text.
func (s *set) contained(t tag, text string, now int64, f func(value)) {
	if len(s.over.contains) > 0 {
		s.over.scan(t, text, func(v value) { s.offer(v, now, f) })
	}
	if s.frozen != nil && len(s.frozen.contains) > 0 {
		s.frozen.scan(t, text, func(v value) {
			if !s.over.supersedes(v.ref.row()) {
				s.offer(v, now, f)
			}
		})
	}
	if a := s.base.contains[t]; a != nil {
		a.find(text, func(v value) {
			if !s.over.supersedes(v.ref.row()) && (s.frozen == nil || !s.frozen.supersedes(v.ref.row())) {
				s.offer(v, now, f)
			}
		})
	}
}

// freeze begins a merge when the overlay is large enough and none runs; finish must then
// be called with the result. With force it begins one whatever the size.
func (s *set) freeze(force bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	due := s.over.size() >= max(minMerge, len(s.base.keys)/8) || len(s.over.contains) >= maxPatterns
	if s.frozen != nil || !due && !force {
		return false
	}
	s.frozen, s.over = s.over, newOverlay()
	s.merged = make(chan struct{})
	return true
}

// merge does what freeze began. Only the exchange of pointers at its end holds mu.
func (s *set) merge(now int64) {
	s.mu.RLock()
	below, over := s.base, s.frozen
	s.mu.RUnlock()
	b := below.merge(over, now)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.base, s.frozen = b, nil
	s.reshape()
	close(s.merged)
	s.merged = nil
}

// crowded returns a channel to wait on when the overlay grows faster than the running
// merge, nil when it does not.
func (s *set) crowded() <-chan struct{} {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.merged != nil && s.over.size() > 4*max(minMerge, len(s.base.keys)/8) {
		return s.merged
	}
	return nil
}

// stale reports whether rows have expired that a merge would give up.
func (s *set) stale(now int64) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.base.soonest != 0 && s.base.soonest <= now
}

// count returns how many rows are held, superseded ones included, and how many of them
// wait in overlays.
func (s *set) count() (rows, waiting int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	waiting = s.over.size()
	if s.frozen != nil {
		waiting += s.frozen.size()
	}
	return len(s.base.keys) + len(s.base.patterns) + waiting, waiting
}
