package isolate

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/kernfs"
	"github.com/vedette-edr/vedette/agent/responder"
)

// The test binary runs itself inside the agent's namespace: that process is the agent.
func TestMain(m *testing.M) {
	if to := os.Getenv("VDT_ISOLATE_DIAL"); to != "" {
		c, err := net.DialTimeout("tcp", to, 700*time.Millisecond)
		if err == nil {
			err = echo(c)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if os.Getenv("VDT_ISOLATE_AGENT") != "" {
		agentMain()
		return
	}
	os.Exit(m.Run())
}

// request is a line to the agent process; reply is its answer.
type agentRequest struct {
	Op      string
	Servers []netip.AddrPort
	Force   bool
	Allow   *Allow
}

type reply struct {
	Err    string
	Ended  int
	Is     bool
	Report Report
	Status Status
	Result responder.Result
	Detail []string
}

func agentMain() {
	var mu sync.Mutex
	var tampered []string
	i, err := New(Config{
		Instance: "test", StateDir: os.Getenv("VDT_ISOLATE_STATE"), Timeout: 3 * time.Second,
		Tampered: func(d string) { mu.Lock(); tampered = append(tampered, d); mu.Unlock() },
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if os.Getenv("VDT_ISOLATE_PLAIN") != "" { // as on a kernel before 6.9
		i.wish = 0
	}
	ctx := context.Background()
	in := json.NewDecoder(os.Stdin)
	out := json.NewEncoder(os.Stdout)
	for {
		var q agentRequest
		if in.Decode(&q) != nil {
			return
		}
		var r reply
		var err error
		p := Policy{Servers: q.Servers, Allow: q.Allow}
		h := Handler{Isolator: i, Servers: func(context.Context) ([]netip.AddrPort, error) { return q.Servers, nil }}
		switch q.Op {
		case "apply":
			r.Ended, err = i.Apply(ctx, p)
		case "verify":
			r.Report = i.Verify(ctx, p)
		case "release":
			err = i.Release(ctx)
		case "released":
			r.Report = i.VerifyReleased(ctx)
		case "restore":
			r.Is, err = i.Restore(ctx)
		case "status":
			r.Status, err = i.Status()
		case "watch":
			go i.Watch(ctx)
		case "tampered":
			mu.Lock()
			r.Detail = tampered
			mu.Unlock()
		case "isolate", "unisolate":
			ps := Params{ForceSelf: q.Force, Allow: q.Allow}
			if q.Allow != nil {
				ps.IsolationType = "Selective"
			}
			params, _ := json.Marshal(ps)
			r.Result = h.Handle(ctx, responder.Command{ID: "1", Kind: q.Op, Params: params})
		}
		if err != nil {
			r.Err = err.Error()
		}
		out.Encode(r)
	}
}

// agent is the agent process as the test sees it.
type agent struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *json.Decoder
}

func (a *agent) do(q agentRequest) reply {
	a.t.Helper()
	if err := json.NewEncoder(a.in).Encode(q); err != nil {
		a.t.Fatalf("%s: %v", q.Op, err)
	}
	var r reply
	if err := a.out.Decode(&r); err != nil {
		a.t.Fatalf("%s: %v", q.Op, err)
	}
	if r.Err != "" {
		a.t.Fatalf("%s: %s", q.Op, r.Err)
	}
	return r
}

func (a *agent) kill() {
	a.cmd.Process.Kill()
	a.cmd.Wait()
}

// lab is three namespaces: the agent's, with a link to the server's and one to another
// host's, which is also its default route.
type lab struct {
	t                    *testing.T
	agent, server, other string // namespaces
	state                string
	atServer, atOther    *capture
}

var (
	server4 = netip.MustParseAddrPort("10.99.1.1:8443")
	server6 = netip.MustParseAddrPort("[fd99:1::1]:8443")
	other4  = netip.MustParseAddrPort("10.99.2.1:80")
	other6  = netip.MustParseAddrPort("[fd99:2::1]:80")
	agent4  = netip.MustParseAddrPort("10.99.2.2:22")
	agent6  = netip.MustParseAddrPort("[fd99:2::2]:22")
	servers = []netip.AddrPort{server4, server6}
)

func newLab(t *testing.T) *lab {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs the ip command")
	}
	id := fmt.Sprintf("vdtiso%x", os.Getpid())
	l := &lab{t: t, agent: id + "a", server: id + "s", other: id + "o", state: t.TempDir()}
	for _, ns := range []string{l.agent, l.server, l.other} {
		if out, err := exec.Command("ip", "netns", "add", ns).CombinedOutput(); err != nil {
			t.Skipf("network namespaces cannot be made here: %s", out)
		}
		t.Cleanup(func() {
			if out, err := exec.Command("ip", "netns", "del", ns).CombinedOutput(); err != nil {
				t.Errorf("remove %s: %s", ns, out)
			}
		})
		l.ip(ns, "link set lo up")
	}
	run(t, "ip", "link", "add", "vs", "netns", l.agent, "type", "veth", "peer", "name", "va", "netns", l.server)
	run(t, "ip", "link", "add", "vo", "netns", l.agent, "type", "veth", "peer", "name", "va", "netns", l.other)
	for _, s := range []struct{ ns, dev, v4, v6 string }{
		{l.agent, "vs", "10.99.1.2/24", "fd99:1::2/64"}, {l.agent, "vo", "10.99.2.2/24", "fd99:2::2/64"},
		{l.server, "va", "10.99.1.1/24", "fd99:1::1/64"}, {l.other, "va", "10.99.2.1/24", "fd99:2::1/64"},
	} {
		l.ip(s.ns, "addr add "+s.v4+" dev "+s.dev)
		l.ip(s.ns, "-6 addr add "+s.v6+" dev "+s.dev+" nodad")
		l.ip(s.ns, "link set "+s.dev+" up")
	}
	l.ip(l.agent, "route add default via 10.99.2.1")
	l.ip(l.agent, "-6 route add default via fd99:2::1")
	l.ip(l.other, "route add 10.99.1.0/24 via 10.99.2.2")
	l.ip(l.server, "route add 10.99.2.0/24 via 10.99.1.2")
	run(t, "ip", "netns", "exec", l.agent, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
	l.listen(l.server, server4, server6, netip.AddrPortFrom(server4.Addr(), 9999), netip.AddrPortFrom(server6.Addr(), 9999))
	l.listen(l.other, other4, other6)
	l.listen(l.agent, netip.MustParseAddrPort("0.0.0.0:22"), netip.MustParseAddrPort("[::]:22"), netip.MustParseAddrPort("127.0.0.1:5000"))
	l.atServer, l.atOther = l.capture(l.server, "va"), l.capture(l.other, "va")
	return l
}

// cgroupRoot is the root of the cgroup2 hierarchy.
func cgroupRoot(t *testing.T) string {
	t.Helper()
	m, err := kernfs.Cgroup()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return strings.Replace(m.Path, "/proc/self/", fmt.Sprintf("/proc/%d/", os.Getpid()), 1)
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func (l *lab) ip(ns, args string) {
	l.t.Helper()
	run(l.t, "ip", append([]string{"-n", ns}, strings.Fields(args)...)...)
}

// nft runs the nft command in the agent's namespace.
func (l *lab) nft(args string) (string, error) {
	out, err := exec.Command("ip", append([]string{"netns", "exec", l.agent, "nft"}, strings.Fields(args)...)...).CombinedOutput()
	return string(out), err
}

// in runs f on a thread inside the namespace; sockets that f opens stay there.
func (l *lab) in(ns string, f func()) {
	l.t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		fd, err := unix.Open("/run/netns/"+ns, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(fd, unix.CLONE_NEWNET)
			unix.Close(fd)
		}
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		l.t.Fatalf("enter %s: %v", ns, err)
	}
}

// listen serves an echo on each address until the test ends.
func (l *lab) listen(ns string, addrs ...netip.AddrPort) {
	l.t.Helper()
	for _, a := range addrs {
		var ln net.Listener
		var err error
		network := "tcp4"
		if a.Addr().Is6() {
			network = "tcp6"
		}
		l.in(ns, func() { ln, err = net.Listen(network, a.String()) })
		if err != nil {
			l.t.Fatal(err)
		}
		l.t.Cleanup(func() { ln.Close() })
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				go func() { defer c.Close(); io.Copy(c, c) }()
			}
		}()
	}
}

// dial connects from a namespace.
func (l *lab) dial(ns string, to netip.AddrPort, wait time.Duration) (c net.Conn, err error) {
	l.t.Helper()
	l.in(ns, func() { c, err = net.DialTimeout("tcp", to.String(), wait) })
	if err == nil {
		l.t.Cleanup(func() { c.Close() })
	}
	return c, err
}

// open asserts that a connection works, closed that it does not.
func (l *lab) open(ns string, to netip.AddrPort) net.Conn {
	l.t.Helper()
	c, err := l.dial(ns, to, 20*time.Second)
	if err != nil {
		l.t.Errorf("%s to %v: %v", ns, to, err)
		return nil
	}
	if err := echo(c); err != nil {
		l.t.Errorf("%s to %v: %v", ns, to, err)
	}
	return c
}

func (l *lab) closed(ns string, to netip.AddrPort) {
	l.t.Helper()
	if _, err := l.dial(ns, to, 700*time.Millisecond); err == nil {
		l.t.Errorf("%s reached %v", ns, to)
	}
}

func echo(c net.Conn) error {
	c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, "ping\n"); err != nil {
		return err
	}
	_, err := bufio.NewReader(c).ReadString('\n')
	return err
}

// start runs an agent process in its namespace.
func (l *lab) start(env ...string) *agent {
	l.t.Helper()
	a := &agent{t: l.t, cmd: exec.Command("ip", "netns", "exec", l.agent, os.Args[0])}
	a.cmd.Env = append(os.Environ(), append(env, "VDT_ISOLATE_AGENT=1", "VDT_ISOLATE_STATE="+l.state)...)
	a.cmd.Stderr = os.Stderr
	var err error
	if a.in, err = a.cmd.StdinPipe(); err != nil {
		l.t.Fatal(err)
	}
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	a.out = json.NewDecoder(out)
	if err := a.cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(a.kill)
	return a
}

// capture counts the frames that arrive at one interface, by kind.
type capture struct {
	mu   sync.Mutex
	seen map[string]int
}

func (l *lab) capture(ns, dev string) *capture {
	l.t.Helper()
	c := &capture{seen: map[string]int{}}
	var fd int
	var err error
	l.in(ns, func() {
		var ifi *net.Interface
		if ifi, err = net.InterfaceByName(dev); err != nil {
			return
		}
		all := int(binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL)))
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, all); err == nil {
			err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: uint16(all), Ifindex: ifi.Index})
		}
	})
	if err != nil {
		l.t.Fatalf("capture: %v", err)
	}
	f := os.NewFile(uintptr(fd), "packets")
	l.t.Cleanup(func() { f.Close() })
	conn, err := f.SyscallConn()
	if err != nil {
		l.t.Fatal(err)
	}
	go func() {
		buf := make([]byte, 64<<10)
		for {
			var n int
			var from unix.Sockaddr
			var rerr error
			if conn.Read(func(fd uintptr) bool {
				n, from, rerr = unix.Recvfrom(int(fd), buf, 0)
				return rerr != unix.EAGAIN
			}) != nil {
				return
			}
			if sa, ok := from.(*unix.SockaddrLinklayer); rerr != nil || !ok || sa.Pkttype == unix.PACKET_OUTGOING {
				continue
			}
			c.mu.Lock()
			c.seen[kind(buf[:n])]++
			c.mu.Unlock()
		}
	}()
	return c
}

func (c *capture) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = map[string]int{}
}

// kinds returns what has arrived since the last reset.
func (c *capture) kinds() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]int{}
	for k, n := range c.seen {
		out[k] = n
	}
	return out
}

// kind names a frame: arp, icmp6:135, tcp/8443 (destination port), udp/9, icmp:8.
func kind(f []byte) string {
	if len(f) < 14 {
		return "short"
	}
	switch binary.BigEndian.Uint16(f[12:]) {
	case unix.ETH_P_ARP:
		return "arp"
	case unix.ETH_P_IP:
		if len(f) < 34 {
			return "short"
		}
		return transport("", f[23], f[14+int(f[14]&15)*4:])
	case unix.ETH_P_IPV6:
		if len(f) < 54 {
			return "short"
		}
		next, rest := f[20], f[54:]
		if next == 0 && len(rest) >= 8 { // hop-by-hop options, as listener reports have
			next, rest = rest[0], rest[8+int(rest[1])*8:]
		}
		return transport("6", next, rest)
	}
	return fmt.Sprintf("ethertype %x", f[12:14])
}

func transport(six string, proto byte, b []byte) string {
	switch {
	case len(b) < 8:
		return "short"
	case proto == unix.IPPROTO_TCP:
		return fmt.Sprintf("tcp%s/%d", six, binary.BigEndian.Uint16(b[2:]))
	case proto == unix.IPPROTO_UDP:
		return fmt.Sprintf("udp%s/%d", six, binary.BigEndian.Uint16(b[2:]))
	case proto == unix.IPPROTO_ICMP, proto == unix.IPPROTO_ICMPV6:
		return fmt.Sprintf("icmp%s:%d", six, b[0])
	}
	return fmt.Sprintf("ip%s protocol %d", six, proto)
}
