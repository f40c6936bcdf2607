package duck_test

import (
	"context"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/vedette-edr/vedette/kql"
	"github.com/vedette-edr/vedette/kql/kqltest"
	"github.com/vedette-edr/vedette/kql/kqltest/duck"
	"github.com/vedette-edr/vedette/kql/types"
)

// TestNoTextBecomesSQL puts hostile texts into every kind of literal and name: each must
// come back as the data it is.
func TestNoTextBecomesSQL(t *testing.T) {
	eng, err := duck.New(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = eng.Close() })
	piece := rapid.SampledFrom([]string{"'", "''", `"`, "\\", "--", "/*", "*/", ";", "DROP TABLE x", "$$", "%s", "\x00", "\n", "E'", "|", "a", "ö", "{", "}", "[", "'); SELECT 1; --", "\u2028", "`"})
	d := &kqltest.Data{}
	rapid.Check(t, func(t *rapid.T) {
		s := strings.Join(rapid.SliceOfN(piece, 0, 6).Draw(t, "text"), "")
		name := "n" + strings.ReplaceAll(s, "\x00", "")
		lit := types.Quote(s)
		text := "print ['" + escapeName(name) + "'] = " + lit +
			", d = dynamic({" + types.Quote("k"+s) + ": " + lit + "})[" + types.Quote("k"+s) + "]" +
			", h = iff(strcat(" + lit + ", 'x') contains_cs " + lit + ", 1, 0)" +
			", r = replace_string(strcat(" + lit + ", 'q'), 'q', " + lit + ")" +
			" | extend same = ['" + escapeName(name) + "'] in (" + lit + ", 'other'), has1 = 'zz' has_any (" + lit + ", 'zz')"
		q, err := kql.Compile(text, d, kql.Options{Now: now})
		if err != nil {
			t.Fatalf("%v\n%q", err, text)
		}
		if q.Columns[0].Name != name {
			t.Fatalf("column is %q, want %q", q.Columns[0].Name, name)
		}
		rows, err := eng.Run(context.Background(), q, d)
		if err != nil {
			t.Fatalf("%v\n%q", err, text)
		}
		r := rows[0]
		if r[0].S != s || r[1].Text() != s || r[2].I != 1 || r[3].S != s+s || !r[4].True() || !r[5].True() {
			t.Fatalf("row is %v for %q", r, s)
		}
		// The same through a table, where nothing folds to a constant.
		q, err = kql.Compile("datatable(s:string)["+lit+", 'other'] | where s == "+lit+" or s has_cs 'zzz' | project s, j = bag_pack('k', s).k, e = s endswith_cs "+lit, d, kql.Options{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		if rows, err = eng.Run(context.Background(), q, d); err != nil {
			t.Fatal(err)
		}
		if len(rows) != 1 || rows[0][0].S != s || rows[0][1].Text() != s || !rows[0][2].True() {
			t.Fatalf("rows are %v for %q", rows, s)
		}
	})
}

// escapeName writes a text for a bracketed name in single quotes.
func escapeName(s string) string {
	return strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`).Replace(s)
}
