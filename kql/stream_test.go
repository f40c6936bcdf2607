package kql_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/vedette-edr/vedette/kql"
	"github.com/vedette-edr/vedette/kql/bind"
	"github.com/vedette-edr/vedette/kql/eval"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/types"
)

// events is one table of a few columns, with all kinds of values in its rows.
type events struct{}

var eventColumns = []bind.Column{{Name: "Timestamp", Type: types.Datetime}, {Name: "Action", Type: types.String}, {Name: "Pid", Type: types.Long},
	{Name: "Command", Type: types.String}, {Name: "More", Type: types.Dynamic, JSONString: true}, {Name: "Other", Type: types.Long}}

func (events) Table(name string) (*bind.Table, bool) {
	return &bind.Table{Name: "Events", Columns: eventColumns}, name == "Events"
}
func (events) TableNames() []string { return []string{"Events"} }

func (events) row(i int) []types.Value {
	row := []types.Value{types.NewDatetime(630_000_000_000_000_000 + int64(i)*types.TicksPerHour), types.NewString([]string{"A", "B", ""}[i%3]), types.NewLong(int64(i)),
		types.NewString(fmt.Sprintf("run --n %d a,b", i)), types.NewString(fmt.Sprintf(`{"k":%d,"l":[1,%d]}`, i%4, i)), types.NewLong(int64(i % 2))}
	if i%5 == 0 {
		row[2], row[4] = types.Null(types.Long), types.NewString("")
	}
	if i%7 == 3 {
		row[3] = types.NewString(fmt.Sprintf("RÜN --N %d \u212A.sh \xff", i)) // the sign of kelvin folds to a k
	}
	return row
}

// Open implements eval.RowSource.
func (e events) Open(_ context.Context, s *plan.Scan) (eval.Rows, error) {
	var out [][]types.Value
	for i := range 40 {
		all := e.row(i)
		var row []types.Value
		for _, c := range s.Cols {
			row = append(row, all[slices.IndexFunc(eventColumns, func(k bind.Column) bool { return k.Name == c.Source })])
		}
		out = append(out, row)
	}
	return eval.Slice(out), nil
}

// A query that runs on a stream answers, row by row, what it answers on a table; and it
// asks for no column twice, nor for one that nobody reads.
func TestStreamAgreesWithTable(t *testing.T) {
	for _, text := range []string{
		"Events", "Events | where Action == 'A'", "Events | where Action == 'A' and Pid > 7 or Other == 1",
		"Events | where not(Pid > 7 and Action == 'B')", "Events | where isnull(Pid) or Pid % 2 == 0 | project Pid, Command",
		"Events | extend x = Pid * 2, y = toint(More.k) | where x > 10 and y in (1, 2) | project x, y, Action",
		"Events | parse Command with * '--n ' N:long ' ' Rest | where N between (3 .. 20) | project N, Rest",
		"Events | mv-expand l = More.l to typeof(long) | where l > 3 | project Pid, l",
		"Events | mv-apply l = More.l to typeof(long) on (summarize s = sum(l)) | project Pid, s",
		"let bad = datatable(a:string)['A', 'x']; Events | where Action in (bad) | project-away More",
		"Events | where Timestamp > ago(10h) | project Timestamp", "Events | where Command has_any ('7', '12') | project-rename P = Pid",
		"let f = (c:string) { strlen(c) > 13 }; Events | where f(Command) | project Command",
		"Events | where Action matches regex '^[AB]$' and Pid == 4 | extend Pid = Pid + 1",
		// Each of the tests that streams compile in their own way.
		"Events | where Action != 'A' | project Pid", "Events | where Action !in ('A', 'x') | project Pid", "Events | where Action in~ ('a', 'X') | project Pid",
		"Events | where Action =~ 'b' or Action !~ 'A' | project Pid", "Events | where isempty(Action) or isnotempty(More.k) | project Other",
		"Events | where Command has 'N' and Command !has '8' | project Command", "Events | where Command has_cs 'N' or Command contains_cs '--n 1' | project Command",
		"Events | where Command contains 'RÜN' or Command startswith 'RUN --N 2' | project Command", "Events | where Command endswith '.SH \u00ff' or Command endswith_cs 'a,b' | project Pid",
		"Events | where Command hasprefix 'ru' and Command hassuffix 'N' | project Pid", "Events | where Command has_all ('RUN', 'A') | project Pid",
		"Events | where Command has_any (dynamic(['12', 'rün']), '7') | project Pid", "Events | where Command matches regex @'(?i)r.n --n (1|2)\\d' | project Pid",
		"Events | where Command matches regex @'(?i) K\\.sh' | project Pid", "Events | where Command matches regex '(run|RÜN) --(n|N) [0-9]$|a,b' | project Pid",
		"Events | where not(More.k > 1) and Action == 'A' or Pid > 30 | project Pid, Action", "Events | extend b = More.k > 1 | extend c = b and Action == 'A', d = b or Action == 'A', e = not(b) | project c, d, e",
		"Events | extend N = extract('--n ([0-9]+) a', 1, Command), M = extract('--N ([0-9]+)', 1, Command, typeof(long)), O = extract('--n', 2, Command) | where isnotnull(M) or N has '1' | project N, M, O",
		"Events | mv-expand x = pack_array(Action, Command, tostring(More.k)) to typeof(string) | where isnotempty(x) | project Pid, x",
		"Events | mv-expand x = pack_array(Pid, Other) to typeof(long) | where x > 3 or isnull(x) | project x, Action",
		"Events | mv-expand x = pack_array(Pid, Action) to typeof(string) | project x", "Events | mv-expand x = pack_array(Action, Command) to typeof(string) limit 1 | project x",
		"Events | mv-expand with_itemindex=n x = pack_array(Action, Command) to typeof(string) | project x, n",
		"Events | extend Action = strcat('x', Action) | where Action =~ 'XB' and Command has 'a' | project Action",
		"let terms = datatable(a:string)['12', 'x']; Events | where Command has_any (terms) and Other == 0 | project Pid",
	} {
		now := int64(630_000_000_000_000_000) + 30*types.TicksPerHour
		q, err := kql.Compile(text, events{}, kql.Options{Now: now})
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		want, err := eval.Run(t.Context(), q.Root, events{}, eval.Limits{})
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		sq, err := kql.CompileStream(text, events{}, kql.Options{})
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		s, err := sq.Open(nil)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		var got [][]types.Value
		for i := range 40 {
			asked := map[int]bool{}
			all := events{}.row(i)
			err := s.Push(types.NewDatetime(now), func(c int) types.Value {
				if asked[c] {
					t.Errorf("%s: column %d was asked for twice", text, c)
				}
				asked[c] = true
				return all[slices.IndexFunc(eventColumns, func(k bind.Column) bool { return k.Name == s.Scan().Cols[c].Source })]
			}, func(row []types.Value) { got = append(got, slices.Clone(row)) })
			if err != nil {
				t.Fatal(err)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s:\nstream %v\ntable  %v", text, got, want)
		}
	}
}

// Of an event that the first condition rules out, nothing else is read.
func TestStreamReadsLazily(t *testing.T) {
	q, err := kql.CompileStream("Events | where Action == 'A' and Command has 'x' | project Pid, Command", events{}, kql.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := q.Open([]string{"Pid"})
	if err != nil {
		t.Fatal(err)
	}
	var read []string
	err = s.Push(types.Null(types.Datetime), func(i int) types.Value {
		read = append(read, s.Scan().Cols[i].Name)
		return types.NewString("B")
	}, func([]types.Value) { t.Error("a row came out") })
	if err != nil || !slices.Equal(read, []string{"Action"}) {
		t.Errorf("read %v, %v", read, err)
	}
	if len(s.Scan().Cols) != 3 {
		t.Errorf("the scan has %d columns, want Action, Command and Pid", len(s.Scan().Cols))
	}
}
