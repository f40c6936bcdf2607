package isolate

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/responder"
)

// linkUpkeep is what any link carries whatever the rules: address resolution and its upkeep.
var linkUpkeep = map[string]bool{
	"arp": true, "icmp6:133": true, "icmp6:135": true, "icmp6:136": true,
	"icmp6:131": true, "icmp6:132": true, "icmp6:143": true,
}

// attack tries every way out and in that must be shut, from the agent's namespace.
func (l *lab) attack() {
	l.t.Helper()
	var tries sync.WaitGroup
	for _, try := range []struct {
		from string
		to   netip.AddrPort
	}{
		{l.agent, other4}, {l.agent, other6},
		{l.agent, netip.AddrPortFrom(server4.Addr(), 9999)}, {l.agent, netip.AddrPortFrom(server6.Addr(), 9999)},
		{l.other, agent4}, {l.other, agent6}, {l.server, netip.MustParseAddrPort("10.99.1.2:22")},
		{l.other, server4}, // across the agent
	} {
		tries.Go(func() { l.closed(try.from, try.to) })
	}
	tries.Wait()
	l.in(l.agent, func() {
		for _, a := range []string{"10.99.2.1:53", "[fd99:2::1]:53", "10.99.1.1:53", "10.99.2.1:67", "[fd99:2::1]:547"} {
			for _, from := range []string{"", ":68", ":546"} {
				var local *net.UDPAddr
				if from != "" {
					local, _ = net.ResolveUDPAddr("udp", from)
				}
				c, err := net.DialUDP("udp", local, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(a)))
				if err != nil {
					continue
				}
				if _, err := c.Write([]byte("x")); !errors.Is(err, unix.EPERM) {
					l.t.Errorf("datagram from %q to %s: %v", from, a, err)
				}
				c.Close()
			}
		}
		for _, s := range []struct{ network, addr string }{{"ip4:icmp", "10.99.2.1"}, {"ip6:ipv6-icmp", "fd99:2::1"}} {
			c, err := net.Dial(s.network, s.addr)
			if err != nil {
				l.t.Error(err)
				continue
			}
			echo := []byte{8, 0, 0xf7, 0xff, 0, 0, 0, 0}
			if s.network != "ip4:icmp" {
				echo[0] = 128
			}
			if _, err := c.Write(echo); !errors.Is(err, unix.EPERM) {
				l.t.Errorf("ping %s: %v", s.addr, err)
			}
			c.Close()
		}
	})
}

// wire asserts what crossed since the last reset: nothing but the link's own, and the
// server's port at the server.
func (l *lab) wire() {
	l.t.Helper()
	for k, n := range l.atOther.kinds() {
		if !linkUpkeep[k] {
			l.t.Errorf("%d × %s reached the other host", n, k)
		}
	}
	for k, n := range l.atServer.kinds() {
		if !linkUpkeep[k] && k != "tcp/8443" && k != "tcp6/8443" {
			l.t.Errorf("%d × %s reached the server", n, k)
		}
	}
}

func TestIsolationOnTheWire(t *testing.T) {
	l := newLab(t)
	a := l.start()
	if s := a.do(agentRequest{Op: "status"}).Status; s.Isolated {
		t.Fatalf("status before: %+v", s)
	}
	live := l.open(l.agent, server4)
	live6 := l.open(l.agent, server6)
	out := l.open(l.agent, other4)
	out6 := l.open(l.agent, other6)
	in := l.open(l.other, agent4)
	local := l.open(l.agent, netip.MustParseAddrPort("127.0.0.1:5000"))
	l.open(l.other, server4)
	if t.Failed() {
		t.Fatal("the lab does not work")
	}
	if r := a.do(agentRequest{Op: "verify", Servers: servers}).Report; r.Verified {
		t.Errorf("verified without isolation: %+v", r)
	}

	begun := time.Now()
	r := a.do(agentRequest{Op: "apply", Servers: servers})
	t.Logf("isolated within %v", time.Since(begun))
	// The device's ends: two outward sessions and the accepted one.
	if r.Ended != 3 {
		t.Errorf("%d sessions were ended, want 3", r.Ended)
	}
	l.atOther.reset()
	l.atServer.reset()
	for name, c := range map[string]net.Conn{"out4": out, "out6": out6} {
		if err := echo(c); !errors.Is(err, unix.ECONNABORTED) {
			t.Errorf("session %s lives on: %v", name, err)
		}
	}
	in.SetDeadline(time.Now().Add(700 * time.Millisecond))
	if n, _ := in.Read(make([]byte, 1)); n > 0 {
		t.Error("the attacker's session lives on")
	}
	for name, c := range map[string]net.Conn{"server4": live, "server6": live6, "loopback": local} {
		if err := echo(c); err != nil {
			t.Errorf("session %s ended: %v", name, err)
		}
	}
	l.attack()
	l.open(l.agent, server4)
	l.open(l.agent, server6)
	l.open(l.agent, netip.MustParseAddrPort("127.0.0.1:5000"))
	l.open(l.agent, netip.MustParseAddrPort("10.99.2.2:22")) // its own address, over loopback
	l.wire()
	rep := a.do(agentRequest{Op: "verify", Servers: servers}).Report
	if !rep.Verified {
		t.Errorf("not verified: %+v", rep)
	}
	l.wire()
	st := a.do(agentRequest{Op: "status"}).Status
	if !st.Isolated || st.Dropped4 == 0 || st.Dropped6 == 0 || st.Since.IsZero() {
		t.Errorf("status: %+v", st)
	}

	// Again: nothing changes, the counters stay.
	if r := a.do(agentRequest{Op: "apply", Servers: servers}); r.Ended != 0 {
		t.Errorf("%d sessions were ended by the second apply", r.Ended)
	}
	if again := a.do(agentRequest{Op: "status"}).Status; again.Dropped4 < st.Dropped4 || again.Since != st.Since {
		t.Errorf("status after a second apply: %+v, before %+v", again, st)
	}

	a.do(agentRequest{Op: "release"})
	if r := a.do(agentRequest{Op: "released"}).Report; !r.Verified {
		t.Errorf("release not verified: %+v", r)
	}
	l.open(l.agent, other4)
	l.open(l.agent, other6)
	l.open(l.other, agent4)
	l.open(l.other, agent6)
	l.open(l.other, server4)
	if out, err := l.nft("list tables"); err != nil || strings.Contains(out, "vedette") {
		t.Errorf("tables afterwards: %q, %v", out, err)
	}
	if _, err := os.Stat(filepath.Join(l.state, "isolate.json")); err == nil {
		t.Error("the state file is still there")
	}
	a.do(agentRequest{Op: "release"}) // twice is once
}

func TestIsolationOutlivesTheAgent(t *testing.T) {
	l := newLab(t)
	a := l.start()
	a.do(agentRequest{Op: "apply", Servers: servers})
	st := a.do(agentRequest{Op: "status"}).Status
	if !st.Owned {
		t.Skip("this kernel has no tables with an owner that persist (6.9)")
	}
	if out, err := l.nft("delete table inet vedette_isolate_test"); err == nil {
		t.Errorf("root deleted the table: %s", out)
	}
	if out, err := l.nft("delete table netdev vedette_isolate_test"); err == nil {
		t.Errorf("root deleted the table of links: %s", out)
	}
	if out, err := l.nft("flush ruleset"); err != nil && !strings.Contains(out, "permitted") {
		t.Errorf("flush ruleset: %v %s", err, out)
	}
	if out, err := l.nft("add rule inet vedette_isolate_test output accept"); err == nil {
		t.Errorf("root added a rule: %s", out)
	}
	if r := a.do(agentRequest{Op: "verify", Servers: servers}).Report; !r.Verified {
		t.Errorf("after root's attempts: %+v", r)
	}
	a.kill()
	l.atOther.reset()
	l.atServer.reset()
	l.attack()
	l.open(l.agent, server4)
	l.wire()

	b := l.start()
	if r := b.do(agentRequest{Op: "restore"}); !r.Is {
		t.Error("not isolated after a restart")
	}
	if r := b.do(agentRequest{Op: "verify", Servers: servers}).Report; !r.Verified {
		t.Errorf("after a restart: %+v", r)
	}
	if again := b.do(agentRequest{Op: "status"}).Status; !again.Owned || !again.Since.Equal(st.Since) {
		t.Errorf("after a restart: %+v", again)
	}
	if out, err := l.nft("delete table inet vedette_isolate_test"); err == nil {
		t.Errorf("root deleted the table after a restart: %s", out)
	}
	b.do(agentRequest{Op: "release"})
	l.open(l.agent, other4)
}

func TestRestoreAfterAReboot(t *testing.T) {
	l := newLab(t)
	a := l.start("VDT_ISOLATE_PLAIN=1")
	a.do(agentRequest{Op: "apply", Servers: servers})
	a.kill()
	// A reboot keeps the file and loses the table.
	if out, err := l.nft("flush ruleset"); err != nil {
		t.Fatal(out)
	}
	l.open(l.agent, other4)
	b := l.start()
	if r := b.do(agentRequest{Op: "restore"}); !r.Is {
		t.Error("not isolated after a reboot")
	}
	l.closed(l.agent, other4)
	b.kill()
	// A release that was cut short is finished.
	s, err := load(filepath.Join(l.state, "isolate.json"))
	if err != nil || s == nil {
		t.Fatal(s, err)
	}
	s.Releasing = true
	if err := store(filepath.Join(l.state, "isolate.json"), *s); err != nil {
		t.Fatal(err)
	}
	if r := l.start().do(agentRequest{Op: "restore"}); r.Is {
		t.Error("still isolated")
	}
	l.open(l.agent, other4)
}

func TestWatchPutsAPlainTableBack(t *testing.T) {
	l := newLab(t)
	a := l.start("VDT_ISOLATE_PLAIN=1")
	a.do(agentRequest{Op: "apply", Servers: servers})
	a.do(agentRequest{Op: "watch"})
	for n, cmd := range []string{
		"delete table inet vedette_isolate_test",
		"flush ruleset",
		"insert rule inet vedette_isolate_test output accept",
		"add chain inet vedette_isolate_test output { policy accept ; }",
		"flush chain inet vedette_isolate_test forward",
	} {
		if out, err := l.nft(cmd); err != nil {
			t.Fatalf("%s: %s", cmd, out)
		}
		ok := false
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end) && !ok; time.Sleep(10 * time.Millisecond) {
			ok = len(a.do(agentRequest{Op: "tampered"}).Detail) == n+1
		}
		if !ok {
			t.Errorf("after %q: tampering seen %q", cmd, a.do(agentRequest{Op: "tampered"}).Detail)
		}
		if r := a.do(agentRequest{Op: "verify", Servers: servers}).Report; !r.Verified {
			t.Errorf("after %q: %+v", cmd, r)
		}
	}
	a.do(agentRequest{Op: "release"})
	l.open(l.agent, other4)
}

func TestHandlerTellsTheTruth(t *testing.T) {
	l := newLab(t)
	a := l.start()
	do := func(op string, force bool, servers ...netip.AddrPort) responder.Result {
		t.Helper()
		r := a.do(agentRequest{Op: op, Servers: servers, Force: force}).Result
		t.Logf("%s %v: %s %s %s", op, servers, r.State, r.Detail, r.Evidence)
		return r
	}
	self := netip.MustParseAddrPort("10.99.2.2:22")
	if r := do("isolate", false, self); r.State != responder.Refused || !strings.Contains(r.Detail, "runs on this device") {
		t.Errorf("a device that runs the server: %+v", r)
	}
	if r := do("isolate", false); r.State != responder.Refused {
		t.Errorf("no server: %+v", r)
	}
	if r := do("isolate", true, self); r.State != responder.Verified {
		t.Errorf("forced: %+v", r)
	}
	if r := do("unisolate", false); r.State != responder.Verified {
		t.Errorf("release: %+v", r)
	}
	if r := do("isolate", false, servers...); r.State != responder.Verified {
		t.Errorf("isolate: %+v", r)
	}
	if r := do("isolate", false, servers...); r.State != responder.Verified {
		t.Errorf("isolate again: %+v", r)
	}
	// An address where no server answers: the rules hold, the probe of the server does not.
	if r := do("isolate", false, netip.MustParseAddrPort("10.99.1.1:1")); r.State != responder.Applied || r.Detail == "" {
		t.Errorf("no server there: %+v", r)
	}
	if r := do("unisolate", false); r.State != responder.Verified {
		t.Errorf("release: %+v", r)
	}
	// Somebody else's rules shut the server out: that is what the result says.
	if out, err := l.nft("add table inet foreign"); err != nil {
		t.Fatal(out)
	}
	l.nft("add chain inet foreign output { type filter hook output priority 0 ; policy accept ; }")
	if out, err := l.nft("add rule inet foreign output ip daddr 192.0.2.1 drop"); err != nil {
		t.Fatal(out)
	}
	if r := do("isolate", false, servers...); r.State != responder.Verified {
		t.Errorf("isolate beside other rules: %+v", r)
	}
	if r := do("unisolate", false); r.State != responder.Applied || !strings.Contains(r.Detail, "open-ipv4") {
		t.Errorf("release beside other rules: %+v", r)
	}
}

func TestIsolationThatLosesTheServerIsUndone(t *testing.T) {
	l := newLab(t)
	// The address that the agent knows is translated on the way out, after which the rules
	// no longer know it: as behind a tunnel, only the probe can tell.
	known := netip.MustParseAddrPort("198.51.100.9:443")
	l.ip(l.agent, "route add 198.51.100.9 via 10.99.1.1")
	for _, cmd := range []string{
		"add table ip translate",
		"add chain ip translate output { type nat hook output priority -100 ; }",
		"add rule ip translate output ip daddr 198.51.100.9 tcp dport 443 dnat to 10.99.1.1:8443",
	} {
		if out, err := l.nft(cmd); err != nil {
			t.Skipf("no address translation here: %s", out)
		}
	}
	l.open(l.agent, known)
	a := l.start()
	r := a.do(agentRequest{Op: "isolate", Servers: []netip.AddrPort{known}}).Result
	if r.State != responder.Failed || !strings.Contains(r.Detail, "undone") {
		t.Errorf("result: %s %s", r.State, r.Detail)
	}
	if st := a.do(agentRequest{Op: "status"}).Status; st.Isolated {
		t.Error("the device is still isolated")
	}
	l.open(l.agent, known)
	l.open(l.agent, other4)
}

func TestWhatTheLinkNeedsStillCrosses(t *testing.T) {
	l := newLab(t)
	a := l.start()
	a.do(agentRequest{Op: "apply", Servers: servers})
	l.atServer.reset()
	// Nothing resolved from before may help.
	l.ip(l.agent, "neigh flush all")
	l.ip(l.agent, "-6 neigh flush all")
	l.ip(l.server, "neigh flush all")
	l.ip(l.server, "-6 neigh flush all")
	l.open(l.agent, server6)
	l.open(l.agent, server4)
	l.in(l.agent, func() {
		ifi, err := net.InterfaceByName("vs")
		if err != nil {
			t.Error(err)
			return
		}
		addrs, _ := ifi.Addrs()
		own := ""
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().IsLinkLocalUnicast() {
				own = p.Addr().String()
			}
		}
		for _, d := range []struct{ from, to string }{
			{"0.0.0.0:68", "255.255.255.255:67"}, {fmt.Sprintf("[%s%%%d]:546", own, ifi.Index), fmt.Sprintf("[ff02::1:2%%%d]:547", ifi.Index)},
		} {
			from, err := net.ResolveUDPAddr("udp", d.from)
			if err != nil {
				t.Error(err)
				continue
			}
			c, err := net.ListenUDP("udp", from)
			// An address of the link is not to be had before its duplicate check is over.
			for end := time.Now().Add(20 * time.Second); errors.Is(err, unix.EADDRNOTAVAIL) && time.Now().Before(end); {
				time.Sleep(50 * time.Millisecond)
				c, err = net.ListenUDP("udp", from)
			}
			if err != nil {
				t.Errorf("%s: %v", d.from, err)
				continue
			}
			raw, _ := c.SyscallConn()
			raw.Control(func(fd uintptr) { unix.SetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE, "vs") })
			to, _ := net.ResolveUDPAddr("udp", d.to)
			if _, err := c.WriteTo([]byte("discover"), to); err != nil {
				t.Errorf("%s to %s: %v", d.from, d.to, err)
			}
			c.Close()
		}
	})
	want := []string{"arp", "icmp6:135", "tcp/8443", "tcp6/8443", "udp/67", "udp6/547"}
	var missing []string
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		seen := l.atServer.kinds()
		missing = missing[:0]
		for _, k := range want {
			if seen[k] == 0 {
				missing = append(missing, k)
			}
		}
		if len(missing) == 0 {
			break
		}
	}
	if len(missing) > 0 {
		t.Errorf("did not cross: %v; crossed: %v", missing, l.atServer.kinds())
	}
	a.do(agentRequest{Op: "release"})
}
