package bind

import (
	"math"
	"regexp"
	"strings"

	"github.com/vedette-edr/vedette/kql/funcs"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/syntax"
	"github.com/vedette-edr/vedette/kql/types"
)

// env is where an expression stands: which columns it sees and what else is allowed.
type env struct {
	sc          *scope
	in          rel
	left, right *rel // of a join's on
	aggs        *[]plan.AggItem
	inAgg       bool
	win         *[]plan.WindowItem
	search      bool           // a bare text means * has text
	steps       map[string]rel // of scan, by name
}

func constant(v types.Value) plan.Expr { return &plan.Const{V: v} }

// call builds a call of an entry of the function table and folds it.
func call(name string, t types.Type, args ...plan.Expr) plan.Expr {
	f, ok := funcs.Lookup(name)
	if !ok {
		panic("bind: no function " + name)
	}
	if t == types.Unknown {
		t = f.Result
	}
	return fold(&plan.Call{Fn: f, Args: args, T: t})
}

func fold(c *plan.Call) plan.Expr {
	if c.Fn.Volatile || c.Fn.Late || c.Fn.Eval == nil {
		return c
	}
	vals := make([]types.Value, len(c.Args))
	size := 0
	for i, a := range c.Args {
		k, ok := a.(*plan.Const)
		if !ok {
			return c
		}
		vals[i] = k.V
		size += extent(k.V)
	}
	if size > maxFoldInput || !foldable(c.Fn.Name, vals) {
		return c
	}
	v := c.Fn.Call(&funcs.Ctx{Result: c.T}, vals)
	if v.Type != c.T || large(v) {
		return c
	}
	return constant(v)
}

// maxFoldInput bounds, in bytes, what a function is given while a query is compiled. It
// is not for the result alone: a text may be replaced in a text, by a text.
const maxFoldInput = 4096

// foldable tells whether a call's result is small, for functions that make much of little.
func foldable(name string, a []types.Value) bool {
	switch {
	case name == "range" && len(a) > 1:
		step := types.NewLong(types.TicksPerHour)
		if len(a) > 2 {
			step = a[2]
		} else if a[0].Type.Numeric() {
			step = types.NewLong(1)
		}
		from, to, by := a[0].Float(), a[1].Float(), step.Float()
		return a[0].Null || a[1].Null || step.Null || math.Abs(to-from) <= maxLarge*math.Abs(by)
	case name == "repeat" && len(a) == 2:
		return a[1].I <= maxLarge
	}
	return true
}

// maxLarge is how many elements a folded array has at most.
const maxLarge = 4096

// large tells values that are better made when the query runs than written into it.
func large(v types.Value) bool {
	arr, _ := v.D.([]any)
	return len(arr) > maxLarge || len(v.S) > 1<<16
}

// convert brings e to type t by the conversion function where it has another one.
func (b *binder) convert(e plan.Expr, t types.Type, at syntax.Span) plan.Expr {
	from := e.Type()
	if from == t || t == types.Unknown {
		return e
	}
	names := map[types.Type]string{types.Bool: "tobool", types.Int: "toint", types.Long: "tolong", types.Real: "todouble", types.Decimal: "todecimal",
		types.String: "tostring", types.Datetime: "todatetime", types.Timespan: "totimespan", types.GUID: "toguid", types.Dynamic: "as_dynamic"}
	return call(names[t], t, e)
}

// dynamic brings e to dynamic; a JSON string is parsed.
func (b *binder) dynamic(e plan.Expr) plan.Expr {
	if c, ok := e.(*plan.Col); ok && c.JSONString {
		return call("parse_json", types.Dynamic, e)
	}
	return b.convert(e, types.Dynamic, syntax.Span{})
}

func (b *binder) expr(e syntax.Expr, ev *env) plan.Expr {
	b.depth++
	defer func() { b.depth-- }()
	if b.depth > 4*syntax.MaxDepth {
		b.fail(e.Pos(), CodeLimit, "expression is nested too deep when its let statements are put in place")
	}
	b.grow(1, e.Pos())
	switch x := e.(type) {
	case *syntax.Literal:
		if ev.search && x.Val.Type == types.String {
			return b.anyColumn("has", x, ev)
		}
		return constant(x.Val)
	case *syntax.Paren:
		return b.expr(x.X, ev)
	case *syntax.Ident:
		return b.name(x, ev)
	case *syntax.Member:
		return b.member(x, ev)
	case *syntax.Index:
		xs := b.dynamic(b.expr(x.X, ev.plain()))
		i := b.expr(x.I, ev.plain())
		return call("get", types.Dynamic, xs, i)
	case *syntax.Call:
		return b.call(x, ev)
	case *syntax.Unary:
		v := b.expr(x.X, ev.plain())
		if x.Op == "+" {
			return v
		}
		if t := v.Type(); !t.Numeric() && t != types.Timespan {
			if t != types.Dynamic {
				b.fail(x.Pos(), CodeType, "cannot negate a %s", t)
			}
			v = b.convert(v, types.Real, x.Pos())
		}
		return call("neg", v.Type(), v)
	case *syntax.Logic:
		var args []plan.Expr
		for _, a := range x.Args {
			args = append(args, b.boolean(a, ev))
		}
		return call(x.Op, types.Bool, args...)
	case *syntax.Binary:
		return b.binary(x, ev)
	case *syntax.In:
		return b.in(x, ev)
	case *syntax.Between:
		return b.between(x, ev.plain())
	case *syntax.TypeOf:
		return constant(types.NewString(x.Types[0].String()))
	case *syntax.Named:
		// A name before an argument means nothing to what takes it by its place.
		return b.expr(x.X, ev)
	case *syntax.Star:
		b.fail(x.Pos(), CodeQuery, "* has no place here")
	}
	if b.isTable(e, ev.sc) {
		b.fail(e.Pos(), CodeType, "a table stands where a scalar is expected; toscalar(…) takes its first value")
	}
	b.fail(e.Pos(), CodeQuery, "this expression is not supported here")
	return nil
}

func (ev *env) plain() *env {
	if !ev.search {
		return ev
	}
	c := *ev
	c.search = false
	return &c
}

func (b *binder) boolean(e syntax.Expr, ev *env) plan.Expr {
	v := b.expr(e, ev)
	switch v.Type() {
	case types.Bool:
		return v
	case types.Dynamic, types.Int, types.Long, types.Real:
		return b.convert(v, types.Bool, e.Pos())
	}
	b.fail(e.Pos(), CodeType, "a predicate is a bool, not a %s", v.Type())
	return nil
}

func (b *binder) name(x *syntax.Ident, ev *env) plan.Expr {
	if c, ok := ev.in.find(x.Name); ok {
		return c.Ref()
	}
	if sym := ev.sc.lookup(x.Name); sym != nil {
		if sym.scalar != nil {
			return b.use(sym, x.Pos())
		}
		if sym.table != nil {
			b.fail(x.Pos(), CodeType, "%q is a table; toscalar(…) takes its first value", x.Name)
		}
		if sym.fn != nil && len(sym.fn.Params) == 0 {
			return b.callUser(x, sym, nil, ev)
		}
	}
	if ev.in.open {
		return constant(types.Null(types.Dynamic))
	}
	var names []string
	for _, c := range append(append([]plan.Column{}, ev.in.cols...), ev.in.alias...) {
		names = append(names, c.Name)
	}
	for s := ev.sc; s != nil; s = s.parent {
		for n := range s.names {
			names = append(names, n)
		}
	}
	b.unknown(x.Pos(), CodeColumn, "column or name", x.Name, names)
	return nil
}

func (b *binder) member(x *syntax.Member, ev *env) plan.Expr {
	if id, ok := x.X.(*syntax.Ident); ok && ev.left != nil && (id.Name == "$left" || id.Name == "$right") {
		side := ev.left
		if id.Name == "$right" {
			side = ev.right
		}
		return b.name(x.Name, &env{sc: ev.sc, in: *side})
	}
	if id, ok := x.X.(*syntax.Ident); ok {
		if state, ok := ev.steps[id.Name]; ok {
			return b.name(x.Name, &env{sc: newScope(nil), in: state})
		}
	}
	v := b.expr(x.X, ev.plain())
	if t := v.Type(); t != types.Dynamic {
		if c, ok := v.(*plan.Col); !ok || !c.JSONString {
			b.fail(x.Name.Pos(), CodeType, "a %s has no member %q", t, x.Name.Name)
		}
	}
	return call("get", types.Dynamic, b.dynamic(v), constant(types.NewString(x.Name.Name)))
}

// asText brings an operand of a string operator to string.
func (b *binder) asText(e plan.Expr) plan.Expr { return b.convert(e, types.String, syntax.Span{}) }

func (b *binder) binary(x *syntax.Binary, ev *env) plan.Expr {
	if _, star := x.X.(*syntax.Star); star {
		return b.anyColumn(x.Op, x.Y, ev)
	}
	ev = ev.plain()
	l, r := b.expr(x.X, ev), b.expr(x.Y, ev)
	switch x.Op {
	case "+", "-", "*", "/", "%":
		return b.arith(x, l, r)
	}
	return b.compare(x.Op, l, r, x.Pos())
}

// compare binds every comparison and string operator.
func (b *binder) compare(op string, l, r plan.Expr, at syntax.Span) plan.Expr {
	switch op {
	case "==", "!=", "<>", "<", ">", "<=", ">=":
		if op == "<>" {
			op = "!="
		}
		l, r = b.operands(op, l, r, at)
		return call(op, types.Bool, l, r)
	case ":":
		op = "has"
	case "containscs":
		op = "contains_cs"
	case "notcontains", "notcontains_cs":
		op = "!" + op[3:]
	case "like", "notlike":
		b.fail(at, CodeSupport, "the operator %s is not supported; use has, contains or matches regex", op)
	}
	l, r = b.asText(l), b.asText(r)
	if op == "!~" {
		return call("not", types.Bool, call("=~", types.Bool, l, r))
	}
	if op == "matches regex" {
		r = b.pattern(r, at)
	}
	if strings.HasPrefix(op, "!") {
		return call("not", types.Bool, call(op[1:], types.Bool, l, r))
	}
	return call(op, types.Bool, l, r)
}

// pattern checks a constant regular expression and writes it as both engines read it.
func (b *binder) pattern(e plan.Expr, at syntax.Span) plan.Expr {
	c, ok := e.(*plan.Const)
	if !ok || c.V.Type != types.String {
		return e
	}
	if len(c.V.S) > 10000 {
		b.fail(at, CodeLimit, "regular expression is longer than 10000 bytes")
	}
	p := funcs.Pattern(c.V.S)
	if _, err := regexp.Compile(p); err != nil {
		b.fail(at, CodeArguments, "bad regular expression: %v", err)
	}
	return constant(types.NewString(p))
}

// operands brings the sides of a comparison to one type.
func (b *binder) operands(op string, l, r plan.Expr, at syntax.Span) (plan.Expr, plan.Expr) {
	lt, rt := l.Type(), r.Type()
	if t, ok := types.Common(lt, rt); ok {
		if t == types.Bool && op != "==" && op != "!=" {
			b.fail(at, CodeType, "bool values have no order")
		}
		return b.convert(l, t, at), b.convert(r, t, at)
	}
	if lt == types.Dynamic {
		return b.convert(l, rt, at), r
	}
	if rt == types.Dynamic {
		return l, b.convert(r, lt, at)
	}
	// A literal text is read as the other side's type, as Kusto does for guids and
	// as published queries expect of datetimes and bools.
	if c, ok := r.(*plan.Const); ok && rt == types.String {
		if v := types.ParseAs(c.V.S, lt); !v.Null {
			return l, constant(v)
		}
	}
	if c, ok := l.(*plan.Const); ok && lt == types.String {
		if v := types.ParseAs(c.V.S, rt); !v.Null {
			return constant(v), r
		}
	}
	if lt == types.Bool && rt.Numeric() {
		return b.convert(l, rt, at), r
	}
	if rt == types.Bool && lt.Numeric() {
		return l, b.convert(r, lt, at)
	}
	// A text and a number that are asked to be equal are compared as texts.
	if op == "==" || op == "!=" {
		if lt == types.String && rt.Numeric() || lt.Numeric() && rt == types.String {
			return b.asText(l), b.asText(r)
		}
	}
	// Equality is defined between any two types, order is not.
	if op == "==" || op == "!=" || lt == types.GUID && rt == types.String || lt == types.String && rt == types.GUID {
		return b.asText(l), b.asText(r)
	}
	b.fail(at, CodeType, "cannot compare a %s with a %s", lt, rt)
	return nil, nil
}

func (b *binder) arith(x *syntax.Binary, l, r plan.Expr) plan.Expr {
	lt, rt := l.Type(), r.Type()
	if lt == types.Dynamic {
		lt = rt
		if lt == types.Dynamic {
			lt = types.Real
		}
		l = b.convert(l, lt, x.Pos())
	}
	if rt == types.Dynamic {
		rt = lt
		r = b.convert(r, rt, x.Pos())
	}
	if lt == types.Bool && rt.Numeric() || lt == types.Bool && rt == types.Bool {
		lt, l = types.Long, b.convert(l, types.Long, x.Pos())
	}
	if rt == types.Bool && lt.Numeric() {
		rt, r = types.Long, b.convert(r, types.Long, x.Pos())
	}
	t := types.Unknown
	switch {
	case lt.Numeric() && rt.Numeric():
		// Integers of either width make a long.
		if t, _ = types.Common(lt, rt); t == types.Int {
			t = types.Long
		}
		l, r = b.convert(l, t, x.Pos()), b.convert(r, t, x.Pos())
	case lt == types.Timespan && rt == types.Timespan:
		switch x.Op {
		case "+", "-", "%":
			t = types.Timespan
		case "/":
			t = types.Real
		}
	case lt == types.Datetime && rt == types.Datetime && x.Op == "-":
		t = types.Timespan
	case lt == types.Datetime && rt == types.Timespan:
		switch x.Op {
		case "+", "-":
			t = types.Datetime
		case "%":
			t = types.Timespan
		case "/":
			t = types.Real
		}
	case lt == types.Timespan && rt == types.Datetime && x.Op == "+":
		t = types.Datetime
	case lt == types.Timespan && rt.Numeric() && (x.Op == "*" || x.Op == "/"),
		lt.Numeric() && rt == types.Timespan && x.Op == "*":
		t = types.Timespan
		if rt == types.Decimal {
			r = b.convert(r, types.Real, x.Pos())
		}
		if lt == types.Decimal {
			l = b.convert(l, types.Real, x.Pos())
		}
	}
	if t == types.Unknown {
		hint := ""
		if lt == types.String && rt == types.String && x.Op == "+" {
			hint = "; strcat(…) joins texts"
		}
		b.fail(x.Pos(), CodeType, "operator %s is not defined for %s and %s%s", x.Op, lt, rt, hint)
	}
	return call(x.Op, t, l, r)
}

func (b *binder) between(x *syntax.Between, ev *env) plan.Expr {
	v, lo, hi := b.expr(x.X, ev), b.expr(x.Lo, ev), b.expr(x.Hi, ev)
	if v.Type() == types.Datetime && hi.Type() == types.Timespan {
		hi = call("+", types.Datetime, lo, hi)
	}
	l1, lo := b.operands(">=", v, lo, x.Pos())
	l2, hi := b.operands("<=", v, hi, x.Pos())
	e := call("and", types.Bool, call(">=", types.Bool, l1, lo), call("<=", types.Bool, l2, hi))
	if x.Not {
		e = call("not", types.Bool, e)
	}
	return e
}

// anyColumn expands * op y over all columns.
func (b *binder) anyColumn(op string, y syntax.Expr, ev *env) plan.Expr {
	yv := b.expr(y, ev.plain())
	weight := weigh(yv)
	var args []plan.Expr
	for _, c := range ev.in.cols {
		l := plan.Expr(c.Ref())
		switch op {
		case "==", "!=", "<>", "<", ">", "<=", ">=":
			if _, ok := types.Common(c.Type, yv.Type()); !ok {
				continue
			}
		}
		b.grow(weight, y.Pos())
		args = append(args, b.compare(op, l, yv, y.Pos()))
	}
	if len(args) == 0 {
		return constant(types.NewBool(false))
	}
	return call("or", types.Bool, args...)
}

func (b *binder) in(x *syntax.In, ev *env) plan.Expr {
	ev = ev.plain()
	op, not := strings.TrimPrefix(x.Op, "!"), strings.HasPrefix(x.Op, "!")
	var e plan.Expr
	if _, star := x.X.(*syntax.Star); star {
		var args []plan.Expr
		for _, c := range ev.in.cols {
			args = append(args, b.inOne(x, op, b.asText(c.Ref()), ev))
		}
		e = call("or", types.Bool, args...)
	} else {
		e = b.inOne(x, op, b.expr(x.X, ev), ev)
	}
	if not {
		e = call("not", types.Bool, e)
	}
	return e
}

func (b *binder) inOne(x *syntax.In, op string, v plan.Expr, ev *env) plan.Expr {
	if op != "in" {
		v = b.asText(v)
	}
	if len(x.List) == 1 && b.isTable(x.List[0], ev.sc) {
		r := b.table(x.List[0], ev.sc)
		if len(r.cols) == 0 {
			b.fail(x.List[0].Pos(), CodeType, "the table has no column")
		}
		first := r.cols[0]
		item := plan.Item{Col: first, Expr: first.Ref()}
		if want := v.Type(); first.Type != want {
			if want == types.Dynamic {
				v = b.asText(v)
				want = types.String
			}
			item.Col = b.column(first.Name, want)
			item.Expr = b.convert(first.Ref(), want, x.Pos())
		}
		return &plan.InTable{Op: op, X: v, Root: &plan.Project{In: r.node, Items: []plan.Item{item}}}
	}
	if op == "has_any" || op == "has_all" {
		args := []plan.Expr{v}
		for _, s := range x.List {
			t := b.expr(s, ev)
			if t.Type() != types.Dynamic {
				t = b.asText(t)
			}
			args = append(args, t)
		}
		return call(op, types.Bool, args...)
	}
	args := []plan.Expr{v}
	for _, s := range x.List {
		t := b.expr(s, ev)
		if t.Type() == types.Dynamic {
			c, ok := t.(*plan.Const)
			if !ok {
				return call("in_dynamic", types.Bool, v, t, constant(types.NewBool(op == "in~")))
			}
			list, isArr := c.V.D.([]any)
			if !isArr {
				list = []any{c.V.D}
			}
			for _, d := range list {
				if dv := types.Convert(types.NewDynamic(d), v.Type()); !dv.Null {
					args = append(args, constant(dv))
				}
			}
			continue
		}
		if op == "in~" {
			args = append(args, b.asText(t))
			continue
		}
		if v.Type() == types.Dynamic {
			v = b.convert(v, t.Type(), s.Pos())
			args[0] = v
		}
		l, r := b.operands("==", v, t, s.Pos())
		if l != v {
			// The list is wider than the operand, as a real among longs.
			args[0], v = l, l
		}
		args = append(args, r)
	}
	if len(args) == 1 {
		return constant(types.NewBool(false))
	}
	for i := range args {
		args[i] = b.convert(args[i], args[0].Type(), x.Pos())
	}
	return call(op, types.Bool, args...)
}
