package plan

import (
	"github.com/vedette-edr/vedette/kql/types"
)

// Optimize prunes what no one reads and tells scans their time ranges. The result has
// the same columns and the same rows.
func Optimize(root Node) Node {
	need := map[int]bool{}
	for _, c := range root.Columns() {
		need[c.ID] = true
	}
	root = prune(uniqueFilters(root), need)
	ranges(root, nil)
	return root
}

// uniqueFilters brings filters on the left columns of an innerunique join below it. The
// join keeps any one left row of a key; Kusto filters first, so that a row which the
// filter wants is the one kept. Nothing else may be changed by it: the filters read
// columns of the left side only and do not depend on the row's place.
func uniqueFilters(n Node) Node {
	for _, in := range n.Inputs() {
		uniqueFilters(in)
	}
	f, ok := n.(*Filter)
	if !ok {
		return n
	}
	in := f.In
	for {
		above, ok := in.(*Filter)
		if !ok {
			break
		}
		in = above.In
	}
	p, _ := in.(*Project)
	j, _ := in.(*Join)
	if p != nil {
		j, _ = p.In.(*Join)
	}
	if j == nil || j.Kind != InnerUnique {
		return f
	}
	left := map[int]bool{}
	for _, c := range j.L.Columns() {
		left[c.ID] = true
	}
	if p != nil {
		for _, it := range p.Items {
			if c, ok := it.Expr.(*Col); !ok || c.ID != it.Col.ID {
				delete(left, it.Col.ID)
			}
		}
	}
	parts := []Expr{f.Pred}
	if c, ok := f.Pred.(*Call); ok && c.Fn.Name == "and" {
		parts = c.Args
	}
	for _, e := range parts {
		fits := true
		WalkExpr(e, func(x Expr) {
			switch y := x.(type) {
			case *Col:
				fits = fits && left[y.ID]
			case *Call:
				fits = fits && !y.Fn.Volatile
			case *Scalar, *InTable, *Param:
				fits = false
			}
		})
		if fits {
			j.L = &Filter{In: j.L, Pred: e}
		}
	}
	return f
}

// Walk calls f on every node, those inside expressions included, parents first.
func Walk(n Node, f func(Node)) {
	f(n)
	for _, e := range Exprs(n) {
		WalkExpr(e, func(x Expr) {
			switch y := x.(type) {
			case *Scalar:
				Walk(y.Root, f)
			case *InTable:
				Walk(y.Root, f)
			}
		})
	}
	for _, in := range n.Inputs() {
		Walk(in, f)
	}
}

// WalkExpr calls f on e and every expression below it; it does not enter nested queries.
func WalkExpr(e Expr, f func(Expr)) {
	f(e)
	switch x := e.(type) {
	case *Call:
		for _, a := range x.Args {
			WalkExpr(a, f)
		}
	case *InTable:
		WalkExpr(x.X, f)
	}
}

// Exprs lists the expressions of a node itself.
func Exprs(n Node) []Expr {
	var out []Expr
	items := func(list []Item) {
		for _, it := range list {
			out = append(out, it.Expr)
		}
	}
	switch x := n.(type) {
	case *Scan:
		if x.Pred != nil {
			out = append(out, x.Pred)
		}
	case *Filter:
		out = append(out, x.Pred)
	case *Project:
		items(x.Items)
	case *Aggregate:
		items(x.Keys)
		for _, a := range x.Aggs {
			out = append(out, a.Args...)
			if a.Filter != nil {
				out = append(out, a.Filter)
			}
		}
	case *Join:
		for _, k := range x.Keys {
			out = append(out, k.Left, k.Right)
		}
	case *Sort:
		for _, k := range x.Keys {
			out = append(out, k.Expr)
		}
	case *MvExpand:
		for _, it := range x.Items {
			out = append(out, it.Expr)
		}
	case *MvApply:
		for _, it := range x.Items {
			out = append(out, it.Expr)
		}
	case *Window:
		for _, it := range x.Items {
			out = append(out, it.Args...)
		}
	case interface{ exprs() []Expr }:
		out = append(out, x.exprs()...)
	}
	return out
}

// RestrictScans puts a predicate on every scan of the plan, those under joins, unions,
// lets and nested queries included; f answers nil for a scan that needs none. The
// predicate reads columns that it gets from Scan.Read. Scans of External files come too;
// they have no columns but the declared ones.
func RestrictScans(root Node, f func(*Scan) Expr) {
	Walk(root, func(n Node) {
		if s, ok := n.(*Scan); ok {
			if p := f(s); p != nil {
				s.Pred = p
			}
		}
	})
}

// need adds the columns that e reads.
func reads(e Expr, need map[int]bool) {
	WalkExpr(e, func(x Expr) {
		if c, ok := x.(*Col); ok {
			need[c.ID] = true
		}
	})
}

// prune drops columns that nothing above reads and prunes nested queries on the way.
func prune(n Node, need map[int]bool) Node {
	for _, e := range Exprs(n) {
		WalkExpr(e, func(x Expr) {
			switch y := x.(type) {
			case *Scalar:
				y.Root = Optimize(y.Root)
			case *InTable:
				y.Root = Optimize(y.Root)
			}
		})
	}
	below := map[int]bool{}
	copyAll := func() {
		for id := range need {
			below[id] = true
		}
	}
	switch x := n.(type) {
	case *Scan:
		if x.Pred != nil {
			reads(x.Pred, need)
		}
		kept := x.Cols[:0:0]
		for _, c := range x.Cols {
			if need[c.ID] {
				kept = append(kept, c)
			}
		}
		x.Cols = kept
	case *Filter:
		copyAll()
		reads(x.Pred, below)
		x.In = prune(x.In, below)
	case *Project:
		kept := x.Items[:0:0]
		for _, it := range x.Items {
			if need[it.Col.ID] {
				kept = append(kept, it)
				reads(it.Expr, below)
			}
		}
		x.Items = kept
		x.In = prune(x.In, below)
	case *Aggregate:
		kept := x.Aggs[:0:0]
		for i, a := range x.Aggs {
			used := false
			for _, c := range a.Cols {
				used = used || need[c.ID]
			}
			// Without keys an aggregate makes one row of any input: one must stay.
			if used || len(x.Keys) == 0 && len(kept) == 0 && i == len(x.Aggs)-1 {
				kept = append(kept, a)
			}
		}
		x.Aggs = kept
		for _, e := range Exprs(x) {
			reads(e, below)
		}
		x.In = prune(x.In, below)
	case *Join:
		copyAll()
		for _, e := range Exprs(x) {
			reads(e, below)
		}
		x.L, x.R = prune(x.L, below), prune(x.R, below)
	case *Sort:
		copyAll()
		for _, k := range x.Keys {
			reads(k.Expr, below)
		}
		x.In = prune(x.In, below)
	case *Limit:
		copyAll()
		x.In = prune(x.In, below)
	case *Union:
		// Positions tie the inputs to the outputs: drop a position everywhere or nowhere.
		var pos []int
		for i, c := range x.Cols {
			if need[c.ID] {
				pos = append(pos, i)
			}
		}
		cols := make([]Column, len(pos))
		for j, i := range pos {
			cols[j] = x.Cols[i]
		}
		x.Cols = cols
		for k, in := range x.Ins {
			p := in.(*Project)
			items := make([]Item, len(pos))
			keep := map[int]bool{}
			for j, i := range pos {
				items[j] = p.Items[i]
				keep[items[j].Col.ID] = true
			}
			x.Ins[k] = prune(&Project{In: p.In, Items: items}, keep)
		}
	case *MvExpand:
		copyAll()
		for _, it := range x.Items {
			reads(it.Expr, below)
		}
		x.In = prune(x.In, below)
	case *Plugin, *TopNested, *Match:
		pruneSpecial(x)
	case *Partition:
		copyAll()
		x.Sub = pruneSub(x.Sub, need, below)
		reads(x.Key, below)
		x.In = prune(x.In, below)
		if x.Outer != nil {
			x.Outer.Cols = x.In.Columns()
		}
	case *MvApply:
		copyAll()
		x.Sub = pruneSub(x.Sub, need, below)
		var keep []Column
		for _, c := range x.Keep {
			if need[c.ID] {
				keep = append(keep, c)
			}
		}
		x.Keep = keep
		for _, it := range x.Items {
			reads(it.Expr, below)
		}
		x.In = prune(x.In, below)
		// The leaf has the rows that are handed in: those of In, expanded.
		cols := append([]Column{}, x.In.Columns()...)
		for _, it := range x.Items {
			cols = append(cols, it.Col)
		}
		if x.Index != nil {
			cols = append(cols, *x.Index)
		}
		x.Outer.Cols = cols
	case *Window:
		copyAll()
		for _, it := range x.Items {
			for _, a := range it.Args {
				reads(a, below)
			}
		}
		x.In = prune(x.In, below)
	}
	return n
}

// pruneSub prunes a subplan to the columns needed of it and adds what its operators read
// to below, because its leaf hands that through from the operator's own input.
func pruneSub(sub Node, need, below map[int]bool) Node {
	inner := map[int]bool{}
	for _, c := range sub.Columns() {
		inner[c.ID] = need[c.ID]
	}
	sub = prune(sub, inner)
	var visit func(n Node)
	visit = func(n Node) {
		for _, e := range Exprs(n) {
			reads(e, below)
		}
		switch x := n.(type) {
		case *MvApply:
			for _, c := range x.Keep {
				below[c.ID] = true
			}
		case *Plugin, *TopNested, *Match, *Union:
			// They read whatever their inputs have.
			for _, in := range n.Inputs() {
				for _, c := range in.Columns() {
					below[c.ID] = true
				}
			}
		}
		for _, in := range n.Inputs() {
			visit(in)
		}
	}
	visit(sub)
	return sub
}

// bounds are what filters above demand of columns, by ID.
type bounds map[int]TimeRange

// ranges carries time bounds from filters down to the scans. It goes only through
// operators that pass rows on unchanged or drop some: a filter above an aggregate, a
// limit or a window says nothing about the rows below it.
func ranges(n Node, b bounds) {
	switch x := n.(type) {
	case *Scan:
		for _, c := range x.Cols {
			if r, ok := b[c.ID]; ok && c.BaseType == types.Datetime {
				x.Ranges = append(x.Ranges, ColumnRange{Source: c.Source, TimeRange: r})
			}
		}
		return
	case *Filter:
		m := bounds{}
		for k, v := range b {
			m[k] = v
		}
		demand(x.Pred, m)
		ranges(x.In, m)
		return
	case *Project:
		m := bounds{}
		for _, it := range x.Items {
			if c, ok := it.Expr.(*Col); ok {
				if r, has := b[it.Col.ID]; has {
					m.meet(c.ID, r)
				}
			}
		}
		ranges(x.In, m)
		return
	case *Sort:
		ranges(x.In, b)
		return
	case *MvExpand:
		ranges(x.In, b)
		return
	case *Union:
		for _, in := range x.Ins {
			m := bounds{}
			for i, c := range in.Columns() {
				if r, ok := b[x.Cols[i].ID]; ok {
					m[c.ID] = r
				}
			}
			ranges(in, m)
		}
		return
	case *Join:
		// A filter on the result binds a side only where that side's rows reach the
		// result unpadded.
		l, r := b, b
		switch x.Kind {
		case LeftOuter, LeftAnti, LeftSemi:
			r = nil
		case RightOuter, RightAnti, RightSemi:
			l = nil
		case FullOuter:
			l, r = nil, nil
		}
		ranges(x.L, l)
		ranges(x.R, r)
		return
	}
	for _, in := range n.Inputs() {
		ranges(in, nil)
	}
}

func (b bounds) meet(id int, r TimeRange) {
	old, ok := b[id]
	if !ok {
		old = AllTime()
	}
	b[id] = TimeRange{max(old.Min, r.Min), min(old.Max, r.Max)}
}

// demand adds what must hold of time columns where e is true.
func demand(e Expr, b bounds) {
	c, ok := e.(*Call)
	if !ok {
		return
	}
	if c.Fn.Name == "and" {
		for _, a := range c.Args {
			demand(a, b)
		}
		return
	}
	if len(c.Args) != 2 {
		return
	}
	op := c.Fn.Name
	col, ok1 := c.Args[0].(*Col)
	k, ok2 := c.Args[1].(*Const)
	if !ok1 || !ok2 {
		k, ok2 = c.Args[0].(*Const)
		col, ok1 = c.Args[1].(*Col)
		op = map[string]string{"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "=="}[op]
	}
	if !ok1 || !ok2 || col.T != types.Datetime || k.V.Null || k.V.Type != types.Datetime {
		return
	}
	r := AllTime()
	switch op {
	case "<":
		r.Max = k.V.I - 1
	case "<=":
		r.Max = k.V.I
	case ">":
		r.Min = k.V.I + 1
	case ">=":
		r.Min = k.V.I
	case "==":
		r.Min, r.Max = k.V.I, k.V.I
	default:
		return
	}
	b.meet(col.ID, r)
}
