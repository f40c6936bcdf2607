package notice

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/procfs"
	"github.com/vedette-edr/vedette/schema/event"
)

func TestTheTerminalOfTheProcessIsTold(t *testing.T) {
	for mode, told := range map[os.FileMode]bool{0o620: true, 0o600: false} {
		cmd := exec.Command("sleep", "30")
		p := onTerminal(t, cmd)
		is, _ := procfs.ReadStat(uint32(cmd.Process.Pid))
		tty := "/dev/" + is.Terminal()
		if err := os.Chmod(tty, mode); err != nil {
			t.Fatal(err)
		}
		e := &event.Event{Initiating: &event.Process{PID: uint32(cmd.Process.Pid), Image: event.File{Name: "cu\x1brl"}},
			Network: &event.Network{RemoteURL: "warned.example\x1b[2J"}}
		if got := Tell(e); got != told {
			t.Errorf("mode %o: told is %v", mode, got)
		}
		if told {
			b := make([]byte, 4096)
			p.SetReadDeadline(time.Now().Add(10 * time.Second))
			n, err := p.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			if s := string(b[:n]); !strings.Contains(s, "warned.example?[2J, which cu?rl uses") || strings.Contains(s, "\x1b") {
				t.Errorf("%q", s)
			}
		}
		cmd.Process.Kill()
		cmd.Wait()
		p.Close()
	}
	if Tell(&event.Event{Initiating: &event.Process{PID: 1}}) && os.Getpid() != 1 {
		t.Error("a process without a terminal is told")
	}
}

// onTerminal starts a program that a new terminal controls, and returns the other end.
func onTerminal(t *testing.T, cmd *exec.Cmd) *os.File {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := os.NewFile(uintptr(fd), "ptmx")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}
