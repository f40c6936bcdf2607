package bind

import (
	"github.com/vedette-edr/vedette/kql/funcs"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/syntax"
	"github.com/vedette-edr/vedette/kql/types"
)

// makeSeries is two aggregates and a function: values per bin, then per series the lists
// of bins and values, then arrays in which the missing bins have the default.
func (b *binder) makeSeries(r rel, x *syntax.MakeSeriesOp, p *pipe) rel {
	ev := b.rowEnv(r, p)
	_, onX := named(x.On)
	on := b.expr(onX, ev)
	t := on.Type()
	if t != types.Datetime && t != types.Timespan && !t.Integral() {
		b.fail(x.On.Pos(), CodeSupport, "make-series runs over a datetime, a timespan or a long, not a %s", t)
	}
	unit := types.Timespan
	if t.Integral() {
		t, unit = types.Long, types.Long
		on = b.convert(on, t, x.On.Pos())
	}
	step := b.coerce(b.expr(x.Step, ev), unit, "step", x.Step.Pos())
	one := constant(types.Value{Type: unit, I: 1})
	in := plan.Node(r.node)
	from := b.seriesEnd(x.From, "min", t, onX, p)
	to := b.seriesEnd(x.To, "max", t, onX, p)
	if _, inclusive := propText(x.Props, "in_range"); inclusive || x.To == nil {
		to = call("+", t, to, one)
	}
	if x.From == nil {
		from = call("floor", t, from, step)
	}
	in = b.node(&plan.Filter{In: in, Pred: call("and", types.Bool, call(">=", types.Bool, on, from), call("<", types.Bool, on, to))}, x.Pos())

	per := &plan.Aggregate{In: in}
	used := names{}
	next := 0
	for _, e := range x.By {
		per.Keys = append(per.Keys, b.outputs(e, ev, func(y syntax.Expr) string {
			if n := b.autoName(y, ""); n != "" {
				return used.unique(n)
			}
			return used.column(&next)
		})...)
	}
	nKeys := len(per.Keys)
	bin := b.column("$bin", t)
	per.Keys = append(per.Keys, plan.Item{Col: bin, Expr: call("bin_at", t, on, step, from)})
	aev := b.rowEnv(r, p)
	aev.aggs = &per.Aggs
	var outs []plan.Item
	var defaults []plan.Expr
	for _, a := range x.Aggs {
		items := b.aggOutput(a.X, aev, r, per, &next, used)
		for _, it := range items {
			def := constant(types.Convert(types.NewLong(0), it.Col.Type))
			if a.Default != nil {
				def = b.expr(a.Default, ev)
			}
			outs = append(outs, it)
			defaults = append(defaults, b.convert(def, types.Dynamic, x.Pos()))
		}
	}
	values := &plan.Project{In: b.node(per, x.Pos())}
	for _, k := range per.Keys {
		values.Items = append(values.Items, plan.Item{Col: k.Col, Expr: k.Col.Ref()})
	}
	values.Items = append(values.Items, outs...)

	list, _, _ := funcs.LookupAgg("make_list_with_nulls")
	series := &plan.Aggregate{In: values}
	for _, k := range per.Keys[:nKeys] {
		c := k.Col
		c.ID = b.newID()
		series.Keys = append(series.Keys, plan.Item{Col: c, Expr: k.Col.Ref()})
	}
	gather := func(e plan.Expr) plan.Expr {
		c := b.column("$list", types.Dynamic)
		series.Aggs = append(series.Aggs, plan.AggItem{Cols: []plan.Column{c}, Fn: list, Args: []plan.Expr{e}})
		return c.Ref()
	}
	long := func(e plan.Expr) plan.Expr { return b.convert(e, types.Long, x.Pos()) }
	bins := gather(long(bin.Ref()))
	final := &plan.Project{In: b.node(series, x.Pos())}
	for _, k := range series.Keys {
		final.Items = append(final.Items, plan.Item{Col: k.Col, Expr: k.Col.Ref()})
	}
	for i, o := range outs {
		e := call("series_build", types.Dynamic, bins, gather(o.Col.Ref()), long(from), long(to), long(step), defaults[i])
		final.Items = append(final.Items, plan.Item{Col: b.column(o.Col.Name, types.Dynamic), Expr: e})
	}
	axis := call("range", types.Dynamic, from, call("-", t, to, one), step)
	final.Items = append(final.Items, plan.Item{Col: b.column(used.unique(b.autoName(x.On, "Column1")), types.Dynamic), Expr: axis})
	return rel{node: b.node(final, x.Pos()), cols: final.Columns()}
}

// seriesEnd is a given end of the axis, or the extreme value of the input.
func (b *binder) seriesEnd(e syntax.Expr, agg string, t types.Type, on syntax.Expr, p *pipe) plan.Expr {
	if e != nil {
		return b.coerce(b.expr(e, &env{sc: p.sc}), t, "make-series", e.Pos())
	}
	r := b.prefix(p)()
	fn, _, _ := funcs.LookupAgg(agg)
	v := b.convert(b.expr(on, &env{sc: p.sc, in: r}), t, on.Pos())
	c := b.column(agg, t)
	return &plan.Scalar{Root: b.node(&plan.Aggregate{In: r.node, Aggs: []plan.AggItem{{Cols: []plan.Column{c}, Fn: fn, Args: []plan.Expr{v}}}}, on.Pos())}
}
