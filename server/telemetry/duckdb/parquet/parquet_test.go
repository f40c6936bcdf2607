package parquet_test

import (
	"database/sql"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/duckdb/duckdb-go/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/vedette-edr/vedette/server/telemetry/duckdb/parquet"
)

// shape is how the cells of a test column are made.
type shape struct {
	name string
	typ  parquet.Type
	cell func(*rand.Rand, int) any // nil is null
}

var shapes = []shape{
	{"all_null", parquet.Text, func(*rand.Rand, int) any { return nil }},
	{"all_null_int", parquet.Int64, func(*rand.Rand, int) any { return nil }},
	{"constant", parquet.Text, func(*rand.Rand, int) any { return "same" }},
	{"empty", parquet.Text, func(*rand.Rand, int) any { return "" }},
	{"few", parquet.Text, func(r *rand.Rand, _ int) any { return fmt.Sprintf("kind ü %d", r.IntN(5)) }},
	{"many", parquet.Text, func(_ *rand.Rand, i int) any { return fmt.Sprintf("unique-%d-%s", i, strings.Repeat("x", i%80)) }},
	{"holes", parquet.Text, func(r *rand.Rand, i int) any {
		if r.IntN(3) == 0 {
			return nil
		}
		return fmt.Sprint(i % 700)
	}},
	{"long", parquet.Int64, func(r *rand.Rand, _ int) any { return int64(r.Uint64()) }},
	{"extremes", parquet.Int64, func(r *rand.Rand, _ int) any {
		return []any{int64(math.MaxInt64), int64(math.MinInt64), nil}[r.IntN(3)]
	}},
	{"int", parquet.Int32, func(r *rand.Rand, i int) any {
		if i%7 == 0 {
			return nil
		}
		return int32(r.Uint32())
	}},
	{"flag", parquet.Bool, func(r *rand.Rand, _ int) any { return r.IntN(2) == 0 }},
	{"flag_holes", parquet.Bool, func(r *rand.Rand, _ int) any { return []any{true, false, nil}[r.IntN(3)] }},
	{"real", parquet.Double, func(r *rand.Rand, _ int) any { return r.NormFloat64() * 1e9 }},
}

// TestDuckDBReadsBack writes random columns and compares what DuckDB makes of the file,
// row for row, and through its statistics-driven filters.
func TestDuckDBReadsBack(t *testing.T) {
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	enc, err := parquet.NewEncoder()
	if err != nil {
		t.Fatal(err)
	}
	for _, rows := range []int{1, 2, 7, 8, 9, 63, 1000, 40_000} {
		rnd := rand.New(rand.NewPCG(uint64(rows), 7))
		var cols []*parquet.Column
		want := make([][]any, rows)
		for _, s := range shapes {
			c := parquet.NewColumn(s.name, s.typ)
			for i := range rows {
				v := s.cell(rnd, i)
				want[i] = append(want[i], v)
				add(c, v)
			}
			cols = append(cols, c)
		}
		b, err := enc.Encode(nil, cols)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "t.parquet")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, query(t, db, "SELECT * FROM read_parquet('"+path+"')")); diff != "" {
			t.Fatalf("%d rows (-want +got):\n%.2000s", rows, diff)
		}
		last := fmt.Sprintf("unique-%d-%s", rows-1, strings.Repeat("x", (rows-1)%80))
		n := query(t, db, "SELECT count(*) FROM read_parquet('"+path+"') WHERE many = '"+last+"' AND constant >= 'same'")
		if diff := cmp.Diff([][]any{{int64(1)}}, n); diff != "" {
			t.Errorf("%d rows, filtered: %s", rows, diff)
		}
	}
}

func add(c *parquet.Column, v any) {
	switch v := v.(type) {
	case nil:
		c.Null()
	case string:
		c.Str(v)
	case int64:
		c.Int(v)
	case int32:
		c.Int(int64(v))
	case bool:
		c.Flag(v)
	case float64:
		c.Float(v)
	}
}

func query(t *testing.T, db *sql.DB, text string) [][]any {
	t.Helper()
	rows, err := db.Query(text)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	names, _ := rows.Columns()
	var out [][]any
	for rows.Next() {
		row := make([]any, len(names))
		into := make([]any, len(names))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		out = append(out, row)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// BenchmarkEncode writes 5,000 rows of 45 columns, most of them repetitive texts, and
// reports rows a second.
func BenchmarkEncode(b *testing.B) {
	enc, err := parquet.NewEncoder()
	if err != nil {
		b.Fatal(err)
	}
	const rows = 5000
	for b.Loop() {
		var cols []*parquet.Column
		for k := range 45 {
			c := parquet.NewColumn(fmt.Sprint("column", k), parquet.Text)
			for i := range rows {
				switch {
				case k < 6:
					c.Str(fmt.Sprintf("/usr/bin/command-%d --with=%d arguments", i, k))
				case k < 30:
					c.Str([...]string{"root", "/usr/bin", "da39a3ee5e6b4b0d3255bfef95601890afd80709", "bash"}[(i*k)%4])
				default:
					c.Null()
				}
			}
			cols = append(cols, c)
		}
		if _, err := enc.Encode(nil, cols); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
}
