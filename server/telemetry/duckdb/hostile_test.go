package duckdb

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/telemetry"
	"github.com/vedette-edr/vedette/server/telemetry/duckdb/frame"
)

// TestHostileQueries runs statements that no plan should ever become, and demands that
// each is stopped, that the next query is answered, and that nothing was read or written.
func TestHostileQueries(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.Workers.Memory = 512 << 20
	s := openStore(t, cfg)
	mustAppend(t, s, makeBatch(tenantA, 1, 1, 3))
	mustAppend(t, s, makeBatch(tenantB, 1, 1, 1))
	cutAll(t, s)
	bodyB := "/data/../" + string(tenantB) + "/DeviceProcessEvents/*.parquet"
	cases := []struct {
		name, sql string
		limits    telemetry.Limits
		kind      errs.Kind
		detail    string
	}{
		{"memory bomb of one scalar", `SELECT length(repeat('x', 4000000000))`, telemetry.Limits{}, errs.Limited, textResources},
		{"memory bomb of a list", `SELECT len(range(2000000000))`, telemetry.Limits{}, errs.Limited, textResources},
		{"memory bomb of an aggregate", `SELECT len(list(i)) FROM range(1000000000) t(i)`, telemetry.Limits{Time: 20 * time.Second}, errs.Limited, textResources},
		{"endless cross join", `SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range % 7 = 3`, telemetry.Limits{Time: 700 * time.Millisecond}, errs.Timeout, textTimeout},
		{"too much CPU", `SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range % 7 = 3`, telemetry.Limits{CPU: 400 * time.Millisecond}, errs.Limited, textResources},
		{"too many rows", `SELECT i FROM range(1000) t(i)`, telemetry.Limits{Rows: 10}, errs.Limited, textSize},
		{"too many bytes", `SELECT i FROM range(1000000) t(i)`, telemetry.Limits{Bytes: 1000}, errs.Limited, textSize},
		{"reading a file", `SELECT count(*) FROM read_csv('/etc/passwd')`, telemetry.Limits{}, errs.Internal, textBroken},
		{"reading another tenant", `SELECT count(*) FROM read_parquet('` + bodyB + `')`, telemetry.Limits{}, errs.Internal, textBroken},
		{"writing a file", `COPY (SELECT 1) TO '/data/DeviceProcessEvents/evil.parquet' (FORMAT parquet)`, telemetry.Limits{}, errs.Internal, textBroken},
		{"writing elsewhere", `COPY (SELECT 1) TO '/evil.csv'`, telemetry.Limits{}, errs.Internal, textBroken},
		{"loosening the configuration", `SET enable_external_access=true`, telemetry.Limits{}, errs.Internal, textBroken},
		{"more memory", `SET memory_limit='20GB'`, telemetry.Limits{}, errs.Internal, textBroken},
		{"installing an extension", `INSTALL httpfs`, telemetry.Limits{}, errs.Internal, textBroken},
		{"loading a library", `LOAD '/data/x.so'`, telemetry.Limits{}, errs.Internal, textBroken},
		{"attaching a database", `ATTACH '/data/x.db'`, telemetry.Limits{}, errs.Internal, textBroken},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			begin := time.Now()
			_, stats, err := tryAsk(s, tenantA, c.limits, "DeviceProcessEvents", "long", c.sql)
			if !errs.Is(err, c.kind) || err == nil {
				t.Fatalf("got %v, want kind %v", err, c.kind)
			}
			if !strings.Contains(err.Error(), c.detail) {
				t.Errorf("detail of %v, want %q", err, c.detail)
			}
			if stats.Memory > 1<<30 {
				t.Errorf("%d MiB were taken", stats.Memory>>20)
			}
			if took := time.Since(begin); took > 25*time.Second {
				t.Errorf("took %v", took)
			}
			rows := ask(t, s, tenantA, "DeviceProcessEvents", "long", `SELECT count(*) FROM %s`)
			if rows[0][0].I != 3 {
				t.Errorf("the next query counts %d", rows[0][0].I)
			}
		})
	}
	found, _ := filepath.Glob(filepath.Join(cfg.Dir, "segments", "*", "*", "*"))
	if len(found) != 2 {
		t.Errorf("files in the store: %v", found)
	}
}

func TestCancel(t *testing.T) {
	s := openStore(t, testConfig(t.TempDir()))
	ctx, cancel := context.WithCancel(context.Background())
	st := &statement{tenant: tenantA, columns: []types.Type{types.Long},
		sql: func(*snapshot) (string, error) {
			time.AfterFunc(300*time.Millisecond, cancel)
			return `SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range % 7 = 3`, nil
		}}
	begin := time.Now()
	_, err := s.execute(ctx, st, func([]types.Value) error { return nil })
	if !errs.Is(err, errs.Timeout) || time.Since(begin) > 20*time.Second {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
	eventually(t, "the worker is gone", func() bool { return s.Status().Workers == 0 })
}

// TestTooManyFiles asks for more files at once than the kernel lets the worker open.
func TestTooManyFiles(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.Workers.Command = []string{"/proc/self/exe", "worker of few files"}
	s := openStore(t, cfg)
	mustAppend(t, s, makeBatch(tenantA, 1, 1, 3))
	cutAll(t, s)
	_, _, err := tryAsk(s, tenantA, telemetry.Limits{}, "DeviceProcessEvents", "long",
		`SELECT count(*) FROM (`+strings.Repeat(`SELECT 1 FROM %s UNION ALL `, 200)+`SELECT 1 FROM %s)`)
	if !errs.Is(err, errs.Limited) || !strings.Contains(err.Error(), textResources) {
		t.Errorf("got %v", err)
	}
	if rows := ask(t, s, tenantA, "DeviceProcessEvents", "long", `SELECT count(*) FROM %s`); rows[0][0].I != 3 {
		t.Errorf("the next query counts %d", rows[0][0].I)
	}
}

// TestSandbox looks at a worker from outside, through the kernel.
func TestSandbox(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the sandbox needs root")
	}
	s := openStore(t, testConfig(t.TempDir()))
	mustAppend(t, s, makeBatch(tenantA, 1, 1, 1))
	cutAll(t, s)
	ask(t, s, tenantA, "DeviceProcessEvents", "long", `SELECT count(*) FROM %s`)
	s.pool.mu.Lock()
	pid := s.pool.idle[0].cmd.Process.Pid
	s.pool.mu.Unlock()
	proc := fmt.Sprintf("/proc/%d/", pid)
	tasks, _ := filepath.Glob(proc + "task/*/status")
	if len(tasks) < 2 {
		t.Fatalf("threads: %v", tasks)
	}
	for _, task := range tasks {
		status, err := os.ReadFile(task)
		if err != nil {
			continue // the thread ended
		}
		for _, want := range []string{"Uid:\t65534\t65534\t65534\t65534", "Gid:\t65534\t65534\t65534\t65534", "Groups:\t \n", "CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "NoNewPrivs:\t1"} {
			if !strings.Contains(string(status), want) {
				t.Errorf("%s lacks %q", task, want)
			}
		}
	}
	if got := names(t, proc+"root"); cmp.Diff([]string{"data"}, got) != "" {
		t.Errorf("the worker's root holds %v", got)
	}
	if got := names(t, proc+"root/data"); cmp.Diff([]string{"DeviceProcessEvents"}, got) != "" {
		t.Errorf("the worker's /data holds %v", got)
	}
	if err := os.WriteFile(proc+"root/data/x", nil, 0o600); err == nil {
		t.Error("the worker's /data can be written to")
	}
	if err := os.WriteFile(proc+"root/x", nil, 0o600); err == nil {
		t.Error("the worker's root can be written to")
	}
	dev, err := os.ReadFile(proc + "net/dev")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(dev), ":"); n != 1 || !strings.Contains(string(dev), "lo:") {
		t.Errorf("the worker's network:\n%s", dev)
	}
	if score, err := os.ReadFile(proc + "oom_score_adj"); err != nil || string(score) != "900\n" {
		t.Errorf("the worker's oom_score_adj is %q, %v", score, err)
	}
	if own, worker := niceOf(t, "/proc/self/"), niceOf(t, proc); worker != max(own, workerNice) {
		t.Errorf("the worker runs at nice %d, the server at %d", worker, own)
	}
	env, err := os.ReadFile(proc + "environ")
	if err != nil || strings.Contains(string(env), "PATH=") {
		t.Errorf("the worker's environment: %q, %v", env, err)
	}
}

func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func TestWorkerServesOneTenant(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.Workers.Size = 1
	s := openStore(t, cfg)
	mustAppend(t, s, makeBatch(tenantA, 1, 1, 3))
	mustAppend(t, s, makeBatch(tenantB, 1, 1, 1))
	cutAll(t, s)
	pids := map[string]int{}
	for i := range 4 {
		tenant, want := tenantA, int64(3)
		if i%2 == 1 {
			tenant, want = tenantB, 1
		}
		rows := ask(t, s, tenant, "DeviceProcessEvents", "long", `SELECT count(*) FROM %s`)
		if rows[0][0].I != want {
			t.Errorf("tenant %s counts %d, want %d", tenant, rows[0][0].I, want)
		}
		s.pool.mu.Lock()
		pids[fmt.Sprint(s.pool.idle[0].cmd.Process.Pid)]++
		s.pool.mu.Unlock()
	}
	if len(pids) != 4 {
		t.Errorf("%d workers for four changes of tenant", len(pids))
	}
	if n := s.Status().Workers; n != 1 {
		t.Errorf("%d workers alive, want 1", n)
	}
}

func TestDeadWorkerIsReplaced(t *testing.T) {
	s := openStore(t, testConfig(t.TempDir()))
	mustAppend(t, s, makeBatch(tenantA, 1, 1, 3))
	cutAll(t, s)
	for range 3 {
		rows := ask(t, s, tenantA, "DeviceProcessEvents", "long", `SELECT count(*) FROM %s`)
		if rows[0][0].I != 3 {
			t.Errorf("counted %d", rows[0][0].I)
		}
		s.pool.mu.Lock()
		err := s.pool.idle[0].cmd.Process.Kill()
		s.pool.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestNoSandbox starts a worker where the sandbox cannot be built.
func TestNoSandbox(t *testing.T) {
	cfg := WorkerConfig{}
	if err := cfg.defaults(); err != nil {
		t.Fatal(err)
	}
	w, err := startProcess(&cfg, "/nonexistent", t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer w.kill()
	if os.Geteuid() != 0 && !strings.Contains(w.lacks, "a file system of its own") || !strings.Contains(w.lacks, "no network") {
		t.Errorf("what is lacking is not told: %q", w.lacks)
	}
	ask := func(sql string) (n int64, err error) {
		_, err = w.run(context.Background(), &frame.Request{SQL: sql, Columns: []types.Type{types.Long}, Rows: 1, Bytes: 100}, cfg.Limits,
			func(row []types.Value) error { n = row[0].I; return nil })
		return n, err
	}
	if n, err := ask("SELECT 42"); n != 42 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	if _, err := ask("SELECT count(*) FROM read_csv('/etc/passwd')"); err == nil {
		t.Error("/etc/passwd was read")
	}
}

// TestCage looks at the worker of a server that is root and may make no namespaces, as in
// a container: it must be neither root nor where other files are.
func TestCage(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	s := openStore(t, testConfig(t.TempDir()))
	s.pool.root = "/nonexistent" // no sandbox can be built on that
	mustAppend(t, s, makeBatch(tenantA, 1, 1, 3))
	mustAppend(t, s, makeBatch(tenantB, 1, 1, 1))
	cutAll(t, s)
	if rows := ask(t, s, tenantA, "DeviceProcessEvents", "long", `SELECT count(*) FROM %s`); rows[0][0].I != 3 {
		t.Errorf("counted %d", rows[0][0].I)
	}
	if lacks := s.Status().Sandbox; !strings.Contains(lacks, "no network") {
		t.Errorf("what is lacking is not told: %q", lacks)
	}
	s.pool.mu.Lock()
	pid := s.pool.idle[0].cmd.Process.Pid
	s.pool.mu.Unlock()
	proc := fmt.Sprintf("/proc/%d/", pid)
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Uid:\t65534\t65534\t65534\t65534", "CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "NoNewPrivs:\t1"} {
		if !strings.Contains(string(status), want) {
			t.Errorf("the worker lacks %q", want)
		}
	}
	if root, err := os.Readlink(proc + "root"); err != nil || root != s.segmentDir(tenantA) {
		t.Errorf("the worker's root is %s, %v", root, err)
	}
	for _, q := range []string{"SELECT count(*) FROM read_csv('/etc/passwd')", "COPY (SELECT 1) TO '/DeviceProcessEvents/evil.parquet' (FORMAT parquet)",
		"SELECT count(*) FROM read_parquet('../" + string(tenantB) + "/DeviceProcessEvents/*.parquet')"} {
		if _, _, err := tryAsk(s, tenantA, telemetry.Limits{}, "DeviceProcessEvents", "long", q); err == nil {
			t.Errorf("%s: was done", q)
		}
	}
}

// TestWithoutRoot runs some of these tests as nobody.
func TestWithoutRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to become somebody else")
	}
	dir, err := os.MkdirTemp("", "vedette-nobody-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	// The test binary lies where nobody may look.
	b, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "duckdb.test")
	if err := os.WriteFile(bin, b, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "-test.v", "-test.run", "^(TestFresh|TestMergeAndRetention|TestDeadWorkerIsReplaced)$")
	cmd.Dir = dir
	cmd.Env = []string{"TMPDIR=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// A user namespace, if the kernel gives one to nobody, is almost as good.
	if !strings.Contains(string(out), `sandbox lacks "another user`) && !strings.Contains(string(out), `sandbox lacks "a file system of its own`) {
		t.Errorf("what the sandbox lacks is not told:\n%s", out)
	}
}

// niceOf reads the nice value of the process below a directory of /proc.
func niceOf(t *testing.T, proc string) int {
	t.Helper()
	stat, err := os.ReadFile(proc + "stat")
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.Fields(string(stat[strings.LastIndex(string(stat), ")")+1:]))[16])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
