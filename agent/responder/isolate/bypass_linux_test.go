package isolate

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/responder"
)

// device is an interface of a namespace as the test sees it.
func (l *lab) device(ns, name string) (ifi *net.Interface) {
	l.t.Helper()
	var err error
	l.in(ns, func() { ifi, err = net.InterfaceByName(name) })
	if err != nil {
		l.t.Fatalf("%s of %s: %v", name, ns, err)
	}
	return ifi
}

// datagramFrame is an Ethernet frame with an IPv4 UDP datagram.
func datagramFrame(from, to net.HardwareAddr, src, dst netip.AddrPort, payload string) []byte {
	f := append(append([]byte{}, to...), from...)
	f = binary.BigEndian.AppendUint16(f, unix.ETH_P_IP)
	ip := make([]byte, 20)
	ip[0], ip[8], ip[9] = 0x45, 64, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(ip[2:], uint16(28+len(payload)))
	copy(ip[12:], src.Addr().AsSlice())
	copy(ip[16:], dst.Addr().AsSlice())
	var sum uint32
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum))
	f = append(f, ip...)
	f = binary.BigEndian.AppendUint16(f, src.Port())
	f = binary.BigEndian.AppendUint16(f, dst.Port())
	f = binary.BigEndian.AppendUint16(f, uint16(8+len(payload)))
	return append(append(f, 0, 0), payload...)
}

const qdiscBypass = 20 // PACKET_QDISC_BYPASS (linux/if_packet.h)

// raw sends a frame by a packet socket, past qdiscs too, and past tc's hooks with them.
func (l *lab) raw(ns, dev string, frame []byte) {
	l.t.Helper()
	ifi := l.device(ns, dev)
	l.in(ns, func() {
		for bypass := range 2 {
			fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				l.t.Error(err)
				return
			}
			if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, qdiscBypass, bypass); err != nil {
				l.t.Error(err)
			}
			proto := binary.NativeEndian.Uint16(frame[12:14])
			// Whether the kernel owns up to the drop is its own affair: the wire tells.
			_ = unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Protocol: proto, Ifindex: ifi.Index, Halen: 6})
			unix.Close(fd)
		}
	})
}

// arrives waits for a kind of frame to be seen. never waits for one that must not be: what
// the test sends afterwards and may pass has arrived by then.
func arrives(t *testing.T, c *capture, kind string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); c.kinds()[kind] == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("%s did not arrive; arrived: %v", kind, c.kinds())
			return
		}
	}
}

func TestRawPacketsDoNotLeave(t *testing.T) {
	l := newLab(t)
	vo, other := l.device(l.agent, "vo"), l.device(l.other, "va")
	vs, server := l.device(l.agent, "vs"), l.device(l.server, "va")
	ap := netip.MustParseAddrPort
	tunnel := datagramFrame(vo.HardwareAddr, other.HardwareAddr, ap("10.99.2.2:4444"), ap("10.99.2.1:53"), "secret.evil.example")
	port := datagramFrame(vs.HardwareAddr, server.HardwareAddr, ap("10.99.1.2:4444"), ap("10.99.1.1:9999"), "another port of the server")
	lldp := append(append(append([]byte{}, other.HardwareAddr...), vo.HardwareAddr...), 0x88, 0xcc, 1, 2, 3, 4)
	send := func() {
		l.raw(l.agent, "vo", tunnel)
		l.raw(l.agent, "vo", lldp)
		l.raw(l.agent, "vs", port)
	}
	send()
	arrives(t, l.atOther, "udp/53")
	arrives(t, l.atOther, "ethertype 88cc")
	arrives(t, l.atServer, "udp/9999")
	if t.Failed() {
		t.Fatal("the lab does not work")
	}

	a := l.start()
	a.do(agentRequest{Op: "apply", Servers: servers})
	a.do(agentRequest{Op: "watch"})
	l.atOther.reset()
	l.atServer.reset()
	send()
	before := a.do(agentRequest{Op: "status"}).Status
	if before.Frames < 6 {
		t.Errorf("%d frames were counted as dropped, of 6 that were sent", before.Frames)
	}
	l.open(l.agent, server4)
	l.wire()

	// A device that comes later is held too.
	run(t, "ip", "link", "add", "vn", "netns", l.agent, "type", "veth", "peer", "name", "vn", "netns", l.other)
	l.ip(l.agent, "link set vn up")
	l.ip(l.other, "link set vn up")
	late := l.capture(l.other, "vn")
	l.awaitHooks(a, "vn")
	vn, peer := l.device(l.agent, "vn"), l.device(l.other, "vn")
	late.reset()
	l.raw(l.agent, "vn", datagramFrame(vn.HardwareAddr, peer.HardwareAddr, ap("10.99.3.2:4444"), ap("10.99.3.1:53"), "secret"))
	if n := a.do(agentRequest{Op: "status"}).Status.Frames; n < 2 {
		t.Errorf("%d frames were counted as dropped at a new device", n)
	}
	for k := range late.kinds() {
		if !linkUpkeep[k] {
			t.Errorf("%s left by a new device", k)
		}
	}
	if d := a.do(agentRequest{Op: "tampered"}).Detail; len(d) > 0 {
		t.Errorf("a new device is called tampering: %q", d)
	}

	a.do(agentRequest{Op: "release"})
	l.atOther.reset()
	l.atServer.reset()
	send()
	arrives(t, l.atOther, "udp/53")
	arrives(t, l.atOther, "ethertype 88cc")
	arrives(t, l.atServer, "udp/9999")
	if out, err := l.nft("list tables"); err != nil || strings.Contains(out, "vedette") {
		t.Errorf("tables afterwards: %q, %v", out, err)
	}
}

// awaitHooks waits until the agent has hooks at a device.
func (l *lab) awaitHooks(a *agent, dev string) {
	l.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		out, err := l.nft("list table netdev vedette_isolate_test")
		if err == nil && strings.Count(out, fmt.Sprintf("device %q", dev)) == 2 {
			return
		}
		if time.Now().After(end) {
			l.t.Fatalf("no hooks at %s: %v %s", dev, err, out)
		}
	}
}

func TestAMovedDeviceIsFollowed(t *testing.T) {
	l := newLab(t)
	a := l.start()
	a.do(agentRequest{Op: "apply", Servers: servers})
	a.do(agentRequest{Op: "watch"})
	hide := l.agent + "h"
	run(t, "ip", "netns", "add", hide)
	t.Cleanup(func() { run(t, "ip", "netns", "del", hide) })
	l.ip(l.agent, "link set vo netns "+hide)
	l.ip(hide, "link set lo up")
	l.ip(hide, "addr add 10.99.2.2/24 dev vo")
	l.ip(hide, "link set vo up")
	in := func(args ...string) (string, error) {
		out, err := exec.Command("ip", append([]string{"netns", "exec", hide, "nft"}, args...)...).CombinedOutput()
		return string(out), err
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if out, err := in("list", "table", "netdev", "vedette_isolate_test"); err == nil && strings.Contains(out, `"vo"`) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the device was not followed: %q", a.do(agentRequest{Op: "tampered"}).Detail)
		}
	}
	l.atOther.reset()
	l.closed(hide, other4)
	vo, other := l.device(hide, "vo"), l.device(l.other, "va")
	l.raw(hide, "vo", datagramFrame(vo.HardwareAddr, other.HardwareAddr, netip.MustParseAddrPort("10.99.2.2:4444"), netip.MustParseAddrPort("10.99.2.1:53"), "secret"))
	l.open(l.agent, server4)
	l.wire()
	if out, err := in("flush", "ruleset"); err == nil {
		if out, err := in("list", "tables"); err != nil || strings.Count(out, "vedette_isolate_test") != 2 {
			t.Errorf("root flushed the rules there: %s %v", out, err)
		}
	} else if !strings.Contains(out, "permitted") {
		t.Error(out)
	}
	if d := strings.Join(a.do(agentRequest{Op: "tampered"}).Detail, "\n"); !strings.Contains(d, "vo was moved") {
		t.Errorf("told: %q", d)
	}
	if r := a.do(agentRequest{Op: "verify", Servers: servers}).Report; !r.Verified {
		t.Errorf("verify: %+v", r)
	}

	// An agent that was killed finds its way back to it, and releases it.
	a.kill()
	b := l.start()
	if r := b.do(agentRequest{Op: "restore"}); !r.Is {
		t.Error("not isolated after a restart")
	}
	l.closed(hide, other4)
	b.do(agentRequest{Op: "release"})
	l.open(hide, other4)
	if out, err := in("list", "tables"); err != nil || strings.Contains(out, "vedette") {
		t.Errorf("tables afterwards: %q, %v", out, err)
	}
}

func TestAGuestOfABridgeIsCutOff(t *testing.T) {
	l := newLab(t)
	guest := l.agent + "g"
	run(t, "ip", "netns", "add", guest)
	t.Cleanup(func() { run(t, "ip", "netns", "del", guest) })
	l.ip(l.agent, "addr flush dev vo")
	l.ip(l.agent, "link add br0 type bridge")
	l.ip(l.agent, "link set vo master br0")
	run(t, "ip", "link", "add", "vg", "netns", l.agent, "type", "veth", "peer", "name", "eth0", "netns", guest)
	l.ip(l.agent, "link set vg master br0")
	for _, d := range []string{"vg", "br0"} {
		l.ip(l.agent, "link set "+d+" up")
	}
	l.ip(guest, "addr add 10.99.2.7/24 dev eth0")
	l.ip(guest, "link set eth0 up")
	l.listen(guest, netip.MustParseAddrPort("10.99.2.7:22"))
	l.open(guest, other4)
	l.open(l.other, netip.MustParseAddrPort("10.99.2.7:22"))
	if t.Failed() {
		t.Fatal("the lab does not work")
	}
	a := l.start()
	a.do(agentRequest{Op: "apply", Servers: servers})
	l.atOther.reset()
	l.closed(guest, other4)
	l.closed(l.other, netip.MustParseAddrPort("10.99.2.7:22"))
	l.wire()
	a.do(agentRequest{Op: "release"})
	l.open(guest, other4)
	l.open(l.other, netip.MustParseAddrPort("10.99.2.7:22"))
}

// A macvlan device sends by the device below it.
func TestADeviceAboveAnotherIsHeld(t *testing.T) {
	l := newLab(t)
	guest := l.agent + "m"
	run(t, "ip", "netns", "add", guest)
	t.Cleanup(func() { run(t, "ip", "netns", "del", guest) })
	l.ip(l.agent, "link add mv link vo type macvlan mode bridge")
	l.ip(l.agent, "link set mv netns "+guest)
	l.ip(guest, "addr add 10.99.2.9/24 dev mv")
	l.ip(guest, "link set mv up")
	l.open(guest, other4)
	a := l.start()
	a.do(agentRequest{Op: "apply", Servers: servers})
	l.atOther.reset()
	l.closed(guest, other4)
	l.wire()
	a.do(agentRequest{Op: "release"})
	l.open(guest, other4)
}

// connectBy runs a program that connects, in the agent's namespace, and reports whether it
// could.
func (l *lab) connectBy(program string, to netip.AddrPort, wrap ...string) error {
	l.t.Helper()
	args := append(wrap, "ip", "netns", "exec", l.agent, program)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "VDT_ISOLATE_DIAL="+to.String())
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func TestSelectiveIsolation(t *testing.T) {
	l := newLab(t)
	copyOf := func(name string) string {
		b, err := os.ReadFile("/proc/self/exe")
		if err != nil {
			t.Fatal(err)
		}
		p := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(p, b, 0o755); err != nil {
			t.Fatal(err)
		}
		return p
	}
	mail, evil := copyOf("mail"), copyOf("mail")
	group := fmt.Sprintf("/vdtiso%d", os.Getpid())
	root := cgroupRoot(t)
	dir := filepath.Join(root, group)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	inGroup := []string{"sh", "-c", `echo $$ >"$0/cgroup.procs" && exec "$@"`, dir}
	target := netip.MustParseAddrPort("10.99.2.1:8080")
	resolver := netip.MustParseAddrPort("127.0.0.53:53")
	l.listen(l.other, target, netip.MustParseAddrPort("10.99.2.1:8081"))
	l.listen(l.agent, resolver)

	a := l.start()
	allow := &Allow{Programs: []string{mail, "/no/such/program"}, Cgroups: []string{group},
		Targets: []Target{{Prefix: netip.MustParsePrefix("10.99.2.0/24"), Protocol: "tcp", Port: 8080}}}
	r := a.do(agentRequest{Op: "isolate", Servers: servers, Allow: allow}).Result
	if r.State != responder.Verified || !strings.Contains(string(r.Evidence), "/no/such/program") {
		t.Fatalf("isolate: %+v %s", r, r.Evidence)
	}
	l.atOther.reset()
	l.atServer.reset()
	if err := l.connectBy(evil, other4); err == nil {
		t.Error("another program of the same name gets out")
	}
	l.closed(l.agent, other4)
	l.closed(l.agent, other6)
	l.closed(l.agent, netip.MustParseAddrPort("10.99.2.1:8081"))
	l.closed(l.other, agent4)
	l.closed(l.agent, resolver)
	vo, other := l.device(l.agent, "vo"), l.device(l.other, "va")
	l.raw(l.agent, "vo", datagramFrame(vo.HardwareAddr, other.HardwareAddr, netip.MustParseAddrPort("10.99.2.2:4444"), netip.MustParseAddrPort("10.99.2.1:53"), "secret"))
	l.open(l.agent, server4)
	l.wire()
	l.open(l.agent, target)
	for _, to := range []netip.AddrPort{other4, other6, resolver} {
		if err := l.connectBy(mail, to); err != nil {
			t.Errorf("the allowed program to %v: %v", to, err)
		}
		if err := l.connectBy(evil, to, inGroup...); err != nil {
			t.Errorf("the allowed cgroup to %v: %v", to, err)
		}
	}
	// Narrower: what was allowed is not any more.
	if r := a.do(agentRequest{Op: "isolate", Servers: servers}).Result; r.State != responder.Verified {
		t.Errorf("full: %+v", r)
	}
	if err := l.connectBy(mail, other4); err == nil {
		t.Error("full isolation lets a program out that selective isolation allowed")
	}
	l.closed(l.agent, target)
	if r := a.do(agentRequest{Op: "unisolate"}).Result; r.State != responder.Verified {
		t.Errorf("release: %+v", r)
	}
	l.open(l.agent, other4)
	l.open(l.other, agent4)
}

func TestAllowIsChecked(t *testing.T) {
	server := []netip.AddrPort{server4}
	for name, a := range map[string]*Allow{
		"relative program": {Programs: []string{"bin/x"}},
		"dots":             {Programs: []string{"/usr/../etc/x"}},
		"newline":          {Cgroups: []string{"/a\nb"}},
		"root cgroup":      {Cgroups: []string{"/"}},
		"no range":         {Targets: []Target{{}}},
		"protocol":         {Targets: []Target{{Prefix: netip.MustParsePrefix("10.0.0.0/8"), Protocol: "icmp"}}},
		"port alone":       {Targets: []Target{{Prefix: netip.MustParsePrefix("10.0.0.0/8"), Port: 53}}},
		"too many":         {Programs: make([]string, maxPrograms+1)},
	} {
		if _, err := (Policy{Servers: server, Allow: a}).normal(); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	p, err := Policy{Servers: server, Allow: &Allow{}}.normal()
	if err != nil || p.Allow != nil {
		t.Errorf("an empty allow-list: %+v %v", p, err)
	}
}
