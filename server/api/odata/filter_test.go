package odata_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
)

var (
	name   = filter.Field{Name: "computerDnsName", Type: filter.String}
	id     = filter.Field{Name: "incidentId", Type: filter.Int}
	seen   = filter.Field{Name: "lastSeen", Type: filter.Time}
	on     = filter.Field{Name: "generateAlert", Type: filter.Bool}
	tags   = filter.Field{Name: "machineTags", Type: filter.List}
	score  = filter.Field{Name: "score", Type: filter.Float}
	user   = filter.Field{Name: "relatedUser/userName", Type: filter.String}
	ip     = filter.Field{Name: "ipAddress", Type: filter.String}
	port   = filter.Field{Name: "port", Type: filter.Int}
	parts  = filter.Schema{ip, port}
	ips    = filter.Field{Name: "ipAddresses", Type: filter.List, Elem: &parts}
	fields = filter.Schema{name, id, seen, on, tags, score, user, ips}
)

func str(s string) filter.Value { return filter.Value{Type: filter.String, S: s} }
func num(n int64) filter.Value  { return filter.Value{Type: filter.Int, N: n} }

var (
	it  = filter.Element
	yes = filter.Value{Type: filter.Bool, B: true}
)

func at(t time.Time) filter.Value     { return filter.Value{Type: filter.Time, T: t} }
func null(t filter.Type) filter.Value { return filter.Value{Type: t, Null: true} }

func cmpr(f filter.Field, o filter.Op, v filter.Value) filter.Compare {
	return filter.Compare{Field: f, Op: o, Value: v}
}

func TestFiltersAreReadAsClientsSendThem(t *testing.T) {
	day := time.Date(2018, 8, 1, 0, 0, 0, 0, time.UTC)
	a, b := cmpr(name, filter.Eq, str("a")), cmpr(id, filter.Gt, num(1))
	c := cmpr(seen, filter.Lt, at(day))
	for src, want := range map[string]filter.Expr{
		"computerDnsName eq 'host.example'":        cmpr(name, filter.Eq, str("host.example")),
		"ComputerDnsName  EQ 'O''Neil'":            cmpr(name, filter.Eq, str("O'Neil")),
		"computerDnsName eq ''":                    cmpr(name, filter.Eq, str("")),
		"computerDnsName ne null":                  cmpr(name, filter.Ne, null(filter.String)),
		"computerDnsName eq 'null'":                cmpr(name, filter.Eq, str("null")),
		"computerDnsName eq 0f8fad5b-d9cb-469f":    cmpr(name, filter.Eq, str("0f8fad5b-d9cb-469f")),
		"incidentId eq '12'":                       cmpr(id, filter.Eq, num(12)),
		"incidentId ge -12":                        cmpr(id, filter.Ge, num(-12)),
		"lastSeen gt 2018-08-01Z":                  cmpr(seen, filter.Gt, at(day)),
		"lastSeen gt 2018-08-01":                   cmpr(seen, filter.Gt, at(day)),
		"lastSeen gt '2018-08-01T00:00:00Z'":       cmpr(seen, filter.Gt, at(day)),
		"lastSeen ge 2018-08-01T02:00:00+02:00":    cmpr(seen, filter.Ge, at(day)),
		"lastSeen ge 2018-08-01T02:00:00 02:00":    cmpr(seen, filter.Ge, at(day)),
		"lastSeen ge 2018-08-01T00:00:00.0000001Z": cmpr(seen, filter.Ge, at(day.Add(100))),
		"generateAlert eq True":                    cmpr(on, filter.Eq, filter.Value{Type: filter.Bool, B: true}),
		"computerDnsName in ['a','b']":             filter.In{Field: name, Values: []filter.Value{str("a"), str("b")}},
		"computerDnsName in ('a', 'b' )":           filter.In{Field: name, Values: []filter.Value{str("a"), str("b")}},
		"incidentId in (1,2)":                      filter.In{Field: id, Values: []filter.Value{num(1), num(2)}},
		"machineTags/any(tag: tag eq 'X')":         filter.Any{Field: tags, Where: cmpr(it, filter.Eq, str("X"))},
		"machineTags/any(tag:startswith(tag,'X'))": filter.Any{Field: tags, Where: cmpr(it, filter.StartsWith, str("X"))},
		"machineTags/any(t: t in ('a','b') or (t eq 'c'))": filter.Any{Field: tags, Where: filter.Or{
			filter.In{Field: it, Values: []filter.Value{str("a"), str("b")}}, cmpr(it, filter.Eq, str("c"))}},
		"machineTags/any()":                             filter.Any{Field: tags},
		"MachineTags/all(t: not contains(t, 'x'))":      filter.All(tags, filter.Not{Term: cmpr(it, filter.Contains, str("x"))}),
		"machineTags/$count ge 2":                       filter.Compare{Field: tags, Fn: filter.Count, Op: filter.Ge, Value: num(2)},
		"ipAddresses/any(i: i/ipAddress eq '10.0.0.1')": filter.Any{Field: ips, Where: cmpr(ip, filter.Eq, str("10.0.0.1"))},
		"ipAddresses/any(i: startswith(i/IpAddress,'10.') and i/port gt 1024)": filter.Any{Field: ips, Where: filter.And{
			cmpr(ip, filter.StartsWith, str("10.")), cmpr(port, filter.Gt, num(1024))}},
		"relatedUser/UserName eq 'x'":                                            cmpr(user, filter.Eq, str("x")),
		"tolower(computerDnsName) eq 'a'":                                        a,
		"contains(toupper(computerDnsName),'A')":                                 cmpr(name, filter.Contains, str("A")),
		"length(computerDnsName) gt 3":                                           filter.Compare{Field: name, Fn: filter.Length, Op: filter.Gt, Value: num(3)},
		"indexof(tolower(computerDnsName),'a') eq 0":                             filter.Compare{Field: name, Fn: filter.IndexOf, Arg: "a", Value: num(0)},
		"year(lastSeen) eq 2018":                                                 filter.Compare{Field: seen, Fn: filter.Year, Value: num(2018)},
		"date(lastSeen) eq 2018-08-01":                                           filter.And{cmpr(seen, filter.Ge, at(day)), cmpr(seen, filter.Lt, at(day.AddDate(0, 0, 1)))},
		"date(lastSeen) gt 2018-08-01":                                           cmpr(seen, filter.Ge, at(day.AddDate(0, 0, 1))),
		"date(lastSeen) le 2018-08-01":                                           cmpr(seen, filter.Lt, at(day.AddDate(0, 0, 1))),
		"score gt 7.5":                                                           cmpr(score, filter.Gt, filter.Value{Type: filter.Float, F: 7.5}),
		"score le 7":                                                             cmpr(score, filter.Le, filter.Value{Type: filter.Float, F: 7}),
		"generateAlert and not generateAlert":                                    filter.And{cmpr(on, filter.Eq, yes), filter.Not{Term: cmpr(on, filter.Eq, yes)}},
		"'a' eq computerDnsName":                                                 a,
		"1 lt incidentId":                                                        b,
		"2018-08-01Z gt lastSeen":                                                c,
		"computerDnsName eq microsoft.windowsDefenderATP.api.Name'a'":            a,
		"computerDnsName eq guid'a'":                                             a,
		"startswith(computerDnsName,'mymachine')":                                cmpr(name, filter.StartsWith, str("mymachine")),
		"contains(computerDnsName, 'x') eq false":                                filter.Not{Term: cmpr(name, filter.Contains, str("x"))},
		"not endswith(computerDnsName,'x')":                                      filter.Not{Term: cmpr(name, filter.EndsWith, str("x"))},
		"computerDnsName eq 'a' and incidentId gt 1 or lastSeen lt 2018-08-01":   filter.Or{filter.And{a, b}, c},
		"computerDnsName eq 'a' and (incidentId gt 1 or lastSeen lt 2018-08-01)": filter.And{a, filter.Or{b, c}},
		"((computerDnsName eq 'a'))":                                             a,
		"computerDnsName eq 'a'and incidentId gt 1":                              filter.And{a, b},
	} {
		got, err := odata.ParseFilter(src, fields)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", src, err, diff)
		}
	}
}

func TestWrongFiltersNameColumnAndToken(t *testing.T) {
	for src, want := range map[string]string{
		"nope eq 1":                                        `column 1: cannot filter by "nope"`,
		"computerDnsName":                                  "column 16: expected eq, ne, gt, ge, lt, le or in after computerDnsName, found the end",
		"computerDnsName = 'a'":                            `column 17: expected eq`,
		"computerDnsName eq 'a":                            "column 20: the string has no closing quote",
		"computerDnsName eq":                               "column 19: expected a value for computerDnsName, found the end",
		"computerDnsName eq 'ä' xor":                       `column 24: expected and, or, or the end, found "xor"`,
		"incidentId eq 'x'":                                "column 15: 'x' is not a value for incidentId, which is a number",
		"lastSeen gt yesterday":                            `column 13: "yesterday" is not a value for lastSeen`,
		"generateAlert eq 1":                               "column 18",
		"(incidentId eq 1":                                 `column 17: expected ")", found the end`,
		"incidentId eq 1)":                                 `column 16: expected and, or, or the end, found ")"`,
		"computerDnsName in 'a'":                           "column 20: expected a list in parentheses",
		"computerDnsName in ()":                            "column 21: expected a value",
		"computerDnsName in ('a']":                         `column 24: expected ")", found "]"`,
		"machineTags eq 'a'":                               "machineTags: a collection is filtered with any()",
		"computerDnsName/any(x: x eq 'a')":                 "column 16: expected eq",
		"machineTags/some(x: x eq 'a')":                    "column 13: expected any, all or $count after machineTags/",
		"computerDnsName add 1 eq 2":                       `column 17: expected eq`,
		"trim(computerDnsName) eq 'a'":                     "column 1: the function trim is not supported",
		"year(computerDnsName) eq 1":                       "computerDnsName: the function does not apply",
		"year(year(lastSeen)) eq 1":                        "column 1: year of a function",
		"date(incidentId) eq 1":                            "column 1: date applies to times only",
		"ipAddresses/any(i: i eq 'a')":                     `column 22: expected "/"`,
		"ipAddresses/any(i: i/nope eq 'a')":                `column 22: cannot filter by "nope"`,
		"machineTags/any(t: machineTags/any(u: u eq t))":   `column 20: expected t`,
		"relatedUser eq 'a'":                               `column 1: cannot filter by "relatedUser"`,
		"score eq NaN":                                     "not a value for score",
		"computerDnsName eq now()":                         `column 23: expected and`,
		"machineTags/any(x: y eq 'a')":                     `column 20: expected x, found "y"`,
		"contains(computerDnsName)":                        `column 25: expected ","`,
		"contains(incidentId,'1')":                         "incidentId: the value is of another type",
		"incidentId gt null":                               "incidentId: null can only be compared",
		strings.Repeat("(", 100000) + "x":                  "too complex",
		"machineTags/any(x:" + strings.Repeat("(", 100000): "too complex",
		strings.Repeat("incidentId eq 1 or ", 600) + "incidentId eq 1": "too complex",
		strings.Repeat("x", odata.MaxFilter+1):                         "bytes",
	} {
		_, err := odata.ParseFilter(src, fields)
		var e *errs.E
		if !errors.As(err, &e) || e.Kind != errs.Invalid || e.Code != errs.ODataError || !strings.Contains(e.Detail, want) {
			t.Errorf("%.60s: %v, want %q", src, err, want)
		}
	}
}

func genValue(t filter.Type) *rapid.Generator[filter.Value] {
	return rapid.Custom(func(r *rapid.T) filter.Value {
		switch t {
		case filter.Int:
			return num(rapid.Int64().Draw(r, "n"))
		case filter.Bool:
			return filter.Value{Type: filter.Bool, B: rapid.Bool().Draw(r, "b")}
		case filter.Time:
			ns := rapid.Int64Range(0, 4e18).Draw(r, "t")
			return at(time.Unix(0, ns).UTC())
		}
		return str(rapid.StringOf(rapid.RuneFrom([]rune(`aZ'"() ,é€[]:/+null`))).Draw(r, "s"))
	})
}

func genExpr(depth int) *rapid.Generator[filter.Expr] {
	return rapid.Custom(func(r *rapid.T) filter.Expr {
		kinds := 4
		if depth == 0 {
			kinds = 3
		}
		scalar := func() filter.Field { return rapid.SampledFrom([]filter.Field{name, id, seen, on}).Draw(r, "field") }
		ops := func(f filter.Field) filter.Op {
			most := filter.Le
			if f.Type == filter.String || f.Type == filter.List {
				most = filter.Contains
			}
			if f.Type == filter.Bool {
				most = filter.Ne
			}
			return filter.Op(rapid.IntRange(0, int(most)).Draw(r, "op"))
		}
		switch rapid.IntRange(0, kinds).Draw(r, "kind") {
		case 0:
			f := scalar()
			if rapid.Bool().Draw(r, "null") {
				return cmpr(f, filter.Op(rapid.IntRange(0, 1).Draw(r, "op")), null(f.Type))
			}
			return cmpr(f, ops(f), genValue(f.Type).Draw(r, "value"))
		case 1:
			f := scalar()
			return filter.In{Field: f, Values: rapid.SliceOfN(genValue(f.Type), 1, 4).Draw(r, "values")}
		case 2:
			switch rapid.IntRange(0, 4).Draw(r, "collection") {
			case 0:
				return filter.Any{Field: tags, Where: cmpr(it, ops(tags), genValue(filter.String).Draw(r, "value"))}
			case 1:
				return filter.All(ips, filter.Or{cmpr(ip, filter.Eq, str("a")), cmpr(port, ops(port), genValue(filter.Int).Draw(r, "value"))})
			case 2:
				return filter.Compare{Field: tags, Fn: filter.Count, Op: ops(id), Value: genValue(filter.Int).Draw(r, "value")}
			case 3:
				return filter.Compare{Field: seen, Fn: filter.Fn(rapid.IntRange(int(filter.Year), int(filter.Second)).Draw(r, "part")), Op: ops(id), Value: num(1)}
			}
			return filter.Compare{Field: name, Fn: filter.IndexOf, Arg: genValue(filter.String).Draw(r, "arg").S, Op: ops(id), Value: num(1)}
		case 3:
			if depth == 0 {
				return cmpr(id, filter.Eq, num(1))
			}
			return filter.Not{Term: genExpr(depth-1).Draw(r, "term")}
		}
		es := rapid.SliceOfN(genExpr(depth-1), 2, 3).Draw(r, "terms")
		if rapid.Bool().Draw(r, "and") {
			return filter.And(es)
		}
		return filter.Or(es)
	})
}

func TestWhatIsPrintedIsReadBackTheSame(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		want := genExpr(4).Draw(r, "expr")
		if filter.Check(fields, want) != nil {
			r.Skip("too complex")
		}
		src := odata.Format(want)
		got, err := odata.ParseFilter(src, fields)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			r.Fatalf("%s: %v\n%s", src, err, diff)
		}
	})
}

func FuzzFilter(f *testing.F) {
	for _, s := range []string{
		"computerDnsName eq 'a' and not (incidentId in [1,2])", "machineTags/any(t: t eq 'x' or startswith(t,'y'))",
		"lastSeen ge 2018-08-01T02:00:00 02:00", "contains(computerDnsName,'''') eq false", "generateAlert ne null",
		"ipAddresses/all(i: i/port gt 1 and startswith(i/ipAddress,'x'))", "1 lt incidentId", "date(lastSeen) ne 2018-08-01", "machineTags/$count eq 0",
		"indexof(tolower(computerDnsName),'a') eq 0 or generateAlert", "relatedUser/userName eq guid'x'", "score lt 1e3",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		e, err := odata.ParseFilter(src, fields)
		if err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Fatalf("not the caller's error: %v", err)
			}
			return
		}
		if err := filter.Check(fields, e); err != nil {
			t.Fatalf("accepted and yet: %v", err)
		}
		printed := odata.Format(e)
		again, err := odata.ParseFilter(printed, fields)
		if diff := cmp.Diff(e, again); err != nil || diff != "" {
			t.Fatalf("%q printed as %q: %v\n%s", src, printed, err, diff)
		}
	})
}
