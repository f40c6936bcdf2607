package address

import (
	"cmp"
	"net/netip"
	"slices"
)

// compile gives each range what all ranges around it want as well: a trie answers with
// the narrowest range alone. Rules of one prefix are merged. A rule's id is that of the
// narrowest range whose verdict decides.
func compile(rules map[netip.Prefix]Rule) map[netip.Prefix]Rule {
	order := make([]netip.Prefix, 0, len(rules))
	for p := range rules {
		order = append(order, p)
	}
	// What contains comes before what it contains.
	slices.SortFunc(order, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	out := make(map[netip.Prefix]Rule, len(rules))
	var around []Rule
	for _, p := range order {
		for len(around) > 0 && !contains(around[len(around)-1].Prefix, p) {
			around = around[:len(around)-1]
		}
		r := rules[p]
		if n := len(around); n > 0 {
			r = Merge(r, around[n-1])
		}
		r.Prefix = p
		out[p] = r
		around = append(around, r)
	}
	return out
}

func contains(outer, inner netip.Prefix) bool {
	return outer.Addr().BitLen() == inner.Addr().BitLen() && outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
}

// Merge adds what wide wants to narrow, a rule of the same prefix or of one within. The id
// is narrow's unless wide alone has the verdict that decides.
func Merge(narrow, wide Rule) Rule {
	all := narrow.Verdict | wide.Verdict
	if narrow.Verdict.rank() < wide.Verdict.rank() {
		narrow.ID = wide.ID
	}
	narrow.Verdict = all
	return narrow
}

// rank orders verdicts by what goes before what.
func (v Verdict) rank() int {
	return slices.Index([]Verdict{0, Audit, Block, Warn, Allow}, v.Decisive())
}

// loosened returns what lies between two sets of ranges: it blocks what both block and
// allows, or warns of, what either does. Going from one set to the other by way of it, nothing is ever
// refused that both let through.
func loosened(from, to map[netip.Prefix]Rule) map[netip.Prefix]Rule {
	out := make(map[netip.Prefix]Rule, len(to))
	add := func(a, b map[netip.Prefix]Rule) {
		for p, r := range a {
			other := b[p].Verdict
			if r.Verdict = (r.Verdict|other)&(Allow|Warn) | r.Verdict&other; r.Verdict != 0 {
				out[p] = r
			}
		}
	}
	add(from, to)
	add(to, from)
	return out
}
