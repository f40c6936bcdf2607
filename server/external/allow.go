package external

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"syscall"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/outbound"
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

// checkAddress is the dialer's last look before it connects: whatever a name resolved to
// this time.
func (f *Files) checkAddress(network, address string, c syscall.RawConn) error {
	return outbound.Guard{Allowed: f.allowed}.Control(network, address, c)
}
