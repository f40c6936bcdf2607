package address

import (
	"context"
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/process"
	"github.com/vedette-edr/vedette/agent/sensor"
	"github.com/vedette-edr/vedette/schema/event"
)

func TestBlockedAddressIsRefusedInTheCgroupAndNowhereElse(t *testing.T) {
	s := newStage(t, Config{})
	to := listen(t)
	for _, act := range []string{"connect", "mapped", "fastopen"} {
		s.want("ok", act, "tcp", to)
	}
	s.want("ok", "sendto", "udp", to)
	s.replace(single(to.Addr(), Block, 7))
	for _, act := range []string{"connect", "mapped", "fastopen"} {
		s.want("EPERM", act, "tcp", to)
	}
	s.want("EPERM", "connect", "udp", to)
	s.want("EPERM", "sendto", "udp", to)   // a dual-stack socket: IPv4-mapped
	s.want("EPERM", "sendto", "udp4", to)  // a socket of IPv4
	c, err := net.Dial("tcp", to.String()) // this process is not in the cgroup
	if err != nil {
		t.Errorf("outside the cgroup: %v", err)
	} else {
		c.Close()
	}
	s.change(single(to.Addr(), 0, 0))
	s.want("ok", "connect", "tcp", to)
	s.want("ok", "sendto", "udp", to)
}

func TestMultipathTCPIsRefusedToo(t *testing.T) {
	s := newStage(t, Config{})
	to := listen(t)
	if got := s.act("mptcp", "tcp", to); got != "ok" {
		t.Skip("MPTCP:", got)
	}
	s.replace(single(to.Addr(), Block, 7))
	s.want("EPERM", "mptcp", "tcp", to)
}

func TestIPv6(t *testing.T) {
	s := newStage(t, Config{})
	// Nobody listens and no route leads there: what matters is who refuses.
	far := netip.MustParseAddrPort("[2001:db8:1:2::3]:443")
	if got := s.act("connect", "tcp", far); got == "EPERM" {
		t.Fatal("refused before it was blocked")
	}
	s.replace(single(far.Addr(), Block, 1))
	s.want("EPERM", "connect", "tcp", far)
	s.want("EPERM", "connect", "udp", far)
	s.want("EPERM", "sendto", "udp6", far)
	near := netip.MustParseAddrPort("[2001:db8:1:2::4]:443")
	if got := s.act("connect", "tcp", near); got == "EPERM" {
		t.Error("a neighbour is refused")
	}
	s.change(Rule{Prefix: netip.MustParsePrefix("2001:db8:1::/48"), Verdict: Block, ID: 2})
	s.want("EPERM", "connect", "tcp", near)
	// Everything of IPv6 is no address of IPv4, mapped ones included.
	s.replace(Rule{Prefix: netip.MustParsePrefix("::/0"), Verdict: Block, ID: 3})
	s.want("EPERM", "connect", "tcp", near)
	v4 := listen(t)
	s.want("ok", "connect", "tcp", v4)
	s.want("ok", "mapped", "tcp", v4)
}

func TestRangesAndAllowedAddresses(t *testing.T) {
	s := newStage(t, Config{})
	to := listen(t)
	wide, narrow := netip.PrefixFrom(to.Addr(), 16).Masked(), netip.PrefixFrom(to.Addr(), 24).Masked()
	s.replace(Rule{wide, Block, 1})
	s.want("EPERM", "connect", "tcp", to)
	s.want("EPERM", "mapped", "tcp", to)
	// A narrower rule of less weight does not lift the wider one.
	s.change(Rule{narrow, Audit, 2})
	s.want("EPERM", "connect", "tcp", to)
	s.change(single(to.Addr(), Audit, 3))
	s.want("EPERM", "connect", "tcp", to)
	// Allowed goes before blocked, whichever is the narrower.
	s.change(single(to.Addr(), Allow, 4))
	s.want("ok", "connect", "tcp", to)
	s.change(single(to.Addr(), Block, 5), Rule{narrow, Allow, 6})
	s.want("ok", "connect", "tcp", to)
	s.change(Rule{narrow, 0, 0}, Rule{wide, Allow, 7})
	s.want("ok", "connect", "tcp", to)
	s.change(Rule{wide, 0, 0})
	s.want("EPERM", "connect", "tcp", to)
}

func TestTheFloorHolds(t *testing.T) {
	server := listen(t)
	s := newStage(t, Config{Servers: func(context.Context) ([]netip.AddrPort, error) { return []netip.AddrPort{server}, nil }})
	s.replace(single(netip.MustParseAddr("127.0.0.1"), Block, 1), single(netip.IPv6Loopback(), Block, 2), single(netip.IPv4Unspecified(), Block, 3),
		single(server.Addr(), Block, 4), Rule{netip.MustParsePrefix("127.0.0.0/8"), Block, 5}, Rule{netip.MustParsePrefix("::/0"), Block, 6})
	s.wait4(server, Allow)
	s.want("ok", "connect", "tcp", server)
	s.want("ok", "connect", "tcp", listenAt(t, netip.MustParseAddr("127.0.0.1")))
	s.want("EPERM", "connect", "tcp", listen(t))
	if l, err := net.Listen("tcp", "[::1]:0"); err == nil {
		defer l.Close()
		s.want("ok", "connect", "tcp", netip.MustParseAddrPort(l.Addr().String()))
	}
	f := s.Facilities()[0]
	if s.Stats().Spared == 0 || f.State != sensor.Degraded || !strings.Contains(f.Detail, "server") {
		t.Errorf("facility %+v, stats %+v", f, s.Stats())
	}
	// The server moves: its new addresses are protected, the old ones no longer.
	if err := s.Protect([]netip.Addr{netip.MustParseAddr("192.0.2.1")}); err != nil {
		t.Fatal(err)
	}
	s.want("EPERM", "connect", "tcp", server)
}

// wait4 waits until the kernel holds a verdict of an address.
func (s *stage) wait4(a netip.AddrPort, v Verdict) {
	s.t.Helper()
	s.poll("verdict", func() bool {
		got, err := s.Verdict(a.Addr())
		return err == nil && got&v != 0
	})
}

func TestSessionsWithWhatBecomesBlockedEnd(t *testing.T) {
	s := newStage(t, Config{})
	bad, good := listen(t), listen(t)
	for _, network := range []string{"tcp", "udp"} {
		s.replace()
		ends, stays := s.hold(network, bad), s.hold(network, good)
		s.change(single(bad.Addr(), Block, 1))
		if got := ends.ended(t); got != "ECONNABORTED" {
			t.Errorf("%s: the session ended with %s", network, got)
		}
		if err := stays.cmd.Process.Signal(nil0); err != nil {
			t.Errorf("%s: the other session's program ended: %v", network, err)
		}
	}
	ends := s.hold("tcp", good)
	s.replace(Rule{netip.PrefixFrom(good.Addr(), 24).Masked(), Block, 2})
	if got := ends.ended(t); got != "ECONNABORTED" {
		t.Errorf("of a blocked range: the session ended with %s", got)
	}
	if n := s.Stats().Ended; n < 3 {
		t.Errorf("%d sessions ended", n)
	}
}

func TestSessionsInOtherNetworkNamespacesEnd(t *testing.T) {
	s := newStage(t, Config{})
	a := random4()
	cmd := s.command("contain", "tcp", netip.AddrPortFrom(a, 9).String())
	cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWNET
	h := s.start(cmd)
	s.change(single(a, Block, 1))
	if got := h.ended(t); got != "ECONNABORTED" {
		t.Errorf("the session ended with %s", got)
	}
}

func TestEventSaysWhoTriedWhat(t *testing.T) {
	table := process.New(process.Config{})
	s := newStage(t, Config{Find: table.Find})
	to := listen(t)
	s.replace(single(to.Addr(), Block, 77))
	cmd := s.command("storm", "tcp", to.String())
	if out, err := cmd.Output(); err != nil || strings.TrimSpace(string(out)) != "EPERM" {
		t.Fatalf("%s %v", out, err)
	}
	e := s.wait("blocked", func(e *event.Event) bool { return e.Action == "ExploitGuardNetworkProtectionBlocked" })
	if e.Table != event.DeviceEvents || e.Initiating == nil || int(e.Initiating.PID) != cmd.Process.Pid {
		t.Errorf("event %+v of %+v", e, e.Initiating)
	}
	want := &event.Network{RemoteIP: to.Addr().String(), RemotePort: to.Port(), Protocol: "Tcp"}
	if d := cmp.Diff(want, e.Network); d != "" {
		t.Error(d)
	}
	var more map[string]any
	if err := json.Unmarshal([]byte(e.Additional), &more); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]any{"IsAudit": false, "ResponseCategory": "CustomBlockList", "IndicatorId": 77.0}, more); d != "" {
		t.Error(d)
	}
	// Five hundred attempts in a row are a few events, and none is uncounted.
	st := s.Stats()
	if st.Blocked != 500 || st.Suppressed < 490 || st.Lost != 0 {
		t.Errorf("stats %+v", st)
	}

	s.change(single(to.Addr(), Audit, 78))
	s.want("ok", "connect", "tcp", to)
	e = s.wait("audited", func(e *event.Event) bool { return e.Action == "ExploitGuardNetworkProtectionAudited" })
	if !strings.Contains(e.Additional, `"IsAudit":true`) || !strings.Contains(e.Additional, `"IndicatorId":78`) {
		t.Error(e.Additional)
	}
}

func TestATableThatFillsGrows(t *testing.T) {
	s := newStage(t, Config{})
	var rules []Rule
	a := netip.MustParseAddr("198.18.0.0")
	for i := range 3000 {
		a = a.Next()
		rules = append(rules, single(a, Block, int64(i)))
	}
	for some := range slices.Chunk(rules, 100) {
		s.change(some...)
	}
	if st := s.Stats(); st.Hosts != len(rules) {
		t.Errorf("stats %+v", st)
	}
	for _, r := range rules {
		if v, err := s.Verdict(r.Prefix.Addr()); err != nil || v != Block {
			t.Fatalf("%v: %v %v", r.Prefix, v, err)
		}
	}
	s.replace(rules[0])
	if v, err := s.Verdict(rules[1].Prefix.Addr()); err != nil || v != 0 || s.Stats().Hosts != 1 {
		t.Errorf("after Replace: %v %v %+v", v, err, s.Stats())
	}
}

func TestNothingIsBlockedOnceClosed(t *testing.T) {
	s := newStage(t, Config{})
	to := listen(t)
	s.replace(single(to.Addr(), Block, 1))
	s.want("EPERM", "connect", "tcp", to)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s.want("ok", "connect", "tcp", to)
	if err := s.Change(nil); err == nil {
		t.Error("Change works after Close")
	}
	if st := s.Stats(); st.Blocked != 1 {
		t.Errorf("stats are gone: %+v", st)
	}
}

func TestTwoInstancesLiveOnOneKernel(t *testing.T) {
	s := newStage(t, Config{})
	other, err := New(Config{Instance: "other", CgroupPath: s.path})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	to := listen(t)
	if err := other.Change([]Rule{single(to.Addr(), Block, 1)}); err != nil {
		t.Fatal(err)
	}
	s.want("EPERM", "connect", "tcp", to)
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	s.want("ok", "connect", "tcp", to)
}

func TestRealProgramIsRefused(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("no curl")
	}
	s := newStage(t, Config{})
	to := listen(t)
	s.replace(single(to.Addr(), Block, 1))
	cmd := exec.Command(curl, "-sS", "--max-time", "10", "http://"+to.String()+"/")
	cmd.SysProcAttr = s.command("connect").SysProcAttr
	out, err := cmd.CombinedOutput()
	if err == nil || cmd.ProcessState.ExitCode() != 7 {
		t.Errorf("curl: %v %s", err, out)
	}
	e := s.wait("blocked", func(*event.Event) bool { return true })
	if e.Network.RemotePort != to.Port() {
		t.Errorf("event %+v", e.Network)
	}
}

func TestOwnConnectionsPass(t *testing.T) {
	s := newStage(t, Config{})
	to := listen(t)
	s.replace(single(to.Addr(), Block, 1))
	join(t, s.path)
	c, err := net.Dial("tcp", to.String())
	if err != nil {
		t.Fatalf("the process that blocks is blocked itself: %v", err)
	}
	c.Close()
	s.want("EPERM", "connect", "tcp", to)
}

// join moves this process into a cgroup until the test ends.
func join(t testing.TB, path string) {
	t.Helper()
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	back := ""
	for line := range strings.Lines(string(own)) {
		if p, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			back = p
		}
	}
	root := path[:strings.LastIndex(path, "/")]
	if err := os.WriteFile(path+"/cgroup.procs", []byte("0"), 0); err != nil {
		t.Skip("cannot move into the cgroup:", err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(root+back+"/cgroup.procs", []byte("0"), 0); err != nil {
			t.Error(err)
		}
	})
}
