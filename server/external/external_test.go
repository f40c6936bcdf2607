package external_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/external"
)

// serve starts an HTTPS server on an address of the loopback network and answers its port.
func serve(t *testing.T, ip string, h http.Handler) (*httptest.Server, string) {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	_ = s.Listener.Close()
	s.Listener = l
	s.StartTLS()
	t.Cleanup(s.Close)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return s, port
}

// trusting is the TLS of a client that takes the certificate of tests under any name.
func trusting(s *httptest.Server) *tls.Config {
	return &tls.Config{RootCAs: s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, ServerName: "example.com", MinVersion: tls.VersionTLS12}
}

// names starts a DNS server that gives the answers in turn, the last one for ever.
func names(t *testing.T, answers ...string) *net.Resolver {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		b := make([]byte, 1500)
		for turn := 0; ; {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(b[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
			if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
				a := netip.MustParseAddr(answers[min(turn, len(answers)-1)]).As4()
				turn++
				m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}, Body: &dnsmessage.AResource{A: a}}}
			}
			out, err := m.Pack()
			if err == nil {
				_, _ = c.WriteTo(out, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", c.LocalAddr().String())
	}}
}

func open(t *testing.T, c external.Config, uri string) (string, error) {
	t.Helper()
	f, err := external.New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return read(t, f, uri)
}

func read(t *testing.T, f *external.Files, uri string) (string, error) {
	t.Helper()
	r, err := f.Open(t.Context(), uri)
	if err != nil {
		return "", err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return string(b), err
}

func refused(t *testing.T, err error, kind errs.Kind, text string) {
	t.Helper()
	if !errs.Is(err, kind) || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want %v: …%s…", err, kind, text)
	}
}

func network(s string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(s)} }

func TestOnlyHostsThatAreListed(t *testing.T) {
	var asked atomic.Int32
	s, port := serve(t, "127.0.0.1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "" {
			t.Error("credentials were sent")
		}
		if r.URL.Path == "/missing" {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, "10.0.0.1\n")
	}))
	c := external.Config{Hosts: []string{"lists.test:" + port, "*.sub.test:" + port}, Networks: network("127.0.0.1/32"), TLS: trusting(s), Resolver: names(t, "127.0.0.1")}
	for _, at := range []string{"lists.test", "LISTS.test.", "a.sub.test", "a.b.sub.test"} {
		if got, err := open(t, c, "https://"+at+":"+port+"/x?q=1#f"); err != nil || got != "10.0.0.1\n" {
			t.Errorf("%s: %q, %v", at, got, err)
		}
	}
	n := asked.Load()
	for uri, text := range map[string]string{
		"https://lists.test/x":                  "does not list",
		"https://other.test:" + port:            "does not list",
		"https://sub.test:" + port:              "does not list",
		"https://xsub.test:" + port:             "does not list",
		"https://127.0.0.1:" + port:             "does not list",
		"http://lists.test:" + port:             "https alone",
		"https://user:pass@lists.test:" + port:  "user's name",
		"https://lists.test:" + port + "@evil/": "user's name",
	} {
		_, err := open(t, c, uri)
		refused(t, err, errs.Denied, text)
	}
	if asked.Load() != n {
		t.Error("a request was sent for an address that was refused")
	}
	_, err := open(t, c, "https://lists.test:"+port+"/missing")
	refused(t, err, errs.Invalid, "404")
	_, err = open(t, c, "ftp://lists.test/x")
	refused(t, err, errs.Invalid, `"ftp"`)
	_, err = open(t, external.Config{}, "https://lists.test/")
	refused(t, err, errs.Unsupported, "lists no hosts and no directory")
	_, err = open(t, external.Config{Dir: t.TempDir()}, "https://lists.test/")
	refused(t, err, errs.Denied, "does not list")
}

// TestNamesThatLeadInside has listed names resolve to addresses of the server's own
// surroundings. Nothing may be sent there, not even the first packet.
func TestNamesThatLeadInside(t *testing.T) {
	var asked atomic.Int32
	s, port := serve(t, "127.0.0.1", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	for _, ip := range []string{"127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.100.100.200", "168.63.129.16", "224.0.0.1", "255.255.255.255"} {
		c := external.Config{Hosts: []string{"lists.test:" + port}, TLS: trusting(s), Resolver: names(t, ip)}
		_, err := open(t, c, "https://lists.test:"+port+"/")
		refused(t, err, errs.Denied, "may not connect to")
	}
	for _, ip := range []string{"127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[fe80::1]", "[fd00:ec2::254]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]"} {
		c := external.Config{Hosts: []string{ip + ":" + port}, TLS: trusting(s)}
		_, err := open(t, c, "https://"+ip+":"+port+"/")
		refused(t, err, errs.Denied, "may not connect to")
	}
	// Not even by the administrator's word.
	c := external.Config{Hosts: []string{"169.254.169.254"}, Networks: network("0.0.0.0/0")}
	_, err := open(t, c, "https://169.254.169.254/latest/meta-data/")
	refused(t, err, errs.Denied, "may not connect to")
	if asked.Load() != 0 {
		t.Errorf("%d requests came through", asked.Load())
	}
}

// TestRebinding gives a name an allowed address for the first connection and another one
// for the second.
func TestRebinding(t *testing.T) {
	var inside atomic.Int32
	secret, port := serve(t, "127.0.0.2", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { inside.Add(1) }))
	l, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	outer := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		_, _ = io.WriteString(w, "fine")
	}))
	_ = outer.Listener.Close()
	outer.Listener = l
	outer.StartTLS()
	t.Cleanup(outer.Close)
	f, err := external.New(external.Config{Hosts: []string{"rebind.test:" + port}, Networks: network("127.0.0.1/32"), TLS: trusting(secret), Resolver: names(t, "127.0.0.1", "127.0.0.2")})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := read(t, f, "https://rebind.test:"+port+"/"); err != nil || got != "fine" {
		t.Fatalf("first: %q, %v", got, err)
	}
	if err := f.Close(); err != nil { // idle connections are kept, and would not be dialled again
		t.Fatal(err)
	}
	_, err = read(t, f, "https://rebind.test:"+port+"/")
	refused(t, err, errs.Denied, "may not connect to")
	if inside.Load() != 0 {
		t.Error("the second address was asked")
	}
}

func TestRedirects(t *testing.T) {
	var inside atomic.Int32
	secret, hidden := serve(t, "127.0.0.2", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { inside.Add(1) }))
	var port string
	s, port := serve(t, "127.0.0.1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		if r.Header.Get("Referer") != "" {
			t.Error("the address that led here was told")
		}
		_, _ = io.WriteString(w, "arrived")
	}))
	_ = secret
	c := external.Config{Hosts: []string{"127.0.0.1:" + port, "127.0.0.2:" + hidden}, Networks: network("127.0.0.1/32"), TLS: trusting(s)}
	base := "https://127.0.0.1:" + port
	if got, err := open(t, c, base+"/?to=/there"); err != nil || got != "arrived" {
		t.Errorf("a redirect within the host: %q, %v", got, err)
	}
	for to, text := range map[string]string{
		"https://127.0.0.2:" + hidden:              "may not connect to", // listed, inside
		"https://other.test/":                      "does not list",
		"http://127.0.0.1:" + port:                 "https alone",
		"http://169.254.169.254/latest/meta-data/": "https alone",
		"file:///etc/passwd":                       "https alone",
		"/?to=/?to=/?to=/?to=/?to=/?to=/":          "",
	} {
		_, err := open(t, c, base+"/?to="+to)
		if text != "" {
			refused(t, err, errs.Denied, text)
		}
	}
	loop := external.Config{Hosts: c.Hosts, Networks: c.Networks, TLS: c.TLS}
	self, sport := serve(t, "127.0.0.1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path+"x", http.StatusFound) }))
	loop.Hosts, loop.TLS = []string{"127.0.0.1:" + sport}, trusting(self)
	if _, err := open(t, loop, "https://127.0.0.1:"+sport+"/"); !errs.Is(err, errs.Invalid) {
		t.Errorf("an endless redirect: %v", err)
	}
	if inside.Load() != 0 {
		t.Error("the network that is not allowed was asked")
	}
}

func TestSlowAndBrokenHosts(t *testing.T) {
	gone := make(chan struct{})
	s, port := serve(t, "127.0.0.1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/silent":
		case "/drip":
			_, _ = io.WriteString(w, "a")
			w.(http.Flusher).Flush()
		case "/cut":
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "short")
			return
		}
		select {
		case <-r.Context().Done():
		case <-gone:
		}
	}))
	t.Cleanup(func() { close(gone) })
	c := external.Config{Hosts: []string{"127.0.0.1:" + port, "nowhere.test"}, Networks: network("127.0.0.1/32"), TLS: trusting(s), Timeout: 300 * time.Millisecond}
	for path, text := range map[string]string{"/silent": "within 300ms", "/drip": "within 300ms"} {
		_, err := open(t, c, "https://127.0.0.1:"+port+path)
		refused(t, err, errs.Invalid, text)
	}
	c.Timeout = time.Minute
	_, err := open(t, c, "https://127.0.0.1:"+port+"/cut")
	refused(t, err, errs.Invalid, "broke off")
	plain := c
	plain.TLS = nil
	_, err = open(t, plain, "https://127.0.0.1:"+port+"/")
	refused(t, err, errs.Invalid, "certificate is not trusted")
}

func TestDirectory(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "lists")
	for path, text := range map[string]string{"secret": "s", "lists/a.csv": "a", "lists/deep/b.txt": "b"} {
		full := filepath.Join(base, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"out": "../secret", "abs": filepath.Join(base, "secret"), "in": "a.csv", "up": ".."} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	c := external.Config{Dir: dir}
	for uri, want := range map[string]string{"a.csv": "a", "file:///a.csv": "a", "deep/b.txt": "b", "./deep/../a.csv": "a", "in": "a"} {
		if got, err := open(t, c, uri); err != nil || got != want {
			t.Errorf("%s: %q, %v", uri, got, err)
		}
	}
	for _, uri := range []string{"../secret", "deep/../../secret", "out", "abs", "up/secret", "/etc/passwd", "file:///etc/passwd", "file:///../secret", "none", "deep", "pipe", "", ".", "a.csv\x00"} {
		if got, err := open(t, c, uri); err == nil {
			t.Errorf("%q was read: %q", uri, got)
		}
	}
	_, err := open(t, external.Config{Hosts: []string{"lists.test"}}, "a.csv")
	refused(t, err, errs.Unsupported, "no directory")
	if _, err := external.New(external.Config{Dir: filepath.Join(base, "missing")}); err == nil {
		t.Error("a directory that is not there")
	}
	for _, h := range []string{"", "*", "a.*.b", "https://a", "a b", "u@h"} {
		if _, err := external.New(external.Config{Hosts: []string{h}}); err == nil {
			t.Errorf("the host %q was taken", h)
		}
	}
}
