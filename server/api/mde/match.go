package mde

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/filter"
)

// row gives the properties of one thing by field name: string, int64, time.Time, bool or
// []string; "" and the zero time are null.
type row func(field string) any

// matches evaluates a predicate over a row that no store can compile, because some of its
// properties are derived. Text compares without regard to case, and null as stores do: it
// is equal to null, differs from everything else, and no other comparison holds for it.
func matches(e filter.Expr, r row) bool {
	switch e := e.(type) {
	case nil:
		return true
	case filter.And:
		return !slices.ContainsFunc(e, func(t filter.Expr) bool { return !matches(t, r) })
	case filter.Or:
		return slices.ContainsFunc(e, func(t filter.Expr) bool { return matches(t, r) })
	case filter.Not:
		return !matches(e.Term, r)
	case filter.Compare:
		return relates(r(e.Field.Name), e.Op, e.Value)
	case filter.In:
		return slices.ContainsFunc(e.Values, func(v filter.Value) bool { return relates(r(e.Field.Name), filter.Eq, v) })
	case filter.Any:
		elements, _ := r(e.Field.Name).([]string)
		return slices.ContainsFunc(elements, func(s string) bool { return relates(s, e.Op, e.Value) })
	}
	return false
}

// fold maps texts that differ in case alone to one; by way of upper case, so that letters
// with three forms (s, S, ſ) meet.
func fold(s string) string { return strings.ToLower(strings.ToUpper(s)) }

func isNull(v any) bool {
	switch v := v.(type) {
	case string:
		return v == ""
	case time.Time:
		return v.IsZero()
	}
	return v == nil
}

func relates(have any, op filter.Op, v filter.Value) bool {
	if v.Null || isNull(have) {
		same := v.Null == isNull(have)
		return op == filter.Eq && same || op == filter.Ne && !same
	}
	c := 0
	switch have := have.(type) {
	case string:
		a, b := fold(have), fold(v.S)
		switch op {
		case filter.StartsWith:
			return strings.HasPrefix(a, b)
		case filter.EndsWith:
			return strings.HasSuffix(a, b)
		case filter.Contains:
			return strings.Contains(a, b)
		}
		c = strings.Compare(a, b)
	case int64:
		c = cmp.Compare(have, v.N)
	case time.Time:
		c = have.Compare(v.T)
	case bool:
		if have != v.B {
			c = 1
		}
	}
	switch op {
	case filter.Eq:
		return c == 0
	case filter.Ne:
		return c != 0
	case filter.Gt:
		return c > 0
	case filter.Ge:
		return c >= 0
	case filter.Lt:
		return c < 0
	case filter.Le:
		return c <= 0
	}
	return false
}

// order compares two rows by the keys of a sort; null goes before every value.
func order(keys []filter.Order, a, b row) int {
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
		return cmp.Compare(boolRank(!isNull(a)), boolRank(!isNull(b)))
	}
	switch a := a.(type) {
	case string:
		return strings.Compare(fold(a), fold(b.(string)))
	case int64:
		return cmp.Compare(a, b.(int64))
	case time.Time:
		return a.Compare(b.(time.Time))
	case bool:
		return cmp.Compare(boolRank(a), boolRank(b.(bool)))
	}
	return 0
}

func boolRank(b bool) int {
	if b {
		return 1
	}
	return 0
}

// mentions reports whether a predicate or an order names the field.
func mentions(q filter.Query, field string) bool {
	for _, o := range q.Order {
		if o.Field.Name == field {
			return true
		}
	}
	return names(q.Where, field)
}

func names(e filter.Expr, field string) bool {
	some := func(es []filter.Expr) bool {
		return slices.ContainsFunc(es, func(t filter.Expr) bool { return names(t, field) })
	}
	switch e := e.(type) {
	case filter.And:
		return some(e)
	case filter.Or:
		return some(e)
	case filter.Not:
		return names(e.Term, field)
	case filter.Compare:
		return e.Field.Name == field
	case filter.In:
		return e.Field.Name == field
	case filter.Any:
		return e.Field.Name == field
	}
	return false
}

// required returns the text that the predicate demands of a field, "" when it demands none.
func required(e filter.Expr, field string) string {
	switch e := e.(type) {
	case filter.And:
		for _, t := range e {
			if s := required(t, field); s != "" {
				return s
			}
		}
	case filter.Compare:
		if e.Field.Name == field && e.Op == filter.Eq {
			return e.Value.S
		}
	}
	return ""
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }
