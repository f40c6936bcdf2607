//go:build linux

package ebpf

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

// behaviours are what a copy of the test binary can be told to do: one thing each, without
// help from the code under test.
var behaviours = map[string]func(args []string) error{
	"again":       func(args []string) error { return syscall.Exec(args[0], args, os.Environ()) },
	"connect":     dial,
	"blackout":    blackout,
	"udp":         datagrams,
	"serve":       serve,
	"resolve":     resolve,
	"files":       files,
	"held_unlink": heldUnlink,
	"memfd":       memfd,
	"ptrace":      trace,
	"wx":          writableCode,
	"module":      loadModule,
	"io_uring":    ring,
	"setuid":      setuid,
}

// loopback switches on lo in a fresh network namespace.
func loopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr)
}

// dial connects to args[0], where nobody listens, and to args[1], where no route leads.
func dial(args []string) error {
	if err := loopback(); err != nil {
		return err
	}
	for i, want := range []error{unix.ECONNREFUSED, unix.ENETUNREACH} {
		if c, err := net.Dial("tcp", args[i]); err == nil {
			c.Close()
			return errors.New("somebody answers at " + args[i])
		} else if !errors.Is(err, want) {
			return err
		}
	}
	return nil
}

// blackout connects to an address on a link that nobody answers on, and gives up.
func blackout(args []string) error {
	for _, c := range [][]string{
		{"link", "add", "d0", "type", "veth", "peer", "name", "d1"},
		{"addr", "add", "192.0.2.1/24", "dev", "d0"},
		{"link", "set", "d0", "up"},
		{"link", "set", "d1", "up"},
	} {
		out, err := exec.Command("ip", c...).CombinedOutput()
		if strings.Contains(string(out), "Unknown device type") {
			fmt.Println("no veth")
			return nil
		}
		if err != nil {
			return fmt.Errorf("ip %v: %w: %s", c, err, out)
		}
	}
	c, err := net.DialTimeout("tcp", args[0], 300*time.Millisecond)
	if err == nil {
		c.Close()
		return errors.New("somebody answers")
	}
	return nil
}

// datagrams sends five without connecting to args[0], connects to args[1] without sending,
// and sends three over a connection to args[2].
func datagrams(args []string) error {
	if err := loopback(); err != nil {
		return err
	}
	free, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	to, err := net.ResolveUDPAddr("udp4", args[0])
	if err != nil {
		return err
	}
	for range 5 {
		if _, err := free.WriteTo([]byte("hello"), to); err != nil {
			return err
		}
	}
	if _, err := net.Dial("udp4", args[1]); err != nil {
		return err
	}
	c, err := net.Dial("udp4", args[2])
	if err != nil {
		return err
	}
	for range 3 {
		_, _ = c.Write([]byte("hello")) // the second one meets the refusal of the first
	}
	return nil
}

// serve listens on args[0] and connects to itself; it prints both ports.
func serve(args []string) error {
	if err := loopback(); err != nil {
		return err
	}
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	port := l.Addr().(*net.TCPAddr).Port
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	if _, err := l.Accept(); err != nil {
		return err
	}
	fmt.Println(port, c.LocalAddr().(*net.TCPAddr).Port)
	return nil
}

// resolve asks a name server of its own on 127.0.0.53 for args[0], which it answers with
// args[1], connects there, and asks for a name that does not exist.
func resolve(args []string) error {
	if err := loopback(); err != nil {
		return err
	}
	pc, err := net.ListenPacket("udp4", "127.0.0.53:53")
	if err != nil {
		return err
	}
	go answer(pc, args[0]+".", net.ParseIP(args[1]).To4())
	r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp4", "127.0.0.53:53")
	}}
	ips, err := r.LookupIP(context.Background(), "ip4", args[0]+".")
	if err != nil {
		return err
	}
	if c, err := net.Dial("tcp", net.JoinHostPort(ips[0].String(), "4444")); err == nil {
		c.Close()
	}
	if _, err := r.LookupIP(context.Background(), "ip4", "nowhere.invalid."); err == nil {
		return errors.New("nowhere.invalid exists")
	}
	return nil
}

func answer(pc net.PacketConn, name string, ip net.IP) {
	buf := make([]byte, 1500)
	for {
		n, from, err := pc.ReadFrom(buf)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
			continue
		}
		q := m.Questions[0]
		m.Response, m.Additionals = true, nil
		if q.Name.String() == name && q.Type == dnsmessage.TypeA {
			m.Answers = []dnsmessage.Resource{{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60},
				Body:   &dnsmessage.AResource{A: [4]byte(ip)},
			}}
		} else {
			m.RCode = dnsmessage.RCodeNameError
		}
		if out, err := m.Pack(); err == nil {
			_, _ = pc.WriteTo(out, from)
		}
	}
}

// files works on files in the directory args[0] by relative names and by descriptors.
func files(args []string) error {
	if err := os.Chdir(args[0]); err != nil {
		return err
	}
	if err := os.Mkdir("sub", 0o755); err != nil {
		return err
	}
	dir, err := unix.Open("sub", unix.O_DIRECTORY|unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	fd, err := unix.Openat(dir, "new file", unix.O_CREAT|unix.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	unix.Close(fd)
	if fd, err = unix.Open("sub/new file", unix.O_WRONLY|unix.O_APPEND, 0); err != nil {
		return err
	}
	unix.Close(fd)
	if fd, err = unix.Open("sub/new file", unix.O_RDONLY, 0); err != nil {
		return err
	}
	unix.Close(fd)
	if err := unix.Renameat(dir, "../sub/new file", unix.AT_FDCWD, "renamed"); err != nil {
		return err
	}
	if err := unix.Unlinkat(dir, "not there", 0); !errors.Is(err, unix.ENOENT) {
		return errors.New("removed what is not there")
	}
	if fd, err = unix.Open(filepath.Join(args[0], "left out", "x"), unix.O_CREAT|unix.O_WRONLY, 0o644); err == nil {
		unix.Close(fd)
	}
	return unix.Unlink("./renamed")
}

// memfd copies /bin/true into memory and runs it from there.
func memfd([]string) error {
	fd, err := unix.MemfdCreate("hidden thing", 0)
	if err != nil {
		return err
	}
	b, err := os.ReadFile("/bin/true")
	if err != nil {
		return err
	}
	if _, err := unix.Write(fd, b); err != nil {
		return err
	}
	return syscall.Exec(fmt.Sprintf("/proc/self/fd/%d", fd), []string{"kworker/0:0"}, nil)
}

// trace attaches to a child and lets it go; it prints the child's pid.
func trace([]string) error {
	cmd := exec.Command("/bin/sleep", "60")
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	if _, _, e := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(cmd.Process.Pid), 0, 0, 0, 0); e != 0 {
		return e
	}
	word := []byte{0}
	local := []unix.Iovec{{Base: &word[0], Len: 1}}
	// To an address that is not mapped: the attempt is what counts.
	_, _ = unix.ProcessVMWritev(cmd.Process.Pid, local, []unix.RemoteIovec{{Base: 8, Len: 1}}, 0)
	fmt.Println(cmd.Process.Pid)
	return nil
}

// writableCode maps memory for writing and running, twice, in short order.
func writableCode([]string) error {
	for range 2 {
		b, err := unix.Mmap(-1, 0, 8192, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_ANON|unix.MAP_PRIVATE)
		if err != nil {
			return err
		}
		if err := unix.Munmap(b); err != nil {
			return err
		}
	}
	return nil
}

// loadModule offers the kernel what is no module.
func loadModule([]string) error {
	if err := unix.InitModule([]byte("garbage"), ""); err == nil {
		return errors.New("the kernel took it")
	}
	return nil
}

// ring sets up io_uring, if the kernel allows it.
func ring([]string) error {
	var params [120]byte
	fd, _, e := unix.Syscall(unix.SYS_IO_URING_SETUP, 4, uintptr(unsafe.Pointer(&params)), 0)
	if e == 0 {
		unix.Close(int(fd))
	}
	return nil
}

// setuid becomes nobody without an exec, and then connects.
func setuid([]string) error {
	if err := loopback(); err != nil {
		return err
	}
	if err := syscall.Setuid(65534); err != nil {
		return err
	}
	if c, err := net.Dial("tcp", "127.0.0.1:1"); err == nil {
		c.Close()
	}
	return nil
}
