//go:build linux

package ebpf

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-edr/vedette/schema/event"
)

// net accepts a network event of pid with the given action and remote address.
func connection(pid uint32, action, remote string, port uint16) func(*event.Event) bool {
	return func(e *event.Event) bool {
		return e.Table == event.NetworkEvents && e.Action == action && e.Initiating != nil && e.Initiating.PID == pid &&
			e.Network.RemoteIP == remote && e.Network.RemotePort == port
	}
}

func TestRefusedAndUnroutableConnectionsAreAttempts(t *testing.T) {
	for _, c := range []struct{ name, refused, unroutable, ip, far string }{
		{"v4", "127.0.0.77:7", "203.0.113.9:443", "127.0.0.77", "203.0.113.9"},
		{"v6", "[::1]:7", "[2001:db8::9]:443", "::1", "2001:db8::9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, Config{})
			s.need("bpf:connect")
			_, pid := s.show("connect", c.refused, c.unroutable)
			a := s.wait("attempt at the refused port", connection(pid, "ConnectionAttempt", c.ip, 7))
			want := &event.Network{RemoteIP: c.ip, RemotePort: 7, Protocol: "Tcp"}
			if d := cmp.Diff(want, a.Network); d != "" {
				t.Error(d)
			}
			f := s.wait("failure", connection(pid, "ConnectionFailed", c.ip, 7))
			if f.Additional != `{"Error":"ECONNREFUSED"}` || f.Network.LocalPort == 0 {
				t.Errorf("failed with %s from %d", f.Additional, f.Network.LocalPort)
			}
			s.wait("unroutable attempt", connection(pid, "ConnectionAttempt", c.far, 443))
			if a.Initiating.Key == 0 || a.Initiating.CommandLine == "" {
				t.Errorf("initiating %+v", a.Initiating)
			}
		})
	}
}

func TestBlackholedConnectionIsSeenAndFails(t *testing.T) {
	s := newStage(t, Config{})
	out, pid := s.show("blackout", "192.0.2.9:443")
	if out != "" {
		t.Skip("this kernel has", out)
	}
	s.wait("attempt", connection(pid, "ConnectionAttempt", "192.0.2.9", 443))
	f := s.wait("failure", connection(pid, "ConnectionFailed", "192.0.2.9", 443))
	if f.Network.LocalIP != "192.0.2.1" || f.Additional != `{"Error":"Closed"}` {
		t.Errorf("%+v %s", f.Network, f.Additional)
	}
}

func TestDatagramsAreOneAttemptPerDestination(t *testing.T) {
	s := newStage(t, Config{})
	s.need("bpf:udp")
	_, pid := s.show("udp", "127.0.0.77:999", "127.0.0.78:999", "127.0.0.79:999")
	s.wait("exit", func(e *event.Event) bool { return e.Action == "ProcessTerminated" && e.Process.PID == pid })
	got := map[string]int{}
	for _, e := range s.all(func(e *event.Event) bool { return e.Action == "ConnectionAttempt" }) {
		got[e.Network.Protocol+" "+e.Network.RemoteIP]++
	}
	if d := cmp.Diff(map[string]int{"Udp 127.0.0.77": 1, "Udp 127.0.0.79": 1}, got); d != "" {
		t.Error(d)
	}
	if n := s.sensor.Stats().Kernel["connect"].Suppressed; n != 4 {
		t.Errorf("%d repetitions counted, want 4", n)
	}
}

func TestListenAndAccept(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "0.0.0.0:0", "[::]:0"} {
		t.Run(addr, func(t *testing.T) {
			s := newStage(t, Config{})
			s.need("bpf:tcp")
			out, pid := s.show("serve", addr)
			var port, client uint16
			if _, err := fmt.Sscan(out, &port, &client); err != nil {
				t.Fatal(err)
			}
			l := s.wait("listen", func(e *event.Event) bool { return e.Action == "ListeningConnectionCreated" })
			if l.Network.LocalPort != port || l.Initiating.PID != pid || l.Network.RemoteIP != "" {
				t.Errorf("listening %+v by %d", l.Network, l.Initiating.PID)
			}
			a := s.wait("accept", connection(pid, "InboundConnectionAccepted", "127.0.0.1", client))
			if a.Network.LocalPort != port || a.Network.LocalIP != "127.0.0.1" {
				t.Errorf("accepted %+v", a.Network)
			}
			c := s.wait("success", connection(pid, "ConnectionSuccess", "127.0.0.1", port))
			if c.Network.LocalPort != client {
				t.Errorf("connected %+v", c.Network)
			}
		})
	}
}

func TestDNSNamesTheLaterConnection(t *testing.T) {
	s := newStage(t, Config{})
	s.need("bpf:dns")
	_, pid := s.show("resolve", "Evil.example.test", "127.0.0.66")
	q := s.wait("query", func(e *event.Event) bool { return e.Action == "DnsConnectionInspected" })
	if q.Initiating == nil || q.Initiating.PID != pid || q.Network.RemoteIP != "127.0.0.53" || q.Network.RemotePort != 53 {
		t.Errorf("query by %+v to %+v", q.Initiating, q.Network)
	}
	if !strings.Contains(q.Additional, `"query":"Evil.example.test","qtype_name":"A"`) {
		t.Errorf("query %s", q.Additional)
	}
	r := s.wait("answer", func(e *event.Event) bool { return e.Action == "DnsQueryResponse" })
	want := `{"DnsQueryString":"Evil.example.test","DnsQueryType":"A","ResponseCode":"Success","DnsQueryResult":[{"DnsQueryType":"A","Result":"127.0.0.66"}]}`
	if r.Additional != want || r.Table != event.DeviceEvents {
		t.Errorf("answer %s, want %s", r.Additional, want)
	}
	c := s.wait("connection", connection(pid, "ConnectionAttempt", "127.0.0.66", 4444))
	if c.Network.RemoteURL != "evil.example.test" {
		t.Errorf("connection to %q", c.Network.RemoteURL)
	}
	n := s.wait("negative answer", func(e *event.Event) bool {
		return e.Action == "DnsQueryResponse" && strings.Contains(e.Additional, "nowhere.invalid")
	})
	if !strings.Contains(n.Additional, `"ResponseCode":"NameError","DnsQueryResult":[]`) {
		t.Errorf("negative answer %s", n.Additional)
	}
}

func TestUserChangesWithoutExec(t *testing.T) {
	s := newStage(t, Config{})
	_, pid := s.show("setuid")
	e := s.wait("attempt", connection(pid, "ConnectionFailed", "127.0.0.1", 1))
	if e.Initiating.Account.SID != "65534" || e.Initiating.Account.Name != "nobody" {
		t.Errorf("account %+v, want nobody", e.Initiating.Account)
	}
}
