package restrict

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/mounttest"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/enforce/file"
	"github.com/vedette-edr/vedette/agent/enforce/fileless"
	"github.com/vedette-edr/vedette/agent/hash"
	"github.com/vedette-edr/vedette/agent/kernfs"
	"github.com/vedette-edr/vedette/agent/launch"
	"github.com/vedette-edr/vedette/agent/responder"
	"github.com/vedette-edr/vedette/schema/event"
)

// The test program is also the watchdog, the probe, and programs that misbehave.
func TestMain(m *testing.M) {
	launch.Begin()
	switch os.Getenv("RESTRICT_TEST_ROLE") {
	case "watchdog":
		if err := file.Watch(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	case "memfd":
		os.Exit(memfd(os.Args[1:]))
	}
	os.Exit(m.Run())
}

func role(name string, args ...string) *exec.Cmd {
	c := exec.Command("/proc/self/exe", args...)
	c.Env = append(os.Environ(), "RESTRICT_TEST_ROLE="+name)
	return c
}

// memfd runs a copy of a program that is in memory alone.
func memfd(args []string) int {
	raw, err := os.ReadFile(args[0])
	if err != nil {
		return 1
	}
	fd, err := unix.MemfdCreate("payload", 0)
	if err != nil {
		return 1
	}
	if _, err := unix.Write(fd, raw); err != nil {
		return 1
	}
	_ = unix.Exec(fmt.Sprintf("/proc/self/fd/%d", fd), args, os.Environ())
	return 1
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

// lab is a root of its own on a tmpfs of its own, with a few programs that a package brought,
// and a guard of that file system alone.
type lab struct {
	t     testing.TB
	root  string
	state string
	seen  *sink

	pool    *hash.Pool
	guard   *file.Guard
	r       *Restrictor
	h       *Handler
	refused []*event.Event
	mu      sync.Mutex
	stop    func()
	cgroup  string // in which programs without a file are ended at once
	inside  string // its directory
	ended   []fileless.Ended
}

func newLab(t testing.TB) *lab {
	t.Helper()
	l := &lab{t: t, seen: &sink{}}
	if _, bench := t.(*testing.B); bench {
		// What is on a disk keeps its digests while it is not written; what is in memory does not.
		l.root = mounttest.Disk(t, "128M")
	} else {
		l.root = mounttest.Tmpfs(t, "mode=755")
	}
	m, err := kernfs.Cgroup()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	l.cgroup = fmt.Sprintf("/vdtrestrict%d", os.Getpid())
	l.inside = filepath.Join(strings.Replace(m.Path, "/proc/self/", fmt.Sprintf("/proc/%d/", os.Getpid()), 1), l.cgroup)
	if err := os.Mkdir(l.inside, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for end := time.Now().Add(20 * time.Second); os.Remove(l.inside) != nil; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Error("the cgroup cannot be removed")
				return
			}
		}
	})
	l.state = filepath.Join(l.root, "state")
	for _, d := range []string{"state", "tmp", "opt", "proc", "dev", "usr/bin", "var/lib/dpkg/info"} {
		if err := os.MkdirAll(filepath.Join(l.root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("usr/bin", filepath.Join(l.root, "bin")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("proc", filepath.Join(l.root, "proc"), "proc", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(filepath.Join(l.root, "proc"), unix.MNT_DETACH) })
	var files []string
	for name, of := range map[string]string{"sh": "dash", "true": "true", "cat": "cat", "cp": "cp", "sleep": "sleep", "perl": "perl", "mount": "mount", "unshare": "unshare"} {
		files = append(files, l.install(of, "usr/bin/"+name)...)
	}
	l.pack("base", files...)
	return l
}

// install copies a program of this machine and its libraries into the root and returns
// their names.
func (l *lab) install(of, name string) []string {
	l.t.Helper()
	real, err := exec.LookPath(of)
	if err != nil {
		l.t.Fatal(err)
	}
	if real, err = filepath.EvalSymlinks(real); err != nil {
		l.t.Fatal(err)
	}
	l.copy(real, name)
	names := []string{name}
	out, err := exec.Command("ldd", real).Output()
	if err != nil {
		l.t.Fatalf("ldd %s: %v", real, err)
	}
	for _, m := range regexp.MustCompile(`(/\S+) \(0x`).FindAllStringSubmatch(string(out), -1) {
		if _, err := os.Lstat(filepath.Join(l.root, m[1])); err != nil {
			l.copy(m[1], m[1][1:])
		}
		names = append(names, m[1][1:])
	}
	return names
}

func (l *lab) copy(from, to string) {
	l.t.Helper()
	raw, err := os.ReadFile(from)
	if err != nil {
		l.t.Fatal(err)
	}
	l.put(to, string(raw))
}

// put writes an executable file.
func (l *lab) put(name, text string) string {
	l.t.Helper()
	p := filepath.Join(l.root, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o755); err != nil {
		l.t.Fatal(err)
	}
	return p
}

// pack says that a package brought the files as they are.
func (l *lab) pack(pkg string, names ...string) {
	l.t.Helper()
	var b strings.Builder
	for _, n := range names {
		raw, err := os.ReadFile(filepath.Join(l.root, n))
		if err != nil {
			l.t.Fatal(err)
		}
		sum := md5.Sum(raw)
		fmt.Fprintf(&b, "%s  %s\n", hex.EncodeToString(sum[:]), n)
	}
	if err := os.WriteFile(filepath.Join(l.root, "var/lib/dpkg/info", pkg+".md5sums"), []byte(b.String()), 0o644); err != nil {
		l.t.Fatal(err)
	}
}

// start runs a guard and what confines it, until the test or stop ends them.
func (l *lab) start() {
	l.t.Helper()
	l.pool = hash.NewPool(hash.Config{})
	l.r = New(Config{StateDir: l.state, Pool: l.pool, Root: l.root, Cgroup: l.cgroup, Ended: func(e fileless.Ended) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.ended = append(l.ended, e)
	}})
	var err error
	l.guard, err = file.New(file.Config{
		Pool: l.pool, Confine: l.r, Watchdog: func() *exec.Cmd { return role("watchdog") },
		Decide: func(hash.Sums) file.Decision { return file.Decision{} }, Active: func() bool { return false },
		Accept: func(m file.Mount) bool { return m.Point == l.root },
		Refused: func(e *event.Event, _ string) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.refused = append(l.refused, e)
		},
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.h = &Handler{Restrictor: l.r, Guard: l.guard}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.guard.Run(ctx, l.seen) }()
	var once sync.Once
	l.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				l.t.Error(err)
			}
			if err := l.r.Close(); err != nil {
				l.t.Error(err)
			}
			l.pool.Close()
		})
	}
	l.t.Cleanup(l.stop)
}

func (l *lab) do(kind string, p Params) responder.Result {
	l.t.Helper()
	raw, err := json.Marshal(p)
	if err != nil {
		l.t.Fatal(err)
	}
	return l.h.Handle(l.t.Context(), responder.Command{ID: "1", Kind: kind, Params: raw})
}

func (l *lab) restrict(p Params) {
	l.t.Helper()
	if r := l.do(KindRestrict, p); r.State != responder.Verified {
		l.t.Fatalf("restrict: %+v %s", r, r.Evidence)
	}
}

func (l *lab) unrestrict() {
	l.t.Helper()
	if r := l.do(KindUnrestrict, Params{}); r.State != responder.Verified {
		l.t.Fatalf("unrestrict: %+v %s", r, r.Evidence)
	}
}

// run runs a program below the root.
func (l *lab) run(args ...string) (string, error) {
	out, err := exec.Command("chroot", append([]string{l.root}, args...)...).CombinedOutput()
	return string(out), err
}

// runs and denied assert what a program below the root may.
func (l *lab) runs(args ...string) {
	l.t.Helper()
	if out, err := l.run(args...); err != nil {
		l.t.Errorf("%q: %v %s", args, err, out)
	}
}

func (l *lab) denied(args ...string) {
	l.t.Helper()
	out, err := l.run(args...)
	if err == nil || strings.Contains(out, "pwned") {
		l.t.Errorf("%q ran: %s", args, out)
	}
}

// told waits for an event.
func (l *lab) told(what string, ok func(*event.Event) bool) {
	l.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		l.seen.mu.Lock()
		for _, e := range l.seen.events {
			if ok(e) {
				l.seen.mu.Unlock()
				return
			}
		}
		n := len(l.seen.events)
		l.seen.mu.Unlock()
		if time.Now().After(end) {
			l.t.Errorf("%s was not reported, of %d events", what, n)
			return
		}
	}
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited for %s", what)
		}
	}
}
