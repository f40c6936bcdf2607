package external

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"

	"github.com/vedette-edr/vedette/server/errs"
)

func parseHost(s string) (host, error) {
	h := host{name: strings.ToLower(strings.TrimSpace(s)), port: "443"}
	if name, port, err := net.SplitHostPort(h.name); err == nil {
		h.name, h.port = name, port
	}
	if rest, ok := strings.CutPrefix(h.name, "*."); ok {
		h.name, h.below = rest, true
	}
	if n, err := strconv.ParseUint(h.port, 10, 16); err != nil || n == 0 {
		return h, fmt.Errorf("host of external data %q: %q is no port", s, h.port)
	}
	if h.name == "" || strings.ContainsAny(h.name, "*/@ ?#") {
		return h, fmt.Errorf("host of external data %q: it is a name such as lists.example.com or *.example.com, with a port if need be", s)
	}
	return h, nil
}

// checkURL reports whether the administrator lists the host of an address.
func (f *Files) checkURL(u *url.URL) error {
	const op = "external.checkURL"
	name, port := strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")), u.Port()
	switch {
	case u.Scheme != "https":
		return errs.New(op, errs.Denied, errs.DisallowedOperation, "files are fetched over https alone")
	case u.User != nil:
		return errs.New(op, errs.Denied, errs.DisallowedOperation, "an address with a user's name is not fetched")
	case port == "":
		port = "443"
	}
	for _, h := range f.hosts {
		if h.port == port && (!h.below && name == h.name || h.below && strings.HasSuffix(name, "."+h.name)) {
			return nil
		}
	}
	return errs.New(op, errs.Denied, errs.DisallowedOperation, "the server's administrator does not list the host %q for external data", net.JoinHostPort(name, port))
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

// checkAddress is the dialer's last look before it connects: whatever a name resolved to
// this time.
func (f *Files) checkAddress(_, address string, _ syscall.RawConn) error {
	const op = "external.checkAddress"
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return errs.New(op, errs.Denied, errs.DisallowedOperation, "the host has no address that can be checked")
	}
	a := at.Addr().Unmap().WithZone("")
	if !within(a, linkLocal) && (!within(a, special) || within(a, f.allowed)) {
		return nil
	}
	return errs.New(op, errs.Denied, errs.DisallowedOperation, "the host is in a network that the server may not fetch from")
}
