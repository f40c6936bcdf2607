package duck_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-edr/vedette/kql"
	"github.com/vedette-edr/vedette/kql/kqltest"
	"github.com/vedette-edr/vedette/kql/kqltest/duck"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/sqlgen"
	"github.com/vedette-edr/vedette/kql/sqlgen/duckfn"
	"github.com/vedette-edr/vedette/kql/types"
)

var now = types.FromTime(time.Date(2024, 6, 1, 0, 0, 0, 0, time.UTC))

func TestHuntsOnDuckDB(t *testing.T) {
	eng, err := duck.New(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = eng.Close() })
	kqltest.RunScript(t, kqltest.HuntScript, eng, kqltest.HuntData(now), now)
}

type files map[string][]string

func (f files) Source(s *plan.Scan) (sqlgen.Source, error) {
	return sqlgen.Source{Files: f[s.Base]}, nil
}

// openDuck opens a connection with kql_call.
func openDuck(t *testing.T) *sql.Conn {
	t.Helper()
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	conn, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := duckfn.Register(conn, nil); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestParquetFilesWithAndWithoutAColumn(t *testing.T) {
	ctx := context.Background()
	conn := openDuck(t)
	dir := t.TempDir()
	oldFile, newFile := filepath.Join(dir, "old'file.parquet"), filepath.Join(dir, "new.parquet")
	for path, query := range map[string]string{
		oldFile: fmt.Sprintf("SELECT CAST(%d AS BIGINT) AS \"Timestamp\", 'd1' AS \"DeviceId\", 'ls' AS \"FileName\"", now-1),
		newFile: fmt.Sprintf("SELECT CAST(%d AS BIGINT) AS \"Timestamp\", 'd2' AS \"DeviceId\", 'ls' AS \"FileName\", CAST(7 AS BIGINT) AS \"ProcessId\"", now-2),
	} {
		if _, err := conn.ExecContext(ctx, "COPY ("+query+") TO "+sqlQuote(path)+" (FORMAT parquet)"); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, text string
		files      []string
		want       [][]string
	}{
		{"both", "DeviceProcessEvents | where Timestamp > ago(1h) | project DeviceId, ProcessId, AdditionalFields | sort by DeviceId asc", []string{oldFile, newFile}, [][]string{{"d1", "", ""}, {"d2", "7", ""}}},
		{"only the old one", "DeviceProcessEvents | where FileName =~ 'LS' | project DeviceId, ProcessId", []string{oldFile}, [][]string{{"d1", ""}}},
		{"none", "DeviceProcessEvents | summarize count(), make_set(DeviceId)", nil, [][]string{{"0", "[]"}}},
		{"count alone", "DeviceProcessEvents | count", []string{oldFile, newFile}, [][]string{{"2"}}},
	} {
		q, err := kql.Compile(c.text, kqltest.HuntData(now), kql.Options{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		text, cols, err := sqlgen.Generate(q.Root, files{"DeviceProcessEvents": c.files})
		if err != nil {
			t.Fatal(err)
		}
		rows, err := duck.Query(ctx, conn, text, cols)
		if err != nil {
			t.Fatal(err)
		}
		var got [][]string
		for _, r := range rows {
			var line []string
			for _, v := range r {
				line = append(line, v.Text())
			}
			got = append(got, line)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
}

func sqlQuote(s string) string {
	out := "'"
	for _, r := range s {
		if r == '\'' {
			out += "'"
		}
		out += string(r)
	}
	return out + "'"
}

func TestRestrictionHoldsUnderJoinsUnionsLetsAndSubqueries(t *testing.T) {
	eng, err := duck.New(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = eng.Close() })
	data := kqltest.HuntData(now)
	for _, text := range []string{
		"DeviceProcessEvents | distinct DeviceId",
		"let P = DeviceProcessEvents | project DeviceId; union P, (DeviceLogonEvents | project DeviceId) | distinct DeviceId",
		"DeviceProcessEvents | join kind=inner (DeviceProcessEvents | project DeviceId) on DeviceId | distinct DeviceId",
		"DeviceProcessEvents | where DeviceId in ((DeviceProcessEvents | project DeviceId)) | distinct DeviceId",
		"print DeviceId = toscalar(DeviceProcessEvents | summarize max(DeviceId))",
		"DeviceProcessEvents | where FileName != '' | take 3 | summarize by DeviceId",
	} {
		q, err := kql.Compile(text, data, kql.Options{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		plan.RestrictScans(q.Root, func(s *plan.Scan) plan.Expr {
			return plan.InStrings(s.Read("DeviceId", types.String), []string{"dev1"})
		})
		for name, e := range map[string]kqltest.Engine{"eval": kqltest.Eval{}, "duckdb": eng} {
			rows, err := e.Run(context.Background(), q, data)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if len(rows) != 1 || rows[0][0].S != "dev1" {
				t.Errorf("%s: %s answers %v, want dev1 alone", name, text, rows)
			}
		}
	}
}

func TestTimeFiltersReachTheScan(t *testing.T) {
	data := kqltest.HuntData(now)
	for text, want := range map[string]plan.TimeRange{
		"DeviceProcessEvents | where Timestamp > ago(5m)":                                                                {Min: now - 5*types.TicksPerMinute + 1, Max: types.MaxDatetime},
		"DeviceProcessEvents | extend x = 1 | where TimeGenerated between (ago(2h) .. ago(1h)) and x == 1 | project x":   {Min: now - 2*types.TicksPerHour, Max: now - types.TicksPerHour},
		"LogonEvents | project-rename T = EventTime | where T < ago(1d) | count":                                         {Min: 0, Max: now - types.TicksPerDay - 1},
		"DeviceProcessEvents | take 5 | where Timestamp > ago(5m)":                                                       plan.AllTime(),
		"DeviceProcessEvents | where Timestamp > ago(5m) or FileName == ''":                                              plan.AllTime(),
		"union DeviceProcessEvents | where Timestamp >= ago(1d) | summarize count()":                                     {Min: now - types.TicksPerDay, Max: types.MaxDatetime},
		"print 1 | join kind=rightouter (DeviceProcessEvents | extend print_0=1) on print_0 | where Timestamp > ago(1d)": {Min: now - types.TicksPerDay + 1, Max: types.MaxDatetime},
	} {
		q, err := kql.Compile(text, data, kql.Options{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		found := false
		plan.Walk(q.Root, func(n plan.Node) {
			if s, ok := n.(*plan.Scan); ok {
				found = true
				if d := cmp.Diff(want, s.Time("Timestamp")); d != "" {
					t.Errorf("%s: %s\n%s", text, d, plan.Print(q.Root))
				}
			}
		})
		if !found {
			t.Errorf("%s: no scan", text)
		}
	}
}
