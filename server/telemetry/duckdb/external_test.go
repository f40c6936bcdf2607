package duckdb

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"pgregory.net/rapid"

	"github.com/vedette-edr/vedette/kql"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/telemetry"
)

// TestExternalRowsReachTheWorker gives the worker rows of every type as a file, and asks
// for them in ways that SQL can say whole, in parts, and not at all.
func TestExternalRowsReachTheWorker(t *testing.T) {
	s := openStore(t, testConfig(t.TempDir()))
	calls := 0
	rows := func(_ context.Context, x *plan.External, sink telemetry.Sink) error {
		calls++
		if strings.HasSuffix(x.Addresses[0].URI, "/empty") {
			return nil
		}
		for _, cells := range [][]string{
			{"true", "1", "2", "2.5", "1.25", "text 'quoted'", "2026-01-02", "01:00:00", "AAAAAAAA-0000-4000-8000-000000000001", `{"k":[1]}`, "upper"},
			{"", "", "", "", "", "", "", "", "", "", ""},
		} {
			row := make([]types.Value, len(x.Cols))
			for i, c := range x.Cols {
				row[i] = types.ParseAs(cells[i], c.Type)
				if c.Type == types.Dynamic && cells[i] != "" {
					row[i] = types.ParseDynamic(cells[i])
				}
			}
			if err := sink(row); err != nil {
				return err
			}
		}
		return nil
	}
	const ext = `let E = externaldata(b:bool, i:int, l:long, r:real, d:decimal, s:string, t:datetime, n:timespan, g:guid, j:dynamic, S:string)["https://lists.test/a"];`
	for text, want := range map[string]string{
		ext + "E": "true,1,2,2.5,1.25,text 'quoted',2026-01-02T00:00:00.0000000Z,01:00:00,aaaaaaaa-0000-4000-8000-000000000001,{\"k\":[1]},upper|,,,,,,,,,,",
		ext + "E | where S == 'upper' | project j.k[0], s":               "1,text 'quoted'",
		ext + "E | join kind=inner (E) on l | count":                     "1",
		ext + "E | where isnull(l) and s == '' | count":                  "1",
		ext + "print x = 'upper' | where x in ((E | project S))":         "upper",
		ext + "E | serialize | scan with (step a: true;) | project l, S": "2,upper|,",
		ext + "E | mv-apply k = j.k on (project k) | project k":          "1|",
		"externaldata(x:string)['https://lists.test/empty'] | count":     "0",
	} {
		calls = 0
		q, err := kql.Compile(text, catalog{}, kql.Options{})
		if err != nil {
			t.Fatal(err)
		}
		r, err := telemetry.Collect(t.Context(), s, &telemetry.Query{Tenant: tenantA, Plan: q.Root, External: rows})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var lines []string
		for _, row := range r.Rows {
			var cells []string
			for _, v := range row {
				cells = append(cells, v.Text())
			}
			lines = append(lines, strings.Join(cells, ","))
		}
		if diff := cmp.Diff(want, strings.Join(lines, "|")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
		if calls != 1 {
			t.Errorf("%s: asked for the rows %d times", text, calls)
		}
	}
	own := errs.New("test", errs.Denied, errs.DisallowedOperation, "1:1: not allowed")
	q, err := kql.Compile(ext+"E", catalog{}, kql.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = telemetry.Collect(t.Context(), s, &telemetry.Query{Tenant: tenantA, Plan: q.Root, External: func(context.Context, *plan.External, telemetry.Sink) error { return own }})
	if !errors.Is(err, own) {
		t.Errorf("the error of who answers: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(s.segmentDir(tenantA), externalDir, "*")); len(left) != 0 {
		t.Errorf("files are left: %v", left)
	}
	// What a crash leaves is gone at the next start.
	stray := filepath.Join(s.segmentDir(tenantA), externalDir, "7.parquet")
	if err := os.WriteFile(stray, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	reopen(t, s)
	if _, err := os.Stat(stray); err == nil {
		t.Error("a file that a crash left is still there")
	}
}

// TestPlacesReachTheWorker asks the worker and the interpreter where an address is.
func TestPlacesReachTheWorker(t *testing.T) {
	w, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "GeoLite2-City"})
	if err != nil {
		t.Fatal(err)
	}
	_, network, err := net.ParseCIDR("20.53.203.0/24")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Insert(network, mmdbtype.Map{"country": mmdbtype.Map{"names": mmdbtype.Map{"en": mmdbtype.String("Australia")}}}); err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(t.TempDir())
	cfg.Workers.Places = filepath.Join(t.TempDir(), "city.mmdb")
	f, err := os.OpenFile(cfg.Workers.Places, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteTo(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, cfg)
	for _, text := range []string{
		"datatable(ip:string)['20.53.203.50'] | project c = tostring(geo_info_from_ip_address(ip).country)",
		"datatable(ip:string)['20.53.203.50'] | scan with (step a: true;) | project c = tostring(geo_info_from_ip_address(ip).country)",
	} {
		q, err := kql.Compile(text, catalog{}, kql.Options{})
		if err != nil {
			t.Fatal(err)
		}
		r, err := telemetry.Collect(t.Context(), s, &telemetry.Query{Tenant: tenantA, Plan: q.Root})
		if err != nil || len(r.Rows) != 1 || r.Rows[0][0].S != "Australia" {
			t.Errorf("%s: %v, %v", text, r, err)
		}
	}
	cfg = testConfig(t.TempDir())
	cfg.Workers.Places = "/none"
	if _, err := Open(cfg); err == nil {
		t.Error("a store opened without its database of places")
	}
}

// TestNoTextOfExternalDataBecomesSQL puts hostile texts into addresses, properties and names
// of columns of externaldata, and into the rows that come: whoever fetches is told exactly
// those, and the rows come back as they were.
func TestNoTextOfExternalDataBecomesSQL(t *testing.T) {
	s := openStore(t, testConfig(t.TempDir()))
	piece := rapid.SampledFrom([]string{"'", "''", `"`, "\\", "--", "/*", "*/", ";", "DROP TABLE x", "%s", "\n", "|", "a", "ö", "{", "}", "[", "'] with (x='", "'); SELECT 1; --", "read_csv('/etc/passwd')", "\u2028", "`", "h@'"})
	text := rapid.Custom(func(r *rapid.T) string { return strings.Join(rapid.SliceOfN(piece, 0, 5).Draw(r, "text"), "") })
	rapid.Check(t, func(r *rapid.T) {
		address, value, cell := "https://x/"+text.Draw(r, "address"), text.Draw(r, "property"), text.Draw(r, "cell")
		name := "c" + strings.ReplaceAll(text.Draw(r, "name"), "\n", "")
		query := "externaldata(['" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(name) + "']:string, n:long)[" + types.Quote(address) + ", h" + types.Quote(address+"2") +
			"] with (format='csv', ingestionMapping=" + types.Quote(value) + ") | where n == 1 | extend same = " + types.Quote(cell) + " == ['" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(name) + "']"
		q, err := kql.Compile(query, catalog{}, kql.Options{})
		if err != nil {
			r.Fatalf("%v\n%q", err, query)
		}
		asked := 0
		rows := func(_ context.Context, x *plan.External, sink telemetry.Sink) error {
			asked++
			if len(x.Addresses) != 2 || x.Addresses[0].URI != address || x.Addresses[1].URI != address+"2" || x.Props["ingestionMapping"] != value || x.Props["format"] != "csv" || x.Cols[0].Name != name {
				r.Errorf("asked for %+v", x)
			}
			for n := range int64(2) {
				if err := sink([]types.Value{types.NewString(cell), types.NewLong(n)}); err != nil {
					return err
				}
			}
			return nil
		}
		got, err := telemetry.Collect(t.Context(), s, &telemetry.Query{Tenant: tenantA, Plan: q.Root, External: rows})
		if err != nil {
			r.Fatalf("%v\n%q", err, query)
		}
		if asked != 1 || len(got.Rows) != 1 || got.Rows[0][0].S != cell || !got.Rows[0][2].True() || q.Columns[0].Name != name {
			r.Fatalf("asked %d times, rows %v of %q", asked, got.Rows, query)
		}
	})
}
