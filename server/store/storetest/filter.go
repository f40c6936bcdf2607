package storetest

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"pgregory.net/rapid"

	"github.com/vedette-edr/vedette/server/filter"
)

// A row's value is a string, int64, time.Time, bool or []string; nil, "" and the zero
// time are null.

func zeroIsNull(n int64) any {
	if n == 0 {
		return nil
	}
	return n
}

func isNull(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case time.Time:
		return v.IsZero()
	}
	return false
}

// holds evaluates a predicate as package store documents it.
func holds(e filter.Expr, get func(string) any) bool {
	switch e := e.(type) {
	case nil:
		return true
	case filter.And:
		return !slices.ContainsFunc(e, func(t filter.Expr) bool { return !holds(t, get) })
	case filter.Or:
		return slices.ContainsFunc(e, func(t filter.Expr) bool { return holds(t, get) })
	case filter.Not:
		return !holds(e.Term, get)
	case filter.Compare:
		return relates(apply(e, get(e.Field.Name)), e.Op, e.Value)
	case filter.In:
		return slices.ContainsFunc(e.Values, func(v filter.Value) bool { return relates(get(e.Field.Name), filter.Eq, v) })
	case filter.Any:
		for _, element := range elements(get(e.Field.Name)) {
			if holds(e.Where, element) {
				return true
			}
		}
		return false
	}
	panic(fmt.Sprintf("%T", e))
}

// elements gives each element of a list as something that fields are got of.
func elements(v any) []func(string) any {
	var out []func(string) any
	switch v := v.(type) {
	case []string:
		for _, s := range v {
			out = append(out, func(string) any { return s })
		}
	case []map[string]any:
		for _, m := range v {
			out = append(out, func(field string) any { return m[field] })
		}
	}
	return out
}

// apply is the function of a comparison, by way of texts where package store has SQL.
func apply(e filter.Compare, v any) any {
	if e.Fn == filter.Count {
		return int64(len(elements(v)))
	}
	if e.Fn == filter.Plain || isNull(v) {
		return v
	}
	layouts := map[filter.Fn]string{filter.Year: "2006", filter.Month: "01", filter.Day: "02", filter.Hour: "15", filter.Minute: "04", filter.Second: "05"}
	switch v := v.(type) {
	case time.Time:
		n, err := strconv.Atoi(v.UTC().Format(layouts[e.Fn]))
		if err != nil {
			panic(err)
		}
		return int64(n)
	case string:
		runes := []rune(v)
		if e.Fn == filter.Length {
			return int64(len(runes))
		}
		for i := range len(runes) + 1 {
			if textRelates(string(runes[i:]), filter.StartsWith, e.Arg) {
				return int64(i)
			}
		}
		return int64(-1)
	}
	panic(fmt.Sprintf("%T", v))
}

func relates(have any, op filter.Op, v filter.Value) bool {
	if v.Null {
		return isNull(have) == (op == filter.Eq)
	}
	if isNull(have) {
		return op == filter.Ne
	}
	if op >= filter.StartsWith {
		return textRelates(have.(string), op, v.S)
	}
	c := 0
	switch have := have.(type) {
	case string:
		if c = compareText(have, v.S); strings.EqualFold(have, v.S) != (c == 0) {
			panic("the order of texts does not agree with EqualFold")
		}
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
	}
	return c <= 0
}

// textRelates tries every place where the needle could be.
func textRelates(s string, op filter.Op, needle string) bool {
	hay, n := []rune(s), len([]rune(needle))
	for i := 0; i+n <= len(hay); i++ {
		if op == filter.StartsWith && i > 0 || op == filter.EndsWith && i+n < len(hay) {
			continue
		}
		if strings.EqualFold(string(hay[i:i+n]), needle) {
			return true
		}
	}
	return false
}

// compareText orders texts by the least rune of each rune's case variants, a–z for A–Z.
func compareText(a, b string) int {
	key := func(s string) string {
		return strings.Map(func(r rune) rune {
			least := r
			for v := unicode.SimpleFold(r); v != r; v = unicode.SimpleFold(v) {
				least = min(least, v)
			}
			if least >= 'A' && least <= 'Z' {
				return unicode.ToLower(least)
			}
			return least
		}, s)
	}
	return strings.Compare(key(a), key(b))
}

// compareValues orders values of one field; null goes first.
func compareValues(a, b any) int {
	switch {
	case isNull(a) || isNull(b):
		return cmp.Compare(btoi(!isNull(a)), btoi(!isNull(b)))
	}
	switch a := a.(type) {
	case string:
		return compareText(a, b.(string))
	case int64:
		return cmp.Compare(a, b.(int64))
	case time.Time:
		return a.Compare(b.(time.Time))
	case bool:
		return cmp.Compare(btoi(a), btoi(b.(bool)))
	}
	panic(fmt.Sprintf("%T", a))
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Few and short texts, so that they meet, from what has hurt before: case, patterns,
// quotes, runes whose lower case is longer or is another letter's.
func drawText(r *rapid.T) string {
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "A", "b", "B", "%", "_", `\`, "'", "é", "É", "ſ", "s", "K", "k", "İ", "0"}), 0, 3).Draw(r, "text"), "")
}

func drawInt(r *rapid.T) int64 { return rapid.Int64Range(-2, 3).Draw(r, "int") }

func drawTime(r *rapid.T) time.Time {
	return rapid.SampledFrom([]time.Time{{}, base, base.Add(1), base.Add(-time.Hour), base.Add(time.Hour), time.Unix(0, 0).UTC()}).Draw(r, "time")
}

// drawSet draws a time that is never null.
func drawSet(r *rapid.T) time.Time {
	return rapid.SampledFrom([]time.Time{base, base.Add(1), base.Add(-time.Hour), base.Add(time.Hour)}).Draw(r, "time")
}

func drawValue(r *rapid.T, typ filter.Type) filter.Value {
	v := filter.Value{Type: typ}
	switch typ {
	case filter.Int:
		v.N = drawInt(r)
	case filter.Time:
		v.T = rapid.SampledFrom([]time.Time{base, base.Add(1), base.Add(-time.Hour), time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}).Draw(r, "time")
	case filter.Bool:
		v.B = rapid.Bool().Draw(r, "bool")
	default:
		v.Type = filter.String
		v.S = drawText(r)
	}
	return v
}

func drawExpr(r *rapid.T, schema filter.Schema, depth int) filter.Expr {
	kind := rapid.IntRange(0, 6).Draw(r, "kind")
	if depth == 0 {
		kind = max(kind, 3)
	}
	terms := func() []filter.Expr {
		var out []filter.Expr
		for range rapid.IntRange(0, 3).Draw(r, "terms") {
			out = append(out, drawExpr(r, schema, depth-1))
		}
		return out
	}
	switch kind {
	case 0:
		return filter.And(terms())
	case 1:
		return filter.Or(terms())
	case 2:
		return filter.Not{Term: drawExpr(r, schema, depth-1)}
	}
	return drawComparison(r, rapid.SampledFrom(schema).Draw(r, "field"), kind == 3)
}

func drawComparison(r *rapid.T, f filter.Field, in bool) filter.Expr {
	ops := []filter.Op{filter.Eq, filter.Ne, filter.Gt, filter.Ge, filter.Lt, filter.Le}
	fns := []filter.Fn{filter.Plain, filter.Plain}
	typ := f.Type
	switch f.Type {
	case filter.String:
		fns = append(fns, filter.Length, filter.IndexOf)
	case filter.Time:
		fns = append(fns, filter.Year, filter.Month, filter.Day, filter.Hour, filter.Minute, filter.Second)
	case filter.List:
		if rapid.Bool().Draw(r, "any") {
			var where filter.Expr
			if rapid.IntRange(0, 4).Draw(r, "all") > 0 {
				where = drawExpr(r, f.Elements(), 1)
			}
			if rapid.Bool().Draw(r, "every") {
				return filter.All(f, where)
			}
			return filter.Any{Field: f, Where: where}
		}
		fns = []filter.Fn{filter.Count}
	case filter.Bool:
		ops = ops[:2]
	}
	fn := rapid.SampledFrom(fns).Draw(r, "function")
	arg := ""
	if fn == filter.IndexOf {
		arg = drawText(r)
	}
	if fn != filter.Plain {
		typ, in = filter.Int, false
	} else if typ == filter.String {
		ops = append(ops, filter.StartsWith, filter.EndsWith, filter.Contains)
	}
	v := drawValue(r, typ)
	if rapid.IntRange(0, 5).Draw(r, "null") == 0 {
		v, ops = filter.Value{Null: true}, ops[:2]
	}
	if in {
		var vs []filter.Value
		for range rapid.IntRange(0, 3).Draw(r, "values") {
			vs = append(vs, drawValue(r, f.Type))
		}
		if v.Null {
			vs = append(vs, v)
		}
		return filter.In{Field: f, Values: vs}
	}
	return filter.Compare{Field: f, Fn: fn, Arg: arg, Op: rapid.SampledFrom(ops).Draw(r, "op"), Value: v}
}

func drawQuery(r *rapid.T, schema filter.Schema) filter.Query {
	q := filter.Query{
		Where: drawExpr(r, schema, 3), Count: rapid.Bool().Draw(r, "count"),
		Top: rapid.IntRange(0, 6).Draw(r, "top"), Skip: rapid.IntRange(0, 4).Draw(r, "skip"),
	}
	for range rapid.IntRange(0, 2).Draw(r, "keys") {
		f := rapid.SampledFrom(schema).Draw(r, "key")
		if f.Type != filter.List && !f.Fluid {
			q.Order = append(q.Order, filter.Order{Field: f, Desc: rapid.Bool().Draw(r, "desc")})
		}
	}
	return q
}

func show(q filter.Query) string { return fmt.Sprintf("%+v", q) }

// compare checks a page of rows against the evaluator.
func compare[T any](r *rapid.T, q filter.Query, page filter.Page[*T], rows []*T, value func(*T, string) any, id func(*T) string) {
	var want []*T
	for _, row := range rows {
		is := holds(q.Where, func(field string) any { return value(row, field) })
		if is {
			want = append(want, row)
		}
		// What is kept in one piece is filtered by package filter itself.
		if is != filter.Match(q.Where, func(field string) any { return asRow(value(row, field)) }) {
			r.Fatalf("%s: filter.Match does not agree about %s", show(q), id(row))
		}
	}
	if total := int64(len(want)); q.Count && page.Total != total || !q.Count && page.Total != -1 {
		r.Fatalf("%s: total %d, want %d", show(q), page.Total, total)
	}
	n := max(len(want)-q.Skip, 0)
	more := q.Top > 0 && n > q.Top
	if more {
		n = q.Top
	}
	if len(page.Items) != n || page.More != more {
		r.Fatalf("%s: %d items, more %v; want %d, %v", show(q), len(page.Items), page.More, n, more)
	}
	matched := map[string]bool{}
	for _, row := range want {
		matched[id(row)] = true
	}
	for _, row := range page.Items {
		if !matched[id(row)] {
			r.Fatalf("%s: %s does not match or came twice", show(q), id(row))
		}
		delete(matched, id(row))
	}
	if len(q.Order) == 0 {
		return
	}
	order := func(a, b *T) int {
		for _, k := range q.Order {
			c := compareValues(value(a, k.Field.Name), value(b, k.Field.Name))
			if k.Desc {
				c = -c
			}
			if c != 0 {
				return c
			}
		}
		return 0
	}
	slices.SortStableFunc(want, order)
	for i, row := range page.Items {
		if order(row, want[q.Skip+i]) != 0 {
			r.Fatalf("%s: item %d is %s, which is out of order", show(q), i, id(row))
		}
	}
}

func asRow(v any) any {
	list, ok := v.([]map[string]any)
	if !ok {
		return v
	}
	var out []filter.Row
	for _, m := range list {
		out = append(out, func(field string) any { return m[field] })
	}
	return out
}

// walk checks that a list which is gone on with by Next shows each row once, in the order
// of one page that holds them all.
func walk[T any](r *rapid.T, q filter.Query, list func(filter.Query) (filter.Page[*T], error), id func(*T) string) {
	q.Top, q.Skip, q.Count = 0, 0, false
	whole, err := list(q)
	if err != nil {
		r.Fatalf("%s: %v", show(q), err)
	}
	q.Top = rapid.IntRange(1, 4).Draw(r, "page")
	var got []string
	for {
		page, err := list(q)
		if err != nil {
			r.Fatalf("%s: %v", show(q), err)
		}
		for _, item := range page.Items {
			got = append(got, id(item))
		}
		if page.More != (page.Next != "") {
			r.Fatalf("%s: more %v, next %q", show(q), page.More, page.Next)
		}
		if q.After = page.Next; q.After == "" {
			break
		}
		q.Skip = 7 // does not count any more
	}
	var want []string
	for _, item := range whole.Items {
		want = append(want, id(item))
	}
	if !slices.Equal(got, want) {
		r.Fatalf("%s: pages show %v, the whole is %v", show(q), got, want)
	}
}
