package duckdb

import (
	"context"
	"testing"

	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/server/telemetry"
	"github.com/vedette-edr/vedette/server/telemetry/telemetrytest"
)

func TestSuite(t *testing.T) {
	telemetrytest.Run(t, func(t *testing.T, c telemetrytest.Config) telemetry.Store {
		cfg := testConfig(c.Dir)
		cfg.Tables, cfg.Decode = c.Tables, c.Decode
		s, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

// TestNewColumn opens a store with a column more than its older segments have.
func TestNewColumn(t *testing.T) {
	s := openStore(t, testConfig(t.TempDir()))
	mustAppend(t, s, makeBatch(tenantA, 1, 1, 2))
	cutAll(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	cfg := s.cfg
	s.stop = nil
	cfg.Tables = append([]telemetry.Table(nil), testTables...)
	cfg.Tables[0].Columns = append(append([]telemetry.Column(nil), testTables[0].Columns...), telemetry.Column{Name: "MD5", Type: types.String})
	s = openStore(t, cfg)
	scan := func() int {
		r, err := telemetry.Collect(context.Background(), s, &telemetry.Query{Tenant: tenantA, Plan: &plan.Scan{
			Table: "DeviceProcessEvents", Base: "DeviceProcessEvents", Cols: []plan.ScanColumn{
				{Column: plan.Column{ID: 1, Name: "MD5", Type: types.String}, Source: "MD5", BaseType: types.String}}}})
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range r.Rows {
			if row[0].Null || row[0].S != "" {
				t.Errorf("MD5 is %v", row[0])
			}
		}
		return len(r.Rows)
	}
	if n := scan(); n != 2 {
		t.Errorf("%d rows from files without the column, want 2", n)
	}
	mustAppend(t, s, makeBatch(tenantA, 1, 2, 2))
	cutAll(t, s)
	if n := scan(); n != 4 {
		t.Errorf("%d rows from files with and without the column, want 4", n)
	}
}

// TestPruning asks for a time that some segments cannot hold.
func TestPruning(t *testing.T) {
	s := openStore(t, testConfig(t.TempDir()))
	for seq := uint64(1); seq <= 3; seq++ {
		b := makeBatch(tenantA, 1, seq*100, 1)
		mustAppend(t, s, b)
		cutAll(t, s)
	}
	at := types.FromTime(makeBatch(tenantA, 1, 200, 1).Events[0].Time)
	r, err := telemetry.Collect(context.Background(), s, &telemetry.Query{Tenant: tenantA, Plan: &plan.Scan{
		Table: "DeviceProcessEvents", Base: "DeviceProcessEvents",
		Cols:   []plan.ScanColumn{{Column: plan.Column{ID: 1, Name: "ProcessCommandLine", Type: types.String}, Source: "ProcessCommandLine", BaseType: types.String}},
		Ranges: []plan.ColumnRange{{Source: "Timestamp", TimeRange: plan.TimeRange{Min: at - 10, Max: at + 10}}}}})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Rows) != 1 || r.Rows[0][0].S != "cmd 1 200 0" || len(r.Stats.Tables) != 1 || r.Stats.Tables[0].Files != 1 {
		t.Errorf("rows %v, stats %+v", r.Rows, r.Stats)
	}
}
