package name

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/vedette-edr/vedette/agent/enforce/address"
	"github.com/vedette-edr/vedette/agent/kernfs"
	"github.com/vedette-edr/vedette/schema/event"
)

const patience = 20 * time.Second

// The test program is also the program that is ruled: a client in a cgroup of its own.
func TestMain(m *testing.M) {
	if args := os.Getenv("NAME_TEST_CLIENT"); args != "" {
		if err := client(strings.Split(args, "\x1f")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// client does one thing: dns SERVER NAME, dnstcp SERVER NAME, tls SERVER NAME SPLIT, or
// http SERVER SPLIT REQUEST.
func client(args []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	switch args[0] {
	case "dns", "dnstcp":
		r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, map[string]string{"dns": "udp", "dnstcp": "tcp"}[args[0]], args[1])
		}}
		_, err := r.LookupHost(ctx, args[2])
		return err
	case "tls":
		split, err := strconv.Atoi(args[3])
		if err != nil {
			return err
		}
		c, err := net.Dial("tcp", args[1])
		if err != nil {
			return err
		}
		t := tls.Client(&slow{Conn: c, size: split}, &tls.Config{ServerName: args[2], InsecureSkipVerify: true})
		return t.HandshakeContext(ctx)
	case "http":
		split, err := strconv.Atoi(args[2])
		if err != nil {
			return err
		}
		c, err := net.Dial("tcp", args[1])
		if err != nil {
			return err
		}
		if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
			return err
		}
		s, answers := &slow{Conn: c, size: split}, bufio.NewReader(c)
		for _, request := range args[3:] {
			if _, err := s.Write([]byte(request)); err != nil {
				return err
			}
			resp, err := http.ReadResponse(answers, nil)
			if err != nil {
				return err
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				return err
			}
		}
		return nil
	}
	return errors.New("what?")
}

// slow writes in pieces, each in a segment of its own: the first is acknowledged, or at
// least long sent, before the second is there.
type slow struct {
	net.Conn
	size int
}

func (s *slow) Write(b []byte) (int, error) {
	if s.size == 0 {
		return s.Conn.Write(b)
	}
	n := 0
	for piece := range slices.Chunk(b, s.size) {
		k, err := s.Conn.Write(piece)
		if n += k; err != nil {
			return n, err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return n, nil
}

// ruled is a blocker of a cgroup of the test's own, and what it reports.
type ruled struct {
	*Blocker
	addresses *address.Blocker
	cgroup    string
	seed      Seed

	mu     sync.Mutex
	events []*event.Event
}

func (r *ruled) Emit(e *event.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *ruled) Lost(event.Gap) {}

func start(t testing.TB) *ruled {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	m, err := kernfs.Cgroup()
	if err != nil || strings.HasPrefix(m.Path, "/proc/") {
		t.Skip("no cgroup2 is mounted:", err)
	}
	r := &ruled{seed: Seed{1, 2, 3, 15: 4}}
	if r.cgroup, err = os.MkdirTemp(m.Path, "vedette-test-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = os.WriteFile(filepath.Join(r.cgroup, "cgroup.kill"), []byte("1"), 0)
		for end := time.Now().Add(patience); os.Remove(r.cgroup) != nil && time.Now().Before(end); {
			time.Sleep(5 * time.Millisecond)
		}
	})
	if r.addresses, err = address.New(address.Config{Instance: "test", CgroupPath: r.cgroup}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.addresses.Close() })
	r.Blocker, err = New(Config{Instance: "test", CgroupPath: r.cgroup, Seed: r.seed, Addresses: r.addresses, Spare: "server.corp.example"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx, r) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r
}

// run has the client do something in the cgroup; "" when it went well.
func (r *ruled) run(t testing.TB, args ...string) string {
	t.Helper()
	dir, err := os.Open(r.cgroup)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	cmd.Env = append(os.Environ(), "NAME_TEST_CLIENT="+strings.Join(args, "\x1f"))
	out, err := cmd.CombinedOutput()
	if err == nil {
		return ""
	}
	return strings.TrimSpace(string(out)) + "!"
}

// rule is one about a URL when it has a slash, else about a domain.
func (r *ruled) rule(value string, v address.Verdict, id int64) []Rule {
	if !strings.Contains(value, "/") {
		return []Rule{{Key: r.seed.Domain(value), Verdict: v, ID: id}}
	}
	key, open, bare := r.seed.URL(value)
	rules := []Rule{{Key: key, Verdict: v, ID: id}}
	if v == address.Allow && !bare {
		rules = append(rules, Rule{Key: open, Verdict: v, ID: id})
	}
	return rules
}

func (r *ruled) told(t testing.TB, want func(*event.Event) bool) *event.Event {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		r.mu.Lock()
		i := slices.IndexFunc(r.events, want)
		var e *event.Event
		if i >= 0 {
			e = r.events[i]
		}
		all := len(r.events)
		r.mu.Unlock()
		if e != nil {
			return e
		}
		if time.Now().After(end) {
			t.Fatalf("no such event among %d", all)
		}
	}
}

// loopback is an address of loopback that nobody else uses.
func loopback(t testing.TB) netip.Addr {
	t.Helper()
	b := [8]byte{}
	copy(b[:], t.Name())
	h := uint32(os.Getpid())
	for _, c := range t.Name() {
		h = h*31 + uint32(c)
	}
	return netip.AddrFrom4([4]byte{127, byte(60 + h%60), byte(h >> 8), byte(1 + (h>>16)%250)})
}

// dns answers every question of type A with 127.9.9.9, over both transports.
func dns(t testing.TB, at netip.Addr) string {
	t.Helper()
	to := netip.AddrPortFrom(at, 53).String()
	p, err := net.ListenPacket("udp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	l, err := net.Listen("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	answer := func(q []byte) []byte {
		var m dnsmessage.Message
		if m.Unpack(q) != nil || len(m.Questions) == 0 {
			return nil
		}
		m.Response, m.Additionals = true, nil
		if m.Questions[0].Type == dnsmessage.TypeA {
			m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Class: dnsmessage.ClassINET, TTL: 60},
				Body: &dnsmessage.AResource{A: [4]byte{127, 9, 9, 9}}}}
		}
		b, err := m.Pack()
		if err != nil {
			return nil
		}
		return b
	}
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := p.ReadFrom(b)
			if err != nil {
				return
			}
			p.WriteTo(answer(b[:n]), from)
		}
	}()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				var n [2]byte
				if _, err := io.ReadFull(c, n[:]); err != nil {
					return
				}
				q := make([]byte, int(n[0])<<8|int(n[1]))
				if _, err := io.ReadFull(c, q); err != nil {
					return
				}
				a := answer(q)
				c.Write(append([]byte{byte(len(a) >> 8), byte(len(a))}, a...))
			}()
		}
	}()
	return to
}

// site answers HTTP and TLS and counts the requests, respectively hellos, that reach it.
func site(t testing.TB, at netip.Addr, secure bool) (addr string, seen func() []string) {
	t.Helper()
	l, err := net.Listen("tcp", netip.AddrPortFrom(at, 0).String())
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var all []string
	note := func(s string) {
		mu.Lock()
		all = append(all, s)
		mu.Unlock()
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { note(r.Host + r.URL.RequestURI()) }))
	s.Listener.Close()
	s.Listener = l
	if secure {
		s.TLS = &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			note(h.ServerName)
			return nil, nil
		}}
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return l.Addr().String(), func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}
