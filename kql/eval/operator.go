package eval

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/vedette-edr/vedette/kql/funcs"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/types"
)

func (x *exec) rangeRows(r *plan.Range) (rows, error) {
	vals, ok := funcs.Sequence(r.From, r.To, r.Step, x.lim.Rows)
	if !ok {
		return nil, tooMuch("range %s has no end or more than %d rows", r.Col.Name, x.lim.Rows)
	}
	out := make(rows, len(vals))
	for i, v := range vals {
		out[i] = []types.Value{v}
	}
	return out, nil
}

func keyOf(fs []eval, row []types.Value) string {
	if len(fs) == 1 {
		return types.Key(fs[0](row))
	}
	var b strings.Builder
	for _, f := range fs {
		k := types.Key(f(row))
		b.WriteString(strconv.Itoa(len(k)))
		b.WriteByte(':')
		b.WriteString(k)
	}
	return b.String()
}

func anyNull(fs []eval, row []types.Value) bool {
	for _, f := range fs {
		if f(row).Null {
			return true
		}
	}
	return false
}

type aggSpec struct {
	item   plan.AggItem
	args   []eval
	filter eval
}

type group struct {
	key  []types.Value
	accs []funcs.Acc
	seen []bool
}

func (x *exec) aggregate(n *plan.Aggregate) (rows, error) {
	in, err := x.run(n.In)
	if err != nil {
		return nil, err
	}
	cols := n.In.Columns()
	var keys []eval
	for _, k := range n.Keys {
		f, err := x.compile(k.Expr, cols)
		if err != nil {
			return nil, err
		}
		keys = append(keys, f)
	}
	var specs []aggSpec
	for _, a := range n.Aggs {
		s := aggSpec{item: a}
		if s.args, err = x.compileAll(a.Args, cols); err != nil {
			return nil, err
		}
		if a.Filter != nil {
			if s.filter, err = x.compile(a.Filter, cols); err != nil {
				return nil, err
			}
		}
		specs = append(specs, s)
	}
	make1 := func(row []types.Value) *group {
		g := &group{seen: make([]bool, len(specs))}
		for _, f := range keys {
			g.key = append(g.key, f(row))
		}
		for _, s := range specs {
			g.accs = append(g.accs, s.item.Fn.New(&funcs.Ctx{Result: s.item.Cols[0].Type}))
		}
		return g
	}
	byKey := map[string]*group{}
	var order []*group
	if len(keys) == 0 {
		g := make1(nil)
		byKey[""], order = g, []*group{g}
	}
	for _, row := range in {
		k := ""
		if len(keys) > 0 {
			k = keyOf(keys, row)
		}
		g := byKey[k]
		if g == nil {
			g = make1(row)
			byKey[k] = g
			order = append(order, g)
		}
		for i, s := range specs {
			if s.filter != nil && !s.filter(row).True() {
				continue
			}
			vals := make([]types.Value, len(s.args))
			for j, f := range s.args {
				vals[j] = f(row)
			}
			g.accs[i].Add(vals)
			g.seen[i] = true
		}
	}
	out := make(rows, len(order))
	for i, g := range order {
		row := append([]types.Value{}, g.key...)
		for j, s := range specs {
			res := g.accs[j].Result()
			for k, c := range s.item.Cols {
				if k < len(res) {
					row = append(row, res[k])
				} else {
					row = append(row, types.Null(c.Type))
				}
			}
		}
		out[i] = row
	}
	return out, nil
}

func (x *exec) join(j *plan.Join) (rows, error) {
	l, err := x.run(j.L)
	if err != nil {
		return nil, err
	}
	r, err := x.run(j.R)
	if err != nil {
		return nil, err
	}
	var lk, rk []eval
	for _, k := range j.Keys {
		lf, err := x.compile(k.Left, j.L.Columns())
		if err != nil {
			return nil, err
		}
		rf, err := x.compile(k.Right, j.R.Columns())
		if err != nil {
			return nil, err
		}
		lk, rk = append(lk, lf), append(rk, rf)
	}
	if j.Kind == plan.InnerUnique {
		seen := map[string]bool{}
		l = slices.DeleteFunc(slices.Clone(l), func(row []types.Value) bool {
			k := keyOf(lk, row)
			defer func() { seen[k] = true }()
			return seen[k]
		})
	}
	// A null key meets nothing, not even another null.
	left, right := map[string][]int{}, map[string][]int{}
	for i, row := range l {
		if k := keyOf(lk, row); !anyNull(lk, row) {
			left[k] = append(left[k], i)
		}
	}
	for i, row := range r {
		if k := keyOf(rk, row); !anyNull(rk, row) {
			right[k] = append(right[k], i)
		}
	}
	var out rows
	switch j.Kind {
	case plan.LeftSemi, plan.LeftAnti:
		for _, row := range l {
			if (len(right[keyOf(lk, row)]) > 0) == (j.Kind == plan.LeftSemi) {
				out = append(out, row)
			}
		}
		return out, nil
	case plan.RightSemi, plan.RightAnti:
		for _, row := range r {
			if (len(left[keyOf(rk, row)]) > 0) == (j.Kind == plan.RightSemi) {
				out = append(out, row)
			}
		}
		return out, nil
	}
	pad := func(cols []plan.Column) []types.Value {
		row := make([]types.Value, len(cols))
		for i, c := range cols {
			row[i] = types.Null(c.Type)
		}
		return row
	}
	for _, row := range l {
		hits := right[keyOf(lk, row)]
		if len(out)+len(hits) > x.lim.Rows {
			return nil, tooMuch("a join makes more than %d rows", x.lim.Rows)
		}
		for _, i := range hits {
			out = append(out, append(slices.Clone(row), r[i]...))
		}
		if len(hits) == 0 && (j.Kind == plan.LeftOuter || j.Kind == plan.FullOuter) {
			out = append(out, append(slices.Clone(row), pad(j.R.Columns())...))
		}
	}
	if j.Kind == plan.RightOuter || j.Kind == plan.FullOuter {
		for _, row := range r {
			if len(left[keyOf(rk, row)]) == 0 {
				out = append(out, append(pad(j.L.Columns()), row...))
			}
		}
	}
	return out, nil
}

func (x *exec) sort(s *plan.Sort) (rows, error) {
	in, err := x.run(s.In)
	if err != nil {
		return nil, err
	}
	type keyed struct {
		keys []types.Value
		row  []types.Value
	}
	list := make([]keyed, len(in))
	fs := make([]eval, len(s.Keys))
	for i, k := range s.Keys {
		if fs[i], err = x.compile(k.Expr, s.In.Columns()); err != nil {
			return nil, err
		}
	}
	for i, row := range in {
		list[i].row = row
		for _, f := range fs {
			list[i].keys = append(list[i].keys, f(row))
		}
	}
	slices.SortStableFunc(list, func(a, b keyed) int {
		for i, k := range s.Keys {
			if c := compare(a.keys[i], b.keys[i], k); c != 0 {
				return c
			}
		}
		return 0
	})
	out := make(rows, len(in))
	for i := range list {
		out[i] = list[i].row
	}
	return out, nil
}

func compare(a, b types.Value, k plan.SortKey) int {
	if a.Null || b.Null {
		if a.Null && b.Null {
			return 0
		}
		if a.Null == k.NullsFirst {
			return -1
		}
		return 1
	}
	// NaN stands beside the nulls, between them and the numbers.
	if x, y := isNaN(a), isNaN(b); x != y {
		if x == k.NullsFirst {
			return -1
		}
		return 1
	}
	c := types.Compare(a, b)
	if k.Desc {
		return -c
	}
	return c
}

func isNaN(v types.Value) bool { return v.Type == types.Real && math.IsNaN(v.F) }

func (x *exec) expand(in rows, cols []plan.Column, items []plan.MvItem, index bool, limit int64, asArray bool) (rows, error) {
	fs := make([]eval, len(items))
	var err error
	for i, it := range items {
		if fs[i], err = x.compile(it.Expr, cols); err != nil {
			return nil, err
		}
	}
	var out rows
	for _, row := range in {
		vals := make([]types.Value, len(items))
		for i, f := range fs {
			vals[i] = f(row)
		}
		made := funcs.MvRows(vals, asArray)
		made = made[:min(int64(len(made)), limit)]
		if len(out)+len(made) > x.lim.Rows {
			return nil, tooMuch("an expansion makes more than %d rows", x.lim.Rows)
		}
		for i, m := range made {
			r := slices.Clone(row)
			for j, it := range items {
				r = append(r, types.Convert(types.NewDynamic(m.([]any)[j]), it.Col.Type))
			}
			if index {
				r = append(r, types.NewLong(int64(i)))
			}
			out = append(out, r)
		}
	}
	return out, nil
}

func (x *exec) mvApply(m *plan.MvApply) (rows, error) {
	in, err := x.run(m.In)
	if err != nil {
		return nil, err
	}
	cols := m.In.Columns()
	keep := make([]eval, len(m.Keep))
	for i, c := range m.Keep {
		if keep[i], err = x.compile(c.Ref(), cols); err != nil {
			return nil, err
		}
	}
	var out rows
	for i := range in {
		inner := *x
		if inner.outer, err = x.expand(in[i:i+1], cols, m.Items, m.Index != nil, m.Limit, false); err != nil {
			return nil, err
		}
		sub, err := inner.run(m.Sub)
		if err != nil {
			return nil, err
		}
		for _, s := range sub {
			row := make([]types.Value, 0, len(keep)+len(s))
			for _, f := range keep {
				row = append(row, f(in[i]))
			}
			out = append(out, append(row, s...))
		}
		if len(out) > x.lim.Rows {
			return nil, tooMuch("mv-apply makes more than %d rows", x.lim.Rows)
		}
	}
	return out, nil
}
