package e2e

import (
	"fmt"
	"net"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netns"
)

// network is three hosts of their own: the server, the device and somebody else. The
// device reaches the other two over a cable each, with IPv4 and IPv6.
type network struct {
	server, device, other string // namespace names
	otherIf               string // the other's end of its cable
	serverIf              string
}

// The addresses of the network.
const (
	serverV4, serverV6       = "10.77.1.1", "fd77:1::1"
	deviceV4, deviceV6       = "10.77.1.2", "fd77:1::2"
	otherV4, otherV6         = "10.77.2.1", "fd77:2::1"
	deviceOther4, deviceOth6 = "10.77.2.2", "fd77:2::2"
)

func newNetwork(t testing.TB) *network {
	t.Helper()
	id := unique("")
	n := &network{server: "vs" + id, device: "vd" + id, other: "vo" + id, serverIf: "s" + id, otherIf: "o" + id}
	for _, ns := range []string{n.server, n.device, n.other} {
		command(t, "ip", "netns", "add", ns)
		t.Cleanup(func() {
			if out, err := exec.Command("ip", "netns", "del", ns).CombinedOutput(); err != nil {
				t.Errorf("ip netns del %s: %v %s", ns, err, out)
			}
		})
		command(t, "ip", "-n", ns, "link", "set", "lo", "up")
	}
	cable := func(nsA, ifA, v4A, v6A, nsB, ifB, v4B, v6B string) {
		command(t, "ip", "link", "add", ifA, "netns", nsA, "type", "veth", "peer", "name", ifB, "netns", nsB)
		for _, end := range [][4]string{{nsA, ifA, v4A, v6A}, {nsB, ifB, v4B, v6B}} {
			command(t, "ip", "-n", end[0], "addr", "add", end[2]+"/24", "dev", end[1])
			command(t, "ip", "-n", end[0], "-6", "addr", "add", end[3]+"/64", "dev", end[1], "nodad")
			command(t, "ip", "-n", end[0], "link", "set", end[1], "up")
		}
	}
	cable(n.server, n.serverIf, serverV4, serverV6, n.device, "to-server", deviceV4, deviceV6)
	cable(n.other, n.otherIf, otherV4, otherV6, n.device, "to-other", deviceOther4, deviceOth6)
	// The device's way to everywhere else leads over the other, as an attacker's would.
	command(t, "ip", "-n", n.device, "route", "add", "default", "via", otherV4)
	command(t, "ip", "-n", n.device, "-6", "route", "add", "default", "via", otherV6)
	return n
}

// within runs f on a thread inside the namespace.
func within(ns string, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := netns.Get()
		if err != nil {
			done <- err
			return
		}
		defer home.Close()
		h, err := netns.GetFromName(ns)
		if err == nil {
			err = netns.Set(h)
			h.Close()
		}
		if err == nil {
			err = f()
		}
		// A thread that cannot go home stays locked and ends with the goroutine.
		if back := netns.Set(home); back == nil {
			runtime.UnlockOSThread()
		} else if err == nil {
			err = back
		}
		done <- err
	}()
	return <-done
}

// listen accepts on every address of the namespace at port, answers what it is sent, and
// keeps the connection open.
func listen(t testing.TB, ns string, port int) {
	t.Helper()
	var l net.Listener
	if err := within(ns, func() (err error) {
		l, err = net.Listen("tcp", fmt.Sprintf("[::]:%d", port))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b := make([]byte, 64)
				for {
					n, err := c.Read(b)
					if err != nil {
						return
					}
					c.Write(b[:n])
				}
			}()
		}
	}()
}

// dial connects from inside the namespace.
func dial(ns, addr string) (net.Conn, error) {
	var c net.Conn
	err := within(ns, func() (err error) {
		c, err = net.DialTimeout("tcp", addr, 2*time.Second)
		return err
	})
	return c, err
}

// echo reports whether c still carries data both ways.
func echo(c net.Conn) error {
	c.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := c.Write([]byte("x")); err != nil {
		return err
	}
	_, err := c.Read(make([]byte, 1))
	return err
}

// connectOnly is for reach where nobody echoes.
func connectOnly(net.Conn) error { return nil }

// reach reports whether from can open a connection to addr and use it: as use does, or by
// an echo.
func reach(from, addr string, use ...func(net.Conn) error) error {
	c, err := dial(from, addr)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, f := range use {
		return f(c)
	}
	return echo(c)
}

// watch records the packets that cross an interface inside a namespace until stop, which
// returns one line for each.
func watch(t testing.TB, ns, dev, filter string) (stop func() []string) {
	t.Helper()
	p := start(t, "ip", "netns", "exec", ns, "tcpdump", "-i", dev, "-n", "-l", "--immediate-mode", filter)
	await(t, "tcpdump to listen", func() error {
		if !strings.Contains(p.out.String(), "listening on") {
			return fmt.Errorf("it said %q", p.out)
		}
		return nil
	})
	return func() []string {
		p.stop()
		var packets []string
		for line := range strings.Lines(p.out.String()) {
			if strings.Contains(line, " > ") {
				packets = append(packets, strings.TrimSpace(line))
			}
		}
		return packets
	}
}
