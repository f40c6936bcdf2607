package sqlgen

import (
	"fmt"
	"math"
	"strings"

	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/types"
)

// order writes <, <=, > and >=. To DuckDB NaN is the greatest of all numbers, to Kusto it
// is neither more nor less than any: where the side that would be the greater one may be
// NaN the comparison says that it is not.
func (g *gen) order(op string, l, r sx, pred bool) (sx, bool) {
	if l.t == types.String {
		l, r = g.str(l), g.str(r)
	}
	plain := "(" + l.s + " " + op + " " + r.s + ")"
	great, other := l, r
	if op[0] == '<' {
		great, other = r, l
	}
	switch k := great.konst; {
	case great.t != types.Real || k != nil && !math.IsNaN(k.F):
		return sx{s: plain}, true
	case len(great.s)+len(other.s) > maxTwice:
		return sx{}, false
	case pred:
		return sx{s: "(" + plain + " AND NOT isnan(" + great.s + "))"}, true
	}
	return sx{s: "(" + plain + " AND (NOT isnan(" + great.s + ") OR " + other.s + " IS NULL))"}, true
}

func (g *gen) arithmetic(c *plan.Call, a []sx) (sx, bool) {
	if c.T == types.Decimal {
		return sx{}, false
	}
	out := func(format string, args ...any) (sx, bool) { return sx{s: fmt.Sprintf(format, args...)}, true }
	if c.Fn.Name == "neg" {
		if c.T == types.Real {
			return out("(-%s)", a[0].s)
		}
		return g.fitting(c, "(-"+a[0].s+")")
	}
	l, r := a[0], a[1]
	ticks := func(t types.Type) bool { return t == types.Timespan || t == types.Datetime }
	mixed := ticks(c.T) && (l.t == types.Real || r.t == types.Real)
	switch c.Fn.Name {
	case "+", "-", "*":
		s := "(" + l.s + " " + c.Fn.Name + " " + r.s + ")"
		switch {
		case mixed:
			return out("TRY_CAST(round%s AS BIGINT)", s)
		case c.T == types.Real:
			return sx{s: s}, true
		}
		return g.fitting(c, s)
	case "/":
		switch {
		case mixed:
			return out("TRY_CAST(round(%s / %s) AS BIGINT)", l.s, r.s)
		case c.T == types.Real:
			return out("(CAST(%s AS DOUBLE) / CAST(%s AS DOUBLE))", l.s, r.s)
		case r.konst == nil || r.konst.Null || r.konst.I == 0 || r.konst.I == -1:
			return sx{}, false
		}
		return out("(%s // %s)", l.s, r.s)
	}
	if k := r.konst; k != nil && !k.Null && k.I > 0 && c.T != types.Real {
		return out("((%s %% %s + %s) %% %s)", l.s, r.s, r.s, r.s)
	}
	return sx{}, false
}

// fitting writes a sum, difference or product of whole numbers, or of instants and spans.
// One that does not fit is null, where DuckDB fails the statement.
func (g *gen) fitting(c *plan.Call, s string) (sx, bool) {
	// TRY takes no subquery and nothing that answers differently each time.
	if strings.Contains(s, "SELECT ") || strings.Contains(s, "random()") {
		return sx{}, false
	}
	if c.T != types.Datetime {
		return sx{s: "TRY" + s}, true
	}
	if len(s) > maxTwice {
		return sx{}, false
	}
	return sx{s: fmt.Sprintf("(CASE WHEN TRY%s BETWEEN 0 AND %d THEN %s END)", s, types.MaxDatetime, s)}, true
}
