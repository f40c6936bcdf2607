package bind_test

import (
	"testing"

	"github.com/vedette-edr/vedette/kql/bind"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/sqlgen"
	"github.com/vedette-edr/vedette/kql/syntax"
	"github.com/vedette-edr/vedette/kql/types"
)

type catalog map[string]*bind.Table

func (c catalog) Table(name string) (*bind.Table, bool) { t, ok := c[name]; return t, ok }
func (c catalog) TableNames() []string {
	var out []string
	for n := range c {
		out = append(out, n)
	}
	return out
}

var small = catalog{"T": {Name: "T", Columns: []bind.Column{
	{Name: "a", Type: types.Long}, {Name: "s", Type: types.String}, {Name: "t", Type: types.Datetime},
	{Name: "d", Type: types.Dynamic}, {Name: "j", Type: types.Dynamic, JSONString: true}, {Name: "u", Type: types.Datetime, Source: "t", Hidden: true},
}}}

// Function implements bind.Library.
func (c catalog) Function(name string) (string, bool) {
	if name != "Shipped" {
		return "", false
	}
	return `(R:(*), x:string = "s") { R | extend shipped = column_ifexists(x, ""), twice = a * 2 | where isnotempty(shipped) }`, true
}

type nothing struct{}

func (nothing) Source(*plan.Scan) (sqlgen.Source, error) { return sqlgen.Source{}, nil }

// FuzzParse takes a text through parser, binder, rewrites and SQL: no panic, and errors
// inside the text.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"T | where a > 1 and s has 'x' | summarize count() by bin(t, 1h) | sort by count_",
		"let f = (x:long) { x + 1 }; T | extend y = f(a), z = d.k[0] | project-away s*",
		"T | join kind=leftouter (T | project a, n = strlen(s)) on a | mv-expand d to typeof(long)",
		"let X = T; let Y = X | union X; Y | summarize arg_max(t, *) by s | where j has 'q'",
		"T | parse s with 'k=' v:long * | extend p = prev(v), q = toscalar(T | count)",
		"T | mv-apply e = d to typeof(long) on (top 1 by e) | where s in~ ('a', 'b') or s in ((T | project s))",
		"T | make-series n = count() default = 0 on t step 1h by s | mv-expand n to typeof(long), t to typeof(datetime)",
		"externaldata(x:string)['https://h/f.csv'] with (format='csv') | as Q | union (Q | where x has 'a')",
		"T | invoke Shipped(s) | evaluate bag_unpack(j) | where nowhere == 1",
		"T | evaluate pivot(s, sum(a), t) : (x:long) | top-nested 2 of x by count(), top-nested of x with others = 1 by max(x) asc",
		"T | partition by s (top 1 by a) | partition by a { T | where a == toscalar(a) } | reduce by s with threshold=0.5",
		"T | scan with_match_id=m declare (n:long = 0) with (step p: a > 0 => n = p.n + 1; step q output=none: s == 'x';)",
		"find in (T) where a > 1 project s, a; T | facet by s, a with (take 1)",
		"T | summarize tdigest(a), hll(s) by u | extend series_fit_line(d), (x, y) = series_stats(d)",
		"T | mv-apply e = d on (make-series count() on a step 1) | search 'x' | distinct *",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		script, errs := syntax.Parse(text)
		if errs != nil {
			return
		}
		res, errs := bind.Bind(text, script, small, bind.Options{Now: types.UnixEpochTicks})
		for _, e := range errs {
			if e.Offset < 0 || e.Length < 0 || e.Offset+e.Length > len(text) {
				t.Fatalf("span of %v is outside the text", *e)
			}
		}
		if errs != nil {
			return
		}
		root := plan.Optimize(res.Root)
		_ = plan.Print(root)
		_, _, _ = sqlgen.Generate(root, nothing{})
	})
}
