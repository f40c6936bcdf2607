package file

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/mounttest"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/hash"
	"github.com/vedette-edr/vedette/agent/quarantine"
	"github.com/vedette-edr/vedette/schema/event"
)

const patience = 20 * time.Second

// The test program is also the watchdog, and the agent that it watches.
func TestMain(m *testing.M) {
	switch os.Getenv("FILE_TEST_ROLE") {
	case "watchdog":
		if err := Watch(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	case "agent":
		if err := agent(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func watchdog() *exec.Cmd {
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), "FILE_TEST_ROLE=watchdog")
	return c
}

// agent guards one directory until its input ends.
func agent() error {
	g, err := New(Config{
		Pool: hash.NewPool(hash.Config{}), Decide: func(hash.Sums) Decision { return Decision{} }, Active: func() bool { return true },
		Accept: below(os.Getenv("FILE_TEST_DIR")), Watchdog: watchdog,
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	go func() {
		for g.Stats().Marked == 0 {
			time.Sleep(time.Millisecond)
		}
		fmt.Println("marked")
	}()
	return g.Run(ctx, &sink{})
}

func below(dir string) func(Mount) bool {
	return func(m Mount) bool { return dir != "" && strings.HasPrefix(m.Point, dir) }
}

type sink struct {
	mu     sync.Mutex
	events []*event.Event
}

func (s *sink) Emit(e *event.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

func (s *sink) Lost(event.Gap) {}

// guarded is a Guard of one tmpfs of the test's own.
type guarded struct {
	*Guard
	*sink
	dir   string
	vault *quarantine.Vault

	mu    sync.Mutex
	rules map[string]Decision // by SHA-256
}

func start(t testing.TB, dir string) *guarded {
	t.Helper()
	x := &guarded{sink: &sink{}, dir: dir, rules: map[string]Decision{}}
	var err error
	if x.vault, err = quarantine.Open(quarantine.Config{Dir: filepath.Join(t.TempDir(), "vault")}); err != nil {
		t.Fatal(err)
	}
	pool := hash.NewPool(hash.Config{})
	t.Cleanup(pool.Close)
	x.Guard, err = New(Config{
		Pool: pool, Vault: x.vault, Accept: below(dir), Watchdog: watchdog,
		Decide: func(s hash.Sums) Decision {
			x.mu.Lock()
			defer x.mu.Unlock()
			return x.rules[s.SHA256]
		},
		Active: func() bool {
			x.mu.Lock()
			defer x.mu.Unlock()
			return len(x.rules) > 0
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- x.Run(ctx, x.sink) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return x
}

func (x *guarded) rule(t testing.TB, path string, a Action) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	x.mu.Lock()
	x.rules[hex.EncodeToString(sum[:])] = Decision{Action: a, ID: 7}
	x.mu.Unlock()
	x.Changed()
	x.wait(t, "the mark", func() bool { return x.Stats().Marked > 0 })
}

func (x *guarded) wait(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited for %s; %+v, %+v", what, x.Stats(), x.Facilities())
		}
	}
}

// program puts a copy of a program, made unique by what is appended to it, into the directory.
func program(t testing.TB, dir, name, of string) string {
	t.Helper()
	real, err := exec.LookPath(of)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(real)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, append(b, t.Name()+name...), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// command runs a program by way of a shell: the test's own process, which answers the
// kernel, must not wait in execve for its own answer.
func command(path string, args ...string) *exec.Cmd {
	return exec.Command("sh", append([]string{"-c", `exec "$0" "$@"`, path}, args...)...)
}

// run reports unix.EPERM when the program was not permitted to run.
func run(path string, args ...string) error {
	out, err := command(path, args...).CombinedOutput()
	if err != nil && strings.Contains(strings.ToLower(string(out)), "not permitted") {
		return unix.EPERM
	}
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func (x *guarded) told(t testing.TB, ok func(*event.Event) bool) *event.Event {
	t.Helper()
	var e *event.Event
	x.wait(t, "an event", func() bool {
		x.sink.mu.Lock()
		defer x.sink.mu.Unlock()
		if i := slices.IndexFunc(x.events, ok); i >= 0 {
			e = x.events[i]
		}
		return e != nil
	})
	return e
}

func TestBlockedFilesDoNotRunWhateverTheyAreCalled(t *testing.T) {
	x := start(t, mounttest.Tmpfs(t, ""))
	bad, good := program(t, x.dir, "bad", "true"), program(t, x.dir, "good", "true")
	if err := run(bad); err != nil {
		t.Fatal("before the rule:", err)
	}
	x.rule(t, bad, Block)
	if err := run(bad); !errors.Is(err, unix.EPERM) {
		t.Errorf("the file itself: %v", err)
	}
	if err := run(good); err != nil {
		t.Errorf("another: %v", err)
	}
	// A blocked file cannot be read either once it is known, so its copies come from elsewhere.
	content, err := os.ReadFile(bad) // the agent's own process may
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(x.dir, "link")
	if err := os.Link(bad, link); err != nil {
		t.Fatal(err)
	}
	sym := filepath.Join(x.dir, "sym")
	if err := os.Symlink(bad, sym); err != nil {
		t.Fatal(err)
	}
	dup := filepath.Join(x.dir, "copy")
	if err := os.WriteFile(dup, content, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(good, content, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{link, sym, dup, good} {
		if err := run(path); !errors.Is(err, unix.EPERM) {
			t.Errorf("%s: %v", path, err)
		}
	}
	// By way of a bind mount in a mount namespace of its own.
	other := filepath.Join(x.dir, "other")
	if err := os.WriteFile(other, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("unshare", "-m", "sh", "-c", `mount --bind "$1" "$2" && exec "$2"`, "sh", dup, other).CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("not permitted")) {
		t.Errorf("bound elsewhere: %v %s", err, out)
	}
	// And a deleted file that is still held open.
	f, err := os.Open(dup)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Remove(dup); err != nil {
		t.Fatal(err)
	}
	if err := run(fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd())); err == nil {
		t.Error("a deleted file runs")
	}
	e := x.told(t, func(e *event.Event) bool { return e.File.Path == bad })
	if e.Action != "AntivirusDetection" || !strings.Contains(e.Additional, `"Action":"Blocked"`) || !strings.Contains(e.Additional, "CustomEnterpriseBlock") || !strings.Contains(e.Additional, `"IndicatorId":7`) {
		t.Errorf("%+v", e)
	}
	out, err = exec.Command("sha256sum", link).CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("not permitted")) {
		t.Errorf("a known blocked file is read: %s %v", out, err)
	}
	x.mu.Lock()
	clear(x.rules)
	x.mu.Unlock()
	x.Changed()
	x.wait(t, "the end of the marks", func() bool { return x.Stats().Marked == 0 })
	if err := run(bad); err != nil {
		t.Errorf("after the rule: %v", err)
	}
}

func TestScriptsAreBlocked(t *testing.T) {
	x := start(t, mounttest.Tmpfs(t, ""))
	path := filepath.Join(x.dir, "evil.sh")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nsleep 60\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	x.rule(t, path, Block)
	// Given to the interpreter: the kernel does not ask, the sensors report.
	cmd := exec.Command("sh", "evil.sh")
	cmd.Dir = x.dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	x.wait(t, "the shell", func() bool { return len(scriptsOf(uint32(cmd.Process.Pid))) > 0 })
	x.Observe(&event.Event{Table: event.ProcessEvents, Action: "ProcessCreated",
		Process: &event.Process{PID: uint32(cmd.Process.Pid), Image: event.File{Name: "dash"}}})
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the script ends with %v", err)
	}
	// Now it is known, and cannot be opened.
	cmd = exec.Command("sh", path)
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(strings.ToLower(string(out)), "not permitted") && !strings.Contains(strings.ToLower(string(out)), "can't open") {
		t.Errorf("again: %v %s", err, out)
	}
	if err := run(path); !errors.Is(err, unix.EPERM) {
		t.Errorf("by itself: %v", err)
	}
}

func TestMemoryFilesAreEnded(t *testing.T) {
	x := start(t, mounttest.Tmpfs(t, ""))
	bad := program(t, x.dir, "bad", "sleep")
	content, err := os.ReadFile(bad)
	if err != nil {
		t.Fatal(err)
	}
	x.rule(t, bad, Block)
	fd, err := unix.MemfdCreate("m", 0)
	if err != nil {
		t.Fatal(err)
	}
	m := os.NewFile(uintptr(fd), "m")
	defer m.Close()
	if _, err := m.Write(content); err != nil {
		t.Fatal(err)
	}
	cmd := command(fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd), "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	x.wait(t, "the program", func() bool {
		exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", cmd.Process.Pid))
		return err == nil && strings.HasPrefix(exe, "/memfd:")
	})
	sum := sha256.Sum256(content)
	x.Observe(&event.Event{Table: event.ProcessEvents, Action: "ProcessCreated",
		Process: &event.Process{PID: uint32(cmd.Process.Pid), Image: event.File{Name: "memfd:m", SHA256: hex.EncodeToString(sum[:])}}})
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("it ends with %v", err)
	}
	x.told(t, func(e *event.Event) bool { return strings.Contains(e.Additional, `"Action":"Killed"`) })
}

func TestRemediatedFilesAreEndedAndPutIntoQuarantine(t *testing.T) {
	x := start(t, mounttest.Tmpfs(t, ""))
	bad := program(t, x.dir, "bad", "sleep")
	var running []*exec.Cmd
	for range 3 {
		c := command(bad, "60")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		running = append(running, c)
	}
	want, err := os.ReadFile(bad)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range running {
		x.wait(t, "the program", func() bool {
			exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", c.Process.Pid))
			return err == nil && exe == bad
		})
	}
	x.rule(t, bad, Remediate)
	for _, c := range running {
		if err := c.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Errorf("a running one ends with %v", err)
		}
	}
	x.wait(t, "quarantine", func() bool { return len(x.vault.Items()) > 0 })
	if _, err := os.Stat(bad); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
	item := x.vault.Items()[0]
	if item.Path != bad || item.Why.Indicator != 7 || item.State != quarantine.Quarantined {
		t.Errorf("%+v", item)
	}
	e := x.told(t, func(e *event.Event) bool { return strings.Contains(e.Additional, `"Action":"Quarantined"`) })
	if !strings.Contains(e.Additional, `"WasRemediated":true`) || !strings.Contains(e.Additional, item.ID) || e.File.SHA256 != item.SHA256 {
		t.Errorf("%+v", e)
	}
	// Brought back it does not run, and goes again.
	if err := os.WriteFile(bad, want, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := run(bad, "60"); err == nil {
		t.Error("brought back it runs")
	}
	x.wait(t, "quarantine again", func() bool { return len(x.vault.Items()) > 1 })
}

func TestWatchedAndWarnedFilesRun(t *testing.T) {
	x := start(t, mounttest.Tmpfs(t, ""))
	for a, want := range map[Action]string{Audit: "AntivirusDetection", Warn: "SmartScreenAppWarning"} {
		path := program(t, x.dir, fmt.Sprint("p", a), "true")
		x.rule(t, path, a)
		if err := run(path); err != nil {
			t.Error(err)
		}
		if e := x.told(t, func(e *event.Event) bool { return e.File.Path == path }); e.Action != want {
			t.Errorf("%+v", e)
		}
	}
}

func TestAStoppedOrKilledAgentHoldsNobodyUp(t *testing.T) {
	dir := mounttest.Tmpfs(t, "")
	path := program(t, dir, "p", "true")
	for name, sig := range map[string]syscall.Signal{"stopped": syscall.SIGSTOP, "killed": syscall.SIGKILL, "ended": syscall.SIGTERM} {
		t.Run(name, func(t *testing.T) {
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			a := exec.Command(self)
			a.Env = append(os.Environ(), "FILE_TEST_ROLE=agent", "FILE_TEST_DIR="+dir)
			in, err := a.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			var said bytes.Buffer
			a.Stderr = &said
			out, err := a.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := a.Start(); err != nil {
				t.Fatal(err)
			}
			defer a.Wait()
			defer a.Process.Kill()
			if _, err := io.ReadFull(out, make([]byte, len("marked\n"))); err != nil {
				t.Fatal(err)
			}
			if err := run(path); err != nil {
				t.Fatal(err)
			}
			if err := a.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			for end := time.Now().Add(patience); sig == syscall.SIGSTOP && time.Now().Before(end); time.Sleep(time.Millisecond) {
				stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", a.Process.Pid))
				if err != nil || bytes.Contains(stat, []byte(") T ")) {
					break
				}
			}
			began := time.Now()
			if err := run(path); err != nil {
				t.Error(err)
			}
			t.Logf("ran after %s; %s", time.Since(began).Round(time.Millisecond), said.String())
			if d := time.Since(began); d > 10*time.Second {
				t.Errorf("it waited for %s", d)
			}
		})
	}
}

// BenchmarkExec measures what being asked for costs: a file that is known, and one that
// has to be read each time because it has just been written.
func BenchmarkExec(b *testing.B) {
	for _, c := range []string{"unguarded", "known", "new"} {
		b.Run(c, func(b *testing.B) {
			dir := mounttest.Disk(b, "64M") // digests of files in memory are not kept
			path := program(b, dir, "p", "true")
			other := program(b, dir, "q", "true")
			if c != "unguarded" {
				start(b, dir).rule(b, other, Block)
			}
			time.Sleep(100 * time.Millisecond)
			for b.Loop() {
				if c == "new" {
					b.StopTimer()
					now := time.Now()
					if err := os.Chtimes(path, now, now); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
				}
				if err := run(path); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
