package e2e

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// web is name server, HTTP and HTTPS on the other's end of the network, and what reached
// them.
type web struct {
	mu   sync.Mutex
	seen []string
}

func (w *web) note(s string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, s)
}

func (w *web) reached(s string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Contains(w.seen, s)
}

// startWeb serves in the namespace of the other: every name leads to it, and the device
// asks it for names.
func startWeb(t *testing.T, n *network) *web {
	t.Helper()
	w := &web{}
	var udp net.PacketConn
	var plain, secure net.Listener
	if err := within(n.other, func() (err error) {
		if udp, err = net.ListenPacket("udp", otherV4+":53"); err != nil {
			return err
		}
		if plain, err = net.Listen("tcp", otherV4+":80"); err != nil {
			return err
		}
		secure, err = net.Listen("tcp", otherV4+":443")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { udp.Close() })
	go func() {
		b := make([]byte, 1500)
		for {
			k, from, err := udp.ReadFrom(b)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(b[:k]) != nil || len(m.Questions) == 0 {
				continue
			}
			q := m.Questions[0]
			w.note("dns " + q.Name.String())
			m.Response, m.Additionals = true, nil
			if q.Type == dnsmessage.TypeA {
				m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 300},
					Body: &dnsmessage.AResource{A: [4]byte(net.ParseIP(otherV4).To4())}}}
			}
			if raw, err := m.Pack(); err == nil {
				udp.WriteTo(raw, from)
			}
		}
	}()
	serve := func(l net.Listener, scheme string) {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
			w.note(scheme + " " + r.Host + r.URL.RequestURI())
			io.WriteString(out, "hello")
		}))
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.Listener.Close()
		s.Listener = l
		if scheme == "https" {
			s.TLS = &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
				w.note("tls " + h.ServerName)
				return nil, nil
			}}
			s.StartTLS()
		} else {
			s.Start()
		}
		t.Cleanup(s.Close)
	}
	serve(plain, "http")
	serve(secure, "https")
	// Sessions are ended in network namespaces that some process is in.
	start(t, "ip", "netns", "exec", n.device, "sleep", "600")
	dir := filepath.Join("/etc/netns", n.device)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.WriteFile(filepath.Join(dir, "resolv.conf"), []byte("nameserver "+otherV4+"\noptions timeout:1 attempts:1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "nsswitch.conf"), []byte("hosts: files dns\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return w
}

// TestBlockedNamesAreNotReachedFromTheDevice blocks domains, URLs and an address through
// the published API, with clients in a network namespace behind a cable of MTU 1500.
func TestBlockedNamesAreNotReachedFromTheDevice(t *testing.T) {
	n := newNetwork(t)
	w := startWeb(t, n)
	curl := func(args ...string) error {
		args = append([]string{"netns", "exec", n.device, "curl", "-sSk", "--max-time", "8"}, args...)
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	refused := func(what string, args ...string) {
		t.Helper()
		await(t, what, func() error {
			if curl(args...) == nil {
				return errors.New("it is reached")
			}
			return nil
		})
	}
	reached := func(what string, args ...string) {
		t.Helper()
		if err := curl(args...); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	s := startServer(t)
	startAgent(t, s, "")
	s.onlyDevice(t)
	for _, url := range []string{"http://www.evil.test/", "https://www.evil.test/", "http://fine.test/"} {
		reached("before anything is blocked", url)
	}

	id := s.indicate(t, "DomainName", "evil.test", "Block", nil)
	refused("the domain", "http://www.evil.test/again")
	reached("another", "http://fine.test/second")
	t.Run("asked of DNS", func(t *testing.T) {
		if curl("http://new.evil.test/") == nil || w.reached("dns new.evil.test.") {
			t.Error("the question is asked")
		}
		s.huntUntil(t, "the refusal", `DeviceEvents | where ActionType == "ExploitGuardNetworkProtectionBlocked" and RemoteUrl == "new.evil.test"
			| project InitiatingProcessFileName, Id = tostring(AdditionalFields.IndicatorId), Source = tostring(AdditionalFields.Source)`, func(rows []map[string]any) bool {
			return len(rows) > 0 && rows[0]["InitiatingProcessFileName"] == "curl" && rows[0]["Id"] == id && rows[0]["Source"] == "Dns"
		})
		s.huntUntil(t, "its alert", `AlertInfo | where Title == "e2e evil.test"`, func(rows []map[string]any) bool { return len(rows) > 0 })
	})
	t.Run("as the server name of TLS", func(t *testing.T) {
		if curl("--resolve", "tls.evil.test:443:"+otherV4, "https://tls.evil.test/") == nil || w.reached("tls tls.evil.test") {
			t.Error("the hello arrives")
		}
		reached("another server name at the same address", "--resolve", "tls.fine.test:443:"+otherV4, "https://tls.fine.test/")
	})
	t.Run("in a hello of several segments", func(t *testing.T) {
		var many []string
		for i := range 120 {
			many = append(many, fmt.Sprintf("a-protocol-nobody-speaks-%03d", i))
		}
		for name, blocked := range map[string]bool{"big.evil.test": true, "big.fine.test": false} {
			c, err := dial(n.device, otherV4+":443")
			if err != nil {
				t.Fatal(err)
			}
			c.SetDeadline(time.Now().Add(patience))
			began := time.Now()
			err = tls.Client(&sliced{c}, &tls.Config{ServerName: name, InsecureSkipVerify: true, NextProtos: append(many, "http/1.1")}).Handshake()
			c.Close()
			if d := time.Since(began); d > 5*time.Second {
				t.Errorf("%s: it is told only after %s", name, d)
			}
			if w.reached("tls "+name) == blocked || (err != nil) != blocked {
				t.Errorf("%s: %v, arrived %v", name, err, w.reached("tls "+name))
			}
		}
	})
	t.Run("by URL", func(t *testing.T) {
		s.indicate(t, "Url", "http://shop.test/bad/", "Block", nil)
		refused("the path", "http://shop.test/bad/thing")
		reached("another path", "http://shop.test/good")
		reached("the host by TLS, whose paths nobody sees", "https://shop.test/bad/")
		s.indicate(t, "Url", "http://evil.test/allowed/", "Allowed", nil)
		await(t, "the allowed path of the blocked domain", func() error { return curl("http://evil.test/allowed/x") })
		if curl("http://evil.test/else") == nil || w.reached("http evil.test/else") {
			t.Error("another path of the domain is reached")
		}
		s.huntUntil(t, "the URL", `DeviceEvents | where ActionType == "ExploitGuardNetworkProtectionBlocked" and RemoteUrl == "http://shop.test/bad/thing"`,
			func(rows []map[string]any) bool { return len(rows) > 0 })
	})
	t.Run("only warned of", func(t *testing.T) {
		s.indicate(t, "DomainName", "odd.test", "Warn", nil)
		s.huntUntil(t, "the warning", `DeviceEvents | where ActionType == "SmartScreenUrlWarning" and RemoteUrl has "odd.test"`, func(rows []map[string]any) bool {
			reached("the site", "http://odd.test/")
			return len(rows) > 0
		})
	})
	t.Run("coming in from a blocked address", func(t *testing.T) {
		listen(t, n.device, 7777)
		if err := reach(n.other, deviceOther4+":7777"); err != nil {
			t.Fatal(err)
		}
		s.indicate(t, "IpAddress", otherV4, "Block", nil)
		await(t, "the block", func() error {
			if reach(n.other, deviceOther4+":7777") == nil {
				return errors.New("it is let in")
			}
			return nil
		})
		if c, err := dial(n.device, otherV4+":80"); !errors.Is(err, syscall.EPERM) {
			t.Errorf("the other way: %v %v", c, err)
		}
		s.huntUntil(t, "what came in", `DeviceEvents | where ActionType == "FirewallInboundConnectionBlocked" and RemoteIP == "`+otherV4+`" | project LocalIP, LocalPort`,
			func(rows []map[string]any) bool { return len(rows) > 0 && fmt.Sprint(rows[0]["LocalPort"]) == "7777" })
	})
}

// TestAddressesOfABlockedNameAreRefused blocks a name after it was resolved.
func TestAddressesOfABlockedNameAreRefused(t *testing.T) {
	n := newNetwork(t)
	startWeb(t, n)
	s := startServer(t)
	startAgent(t, s, "")
	s.onlyDevice(t)
	name := unique("host") + ".test"
	command(t, "ip", "netns", "exec", n.device, "curl", "-sS", "--max-time", "8", "http://"+name+"/")
	c, err := dial(n.device, otherV4+":80")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s.indicate(t, "DomainName", name, "Block", nil)
	await(t, "connections by address to be refused", func() error {
		c, err := dial(n.device, otherV4+":80")
		if err == nil {
			c.Close()
		}
		if !errors.Is(err, syscall.EPERM) {
			return fmt.Errorf("%v", err)
		}
		return nil
	})
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a session from before goes on: %v", err)
	}
	s.huntUntil(t, "the refusal with the name", `DeviceEvents | where ActionType == "ExploitGuardNetworkProtectionBlocked" and RemoteUrl == "`+name+`" and RemoteIP == "`+otherV4+`"`,
		func(rows []map[string]any) bool { return len(rows) > 0 })
}

// sliced sends what it is given in pieces that fit a segment each.
type sliced struct{ net.Conn }

func (s *sliced) Write(b []byte) (n int, err error) {
	for piece := range slices.Chunk(b, 1000) {
		k, err := s.Conn.Write(piece)
		if n += k; err != nil {
			return n, err
		}
		time.Sleep(5 * time.Millisecond)
	}
	return n, nil
}
