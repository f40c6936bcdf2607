package plan_test

import (
	"strings"
	"testing"

	"github.com/vedette-edr/vedette/kql/bind"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/syntax"
	"github.com/vedette-edr/vedette/kql/types"
)

type catalog struct{}

func (catalog) Table(name string) (*bind.Table, bool) {
	return &bind.Table{Name: "T", Columns: []bind.Column{{Name: "k", Type: types.Long}, {Name: "s", Type: types.String}, {Name: "d", Type: types.Dynamic}, {Name: "unused", Type: types.String}}}, name == "T"
}

func (catalog) TableNames() []string { return []string{"T"} }

func bound(t *testing.T, text string) plan.Node {
	t.Helper()
	script, errs := syntax.Parse(text)
	if errs != nil {
		t.Fatal(errs)
	}
	res, errs := bind.Bind(text, script, catalog{}, bind.Options{})
	if errs != nil {
		t.Fatalf("%s: %v", text, errs)
	}
	return res.Root
}

var everything = []string{
	"T | where k > 1 | summarize arg_max(k, s), make_set_if(s, k > 2) by bin(k, 2) | sort by s | take 3",
	"T | join kind=innerunique (T | project k, n = s) on k | where s == 'x' | mv-expand d | extend r = row_number()",
	"T | mv-apply e = d on (top 1 by tolong(e)) | project s, e",
	"T | partition by s (top 1 by k) | union T | where s in ((T | project s)) and k == toscalar(T | count)",
	"T | top-nested 1 of s by count(), top-nested of k with others = 0 by max(k)",
	"T | scan declare (n:long=0) with (step a: k > 0 => n = a.n + 1;)",
	"T | project s | evaluate narrow()",
	"range x from 1 to 3 step 1 | extend y = x",
}

func TestACloneIsThePlanAndOptimizingItLeavesTheOriginalAlone(t *testing.T) {
	for _, text := range everything {
		root := bound(t, text)
		before := plan.Print(root)
		c := plan.Clone(root)
		if got := plan.Print(c); got != before {
			t.Errorf("%s: the clone is\n%s\nnot\n%s", text, got, before)
		}
		plan.Optimize(c)
		if got := plan.Print(root); got != before {
			t.Errorf("%s: optimizing the clone made the original\n%s\nof\n%s", text, got, before)
		}
	}
}

func TestScansReadWhatTheQueryReads(t *testing.T) {
	for _, text := range everything[:4] {
		if p := plan.Print(plan.Optimize(bound(t, text+" | project s"))); strings.Contains(p, "unused#") && !strings.Contains(text, "union") {
			t.Errorf("%s: a scan reads a column that nobody uses:\n%s", text, p)
		}
	}
}

func TestFiltersGoBelowAnInneruniqueJoinOnlyWhenTheyReadItsLeftSide(t *testing.T) {
	const join = "T | join kind=innerunique (T | project k, n = s) on k | where "
	for pred, want := range map[string]int{
		"s == 'x'":              2, // the filter itself, and the one below
		"n == 'x'":              1,
		"s == n":                1,
		"s == 'x' and n == 'y'": 2,
		"k > rand()":            1,
	} {
		p := plan.Print(plan.Optimize(bound(t, join+pred)))
		if got := strings.Count(p, "Filter "); got != want {
			t.Errorf("%s: %d filters, want %d\n%s", pred, got, want, p)
		}
	}
}

func TestAPlanIsClosedUnlessItReadsFromAround(t *testing.T) {
	for _, text := range everything {
		if !plan.Closed(bound(t, text)) {
			t.Errorf("%s is not closed", text)
		}
	}
	m := bound(t, "T | mv-apply e = d on (top 1 by tolong(e))")
	plan.Walk(m, func(n plan.Node) {
		if a, ok := n.(*plan.MvApply); ok && plan.Closed(a.Sub) {
			t.Error("a subplan is closed though its leaf is the operator's")
		}
	})
}
