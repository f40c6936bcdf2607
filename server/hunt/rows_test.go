package hunt_test

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/hunt"
)

// TestRowsComeBack puts rows of every type in, so many that most of them lie in a file.
func TestRowsComeBack(t *testing.T) {
	kinds := []types.Type{types.Bool, types.Int, types.Long, types.Real, types.Decimal, types.String, types.Datetime, types.Timespan, types.GUID, types.Dynamic}
	row := func(i int) []types.Value {
		if i%7 == 3 {
			var out []types.Value
			for _, k := range kinds {
				out = append(out, types.Null(k))
			}
			return out
		}
		real := float64(i) / 3
		if i%11 == 0 {
			real = math.Inf(-1)
		}
		return []types.Value{types.NewBool(i%2 == 0), types.NewInt(int64(-i)), types.NewLong(int64(i) << 40), types.NewReal(real), types.NewDecimal("1.5"),
			types.NewString(strings.Repeat("ü\x00", i%500)), types.NewDatetime(int64(i)), types.NewTimespan(int64(-i)),
			types.NewGUID("0f0e0d0c-0000-0000-0000-000000000001"), types.ParseDynamic(fmt.Sprintf(`{"n":[%d,"x"]}`, i))}
	}
	dir := t.TempDir()
	r := hunt.NewRows(kinds, dir)
	const n = 40_000
	for i := range n {
		if err := r.Add(row(i)); err != nil {
			t.Fatal(err)
		}
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 0 {
		t.Errorf("the file has a name: %v, %v", names, err)
	}
	for range 2 {
		i := 0
		for got, err := range r.All() {
			if err != nil {
				t.Fatal(err)
			}
			if i%997 == 0 || i == n-1 {
				if diff := cmp.Diff(row(i), got, cmpopts.EquateNaNs(), cmp.AllowUnexported(types.Bag{})); diff != "" {
					t.Fatalf("row %d (-want +got):\n%s", i, diff)
				}
			}
			i++
		}
		if i != n || r.Len() != n {
			t.Fatalf("%d rows came, %d are said, %d were added", i, r.Len(), n)
		}
	}
	if err := r.Add(nil); err == nil {
		t.Error("a row without cells was taken")
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// TestSeveralTables shows what fork, facet and several queries in one text answer.
func TestSeveralTables(t *testing.T) {
	f := setup(t)
	ctx := as(t, tenantA, access.AdvancedQueryRead)
	for text, want := range map[string][]string{
		"range x from 1 to 3 step 1 | fork (where x > 1) (count)":              {"x: 2 3", "Count: 3"},
		"range x from 1 to 3 step 1 | extend y = x % 2 | facet by x, y":        {"x,count_: 1,1 2,1 3,1", "y,count_: 1,2 0,1"},
		"print a = 1; print b = 2; print c = 3":                                {"c: 3", "a: 1", "b: 2"},
		"let T = range x from 1 to 3 step 1; T | take 1; T | where x > 1":      {"x: 2 3", "x: 1"},
		"range x from 1 to 3 step 1 | fork (where x > 1 | project x) (take 0)": {"x: 2 3", "x:"},
	} {
		r, err := f.Run(ctx, hunt.Request{Query: text})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var got []string
		for _, table := range append([]hunt.Table{r.Table}, r.More...) {
			var names []string
			for _, c := range table.Columns {
				names = append(names, c.Name)
			}
			line := strings.Join(names, ",") + ":"
			for row, err := range table.Rows.All() {
				if err != nil {
					t.Fatal(err)
				}
				var cells []string
				for _, v := range row {
					cells = append(cells, v.Text())
				}
				line += " " + strings.Join(cells, ",")
			}
			got = append(got, line)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s:\ngot  %q\nwant %q", text, got, want)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	// The limit is one for all tables together.
	if _, err := f.Run(ctx, hunt.Request{Query: "range x from 1 to 60000 step 1 | fork (where x > 0) (where x > 0)"}); err == nil {
		t.Error("120,000 rows in two tables")
	}
	if _, err := f.Run(ctx, hunt.Request{Query: strings.Repeat("print 1;", 51)}); err == nil || !strings.Contains(err.Error(), "at most 50") {
		t.Errorf("51 tables: %v", err)
	}
}
