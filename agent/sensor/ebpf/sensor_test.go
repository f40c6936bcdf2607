//go:build linux

package ebpf

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/hash"
	"github.com/vedette-edr/vedette/agent/sensor"
	"github.com/vedette-edr/vedette/schema/event"
)

func (s *stage) facility(name string) sensor.Facility {
	s.t.Helper()
	for _, f := range s.sensor.Facilities() {
		if f.Name == name {
			return f
		}
	}
	s.t.Fatalf("no facility %s", name)
	return sensor.Facility{}
}

func TestWithoutTracefsTheRestWorks(t *testing.T) {
	s := newStage(t, Config{Disable: []string{"tracefs", "bpf:tcp"}})
	for name, want := range map[string]sensor.State{
		"tracefs": sensor.Missing, "bpf:file": sensor.Missing, "bpf:ptrace": sensor.Missing, "bpf:tcp": sensor.Missing,
		"bpf:exec": sensor.Working, "bpf:connect": sensor.Working,
	} {
		f := s.facility(name)
		if f.State != want || (want == sensor.Missing) != (f.Detail != "" && f.Remedy != "") {
			t.Errorf("%+v, want %s", f, want)
		}
	}
	_, pid := s.show("connect", "127.0.0.77:7", "203.0.113.9:443")
	s.wait("attempt", connection(pid, "ConnectionAttempt", "127.0.0.77", 7))
	if list := s.all(func(e *event.Event) bool { return e.Action == "ConnectionFailed" || e.Table == event.FileEvents }); len(list) != 0 {
		t.Errorf("events of what is missing:\n%s", s.dump())
	}
}

func TestWithoutCgroupsAttemptsComeFromTheTCPState(t *testing.T) {
	s := newStage(t, Config{Disable: []string{"cgroup2"}})
	if f := s.facility("bpf:connect"); f.State != sensor.Degraded {
		t.Errorf("%+v", f)
	}
	_, pid := s.show("connect", "127.0.0.77:7", "203.0.113.9:443")
	s.wait("attempt", connection(pid, "ConnectionAttempt", "127.0.0.77", 7))
	s.wait("failure", connection(pid, "ConnectionFailed", "127.0.0.77", 7))
}

func TestListenerFromBeforeTheSensorOwnsWhatItAccepts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := newStage(t, Config{CgroupPath: wholeMachine})
	s.need("bpf:tcp")
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	from := c.LocalAddr().(*net.TCPAddr).Port
	a := s.wait("accept", connection(uint32(os.Getpid()), "InboundConnectionAccepted", "127.0.0.1", uint16(from)))
	if a.Network.LocalPort != uint16(l.Addr().(*net.TCPAddr).Port) {
		t.Errorf("%+v", a.Network)
	}
}

func TestBurstOfExecsLosesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	const n = 5000
	s := newStage(t, Config{})
	loop := fmt.Sprintf("i=0; while [ $i -lt %d ]; do /bin/true $i; i=$((i+1)); done", n)
	if err := s.command("/bin/sh", "-c", loop).Run(); err != nil {
		t.Fatal(err)
	}
	s.end()
	seen := make(map[string]bool)
	hash := ""
	for _, e := range s.all(created(0, "true")) {
		seen[e.Process.CommandLine] = true
		if hash == "" {
			hash = sha256sum(t, e.Process.Image.Path)
		}
		if e.Process.Image.SHA256 != hash {
			t.Fatalf("sha256 %q, want %q: %s", e.Process.Image.SHA256, hash, e.Additional)
		}
	}
	if len(seen) != n {
		t.Errorf("%d execs seen, want %d", len(seen), n)
	}
	if len(s.gaps) != 0 {
		t.Errorf("gaps: %+v", s.gaps)
	}
	st := s.sensor.Stats()
	for name, c := range st.Kernel {
		if c.Lost != 0 {
			t.Errorf("%d %s records lost", c.Lost, name)
		}
	}
	if st.Malformed != 0 {
		t.Errorf("%d records malformed", st.Malformed)
	}
}

// slow is a sink that takes nothing until it is let.
type slow struct {
	*stage
	gate chan struct{}
}

func (s slow) Emit(e *event.Event) {
	<-s.gate
	s.stage.Emit(e)
}

func TestWhatTheRingCannotHoldIsCounted(t *testing.T) {
	const n = 400
	gate := make(chan struct{})
	s := newStageFor(t, Config{RingBytes: 64 << 10, OmitExit: true}, func(s *stage) sensor.Sink { return slow{s, gate} })
	loop := fmt.Sprintf("i=0; while [ $i -lt %d ]; do /bin/true %s; i=$((i+1)); done", n, strings.Repeat("x", 2000))
	if err := s.command("/bin/sh", "-c", loop).Run(); err != nil {
		t.Fatal(err)
	}
	close(gate)
	s.end()
	var lost uint64
	for _, g := range s.gaps {
		if g.Source == "kernel:exec" {
			lost += g.Count
		}
		if g.From.After(g.To) || g.Reason == "" {
			t.Errorf("gap %+v", g)
		}
	}
	got := len(s.all(created(0, "true"))) + len(s.all(created(0, shellName(t))))
	if lost == 0 || uint64(got)+lost != n+1 {
		t.Errorf("%d execs reported and %d lost, of %d", got, lost, n+1)
	}
}

func TestConnectionDoesNotWaitForABigHash(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	big := filepath.Join(t.TempDir(), "big")
	copyFile(t, self, big)
	if err := os.Truncate(big, 200<<20); err != nil {
		t.Fatal(err)
	}
	s := newStage(t, Config{})
	cmd := s.command(big, "127.0.0.77:7", "203.0.113.9:443")
	cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWNET
	cmd.Env = append(os.Environ(), behaviourEnv+"=connect")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	pid := uint32(cmd.Process.Pid)
	e := s.wait("exec", created(pid, "big"))
	if want := sha256sum(t, big); e.Process.Image.SHA256 != want {
		t.Errorf("sha256 %q, want %q: %s", e.Process.Image.SHA256, want, e.Additional)
	}
	s.wait("exit", func(e *event.Event) bool { return e.Action == terminated && e.Process.PID == pid })
	var order []string
	for _, e := range s.all(func(e *event.Event) bool {
		return e.Action == "ConnectionAttempt" || e.Process != nil && e.Process.PID == pid
	}) {
		order = append(order, e.Action)
	}
	if got := strings.Join(order, " "); got != "ConnectionAttempt ConnectionAttempt ProcessCreated ProcessTerminated" {
		t.Errorf("order: %s", got)
	}
}

func TestTooBigAFileSaysSo(t *testing.T) {
	big := filepath.Join(t.TempDir(), "big")
	copyFile(t, "/bin/true", big)
	if err := os.Truncate(big, 257<<20); err != nil {
		t.Fatal(err)
	}
	s := newStage(t, Config{})
	if err := s.command(big).Run(); err != nil {
		t.Fatal(err)
	}
	e := s.wait("exec", created(0, "big"))
	if e.Process.Image.SHA256 != "" || !strings.Contains(e.Additional, `"HashUnavailable":"TooLarge"`) {
		t.Errorf("%q %s", e.Process.Image.SHA256, e.Additional)
	}
}

func TestAFullHashQueueDoesNotHideProcesses(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	pool := hash.NewPool(hash.Config{Workers: 1})
	t.Cleanup(pool.Close)
	free := make(chan struct{})
	if err := pool.Submit(hash.ID{}, nil, func(hash.Sums, error) { <-free }); err != nil {
		t.Fatal(err)
	}
	s := newStage(t, Config{Pool: pool})
	if err := s.command("/bin/true").Run(); err != nil {
		t.Fatal(err)
	}
	e := s.wait("exec", created(0, "true"))
	if !strings.Contains(e.Additional, `"HashUnavailable":"Late"`) {
		t.Errorf("%q %s", e.Process.Image.SHA256, e.Additional)
	}
	close(free)
	want := sha256sum(t, "/bin/true")
	for end := time.Now().Add(deadline); ; {
		p := s.sensor.Processes().Lookup(e.Process.PID)
		if p != nil && p.Image.SHA256 == want {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the table never learned the hash: %+v", p)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
