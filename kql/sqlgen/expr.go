package sqlgen

import (
	"fmt"
	"strings"

	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/types"
)

// sx is an expression's SQL. null says that a string may be NULL; simple, that writing
// the text twice costs nothing: lowerings that need an operand twice take simple ones
// only and leave the rest to kql_call, so that statements cannot grow exponentially.
type sx struct {
	s      string
	t      types.Type
	null   bool
	simple bool
	konst  *types.Value
	raw    string // of parse_json(raw): the text before parsing
	// doc and ptr say of a member of a document what it is read from: JSON text, or with
	// loose text that may be none, and a JSON pointer. Reading from there once is cheaper
	// than reading text from text.
	doc, ptr string
	loose    bool
}

func (g *gen) col(id int, t types.Type) sx {
	name := colName(id)
	return sx{s: name, t: t, null: g.maybeNull[name], simple: true}
}

// str makes a string that is not NULL.
func (g *gen) str(x sx) sx {
	if x.null {
		x.s, x.null = "coalesce("+x.s+", '')", false
	}
	return x
}

// pred writes e where only truth matters: false and NULL are the same.
func (g *gen) pred(e plan.Expr) string {
	c, ok := e.(*plan.Call)
	if !ok {
		return g.value(e).s
	}
	switch c.Fn.Name {
	case "and", "or":
		parts := make([]string, len(c.Args))
		for i, a := range c.Args {
			parts[i] = g.pred(a)
		}
		return "(" + strings.Join(parts, " "+strings.ToUpper(c.Fn.Name)+" ") + ")"
	}
	return g.lower(c, true).s
}

// value writes e with its exact value.
func (g *gen) value(e plan.Expr) sx {
	switch x := e.(type) {
	case *plan.Const:
		return sx{s: g.literal(x.V), t: x.V.Type, simple: len(x.V.S) < 64, konst: &x.V}
	case *plan.Col:
		return g.col(x.ID, x.T)
	case *plan.Call:
		return g.lower(x, false)
	case *plan.Scalar:
		r := g.node(x.Root)
		c := x.Root.Columns()[0]
		return sx{s: fmt.Sprintf("(SELECT %s FROM %s%s LIMIT 1)", colName(c.ID), r.name, r.orderBy()), t: c.Type, null: c.Type == types.String}
	case *plan.InTable:
		return g.inTable(x)
	}
	g.unsupported(fmt.Sprintf("%T", e))
	return sx{}
}

func (g *gen) inTable(x *plan.InTable) sx {
	v := g.value(x.X)
	r := g.node(x.Root)
	c := g.col(x.Root.Columns()[0].ID, v.t)
	if v.t == types.String {
		v, c = g.str(v), g.str(c)
	}
	switch x.Op {
	case "in":
		return sx{s: fmt.Sprintf("coalesce(%s IN (SELECT %s FROM %s WHERE %s IS NOT NULL), false)", v.s, c.s, r.name, c.s), t: types.Bool}
	case "in~":
		return sx{s: fmt.Sprintf("(lower(%s) IN (SELECT lower(%s) FROM %s))", v.s, c.s, r.name), t: types.Bool}
	}
	terms := sx{s: fmt.Sprintf("(SELECT '[' || coalesce(string_agg(%s, ','), '') || ']' FROM %s)", g.json(c), r.name), t: types.Dynamic}
	return g.foreign(x.Op, types.Bool, []sx{v, terms})
}

// lower writes a call natively when SQL says the same, else as kql_call.
func (g *gen) lower(c *plan.Call, pred bool) sx {
	args := make([]sx, len(c.Args))
	if c.Fn.Name == "and" || c.Fn.Name == "or" {
		parts := make([]string, len(c.Args))
		for i, a := range c.Args {
			parts[i] = g.value(a).s
		}
		return sx{s: "(" + strings.Join(parts, " "+strings.ToUpper(c.Fn.Name)+" ") + ")", t: types.Bool}
	}
	for i, a := range c.Args {
		args[i] = g.value(a)
	}
	if x, ok := g.native(c, args, pred); ok {
		x.t = c.T
		return x
	}
	return g.foreign(c.Fn.Name, c.T, args)
}

// foreign calls kql_call: the first argument names the function, the types of its
// arguments and of its result; the others are texts.
func (g *gen) foreign(name string, t types.Type, args []sx) sx {
	spec := name + "|"
	var list []string
	for _, a := range args {
		spec += string(code(a.t))
		s := a.s
		if g.d.types(a.t) != "VARCHAR" {
			s = "CAST(" + s + " AS VARCHAR)"
		}
		list = append(list, s)
	}
	spec += "|" + string(code(t))
	s := "kql_call(" + strings.Join(append([]string{quote(spec)}, list...), ", ") + ")"
	if ty := g.d.types(t); ty != "VARCHAR" {
		s = "CAST(" + s + " AS " + ty + ")"
	}
	return sx{s: s, t: t}
}

// json writes a value as JSON text, NULL for null.
func (g *gen) json(x sx) string {
	switch x.t {
	case types.Dynamic:
		return x.s
	case types.String:
		return "CAST(to_json(" + g.str(x).s + ") AS VARCHAR)"
	case types.GUID:
		return "CAST(to_json(" + x.s + ") AS VARCHAR)"
	case types.Bool, types.Int, types.Long:
		return "CAST(" + x.s + " AS VARCHAR)"
	}
	return g.foreign("as_dynamic", types.Dynamic, []sx{x}).s
}

// convert writes x as type t.
func (g *gen) convert(x sx, t types.Type) sx {
	if x.t == t {
		return x
	}
	cast := func(s string) sx { return sx{s: s, t: t} }
	switch {
	case t == types.String:
		switch x.t {
		case types.Bool, types.Int, types.Long:
			return cast("coalesce(CAST(" + x.s + " AS VARCHAR), '')")
		case types.GUID, types.Decimal:
			return sx{s: x.s, t: t, null: true, simple: x.simple}
		case types.Dynamic:
			if x.konst == nil {
				return sx{s: memberText(x), t: t, null: true}
			}
		}
		return g.foreign("tostring", t, []sx{x})
	case t == types.Long && (x.t == types.Int || x.t == types.Bool), t == types.Real && (x.t == types.Int || x.t == types.Long || x.t == types.Bool):
		return cast("CAST(" + x.s + " AS " + g.d.types(t) + ")")
	case t == types.Int && x.t == types.Long:
		return cast("TRY_CAST(" + x.s + " AS INTEGER)")
	case t == types.Long && x.t == types.Real:
		return cast("TRY_CAST(trunc(" + x.s + ") AS BIGINT)")
	case t == types.Bool && x.t.Integral():
		return cast("(" + x.s + " <> 0)")
	case t == types.Dynamic && x.t == types.String:
		return g.foreign("parse_json", t, []sx{x})
	}
	if x.t == types.Dynamic && x.konst == nil && len(x.s) < maxTwice {
		if y, ok := g.plainNumber(x, t); ok {
			return y
		}
	}
	return g.foreignConvert(x, t)
}

// maxTwice bounds the text of an operand that is written more than once, so that
// statements cannot grow exponentially.
const maxTwice = 500

// plainNumber reads JSON text as a number where it is a plain one, in quotes or not, and
// leaves the rest to the function: numbers are the most of what conversions meet, and a
// foreign call for each row is slow.
func (g *gen) plainNumber(x sx, t types.Type) (sx, bool) {
	pattern := map[types.Type]string{types.Int: `-?[0-9]{1,9}`, types.Long: `-?[0-9]{1,18}`, types.Real: `-?[0-9]{1,15}(\.[0-9]{1,15})?`}[t]
	if pattern == "" {
		return sx{}, false
	}
	text := memberText(x)
	// The text is read once for a plain number: DuckDB shares nothing between the branches of
	// a CASE, and reading a member costs more than all the rest.
	plain := fmt.Sprintf("TRY_CAST(regexp_extract(%s, %s) AS %s)", text, quote("^"+pattern+"$"), g.d.types(t))
	return sx{s: fmt.Sprintf("coalesce(%s, CASE WHEN %s IS NULL THEN NULL ELSE %s END)", plain, text, g.foreignConvert(x, t).s), t: t, null: true}, true
}

func (g *gen) foreignConvert(x sx, t types.Type) sx {
	name := map[types.Type]string{types.Bool: "tobool", types.Int: "toint", types.Long: "tolong", types.Real: "todouble", types.Decimal: "todecimal",
		types.Datetime: "todatetime", types.Timespan: "totimespan", types.GUID: "toguid", types.Dynamic: "as_dynamic"}[t]
	return g.foreign(name, t, []sx{x})
}
