package filter

import (
	"cmp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Row gives the properties of one thing by field name: string, int64, float64, time.Time,
// bool, []string, or []Row for a list of objects; nil, "" and the zero time are null.
type Row func(field string) any

// Match evaluates a predicate that Check accepted over a thing that is no store's: one that
// is made at the moment it is asked for. Stores must select the same rows: text compares
// without regard to case; null is equal to null, differs from everything else, and no
// other comparison holds for it.
func Match(e Expr, r Row) bool {
	switch e := e.(type) {
	case nil:
		return true
	case And:
		return !slices.ContainsFunc(e, func(t Expr) bool { return !Match(t, r) })
	case Or:
		return slices.ContainsFunc(e, func(t Expr) bool { return Match(t, r) })
	case Not:
		return !Match(e.Term, r)
	case Compare:
		return relates(e.apply(r(e.Field.Name)), e.Op, e.Value)
	case In:
		return slices.ContainsFunc(e.Values, func(v Value) bool { return relates(r(e.Field.Name), Eq, v) })
	case Any:
		return slices.ContainsFunc(elements(r(e.Field.Name)), func(el Row) bool { return Match(e.Where, el) })
	}
	return false
}

// elements returns the rows of a list, whatever it holds.
func elements(v any) []Row {
	switch v := v.(type) {
	case []Row:
		return v
	case []string:
		out := make([]Row, len(v))
		for i, s := range v {
			out[i] = func(string) any { return s }
		}
		return out
	}
	return nil
}

// apply returns what the comparison's function makes of a value.
func (e Compare) apply(v any) any {
	if e.Fn == Plain {
		return v
	}
	if e.Fn == Count {
		return int64(len(elements(v)))
	}
	if isNull(v) {
		return nil
	}
	switch v := v.(type) {
	case string:
		if e.Fn == Length {
			return int64(utf8.RuneCountInString(v))
		}
		folded := Fold(v)
		at := strings.Index(folded, Fold(e.Arg))
		if at > 0 {
			at = utf8.RuneCountInString(folded[:at])
		}
		return int64(at)
	case time.Time:
		return part(e.Fn, v.UTC())
	}
	return nil
}

func part(f Fn, t time.Time) int64 {
	switch f {
	case Year:
		return int64(t.Year())
	case Month:
		return int64(t.Month())
	case Day:
		return int64(t.Day())
	case Hour:
		return int64(t.Hour())
	case Minute:
		return int64(t.Minute())
	}
	return int64(t.Second())
}

func isNull(v any) bool {
	switch v := v.(type) {
	case string:
		return v == ""
	case time.Time:
		return v.IsZero()
	}
	return v == nil
}

func relates(have any, op Op, v Value) bool {
	if v.Null || isNull(have) {
		same := v.Null == isNull(have)
		return op == Eq && same || op == Ne && !same
	}
	c := 0
	switch have := have.(type) {
	case string:
		a, b := Fold(have), Fold(v.S)
		switch op {
		case StartsWith:
			return strings.HasPrefix(a, b)
		case EndsWith:
			return strings.HasSuffix(a, b)
		case Contains:
			return strings.Contains(a, b)
		}
		c = strings.Compare(a, b)
	case int64:
		c = cmp.Compare(have, v.N)
	case float64:
		c = cmp.Compare(have, v.F)
	case time.Time:
		c = have.Compare(v.T)
	case bool:
		c = cmp.Compare(rank(have), rank(v.B))
	}
	switch op {
	case Eq:
		return c == 0
	case Ne:
		return c != 0
	case Gt:
		return c > 0
	case Ge:
		return c >= 0
	case Lt:
		return c < 0
	case Le:
		return c <= 0
	}
	return false
}

// Select answers a query over things that are kept in one piece: it filters, orders and
// cuts them. Without an order they keep theirs.
func Select[T any](items []T, q Query, row func(T) Row) Page[T] {
	var out []T
	for _, item := range items {
		if q.Where == nil || Match(q.Where, row(item)) {
			out = append(out, item)
		}
	}
	if len(q.Order) > 0 {
		slices.SortStableFunc(out, func(a, b T) int { return order(q.Order, row(a), row(b)) })
	}
	p := Page[T]{Items: out, Total: int64(len(out))}
	p.Items = p.Items[min(q.Skip, len(p.Items)):]
	if q.Top > 0 && len(p.Items) > q.Top {
		p.Items, p.More = p.Items[:q.Top], true
	}
	return p
}

// order compares two rows by the keys of a sort; null goes before every value.
func order(keys []Order, a, b Row) int {
	for _, k := range keys {
		c := compareCells(a(k.Field.Name), b(k.Field.Name))
		if k.Desc {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

func compareCells(a, b any) int {
	if isNull(a) || isNull(b) {
		return cmp.Compare(rank(!isNull(a)), rank(!isNull(b)))
	}
	switch a := a.(type) {
	case string:
		return strings.Compare(Fold(a), Fold(b.(string)))
	case int64:
		return cmp.Compare(a, b.(int64))
	case float64:
		return cmp.Compare(a, b.(float64))
	case time.Time:
		return a.Compare(b.(time.Time))
	case bool:
		return cmp.Compare(rank(a), rank(b.(bool)))
	}
	return 0
}

func rank(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Rewrite returns e with each Compare and In of the field replaced by what to makes of the
// values that the field may have: to is given those of them for which the comparison
// holds. It is how a property that depends on the time of the request becomes one that a
// store can look up.
func Rewrite(e Expr, field string, values []string, to func(holds []string) Expr) Expr {
	all := func(es []Expr) []Expr {
		out := make([]Expr, len(es))
		for i, t := range es {
			out[i] = Rewrite(t, field, values, to)
		}
		return out
	}
	holds := func() Expr {
		var in []string
		for _, v := range values {
			if Match(e, func(string) any { return v }) {
				in = append(in, v)
			}
		}
		return to(in)
	}
	switch e := e.(type) {
	case And:
		return And(all(e))
	case Or:
		return Or(all(e))
	case Not:
		return Not{Rewrite(e.Term, field, values, to)}
	case Compare:
		if e.Field.Name == field {
			return holds()
		}
	case In:
		if e.Field.Name == field {
			return holds()
		}
	}
	return e
}
