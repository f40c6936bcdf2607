//go:build linux

package ebpf

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vedette-edr/vedette/schema/event"
)

func action(pid uint32, name string) func(*event.Event) bool {
	return func(e *event.Event) bool {
		return e.Action == name && e.Initiating != nil && e.Initiating.PID == pid
	}
}

func TestProgramRunFromMemory(t *testing.T) {
	s := newStage(t, Config{})
	s.need("bpf:memfd")
	_, pid := s.show("memfd")
	m := s.wait("memfd", action(pid, "MemoryFileCreated"))
	if m.File.Name != "hidden thing" {
		t.Errorf("memory file %q", m.File.Name)
	}
	e := s.wait("exec", func(e *event.Event) bool {
		return e.Action == "ProcessCreated" && e.Process.PID == pid && strings.HasPrefix(e.Process.Image.Path, "/memfd:")
	})
	if !strings.Contains(e.Additional, `"Fileless":true,"MemoryFile":"hidden thing"`) {
		t.Errorf("additional fields %s", e.Additional)
	}
	if e.Process.CommandLine != "kworker/0:0" {
		t.Errorf("command line %q", e.Process.CommandLine)
	}
	// The image is /bin/true; it can be read only while the process lives.
	real, err := filepath.EvalSymlinks("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	if got := e.Process.Image.SHA256; got != "" && got != sha256sum(t, real) {
		t.Errorf("sha256 %s", got)
	} else if got == "" && !strings.Contains(e.Additional, `"HashUnavailable":"Gone"`) {
		t.Errorf("no hash and no reason: %s", e.Additional)
	}
}

func TestTracingAndForeignMemory(t *testing.T) {
	s := newStage(t, Config{})
	s.need("bpf:ptrace")
	out, pid := s.show("ptrace")
	for name, text := range map[string]string{
		"PTraceDetected":            `"Request":"PTRACE_SEIZE"`,
		"WriteProcessMemoryApiCall": `"Syscall":"process_vm_writev"`,
	} {
		e := s.wait(name, action(pid, name))
		if !strings.Contains(e.Additional, text) {
			t.Errorf("%s: %s", name, e.Additional)
		}
		if e.Process == nil || fmt.Sprint(e.Process.PID) != out {
			t.Errorf("%s: target %+v, want %s", name, e.Process, out)
		}
	}
}

func TestWritableCodeIsReportedOnce(t *testing.T) {
	s := newStage(t, Config{})
	s.need("bpf:wx")
	_, pid := s.show("wx")
	s.wait("exit", func(e *event.Event) bool { return e.Action == "ProcessTerminated" && e.Process.PID == pid })
	if list := s.all(action(pid, "WritableExecutableMemory")); len(list) != 1 {
		t.Fatalf("%d events, want 1:\n%s", len(list), s.dump())
	} else if !strings.Contains(list[0].Additional, `"Length":8192`) {
		t.Errorf("%s", list[0].Additional)
	}
	if n := s.sensor.Stats().Kernel["wx"].Suppressed; n != 1 {
		t.Errorf("%d repetitions counted, want 1", n)
	}
}

func TestModuleLoadAttempt(t *testing.T) {
	s := newStage(t, Config{})
	s.need(facilityModule)
	if _, err := os.Stat("/proc/modules"); err != nil {
		t.Skip("this kernel is built without loadable modules")
	}
	_, pid := s.show("module")
	e := s.wait("module load", action(pid, "KernelModuleLoad"))
	if !strings.Contains(e.Additional, `"Syscall":"init_module"`) {
		t.Errorf("%s", e.Additional)
	}
}

func TestIoUring(t *testing.T) {
	s := newStage(t, Config{})
	s.need("bpf:io_uring")
	_, pid := s.show("io_uring")
	if e := s.wait("io_uring", action(pid, "IoUringCreated")); e.Additional != `{"Entries":4}` {
		t.Errorf("%s", e.Additional)
	}
}
