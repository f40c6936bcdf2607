package duckdb

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/telemetry"
)

func TestFresh(t *testing.T) {
	s := openStore(t, testConfig(t.TempDir()))
	begin := time.Now()
	mustAppend(t, s, makeBatch(tenantA, 1, 1, 3))
	cutAll(t, s)
	rows := ask(t, s, tenantA, "DeviceProcessEvents", "long string datetime string dynamic", `SELECT count(*), min(ProcessCommandLine), min(Timestamp), max(NoSensor), max(AdditionalFields) FROM %s`)
	t.Logf("queried %v after Append; sandbox lacks %q", time.Since(begin), s.Status().Sandbox)
	if got := rows[0]; got[0].I != 3 || got[1].S != "cmd 1 1 0" || got[2].Text() != "2026-11-21T12:00:01.0000000Z" || got[3].S != "" || !got[4].Null {
		t.Errorf("got %v", got)
	}
	if st := s.Status(); st.Degraded != "" || st.Segments != 1 || st.Committed != 3 {
		t.Errorf("Status %+v", st)
	}
}

func TestMergeAndRetention(t *testing.T) {
	now := time.Now()
	cfg := testConfig(t.TempDir())
	cfg.Clock = func() time.Time { return now }
	s := openStore(t, cfg)
	const batches = 12
	for i := range uint64(batches) {
		b := makeBatch(tenantA, int(i%3), i/3+1, 5)
		b.Received = now
		mustAppend(t, s, b)
		cutAll(t, s)
	}
	files := func() int {
		m, _ := filepath.Glob(filepath.Join(cfg.Dir, "segments", "*", "*", "*.parquet"))
		return len(m)
	}
	if n := files(); n != batches {
		t.Fatalf("%d segments before merging, want %d", n, batches)
	}
	now = now.Add(26 * time.Hour)
	if err := s.maintain(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := files(); n != 1 {
		t.Errorf("%d segments after merging, want 1", n)
	}
	rows := ask(t, s, tenantA, "DeviceProcessEvents", "long long", `SELECT count(*), count(DISTINCT ProcessCommandLine) FROM %s`)
	if rows[0][0].I != batches*5 || rows[0][1].I != batches*5 {
		t.Errorf("after merging %v", rows[0])
	}
	rows = ask(t, s, tenantA, "DeviceProcessEvents", "bool", `SELECT bool_and(DeviceId > d OR DeviceId = d AND Timestamp >= before) FROM
		(SELECT DeviceId, Timestamp, lag(DeviceId, 1, '') OVER w AS d, lag(Timestamp, 1, 0) OVER w AS before FROM %s WINDOW w AS (ORDER BY file_row_number))`)
	if !rows[0][0].True() {
		t.Error("the merged rows are not ordered by DeviceId, Timestamp")
	}
	s = reopen(t, s)
	rows = ask(t, s, tenantA, "DeviceProcessEvents", "long", `SELECT count(*) FROM %s`)
	if rows[0][0].I != batches*5 {
		t.Errorf("after merging and restart %v", rows[0])
	}
	now = now.Add(31 * 24 * time.Hour)
	if err := s.maintain(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := files(); n != 0 {
		t.Errorf("%d segments after the retention", n)
	}
}

func TestFoldKeepsSequences(t *testing.T) {
	s := openStore(t, testConfig(t.TempDir()))
	s.manifest.cuts = foldAfter
	mustAppend(t, s, makeBatch(tenantA, 1, 1, 1))
	cutAll(t, s)
	if s.manifest.cuts != 0 {
		t.Fatalf("%d cuts in the log after a fold", s.manifest.cuts)
	}
	mustAppend(t, s, makeBatch(tenantA, 1, 2, 1))
	s = reopen(t, s)
	for seq := uint64(1); seq <= 2; seq++ {
		if ack, err := s.Append(context.Background(), makeBatch(tenantA, 1, seq, 1)); ack != telemetry.Duplicate {
			t.Errorf("sequence %d again: %v, %v", seq, ack, err)
		}
		if _, err := s.Append(context.Background(), makeBatch(tenantA, 1, seq, 2)); !errs.Is(err, errs.Conflict) {
			t.Errorf("sequence %d with other content: %v", seq, err)
		}
	}
}

func TestOrphansAreRemoved(t *testing.T) {
	s := openStore(t, testConfig(t.TempDir()))
	mustAppend(t, s, makeBatch(tenantA, 1, 1, 1))
	cutAll(t, s)
	orphan := filepath.Join(s.segmentDir(tenantA), "DeviceProcessEvents", "000000009999.parquet")
	if err := os.WriteFile(orphan, []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, s)
	if _, err := os.Stat(orphan); !os.IsNotExist(err) {
		t.Errorf("the orphan is there: %v", err)
	}
	if s.nextID.Load() < 9999 {
		t.Errorf("the orphan's id may be given out again")
	}
}

func TestBadInput(t *testing.T) {
	s := openStore(t, testConfig(t.TempDir()))
	ctx := context.Background()
	bad := func(what string, change func(*telemetry.Batch)) {
		b := makeBatch(tenantA, 1, 1, 1)
		change(b)
		if _, err := s.Append(ctx, b); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	bad("tenant with a path", func(b *telemetry.Batch) { b.Tenant = "../../etc" })
	bad("device", func(b *telemetry.Batch) { b.Device = "x" })
	bad("sequence 0", func(b *telemetry.Batch) { b.Sequence = 0 })
	bad("table that is not kept", func(b *telemetry.Batch) { b.Events[0].Table = event.FileEvents })
	row := telemetry.Row{"Timestamp": event.At(time.Now()), "IngestionTime": event.At(time.Now()), "Nope": event.Num(1)}
	if err := s.AppendRows(ctx, tenantA, "DeviceLogonEvents", []telemetry.Row{row}); !errs.Is(err, errs.Invalid) {
		t.Errorf("unknown column: %v", err)
	}
	if _, _, err := tryAsk(s, "../x", telemetry.Limits{}, "DeviceLogonEvents", "long", "SELECT 1"); !errs.Is(err, errs.Invalid) {
		t.Errorf("tenant with a path: %v", err)
	}
}

func TestJournalLost(t *testing.T) {
	s := openStore(t, testConfig(t.TempDir()))
	mustAppend(t, s, makeBatch(tenantA, 1, 1, 1))
	cutAll(t, s)
	dir := s.cfg.Dir
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s.stop = nil
	if err := os.RemoveAll(filepath.Join(dir, "journal")); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, s.cfg)
	if s.Status().Degraded == "" {
		t.Error("the status does not say that the journal is gone")
	}
	mustAppend(t, s, makeBatch(tenantA, 1, 2, 1))
	s = reopen(t, s)
	mustAppend(t, s, makeBatch(tenantA, 1, 3, 1))
	cutAll(t, s)
	rows := ask(t, s, tenantA, "DeviceProcessEvents", "long long", `SELECT count(*), count(DISTINCT ProcessCommandLine) FROM %s`)
	if rows[0][0].I != 3 || rows[0][1].I != 3 {
		t.Errorf("kept %v, want 3", rows[0])
	}
}

func TestManifestLost(t *testing.T) {
	s := openStore(t, testConfig(t.TempDir()))
	mustAppend(t, s, makeBatch(tenantA, 1, 1, 1))
	cutAll(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s.stop = nil
	for _, name := range []string{"manifest.db", "manifest.db-wal", "manifest.db-shm"} {
		_ = os.Remove(filepath.Join(s.cfg.Dir, name))
	}
	if o, err := Open(s.cfg); err == nil {
		_ = o.Close()
		t.Error("a store without its manifest was opened, and its segments removed")
	}
}
