package plugin

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/vedette-edr/vedette/kql/types"
)

func segmentFuncs() []Func {
	columns := func(lead ...Column) func(*Call, Rows) ([]Column, error) {
		return func(c *Call, _ Rows) ([]Column, error) {
			out := slices.Clone(lead)
			for _, col := range c.In {
				if c.Fn.Name != "diffpatterns" || col.Name != c.In[c.at("SplitColumn")].Name {
					out = append(out, Column{fresh(out, col.Name), types.String})
				}
			}
			return out, nil
		}
	}
	return []Func{
		{Name: "autocluster", Doc: "Few patterns of column values that cover most of the rows.",
			Params: []Param{{Name: "SizeWeight", Kind: Const, Optional: true}, {Name: "WeightColumn", Kind: Any, Optional: true}, {Name: "NumSeeds", Kind: Const, Optional: true}},
			Shape:  columns(Column{"SegmentId", types.Long}, Column{"Count", types.Long}, Column{"Percent", types.Real}), Run: autocluster},
		{Name: "basket", Doc: "All patterns of column values that are frequent.",
			Params: []Param{{Name: "Threshold", Kind: Const, Optional: true}, {Name: "WeightColumn", Kind: Any, Optional: true}, {Name: "MaxDimensions", Kind: Const, Optional: true}},
			Shape:  columns(Column{"SegmentId", types.Long}, Column{"Count", types.Long}, Column{"Percent", types.Real}), Run: basket},
		{Name: "diffpatterns", Doc: "Patterns of column values that are more frequent in one of two halves.",
			Params: []Param{{Name: "SplitColumn", Kind: Col}, {Name: "SplitValueA", Kind: Const}, {Name: "SplitValueB", Kind: Const}, {Name: "WeightColumn", Kind: Any, Optional: true}, {Name: "Threshold", Kind: Const, Optional: true}},
			Shape: columns(Column{"SegmentId", types.Long}, Column{"CountA", types.Long}, Column{"CountB", types.Long}, Column{"PercentA", types.Real}, Column{"PercentB", types.Real},
				Column{"PercentDiffAB", types.Real}), Run: diffpatterns},
		{Name: "reduce", Doc: "Texts grouped by what they have in common.",
			Params: []Param{{Name: "column", Kind: Col}, {Name: "threshold", Kind: Const, Optional: true}, {Name: "characters", Kind: Const, Optional: true}},
			Shape: func(*Call, Rows) ([]Column, error) {
				return []Column{{"Pattern", types.String}, {"Count", types.Long}, {"Representative", types.String}}, nil
			}, Run: reduce},
	}
}

// item is a column with a value; a pattern is a set of items of different columns.
type item struct {
	col int
	val string
}

type pattern struct {
	items []item // ascending by column
	rows  []int
}

// Bounds on the search: patterns looked at, and positions compared to find them.
const (
	maxPatterns = 20_000
	maxCompared = 200_000_000
)

// frequent finds the patterns that at least need rows have, of up to dims columns. It
// grows them column by column: what is rare does not get more frequent by being longer.
func frequent(in Rows, cols []int, need, dims int) []pattern {
	var singles []pattern
	for _, c := range cols {
		by := map[string][]int{}
		for i, row := range in {
			if v := row[c]; !v.Null {
				by[v.Text()] = append(by[v.Text()], i)
			}
		}
		var vals []string
		for v, rows := range by {
			if len(rows) >= need {
				vals = append(vals, v)
			}
		}
		sort.Strings(vals)
		for _, v := range vals {
			singles = append(singles, pattern{[]item{{c, v}}, by[v]})
		}
	}
	out, level, compared := singles, singles, 0
	for d := 2; d <= dims && len(level) > 0 && len(out) < maxPatterns; d++ {
		var next []pattern
		for _, p := range level {
			for _, s := range singles {
				if s.items[0].col <= p.items[len(p.items)-1].col {
					continue
				}
				compared += len(p.rows) + len(s.rows)
				if rows := common(p.rows, s.rows); len(rows) >= need {
					next = append(next, pattern{append(slices.Clone(p.items), s.items[0]), rows})
				}
				if len(out)+len(next) >= maxPatterns || compared > maxCompared {
					return append(out, next...)
				}
			}
		}
		out, level = append(out, next...), next
	}
	return out
}

// common is the intersection of two ascending lists.
func common(a, b []int) []int {
	var out []int
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i] == b[j]:
			out = append(out, a[i])
			i, j = i+1, j+1
		case a[i] < b[j]:
			i++
		default:
			j++
		}
	}
	return out
}

func (p pattern) cells(cols []int) []types.Value {
	out := make([]types.Value, len(cols))
	for i, c := range cols {
		out[i] = types.NewString("")
		for _, it := range p.items {
			if it.col == c {
				out[i] = types.NewString(it.val)
			}
		}
	}
	return out
}

func number(c *Call, name string, def float64) float64 {
	if v := c.value(name, types.Real); !v.Null {
		return v.F
	}
	return def
}

func allColumns(c *Call) []int {
	out := make([]int, len(c.In))
	for i := range out {
		out[i] = i
	}
	return out
}

func basket(c *Call, in, _ Rows, limit int) (Rows, error) {
	th := number(c, "Threshold", 0.05)
	if th < 0.015 || th > 1 {
		return nil, fmt.Errorf("basket takes a threshold from 0.015 to 1")
	}
	need := max(int(th*float64(len(in))+0.9999), 1)
	cols := allColumns(c)
	list := frequent(in, cols, need, int(min(max(number(c, "MaxDimensions", 5), 1), 10)))
	sort.SliceStable(list, func(i, j int) bool { return len(list[i].rows) > len(list[j].rows) })
	var out Rows
	for i, p := range list {
		if len(out) >= limit {
			break
		}
		row := []types.Value{long(i), long(len(p.rows)), types.NewReal(100 * float64(len(p.rows)) / float64(len(in)))}
		out = append(out, append(row, p.cells(cols)...))
	}
	return out, nil
}

// autocluster picks, again and again, the pattern that says most about the rows that no
// earlier one covers: share of the rows against share of the columns, by SizeWeight.
func autocluster(c *Call, in, _ Rows, limit int) (Rows, error) {
	w := number(c, "SizeWeight", 0.5)
	if w <= 0 || w >= 1 {
		return nil, fmt.Errorf("autocluster takes a size weight between 0 and 1")
	}
	cols := allColumns(c)
	list := frequent(in, cols, max(len(in)/20, 1), min(len(cols), 8))
	covered := make([]bool, len(in))
	var out Rows
	for id := 0; id < limit && id < 20; id++ {
		best, score := -1, 0.0
		for i, p := range list {
			fresh := 0
			for _, r := range p.rows {
				if !covered[r] {
					fresh++
				}
			}
			size, width := float64(fresh)/float64(len(in)), float64(len(p.items))/float64(len(cols))
			if s := size*w + width*(1-w); fresh*20 >= len(in) && fresh > 0 && s*size > score {
				best, score = i, s*size
			}
		}
		if best < 0 {
			break
		}
		p := list[best]
		for _, r := range p.rows {
			covered[r] = true
		}
		row := []types.Value{long(id), long(len(p.rows)), types.NewReal(100 * float64(len(p.rows)) / float64(len(in)))}
		out = append(out, append(row, p.cells(cols)...))
	}
	return out, nil
}

func diffpatterns(c *Call, in, _ Rows, limit int) (Rows, error) {
	split := c.at("SplitColumn")
	a, b := c.value("SplitValueA", types.String).S, c.value("SplitValueB", types.String).S
	th := number(c, "Threshold", 0.05)
	var both Rows
	inA, nA, nB := []bool{}, 0, 0
	for _, row := range in {
		switch row[split].Text() {
		case a:
			both, inA, nA = append(both, row), append(inA, true), nA+1
		case b:
			both, inA, nB = append(both, row), append(inA, false), nB+1
		}
	}
	if nA == 0 || nB == 0 {
		return nil, nil
	}
	var cols []int
	for i := range c.In {
		if i != split {
			cols = append(cols, i)
		}
	}
	type found struct {
		pattern
		a, b int
		diff float64
	}
	var list []found
	for _, p := range frequent(both, cols, max(int(th*float64(min(nA, nB))), 1), 4) {
		f := found{pattern: p}
		for _, r := range p.rows {
			if inA[r] {
				f.a++
			} else {
				f.b++
			}
		}
		f.diff = 100 * (float64(f.a)/float64(nA) - float64(f.b)/float64(nB))
		if f.diff >= 100*th || -f.diff >= 100*th {
			list = append(list, f)
		}
	}
	sort.SliceStable(list, func(i, j int) bool {
		return max(list[i].diff, -list[i].diff) > max(list[j].diff, -list[j].diff)
	})
	var out Rows
	for i, f := range list[:min(len(list), limit, 100)] {
		row := []types.Value{long(i), long(f.a), long(f.b), types.NewReal(100 * float64(f.a) / float64(nA)), types.NewReal(100 * float64(f.b) / float64(nB)), types.NewReal(max(f.diff, -f.diff))}
		out = append(out, append(row, f.cells(cols)...))
	}
	return out, nil
}

// reduce groups texts of one form: the same words in the same places, but for those
// places where the words differ too much. characters join the spaces between words.
func reduce(c *Call, in, _ Rows, limit int) (Rows, error) {
	at, th := c.at("column"), number(c, "threshold", 0.1)
	extra := c.value("characters", types.String).S
	type form struct {
		words [][]string
		seps  []string
		texts []string
	}
	index := map[string]*form{}
	var order []*form
	for _, row := range in {
		text := row[at].Text()
		words, seps := cut(text, extra)
		key := fmt.Sprint(len(words), "\x00", strings.Join(seps, "\x00"))
		if len(words) > 0 {
			key += "\x00" + words[0]
		}
		f := index[key]
		if f == nil {
			f = &form{seps: seps}
			index[key] = f
			order = append(order, f)
		}
		f.words, f.texts = append(f.words, words), append(f.texts, text)
	}
	type group struct {
		pattern, sample string
		n               int
	}
	merged := map[string]*group{}
	var groups []*group
	for _, f := range order {
		width := len(f.words[0])
		keep := make([]map[string]bool, width)
		for j := range keep {
			count := map[string]int{}
			for _, w := range f.words {
				count[w[j]]++
			}
			keep[j] = map[string]bool{}
			for w, n := range count {
				if j == 0 || float64(n) > th*float64(len(f.words)) && (len(count) == 1 || float64(n) > 0.5*float64(len(f.words))) {
					keep[j][w] = true
				}
			}
		}
		for i, words := range f.words {
			p := patternText(words, f.seps, keep, extra)
			g := merged[p]
			if g == nil {
				if len(groups) >= limit {
					return nil, tooMany(c, limit)
				}
				g = &group{pattern: p, sample: f.texts[i]}
				merged[p] = g
				groups = append(groups, g)
			}
			g.n++
		}
	}
	// A text that has nothing in common with any other is one of the others.
	var out Rows
	others := 0
	groups = slices.DeleteFunc(groups, func(g *group) bool {
		alone := g.n == 1 && float64(g.n) <= th*float64(len(in))
		if alone {
			others++
		}
		return alone
	})
	if others > 0 {
		groups = append(groups, &group{pattern: "others", n: others})
	}
	sort.SliceStable(groups, func(i, j int) bool { return groups[i].n > groups[j].n })
	for _, g := range groups {
		out = append(out, []types.Value{types.NewString(g.pattern), long(g.n), types.NewString(g.sample)})
	}
	return out, nil
}

// cut splits a text into words and what stands between them: one separator more than words.
func cut(s, extra string) (words, seps []string) {
	isWord := func(r rune) bool {
		return !strings.ContainsRune(extra, r) && (r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_' || r > 127)
	}
	start, in := 0, false
	for i, r := range s {
		if isWord(r) != in {
			if in {
				words = append(words, s[start:i])
			} else {
				seps = append(seps, s[start:i])
			}
			start, in = i, !in
		}
	}
	if in {
		return append(words, s[start:]), append(seps, "")
	}
	return words, append(seps, s[start:])
}

// patternText writes the words that are kept and a star for runs of others; separators of
// the caller's own beside a star belong to it.
func patternText(words, seps []string, keep []map[string]bool, extra string) string {
	var b strings.Builder
	star := false
	for i, w := range words {
		sep, kept := seps[i], keep[i][w]
		own := sep != "" && strings.Trim(sep, extra) == ""
		if !(own && (star || !kept)) {
			if !(star && !kept) {
				b.WriteString(sep)
			}
		}
		if kept {
			b.WriteString(w)
			star = false
			continue
		}
		if !star {
			b.WriteByte('*')
		}
		star = true
	}
	if last := seps[len(seps)-1]; !(star && strings.Trim(last, extra) == "") {
		b.WriteString(last)
	}
	return b.String()
}
