package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/indicator"
	"github.com/vedette-edr/vedette/server/store"
	"github.com/vedette-edr/vedette/server/store/storetest"
)

const tenant ident.TenantID = "0a0a0a0a-0000-4000-8000-000000000001"

func open(t testing.TB, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), store.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func create(ctx context.Context, s *store.Store, id string) error {
	_, err := s.Alerts().CreateAlerts(ctx, []*alert.Alert{{ID: ident.AlertID(id), Tenant: tenant, Status: alert.New, Created: time.Now()}})
	return err
}

func count(t testing.TB, s *store.Store) int64 {
	t.Helper()
	p, err := s.Alerts().Alerts(t.Context(), tenant, filter.Query{Count: true, Top: 1})
	if err != nil {
		t.Fatal(err)
	}
	return p.Total
}

func TestReopen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b?c%20d#e&mode=ro")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	if err := create(t.Context(), s, "da1_1"); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 4 {
		t.Fatalf("files %v, %v: want key, database, log and its index", files, err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", f.Name(), info.Mode(), err)
		}
	}
	sealed, err := s.Key().Seal("x", []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := create(t.Context(), s, "da2_1"); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a write after Close: %v", err)
	}
	if _, err := s.Alerts().Alert(t.Context(), tenant, "da1_1"); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a read after Close: %v", err)
	}
	s = open(t, dir)
	if n := count(t, s); n != 1 {
		t.Errorf("%d alerts after reopening", n)
	}
	if b, err := s.Key().Unseal("x", sealed); err != nil || string(b) != "secret" {
		t.Errorf("unsealed %q, %v", b, err)
	}
	if _, err := s.Key().Unseal("y", sealed); err == nil {
		t.Error("a seal for one purpose opens for another")
	}
}

func TestKeyFile(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	s.Close()
	key := filepath.Join(dir, "seal.key")
	info, err := os.Stat(key)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	refused := func(what, why string) {
		t.Helper()
		s, err := store.Open(t.Context(), store.Config{Dir: dir})
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", what, err)
		}
	}
	good, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(b []byte, mode os.FileMode) {
		t.Helper()
		if err := errors.Join(os.Remove(key), os.WriteFile(key, b, mode), os.Chmod(key, mode)); err != nil {
			t.Fatal(err)
		}
	}
	write(good, 0o644)
	refused("readable for others", "others than its owner")
	write(good[:31], 0o600)
	refused("cut off", "31 bytes long")
	write(make([]byte, 32), 0o600)
	refused("another installation's", "not the one")
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	refused("missing", "is missing")
}

func TestMigrations(t *testing.T) {
	file := &fstest.MapFile{Data: []byte("SELECT 1")}
	for name, files := range map[string]fstest.MapFS{
		"number twice": {"migrations/0001_a.sql": file, "migrations/0001_b.sql": file}, "no number": {"migrations/a.sql": file},
	} {
		if store.CheckMigrations(files) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for name, change := range map[string]string{
		"differs": `UPDATE migration SET sum = 'x' WHERE version = 1`,
		"newer":   `INSERT INTO migration (version, name, sum, applied) VALUES (999, 'x', 'x', 0)`,
	} {
		dir := t.TempDir()
		open(t, dir).Close()
		db, err := sql.Open("sqlite", filepath.Join(dir, "control.db"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(change); err != nil {
			t.Fatal(err)
		}
		db.Close()
		if s, err := store.Open(t.Context(), store.Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
			if err == nil {
				s.Close()
			}
		}
	}
}

func TestAtomic(t *testing.T) {
	s, ctx := open(t, t.TempDir()), t.Context()
	no := errors.New("no")
	var leaked context.Context
	err := s.Atomic(ctx, func(ctx context.Context) error {
		leaked = ctx
		if err := create(ctx, s, "da1_1"); err != nil {
			return err
		}
		if _, err := s.Alerts().Alert(ctx, tenant, "da1_1"); err != nil {
			t.Errorf("a transaction does not see its own write: %v", err)
		}
		// What fails inside undoes itself alone.
		err := s.Atomic(ctx, func(ctx context.Context) error {
			if err := create(ctx, s, "da2_1"); err != nil {
				return err
			}
			return no
		})
		if !errors.Is(err, no) {
			t.Errorf("nested: %v", err)
		}
		return nil
	})
	if err != nil || count(t, s) != 1 {
		t.Errorf("%v, %d alerts, want the outer one", err, count(t, s))
	}
	if err := create(leaked, s, "da3_1"); err != nil {
		t.Errorf("a write with the context of a transaction that is over: %v", err)
	}
	if err := s.Atomic(ctx, func(ctx context.Context) error { return errors.Join(create(ctx, s, "da4_1"), no) }); !errors.Is(err, no) || count(t, s) != 2 {
		t.Errorf("%v, %d alerts", err, count(t, s))
	}
}

// TestWritesAreApart mixes writes that succeed, fail and panic: each has its own outcome
// though they share commits.
func TestWritesAreApart(t *testing.T) {
	s, ctx := open(t, t.TempDir()), t.Context()
	no := errors.New("no")
	var wg sync.WaitGroup
	for i := range 90 {
		wg.Go(func() {
			id := fmt.Sprintf("da%d_1", i)
			switch i % 3 {
			case 0:
				if err := create(ctx, s, id); err != nil {
					t.Error(err)
				}
			case 1:
				err := s.Atomic(ctx, func(ctx context.Context) error { return errors.Join(create(ctx, s, id), no) })
				if !errors.Is(err, no) {
					t.Errorf("the failure came back as %v", err)
				}
			default:
				defer func() {
					if r := recover(); r != "at home" {
						t.Errorf("the panic came back as %v", r)
					}
				}()
				_ = s.Atomic(ctx, func(ctx context.Context) error { _ = create(ctx, s, id); panic("at home") })
			}
		})
	}
	wg.Wait()
	if n := count(t, s); n != 30 {
		t.Errorf("%d alerts, want the 30 of the writes that succeeded", n)
	}
}

func TestCancelledWriteIsNotKept(t *testing.T) {
	s := open(t, t.TempDir())
	hold, held := make(chan struct{}), make(chan struct{})
	go s.Atomic(context.Background(), func(context.Context) error { close(held); <-hold; return nil })
	<-held
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- create(ctx, s, "da1_1") }()
	cancel()
	if err := <-done; !errs.Is(err, errs.Timeout) {
		t.Errorf("cancelled in the queue: %v", err)
	}
	if err := context.Cause(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := count(t, s); n != 0 { // reads do not wait for the writer
		t.Errorf("%d alerts", n)
	}
	close(hold)
	if err := create(t.Context(), s, "da2_1"); err != nil || count(t, s) != 1 {
		t.Errorf("%v, %d alerts", err, count(t, s))
	}
}

func TestForgottenDeletions(t *testing.T) {
	storetest.Threats(t, func(t testing.TB) storetest.ThreatStore {
		s := open(t, t.TempDir())
		s.KeepDeletions(2)
		return s.Threats()
	})
}

// TestHotQueriesUseIndexes keeps the queries that run for every event, poll or page off
// full scans.
func TestHotQueriesUseIndexes(t *testing.T) {
	s := open(t, t.TempDir())
	for _, query := range []string{
		`SELECT doc FROM alert WHERE tenant = 'a' AND id = 'b'`,
		`SELECT doc FROM alert WHERE tenant = 'a' AND 1 = 1 ORDER BY created DESC NULLS LAST, id DESC LIMIT 5`,
		`SELECT doc FROM alert WHERE tenant = 'a' AND created > 5 ORDER BY created DESC NULLS LAST, id LIMIT 5`,
		`SELECT doc FROM alert WHERE tenant = 'a' AND updated >= 5 ORDER BY updated ASC NULLS FIRST, id LIMIT 5`,
		`SELECT doc FROM alert WHERE tenant = 'a' AND device = 'x' ORDER BY created DESC NULLS LAST, id DESC LIMIT 5`,
		`SELECT doc FROM action WHERE tenant = 'a' AND open = 1 AND device = 'd' ORDER BY rank, created, id`,
		`SELECT doc FROM action WHERE tenant = 'a' AND open = 1 ORDER BY rank, created, id`,
		`SELECT doc FROM device WHERE id = 'x'`,
		`SELECT doc FROM device WHERE tenant = 'a' AND (name = 'x' OR label = 'x') ORDER BY id`,
		`SELECT doc FROM application WHERE id = 'x'`,
		`SELECT doc FROM person WHERE tenant = 'a' AND login = 'x'`,
		`SELECT revision, doc FROM indicator WHERE tenant = 'a' AND revision > 1 AND revision <= 9 ORDER BY revision, id`,
		`SELECT doc FROM indicator WHERE tenant = 'a' AND value = 'x' ORDER BY id LIMIT 5`,
		`SELECT doc FROM audit WHERE tenant = 'a' ORDER BY seq DESC LIMIT 1`,
	} {
		for _, step := range queryPlan(t, s, query) {
			if strings.HasPrefix(step, "SCAN") {
				t.Errorf("%s\n\t%s", query, step)
			}
		}
	}
}

func queryPlan(t *testing.T, s *store.Store, query string) (steps []string) {
	t.Helper()
	rows, err := s.Read().Query("EXPLAIN QUERY PLAN " + query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var a, b, c int
		var step string
		if err := rows.Scan(&a, &b, &c, &step); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return steps
}

// BenchmarkGroupCommit measures durable writes per second by 64 writers at once.
func BenchmarkGroupCommit(b *testing.B) {
	s := open(b, b.TempDir())
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_, err := s.Audit().AppendAudit(context.Background(), tenant, nextRecord)
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkPutIndicators measures what loading 5,000 indicators at once costs for each.
func BenchmarkPutIndicators(b *testing.B) {
	s := open(b, b.TempDir())
	n := 0
	for b.Loop() {
		keys := make([]indicator.Key, 5000)
		for i := range keys {
			n++
			keys[i].Value = fmt.Sprintf("h%d.example", n)
		}
		_, err := s.Threats().PutIndicators(b.Context(), tenant, indicator.DefaultQuota, keys, func(i int, _ *indicator.Indicator) (*indicator.Indicator, error) {
			return &indicator.Indicator{Value: keys[i].Value, Type: indicator.Domain, Action: indicator.Block, Title: "t", Description: "d"}, nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/indicator")
}
