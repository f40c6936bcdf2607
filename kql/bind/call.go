package bind

import (
	"slices"
	"strings"

	"github.com/vedette-edr/vedette/kql/funcs"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/syntax"
	"github.com/vedette-edr/vedette/kql/types"
)

func (b *binder) call(x *syntax.Call, ev *env) plan.Expr {
	ev = ev.plain()
	name := x.Name.Name
	if sym := ev.sc.lookup(name); sym != nil && sym.fn != nil {
		return b.callUser(x, sym, x.Args, ev)
	}
	if e, ok := b.special(x, ev); ok {
		return e
	}
	if agg, withIf, ok := funcs.LookupAgg(name); ok && (ev.aggs != nil || !isScalarToo(name)) {
		return b.aggregate(x, agg, withIf, ev)
	}
	f, ok := funcs.Lookup(name)
	if !ok || f.Internal {
		if windowFuncs[name] {
			return b.window(x, ev)
		}
		b.unknown(x.Name.Pos(), CodeFunction, "function", name, funcs.Names())
	}
	v := b.callOf(f, x, ev)
	if f.Outs != nil {
		// Where one value is wanted it is the first.
		v = call("get", types.Dynamic, v, constant(types.NewLong(0)))
		return b.convert(v, f.Outs[0].Type, x.Pos())
	}
	return v
}

// callOf binds a call of an entry of the function table.
func (b *binder) callOf(f *funcs.Func, x *syntax.Call, ev *env) plan.Expr {
	var args []plan.Expr
	for _, a := range x.Args {
		if _, star := a.(*syntax.Star); star && f.Name == "estimate_data_size" {
			for _, c := range ev.in.cols {
				args = append(args, c.Ref())
			}
			continue
		}
		// A name before an argument says nothing to a function of the table.
		_, a = named(a)
		args = append(args, b.expr(a, ev))
	}
	if x.Name.Name == "replace" && len(args) == 3 {
		args[0], args[1], args[2] = args[2], args[0], args[1]
	}
	return b.apply(f, args, x)
}

func isScalarToo(name string) bool { _, ok := funcs.Lookup(name); return ok }

func (b *binder) arity(x *syntax.Call, lo, hi int) {
	if n := len(x.Args); n < lo || n > hi {
		if lo == hi {
			b.fail(x.Pos(), CodeArguments, "%s takes %d arguments, not %d", x.Name.Name, lo, n)
		}
		b.fail(x.Pos(), CodeArguments, "%s takes %d to %d arguments, not %d", x.Name.Name, lo, hi, n)
	}
}

// apply types a call of the function table.
func (b *binder) apply(f *funcs.Func, args []plan.Expr, x *syntax.Call) plan.Expr {
	if len(args) < f.MinArgs() {
		b.fail(x.Pos(), CodeArguments, "%s needs %d arguments; it is %s", x.Name.Name, f.MinArgs(), f.Signature())
	}
	if _, ok := f.Param(max(len(args)-1, 0)); len(args) > 0 && !ok {
		b.fail(x.Pos(), CodeArguments, "%s takes at most %d arguments; it is %s", x.Name.Name, len(f.Params), f.Signature())
	}
	t := b.resultType(f, args, x)
	same := b.common(f, args, x)
	if t == types.Unknown {
		t = same
	}
	for i := range args {
		p, _ := f.Param(i)
		switch p.Kind {
		case funcs.Typed:
			args[i] = b.coerce(args[i], p.Type, f.Name, argPos(x, i))
		case funcs.Same, funcs.Number:
			if f.Name == "case" && i%2 == 0 && i < len(args)-1 {
				args[i] = b.convert(args[i], types.Bool, x.Pos())
			} else {
				args[i] = b.convert(args[i], same, x.Pos())
			}
		}
	}
	if f.Name == "case" && len(args)%2 == 0 {
		b.fail(x.Pos(), CodeArguments, "case takes pairs of predicate and value, and a last value")
	}
	if strings.Contains(f.Name, "regex") || f.Name == "extract" || f.Name == "extract_all" || strings.HasPrefix(f.Name, "trim") {
		for i, p := range f.Params {
			if (p.Name == "regex" || p.Name == "lookup") && i < len(args) {
				args[i] = b.pattern(args[i], x.Pos())
			}
		}
	}
	return fold(&plan.Call{Fn: f, Args: args, T: t})
}

func argPos(x *syntax.Call, i int) syntax.Span {
	if len(x.Args) == 0 {
		return x.Pos()
	}
	return x.Args[min(i, len(x.Args)-1)].Pos()
}

// resultType knows the functions whose result is not in their signature.
func (b *binder) resultType(f *funcs.Func, args []plan.Expr, x *syntax.Call) types.Type {
	if f.Result != types.Unknown {
		return f.Result
	}
	switch f.Name {
	case "extract", "extractjson":
		n := len(f.Params) - 1
		if len(args) > n {
			if c, ok := args[n].(*plan.Const); ok {
				if t, ok := types.FromName(c.V.S); ok {
					return t
				}
			}
		}
		return types.String
	case "percentile_tdigest":
		if len(args) > 2 {
			if c, ok := args[2].(*plan.Const); ok {
				if t, ok := types.FromName(c.V.S); ok {
					return t
				}
			}
		}
		return types.Dynamic
	case "floor", "bin_at":
		if t, s := args[0].Type(), args[min(1, len(args)-1)].Type(); t.Numeric() && s.Numeric() {
			w, _ := types.Common(t, s)
			return w
		} else if t == types.Dynamic {
			args[0] = b.convert(args[0], s, x.Pos())
			return s
		} else if t == types.String {
			b.fail(x.Pos(), CodeType, "cannot round a string")
		}
		return args[0].Type()
	case "abs":
		if t := args[0].Type(); t == types.Dynamic {
			args[0] = b.convert(args[0], types.Real, x.Pos())
		} else if t == types.Int {
			args[0] = b.convert(args[0], types.Long, x.Pos())
		}
		return args[0].Type()
	case "round", "ceiling":
		switch t := args[0].Type(); {
		case t == types.Dynamic, t == types.Bool:
			args[0] = b.convert(args[0], types.Real, x.Pos())
		case !t.Numeric():
			b.fail(argPos(x, 0), CodeType, "%s takes a number, not a %s", x.Name.Name, t)
		}
		return args[0].Type()
	case "datetime_diff":
		// Weeks, of all periods, come as a real.
		if v, ok := firstConst(args); ok && strings.EqualFold(v.Text(), "week") {
			return types.Real
		}
		return types.Long
	case "rand":
		return types.Real
	}
	return types.Unknown
}

// common is the type to which the Same and Number arguments widen.
func (b *binder) common(f *funcs.Func, args []plan.Expr, x *syntax.Call) types.Type {
	t := types.Unknown
	mixed := false // values of several types are a dynamic, whatever follows
	for i, a := range args {
		p, _ := f.Param(i)
		if mixed || p.Kind != funcs.Same && p.Kind != funcs.Number || f.Name == "case" && i%2 == 0 && i < len(args)-1 {
			continue
		}
		at := a.Type()
		switch w, ok := types.Common(t, at); {
		case t == types.Unknown:
			t = at
		case ok:
			t = w
		case t == types.Dynamic && i > 0 && f.Name != "coalesce":
			t = at
		case at == types.Dynamic:
		case f.Name == "iff" || f.Name == "case":
			t, mixed = types.Dynamic, true
		default:
			b.fail(x.Pos(), CodeType, "%s needs values of one type, not %s and %s", x.Name.Name, t, at)
		}
	}
	return t
}

// coerce converts an argument to a typed parameter where Kusto does so by itself.
func (b *binder) coerce(e plan.Expr, want types.Type, fn string, at syntax.Span) plan.Expr {
	have := e.Type()
	switch {
	case have == want:
		return e
	case want == types.Dynamic:
		return b.dynamic(e)
	case have == types.Dynamic, want.Numeric() && have.Numeric(), want == types.Bool && have.Numeric():
		return b.convert(e, want, at)
	case want == types.String:
		// Functions of texts take the text of any other value.
		return b.convert(e, want, at)
	}
	if c, ok := e.(*plan.Const); ok && have == types.String {
		if v := types.ParseAs(c.V.S, want); !v.Null {
			return constant(v)
		}
	}
	b.fail(at, CodeType, "%s takes a %s here, not a %s", fn, want, have)
	return nil
}

// special binds what is no entry of the table: functions of the query's instant, of
// tables, and of columns.
func (b *binder) special(x *syntax.Call, ev *env) (plan.Expr, bool) {
	args := func(lo, hi int) []plan.Expr {
		b.arity(x, lo, hi)
		var out []plan.Expr
		for _, a := range x.Args {
			out = append(out, b.expr(a, ev))
		}
		return out
	}
	switch x.Name.Name {
	case "now", "ago":
		lo := 0
		if x.Name.Name == "ago" {
			lo = 1
		}
		a := args(lo, 1)
		now := constant(types.NewDatetime(b.opt.Now))
		if b.opt.Live != nil {
			now = b.opt.Live
		}
		if len(a) == 0 {
			return now, true
		}
		op := "+"
		if x.Name.Name == "ago" {
			op = "-"
		}
		return call(op, types.Datetime, now, b.coerce(a[0], types.Timespan, x.Name.Name, x.Args[0].Pos())), true
	case "toscalar":
		b.arity(x, 1, 1)
		if !b.isTable(x.Args[0], ev.sc) {
			return b.expr(x.Args[0], ev), true
		}
		r := b.table(x.Args[0], ev.sc)
		if len(r.cols) == 0 {
			b.fail(x.Pos(), CodeType, "the table has no column")
		}
		return &plan.Scalar{Root: b.trim(r)}, true
	case "iscolumnexists":
		b.arity(x, 1, 1)
		c, ok := b.expr(x.Args[0], ev).(*plan.Const)
		if !ok || c.V.Type != types.String {
			b.fail(x.Args[0].Pos(), CodeArguments, "the name of a column is a constant text")
		}
		_, found := ev.in.find(c.V.S)
		return constant(types.NewBool(found)), true
	case "column_ifexists", "columnifexists":
		b.arity(x, 2, 2)
		n := b.expr(x.Args[0], ev)
		c, ok := n.(*plan.Const)
		if !ok || c.V.Type != types.String {
			b.fail(x.Args[0].Pos(), CodeArguments, "the name of a column is a constant text")
		}
		if col, found := ev.in.find(c.V.S); found {
			return col.Ref(), true
		}
		return b.expr(x.Args[1], ev), true
	case "ingestion_time":
		b.arity(x, 0, 0)
		if c, ok := ev.in.find(IngestionTime); ok {
			return c.Ref(), true
		}
		return constant(types.Null(types.Datetime)), true
	case "pack_all":
		var a []plan.Expr
		b.grow(2*len(ev.in.cols), x.Pos())
		for _, c := range ev.in.cols {
			a = append(a, constant(types.NewString(c.Name)), c.Ref())
		}
		name := "bag_pack"
		if v, ok := firstConst(args(0, 1)); ok && v.True() {
			name = "bag_pack_nonempty"
		}
		return call(name, types.Dynamic, a...), true
	case "isnull", "isnotnull", "notnull":
		a := args(1, 1)
		// JSON text is null as the dynamic it stands for.
		if c, ok := a[0].(*plan.Col); ok && c.JSONString {
			if x.Name.Name == "isnull" {
				return call("isempty", types.Bool, a[0]), true
			}
			return call("isnotempty", types.Bool, a[0]), true
		}
		return nil, false
	case "column_names_of":
		b.arity(x, 1, 1)
		r := b.table(x.Args[0], ev.sc)
		names := []any{}
		for _, c := range r.cols {
			names = append(names, c.Name)
		}
		return constant(types.NewDynamic(names)), true
	case "bin_auto":
		a := args(1, 1)
		size, ok := b.settings["query_bin_auto_size"]
		if !ok {
			b.fail(x.Pos(), CodeArguments, "bin_auto needs the statement set query_bin_auto_size=…")
		}
		f, _ := funcs.Lookup("floor")
		at, ok := b.settings["query_bin_auto_at"]
		if !ok {
			return b.apply(f, []plan.Expr{a[0], constant(size)}, x), true
		}
		f, _ = funcs.Lookup("bin_at")
		return b.apply(f, []plan.Expr{a[0], constant(size), constant(at)}, x), true
	case "bag_pack_columns":
		var a []plan.Expr
		for _, y := range x.Args {
			v := b.expr(y, ev)
			c, ok := v.(*plan.Col)
			if !ok {
				b.fail(y.Pos(), CodeArguments, "bag_pack_columns takes columns")
			}
			a = append(a, constant(types.NewString(c.Name)), v)
		}
		return call("bag_pack", types.Dynamic, a...), true
	case "current_principal", "current_principal_details":
		args(0, 0)
		if x.Name.Name == "current_principal" {
			return constant(types.NewString(b.opt.Principal)), true
		}
		bag := types.NewBag()
		bag.Set("FQN", b.opt.Principal)
		return constant(types.NewDynamic(bag)), true
	case "current_principal_is_member_of":
		args(1, 64)
		return constant(types.NewBool(false)), true
	}
	if far := x.Name.Name; strings.HasPrefix(far, "geo_h3cell") || strings.HasPrefix(far, "geo_s2cell") || slices.Contains(unsupportedFuncs, far) {
		b.fail(x.Pos(), CodeSupport, "%s is not supported", far)
	}
	return nil, false
}

// unsupportedFuncs are functions of Kusto that Vedette knows by name only.
var unsupportedFuncs = []string{"geo_point_to_h3cell", "geo_polygon_to_h3cells", "geo_point_to_s2cell", "geo_line_to_s2cells", "geo_polygon_to_s2cells",
	"geo_point_buffer", "geo_line_buffer", "geo_polygon_buffer", "geo_line_densify", "geo_polygon_densify", "geo_line_simplify", "geo_polygon_simplify",
	"geo_intersection_2lines", "geo_intersection_2polygons", "geo_intersection_line_with_polygon", "geo_union_lines_array", "geo_union_polygons_array",
	"geo_simplify_polygons_array", "geo_line_interpolate_point", "geo_line_locate_point", "cursor_after", "cursor_before_or_at", "extent_id", "extent_tags"}

func firstConst(list []plan.Expr) (types.Value, bool) {
	if len(list) == 0 {
		return types.Value{}, false
	}
	c, ok := list[0].(*plan.Const)
	if !ok {
		return types.Value{}, false
	}
	return c.V, true
}

// callUser substitutes the arguments into a scalar function of the query.
func (b *binder) callUser(x syntax.Expr, sym *symbol, args []syntax.Expr, ev *env) plan.Expr {
	sc := b.bindParams(x, sym, args, ev)
	b.depth++
	defer func() { b.depth-- }()
	if b.depth > 4*syntax.MaxDepth {
		b.fail(x.Pos(), CodeLimit, "functions are nested too deep")
	}
	var out plan.Expr
	for _, s := range sym.fn.Body {
		switch y := s.(type) {
		case *syntax.Let:
			inner := *ev
			inner.sc = sc
			if _, isFn := y.Value.(*syntax.FuncLit); isFn || b.isTable(y.Value, sc) {
				b.let(y, sc)
			} else {
				sc.names[y.Name.Name] = scalar(b.expr(y.Value, &inner))
			}
		case *syntax.ExprStmt:
			if b.isTable(y.X, sc) {
				b.fail(x.Pos(), CodeType, "the function answers a table; toscalar(…) takes its first value")
			}
			// The body sees its parameters, not the columns of the row.
			out = b.expr(y.X, &env{sc: sc, aggs: ev.aggs, inAgg: ev.inAgg})
		}
	}
	if out == nil {
		b.fail(x.Pos(), CodeQuery, "the function has no value")
	}
	return out
}

// bindParams makes the scope of a function's body.
func (b *binder) bindParams(x syntax.Node, sym *symbol, args []syntax.Expr, ev *env) *scope {
	sc := newScope(sym.scope)
	if len(args) > len(sym.fn.Params) {
		b.fail(x.Pos(), CodeArguments, "the function takes %d arguments, not %d", len(sym.fn.Params), len(args))
	}
	byName := map[string]syntax.Expr{}
	for i, a := range args {
		if n, ok := a.(*syntax.Named); ok && len(n.Names) == 1 {
			byName[n.Names[0].Name] = n.X
		} else {
			byName[sym.fn.Params[i].Name.Name] = a
		}
	}
	for _, p := range sym.fn.Params {
		a, ok := byName[p.Name.Name]
		if !ok {
			if p.Default == nil {
				b.fail(x.Pos(), CodeArguments, "the function needs a value for %q", p.Name.Name)
			}
			sc.names[p.Name.Name] = scalar(b.convert(b.expr(p.Default, &env{sc: sym.scope}), p.Type, p.Pos()))
			continue
		}
		if p.Table {
			caller := ev.sc
			arg := a
			if !b.isTable(arg, caller) {
				b.fail(a.Pos(), CodeType, "%q takes a table", p.Name.Name)
			}
			sc.names[p.Name.Name] = &symbol{table: func() rel { return b.table(arg, caller) }}
			continue
		}
		v := b.expr(a, ev)
		if p.Type == types.Dynamic {
			v = b.dynamic(v)
		}
		sc.names[p.Name.Name] = scalar(b.coerce(v, p.Type, p.Name.Name, a.Pos()))
	}
	return sc
}
