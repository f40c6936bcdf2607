package isolate

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPolicyIsCheckedAndPutInOrder(t *testing.T) {
	ap := netip.MustParseAddrPort
	p, err := Policy{Servers: []netip.AddrPort{ap("[2001:db8::5]:443"), ap("10.0.0.1:8443"), ap("[::ffff:10.0.0.1]:8443"), ap("[fe80::1%eth0]:1")}}.normal()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"10.0.0.1:8443", "[2001:db8::5]:443", "[fe80::1]:1"}
	var got []string
	for _, s := range p.Servers {
		got = append(got, s.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("servers (-want +got):\n%s", diff)
	}
	if _, err := (Policy{}).normal(); !errors.Is(err, ErrNoServer) {
		t.Errorf("no server: %v", err)
	}
	for _, s := range []string{"0.0.0.0:443", "[::]:443", "224.0.0.1:443", "10.0.0.1:0"} {
		if _, err := (Policy{Servers: []netip.AddrPort{ap(s)}}).normal(); err == nil {
			t.Errorf("%s was accepted", s)
		}
	}
}

func TestStateSurvivesAndBadStateIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "isolate.json")
	if s, err := load(path); s != nil || err != nil {
		t.Fatalf("no file: %v, %v", s, err)
	}
	want := saved{Since: time.Unix(1795296110, 0).UTC(), Policy: Policy{Servers: []netip.AddrPort{netip.MustParseAddrPort("[fd00::1]:443")}}}
	for range 2 {
		if err := store(path, want); err != nil {
			t.Fatal(err)
		}
	}
	got, err := load(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&want, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("left beside the state: %v", entries)
	}
	if err := os.WriteFile(path, []byte(`{"policy":{"servers":["nonsense"]}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := load(path); err == nil {
		t.Error("nonsense was read")
	}
}

func TestIsLocal(t *testing.T) {
	for addr, want := range map[string]bool{"127.0.0.77": true, "::1": true, "0.0.0.0": true, "::ffff:127.0.0.1": true, "192.0.2.1": false, "2001:db8::1": false} {
		if got, err := IsLocal(netip.MustParseAddr(addr)); err != nil || got != want {
			t.Errorf("IsLocal(%s) = %v, %v", addr, got, err)
		}
	}
}
