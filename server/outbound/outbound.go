// Package outbound guards the connections that the server opens because somebody else
// named the address: files of queries, web hooks.
//
// Whoever may name an address may make the server send requests from where it stands. So
// the address that a connection really goes to is looked at in the dialer, after the name
// was resolved: loopback, private, link-local (metadata services) and other special
// networks are refused, but for those that the administrator names. Start at Guard.
package outbound

import (
	"net/netip"
	"strings"
	"syscall"

	"github.com/vedette-edr/vedette/server/errs"
)

// Guard decides about addresses. The zero Guard refuses every special network.
type Guard struct {
	// Allowed are special networks that may be reached all the same. Link-local addresses
	// cannot be allowed.
	Allowed []netip.Prefix
}

// Control is the Control of a net.Dialer: it refuses a connection before it is made.
func (g Guard) Control(_, address string, _ syscall.RawConn) error {
	const op = "outbound.Control"
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return errs.New(op, errs.Denied, errs.DisallowedOperation, "the host has no address that can be checked")
	}
	a := at.Addr().Unmap().WithZone("")
	if !within(a, linkLocal) && (!within(a, special) || within(a, g.Allowed)) {
		return nil
	}
	return errs.New(op, errs.Denied, errs.DisallowedOperation, "the host is in a network that the server may not connect to")
}

// special are the networks in which hosts of the server's own surroundings may be: the
// IANA special-purpose address registries, as far as addresses there can be connected to.
var special = prefixes("0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24" +
	" 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/3 ::/96 ::ffff:0:0/96 64:ff9b::/96 64:ff9b:1::/48 100::/64" +
	" 2001::/23 2001:db8::/32 2002::/16 3fff::/20 5f00::/16 fc00::/7 fe80::/10 fec0::/10 ff00::/8")

// linkLocal is where clouds answer questions about the machine and its credentials.
var linkLocal = prefixes("169.254.0.0/16 fe80::/10 fd00:ec2::254/128 fd20:ce::254/128 100.100.100.200/32 168.63.129.16/32 192.0.0.192/32")

func prefixes(list string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range strings.Fields(list) {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func within(a netip.Addr, list []netip.Prefix) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
