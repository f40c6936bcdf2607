package enforce

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/mounttest"

	"github.com/vedette-edr/vedette/agent/enforce/address"
	"github.com/vedette-edr/vedette/agent/kernfs"
	"github.com/vedette-edr/vedette/agent/sensor"
	"github.com/vedette-edr/vedette/wire/wirepb"
)

const patience = 20 * time.Second

// newBlocker returns a blocker of a cgroup of the test's own.
func newBlocker(t testing.TB) (b *address.Blocker, cgroup string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	m, err := kernfs.Cgroup()
	if err != nil || strings.HasPrefix(m.Path, "/proc/") {
		t.Skip("no cgroup2 is mounted:", err)
	}
	cgroup, err = os.MkdirTemp(m.Path, "vedette-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = os.WriteFile(filepath.Join(cgroup, "cgroup.kill"), []byte("1"), 0)
		for end := time.Now().Add(patience); os.Remove(cgroup) != nil && time.Now().Before(end); {
			time.Sleep(5 * time.Millisecond)
		}
	})
	return attach(t, cgroup), cgroup
}

func attach(t testing.TB, cgroup string) *address.Blocker {
	t.Helper()
	b, err := address.New(address.Config{Instance: "test", CgroupPath: cgroup})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// connect has a shell in the cgroup connect, and returns what went wrong.
func connect(t testing.TB, cgroup string, to net.Addr) string {
	t.Helper()
	dir, err := os.Open(cgroup)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	host, port, err := net.SplitHostPort(to.String())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", "-c", fmt.Sprintf("exec 3<>/dev/tcp/%s/%s", host, port))
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	cmd.Env = []string{"LC_ALL=C"}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err == nil {
		return ""
	}
	return said.String()
}

func TestIndicatorsBlockConnectionsAcrossRestarts(t *testing.T) {
	b, cgroup := newBlocker(t)
	l, err := net.Listen("tcp", netip.AddrPortFrom(randomLoopback(), 0).String())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	host := l.Addr().(*net.TCPAddr).IP.String()
	free := func(what string) {
		t.Helper()
		if got := connect(t, cgroup, l.Addr()); got != "" {
			t.Errorf("%s: %s", what, got)
		}
	}
	blocked := func(what string) {
		t.Helper()
		if got := connect(t, cgroup, l.Addr()); !strings.Contains(got, "Operation not permitted") {
			t.Errorf("%s: %q", what, got)
		}
	}
	dir := t.TempDir()
	s := open(t, dir, b)
	free("at first")
	apply(t, s, full(1, ip(1, host, "Block", time.Time{})))
	blocked("in a complete set")
	apply(t, s, diff(1, 2, nil, 1))
	free("once removed")
	apply(t, s, diff(2, 3, []*wirepb.Indicator{ip(2, host+"/31", "Block", time.Time{})}))
	blocked("as a range, in a difference")

	// The agent ends: nothing is blocked. It starts again, and has not met its server.
	s.Close()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	free("without an agent")
	b = attach(t, cgroup)
	s = open(t, dir, b)
	blocked("after the restart")
	if s.Revision() != 3 {
		t.Errorf("revision %d", s.Revision())
	}
	apply(t, s, diff(3, 4, []*wirepb.Indicator{ip(3, host, "Allowed", time.Time{})}))
	free("once allowed")

	go s.Run(t.Context())
	ends := time.Now().Truncate(time.Second).Add(3 * time.Second)
	apply(t, s, full(5, ip(4, host, "Block", ends)))
	if got := connect(t, cgroup, l.Addr()); time.Now().Before(ends) && got == "" {
		t.Error("not blocked before it expires")
	}
	for connect(t, cgroup, l.Addr()) != "" {
		if time.Since(ends) > patience {
			t.Fatal("an expired indicator still blocks")
		}
	}
	if time.Now().Before(ends) {
		t.Error("it expired before its time")
	}
}

func randomLoopback() netip.Addr {
	return netip.AddrFrom4([4]byte{127, 201 + byte(rand.IntN(50)), byte(rand.IntN(256)), 2 + 2*byte(rand.IntN(126))})
}

// TestRandomSetsInTheKernel compares what the kernel's tables decide with the naive map,
// for addresses in and around every rule.
func TestRandomSetsInTheKernel(t *testing.T) {
	b, _ := newBlocker(t)
	s := open(t, memoryDir(t), b)
	rnd := rand.New(rand.NewPCG(1, 2))
	one := func() string {
		if rnd.IntN(3) == 0 {
			return fmt.Sprintf("2001:db8::%x:%x", rnd.IntN(4), rnd.IntN(16))
		}
		return fmt.Sprintf("198.18.%d.%d", rnd.IntN(4), rnd.IntN(16))
	}
	m, revision := model{}, uint64(0)
	for step := range 60 {
		indicator := func() *wirepb.Indicator {
			value := one()
			if rnd.IntN(3) == 0 {
				if a := netip.MustParseAddr(value); a.Is4() {
					value = fmt.Sprintf("%v/%d", a, 16+rnd.IntN(17))
				} else {
					value = fmt.Sprintf("%v/%d", a, 32+rnd.IntN(97))
				}
			}
			return ip(1+rnd.Int64N(60), value, []string{"Block", "Block", "Audit", "Allowed"}[rnd.IntN(4)], time.Time{})
		}
		var put []*wirepb.Indicator
		seen := map[int64]bool{}
		for range rnd.IntN(12) {
			if i := indicator(); !seen[i.Id] {
				seen[i.Id] = true
				put = append(put, i)
			}
		}
		parts := full(revision+1, put...)
		if step%8 != 0 {
			remove := []int64{1 + rnd.Int64N(60), 1 + rnd.Int64N(60)}
			parts = diff(revision, revision+1, put, remove...)
			for _, id := range remove {
				delete(m, id)
			}
		} else {
			m = model{}
		}
		for _, i := range put {
			m[i.Id] = i
		}
		apply(t, s, parts)
		revision++
		rules := m.verdicts(time.Now())
		for range 300 {
			a := netip.MustParseAddr(one())
			var want address.Verdict
			for text, v := range rules {
				if netip.MustParsePrefix(text).Contains(a) {
					want |= v
				}
			}
			if got, err := b.Verdict(a); err != nil || got != want {
				t.Fatalf("step %d: %v: %v %v, want %v", step, a, got, err, want)
			}
		}
	}
}

func TestAFullDiskDoesNotKeepIndicatorsFromForce(t *testing.T) {
	dir := mounttest.Tmpfs(t, "size=64k")
	to := &table{}
	s := open(t, dir, to)
	apply(t, s, full(1, ip(1, "192.0.2.1", "Block", time.Time{})))
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	apply(t, s, diff(1, 2, []*wirepb.Indicator{ip(2, "192.0.2.2", "Block", time.Time{})}))
	apply(t, s, diff(2, 3, []*wirepb.Indicator{ip(3, "192.0.2.3", "Block", time.Time{})}, 1))
	apply(t, s, full(4, ip(3, "192.0.2.3", "Block", time.Time{}), ip(4, "192.0.2.4", "Block", time.Time{})))
	want := map[string]address.Verdict{"192.0.2.3/32": address.Block, "192.0.2.4/32": address.Block}
	wantVerdicts(t, to, want)
	if f := s.Facilities()[0]; f.State != sensor.Degraded || !strings.Contains(f.Detail, "would not survive a restart") {
		t.Errorf("%+v", f)
	}
	// Room again: the next change brings all of it to the disk.
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	apply(t, s, diff(4, 5, []*wirepb.Indicator{ip(5, "192.0.2.5", "Block", time.Time{})}))
	want["192.0.2.5/32"] = address.Block
	if f := s.Facilities()[0]; f.State != sensor.Working {
		t.Errorf("%+v", f)
	}
	s.Close()
	to = &table{}
	s = open(t, dir, to)
	wantVerdicts(t, to, want)
	if s.Revision() != 5 {
		t.Errorf("revision %d", s.Revision())
	}
	s.Close()
}

// indicators makes n blocked addresses.
func indicators(n int) []*wirepb.Indicator {
	var put []*wirepb.Indicator
	a := netip.MustParseAddr("11.0.0.0")
	for i := range n {
		put = append(put, ip(int64(i+1), a.String(), "Block", time.Time{}))
		a = a.Next()
	}
	return put
}

func parts(revision uint64, put []*wirepb.Indicator) []*wirepb.IndicatorSet {
	return []*wirepb.IndicatorSet{{Device: device, Revision: revision, Put: put, Last: true}}
}

// BenchmarkApply measures the time from Apply to in force (and on the disk).
func BenchmarkApply(b *testing.B) {
	for _, n := range []int{1000, 50_000, 1_000_000} {
		put := indicators(n)
		b.Run(fmt.Sprintf("full-%d", n), func(b *testing.B) {
			blocker, _ := newBlocker(b)
			s := open(b, b.TempDir(), blocker)
			for i := range b.N {
				apply(b, s, parts(uint64(i+1), put))
			}
			b.ReportMetric(float64(s.Stats().Bytes)/float64(n), "B/entry")
		})
		b.Run(fmt.Sprintf("one-more-beside-%d", n), func(b *testing.B) {
			blocker, _ := newBlocker(b)
			s := open(b, b.TempDir(), blocker)
			apply(b, s, parts(1, put))
			b.ResetTimer()
			for i := range b.N {
				apply(b, s, diff(uint64(i+1), uint64(i+2), []*wirepb.Indicator{ip(int64(n+1+i%4000), "203.0.113.1", "Block", time.Time{})}))
			}
		})
	}
}
