package procfs

import (
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ps reads the same files.
func TestPsSaysTheSame(t *testing.T) {
	cmd := exec.Command("script", "-qec", "exec -a ') R 1 (' sleep 1000", "/dev/null") // a terminal of its own
	cmd.Env = append(os.Environ(), "SHELL=/bin/bash")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }() // the terminal's end ends the rest
	var child uint32
	for deadline := time.Now().Add(20 * time.Second); child == 0; {
		all, err := PIDs("/proc")
		if err != nil || !slices.IsSorted(all) || !slices.Contains(all, uint32(os.Getpid())) {
			t.Fatal(all, err)
		}
		for _, pid := range all {
			if s, ok := ReadStat(pid); ok && s.PPID == uint32(cmd.Process.Pid) && s.Comm == "sleep" {
				child = pid
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("the child did not start")
		}
	}
	for _, pid := range []uint32{1, uint32(os.Getpid()), child} {
		s, ok := ReadStat(pid)
		if !ok {
			t.Fatalf("%d cannot be read", pid)
		}
		out, err := exec.Command("ps", "-o", "ppid=,tty=,state=,comm=", "-p", strconv.Itoa(int(pid))).Output()
		if err != nil {
			t.Fatal(err)
		}
		tty := s.Terminal()
		if tty == "" {
			tty = "?"
		}
		f := strings.Fields(string(out))
		if f[0] != strconv.Itoa(int(s.PPID)) || f[1] != tty || f[3] != s.Comm {
			t.Errorf("%d: %+v, and ps says %s", pid, s, out)
		}
	}
	s, _ := ReadStat(uint32(os.Getpid()))
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		t.Fatal(err)
	}
	if age := time.Duration(now.Nano()) - s.Start; age < 0 || age > time.Hour || s.Resident < 1<<20 || s.Threads < 2 {
		t.Errorf("%+v, %v old", s, age)
	}
}

func TestNamesMayHoldAnything(t *testing.T) {
	tail := strings.Repeat(" 7", 50)
	s, ok := ParseStat([]byte("12 (a) R 1 (b) S 34 1 1 34816" + tail))
	if !ok || s.Comm != "a) R 1 (b" || s.State != "S" || s.PPID != 34 || s.Terminal() != "pts/0" {
		t.Errorf("%+v %v", s, ok)
	}
	for _, bad := range []string{"", "12", "12 (", "12 )(", "12 (x) S 1", "12 (x) S x 1 1 1" + tail} {
		if s, ok := ParseStat([]byte(bad)); ok {
			t.Errorf("%q: %+v", bad, s)
		}
	}
}

func TestInterpreters(t *testing.T) {
	for name, want := range map[string]bool{
		"python3.11": true, "bash": true, "bash (deleted)": true, "ld-linux-x86-64.so.2": true, "perl5.36.0": true, "lua5.4": true,
		"vim": false, "": false, "cat": false, "shred": false,
	} {
		if Interprets(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}
