package ioc

import (
	"math/bits"
	"slices"
)

// base is the bulk of a tenant's rows: keys in sorted order beside their values, and an
// index of where each leading bit pattern begins. 40 bytes a row. It never changes.
type base struct {
	keys     []key
	values   []value
	index    []uint32 // of the first key whose leading bits are not below the position
	shift    uint8
	shape    shape
	contains map[tag]*automaton
	patterns []pattern // what contains was built from, by rising row
	soonest  int64     // the first expiry of keys and patterns; 0 when nothing expires
}

// newBase takes keys that are sorted, and their values.
func newBase(keys []key, values []value) *base {
	b := &base{keys: keys, values: values}
	for _, v := range values {
		b.shape.add(v.ref)
		b.expires(v.expires)
	}
	// About eight keys a bucket: two cache lines to look at.
	lead := max(bits.Len(uint(len(keys)))-3, 0)
	b.shift = uint8(64 - lead)
	b.index = make([]uint32, 1<<lead+1)
	n := 0
	for p := range b.index {
		for n < len(keys) && b.bucket(keys[n]) < p {
			n++
		}
		b.index[p] = uint32(n)
	}
	return b
}

func (b *base) expires(at int64) {
	if at != 0 && (b.soonest == 0 || at < b.soonest) {
		b.soonest = at
	}
}

func (b *base) bucket(k key) int {
	if b.shift == 64 {
		return 0
	}
	return int(k.hi >> b.shift)
}

// find returns the range of values that have the key.
func (b *base) find(k key) (from, to int) {
	p := b.bucket(k)
	lo, hi := int(b.index[p]), int(b.index[p+1])
	i := lo
	for i < hi && b.keys[i].compare(k) < 0 {
		i++
	}
	j := i
	for j < hi && b.keys[j] == k {
		j++
	}
	return i, j
}

// merge returns a base of b's rows that are neither superseded in o nor expired, and o's.
func (b *base) merge(o *overlay, now int64) *base {
	over := make([]keyed, 0, len(o.rows))
	for k, vs := range o.byKey {
		for _, v := range vs {
			over = append(over, keyed{k, v})
		}
	}
	slices.SortFunc(over, func(x, y keyed) int { return x.key.compare(y.key) })

	keys := make([]key, 0, len(b.keys)+len(over))
	values := make([]value, 0, len(b.keys)+len(over))
	add := func(k key, v value) {
		if v.expires == 0 || v.expires > now {
			keys, values = append(keys, k), append(values, v)
		}
	}
	for i, k := range b.keys {
		for len(over) > 0 && over[0].key.compare(k) <= 0 {
			add(over[0].key, over[0].value)
			over = over[1:]
		}
		if !o.supersedes(b.values[i].ref.row()) {
			add(k, b.values[i])
		}
	}
	for _, x := range over {
		add(x.key, x.value)
	}
	if cap(keys) > len(keys)+len(keys)/4 {
		keys, values = slices.Clip(slices.Clone(keys)), slices.Clip(slices.Clone(values))
	}
	m := newBase(keys, values)
	m.patterns = mergePatterns(b.patterns, o, now)
	for _, p := range m.patterns {
		m.expires(p.value.expires)
	}
	if slices.Equal(m.patterns, b.patterns) {
		m.patterns, m.contains = b.patterns, b.contains
	} else {
		m.contains = compilePatterns(m.patterns)
	}
	return m
}

type keyed struct {
	key   key
	value value
}
