package bind

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vedette-edr/vedette/kql/funcs"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/syntax"
	"github.com/vedette-edr/vedette/kql/types"
)

func (b *binder) countRows(r rel, x *syntax.WordOp) rel {
	agg, _, _ := funcs.LookupAgg("count")
	name := "Count"
	if x.As != nil {
		name = x.As.Name
	}
	c := b.column(name, types.Long)
	n := &plan.Aggregate{In: r.node, Aggs: []plan.AggItem{{Cols: []plan.Column{c}, Fn: agg}}}
	return rel{node: b.node(n, x.Pos()), cols: []plan.Column{c}}
}

func (b *binder) summarize(r rel, x *syntax.SummarizeOp, p *pipe) rel {
	n := &plan.Aggregate{}
	used := names{}
	next := 0
	ev := b.rowEnv(r, p)
	for _, e := range x.By {
		b.guard(func() {
			for _, it := range b.outputs(e, ev, func(y syntax.Expr) string {
				if s := b.autoName(y, ""); s != "" {
					return s
				}
				for {
					if s := used.column(&next); !hasColumn(r, s) {
						return s
					}
				}
			}) {
				if it.Col.Name != "" && used[it.Col.Name] && it.Col.Name[0] != 'C' {
					it.Col.Name = used.unique(it.Col.Name)
				}
				used[it.Col.Name] = true
				n.Keys = append(n.Keys, it)
			}
		})
	}
	var outs []plan.Item
	aev := b.rowEnv(r, p)
	aev.aggs = &n.Aggs
	for _, e := range x.Aggs {
		b.guard(func() {
			outs = append(outs, b.aggOutput(e, aev, r, n, &next, used)...)
		})
	}
	before := r
	r = b.windowed(r, ev)
	n.In = b.windowed(r, aev).node
	pr := &plan.Project{In: b.node(n, x.Pos())}
	for _, k := range n.Keys {
		pr.Items = append(pr.Items, plan.Item{Col: k.Col, Expr: k.Col.Ref()})
	}
	pr.Items = append(pr.Items, outs...)
	kept := slices.Clone(n.Keys)
	for _, a := range n.Aggs {
		if a.Fn.Multi {
			for i, c := range a.Cols {
				kept = append(kept, plan.Item{Col: c, Expr: a.Args[i]})
			}
		}
	}
	out := rel{cols: pr.Columns(), node: n, alias: before.twins(kept)}
	if have := n.Columns(); len(have) != len(out.cols) || !sameColumns(have, out.cols) {
		out.node = pr
	}
	return out
}

func hasColumn(r rel, name string) bool {
	_, ok := r.find(name)
	return ok
}

func sameColumns(a, c []plan.Column) bool {
	for i := range a {
		if a[i].ID != c[i].ID {
			return false
		}
	}
	return true
}

// aggOutput binds one element of summarize's list.
func (b *binder) aggOutput(e syntax.Expr, ev *env, r rel, n *plan.Aggregate, next *int, used names) []plan.Item {
	ids, x := named(e)
	if call, ok := x.(*syntax.Call); ok {
		if agg, withIf, ok := funcs.LookupAgg(call.Name.Name); ok && agg.Multi {
			return b.multi(call, agg, withIf, ids, ev, r, n, used)
		}
		if call.Name.Name == "percentiles" || call.Name.Name == "percentilesw" {
			return b.percentiles(call, ids, ev, used)
		}
	}
	before := len(*ev.aggs)
	v := b.expr(x, ev)
	if len(*ev.aggs) == before && !hasAgg(v, n) {
		if _, konst := v.(*plan.Const); !konst {
			b.report(x.Pos(), CodeAggregate, "summarize takes aggregates; %q is none", syntax.Print(x))
		}
	}
	name := ""
	if len(ids) > 0 {
		name = ids[0].Name
		used[name] = true
	} else {
		name = b.aggName(x)
		if name == "" {
			name = used.column(next)
		} else {
			name = used.unique(name)
		}
	}
	// A bare aggregate answers its column under the right name.
	if c, ok := v.(*plan.Col); ok && len(*ev.aggs) == before+1 {
		last := &(*ev.aggs)[before]
		if len(last.Cols) == 1 && last.Cols[0].ID == c.ID {
			last.Cols[0].Name = name
			return []plan.Item{{Col: last.Cols[0], Expr: last.Cols[0].Ref()}}
		}
	}
	return []plan.Item{{Col: b.column(name, v.Type()), Expr: v}}
}

func hasAgg(e plan.Expr, n *plan.Aggregate) bool {
	switch x := e.(type) {
	case *plan.Col:
		for _, a := range n.Aggs {
			for _, c := range a.Cols {
				if c.ID == x.ID {
					return true
				}
			}
		}
	case *plan.Call:
		for _, a := range x.Args {
			if hasAgg(a, n) {
				return true
			}
		}
	case *plan.Scalar:
		return true
	}
	return false
}

// aggName is the column name of an unnamed aggregate, or "" for an expression.
func (b *binder) aggName(x syntax.Expr) string {
	if n, ok := x.(*syntax.Named); ok {
		return n.Names[0].Name
	}
	c, ok := x.(*syntax.Call)
	if !ok {
		return ""
	}
	if firstArg[c.Name.Name] && len(c.Args) > 0 {
		return b.aggName(c.Args[0])
	}
	agg, _, ok := funcs.LookupAgg(c.Name.Name)
	if !ok {
		return ""
	}
	prefix := agg.Prefix
	if prefix == "" {
		prefix = c.Name.Name
		if prefix == "tdigest_merge" || prefix == "merge_tdigest" {
			prefix = "merge_tdigests"
		}
	}
	arg := ""
	if len(c.Args) > 0 {
		arg = b.autoName(c.Args[0], "")
	}
	if at, ok := map[string]int{"percentile": 1, "percentilew": 2}[agg.Name]; ok && len(c.Args) > at {
		return percentileName(arg, c.Args[at])
	}
	switch {
	case strings.HasPrefix(agg.Name, "binary_all_"):
		return arg
	case strings.HasPrefix(agg.Name, "covariance") && len(c.Args) > 1:
		arg += "_" + b.autoName(c.Args[1], "")
	}
	return prefix + "_" + arg
}

// percentileName is the name of a column of percentiles: its number with the decimal
// point as a line, nothing where it is no literal.
func percentileName(arg string, at syntax.Expr) string {
	n := ""
	if l, ok := at.(*syntax.Literal); ok {
		n = strings.ReplaceAll(l.Val.Text(), ".", "_")
	}
	return "percentile_" + arg + "_" + n
}

// aggregate binds a call of an aggregate inside an expression of summarize.
func (b *binder) aggregate(x *syntax.Call, agg *funcs.Agg, withIf bool, ev *env) plan.Expr {
	if ev.aggs == nil {
		b.fail(x.Pos(), CodeAggregate, "%s is an aggregate; it stands in summarize only", x.Name.Name)
	}
	if ev.inAgg {
		b.fail(x.Pos(), CodeAggregate, "an aggregate inside an aggregate")
	}
	item := plan.AggItem{Fn: agg}
	args := b.aggArgs(x, withIf, ev, &item)
	t := b.aggType(x, agg, args)
	if agg.Name == "count" {
		item.Args = nil
	} else {
		item.Args = args
	}
	item.Cols = []plan.Column{b.column(x.Name.Name, t)}
	*ev.aggs = append(*ev.aggs, item)
	return item.Cols[0].Ref()
}

func (b *binder) aggArgs(x *syntax.Call, withIf bool, ev *env, item *plan.AggItem) []plan.Expr {
	inner := *ev
	inner.inAgg = true
	list := x.Args
	if withIf {
		// make_set_if(x, pred, max) has the predicate second; the others have it last.
		at := len(list) - 1
		if len(list) >= 2 && item.Fn.Name != "count" && item.Fn.Name != "percentile" && item.Fn.Name != "covariance" && item.Fn.Name != "covariancep" {
			at = 1
		}
		if at < 0 {
			b.fail(x.Pos(), CodeArguments, "%s needs a predicate", x.Name.Name)
		}
		_, pred := named(list[at])
		item.Filter = b.boolean(pred, &inner)
		list = append(append([]syntax.Expr{}, list[:at]...), list[at+1:]...)
	}
	var args []plan.Expr
	for _, a := range list {
		args = append(args, b.expr(a, &inner))
	}
	return args
}

// aggType checks the arguments of an aggregate, converts them, and answers its type.
func (b *binder) aggType(x *syntax.Call, agg *funcs.Agg, args []plan.Expr) types.Type {
	f := &agg.Func
	if len(args) < f.MinArgs() {
		b.fail(x.Pos(), CodeArguments, "%s needs %d arguments; it is %s", x.Name.Name, f.MinArgs(), f.Signature())
	}
	if _, ok := f.Param(max(len(args)-1, 0)); len(args) > 0 && !ok {
		b.fail(x.Pos(), CodeArguments, "%s takes at most %d arguments; it is %s", x.Name.Name, len(f.Params), f.Signature())
	}
	for i := range args {
		if p, _ := f.Param(i); p.Kind == funcs.Typed {
			args[i] = b.coerce(args[i], p.Type, x.Name.Name, x.Pos())
		}
	}
	switch agg.Name {
	case "sum", "avg":
		t := args[0].Type()
		switch {
		case t == types.Dynamic:
			args[0], t = b.convert(args[0], types.Real, x.Pos()), types.Real
		case t == types.Bool:
			args[0], t = b.convert(args[0], types.Long, x.Pos()), types.Long
		}
		switch {
		case t == types.Timespan:
			return t
		case t == types.Datetime && agg.Name == "avg":
			return t
		case !t.Numeric():
			b.fail(x.Pos(), CodeType, "%s takes numbers or timespans, not a %s", x.Name.Name, t)
		case t == types.Decimal:
			return t
		case agg.Name == "avg":
			return types.Real
		case t == types.Int:
			return types.Long
		}
		return t
	case "min", "max", "percentile", "percentilew":
		return args[0].Type()
	}
	return agg.Result
}

// multi binds arg_max, arg_min and take_any, which answer several columns.
func (b *binder) multi(x *syntax.Call, agg *funcs.Agg, withIf bool, ids []*syntax.Ident, ev *env, r rel, n *plan.Aggregate, used names) []plan.Item {
	inner := *ev
	inner.inAgg = true
	item := plan.AggItem{Fn: agg}
	list := x.Args
	if withIf && len(list) > 1 {
		item.Filter = b.boolean(list[len(list)-1], &inner)
		list = list[:len(list)-1]
	}
	if len(list) == 0 {
		b.fail(x.Pos(), CodeArguments, "%s needs an argument", x.Name.Name)
	}
	add := func(name string, e plan.Expr) {
		item.Args = append(item.Args, e)
		item.Cols = append(item.Cols, carry(b.column(name, e.Type()), e))
	}
	legacy := map[string]string{"any": "any_", "anyif": "any_", "argmax": "max_", "argmin": "min_"}[x.Name.Name]
	first := legacy
	for i, a := range list {
		if _, star := a.(*syntax.Star); star {
			for _, c := range r.cols {
				taken := false
				for _, k := range n.Keys {
					taken = taken || k.Col.Name == c.Name
				}
				for j, prev := range item.Cols {
					if pc, ok := item.Args[j].(*plan.Col); prev.Name == c.Name || ok && pc.ID == c.ID {
						taken = true
					}
				}
				if !taken {
					switch {
					case legacy == "" || agg.Name == "take_any":
						add(legacy+c.Name, c.Ref())
					default:
						add(first+"_"+c.Name, c.Ref())
					}
				}
			}
			continue
		}
		name := b.autoName(a, "")
		named := name != ""
		switch {
		case agg.Name == "take_any":
			if !named {
				name = fmt.Sprintf("any_arg%d", i)
				if len(list) == 1 && legacy != "" {
					name = "any_"
				}
			} else {
				name = legacy + name
			}
		case i == 0 && (!named || legacy != ""):
			// The legacy names carry what was looked for.
			name = agg.Name[4:] + "_" + name
			first = name
		case i == 0:
			first = agg.Name[4:] + "_" + name
		case !named:
			name = fmt.Sprintf("%s_arg%d", first, i)
		case legacy != "":
			name = first + "_" + name
		}
		add(name, b.expr(a, &inner))
	}
	var out []plan.Item
	for i := range item.Cols {
		if i < len(ids) {
			item.Cols[i].Name = ids[i].Name
			used[ids[i].Name] = true
		} else {
			item.Cols[i].Name = used.unique(item.Cols[i].Name)
		}
		out = append(out, plan.Item{Col: item.Cols[i], Expr: item.Cols[i].Ref()})
	}
	*ev.aggs = append(*ev.aggs, item)
	return out
}

// percentiles is several percentile aggregates in one call, percentilesw with a weight.
func (b *binder) percentiles(x *syntax.Call, ids []*syntax.Ident, ev *env, used names) []plan.Item {
	fn, fixed := "percentile", 1
	if x.Name.Name == "percentilesw" {
		fn, fixed = "percentilew", 2
	}
	if len(x.Args) <= fixed {
		b.fail(x.Pos(), CodeArguments, "%s needs a value and percentiles", x.Name.Name)
	}
	agg, _, _ := funcs.LookupAgg(fn)
	inner := *ev
	inner.inAgg = true
	arg := b.autoName(x.Args[0], "")
	var out []plan.Item
	for i, a := range x.Args[fixed:] {
		var args []plan.Expr
		for _, y := range x.Args[:fixed] {
			args = append(args, b.expr(y, &inner))
		}
		pc := b.coerce(b.expr(a, &inner), types.Real, "percentiles", a.Pos())
		name := percentileName(arg, a)
		if i < len(ids) {
			name = ids[i].Name
		}
		c := b.column(used.unique(name), args[0].Type())
		*ev.aggs = append(*ev.aggs, plan.AggItem{Cols: []plan.Column{c}, Fn: agg, Args: append(args, pc)})
		out = append(out, plan.Item{Col: c, Expr: c.Ref()})
	}
	return out
}
