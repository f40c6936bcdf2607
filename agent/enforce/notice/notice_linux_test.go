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
		got := false
		teller := Teller{Told: func(string, *event.Event) { got = true }}
		if teller.Tell(e); got != told {
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
	none := Teller{Told: func(string, *event.Event) { t.Error("a process without a terminal is told") }}
	if os.Getpid() != 1 {
		none.Tell(&event.Event{Initiating: &event.Process{PID: 1}})
	}
}

// TestATerminalThatTakesNothingIsToldLater stops the output of a terminal, as Ctrl-S does and
// another program does that writes at that moment.
func TestATerminalThatTakesNothingIsToldLater(t *testing.T) {
	cmd := exec.Command("sleep", "30")
	p := onTerminal(t, cmd)
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
		p.Close()
	}()
	is, _ := procfs.ReadStat(uint32(cmd.Process.Pid))
	tty, err := os.OpenFile("/dev/"+is.Terminal(), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	if err := tty.Chmod(0o620); err != nil {
		t.Fatal(err)
	}
	// Of ioctl_tty(2).
	const tcxonc, stop, goOn = 0x540a, 0, 1
	flow := func(what int) {
		t.Helper()
		if err := unix.IoctlSetInt(int(tty.Fd()), tcxonc, what); err != nil {
			t.Fatal(err)
		}
	}
	flow(stop)
	told := make(chan string, 2*maxLate)
	teller := Teller{Told: func(_ string, e *event.Event) { told <- e.Network.RemoteURL }}
	for n := range 2 * maxLate {
		teller.TellAt(is.Terminal(), &event.Event{Network: &event.Network{RemoteURL: fmt.Sprintf("warned%d.example", n)}})
	}
	if len(told) > 0 {
		t.Fatal("told while the terminal takes nothing")
	}
	flow(goOn)
	got := ""
	b := make([]byte, 4096)
	p.SetReadDeadline(time.Now().Add(10 * time.Second))
	for range maxLate {
		<-told
	}
	for n := range maxLate {
		for want := fmt.Sprintf("warned%d.example", n); !strings.Contains(got, want); {
			n, err := p.Read(b)
			if err != nil {
				t.Fatalf("%v after %q", err, got)
			}
			got += string(b[:n])
		}
	}
	if strings.Contains(got, fmt.Sprintf("warned%d.example", maxLate)) {
		t.Errorf("more wait than %d: %q", maxLate, got)
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
