package name

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/agent/enforce/address"
	"github.com/vedette-edr/vedette/schema/event"
)

func (r *ruled) apply(t testing.TB, rules ...[]Rule) {
	t.Helper()
	all := slices.Concat(rules...)
	byKey := map[Key]Rule{}
	for _, x := range all {
		byKey[x.Key] = x
	}
	if err := r.Replace(maps.Values(byKey), len(byKey)); err != nil {
		t.Fatal(err)
	}
}

func TestQuestionsForBlockedNamesAreNotAsked(t *testing.T) {
	r := start(t)
	server := dns(t, loopback(t))
	r.apply(t, r.rule("evil.example", address.Block, 1), r.rule("good.evil.example", address.Allow, 2), r.rule("watched.example", address.Audit, 3),
		r.rule("https://exact.example/", address.Block, 4), r.rule("mixed.example", address.Block, 5), r.rule("http://mixed.example/fine/", address.Allow, 6),
		r.rule("corp.example", address.Block, 7))
	for name, blocked := range map[string]bool{
		"evil.example": true, "www.evil.example": true, "a.b.c.EVIL.example": true, "notevil.example": false, "evil.example.org": false,
		"good.evil.example": false, "very.good.evil.example": false, "watched.example": false, "example": false,
		"exact.example": true, "www.exact.example": false, "mixed.example": false, "other.mixed.example": true,
		"server.corp.example": false, "www.corp.example": true,
		strings.Repeat("a.", 100) + "evil.example": true,
	} {
		for _, how := range []string{"dns", "dnstcp"} {
			got := r.run(t, how, server, name+".")
			if (got != "") != blocked {
				t.Errorf("%s %s: blocked is %v, said %q", how, name, blocked, got)
			}
		}
	}
	e := r.told(t, func(e *event.Event) bool { return e.Network.RemoteURL == "www.evil.example" })
	if e.Action != "ExploitGuardNetworkProtectionBlocked" || !strings.Contains(e.Additional, `"Source":"Dns"`) || !strings.Contains(e.Additional, `"IndicatorId":1,`) && !strings.Contains(e.Additional, `"IndicatorId":1}`) {
		t.Errorf("%+v", e)
	}
	if e := r.told(t, func(e *event.Event) bool { return e.Network.RemoteURL == "watched.example" }); e.Action != "ExploitGuardNetworkProtectionAudited" {
		t.Errorf("%+v", e)
	}
}

func TestHellosToBlockedNamesDoNotArrive(t *testing.T) {
	r := start(t)
	addr, seen := site(t, loopback(t), true)
	r.apply(t, r.rule("evil.example", address.Block, 1), r.rule("https://page.example/some/path", address.Block, 2))
	// In one piece, cut within the name, and drop by drop.
	for _, split := range []string{"0", "90", "130", "11", "700"} {
		if got := r.run(t, "tls", addr, "www.evil.example", split); got == "" {
			t.Errorf("in pieces of %s bytes the handshake succeeds", split)
		}
		if got := r.run(t, "tls", addr, "innocent.example", split); got != "" {
			t.Errorf("in pieces of %s bytes the innocent's handshake: %s", split, got)
		}
	}
	// The path of an https URL is not seen, and its host not blocked for it.
	if got := r.run(t, "tls", addr, "page.example", "0"); got != "" {
		t.Error(got)
	}
	if s := seen(); slices.Contains(s, "www.evil.example") || !slices.Contains(s, "innocent.example") {
		t.Errorf("arrived: %v", s)
	}
	began := time.Now()
	if got := r.run(t, "tls", addr, "www.evil.example", "0"); !strings.Contains(got, "abort") && !strings.Contains(got, "reset") {
		t.Errorf("it is not told: %q", got)
	}
	if d := time.Since(began); d > 3*time.Second {
		t.Errorf("it is told only after %v", d)
	}
}

func TestRequestsForBlockedURLsDoNotArrive(t *testing.T) {
	r := start(t)
	addr, seen := site(t, loopback(t), false)
	_, port, _ := net.SplitHostPort(addr)
	r.apply(t, r.rule("site.example", address.Block, 1), r.rule("http://site.example/public/", address.Allow, 2),
		r.rule("http://site.example/public/not", address.Block, 3), r.rule("shop.example/bad?id=7", address.Block, 4),
		r.rule("http://port.example:"+port+"/x", address.Block, 5), r.rule("warned.example", address.Warn, 6))
	get := func(host, target string) string {
		return fmt.Sprintf("GET %s HTTP/1.1\r\nAccept: */*\r\nHost: %s\r\n\r\n", target, host)
	}
	for _, c := range []struct {
		host, target string
		blocked      bool
	}{
		{"site.example", "/", true}, {"site.example", "/else", true}, {"www.site.example", "/public/", true}, {"SITE.example", "/x", true},
		{"site.example", "/public/", false}, {"site.example", "/public/a/b?c=d", false}, {"site.example", "/publicity", true},
		{"site.example", "/public/not", true}, {"site.example", "/public/not/even/this", true}, {"site.example", "/public/nothing", false},
		{"site.example:" + port, "/public/", false}, {"site.example:" + port, "/", true},
		{"shop.example", "/bad?id=7", true}, {"shop.example", "/bad?id=8", false}, {"shop.example", "/bad", false},
		{"port.example:" + port, "/x", true}, {"port.example:" + port, "/x/y", true}, {"port.example", "/x", false},
		{"other.example", "/", false}, {"warned.example", "/w", false},
		{"proxy.example", "http://site.example/else", true}, {"proxy.example", "http://site.example/public/", false},
	} {
		for _, split := range []string{"0", "13"} {
			if got := r.run(t, "http", addr, split, get(c.host, c.target)); (got != "") != c.blocked {
				t.Errorf("%s%s in pieces of %s: blocked is %v, said %q", c.host, c.target, split, c.blocked, got)
			}
		}
	}
	// Later requests of a connection are judged as the first.
	if got := r.run(t, "http", addr, "0", get("fine.example", "/first"), get("site.example", "/second")); got == "" {
		t.Error("a second request on a connection passes")
	}
	for _, s := range seen() {
		if strings.HasPrefix(s, "site.example") && !strings.HasPrefix(s, "site.example/public/") && !strings.HasPrefix(s, "site.example:"+port+"/public/") {
			t.Errorf("arrived: %s", s)
		}
	}
	if !slices.Contains(seen(), "fine.example/first") {
		t.Error("the first request did not arrive")
	}
	e := r.told(t, func(e *event.Event) bool { return strings.HasSuffix(e.Network.RemoteURL, "/public/not/even/this") })
	if e.Network.RemoteURL != "http://site.example:"+port+"/public/not/even/this" {
		t.Errorf("%+v", e.Network)
	}
	if e := r.told(t, func(e *event.Event) bool { return strings.Contains(e.Network.RemoteURL, "warned.example") }); e.Action != "SmartScreenUrlWarning" {
		t.Errorf("%+v", e)
	}
}

func TestAddressesOfBlockedNamesAreBlockedUnlessShared(t *testing.T) {
	r := start(t)
	a, b := netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("2001:db8::7")
	await := func(what string, addr netip.Addr, want bool) {
		t.Helper()
		for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			v, err := r.addresses.Verdict(addr)
			if err != nil {
				t.Fatal(err)
			}
			if v.Blocks() == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s: the verdict of %v is %v", what, addr, v)
			}
		}
	}
	r.Resolved("cdn.evil.example", a, time.Hour)
	r.Resolved("evil.example", b, time.Hour)
	await("before there is a rule", a, false)
	r.apply(t, r.rule("evil.example", address.Block, 1))
	await("a name from before the rule", a, true)
	await("the name itself", b, true)
	r.Resolved("innocent.example", b, time.Hour)
	await("an address that is shared", b, false)
	await("one that is not", a, true)
	if err := r.Change([]Rule{{Key: r.seed.Domain("evil.example")}}); err != nil {
		t.Fatal(err)
	}
	await("the rule is gone", a, false)
	if n := r.Stats().Rules; n != 0 {
		t.Errorf("%d rules", n)
	}
}

func TestManyRulesAndChanges(t *testing.T) {
	r := start(t)
	const n = 100_000
	began := time.Now()
	err := r.Replace(func(yield func(Rule) bool) {
		for i := range n {
			if !yield(Rule{Key: r.seed.Domain(fmt.Sprintf("d%d.example", i)), Verdict: address.Block, ID: int64(i + 1)}) {
				return
			}
		}
	}, n)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d rules in %s", n, time.Since(began))
	for i := range 1000 {
		if err := r.Change([]Rule{{Key: r.seed.Domain(fmt.Sprintf("more%d.example", i)), Verdict: address.Block, ID: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]int64{"d7.example": 8, "x.d99999.example": 100_000, "more999.example": 1, "e7.example": 0} {
		if got, err := r.Decide(name); err != nil || got.ID != want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}
