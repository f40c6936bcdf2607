//go:build linux

package ebpf

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/sensor"
	"github.com/vedette-edr/vedette/schema/event"
)

// behaviourEnv names the behaviour that a copy of the test binary shows instead of testing.
const behaviourEnv = "VEDETTE_BEHAVIOUR"

func TestMain(m *testing.M) {
	if name := os.Getenv(behaviourEnv); name != "" {
		f := behaviours[name]
		if f == nil {
			fmt.Fprintln(os.Stderr, "no behaviour", name)
			os.Exit(2)
		}
		if err := f(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, name+":", err)
			os.Exit(3)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// deadline is how long a test waits for an event before it fails: long, because the
// machine may be busy; a passing test never waits for it.
const deadline = 20 * time.Second

// wholeMachine as CgroupPath of a stage lets its sensor see more than the stage's programs.
const wholeMachine = "whole machine"

// stage is a running sensor that sees one cgroup only, and what it reported.
type stage struct {
	t      *testing.T
	sensor *Sensor
	cgroup *os.File
	stop   context.CancelFunc
	done   chan error

	mu     sync.Mutex
	events []*event.Event
	gaps   []event.Gap
	more   chan struct{} // closed and replaced at each event
}

func (s *stage) Emit(e *event.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
	close(s.more)
	s.more = make(chan struct{})
}

func (s *stage) Lost(g event.Gap) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gaps = append(s.gaps, g)
}

// newStage starts a sensor with cfg, or skips the test where there can be none.
func newStage(t *testing.T, cfg Config) *stage {
	t.Helper()
	return newStageFor(t, cfg, func(s *stage) sensor.Sink { return s })
}

// newStageFor lets the test stand between the sensor and the stage.
func newStageFor(t *testing.T, cfg Config, sink func(*stage) sensor.Sink) *stage {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	path := newCgroup(t)
	if cfg.CgroupPath != wholeMachine {
		cfg.CgroupPath = path
	} else {
		cfg.CgroupPath = ""
	}
	dir, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	s := &stage{t: t, sensor: New(cfg), cgroup: dir, stop: stop, done: make(chan error, 1), more: make(chan struct{})}
	go func() { s.done <- s.sensor.Run(ctx, sink(s)) }()
	t.Cleanup(func() {
		s.end()
		dir.Close()
	})
	select {
	case <-s.sensor.Ready():
	case err := <-s.done:
		s.done <- err
		t.Skipf("no BPF here: %v", err)
	case <-time.After(deadline):
		t.Fatal("sensor did not become ready")
	}
	return s
}

// end stops the sensor and waits for it; then no more events come.
func (s *stage) end() {
	s.t.Helper()
	s.stop()
	select {
	case err := <-s.done:
		s.done <- err
		if err != nil {
			s.t.Errorf("Run: %v", err)
		}
	case <-time.After(deadline):
		s.t.Error("sensor did not stop")
	}
}

// newCgroup makes a cgroup2 directory of the test's own.
func newCgroup(t *testing.T) string {
	t.Helper()
	root := ""
	for _, p := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var sf unix.Statfs_t
		if unix.Statfs(p, &sf) == nil && int64(sf.Type) == unix.CGROUP2_SUPER_MAGIC {
			root = p
		}
	}
	if root == "" {
		t.Skip("no cgroup2 is mounted")
	}
	dir, err := os.MkdirTemp(root, "vedette-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0)
		end := time.Now().Add(deadline)
		for os.Remove(dir) != nil && time.Now().Before(end) {
			time.Sleep(5 * time.Millisecond)
		}
	})
	return dir
}

// command prepares a program that runs in the watched cgroup.
func (s *stage) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(s.cgroup.Fd())}
	cmd.Stderr = os.Stderr
	return cmd
}

// show runs one behaviour of this test binary in the watched cgroup, in a network namespace
// of its own, and returns its output and pid.
func (s *stage) show(name string, args ...string) (string, uint32) {
	s.t.Helper()
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := s.command(self, args...)
	cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWNET
	cmd.Env = append(os.Environ(), behaviourEnv+"="+name)
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("%s: %v", name, err)
	}
	return strings.TrimSpace(string(out)), uint32(cmd.Process.Pid)
}

// wait returns the first event that ok accepts.
func (s *stage) wait(what string, ok func(*event.Event) bool) *event.Event {
	s.t.Helper()
	timeout := time.After(deadline)
	for seen := 0; ; {
		s.mu.Lock()
		more := s.more
		fresh := s.events[seen:]
		seen = len(s.events)
		s.mu.Unlock()
		for _, e := range fresh {
			if ok(e) {
				return e
			}
		}
		select {
		case <-more:
		case <-timeout:
			s.t.Fatalf("no event: %s; saw:\n%s", what, s.dump())
		}
	}
}

// all returns the events so far that ok accepts.
func (s *stage) all(ok func(*event.Event) bool) []*event.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*event.Event
	for _, e := range s.events {
		if ok(e) {
			list = append(list, e)
		}
	}
	return list
}

func (s *stage) dump() string {
	var b strings.Builder
	for _, e := range s.all(func(*event.Event) bool { return true }) {
		fmt.Fprintf(&b, "  %.300s\n", line(e))
	}
	for _, f := range s.sensor.Facilities() {
		if f.State != sensor.Working {
			fmt.Fprintf(&b, "  %s is %s: %s\n", f.Name, f.State, f.Detail)
		}
	}
	return b.String()
}

func line(e *event.Event) string {
	out := e.Table.String() + " " + e.Action
	if e.Initiating != nil {
		out += " by " + strconv.Itoa(int(e.Initiating.PID)) + " " + e.Initiating.Image.Name
	}
	if e.Process != nil {
		out += " of " + strconv.Itoa(int(e.Process.PID)) + " " + e.Process.CommandLine
	}
	if e.File != nil {
		out += " file " + e.File.Path
	}
	if e.Network != nil {
		out += fmt.Sprintf(" net %+v", *e.Network)
	}
	return out + " " + e.Additional
}

// need skips the test when the kernel cannot have the facility, and fails it when it
// should have it and does not work.
func (s *stage) need(name string) {
	s.t.Helper()
	for _, f := range s.sensor.Facilities() {
		if f.Name == name {
			if f.State == sensor.Missing {
				s.t.Fatalf("%s: %s", name, f.Detail)
			}
			return
		}
	}
	s.t.Fatalf("no facility %s", name)
}
