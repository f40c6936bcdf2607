package enforce

import (
	"encoding/binary"
	"slices"
)

// overlay is what changed since the base. Records of the base whose id is in it are not
// seen: they were changed or removed.
type overlay struct {
	byID   map[int64]entry // a removed one has the key ""
	byKey  [kinds]map[string][]int64
	live   int // entries that were not removed
	hidden int // records of the base that are not seen
}

func newOverlay() *overlay {
	o := &overlay{byID: map[int64]entry{}}
	for k := range o.byKey {
		o.byKey[k] = map[string][]int64{}
	}
	return o
}

// drop takes out what the overlay itself holds of an id and leaves the mark that the base
// is not to be asked; it returns the entries that are no longer seen.
func (o *overlay) drop(b *base, id int64) (gone []entry) {
	if e, ok := o.byID[id]; ok {
		if e.key != "" {
			gone = append(gone, e)
			o.live--
			ids := slices.DeleteFunc(o.byKey[e.kind][e.key], func(i int64) bool { return i == id })
			if len(ids) == 0 {
				delete(o.byKey[e.kind], e.key)
			} else {
				o.byKey[e.kind][e.key] = ids
			}
		}
	} else {
		for k := range b.sections {
			if i, ok := b.sections[k].locate(id); ok {
				gone = append(gone, b.sections[k].entry(i))
				o.hidden++
			}
		}
	}
	o.byID[id] = entry{id: id}
	return gone
}

func (o *overlay) put(e entry) {
	o.byID[e.id] = e
	o.byKey[e.kind][e.key] = append(o.byKey[e.kind][e.key], e.id)
	o.live++
}

// delta is one difference, read and checked.
type delta struct {
	base, revision uint64
	put            []entry
	remove         []int64
}

// apply brings d into the overlay. It returns the entries that went and came.
func (o *overlay) apply(b *base, d *delta) (touched []entry) {
	for _, id := range d.remove {
		touched = append(touched, o.drop(b, id)...)
	}
	// All that is replaced goes first: a value may move from one id to another.
	for _, e := range d.put {
		touched = append(touched, o.drop(b, e.id)...)
	}
	for _, e := range d.put {
		touched = append(touched, o.drop(b, e.id)...) // an id that comes twice: the last holds
		o.put(e)
	}
	return append(touched, d.put...)
}

// state is a base with what changed since.
type state struct {
	base    *base
	overlay *overlay
}

func (s *state) len() int { return s.base.len() - s.overlay.hidden + s.overlay.live }

// has reports whether there is an entry with an id.
func (s *state) has(id int64) bool {
	if e, changed := s.overlay.byID[id]; changed {
		return e.key != ""
	}
	for k := range s.base.sections {
		if _, ok := s.base.sections[k].locate(id); ok {
			return true
		}
	}
	return false
}

// matching calls f with every entry of a key.
func (s *state) matching(k kind, key string, f func(*entry)) {
	sec := &s.base.sections[k]
	for i := sec.first(key); i < sec.n && string(sec.key(i)) == key; i++ {
		e := sec.entry(i)
		if _, changed := s.overlay.byID[e.id]; !changed {
			f(&e)
		}
	}
	for _, id := range s.overlay.byKey[k][key] {
		e := s.overlay.byID[id]
		f(&e)
	}
}

// each calls f with every entry of a kind, those of one key not always in a row.
func (s *state) each(k kind, f func(*entry) bool) {
	sec := &s.base.sections[k]
	for i := range sec.n {
		e := sec.entry(i)
		if _, changed := s.overlay.byID[e.id]; changed {
			continue
		}
		if !f(&e) {
			return
		}
	}
	for _, ids := range s.overlay.byKey[k] {
		for _, id := range ids {
			if e := s.overlay.byID[id]; !f(&e) {
				return
			}
		}
	}
}

// holds reports whether there is an entry of a kind.
func (s *state) holds(k kind) (some bool) {
	s.each(k, func(*entry) bool {
		some = true
		return false
	})
	return some
}

// expiring calls f with the expiry, in Unix seconds, and the key of every entry that has
// one. The key is f's for the call only.
func (s *state) expiring(k kind, f func(at int64, key []byte)) {
	sec := &s.base.sections[k]
	for i := range sec.n {
		r := sec.record(i)
		at := binary.BigEndian.Uint32(r[keySize[k]+1:])
		if at == 0 {
			continue
		}
		if _, changed := s.overlay.byID[recordID(k, r)]; !changed {
			f(int64(at), r[:keySize[k]])
		}
	}
	for _, e := range s.overlay.byID {
		if e.kind == k && e.key != "" && e.expires != 0 {
			f(int64(e.expires), []byte(e.key))
		}
	}
}

// records returns everything as an image's records.
func (s *state) records() (out [kinds][]byte) {
	for k := range kinds {
		s.each(k, func(e *entry) bool {
			out[k] = e.append(out[k])
			return true
		})
	}
	return out
}
