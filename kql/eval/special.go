package eval

import (
	"fmt"
	"slices"

	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/types"
)

// arrange runs n and orders its cells as cols.
func (x *exec) arrange(n plan.Node, cols []plan.Column) (rows, error) {
	in, err := x.run(n)
	if err != nil {
		return nil, err
	}
	have := n.Columns()
	if slices.EqualFunc(have, cols, func(a, b plan.Column) bool { return a.ID == b.ID }) {
		return in, nil
	}
	at := make([]int, len(cols))
	for i, c := range cols {
		if at[i] = slices.IndexFunc(have, func(h plan.Column) bool { return h.ID == c.ID }); at[i] < 0 {
			return nil, fmt.Errorf("column %s is not in reach", c.Name)
		}
	}
	out := make(rows, len(in))
	for i, r := range in {
		row := make([]types.Value, len(cols))
		for j, k := range at {
			row[j] = r[k]
		}
		out[i] = row
	}
	return out, nil
}

func (x *exec) plugin(p *plan.Plugin) (rows, error) {
	in, err := x.arrange(p.In, p.InCols)
	if err != nil {
		return nil, err
	}
	var table rows
	if p.Table != nil {
		if table, err = x.arrange(p.Table, p.TableCols); err != nil {
			return nil, err
		}
	}
	return p.Call.Fn.Run(p.Call, in, table, x.lim.Rows)
}

// bucket is the rows of one value.
type bucket struct {
	key  types.Value
	rows rows
}

func (x *exec) buckets(in rows, cols []plan.Column, key plan.Expr) ([]bucket, error) {
	f, err := x.compile(key, cols)
	if err != nil {
		return nil, err
	}
	index := map[string]int{}
	var out []bucket
	for _, r := range in {
		v := f(r)
		k := types.Key(v)
		i, ok := index[k]
		if !ok {
			i = len(out)
			index[k] = i
			out = append(out, bucket{key: v})
		}
		out[i].rows = append(out[i].rows, r)
	}
	return out, nil
}

func (x *exec) partition(p *plan.Partition) (rows, error) {
	in, err := x.run(p.In)
	if err != nil {
		return nil, err
	}
	list, err := x.buckets(in, p.In.Columns(), p.Key)
	if err != nil {
		return nil, err
	}
	var out rows
	for _, b := range list {
		inner := *x
		inner.outer = b.rows
		if p.Param != nil {
			inner.params = map[int]types.Value{}
			for k, v := range x.params {
				inner.params[k] = v
			}
			inner.params[p.Param.ID] = b.key
		}
		sub, err := inner.run(p.Sub)
		if err != nil {
			return nil, err
		}
		if out = append(out, sub...); len(out) > x.lim.Rows {
			return nil, tooMuch("partition makes more than %d rows", x.lim.Rows)
		}
	}
	return out, nil
}

func (x *exec) topNested(t *plan.TopNested) (rows, error) {
	in, err := x.run(t.In)
	if err != nil {
		return nil, err
	}
	var out rows
	err = x.nest(t, in, 0, nil, &out)
	return out, err
}

// nest makes the rows of level i within prefix, the cells of the levels before.
func (x *exec) nest(t *plan.TopNested, in rows, i int, prefix []types.Value, out *rows) error {
	if i == len(t.Levels) {
		*out = append(*out, prefix)
		if len(*out) > x.lim.Rows {
			return tooMuch("top-nested makes more than %d rows", x.lim.Rows)
		}
		return nil
	}
	l := t.Levels[i]
	inner := *x
	inner.outer = in
	best, err := inner.run(l.Best)
	if err != nil {
		return err
	}
	best = slices.Clone(best)
	slices.SortStableFunc(best, func(a, b []types.Value) int {
		return compare(a[1], b[1], plan.SortKey{Desc: l.Desc, NullsFirst: !l.Desc})
	})
	if l.N >= 0 && int64(len(best)) > l.N {
		best = best[:l.N]
	}
	list, err := x.buckets(in, t.Outer.Cols, l.Of)
	if err != nil {
		return err
	}
	kept := map[string]bool{}
	for _, b := range best {
		kept[types.Key(b[0])] = true
	}
	var rest rows
	byKey := map[string]rows{}
	for _, b := range list {
		if k := types.Key(b.key); kept[k] {
			byKey[k] = b.rows
		} else {
			rest = append(rest, b.rows...)
		}
	}
	for _, b := range best {
		if err := x.nest(t, byKey[types.Key(b[0])], i+1, append(slices.Clone(prefix), b[0], b[1]), out); err != nil {
			return err
		}
	}
	if !l.HasOthers {
		return nil
	}
	inner.outer = rest
	agg, err := inner.run(l.Rest)
	if err != nil {
		return err
	}
	row := append(slices.Clone(prefix), l.Others, agg[0][0])
	// Below others there are only the others of the deeper levels.
	for _, d := range t.Levels[i+1:] {
		v := types.Null(d.Key.Type)
		if d.HasOthers {
			v = d.Others
		}
		a := types.Null(d.Agg.Type)
		if d.Rest != nil {
			if agg, err := inner.run(d.Rest); err != nil {
				return err
			} else if d.HasOthers {
				a = agg[0][0]
			}
		}
		row = append(row, v, a)
	}
	*out = append(*out, row)
	return nil
}

// place is what one step of scan holds: the sequence that came as far as here, as the
// last row of each step.
type place struct {
	active  bool
	id      int64
	last    [][]types.Value // by step; nil for a step without a row
	pending int             // place in the output of the row that waits to be the last, or -1
}

// matched is an output row; it waits while drop is set.
type matched struct {
	row  []types.Value
	drop bool
}

type matcher struct {
	m        *plan.Match
	cond     []eval
	assign   [][]eval
	defaults []types.Value
	width    int // of a state
	blank    []types.Value
	out      []matched
	nextID   int64
	limit    int
}

func (x *exec) match(m *plan.Match) (rows, error) {
	in, err := x.run(m.In)
	if err != nil {
		return nil, err
	}
	inCols := m.In.Columns()
	cols := slices.Clone(inCols)
	for _, s := range m.Steps {
		cols = append(cols, s.State...)
	}
	w := &matcher{m: m, width: len(inCols) + len(m.Declared), limit: x.lim.Rows}
	for _, c := range inCols {
		w.blank = append(w.blank, types.Null(c.Type))
	}
	for _, d := range m.Declared {
		f, err := x.compile(d.Expr, nil)
		if err != nil {
			return nil, err
		}
		w.defaults = append(w.defaults, f(nil))
	}
	w.blank = append(w.blank, w.defaults...)
	for _, s := range m.Steps {
		f, err := x.compile(s.Cond, cols)
		if err != nil {
			return nil, err
		}
		var as []eval
		for _, a := range s.Assign {
			g, err := x.compile(a.Expr, cols)
			if err != nil {
				return nil, err
			}
			as = append(as, g)
		}
		w.cond, w.assign = append(w.cond, f), append(w.assign, as)
	}
	var by []eval
	if by, err = x.compileAll(m.By, inCols); err != nil {
		return nil, err
	}
	parts := map[string][]place{}
	for _, row := range in {
		k := keyOf(by, row)
		places := parts[k]
		if places == nil {
			places = make([]place, len(m.Steps))
			parts[k] = places
		}
		w.row(places, row)
		if len(w.out) > w.limit {
			return nil, tooMuch("scan makes more than %d rows", w.limit)
		}
	}
	for _, places := range parts {
		for i := range places {
			w.release(&places[i])
		}
	}
	var out rows
	for _, o := range w.out {
		if !o.drop {
			out = append(out, o.row)
		}
	}
	return out, nil
}

// release lets the row that waited at a place go out.
func (w *matcher) release(p *place) {
	if p.active && p.pending >= 0 {
		w.out[p.pending].drop = false
		p.pending = -1
	}
}

// row tries the steps from last to first: a sequence that stands at a step before may
// move on, one at the step itself may stay, and the first step may begin a new one.
func (w *matcher) row(places []place, row []types.Value) {
	for k := len(w.m.Steps) - 1; k >= 0; k-- {
		moved := false
		for j := k - 1; j >= 0; j-- {
			if places[j].active && w.holds(k, places[j].last, row) {
				w.release(&places[k])
				w.release(&places[j])
				places[k] = places[j]
				places[j] = place{}
				w.take(k, &places[k], row)
				moved = true
			}
			if moved || !w.m.Steps[j].Optional {
				break
			}
		}
		if moved {
			continue
		}
		if places[k].active {
			if w.holds(k, places[k].last, row) {
				w.take(k, &places[k], row)
			}
			continue
		}
		// Optional first steps may be left out.
		first := true
		for j := 0; j < k; j++ {
			first = first && w.m.Steps[j].Optional
		}
		if last := make([][]types.Value, len(w.m.Steps)); first && w.holds(k, last, row) {
			places[k] = place{active: true, id: w.nextID, last: last, pending: -1}
			w.nextID++
			w.take(k, &places[k], row)
		}
	}
}

// sight is what expressions see: the row, then the last row of every step.
func (w *matcher) sight(last [][]types.Value, row []types.Value) []types.Value {
	out := slices.Clone(row)
	for _, l := range last {
		if l == nil {
			l = w.blank
		}
		out = append(out, l...)
	}
	return out
}

func (w *matcher) holds(k int, last [][]types.Value, row []types.Value) bool {
	return w.cond[k](w.sight(last, row)).True()
}

// take adds a row to the sequence at step k.
func (w *matcher) take(k int, p *place, row []types.Value) {
	step := w.m.Steps[k]
	seen := w.sight(p.last, row)
	state := append(slices.Clone(row), w.defaults...)
	for i, a := range step.Assign {
		state[len(row)+a.At] = w.assign[k][i](seen)
	}
	p.last = slices.Clone(p.last)
	p.last[k] = state
	if step.Output == "none" {
		p.pending = -1
		return
	}
	out := slices.Clone(state)
	if w.m.ID != nil {
		out = append(out, types.NewLong(p.id))
	}
	if step.Output == "last" {
		p.pending = len(w.out)
	} else {
		p.pending = -1
	}
	w.out = append(w.out, matched{out, step.Output == "last"})
}
