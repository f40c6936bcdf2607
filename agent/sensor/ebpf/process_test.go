//go:build linux

package ebpf

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-edr/vedette/schema/event"
)

// sha256sum asks the system's own tool.
func sha256sum(t *testing.T, file string) string {
	t.Helper()
	out, err := exec.Command("sha256sum", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	sum, _, _ := strings.Cut(string(out), " ")
	return sum
}

func created(pid uint32, name string) func(*event.Event) bool {
	return func(e *event.Event) bool {
		return e.Table == event.ProcessEvents && e.Action == "ProcessCreated" &&
			(pid == 0 || e.Process.PID == pid) && e.Process.Image.Name == name
	}
}

func TestExecReportsTheWholeProcess(t *testing.T) {
	s := newStage(t, Config{})
	s.need("bpf:exec")
	dir := t.TempDir()
	long := strings.Repeat("x", 9000)
	bin := filepath.Join(dir, "a program")
	copyFile(t, "/bin/true", bin)
	cmd := s.command(bin, "two words", "it's", "", long)
	cmd.Dir = dir
	before := time.Now()
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	pid := uint32(cmd.Process.Pid)
	e := s.wait("exec", created(pid, "a program"))
	p := e.Process
	want := fmt.Sprintf("'%s' 'two words' 'it'\\''s' '' %s", bin, long)
	if p.CommandLine != want {
		t.Errorf("command line %.300q, want %.300q", p.CommandLine, want)
	}
	if p.Image.Path != bin || p.WorkingDir != dir {
		t.Errorf("path %q in %q", p.Image.Path, p.WorkingDir)
	}
	if sum := sha256sum(t, bin); p.Image.SHA256 != sum {
		t.Errorf("sha256 %q, want %q", p.Image.SHA256, sum)
	}
	if len(p.Image.SHA1) != 40 || len(p.Image.MD5) != 32 {
		t.Errorf("sha1 %q md5 %q", p.Image.SHA1, p.Image.MD5)
	}
	host, _ := os.Hostname()
	if d := cmp.Diff(event.Account{Name: "root", Domain: host, SID: "0"}, p.Account); d != "" {
		t.Error(d)
	}
	if p.Integrity != "System" || p.Elevation != "TokenElevationTypeFull" {
		t.Errorf("integrity %q elevation %q", p.Integrity, p.Elevation)
	}
	self, _ := os.Executable()
	if i := e.Initiating; i == nil || i.PID != uint32(os.Getpid()) || i.Image.Path != self {
		t.Errorf("initiating %+v, want this test", e.Initiating)
	} else if p.Parent.PID != i.PID || p.Parent.FileName != filepath.Base(self) {
		t.Errorf("parent %+v", p.Parent)
	} else if sum := sha256sum(t, self); i.Image.SHA256 != "" && i.Image.SHA256 != sum {
		t.Errorf("initiating sha256 %q, want %q", i.Image.SHA256, sum)
	}
	if d := e.Time.Sub(before); d < -time.Second || d > deadline {
		t.Errorf("time %v, exec began at %v", e.Time, before)
	}
	if p.Start.After(e.Time.Add(20*time.Millisecond)) || p.Start.Before(before.Add(-time.Second)) {
		t.Errorf("start %v, exec at %v", p.Start, e.Time)
	}
	x := s.wait("exit", func(e *event.Event) bool { return e.Action == "ProcessTerminated" && e.Process.PID == pid })
	if x.Process.Key != p.Key || x.Additional != `{"ExitCode":0}` {
		t.Errorf("exit of key %d %s, created key %d", x.Process.Key, x.Additional, p.Key)
	}
}

func TestSecondExecIsAnotherProcessStartedByTheFirst(t *testing.T) {
	s := newStage(t, Config{})
	_, pid := s.show("again", "/bin/echo", "hello there")
	self, _ := os.Executable()
	first := s.wait("first exec", created(pid, filepath.Base(self)))
	second := s.wait("second exec", created(pid, "echo"))
	if second.Process.Key == first.Process.Key {
		t.Error("both images have one key")
	}
	if second.Initiating.Key != first.Process.Key {
		t.Errorf("initiating is %s with key %d, want the previous image with %d",
			second.Initiating.Image.Name, second.Initiating.Key, first.Process.Key)
	}
	if got := second.Process.CommandLine; got != "/bin/echo 'hello there'" {
		t.Errorf("command line %q", got)
	}
	if !second.Process.Start.Equal(first.Process.Start) {
		t.Errorf("start moved from %v to %v", first.Process.Start, second.Process.Start)
	}
}

func TestParentChain(t *testing.T) {
	s := newStage(t, Config{})
	out, err := s.command("/bin/sh", "-c", "/bin/sh -c '/bin/echo $$; /bin/true; exit 7'; true").Output()
	if err != nil {
		t.Fatal(err)
	}
	echo := s.wait("echo", created(0, "echo"))
	inner := echo.Initiating
	if got := fmt.Sprint(inner.PID); got != strings.TrimSpace(string(out)) {
		t.Errorf("echo was started by pid %s, the shell says it is %s", got, out)
	}
	if want := `/bin/sh -c '/bin/echo $$; /bin/true; exit 7'`; inner.CommandLine != want {
		t.Errorf("parent's command line %q, want %q", inner.CommandLine, want)
	}
	shell := s.wait("inner shell", func(e *event.Event) bool { return created(inner.PID, shellName(t))(e) && e.Process.Key == inner.Key })
	if inner.Parent.PID != shell.Initiating.PID || shell.Initiating.Parent.PID != uint32(os.Getpid()) {
		t.Errorf("grandparents are %d and %d", inner.Parent.PID, shell.Initiating.Parent.PID)
	}
	exit := s.wait("exit of the inner shell", func(e *event.Event) bool {
		return e.Action == "ProcessTerminated" && e.Process.Key == inner.Key
	})
	if exit.Additional != `{"ExitCode":7}` {
		t.Errorf("exit %s", exit.Additional)
	}
}

func TestScriptShowsItsOwnPath(t *testing.T) {
	s := newStage(t, Config{})
	script := filepath.Join(t.TempDir(), "run.sh")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nexit 0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	relative := s.command("./run.sh")
	relative.Dir = filepath.Dir(script)
	if err := relative.Run(); err != nil {
		t.Fatal(err)
	}
	if e := s.wait("relative name", func(e *event.Event) bool {
		return e.Action == "ProcessCreated" && e.Process.PID == uint32(relative.Process.Pid)
	}); !strings.Contains(e.Additional, `"ExecutedPath":"`+script+`"`) {
		t.Errorf("additional fields of a relative name %s", e.Additional)
	}
	cmd := s.command(script, "arg")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	e := s.wait("script", func(e *event.Event) bool {
		return e.Action == "ProcessCreated" && e.Process.PID == uint32(cmd.Process.Pid)
	})
	if want := "/bin/sh " + script + " arg"; e.Process.CommandLine != want {
		t.Errorf("command line %q, want %q", e.Process.CommandLine, want)
	}
	if !strings.Contains(e.Additional, `"ExecutedPath":"`+script+`"`) {
		t.Errorf("additional fields %s", e.Additional)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o755); err != nil {
		t.Fatal(err)
	}
}

// shellName is the name of the program behind /bin/sh.
func shellName(t *testing.T) string {
	t.Helper()
	p, err := filepath.EvalSymlinks("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Base(p)
}

func TestCatchUpFindsAProcessThatWasJustStarted(t *testing.T) {
	s := newStage(t, Config{Flush: 50 * time.Millisecond})
	for i := range 20 {
		cmd := s.command("/bin/cat")
		in, err1 := cmd.StdinPipe()
		out, err2 := cmd.StdoutPipe()
		if err := errors.Join(err1, err2, cmd.Start()); err != nil {
			t.Fatal(err)
		}
		// The kernel reports an exec a moment after Start returns; an answer comes later still.
		fmt.Fprintln(in, "hello")
		if _, err := out.Read(make([]byte, 6)); err != nil {
			t.Fatal(err)
		}
		s.sensor.CatchUp(deadline)
		p := s.sensor.Processes().Lookup(uint32(cmd.Process.Pid))
		in.Close()
		cmd.Wait()
		if p == nil || p.Image.Name != "cat" {
			t.Fatalf("the %dth is %+v", i, p)
		}
	}
	s.end()
	s.sensor.CatchUp(time.Hour) // of a sensor that ended, at once
}
