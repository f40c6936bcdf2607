//go:build linux

package address

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/kernfs"
	"github.com/vedette-edr/vedette/schema/event"
)

// actEnv names what a copy of the test binary does instead of testing.
const actEnv = "VEDETTE_ADDRESS_ACT"

func TestMain(m *testing.M) {
	if name := os.Getenv(actEnv); name != "" {
		if err := acts[name](os.Args[1:]); err != nil {
			var no unix.Errno
			if errors.As(err, &no) {
				fmt.Println(unix.ErrnoName(no))
				os.Exit(0)
			}
			fmt.Println(err)
			os.Exit(0)
		}
		fmt.Println("ok")
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// acts are what programs in the cgroup do. The arguments are a network and an address.
var acts = map[string]func([]string) error{
	"connect": func(args []string) error {
		c, err := net.DialTimeout(args[0], args[1], deadline)
		if err == nil {
			c.Close()
		}
		return err
	},
	"mptcp": func(args []string) error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP)
		if err != nil {
			return errors.New("no MPTCP")
		}
		defer unix.Close(fd)
		ap := netip.MustParseAddrPort(args[1])
		return unix.Connect(fd, &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()})
	},
	"fastopen": func(args []string) error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		ap := netip.MustParseAddrPort(args[1])
		return unix.Sendto(fd, []byte("x"), unix.MSG_FASTOPEN, &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()})
	},
	// mapped connects an IPv6 socket to an IPv4 address.
	"mapped": func(args []string) error {
		fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		ap := netip.MustParseAddrPort(args[1])
		return unix.Connect(fd, &unix.SockaddrInet6{Port: int(ap.Port()), Addr: ap.Addr().As16()})
	},
	"sendto": func(args []string) error {
		c, err := net.ListenPacket(args[0], ":0")
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.WriteTo([]byte("x"), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(args[1])))
		return err
	},
	// storm tries again and again.
	"storm": func(args []string) error {
		var err error
		for range 500 {
			var c net.Conn
			if c, err = net.Dial(args[0], args[1]); err == nil {
				c.Close()
			}
		}
		return err
	},
	// contain does what a container does: it serves and connects in a network of its own.
	"contain": func(args []string) error {
		if err := loopbackUp(); err != nil {
			return err
		}
		l, err := net.Listen(args[0], args[1])
		if err != nil {
			return err
		}
		defer l.Close()
		return hold(args)
	},
	"hold": hold,
}

// hold connects, says so, and returns why the session ended.
func hold(args []string) error {
	c, err := net.Dial(args[0], args[1])
	if err != nil {
		return err
	}
	fmt.Println("connected")
	_, err = c.Read(make([]byte, 1))
	return err
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r)
}

// deadline is how long a test waits for what must come: long, because the machine may be
// busy.
const deadline = 20 * time.Second

// stage is a blocker that rules one cgroup only, and what it reported.
type stage struct {
	*Blocker
	t      testing.TB
	cgroup *os.File
	path   string

	mu     sync.Mutex
	events []*event.Event
}

func (s *stage) Emit(e *event.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

func (s *stage) Lost(g event.Gap) { s.t.Errorf("lost: %+v", g) }

func newStage(t testing.TB, cfg Config) *stage {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	s := &stage{t: t, path: newCgroup(t)}
	cfg.Instance, cfg.CgroupPath = "test-stage", s.path
	var err error
	if s.cgroup, err = os.Open(s.path); err != nil {
		t.Fatal(err)
	}
	if s.Blocker, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, s) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		s.cgroup.Close()
	})
	return s
}

func newCgroup(t testing.TB) string {
	t.Helper()
	m, err := kernfs.Cgroup()
	if err != nil {
		t.Skip(err)
	}
	defer m.Close()
	if strings.HasPrefix(m.Path, "/proc/") {
		t.Skip("no cgroup2 is mounted")
	}
	dir, err := os.MkdirTemp(m.Path, "vedette-test-")
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

// command prepares an act in the cgroup.
func (s *stage) command(act string, args ...string) *exec.Cmd {
	s.t.Helper()
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(s.cgroup.Fd())}
	cmd.Env = append(os.Environ(), actEnv+"="+act)
	cmd.Stderr = os.Stderr
	return cmd
}

// act does one thing in the cgroup and returns "ok" or the error's name.
func (s *stage) act(act, network string, to netip.AddrPort) string {
	s.t.Helper()
	out, err := s.command(act, network, to.String()).Output()
	if err != nil {
		s.t.Fatalf("%s: %v", act, err)
	}
	return strings.TrimSpace(string(out))
}

// want asserts what becomes of an act.
func (s *stage) want(want, act, network string, to netip.AddrPort) {
	s.t.Helper()
	if got := s.act(act, network, to); got != want {
		s.t.Errorf("%s %s %v: %s, want %s", act, network, to, got, want)
	}
}

// wait returns the first event that ok accepts.
func (s *stage) wait(what string, ok func(*event.Event) bool) *event.Event {
	s.t.Helper()
	for end := time.Now().Add(deadline); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		s.mu.Lock()
		i := slices.IndexFunc(s.events, ok)
		var e *event.Event
		if i >= 0 {
			e = s.events[i]
		}
		s.mu.Unlock()
		if e != nil {
			return e
		}
	}
	s.t.Fatalf("no event: %s; have %d", what, len(s.events))
	return nil
}

// holder is a program in the cgroup that holds a session.
type holder struct {
	cmd *exec.Cmd
	out *bufio.Reader
}

func (s *stage) hold(network string, to netip.AddrPort) *holder {
	s.t.Helper()
	return s.start(s.command("hold", network, to.String()))
}

// poll waits until ok.
func (s *stage) poll(what string, ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(deadline); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatal("never:", what)
		}
	}
}

// nil0 is the signal that only asks whether a process is there.
const nil0 = syscall.Signal(0)

// start starts a program that says when it is connected.
func (s *stage) start(cmd *exec.Cmd) *holder {
	s.t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	h := &holder{cmd, bufio.NewReader(out)}
	s.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if line, err := h.out.ReadString('\n'); err != nil || line != "connected\n" {
		s.t.Fatalf("hold: %q %v", line, err)
	}
	return h
}

// ended returns how the session ended.
func (h *holder) ended(t testing.TB) string {
	t.Helper()
	timer := time.AfterFunc(deadline, func() { _ = h.cmd.Process.Kill() })
	defer timer.Stop()
	line, err := h.out.ReadString('\n')
	if err != nil {
		t.Fatalf("the session did not end: %v", err)
	}
	return strings.TrimSpace(line)
}

// listen returns an address of 127/8 that accepts sessions of
// TCP and swallows datagrams. The address is random, so that tests do not meet.
func listen(t testing.TB) netip.AddrPort {
	t.Helper()
	return listenAt(t, random4())
}

func random4() netip.Addr {
	return netip.AddrFrom4([4]byte{127, 100 + byte(rand.IntN(100)), byte(rand.IntN(256)), byte(1 + rand.IntN(254))})
}

func listenAt(t testing.TB, a netip.Addr) netip.AddrPort {
	t.Helper()
	for range 20 {
		l, err := net.Listen("tcp", netip.AddrPortFrom(a, 0).String())
		if err != nil {
			t.Fatal(err)
		}
		at := netip.MustParseAddrPort(l.Addr().String())
		u, err := net.ListenPacket("udp", at.String())
		if err != nil {
			l.Close()
			continue // somebody has the port
		}
		t.Cleanup(func() { l.Close(); u.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() { _, _ = io.Copy(io.Discard, c); c.Close() }()
			}
		}()
		return at
	}
	t.Fatal("no port is free for both TCP and UDP")
	return netip.AddrPort{}
}

func single(a netip.Addr, v Verdict, id int64) Rule {
	return Rule{Prefix: netip.PrefixFrom(a, a.BitLen()), Verdict: v, ID: id}
}

// replace brings exactly these rules into force.
func (s *stage) replace(rules ...Rule) {
	s.t.Helper()
	if err := s.Replace(slices.Values(rules), len(rules)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) change(rules ...Rule) {
	s.t.Helper()
	if err := s.Change(rules); err != nil {
		s.t.Fatal(err)
	}
}
