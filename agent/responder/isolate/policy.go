package isolate

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Bounds of a policy.
const (
	maxServers  = 64
	maxTargets  = 256
	maxPrograms = 64
	maxCgroups  = 16
	maxPath     = 4096 // bytes of a program's or cgroup's name
)

// ErrNoServer is returned for a policy that would cut the device off from its server too.
var ErrNoServer = errors.New("no server address to keep reachable")

// Policy says what an isolated device may still reach.
type Policy struct {
	// Servers are the server's addresses with their TCP ports, resolved beforehand.
	Servers []netip.AddrPort `json:"servers"`
	// Allow is what else may speak; nil for nothing, which is full isolation.
	Allow *Allow `json:"allow,omitempty"`
}

// Allow is what an isolated device may reach, and who on it may speak, beside the server.
// Whatever it lets through is begun by the device.
type Allow struct {
	// Targets may be reached by every program.
	Targets []Target `json:"targets,omitempty"`
	// Programs are absolute paths of executables that may reach everything. What a program
	// is, its file says: a copy elsewhere is another.
	Programs []string `json:"programs,omitempty"`
	// Cgroups are paths below the root of the cgroup2 hierarchy, such as
	// /system.slice/postfix.service, whose processes may reach everything.
	Cgroups []string `json:"cgroups,omitempty"`
}

// Target is a range of addresses, narrowed to a protocol and a port.
type Target struct {
	Prefix   netip.Prefix `json:"prefix"`
	Protocol string       `json:"protocol,omitempty"` // tcp, udp; "" for every one, with no port
	Port     uint16       `json:"port,omitempty"`     // 0 for every one
}

// String is PREFIX, PREFIX/tcp or PREFIX:PORT/tcp.
func (t Target) String() string {
	s := t.Prefix.String()
	if t.Port != 0 {
		s += ":" + strconv.Itoa(int(t.Port))
	}
	if t.Protocol != "" {
		s += "/" + t.Protocol
	}
	return s
}

// speakers reports whether some programs may speak that others may not.
func (p Policy) speakers() bool {
	return p.Allow != nil && len(p.Allow.Programs)+len(p.Allow.Cgroups) > 0
}

func (p Policy) targets() []Target {
	if p.Allow == nil {
		return nil
	}
	return p.Allow.Targets
}

// normal returns a checked, in order and without duplicates; nil for one that allows nothing.
func (a *Allow) normal() (*Allow, error) {
	if a == nil || len(a.Targets)+len(a.Programs)+len(a.Cgroups) == 0 {
		return nil, nil
	}
	if len(a.Targets) > maxTargets || len(a.Programs) > maxPrograms || len(a.Cgroups) > maxCgroups {
		return nil, fmt.Errorf("allowed: at most %d addresses, %d programs and %d cgroups", maxTargets, maxPrograms, maxCgroups)
	}
	out := &Allow{Programs: slices.Clone(a.Programs), Cgroups: slices.Clone(a.Cgroups)}
	for i, t := range a.Targets {
		switch {
		case !t.Prefix.IsValid():
			return nil, fmt.Errorf("allowed address %d: no range of addresses", i)
		case t.Protocol != "" && t.Protocol != "tcp" && t.Protocol != "udp":
			return nil, fmt.Errorf("allowed address %v: the protocol is neither tcp nor udp", t)
		case t.Protocol == "" && t.Port != 0:
			return nil, fmt.Errorf("allowed address %v: a port needs a protocol", t)
		case t.Prefix.Addr().Is4In6():
			return nil, fmt.Errorf("allowed address %v: write it as IPv4", t)
		}
		t.Prefix = t.Prefix.Masked()
		out.Targets = append(out.Targets, t)
	}
	for _, l := range []struct {
		what string
		list []string
	}{{"program", out.Programs}, {"cgroup", out.Cgroups}} {
		for _, p := range l.list {
			if len(p) > maxPath || !path.IsAbs(p) || path.Clean(p) != p || p == "/" || strings.ContainsFunc(p, unicode.IsControl) {
				return nil, fmt.Errorf("allowed %s %q: no clean absolute path", l.what, p)
			}
		}
		slices.Sort(l.list)
	}
	out.Programs, out.Cgroups = slices.Compact(out.Programs), slices.Compact(out.Cgroups)
	slices.SortFunc(out.Targets, func(a, b Target) int {
		return cmp.Or(a.Prefix.Addr().Compare(b.Prefix.Addr()), cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()),
			cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port))
	})
	out.Targets = slices.Compact(out.Targets)
	return out, nil
}

func (a *Allow) equal(b *Allow) bool {
	if a == nil || b == nil {
		return a == b
	}
	return slices.Equal(a.Targets, b.Targets) && slices.Equal(a.Programs, b.Programs) && slices.Equal(a.Cgroups, b.Cgroups)
}

// normal returns p checked, with IPv4 in its own form, sorted and without duplicates.
func (p Policy) normal() (Policy, error) {
	if len(p.Servers) == 0 {
		return p, ErrNoServer
	}
	if len(p.Servers) > maxServers {
		return p, fmt.Errorf("%d server addresses, at most %d", len(p.Servers), maxServers)
	}
	out := make([]netip.AddrPort, 0, len(p.Servers))
	for _, s := range p.Servers {
		a := s.Addr().Unmap().WithZone("")
		if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || s.Port() == 0 {
			return p, fmt.Errorf("server address %v: not a single host and port", s)
		}
		out = append(out, netip.AddrPortFrom(a, s.Port()))
	}
	slices.SortFunc(out, netip.AddrPort.Compare)
	allow, err := p.Allow.normal()
	if err != nil {
		return p, err
	}
	return Policy{Servers: slices.Compact(out), Allow: allow}, nil
}

func (p Policy) equal(q Policy) bool {
	return slices.Equal(p.Servers, q.Servers) && p.Allow.equal(q.Allow)
}

// allows reports whether a TCP session to a may go on. Those of allowed programs may not:
// whose a session from before is, nothing says for certain. They begin new ones.
func (p Policy) allows(a netip.AddrPort) bool {
	a = netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
	return slices.Contains(p.Servers, a) || slices.ContainsFunc(p.targets(), func(t Target) bool {
		return t.Prefix.Contains(a.Addr()) && t.Protocol != "udp" && (t.Port == 0 || t.Port == a.Port())
	})
}

// IsLocal reports whether addr is one of this host's own addresses: isolating the machine
// that runs the server would cut everybody else off from the server.
func IsLocal(addr netip.Addr) (bool, error) {
	own, err := ownAddresses()
	return err == nil && own.has(addr), err
}

type addresses map[netip.Addr]bool

func (a addresses) has(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	return addr.IsLoopback() || addr.IsUnspecified() || a[addr]
}

func ownAddresses() (addresses, error) {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list own addresses: %w", err)
	}
	own := addresses{}
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			own[p.Addr().Unmap().WithZone("")] = true
		}
	}
	return own, nil
}
