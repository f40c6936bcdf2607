package bind

import (
	"fmt"
	"slices"

	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/syntax"
	"github.com/vedette-edr/vedette/kql/types"
)

// outerOf is a leaf that stands for the rows of r inside a subplan, and r over it.
func outerOf(r rel) (*plan.Outer, rel) {
	o := &plan.Outer{Cols: slices.Clone(r.node.Columns())}
	in := r
	in.node = o
	return o, in
}

// partition runs a subquery on the rows of each value of the key; the form in braces has
// a source of its own and sees the key as a scalar.
func (b *binder) partition(r rel, x *syntax.PartitionOp, p *pipe) rel {
	key := b.expr(x.By, b.rowEnv(r, p))
	n := &plan.Partition{In: r.node, Key: key}
	var sub rel
	if x.Body != nil {
		id, ok := x.By.(*syntax.Ident)
		if !ok {
			b.fail(x.By.Pos(), CodeArguments, "partition takes a column")
		}
		n.Param = &plan.Param{ID: b.newID(), Name: id.Name, T: key.Type()}
		sc := newScope(p.sc)
		sc.names[id.Name] = &symbol{scalar: n.Param}
		if !b.isTable(x.Body, sc) {
			b.fail(x.Body.Pos(), CodeType, "a table is expected here")
		}
		sub = b.table(x.Body, sc)
	} else {
		n.Outer, sub = outerOf(r)
		sp := &pipe{q: x.Sub, sc: newScope(p.sc)}
		for i, op := range x.Sub.Ops {
			sp.at = i
			sub = b.operator(sub, op, sp)
		}
	}
	n.Sub = b.trim(sub)
	return rel{node: b.node(n, x.Pos()), cols: sub.cols, open: sub.open}
}

// topNested binds the levels: each aggregates the rows by its value, once per group of
// the level before.
func (b *binder) topNested(r rel, x *syntax.TopNestedOp, p *pipe) rel {
	t := &plan.TopNested{In: r.node}
	t.Outer, _ = outerOf(r)
	used := names{}
	for _, l := range x.Levels {
		_, in := outerOf(r)
		level := plan.TopLevel{N: -1, Desc: l.Order != "asc"}
		if l.N != nil {
			level.N = b.count(l.N, p.sc)
		}
		ids, ofX := named(l.Of)
		of := b.expr(ofX, &env{sc: p.sc, in: in})
		name := b.autoName(ofX, fmt.Sprintf("Column%d", len(t.Levels)+1))
		if len(ids) > 0 {
			name = ids[0].Name
		}
		name = used.unique(name)
		aggName := "aggregated_" + name
		ids, by := named(l.By)
		if len(ids) > 0 {
			aggName = ids[0].Name
		}
		aggregate := func(keys ...plan.Item) (plan.Node, types.Type) {
			_, in := outerOf(r)
			n := &plan.Aggregate{In: in.node, Keys: keys}
			ev := &env{sc: p.sc, in: in, win: &[]plan.WindowItem{}, aggs: &n.Aggs}
			next := 0
			items := b.aggOutput(by, ev, in, n, &next, names{})
			if len(items) != 1 {
				b.fail(l.By.Pos(), CodeAggregate, "top-nested takes an aggregate of one result")
			}
			pr := &plan.Project{In: b.node(n, x.Pos())}
			for _, k := range keys {
				pr.Items = append(pr.Items, plan.Item{Col: k.Col, Expr: k.Col.Ref()})
			}
			c := b.column(aggName, items[0].Expr.Type())
			pr.Items = append(pr.Items, plan.Item{Col: c, Expr: items[0].Expr})
			return pr, c.Type
		}
		level.Of = of
		var at types.Type
		level.Best, at = aggregate(plan.Item{Col: b.column(name, of.Type()), Expr: of})
		if l.Others != nil {
			c, ok := b.coerce(b.expr(l.Others, &env{sc: p.sc}), of.Type(), "others", l.Others.Pos()).(*plan.Const)
			if !ok {
				b.fail(l.Others.Pos(), CodeArguments, "with others takes a constant")
			}
			level.Others, level.HasOthers = c.V, true
			level.Rest, _ = aggregate()
		}
		level.Key = carry(b.column(name, of.Type()), of)
		level.Agg = b.column(used.unique(aggName), at)
		t.Levels = append(t.Levels, level)
	}
	return rel{node: b.node(t, x.Pos()), cols: t.Columns()}
}

// fork answers several tables: the first goes on, the others are results beside it.
func (b *binder) fork(r rel, x *syntax.ForkOp, p *pipe) rel {
	pre := b.prefix(p)
	var outs []rel
	branch := func(q *syntax.Query) {
		sub := pre()
		sp := &pipe{q: q, sc: newScope(p.sc)}
		for i, op := range q.Ops {
			sp.at = i
			sub = b.operator(sub, op, sp)
		}
		outs = append(outs, sub)
	}
	for _, e := range x.By {
		id, ok := e.(*syntax.Ident)
		if !ok {
			b.fail(e.Pos(), CodeArguments, "facet takes columns")
		}
		call := &syntax.Call{Span: x.Span, Name: &syntax.Ident{Span: x.Span, Name: "count"}}
		branch(&syntax.Query{Span: x.Span, Ops: []syntax.Operator{&syntax.SummarizeOp{Span: x.Span, Aggs: []syntax.Expr{call}, HasBy: true, By: []syntax.Expr{id}}}})
	}
	for _, q := range x.Branches {
		branch(q)
	}
	if len(outs) == 0 {
		b.fail(x.Pos(), CodeArguments, "%s needs a branch", x.Kw)
	}
	for _, o := range outs[1:] {
		b.more = append(b.more, b.trim(o))
	}
	return outs[0]
}

// scanSteps binds scan. Every step has a state of its own that expressions read as
// step.column.
func (b *binder) scanSteps(r rel, x *syntax.ScanOp, p *pipe) rel {
	if len(x.Order) > 0 {
		r.node = b.node(&plan.Sort{In: r.node, Keys: b.sortKeys(r, x.Order, p)}, x.Pos())
	}
	m := &plan.Match{In: b.trim(r)}
	for _, e := range x.By {
		m.By = append(m.By, b.expr(e, &env{sc: p.sc, in: r}))
	}
	out := rel{cols: slices.Clone(r.cols), name: r.name}
	index := map[string]int{}
	for i, d := range x.Declare {
		def := constant(types.Null(d.Type))
		if d.Default != nil {
			def = b.coerce(b.expr(d.Default, &env{sc: p.sc}), d.Type, "declare", d.Pos())
		}
		if _, ok := def.(*plan.Const); !ok {
			b.fail(d.Pos(), CodeArguments, "the default of %q is a constant", d.Name.Name)
		}
		c := b.column(d.Name.Name, d.Type)
		if slices.ContainsFunc(out.cols, func(o plan.Column) bool { return o.Name == c.Name }) {
			b.fail(d.Pos(), CodeArguments, "there is a column %q already", c.Name)
		}
		index[c.Name] = i
		m.Declared = append(m.Declared, plan.Item{Col: c, Expr: def})
		out.cols = append(out.cols, c)
	}
	steps := map[string]rel{}
	for _, s := range x.Steps {
		var state []plan.Column
		for _, c := range out.cols {
			t := c
			t.ID = b.newID()
			state = append(state, t)
		}
		output := s.Output
		switch output {
		case "":
			output = "all"
		case "all", "last", "none":
		default:
			b.fail(s.Pos(), CodeArguments, "output is all, last or none")
		}
		if _, twice := steps[s.Name.Name]; twice {
			b.fail(s.Name.Pos(), CodeArguments, "there are two steps %q", s.Name.Name)
		}
		steps[s.Name.Name] = rel{cols: state}
		m.Steps = append(m.Steps, plan.MatchStep{State: state, Optional: s.Optional, Output: output})
	}
	for i, s := range x.Steps {
		b.guard(func() {
			ev := &env{sc: p.sc, in: r, steps: steps}
			m.Steps[i].Cond = b.boolean(s.Cond, ev)
			for _, a := range s.Assign {
				ids, v := named(a)
				if len(ids) != 1 {
					b.fail(a.Pos(), CodeArguments, "a step assigns to declared columns")
				}
				at, ok := index[ids[0].Name]
				if !ok {
					b.fail(ids[0].Pos(), CodeColumn, "%q is not declared", ids[0].Name)
				}
				e := b.convert(b.expr(v, ev), m.Declared[at].Col.Type, v.Pos())
				m.Steps[i].Assign = append(m.Steps[i].Assign, plan.Assign{At: at, Expr: e})
			}
		})
	}
	if name, ok := propText(x.Props, "with_match_id"); ok {
		c := b.column(name, types.Long)
		m.ID = &c
		out.cols = append(out.cols, c)
	}
	out.node = b.node(m, x.Pos())
	return out
}

// find filters tables and answers what they share: the columns of the predicate, or those
// asked for, and the rest packed.
func (b *binder) find(r rel, x *syntax.FindOp, sc *scope) rel {
	if r.node != nil {
		b.fail(x.Pos(), CodeQuery, "find begins a query")
	}
	s := &syntax.SearchOp{Span: x.Span, Tables: x.Tables, Pred: x.Pred}
	hits := b.searched(rel{}, s, sc)
	with, ok := propText(x.Props, "withsource")
	if !ok {
		with = "source_"
	}
	wanted := map[string]bool{}
	var order []string
	want := func(n string) {
		if !wanted[n] {
			wanted[n] = true
			order = append(order, n)
		}
	}
	pack := len(x.Project) == 0
	for _, e := range x.Project {
		switch y := e.(type) {
		case *syntax.Ident:
			if y.Name == "pack_" {
				pack = true
				continue
			}
			want(y.Name)
		case *syntax.Call:
			if y.Name.Name == "pack" {
				pack = true
				continue
			}
			b.fail(e.Pos(), CodeArguments, "find projects columns")
		default:
			b.fail(e.Pos(), CodeArguments, "find projects columns")
		}
	}
	if len(x.Project) == 0 {
		// What all of the tables have that the predicate is about, and what it names itself.
		for _, c := range hits[0].cols {
			if !slices.ContainsFunc(hits, func(h rel) bool { _, ok := h.find(c.Name); return !ok }) {
				want(c.Name)
			}
		}
		for _, h := range hits {
			plan.WalkExpr(h.node.(*plan.Filter).Pred, func(e plan.Expr) {
				if c, ok := e.(*plan.Col); ok && usesName(x.Pred, c.Name) {
					want(c.Name)
				}
			})
		}
	}
	if len(x.Project) == 0 {
		pack = slices.ContainsFunc(hits, func(h rel) bool {
			return slices.ContainsFunc(h.cols, func(c plan.Column) bool { return !wanted[c.Name] })
		})
	}
	var ins []rel
	for _, h := range hits {
		pr := &plan.Project{In: h.node}
		out := rel{name: h.name}
		var rest []plan.Expr
		for _, n := range order {
			if c, ok := h.find(n); ok {
				pr.Items = append(pr.Items, plan.Item{Col: c, Expr: c.Ref()})
			}
		}
		for _, c := range h.cols {
			if !wanted[c.Name] {
				rest = append(rest, constant(types.NewString(c.Name)), c.Ref())
			}
		}
		if pack {
			pr.Items = append(pr.Items, plan.Item{Col: b.column("pack_", types.Dynamic), Expr: call("bag_pack", types.Dynamic, rest...)})
		}
		out.node, out.cols = b.node(pr, x.Pos()), pr.Columns()
		ins = append(ins, out)
	}
	return b.unionOf(ins, false, with, x.Pos())
}

// usesName tells whether a name stands in an expression.
func usesName(e syntax.Expr, name string) bool {
	switch x := e.(type) {
	case *syntax.Ident:
		return x.Name == name
	case *syntax.Paren:
		return usesName(x.X, name)
	case *syntax.Member:
		return usesName(x.X, name)
	case *syntax.Index:
		return usesName(x.X, name) || usesName(x.I, name)
	case *syntax.Unary:
		return usesName(x.X, name)
	case *syntax.Binary:
		return usesName(x.X, name) || usesName(x.Y, name)
	case *syntax.Between:
		return usesName(x.X, name) || usesName(x.Lo, name) || usesName(x.Hi, name)
	case *syntax.In:
		return usesName(x.X, name) || slices.ContainsFunc(x.List, func(l syntax.Expr) bool { return usesName(l, name) })
	case *syntax.Logic:
		return slices.ContainsFunc(x.Args, func(l syntax.Expr) bool { return usesName(l, name) })
	case *syntax.Call:
		return slices.ContainsFunc(x.Args, func(l syntax.Expr) bool { return usesName(l, name) })
	}
	return false
}
