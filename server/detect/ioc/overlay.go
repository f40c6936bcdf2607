package ioc

import (
	"cmp"
	"slices"
)

// overlay is rows that changed since the base was made: what they are now, and which rows
// of lower layers no longer count.
type overlay struct {
	byKey    map[key][]value
	rows     map[row]key      // where each row of byKey is
	dead     map[row]struct{} // rows that may be in lower layers and are void there
	contains map[row]pattern  // rows with Function Contains
	shape    shape            // of all of byKey that was ever put in
}

// pattern is a row with Function Contains: lower-case text that is looked for.
type pattern struct {
	text  string
	value value
}

func newOverlay() *overlay {
	return &overlay{byKey: map[key][]value{}, rows: map[row]key{}, dead: map[row]struct{}{}, contains: map[row]pattern{}}
}

func (o *overlay) size() int { return len(o.rows) + len(o.dead) + len(o.contains) }

// drop forgets a row of this layer and, unless it cannot be there, of the lower ones.
func (o *overlay) drop(w row, below bool) {
	if k, ok := o.rows[w]; ok {
		delete(o.rows, w)
		rest := slices.DeleteFunc(o.byKey[k], func(v value) bool { return v.ref.row() == w })
		if len(rest) == 0 {
			delete(o.byKey, k)
		} else {
			o.byKey[k] = rest
		}
	}
	delete(o.contains, w)
	if below {
		o.dead[w] = struct{}{}
	}
}

func (o *overlay) put(k key, v value) {
	o.rows[v.ref.row()] = k
	o.byKey[k] = append(o.byKey[k], v)
	o.shape.add(v.ref)
}

func (o *overlay) putPattern(p pattern) { o.contains[p.value.ref.row()] = p }

// supersedes reports whether a row of a lower layer no longer counts.
func (o *overlay) supersedes(w row) bool {
	_, dead := o.dead[w]
	return dead
}

// mergePatterns returns the patterns of below that count under o, and o's, by rising row.
func mergePatterns(below []pattern, o *overlay, now int64) []pattern {
	if len(below) == 0 && len(o.contains) == 0 {
		return nil
	}
	var out []pattern
	keep := func(p pattern) {
		if p.value.expires == 0 || p.value.expires > now {
			out = append(out, p)
		}
	}
	for _, p := range below {
		if !o.supersedes(p.value.ref.row()) {
			keep(p)
		}
	}
	for _, p := range o.contains {
		keep(p)
	}
	slices.SortFunc(out, func(a, b pattern) int { return cmp.Compare(a.value.ref.row(), b.value.ref.row()) })
	return out
}
