package funcs

import (
	"cmp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Needles is what every text that a regular expression matches contains: of each list one
// at least. Looking for it costs a fraction of the expression and rules most texts out.
type Needles struct {
	lists [][]string
	fold  bool // the texts are in lower case, and so is what they are looked for in
}

// Bounds of what is looked for before an expression is run: more costs more than it spares.
const (
	maxNeedles    = 40
	maxNeedleList = 3
	minNeedle     = 2 // bytes; single ones are everywhere
)

// Required returns the Needles of a pattern, nil when nothing useful is known of it.
func Required(pattern string) *Needles {
	re, err := syntax.Parse(Pattern(pattern), syntax.Perl)
	if err != nil {
		return nil
	}
	n := &Needles{}
	total := 0
	lists := n.of(re)
	slices.SortStableFunc(lists, func(a, b []string) int { return cmp.Compare(len(a), len(b)) })
	for _, l := range lists {
		if shortest(l) >= minNeedle && len(n.lists) < maxNeedleList && total+len(l) <= maxNeedles {
			n.lists, total = append(n.lists, l), total+len(l)
		}
	}
	if len(n.lists) == 0 {
		return nil
	}
	if n.fold {
		for _, l := range n.lists {
			for i := range l {
				l[i] = strings.ToLower(l[i])
			}
		}
	}
	return n
}

// In reports whether s may match; when it says no, s does not. A nil n says yes.
func (n *Needles) In(s string) bool {
	if n == nil {
		return true
	}
	if n.fold {
		// Other alphabets have letters that are equal to those of ASCII but for their case.
		for i := range len(s) {
			if s[i] >= utf8.RuneSelf {
				return true
			}
		}
		s = Fold(s)
	}
	for _, l := range n.lists {
		if !slices.ContainsFunc(l, func(t string) bool { return strings.Contains(s, t) }) {
			return false
		}
	}
	return true
}

func shortest(list []string) int {
	n := len(list[0])
	for _, t := range list {
		n = min(n, len(t))
	}
	return n
}

// of returns the lists of one expression; every list has an element.
func (n *Needles) of(re *syntax.Regexp) [][]string {
	switch re.Op {
	case syntax.OpLiteral:
		return n.literal(re.Rune, re.Flags&syntax.FoldCase != 0)
	case syntax.OpCapture, syntax.OpPlus:
		return n.of(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return n.of(re.Sub[0])
		}
	case syntax.OpConcat:
		return n.concat(flat(re, nil))
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			lists := n.of(sub)
			if len(lists) == 0 {
				return nil
			}
			best := slices.MaxFunc(lists, func(a, b []string) int {
				return cmp.Or(cmp.Compare(shortest(a), shortest(b)), cmp.Compare(len(b), len(a)))
			})
			all = append(all, best...)
		}
		return [][]string{all}
	}
	return nil
}

// concat joins literals that stand side by side.
func (n *Needles) concat(subs []*syntax.Regexp) [][]string {
	var out [][]string
	for i := 0; i < len(subs); i++ {
		if subs[i].Op != syntax.OpLiteral {
			out = append(out, n.of(subs[i])...)
			continue
		}
		var runes []rune
		fold := false
		for ; i < len(subs) && subs[i].Op == syntax.OpLiteral; i++ {
			runes, fold = append(runes, subs[i].Rune...), fold || subs[i].Flags&syntax.FoldCase != 0
		}
		i--
		out = append(out, n.literal(runes, fold)...)
	}
	return out
}

// literal is a list of one text. A rune that stands for what is no UTF-8 as well is none.
func (n *Needles) literal(runes []rune, fold bool) [][]string {
	for _, r := range runes {
		if r == unicode.ReplacementChar || fold && r >= utf8.RuneSelf {
			return nil
		}
	}
	if len(runes) == 0 {
		return nil
	}
	n.fold = n.fold || fold
	return [][]string{{string(runes)}}
}

// flat lists the parts of a concatenation, those inside groups as well.
func flat(re *syntax.Regexp, out []*syntax.Regexp) []*syntax.Regexp {
	switch re.Op {
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			out = flat(sub, out)
		}
		return out
	case syntax.OpCapture:
		return flat(re.Sub[0], out)
	}
	return append(out, re)
}
