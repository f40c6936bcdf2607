package duck_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/vedette-edr/vedette/kql"
	"github.com/vedette-edr/vedette/kql/bind"
	"github.com/vedette-edr/vedette/kql/kqltest"
	"github.com/vedette-edr/vedette/kql/kqltest/duck"
	"github.com/vedette-edr/vedette/kql/types"
)

// field is a column that a random query has in reach.
type field struct {
	name string
	t    types.Type
}

// query grows one random query. Only what both engines must answer alike is written: where
// the order of rows shows, rows are sorted by a unique column first.
type query struct {
	r      *rand.Rand
	cols   []field
	unique bool // id is there and no two rows share it
	n      int
}

func (q *query) pick(list ...string) string { return list[q.r.IntN(len(list))] }
func (q *query) chance(n int) bool          { return q.r.IntN(n) == 0 }
func (q *query) fresh() string              { q.n++; return fmt.Sprintf("v%d", q.n) }

// of answers the columns of a type.
func (q *query) of(t types.Type) []string {
	var out []string
	for _, c := range q.cols {
		if c.t == t {
			out = append(out, c.name)
		}
	}
	return out
}

var scalarTypes = []types.Type{types.String, types.Long, types.Int, types.Real, types.Bool, types.Datetime, types.Timespan, types.Dynamic}

var constants = map[types.Type][]string{
	types.String:   {`""`, `"Ab c"`, `"it's"`, `"ß_x"`, `"ÄÖ ab"`, `"7"`, `"-3.5"`, `"2024-02-03"`, `"a,b,,c"`, `'{"k":{"m":[1,"x"]}}'`, `"K"`, `"İi"`},
	types.Long:     {"0", "1", "-7", "3", "long(null)", "9223372036854775807", "4294967296"},
	types.Int:      {"int(0)", "int(5)", "int(null)", "int(-2147483648)", "int(2147483647)"},
	types.Real:     {"0.0", "1.5", "-2.25", "real(null)", "1e10", "real(nan)", "real(+inf)"},
	types.Bool:     {"true", "false", "bool(null)"},
	types.Datetime: {"datetime(2024-01-31 23:59:59.9999999)", "datetime(null)", "datetime(1999-12-31)", "now()", "datetime(2024-02-29 12:00)"},
	types.Timespan: {"1d", "-90m", "timespan(null)", "1tick", "0s", "timespan(2.03:04:05.6)", "12345ms"},
	types.Dynamic:  {`dynamic(null)`, `dynamic([1,2,"a",null])`, `dynamic({"a":1,"b":{"c":"x"}})`, `dynamic("7")`, `dynamic(3.5)`, `dynamic([])`},
}

// expr writes an expression of type t, at most n deep.
func (q *query) expr(t types.Type, n int) string {
	if n <= 0 || q.chance(8) {
		if c := q.of(t); len(c) > 0 && !q.chance(7) {
			return q.pick(c...)
		}
		return q.pick(constants[t]...)
	}
	e := func(t types.Type) string { return q.expr(t, n-1) }
	s, l, i, r, b, d, ts, j := types.String, types.Long, types.Int, types.Real, types.Bool, types.Datetime, types.Timespan, types.Dynamic
	switch q.r.IntN(16) {
	case 0:
		return "iff(" + e(b) + ", " + e(t) + ", " + e(t) + ")"
	case 1:
		return "case(" + e(b) + ", " + e(t) + ", " + e(b) + ", " + e(t) + ", " + e(t) + ")"
	case 2:
		if t != j {
			return "coalesce(" + e(t) + ", " + e(t) + ")"
		}
	}
	num := func() types.Type { return []types.Type{l, i, r}[q.r.IntN(3)] }
	any := func() string { return e(scalarTypes[q.r.IntN(len(scalarTypes))]) }
	var list []func() string
	switch t {
	case s:
		list = []func() string{
			func() string { return q.pick("tolower", "toupper") + "(" + e(s) + ")" },
			func() string { return "strcat(" + e(s) + ", " + any() + ")" },
			func() string { return "tostring(" + any() + ")" },
			func() string {
				return "substring(" + e(s) + ", " + q.pick("0", "1", "2", "-2", "100") + q.pick("", ", 3", ", 0", ", -1") + ")"
			},
			func() string {
				return "replace_string(" + e(s) + ", " + q.pick(`"a"`, `" "`, `"ß"`, `""`) + ", " + q.pick(`"b"`, `""`, `"''"`) + ")"
			},
			func() string {
				return "extract(" + q.pick(`@"(\w)(\d*)"`, `"([a-z]+)"`, `"^(.)"`) + ", " + q.pick("0", "1") + ", " + e(s) + ")"
			},
			func() string {
				return "tostring(split(" + e(s) + ", " + q.pick(`","`, `" "`, `"a"`) + ")[" + q.pick("0", "1", "-1", "9") + "])"
			},
			func() string { return "format_datetime(" + e(d) + ", 'yyyy-MM-dd HH:mm:ss.fffffff')" },
			func() string { return "format_timespan(" + e(ts) + ", 'd.hh:mm:ss')" },
			func() string { return "trim(" + q.pick(`"a"`, `@"\s"`) + ", " + e(s) + ")" },
			func() string {
				return q.pick("hash_md5", "hash_sha256", "base64_encode_tostring", "url_encode", "reverse") + "(" + e(s) + ")"
			},
			func() string { return "strcat_delim('|', " + e(s) + ", " + any() + ")" },
			func() string { return "tostring(" + e(j) + "." + q.pick("a", "b.c", "k") + ")" },
			func() string {
				return "replace_regex(" + e(s) + ", " + q.pick(`@"[aA](.)"`, `@"\s+"`) + ", " + q.pick(`@"<\1>"`, `"-"`, `""`) + ")"
			},
		}
	case l:
		list = []func() string{
			func() string { return "(" + e(l) + q.pick(" + ", " - ", " * ", " / ", " % ") + e(q.sample(l, i)) + ")" },
			func() string { return "-(" + e(l) + ")" },
			func() string { return q.pick("strlen", "string_size") + "(" + e(s) + ")" },
			func() string { return "bin(" + e(l) + ", " + q.pick("3", "10", "1") + ")" },
			func() string { return q.pick("min_of", "max_of") + "(" + e(l) + ", " + e(l) + ")" },
			func() string { return "tolong(" + q.pick(e(s), e(i), e(r), e(b), e(j)) + ")" },
			func() string { return "indexof(" + e(s) + ", " + q.pick(`"a"`, `"b c"`, e(s)) + ")" },
			func() string { return "countof(" + e(s) + ", " + q.pick(`"a"`, `" "`) + ")" },
			func() string { return "array_length(" + e(j) + ")" },
			func() string { return "abs(" + e(l) + ")" },
			func() string { return q.pick("binary_and", "binary_or", "binary_xor") + "(" + e(l) + ", " + e(l) + ")" },
			func() string {
				return "datetime_diff(" + q.pick("'day'", "'hour'", "'month'", "'second'") + ", " + e(d) + ", " + e(d) + ")"
			},
			func() string {
				return "datetime_part(" + q.pick("'year'", "'hour'", "'minute'", "'dayofyear'") + ", " + e(d) + ")"
			},
			func() string { return "toint(" + e(l) + ")" },
		}
	case i:
		list = []func() string{
			func() string { return "toint(" + q.pick(e(s), e(l), e(r), e(b), e(j)) + ")" },
			func() string {
				return q.pick("getyear", "getmonth", "dayofmonth", "dayofyear", "week_of_year", "hourofday", "monthofyear") + "(" + e(d) + ")"
			},
			func() string { return "sign(" + e(l) + ")" },
		}
	case r:
		list = []func() string{
			func() string { return "(" + e(r) + q.pick(" + ", " - ", " * ", " / ") + e(num()) + ")" },
			func() string { return "todouble(" + q.pick(e(s), e(l), e(i), e(b), e(j)) + ")" },
			func() string { return q.pick("floor", "bin") + "(" + e(r) + ", " + q.pick("0.5", "2.0") + ")" },
			func() string { return "round(" + e(r) + q.pick("", ", 1") + ")" },
			func() string { return q.pick("min_of", "max_of") + "(" + e(r) + ", " + e(r) + ")" },
			func() string { return "abs(" + e(r) + ")" },
			func() string { return "(" + e(ts) + " / " + q.pick("1h", "1d", "7s") + ")" },
			func() string { return "ceiling(" + e(r) + ")" },
		}
	case b:
		list = []func() string{
			func() string { return "(" + e(b) + q.pick(" and ", " or ") + e(b) + ")" },
			func() string { return "not(" + e(b) + ")" },
			func() string {
				t := q.sample(s, l, i, r, d, ts, b)
				return "(" + e(t) + q.pick(" == ", " != ") + e(t) + ")"
			},
			func() string {
				t := q.sample(l, i, r, d, ts, s)
				return "(" + e(t) + q.pick(" < ", " <= ", " > ", " >= ") + e(t) + ")"
			},
			func() string { return "(" + e(num()) + q.pick(" == ", " != ", " < ", " > ") + e(num()) + ")" },
			func() string { return "(" + e(s) + q.pick(" =~ ", " !~ ") + e(s) + ")" },
			func() string {
				return "(" + e(s) + q.pick(" has ", " !has ", " has_cs ", " contains ", " !contains ", " contains_cs ", " startswith ", " !startswith ", " startswith_cs ", " endswith ", " !endswith ", " hasprefix ", " !hasprefix ", " hassuffix ", " hasprefix_cs ", " hassuffix_cs ") +
					q.pick(`"ab"`, `"AB"`, `"C"`, `"b c"`, `"'"`, `"_x"`, `""`, `"ß"`, `"ä"`, `"7"`, `"."`, e(s)) + ")"
			},
			func() string {
				return "(" + e(s) + q.pick(" in ", " !in ", " in~ ", " !in~ ", " has_any ", " has_all ") + "(" + q.pick(`"ab", "ÄÖ ab"`, `"AB C", ""`, `dynamic(["ab","c"])`, `"7"`) + "))"
			},
			func() string { return "(" + e(q.sample(l, i)) + q.pick(" in ", " !in ") + "(1, 2, -7))" },
			func() string {
				return "(" + e(s) + " matches regex " + q.pick(`@"^[a-c]+"`, `@"(?i)AB"`, `@"\d$"`) + ")"
			},
			func() string { return q.pick("isempty", "isnotempty", "isnull", "isnotnull") + "(" + any() + ")" },
			func() string {
				return "(" + e(l) + q.pick(" between ", " !between ") + "(" + q.pick("-3 .. 3", "0 .. 100", e(l)+" .. "+e(l)) + "))"
			},
			func() string {
				return "(" + e(d) + " between (datetime(2024-01-01) .. " + q.pick("30d", "datetime(2024-02-10)") + "))"
			},
			func() string { return "tobool(" + q.pick(e(s), e(l), e(j)) + ")" },
			func() string {
				return "(" + e(j) + q.pick(".a == ", ".b.c == ", "[0] == ", ".a != ", " has ", " contains ") + q.pick(`"1"`, `"x"`, `"a"`) + ")"
			},
			func() string { return "(tolong(" + e(j) + ".a) " + q.pick("== 1", "> 0", "!= 2") + ")" },
			func() string {
				return q.pick("set_has_element", "bag_has_key") + "(" + e(j) + ", " + q.pick(`"a"`, `"b"`) + ")"
			},
			func() string { return "isnan(" + e(r) + ")" },
		}
	case d:
		list = []func() string{
			func() string { return "(" + e(d) + q.pick(" + ", " - ") + e(ts) + ")" },
			func() string { return "bin(" + e(d) + ", " + q.pick("1h", "7d", "5m") + ")" },
			func() string {
				return q.pick("startofday", "startofmonth", "startofweek", "startofyear", "endofday", "endofmonth", "endofweek") + "(" + e(d) + ")"
			},
			func() string {
				return "datetime_add(" + q.pick("'day'", "'month'", "'hour'") + ", " + q.pick("1", "-13", "40") + ", " + e(d) + ")"
			},
			func() string { return "todatetime(" + q.pick(e(s), e(j)) + ")" },
			func() string { return q.pick("min_of", "max_of") + "(" + e(d) + ", " + e(d) + ")" },
			func() string { return "unixtime_seconds_todatetime(" + e(l) + " % 2000000000)" },
		}
	case ts:
		list = []func() string{
			func() string { return "(" + e(d) + " - " + e(d) + ")" },
			func() string { return "(" + e(ts) + q.pick(" + ", " - ") + e(ts) + ")" },
			func() string { return "(" + e(ts) + q.pick(" * ", " / ") + q.pick("2", "3", "0.5", e(i)) + ")" },
			func() string { return "bin(" + e(ts) + ", " + q.pick("1h", "10s") + ")" },
			func() string { return "totimespan(" + q.pick(e(s), e(j)) + ")" },
			func() string { return "dayofweek(" + e(d) + ")" },
		}
	case j:
		list = []func() string{
			func() string { return "parse_json(" + e(s) + ")" },
			func() string {
				if !q.unique {
					return "dynamic(1)"
				}
				return q.pick("x", "parse_json(x)", "todynamic(x)") + q.pick(".a", ".b.c", ".k", "[0]")
			},
			func() string { return "bag_pack('a', " + any() + ", 'k', " + any() + ")" },
			func() string { return "pack_array(" + any() + ", " + any() + ")" },
			func() string { return "split(" + e(s) + ", ',')" },
			func() string { return e(j) + q.pick(".a", ".b", "[0]", "['b']", "[-1]", ".b.c") },
			func() string { return "array_concat(" + e(j) + ", " + e(j) + ")" },
			func() string { return "todynamic(" + any() + ")" },
			func() string { return q.pick("array_sort_asc", "array_reverse", "bag_keys") + "(" + e(j) + ")" },
			func() string { return "extract_all(@'([a-z])', " + e(s) + ")" },
		}
	}
	return list[q.r.IntN(len(list))]()
}

func (q *query) sample(list ...types.Type) types.Type { return list[q.r.IntN(len(list))] }

func (q *query) add(name string, t types.Type) { q.cols = append(q.cols, field{name, t}) }

// aggregate writes one aggregate and answers its type.
func (q *query) aggregate() (string, types.Type) {
	num := q.sample(types.Long, types.Int, types.Real)
	cond := func() string { return q.expr(types.Bool, 1) }
	exact := func(t types.Type) string { // sums must not depend on the order of their rows
		if c := q.of(t); len(c) > 0 && t != types.Real {
			return q.pick(c...)
		}
		if c := q.of(types.Int); len(c) > 0 {
			return q.pick(c...)
		}
		return "1"
	}
	cmp := q.sample(types.Long, types.Int, types.Real, types.Datetime, types.Timespan, types.String)
	any := scalarTypes[q.r.IntN(len(scalarTypes))]
	flat := q.sample(types.Long, types.Int, types.String, types.Datetime, types.Timespan, types.Bool)
	switch q.r.IntN(15) {
	case 0:
		return "count()", types.Long
	case 1:
		return "countif(" + cond() + ")", types.Long
	case 2:
		return "dcount(" + q.expr(flat, 1) + ", 4)", types.Long
	case 3:
		return "dcountif(" + q.expr(flat, 1) + ", " + cond() + ")", types.Long
	case 4:
		return "todouble(sum(" + exact(num) + " % 1000))", types.Real
	case 5:
		return "todouble(sumif(" + exact(num) + " % 1000, " + cond() + "))", types.Real
	case 6:
		return q.pick("min", "max") + "(" + q.expr(cmp, 1) + ")", cmp
	case 7:
		return q.pick("minif", "maxif") + "(" + q.expr(cmp, 1) + ", " + cond() + ")", cmp
	case 8:
		return "round(" + q.pick("avg", "stdev", "variance", "stdevp", "variancep") + "(" + exact(num) + " % 1000), 6)", types.Real
	case 9:
		return "array_sort_asc(" + q.pick("make_set", "make_list") + "(" + q.expr(flat, 1) + "))", types.Dynamic
	case 10:
		return "array_length(make_set(" + q.expr(any, 1) + "))", types.Long
	case 11:
		return "array_sort_asc(" + q.pick("make_set_if", "make_list_if") + "(" + q.expr(flat, 1) + ", " + cond() + "))", types.Dynamic
	case 12:
		t := q.sample(types.Long, types.Int, types.Real, types.Datetime)
		return "percentile(" + q.expr(t, 1) + ", " + q.pick("0", "5", "50", "95", "100") + ")", t
	case 13:
		return q.pick("binary_all_and", "binary_all_or", "binary_all_xor") + "(" + q.expr(types.Long, 1) + ")", types.Long
	}
	return "array_length(make_list_with_nulls(" + q.expr(any, 1) + "))", types.Long
}

// source starts a query at one of the tables.
func (q *query) source() string {
	q.cols = []field{{"id", types.Long}, {"a", types.Long}, {"i", types.Int}, {"r", types.Real}, {"s", types.String}, {"s2", types.String}, {"d", types.Datetime}, {"t", types.Timespan}, {"j", types.Dynamic}, {"f", types.Bool}}
	q.unique = true
	return q.pick("T", "U")
}

// step writes one more operator.
func (q *query) step(depth int) string {
	switch q.r.IntN(14) {
	case 0, 1:
		return "where " + q.expr(types.Bool, 2)
	case 2, 3:
		t, name := scalarTypes[q.r.IntN(len(scalarTypes))], q.fresh()
		text := "extend " + name + " = " + q.expr(t, 3)
		q.add(name, t)
		return text
	case 4:
		var keep []field
		var items []string
		for _, c := range q.cols {
			if c.name == "id" && q.unique || q.chance(2) {
				keep, items = append(keep, c), append(items, c.name)
			}
		}
		t, name := scalarTypes[q.r.IntN(len(scalarTypes))], q.fresh()
		items = append(items, name+" = "+q.expr(t, 2))
		if q.unique {
			items = append(items, "x")
		}
		q.cols = append(keep, field{name, t})
		return "project " + strings.Join(items, ", ")
	case 5, 6:
		var out []field
		var aggs, keys []string
		for range q.r.IntN(3) + 1 {
			text, t := q.aggregate()
			name := q.fresh()
			aggs, out = append(aggs, name+" = "+text), append(out, field{name, t})
		}
		for range q.r.IntN(3) {
			t := q.sample(types.String, types.Long, types.Int, types.Bool, types.Datetime, types.Timespan)
			name := q.fresh()
			keys, out = append(keys, name+" = "+q.expr(t, 1)), append(out, field{name, t})
		}
		q.cols, q.unique = out, false
		if len(keys) == 0 {
			return "summarize " + strings.Join(aggs, ", ")
		}
		return "summarize " + strings.Join(aggs, ", ") + " by " + strings.Join(keys, ", ")
	case 7:
		if depth > 0 {
			return q.join(depth)
		}
	case 8:
		if c := q.of(types.Dynamic); len(c) > 0 {
			name := q.fresh()
			q.unique = false
			switch q.r.IntN(3) {
			case 0:
				t := q.sample(types.String, types.Long, types.Real)
				text := "mv-expand " + name + " = " + q.pick(c...) + " to typeof(" + t.String() + ")"
				q.add(name, t)
				return text
			case 1:
				text := "mv-expand with_itemindex=" + name + "i " + name + " = " + q.pick(c...)
				q.add(name+"i", types.Long)
				q.add(name, types.Dynamic)
				return text
			}
			text := "mv-apply " + name + " = " + q.pick(c...) + " to typeof(string) on (where isnotempty(" + name + ") | summarize " + name + "n = count(), " + name + "m = max(" + name + "))"
			q.add(name+"n", types.Long)
			q.add(name+"m", types.String)
			return text
		}
	case 9:
		if q.unique {
			name, t := q.fresh(), q.sample(types.Long, types.Int, types.String, types.Datetime, types.Real, types.Bool)
			by := "sort by " + q.expr(t, 1) + q.pick(" asc", " desc") + q.pick("", " nulls first", " nulls last") + ", id asc | "
			switch q.r.IntN(8) {
			case 6: // of rows with equal keys any may win, so that the key is unique
				key := q.fresh()
				text := "summarize " + q.pick("arg_max", "arg_min") + "(id, *) by " + key + " = " + q.expr(q.sample(types.String, types.Bool, types.Int), 1)
				q.cols = append([]field{{key, types.Unknown}}, q.cols...)
				return text
			case 7:
				text := "summarize " + name + " = " + q.pick("arg_max", "arg_min") + "(" + q.expr(t, 1) + ", true), " + name + "n = count() by " + name + "k = " + q.expr(types.Bool, 1) + " | project " + name + ", " + name + "n, " + name + "k"
				q.cols, q.unique = []field{{name, t}, {name + "n", types.Long}, {name + "k", types.Bool}}, false
				return text
			case 0:
				q.add(name, types.Long)
				return by + "extend " + name + " = row_number(" + q.pick("", "1", "10, "+q.restart()) + ")"
			case 1:
				v := scalarTypes[q.r.IntN(len(scalarTypes)-1)]
				text := by + "extend " + name + " = " + q.pick("prev", "next") + "(" + q.expr(v, 1) + q.pick("", ", 2") + ")"
				q.add(name, v)
				return text
			case 2:
				text := by + "extend " + name + " = row_cumsum(" + q.pick("id", "toint(id)") + q.pick("", ", "+q.restart()) + ")"
				q.add(name, types.Long)
				return strings.Replace(text, "row_cumsum(toint(id)", "row_cumsum(id", 1)
			case 3:
				return by + q.pick("take ", "limit ") + strconv.Itoa(q.r.IntN(6)+1)
			case 4:
				text := by + "summarize " + name + " = make_list(" + q.expr(types.String, 1) + ") by k = " + q.expr(types.Bool, 1)
				q.cols, q.unique = []field{{name, types.Dynamic}, {"k", types.Bool}}, false
				return text
			}
			text := by + "extend " + name + " = row_rank_dense(" + q.pick("s", "id") + ")"
			if len(q.of(types.String)) == 0 || q.of(types.String)[0] != "s" {
				text = strings.Replace(text, "(s)", "(id)", 1)
			}
			q.add(name, types.Long)
			return text
		}
	case 10:
		if depth > 0 {
			other := &query{r: q.r, n: q.n + 100}
			right := other.text(depth-1, 2)
			name := q.fresh()
			q.n = other.n
			q.cols, q.unique = []field{{name, types.Long}}, false
			return "union (" + right + ") | summarize " + name + " = count()"
		}
	case 11:
		if c := q.of(types.Datetime); len(c) > 0 {
			name, key := q.fresh(), q.fresh()
			text := "make-series " + name + " = " + q.pick("count()", "dcount("+q.expr(types.String, 1)+")", "max(toint("+q.expr(types.Int, 0)+"))") + " default=" + q.pick("0", "-1") +
				" on " + q.pick(c...) + " from datetime(2024-01-01) to datetime(2024-02-10) step " + q.pick("7d", "10d") + " by " + key + " = " + q.expr(types.Bool, 1) + " | project " + name + " = tostring(" + name + "), " + key
			q.cols, q.unique = []field{{name, types.String}, {key, types.Bool}}, false
			return text
		}
	case 12:
		if c := q.of(types.String); len(c) > 0 {
			n1, n2 := q.fresh(), q.fresh()
			t := q.sample(types.String, types.Long)
			text := "parse " + q.pick(c...) + " with " + n1 + q.pick(`:string " " `, `:string "b" `, `:string "," `) + n2 + ":" + t.String() + q.pick("", ` "c"`)
			q.add(n1, types.String)
			q.add(n2, t)
			return text
		}
	case 13:
		var list []string
		var keep []field
		for _, c := range q.cols {
			if c.t != types.Dynamic && q.chance(2) {
				list, keep = append(list, c.name), append(keep, c)
			}
		}
		if len(list) > 0 {
			q.cols, q.unique = keep, false
			return "distinct " + strings.Join(list, ", ")
		}
	}
	return "where " + q.expr(types.Bool, 1)
}

func (q *query) restart() string { return q.pick("id % 3 == 0", "id == 4") }

// join writes a join with another random table.
func (q *query) join(depth int) string {
	t := q.sample(types.String, types.Long, types.Datetime)
	left := q.of(t)
	if len(left) == 0 {
		return "where true"
	}
	other := &query{r: q.r, n: q.n + 100}
	right := other.text(depth-1, 1)
	q.n = other.n
	if len(other.of(t)) == 0 {
		return "where true"
	}
	lk, rk := q.pick(left...), q.pick(other.of(t)...)
	kind := q.pick("inner", "leftouter", "rightouter", "fullouter", "leftsemi", "leftanti", "rightsemi", "rightanti", "innerunique")
	text := ""
	if kind == "innerunique" { // which row stays is the engine's choice
		text = "distinct " + lk + " | "
		q.cols = []field{{lk, t}}
	}
	text += "join kind=" + kind + " (" + right + ") on $left." + lk + " == $right." + rk
	q.unique = false
	switch kind {
	case "leftsemi", "leftanti":
		return text
	case "rightsemi", "rightanti":
		q.cols = other.cols
		return text
	}
	// The names of columns that both sides have: the right one is numbered.
	var out []field
	used := map[string]bool{}
	for _, c := range append(append([]field{}, q.cols...), other.cols...) {
		if !used[c.name] {
			used[c.name] = true
			out = append(out, c)
		}
	}
	q.cols = out
	return text
}

// text writes a whole query of n operators.
func (q *query) text(depth, n int) string {
	text := q.source()
	for range q.r.IntN(n + 1) {
		text += " | " + q.step(depth)
	}
	return text
}

// randomData is two tables with nulls everywhere and texts beyond ASCII.
func randomData() *kqltest.Data {
	d := &kqltest.Data{}
	cols := []bind.Column{{Name: "id", Type: types.Long}, {Name: "a", Type: types.Long}, {Name: "i", Type: types.Int}, {Name: "r", Type: types.Real}, {Name: "s", Type: types.String}, {Name: "s2", Type: types.String},
		{Name: "d", Type: types.Datetime}, {Name: "t", Type: types.Timespan}, {Name: "j", Type: types.Dynamic}, {Name: "f", Type: types.Bool}, {Name: "x", Type: types.Dynamic, JSONString: true}}
	texts := []string{"", "ab", "Ab c", "x-ab,c", "abc", "it's", "ß_x ÄB", "C d ab", "7", "-12", "2024-02-03", "1.5", "äö", `{"a":1}`, "K", "true"}
	bags := []string{`{"a":1,"b":{"c":"x"}}`, `[1,2,"a"]`, `{"a":"1","k":null}`, `"text"`, `7`, `[]`, `{"a":true,"b":[3]}`, `[null,{"a":2}]`, `1.5`, `{"a":"Ä b","A":2}`}
	for k, name := range []string{"T", "U"} {
		var rows [][]types.Value
		r := rand.New(rand.NewPCG(uint64(k), 3))
		for n := range 14 {
			null := func(v types.Value) types.Value {
				if r.IntN(5) == 0 {
					return types.Null(v.Type)
				}
				return v
			}
			day, _ := types.ParseDatetime("2024-01-01")
			rows = append(rows, []types.Value{
				types.NewLong(int64(n)),
				null(types.NewLong([]int64{0, 1, -3, 7, 7, 100, 4294967296}[r.IntN(7)])),
				null(types.NewInt([]int64{0, 1, -1, 5, 2147483647, -2147483648}[r.IntN(6)])),
				null(types.NewReal([]float64{0, 0.5, -1.25, 3, 1e10, 100, math.NaN(), math.Inf(1)}[r.IntN(8)])),
				types.NewString(texts[r.IntN(len(texts))]),
				types.NewString(texts[r.IntN(5)]),
				null(types.NewDatetime(day + r.Int64N(40*24)*types.TicksPerHour)),
				null(types.NewTimespan([]int64{0, types.TicksPerHour, -types.TicksPerDay, 12345678}[r.IntN(4)])),
				null(types.ParseDynamic(bags[r.IntN(len(bags))])),
				null(types.NewBool(r.IntN(2) == 0)),
				types.NewString([]string{"", `{"a":5,"b":{"c":"y"},"k":"v"}`, "broken{", `{"a":"9"}`, `["a"]`, `null`}[r.IntN(6)]),
			})
		}
		d.Add(name, cols, rows)
	}
	return d
}

// agreement runs the random query of a seed on both engines and answers its text, whether
// it has rows, and what is wrong; "" for nothing.
func agreement(t *testing.T, seed uint64, eng kqltest.Engine, d *kqltest.Data) (text string, rows bool, wrong string) {
	t.Helper()
	q := &query{r: rand.New(rand.NewPCG(seed, 11))}
	text = q.text(2, 5)
	var got [2]string
	for i, e := range []kqltest.Engine{kqltest.Eval{}, eng} {
		// Engines rewrite what they run, so that each gets a plan of its own.
		c, err := kql.Compile(text, d, kql.Options{Now: now})
		if err != nil {
			return text, false, err.Error()
		}
		if got[i], err = answer(t, e, c, d); err != nil {
			return text, false, fmt.Sprintf("%T: %.600v", e, err)
		}
	}
	if got[0] != got[1] {
		return text, false, "the engines differ:\n" + difference(got[0], got[1])
	}
	return text, got[0] != "", ""
}

// TestEnginesAgreeOnRandomQueries runs the first seeds; FuzzEnginesAgree runs more.
func TestEnginesAgreeOnRandomQueries(t *testing.T) {
	eng, err := duck.New(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = eng.Close() })
	d := randomData()
	const seeds = 600
	bad, filled := 0, 0
	for seed := uint64(1); seed <= seeds && bad < 5; seed++ {
		text, rows, wrong := agreement(t, seed, eng, d)
		if wrong != "" {
			t.Errorf("seed %d: %s\n%s", seed, text, wrong)
			bad++
		}
		if rows {
			filled++
		}
	}
	if bad == 0 && filled < seeds/2 {
		t.Errorf("only %d of %d queries have rows", filled, seeds)
	}
}

// FuzzEnginesAgree runs the random query of any seed.
func FuzzEnginesAgree(f *testing.F) {
	eng, err := duck.New(context.Background())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = eng.Close() })
	d := randomData()
	f.Add(uint64(1_000_001))
	f.Fuzz(func(t *testing.T, seed uint64) {
		// A run of seeds: the fuzzer itself costs more than a query.
		for i := range uint64(20) {
			if text, _, wrong := agreement(t, seed+i, eng, d); wrong != "" {
				t.Fatalf("seed %d: %s\n%s", seed+i, text, wrong)
			}
		}
	})
}

// difference shows the rows that only one of two answers has.
func difference(x, y string) string {
	count := map[string]int{}
	for _, l := range strings.Split(x, "\n") {
		count[l]++
	}
	for _, l := range strings.Split(y, "\n") {
		count[l]--
	}
	out := ""
	for l, n := range count {
		if n != 0 && len(out) < 3000 {
			out += map[bool]string{true: "eval:   ", false: "duckdb: "}[n > 0] + l + "\n"
		}
	}
	return out
}
