package ioc

import (
	"cmp"
	"slices"
	"strings"
)

// automaton finds all patterns of one tag in a text at once (Aho and Corasick, 1975): its
// cost does not depend on how many patterns there are. It never changes.
type automaton struct {
	nodes []node
	root  [256]uint32 // children of node 0, the fast way
	ends  []value     // grouped by the text that ends
}

// node is one prefix of a pattern. Children are a list through first and next, in which
// 0, the root, ends it.
type node struct {
	first, next uint32
	fail        uint32 // the longest proper suffix that is a node
	out         uint32 // the nearest node on the way of fails where a pattern ends; 0 for none
	from, to    uint32 // ends[from:to] end here
	label       byte
}

// compilePatterns makes one automaton for each tag that occurs.
func compilePatterns(ps []pattern) map[tag]*automaton {
	byTag := map[tag][]pattern{}
	for _, p := range ps {
		byTag[p.value.ref.tag()] = append(byTag[p.value.ref.tag()], p)
	}
	out := make(map[tag]*automaton, len(byTag))
	for t, ps := range byTag {
		out[t] = newAutomaton(ps)
	}
	return out
}

func newAutomaton(ps []pattern) *automaton {
	slices.SortStableFunc(ps, func(a, b pattern) int { return cmp.Compare(a.text, b.text) })
	a := &automaton{nodes: make([]node, 1)}
	for _, p := range ps {
		a.insert(p)
	}
	a.link()
	a.nodes = slices.Clip(a.nodes)
	return a
}

// insert adds a pattern. They come in sorted order, so those with one text are adjacent.
func (a *automaton) insert(p pattern) {
	n := uint32(0)
	for i := range len(p.text) {
		c := a.child(n, p.text[i])
		if c == 0 {
			c = uint32(len(a.nodes))
			a.nodes = append(a.nodes, node{label: p.text[i], next: a.nodes[n].first})
			a.nodes[n].first = c
			if n == 0 {
				a.root[p.text[i]] = c
			}
		}
		n = c
	}
	end := &a.nodes[n]
	if end.from == end.to {
		end.from = uint32(len(a.ends))
	}
	a.ends = append(a.ends, p.value)
	end.to = uint32(len(a.ends))
}

func (a *automaton) child(n uint32, b byte) uint32 {
	if n == 0 {
		return a.root[b]
	}
	c := a.nodes[n].first
	for c != 0 && a.nodes[c].label != b {
		c = a.nodes[c].next
	}
	return c
}

// link sets fail and out, shorter prefixes first.
func (a *automaton) link() {
	queue := make([]uint32, 0, len(a.nodes))
	for c := a.nodes[0].first; c != 0; c = a.nodes[c].next {
		queue = append(queue, c)
	}
	for i := 0; i < len(queue); i++ {
		n := queue[i]
		for c := a.nodes[n].first; c != 0; c = a.nodes[c].next {
			f := a.step(a.nodes[n].fail, a.nodes[c].label)
			a.nodes[c].fail, a.nodes[c].out = f, a.nodes[f].out
			if a.nodes[f].to > a.nodes[f].from {
				a.nodes[c].out = f
			}
			queue = append(queue, c)
		}
	}
}

func (a *automaton) step(n uint32, b byte) uint32 {
	for {
		if c := a.child(n, b); c != 0 || n == 0 {
			return c
		}
		n = a.nodes[n].fail
	}
}

// find calls f once with every value whose pattern is in text.
func (a *automaton) find(text string, f func(value)) {
	var seen map[uint32]bool
	n := uint32(0)
	for i := range len(text) {
		n = a.step(n, text[i])
		for e := n; e != 0; e = a.nodes[e].out {
			if a.nodes[e].from == a.nodes[e].to {
				continue
			}
			if seen[e] {
				break // and so was all that it leads to
			}
			if seen == nil {
				seen = map[uint32]bool{}
			}
			seen[e] = true
			for _, v := range a.ends[a.nodes[e].from:a.nodes[e].to] {
				f(v)
			}
		}
	}
}

// scan is find over an overlay's patterns, one after the other.
func (o *overlay) scan(t tag, text string, f func(value)) {
	for _, p := range o.contains {
		if p.value.ref.tag() == t && strings.Contains(text, p.text) {
			f(p.value)
		}
	}
}
