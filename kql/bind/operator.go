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

func (b *binder) operator(r rel, op syntax.Operator, p *pipe) rel {
	switch x := op.(type) {
	case *syntax.PrintOp:
		return b.print(r, x, p.sc)
	case *syntax.RangeOp:
		return b.rangeOp(x, p.sc)
	case *syntax.UnionOp:
		return b.union(r, x, p.sc)
	case *syntax.SearchOp:
		return b.search(r, x, p.sc)
	case *syntax.FindOp:
		return b.find(r, x, p.sc)
	}
	if r.node == nil {
		b.fail(op.Pos(), CodeQuery, "the operator needs a table before it")
	}
	switch x := op.(type) {
	case *syntax.WhereOp:
		ev := b.rowEnv(r, p)
		_, x0 := named(x.Pred)
		pred := b.boolean(x0, ev)
		r = b.windowed(r, ev)
		r.node = b.node(&plan.Filter{In: r.node, Pred: pred}, x.Pos())
		return r
	case *syntax.ExtendOp:
		return b.extend(r, x.Items, p)
	case *syntax.ProjectOp:
		return b.project(r, x, p)
	case *syntax.SummarizeOp:
		return b.summarize(r, x, p)
	case *syntax.JoinOp:
		return b.join(r, x, p.sc)
	case *syntax.SortOp:
		r.node = b.node(&plan.Sort{In: r.node, Keys: b.sortKeys(r, x.Keys, p)}, x.Pos())
		return r
	case *syntax.TopOp:
		n := b.count(x.N, p.sc)
		r.node = b.node(&plan.Sort{In: r.node, Keys: b.sortKeys(r, x.Keys, p)}, x.Pos())
		r.node = b.node(&plan.Limit{In: r.node, N: n}, x.Pos())
		return r
	case *syntax.TakeOp:
		r.node = b.node(&plan.Limit{In: r.node, N: b.count(x.N, p.sc), Sample: x.Kw == "sample"}, x.Pos())
		return r
	case *syntax.SampleDistinctOp:
		e := b.expr(x.Of, b.rowEnv(r, p))
		c := b.column(b.autoName(x.Of, "Column1"), e.Type())
		agg := &plan.Aggregate{In: r.node, Keys: []plan.Item{{Col: c, Expr: e}}}
		return rel{node: b.node(&plan.Limit{In: b.node(agg, x.Pos()), N: b.count(x.N, p.sc)}, x.Pos()), cols: []plan.Column{c}}
	case *syntax.TopHittersOp:
		return b.topHitters(r, x, p)
	case *syntax.WordOp:
		return b.word(r, x, p)
	case *syntax.AsOp:
		pre := b.prefix(p)
		for sc := p.sc; sc != nil; sc = sc.parent {
			sc.names[x.Name.Name] = &symbol{table: pre}
		}
		r.name = x.Name.Name
		return r
	case *syntax.MvOp:
		if x.On != nil {
			return b.mvApply(r, x, p)
		}
		return b.mvExpand(r, x, p)
	case *syntax.ParseOp:
		return b.parse(r, x, p)
	case *syntax.MakeSeriesOp:
		return b.makeSeries(r, x, p)
	case *syntax.ParseKVOp:
		return b.parseKV(r, x, p)
	case *syntax.RenderOp:
		b.render = &Render{Kind: x.Kind, Props: map[string]string{}}
		for _, pr := range x.Props {
			v := strings.Trim(syntax.Print(pr.Value), `"'`)
			if old, ok := b.render.Props[pr.Name]; ok {
				v = old + "," + v
			}
			b.render.Props[pr.Name] = v
		}
		return r
	case *syntax.InvokeOp:
		return b.invoke(r, x, p)
	case *syntax.EvaluateOp:
		return b.evaluate(r, x, p)
	case *syntax.ReduceOp:
		return b.reduce(r, x, p)
	case *syntax.PartitionOp:
		return b.partition(r, x, p)
	case *syntax.TopNestedOp:
		return b.topNested(r, x, p)
	case *syntax.ScanOp:
		return b.scanSteps(r, x, p)
	case *syntax.ForkOp:
		return b.fork(r, x, p)
	}
	name := strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%T", op), "*syntax."), "Op")
	b.fail(op.Pos(), CodeSupport, "the operator %s is not supported", strings.ToLower(name))
	return r
}

func (b *binder) rowEnv(r rel, p *pipe) *env {
	return &env{sc: p.sc, in: r, win: &[]plan.WindowItem{}}
}

// windowed puts the window functions that an expression used under the operator.
func (b *binder) windowed(r rel, ev *env) rel {
	if len(*ev.win) > 0 {
		r.node = &plan.Window{In: r.node, Items: *ev.win}
	}
	return r
}

func (b *binder) count(e syntax.Expr, sc *scope) int64 {
	v, ok := b.known(b.expr(e, &env{sc: sc}))
	if !ok || !v.Type.Numeric() || v.Null {
		b.fail(e.Pos(), CodeArguments, "a number of rows is a constant")
	}
	return max(types.Convert(v, types.Long).I, 0)
}

// named splits name = expr; an unnamed expression has no names.
func named(e syntax.Expr) ([]*syntax.Ident, syntax.Expr) {
	if n, ok := e.(*syntax.Named); ok {
		return n.Names, n.X
	}
	return nil, e
}

// firstArg are the functions whose result is called as their first argument is.
var firstArg = wordSet(`abs acos asin atan atan2 bin bin_at bin_auto binary_and binary_not binary_or binary_shift_left binary_shift_right binary_xor
	bitset_count_ones ceiling cos erf erfc exp exp10 exp2 floor format_bytes format_datetime format_timespan gamma log log10 log2 loggamma
	make_datetime make_timespan parse_csv parse_json parse_xml parsejson parsexml pow rand round series_fill_backward series_fill_const
	series_fill_forward series_fill_linear series_fir series_iir series_outliers sin split sqrt startofday tan tobool toboolean todatetime todecimal
	todouble todynamic toguid tohex toint tolong toobject toreal tostring totime totimespan`)

// namedAfter are the functions whose result is called after them and their first
// argument; the name begins with Prefix and ends with Suffix.
var namedAfter = map[string][2]string{
	"array_sort_asc": {"", "_sorted"}, "array_sort_desc": {"", "_sorted"}, "dcount_hll": {"dcount_hll_", ""}, "gettype": {"type_", ""},
	"percentile_tdigest": {"percentile_tdigest_", ""}, "percentiles_array_tdigest": {"percentile_tdigest_", ""}, "repeat": {"repeat_", ""},
	"string_size": {"string_size_", ""}, "strlen": {"strlen_", ""}, "treepath": {"tree_", ""},
}

// namedSo are the functions whose result has one name whatever their arguments are.
var namedSo = map[string]string{"hll_merge": "hll_merged_result", "tdigest_merge": "tdigests_merge_result", "merge_tdigest": "tdigests_merge_result", "merge_tdigests": "tdigests_merge_result", "ingestion_time": "$IngestionTime"}

func wordSet(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

// autoName is the name of an unnamed expression; def when it gives none.
func (b *binder) autoName(e syntax.Expr, def string) string {
	switch x := e.(type) {
	case *syntax.Paren:
		return b.autoName(x.X, def)
	case *syntax.Named:
		return x.Names[0].Name
	case *syntax.Ident:
		return x.Name
	case *syntax.Member:
		if id, ok := x.X.(*syntax.Ident); ok && (id.Name == "$left" || id.Name == "$right") {
			return x.Name.Name
		}
		if n := b.autoName(x.X, ""); n != "" {
			return n + "_" + x.Name.Name
		}
	case *syntax.Index:
		n := b.autoName(x.X, "")
		if l, ok := x.I.(*syntax.Literal); ok && n != "" {
			return n + "_" + l.Val.Text()
		}
		if u, ok := x.I.(*syntax.Unary); ok && n != "" && u.Op == "-" {
			return n + "_"
		}
	case *syntax.Call:
		if firstArg[x.Name.Name] && len(x.Args) > 0 {
			return b.autoName(x.Args[0], def)
		}
		if fix, ok := namedAfter[x.Name.Name]; ok && len(x.Args) > 0 {
			n := b.autoName(x.Args[0], "")
			if n == "" && fix[0] == "" {
				n = "array0"
			}
			return fix[0] + n + fix[1]
		}
		if n, ok := namedSo[x.Name.Name]; ok {
			return n
		}
	}
	return def
}

// names hands out unique column names.
type names map[string]bool

func (n names) unique(name string) string {
	out := name
	for i := 1; n[out]; i++ {
		out = fmt.Sprintf("%s%d", name, i)
	}
	n[out] = true
	return out
}

// unnamed picks Column1, Column2… by how many there were.
func (n names) column(next *int) string {
	for {
		*next++
		s := fmt.Sprintf("Column%d", *next)
		if !n[s] {
			n[s] = true
			return s
		}
	}
}

func carry(c plan.Column, e plan.Expr) plan.Column {
	if k, ok := e.(*plan.Col); ok {
		c.JSONString = k.JSONString
	}
	return c
}

// outputs binds items that compute columns: several names take the elements of an array.
func (b *binder) outputs(e syntax.Expr, ev *env, auto func(syntax.Expr) string) []plan.Item {
	ids, x := named(e)
	if f := b.several(x, ev); f != nil {
		return b.columnsOf(f, x.(*syntax.Call), ids, ev)
	}
	if c, ok := x.(*syntax.Call); ok && sortsSeveral(c) {
		return b.sortedColumns(c, ids, ev)
	}
	v := b.expr(x, ev)
	if len(ids) > 1 {
		var out []plan.Item
		d := b.dynamic(v)
		for i, id := range ids {
			out = append(out, plan.Item{Col: b.column(id.Name, types.Dynamic), Expr: call("get", types.Dynamic, d, constant(types.NewLong(int64(i))))})
		}
		return out
	}
	if len(ids) == 1 {
		return []plan.Item{{Col: carry(b.column(ids[0].Name, v.Type()), v), Expr: v}}
	}
	return []plan.Item{{Col: carry(b.column(auto(x), v.Type()), v), Expr: v}}
}

// twins are the aliases that live on in a projection: where a column goes on under one of
// its names, such as Timestamp, it answers to the others too, such as TimeGenerated.
func (r rel) twins(items []plan.Item) []plan.Column {
	var out []plan.Column
	taken := names{}
	for _, it := range items {
		taken[it.Col.Name] = true
	}
	for _, it := range items {
		c, ok := it.Expr.(*plan.Col)
		if !ok || !slices.ContainsFunc(r.alias, func(a plan.Column) bool { return a.ID == c.ID }) {
			continue
		}
		var group []string
		for _, o := range append(slices.Clone(r.cols), r.alias...) {
			if o.ID == c.ID {
				group = append(group, o.Name)
			}
		}
		if !slices.Contains(group, it.Col.Name) {
			continue
		}
		for _, n := range group {
			if !taken[n] {
				taken[n] = true
				a := it.Col
				a.Name = n
				out = append(out, a)
			}
		}
	}
	return out
}

// several answers the function of several results that e calls, or nil.
func (b *binder) several(e syntax.Expr, ev *env) *funcs.Func {
	c, ok := e.(*syntax.Call)
	if !ok {
		return nil
	}
	if sym := ev.sc.lookup(c.Name.Name); sym != nil && sym.fn != nil {
		return nil
	}
	if f, ok := funcs.Lookup(c.Name.Name); ok && f.Outs != nil {
		return f
	}
	return nil
}

// columnsOf makes a column of each result of f; those without a name of their own are
// called after the function, its argument and the result.
func (b *binder) columnsOf(f *funcs.Func, x *syntax.Call, ids []*syntax.Ident, ev *env) []plan.Item {
	all := b.callOf(f, x, ev)
	prefix := f.Name + "_"
	if len(x.Args) > 0 {
		prefix += b.autoName(x.Args[0], "") + "_"
	}
	var out []plan.Item
	for i, o := range f.Outs {
		name := prefix + o.Name
		if i < len(ids) {
			name = ids[i].Name
		}
		v := call("get", types.Dynamic, all, constant(types.NewLong(int64(i))))
		out = append(out, plan.Item{Col: b.column(name, o.Type), Expr: b.convert(v, o.Type, x.Pos())})
	}
	return out
}

func (b *binder) sortKeys(r rel, keys []*syntax.SortKey, p *pipe) []plan.SortKey {
	var out []plan.SortKey
	for _, k := range keys {
		_, x := named(k.X)
		desc := k.Order != "asc"
		nf := !desc
		if k.Nulls != "" {
			nf = k.Nulls == "first"
		}
		b.guard(func() {
			out = append(out, plan.SortKey{Expr: b.expr(x, &env{sc: p.sc, in: r}), Desc: desc, NullsFirst: nf})
		})
	}
	return out
}

func (b *binder) word(r rel, x *syntax.WordOp, p *pipe) rel {
	switch x.Kw {
	case "count":
		return b.countRows(r, x)
	case "getschema":
		v := &plan.Values{Cols: []plan.Column{b.column("ColumnName", types.String), b.column("ColumnOrdinal", types.Long), b.column("DataType", types.String), b.column("ColumnType", types.String)}}
		for i, c := range r.cols {
			t := c.Type
			if c.JSONString {
				t = types.Dynamic
			}
			v.Rows = append(v.Rows, []types.Value{types.NewString(c.Name), types.NewLong(int64(i)), types.NewString(t.NetName()), types.NewString(t.String())})
		}
		return rel{node: b.node(v, x.Pos()), cols: v.Cols}
	}
	// consume takes all rows and answers none.
	r.node = b.node(&plan.Limit{In: r.node}, x.Pos())
	return r
}

// topHitters is a summarize and a top: the counts, or sums, are exact here.
func (b *binder) topHitters(r rel, x *syntax.TopHittersOp, p *pipe) rel {
	fn, arg, name := "count", []syntax.Expr(nil), "approximate_count_"+b.autoName(x.Of, "Column1")
	if x.By != nil {
		fn, arg, name = "sum", []syntax.Expr{x.By}, "approximate_sum_"+b.autoName(x.By, "Column1")
	}
	id := func(s string) *syntax.Ident { return &syntax.Ident{Span: x.Span, Name: s} }
	agg := &syntax.Named{Span: x.Span, Names: []*syntax.Ident{id(name)}, X: &syntax.Call{Span: x.Span, Name: id(fn), Args: arg}}
	r = b.summarize(r, &syntax.SummarizeOp{Span: x.Span, Aggs: []syntax.Expr{agg}, HasBy: true, By: []syntax.Expr{x.Of}}, p)
	count := r.cols[len(r.cols)-1]
	r.node = b.node(&plan.Sort{In: r.node, Keys: []plan.SortKey{{Expr: count.Ref(), Desc: true}}}, x.Pos())
	r.node = b.node(&plan.Limit{In: r.node, N: b.count(x.N, p.sc)}, x.Pos())
	return r
}

func (b *binder) print(r rel, x *syntax.PrintOp, sc *scope) rel {
	pr := &plan.Project{In: &plan.Values{Rows: [][]types.Value{{}}}}
	used := names{}
	for i, e := range x.Items {
		b.guard(func() {
			for _, it := range b.outputs(e, &env{sc: sc}, func(syntax.Expr) string { return fmt.Sprintf("print_%d", i) }) {
				it.Col.Name = used.unique(it.Col.Name)
				pr.Items = append(pr.Items, it)
			}
		})
	}
	return rel{node: b.node(pr, x.Pos()), cols: pr.Columns()}
}

func (b *binder) rangeOp(x *syntax.RangeOp, sc *scope) rel {
	ev := &env{sc: sc}
	from, to, step := b.expr(x.From, ev), b.expr(x.To, ev), b.expr(x.Step, ev)
	t, ok := types.Common(from.Type(), to.Type())
	if !ok {
		b.fail(x.Pos(), CodeType, "range cannot run from a %s to a %s", from.Type(), to.Type())
	}
	if t.Numeric() {
		if w, ok := types.Common(t, step.Type()); ok {
			t = w
		}
		if t == types.Int {
			t = types.Long
		}
		step = b.convert(step, t, x.Pos())
	}
	from, to = b.convert(from, t, x.Pos()), b.convert(to, t, x.Pos())
	c := b.column(x.Name.Name, t)
	f, ok1 := from.(*plan.Const)
	u, ok2 := to.(*plan.Const)
	s, ok3 := step.(*plan.Const)
	if ok1 && ok2 && ok3 {
		return rel{node: b.node(&plan.Range{Col: c, From: f.V, To: u.V, Step: s.V}, x.Pos()), cols: []plan.Column{c}}
	}
	// Bounds known only when the query runs: an array made then, expanded.
	mv := &plan.MvExpand{In: &plan.Values{Rows: [][]types.Value{{}}}, Limit: 1 << 20,
		Items: []plan.MvItem{{Col: c, Expr: call("range", types.Dynamic, from, to, step)}}}
	return rel{node: b.node(mv, x.Pos()), cols: []plan.Column{c}}
}

func (b *binder) invoke(r rel, x *syntax.InvokeOp, p *pipe) rel {
	sym := b.function(x.Call.Name.Name, p.sc)
	if sym == nil {
		b.unknown(x.Call.Name.Pos(), CodeFunction, "function", x.Call.Name.Name, p.sc.tables())
	}
	if len(sym.fn.Params) == 0 || !sym.fn.Params[0].Table {
		b.fail(x.Pos(), CodeArguments, "the first parameter of an invoked function is a table")
	}
	const self = "$invoked"
	sc := newScope(p.sc)
	sc.names[self] = &symbol{table: b.prefix(p)}
	rest := x.Call.Args
	if sym.shipped {
		rest = shippedArgs(sym, rest, r)
	}
	args := append([]syntax.Expr{&syntax.Ident{Span: x.Span, Name: self}}, rest...)
	return b.callTable(x, sym, args, sc)
}
