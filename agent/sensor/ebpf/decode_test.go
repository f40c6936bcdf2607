//go:build linux

package ebpf

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/vedette-edr/vedette/agent/hash"
	"github.com/vedette-edr/vedette/agent/process"
	"github.com/vedette-edr/vedette/schema/event"
)

func TestWalkedPaths(t *testing.T) {
	for _, c := range []struct {
		in   string
		cut  bool
		want string
	}{
		{"", false, "/"},
		{"bin\x00", false, "/bin"},
		{"c\x00b\x00a\x00", false, "/a/b/c"},
		{"c\x00b\x00", true, "/…/b/c"},
		{"\xff\x00a\x00", false, "/a/\xff"},
	} {
		if got := walked([]byte(c.in), c.cut); got != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
}

func TestNamesAreJoinedToTheirDirectory(t *testing.T) {
	for _, c := range []struct{ name, dir, want string }{
		{"x\x00", "b\x00a\x00", "/a/b/x"},
		{"../x\x00", "b\x00a\x00", "/a/x"},
		{"./s/../x\x00", "a\x00", "/a/x"},
		{"/etc/x\x00", "", "/etc/x"},
		{"/etc/x\x00", "jail\x00", "/jail/etc/x"},
		{"", "b\x00a\x00", "/a/b"},
	} {
		if got := joined([]byte(c.name), []byte(c.dir), false); got != c.want {
			t.Errorf("%q in %q: %q, want %q", c.name, c.dir, got, c.want)
		}
	}
}

func TestExcludedPathsEndAtASlash(t *testing.T) {
	n := &normaliser{cfg: Config{Exclude: []Exclusion{{Path: "/var/lib/vedette"}, {Path: "/proc/"}, {Path: "/srv", Program: "/bin/own"}}}}
	for p, want := range map[string]bool{
		"/var/lib/vedette": true, "/var/lib/vedette/a": true, "/var/lib/vedette-not": false, "/var/lib": false,
		"/proc/1/mem": true, "/proc": false, "/srv/a": false,
	} {
		if got := n.leftOut(p, "/bin/any"); got != want {
			t.Errorf("%s: %v", p, got)
		}
	}
	if !n.leftOut("/srv/a", "/bin/own") || n.leftOut("/srv-not", "/bin/own") {
		t.Error("a program's own files")
	}
}

func TestDNSAnswersOfManyKinds(t *testing.T) {
	name := func(s string) dnsmessage.Name { return dnsmessage.MustNewName(s) }
	h := func(t dnsmessage.Type) dnsmessage.ResourceHeader {
		return dnsmessage.ResourceHeader{Name: name("a.test."), Type: t, Class: dnsmessage.ClassINET, TTL: 7}
	}
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 9, Response: true},
		Questions: []dnsmessage.Question{{Name: name("a.test."), Type: dnsmessage.TypeALL, Class: dnsmessage.ClassINET}},
		Answers: []dnsmessage.Resource{
			{Header: h(dnsmessage.TypeCNAME), Body: &dnsmessage.CNAMEResource{CNAME: name("b.test.")}},
			{Header: h(dnsmessage.TypeA), Body: &dnsmessage.AResource{A: [4]byte{192, 0, 2, 1}}},
			{Header: h(dnsmessage.TypeAAAA), Body: &dnsmessage.AAAAResource{AAAA: netip.MustParseAddr("2001:db8::1").As16()}},
			{Header: h(65), Body: &dnsmessage.UnknownResource{Type: 65, Data: []byte{0, 1, 0}}},
			{Header: h(dnsmessage.TypeTXT), Body: &dnsmessage.TXTResource{TXT: []string{"v=\xff", "1"}}},
			{Header: h(dnsmessage.TypeMX), Body: &dnsmessage.MXResource{Pref: 1, MX: name("mx.test.")}},
		},
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	got, ok := parseDNS(b)
	if !ok {
		t.Fatal("not read")
	}
	var list []string
	for _, a := range got.answers {
		list = append(list, a.Type+" "+a.Result)
	}
	want := []string{"CNAME b.test", "A 192.0.2.1", "AAAA 2001:db8::1", "HTTPS ", `TXT v=\xff1`, "MX mx.test"}
	if d := cmp.Diff(want, list); d != "" {
		t.Error(d)
	}
	if cut, ok := parseDNS(b[:len(b)-3]); !ok || len(cut.answers) != 5 {
		t.Errorf("of a message that was cut %d answers, %v", len(cut.answers), ok)
	}
}

func TestOnlyAnswersThatWereAskedForNameAddresses(t *testing.T) {
	n := newNames()
	now := time.Unix(1000, 0)
	addr := netip.MustParseAddr("192.0.2.1")
	answers := []dnsAnswer{{Type: "A", addr: addr, ttl: time.Minute}}
	q := question{server: netip.MustParseAddr("192.0.2.53"), port: 4000, id: 1, name: "Good.Test", kind: "A"}
	forged := q
	forged.id = 2
	n.ask(q, now)
	if n.learn(forged, answers, now) || n.of(addr, now) != "" {
		t.Error("a forged answer was taken")
	}
	if !n.learn(q, answers, now) || n.of(addr, now) != "good.test" {
		t.Errorf("the answer gave %q", n.of(addr, now))
	}
	if n.learn(q, answers, now) {
		t.Error("the answer was taken twice")
	}
	if got := n.of(addr, now.Add(2*time.Minute)); got != "" {
		t.Errorf("after its time: %q", got)
	}
	for i := range 3 * maxNames {
		q.id, q.port = uint16(i), uint16(i>>16)
		n.ask(q, now)
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		n.learn(q, []dnsAnswer{{addr: a, ttl: time.Hour}}, now)
		q.name = "unanswered"
		n.ask(q, now)
		q.name = "Good.Test"
	}
	if len(n.byAddr) > maxNames || len(n.asked) > maxAsked {
		t.Errorf("%d names and %d questions kept", len(n.byAddr), len(n.asked))
	}
}

func FuzzParseDNS(f *testing.F) {
	q := dnsmessage.Message{Questions: []dnsmessage.Question{{
		Name: dnsmessage.MustNewName("a.test."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET,
	}}}
	b, err := q.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(bytes.Repeat([]byte{0xc0, 0x0c}, 600))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, ok := parseDNS(b)
		if !ok {
			return
		}
		if len(m.answers) > maxAnswers || !utf8.ValidString(m.name) {
			t.Errorf("%+v", m)
		}
		for _, a := range m.answers {
			if !utf8.ValidString(a.Result) {
				t.Errorf("%q", a.Result)
			}
		}
	})
}

type nobody struct{}

func (nobody) Emit(e *event.Event) {
	for _, s := range []string{e.Action, e.Additional} {
		if !utf8.ValidString(s) {
			panic(s)
		}
	}
	if e.Additional != "" && !strings.HasSuffix(e.Additional, "}") {
		panic(e.Additional)
	}
}
func (nobody) Lost(event.Gap) {}

// FuzzRecord feeds the normaliser what the kernel would never send.
func FuzzRecord(f *testing.F) {
	for t := range uint32(bpfEventTypeEVENT_END) {
		b := make([]byte, 2048)
		(*bpfHeader)(unsafe.Pointer(&b[0])).Type = t
		f.Add(b)
		f.Add(b[:200])
	}
	pool := hash.NewPool(hash.Config{Workers: 1})
	f.Cleanup(pool.Close)
	cfg := Config{Now: time.Now, Pool: pool, Table: process.New(process.Config{MaxLive: 100})}
	n := newNormaliser(cfg, newClock(time.Now), nobody{})
	f.Fuzz(func(t *testing.T, b []byte) {
		n.record(bytes.Clone(b))
	})
}
