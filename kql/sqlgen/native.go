package sqlgen

import (
	"fmt"
	"math"
	"regexp"
	"strings"

	"github.com/vedette-edr/vedette/kql/funcs"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/types"
)

// native writes the functions and operators that DuckDB has with Kusto's meaning. The
// second result is false for a call, or for arguments, that it has not.
func (g *gen) native(c *plan.Call, a []sx, pred bool) (sx, bool) {
	name := c.Fn.Name
	out := func(format string, args ...any) (sx, bool) { return sx{s: fmt.Sprintf(format, args...)}, true }
	switch name {
	case "==", "!=":
		return g.equality(name, a[0], a[1], pred)
	case "<", "<=", ">", ">=":
		if a[0].t == types.Decimal || a[0].t == types.Dynamic || a[1].t == types.Dynamic {
			return sx{}, false
		}
		return g.order(name, a[0], a[1], pred)
	case "+", "-", "*", "/", "%", "neg":
		return g.arithmetic(c, a)
	case "not":
		return out("(NOT %s)", a[0].s)
	case "in", "in~":
		return g.in(name, a, pred)
	case "iff":
		return g.choose(c, []sx{a[0], a[1], a[2]})
	case "case":
		return g.choose(c, a)
	case "coalesce":
		return g.coalesce(c, a)
	case "isnull":
		if a[0].t == types.String {
			return out("false")
		}
		return out("(%s IS NULL)", a[0].s)
	case "isnotnull":
		if a[0].t == types.String {
			return out("true")
		}
		return out("(%s IS NOT NULL)", a[0].s)
	case "isempty", "isnotempty":
		return g.empty(name, a[0], pred)
	case "tostring", "tolong", "toint", "todouble", "tobool":
		switch a[0].t {
		case types.String, types.Real, types.Datetime, types.Timespan, types.Decimal:
			if a[0].t != c.T {
				return sx{}, false
			}
		case types.Dynamic:
			if c.T == types.Bool {
				return sx{}, false
			}
		}
		if a[0].t == types.GUID && c.T != types.String {
			return sx{}, false
		}
		return g.convert(a[0], c.T), true
	case "parse_json":
		if a[0].t == types.Dynamic {
			return a[0], true
		}
		if a[0].t == types.String && a[0].simple && a[0].konst == nil {
			x := g.foreign("parse_json", types.Dynamic, a)
			x.raw = a[0].s
			return x, true
		}
	case "get":
		return g.get(a[0], a[1])
	case "floor":
		return g.bin(c, a)
	case "rand":
		if len(a) == 0 {
			return out("random()")
		}
	case "new_guid":
		return out("CAST(uuid() AS VARCHAR)")
	case "startofday":
		if len(a) == 1 {
			return out("(%s // %d * %d)", a[0].s, types.TicksPerDay, types.TicksPerDay)
		}
	case "dayofweek":
		return out("((%s // %d + 1) %% 7 * %d)", a[0].s, types.TicksPerDay, types.TicksPerDay)
	case "hourofday":
		return out("(%s // %d %% 24)", a[0].s, types.TicksPerHour)
	case "as_dynamic":
		if a[0].t == types.String || a[0].t.Integral() || a[0].t == types.Bool || a[0].t == types.GUID {
			return out("%s", g.json(a[0]))
		}
	case "min_of", "max_of":
		if c.T.Integral() || c.T == types.Datetime || c.T == types.Timespan {
			fn := map[string]string{"min_of": "least", "max_of": "greatest"}[name]
			return out("%s(%s)", fn, list(a))
		}
	}
	return g.nativeText(c, a, pred)
}

func list(a []sx) string {
	parts := make([]string, len(a))
	for i := range a {
		parts[i] = a[i].s
	}
	return strings.Join(parts, ", ")
}

func (g *gen) equality(op string, l, r sx, pred bool) (sx, bool) {
	if l.konst != nil {
		l, r = r, l
	}
	if l.t == types.Dynamic && l.konst == nil && plainText(r) {
		l = sx{s: memberText(l), t: types.String, null: true}
		if op == "==" && !pred {
			return sx{s: "coalesce(" + l.s + " = " + r.s + ", false)"}, true
		}
	}
	if l.t == types.Dynamic || r.t == types.Dynamic || l.t == types.Decimal {
		return sx{}, false
	}
	if l.t == types.String {
		// NULL means the empty string: a comparison with a text that is not empty may
		// stay bare, which lets the scan use its statistics.
		if k := r.konst; k != nil && k.S != "" && l.null {
			switch {
			case op == "!=":
				return sx{s: "(" + l.s + " IS DISTINCT FROM " + r.s + ")"}, true
			case pred:
				return sx{s: "(" + l.s + " = " + r.s + ")"}, true
			}
		}
		sign := map[string]string{"==": "=", "!=": "<>"}[op]
		return sx{s: "(" + g.str(l).s + " " + sign + " " + g.str(r).s + ")"}, true
	}
	known := r.konst != nil && !r.konst.Null
	if l.t == types.Real && !(known && !math.IsNaN(r.konst.F)) {
		// NaN equals nothing, not even itself.
		if !pred || !l.simple || op == "!=" {
			return sx{}, false
		}
		return sx{s: "(" + l.s + " = " + r.s + " AND NOT isnan(" + l.s + "))"}, true
	}
	switch {
	case op == "==" && pred:
		return sx{s: "(" + l.s + " = " + r.s + ")"}, true
	case op == "==" && known:
		return sx{s: "coalesce(" + l.s + " = " + r.s + ", false)"}, true
	case op == "!=" && (pred || known):
		return sx{s: "(" + l.s + " IS DISTINCT FROM " + r.s + ")"}, true
	case l.simple && r.simple:
		s := fmt.Sprintf("(CASE WHEN %s IS NULL AND %s IS NULL THEN NULL ELSE %s IS NOT DISTINCT FROM %s END)", l.s, r.s, l.s, r.s)
		if op == "!=" {
			s = "(NOT " + s + ")"
		}
		return sx{s: s}, true
	}
	return sx{}, false
}

func (g *gen) in(op string, a []sx, pred bool) (sx, bool) {
	x := a[0]
	if x.t == types.Dynamic || x.t == types.Decimal {
		return sx{}, false
	}
	var vals []string
	for _, v := range a[1:] {
		if v.konst == nil || v.konst.Null {
			return sx{}, false
		}
		if op == "in~" {
			vals = append(vals, quote(funcs.Fold(v.konst.S)))
		} else {
			vals = append(vals, v.s)
		}
	}
	bare := true
	for _, v := range a[1:] {
		bare = bare && v.konst.S != ""
	}
	if x.t == types.String && (!bare || !pred) {
		x = g.str(x)
	}
	s := x.s
	if op == "in~" {
		s = "lower(" + s + ")"
	}
	s = "(" + s + " IN (" + strings.Join(vals, ", ") + "))"
	if !pred && x.t != types.String {
		s = "coalesce(" + s + ", false)"
	}
	return sx{s: s}, true
}

func (g *gen) choose(c *plan.Call, a []sx) (sx, bool) {
	if len(a) < 3 {
		return sx{}, false
	}
	var b strings.Builder
	null := false
	b.WriteString("CASE")
	for i := 0; i+1 < len(a); i += 2 {
		fmt.Fprintf(&b, " WHEN %s THEN %s", a[i].s, a[i+1].s)
		null = null || a[i+1].null
	}
	last := a[len(a)-1]
	fmt.Fprintf(&b, " ELSE %s END", last.s)
	return sx{s: b.String(), null: c.T == types.String && (null || last.null)}, true
}

func (g *gen) coalesce(c *plan.Call, a []sx) (sx, bool) {
	var parts []string
	for _, x := range a {
		if c.T == types.String {
			parts = append(parts, "nullif("+x.s+", '')")
		} else {
			parts = append(parts, x.s)
		}
	}
	return sx{s: "coalesce(" + strings.Join(parts, ", ") + ")", null: c.T == types.String}, true
}

func (g *gen) empty(name string, x sx, pred bool) (sx, bool) {
	if x.t == types.Dynamic {
		x = g.convert(x, types.String)
	}
	if x.t != types.String {
		if name == "isempty" {
			return sx{s: "(" + x.s + " IS NULL)"}, true
		}
		return sx{s: "(" + x.s + " IS NOT NULL)"}, true
	}
	if name == "isempty" {
		return sx{s: "(" + g.str(x).s + " = '')"}, true
	}
	if pred {
		return sx{s: "(" + x.s + " <> '')"}, true
	}
	return sx{s: "(" + g.str(x).s + " <> '')"}, true
}

func (g *gen) bin(c *plan.Call, a []sx) (sx, bool) {
	x, n := a[0], sx{s: "CAST('1' AS BIGINT)", konst: &types.Value{Type: types.Long, I: 1}}
	if len(a) > 1 {
		n = a[1]
	}
	if n.konst == nil || n.konst.Null {
		return sx{}, false
	}
	if c.T == types.Real || x.t == types.Real {
		if n.konst.Float() <= 0 || c.T != types.Real {
			return sx{}, false
		}
		f := g.literal(types.NewReal(n.konst.Float()))
		return sx{s: fmt.Sprintf("(floor(%s / %s) * %s)", x.s, f, f)}, true
	}
	if n.konst.I <= 0 || n.konst.Type == types.Real || c.T == types.Decimal {
		return sx{}, false
	}
	if x.t == types.Datetime {
		return sx{s: fmt.Sprintf("(%s // %d * %d)", x.s, n.konst.I, n.konst.I)}, true
	}
	if x.simple {
		return sx{s: fmt.Sprintf("(%s - ((%s %% %d + %d) %% %d))", x.s, x.s, n.konst.I, n.konst.I, n.konst.I)}, true
	}
	return sx{}, false
}

// asPattern returns a constant RE2 pattern with its number of groups.
func asPattern(x sx) (re *regexp.Regexp, ok bool) {
	if x.konst == nil || strings.Contains(x.konst.S, "\x00") {
		return nil, false
	}
	re, err := regexp.Compile(x.konst.S)
	return re, err == nil
}
