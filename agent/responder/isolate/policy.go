package isolate

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
)

const maxServers = 64

// ErrNoServer is returned for a policy that would cut the device off from its server too.
var ErrNoServer = errors.New("no server address to keep reachable")

// Policy says what an isolated device may still reach.
type Policy struct {
	// Servers are the server's addresses with their TCP ports, resolved beforehand.
	Servers []netip.AddrPort `json:"servers"`
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
	return Policy{Servers: slices.Compact(out)}, nil
}

func (p Policy) equal(q Policy) bool { return slices.Equal(p.Servers, q.Servers) }

func (p Policy) allows(a netip.AddrPort) bool {
	return slices.Contains(p.Servers, netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port()))
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
