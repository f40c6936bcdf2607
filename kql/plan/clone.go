package plan

import "slices"

// Clone copies a plan, nested queries of expressions included, so that rewriting the copy
// leaves the original alone. Columns keep their IDs.
func Clone(n Node) Node {
	switch x := n.(type) {
	case *Values:
		c := *x
		return &c
	case *Range:
		c := *x
		return &c
	case *Outer:
		c := *x
		return &c
	case *Scan:
		c := *x
		c.Cols, c.Extra, c.Ranges = slices.Clone(x.Cols), slices.Clone(x.Extra), slices.Clone(x.Ranges)
		c.Pred = cloneExpr(x.Pred)
		return &c
	case *Filter:
		return &Filter{In: Clone(x.In), Pred: cloneExpr(x.Pred)}
	case *Project:
		return &Project{In: Clone(x.In), Items: cloneItems(x.Items)}
	case *Aggregate:
		c := &Aggregate{In: Clone(x.In), Keys: cloneItems(x.Keys)}
		for _, a := range x.Aggs {
			a.Cols, a.Args, a.Filter = slices.Clone(a.Cols), cloneExprs(a.Args), cloneExpr(a.Filter)
			c.Aggs = append(c.Aggs, a)
		}
		return c
	case *Join:
		c := &Join{Kind: x.Kind, L: Clone(x.L), R: Clone(x.R)}
		for _, k := range x.Keys {
			c.Keys = append(c.Keys, JoinKey{cloneExpr(k.Left), cloneExpr(k.Right)})
		}
		return c
	case *Union:
		c := &Union{Cols: slices.Clone(x.Cols)}
		for _, in := range x.Ins {
			c.Ins = append(c.Ins, Clone(in))
		}
		return c
	case *Sort:
		c := &Sort{In: Clone(x.In)}
		for _, k := range x.Keys {
			k.Expr = cloneExpr(k.Expr)
			c.Keys = append(c.Keys, k)
		}
		return c
	case *Limit:
		c := *x
		c.In = Clone(x.In)
		return &c
	case *MvExpand:
		c := *x
		c.In, c.Items = Clone(x.In), cloneMv(x.Items)
		return &c
	case *MvApply:
		c := *x
		c.In, c.Sub, c.Items = Clone(x.In), Clone(x.Sub), cloneMv(x.Items)
		c.Outer = twin(x.Sub, c.Sub, x.Outer)
		return &c
	case *Window:
		c := &Window{In: Clone(x.In)}
		for _, it := range x.Items {
			it.Args = cloneExprs(it.Args)
			c.Items = append(c.Items, it)
		}
		return c
	case *Plugin:
		c := *x
		c.In = Clone(x.In)
		if x.Table != nil {
			c.Table = Clone(x.Table)
		}
		return &c
	case *Partition:
		c := *x
		c.In, c.Sub, c.Key = Clone(x.In), Clone(x.Sub), cloneExpr(x.Key)
		c.Outer = twin(x.Sub, c.Sub, x.Outer)
		return &c
	case *TopNested:
		c := *x
		c.In, c.Levels = Clone(x.In), slices.Clone(x.Levels)
		for i, l := range c.Levels {
			c.Levels[i].Best, c.Levels[i].Of = Clone(l.Best), cloneExpr(l.Of)
			if l.Rest != nil {
				c.Levels[i].Rest = Clone(l.Rest)
			}
		}
		return &c
	case *Match:
		c := *x
		c.In, c.By, c.Declared, c.Steps = Clone(x.In), cloneExprs(x.By), cloneItems(x.Declared), slices.Clone(x.Steps)
		for i, s := range c.Steps {
			c.Steps[i].Cond, c.Steps[i].Assign = cloneExpr(s.Cond), slices.Clone(s.Assign)
			for j, a := range c.Steps[i].Assign {
				c.Steps[i].Assign[j].Expr = cloneExpr(a.Expr)
			}
		}
		return &c
	}
	return n
}

// twin finds the copy of a leaf in the copy of the plan that holds it; a leaf that the
// plan does not hold is copied.
func twin(orig, made Node, leaf *Outer) *Outer {
	if leaf == nil {
		return nil
	}
	var found *Outer
	var walk func(a, b Node)
	walk = func(a, b Node) {
		if a == Node(leaf) {
			found, _ = b.(*Outer)
		}
		ins := b.Inputs()
		for i, in := range a.Inputs() {
			walk(in, ins[i])
		}
	}
	if walk(orig, made); found == nil {
		c := *leaf
		found = &c
	}
	return found
}

func cloneExpr(e Expr) Expr {
	switch x := e.(type) {
	case *Call:
		c := *x
		c.Args = cloneExprs(x.Args)
		return &c
	case *Scalar:
		return &Scalar{Root: Clone(x.Root)}
	case *InTable:
		return &InTable{Op: x.Op, X: cloneExpr(x.X), Root: Clone(x.Root)}
	}
	return e
}

func cloneExprs(list []Expr) []Expr {
	out := make([]Expr, len(list))
	for i, e := range list {
		out[i] = cloneExpr(e)
	}
	return out
}

func cloneItems(list []Item) []Item {
	out := slices.Clone(list)
	for i := range out {
		out[i].Expr = cloneExpr(out[i].Expr)
	}
	return out
}

func cloneMv(list []MvItem) []MvItem {
	out := slices.Clone(list)
	for i := range out {
		out[i].Expr = cloneExpr(out[i].Expr)
	}
	return out
}
