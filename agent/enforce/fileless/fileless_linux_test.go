package fileless

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/kernfs"
)

// The test program also runs others from memory and from deleted files.
func TestMain(m *testing.M) {
	switch os.Getenv("FILELESS_TEST") {
	case "":
		os.Exit(m.Run())
	case "memfd":
		os.Exit(fromMemory())
	case "deleted":
		os.Exit(fromDeleted())
	}
}

func fromMemory() int {
	raw, err := os.ReadFile("/bin/echo")
	if err != nil {
		return 2
	}
	fd, err := unix.MemfdCreate("payload", 0)
	if err != nil {
		return 2
	}
	if _, err := unix.Write(fd, raw); err != nil {
		return 2
	}
	_ = unix.Exec(fmt.Sprintf("/proc/self/fd/%d", fd), []string{"echo", "pwned"}, nil)
	return 2
}

func fromDeleted() int {
	raw, err := os.ReadFile("/bin/echo")
	if err != nil {
		return 2
	}
	name := filepath.Join(os.Getenv("FILELESS_DIR"), fmt.Sprintf("gone%d", os.Getpid()))
	if err := os.WriteFile(name, raw, 0o755); err != nil {
		return 2
	}
	fd, err := unix.Open(name, unix.O_RDONLY, 0)
	if err != nil || os.Remove(name) != nil {
		return 2
	}
	_ = unix.Exec(fmt.Sprintf("/proc/self/fd/%d", fd), []string{"echo", "pwned"}, nil)
	return 2
}

// cgroup makes one that only the test's programs are in.
func cgroup(t *testing.T) (name, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	m, err := kernfs.Cgroup()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	name = fmt.Sprintf("/vdtfileless%d", os.Getpid())
	dir = filepath.Join(strings.Replace(m.Path, "/proc/self/", fmt.Sprintf("/proc/%d/", os.Getpid()), 1), name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			if err := os.Remove(dir); err == nil || time.Now().After(end) {
				if err != nil {
					t.Error(err)
				}
				return
			}
		}
	})
	return name, dir
}

func TestProgramsWithoutAFileDoNotRun(t *testing.T) {
	name, dir := cgroup(t)
	told := make(chan Ended, 1000)
	run := func(how string) (string, error) {
		cmd := exec.Command("sh", "-c", `echo $$ >"$0/cgroup.procs" && exec "$@"`, dir, "/proc/self/exe")
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Args[len(cmd.Args)-1] = self
		cmd.Env = append(os.Environ(), "FILELESS_TEST="+how, "FILELESS_DIR="+t.TempDir())
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for _, how := range []string{"memfd", "deleted"} {
		if out, err := run(how); err != nil || !strings.Contains(out, "pwned") {
			t.Fatalf("%s before: %v %s", how, err, out)
		}
	}
	s, err := Start(Config{Cgroup: name, Ended: func(e Ended) { told <- e }})
	if err != nil {
		t.Fatal(err)
	}
	const times = 50
	for range times {
		for _, how := range []string{"memfd", "deleted"} {
			if out, err := run(how); err == nil || !strings.Contains(err.Error(), "killed") || out != "" {
				t.Fatalf("%s: %v %q", how, err, out)
			}
		}
	}
	memory := 0
	for range 2 * times {
		select {
		case e := <-told:
			if e.Name == "memfd:payload" && e.PID != 0 {
				memory++
			}
		case <-time.After(20 * time.Second):
			t.Fatal("not all were told of")
		}
	}
	if memory != times {
		t.Errorf("%d of %d in memory were told of", memory, times)
	}
	if out, err := exec.Command("sh", "-c", `echo $$ >"$0/cgroup.procs" && exec /bin/echo yes`, dir).CombinedOutput(); err != nil || string(out) != "yes\n" {
		t.Errorf("a program with a file: %v %s", err, out)
	}
	s.Close()
	if out, err := run("memfd"); err != nil || !strings.Contains(out, "pwned") {
		t.Errorf("afterwards: %v %s", err, out)
	}
}
