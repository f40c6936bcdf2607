package link

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/vedette-edr/vedette/durable"
)

// dialer reaches the server wherever its name leads, and remembers where it led: an
// isolated device may resolve no names, but still reaches its server.
type dialer struct {
	host string
	port uint16
	file string

	mu    sync.Mutex
	known []netip.Addr
}

const (
	lookupTime = 5 * time.Second
	dialTime   = 10 * time.Second
	maxKnown   = 32
)

func newDialer(server, dir string) (*dialer, error) {
	host, port, err := splitServer(server)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("link: %w", err)
	}
	// One that was there already may be open to others; the key goes into it.
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, fmt.Errorf("link: %w", err)
	}
	d := &dialer{host: host, port: port, file: filepath.Join(dir, "addresses.json")}
	if a, err := netip.ParseAddr(host); err == nil {
		d.known = []netip.Addr{a.Unmap()}
		return d, nil
	}
	var saved struct {
		Host      string
		Addresses []netip.Addr
	}
	// A cache: what cannot be read is looked up again.
	if b, err := os.ReadFile(d.file); err == nil && json.Unmarshal(b, &saved) == nil && saved.Host == host {
		d.known = saved.Addresses
	}
	return d, nil
}

func splitServer(server string) (host string, port uint16, err error) {
	text := server
	if u, perr := url.Parse(server); perr == nil && u.Host != "" {
		if u.Scheme != "https" {
			return "", 0, fmt.Errorf("link: the server %q is not an https address", server)
		}
		text = u.Host
		if u.Port() == "" {
			text = net.JoinHostPort(u.Hostname(), "443")
		}
	}
	host, p, err := net.SplitHostPort(text)
	if err != nil {
		return "", 0, fmt.Errorf("link: the server %q: %w", server, err)
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil || host == "" || n == 0 {
		return "", 0, fmt.Errorf("link: the server %q has no host and port", server)
	}
	return host, uint16(n), nil
}

// addresses returns where the server is: the result of a look-up, or what earlier ones
// found when the name cannot be resolved now.
func (d *dialer) addresses(ctx context.Context) ([]netip.Addr, error) {
	if _, err := netip.ParseAddr(d.host); err == nil {
		return d.known, nil
	}
	lctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(lctx, "ip", d.host)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil || len(found) == 0 {
		if len(d.known) == 0 {
			return nil, fmt.Errorf("link: resolve %s: %w", d.host, err)
		}
		return slices.Clone(d.known), nil
	}
	for i := range found {
		found[i] = found[i].Unmap()
	}
	for _, a := range d.known {
		if len(found) < maxKnown && !slices.Contains(found, a) {
			found = append(found, a)
		}
	}
	if !slices.Equal(found, d.known) {
		d.known = found
		if b, err := json.Marshal(map[string]any{"Host": d.host, "Addresses": found}); err == nil {
			// Best effort: without it a restart while isolated has to wait for the name.
			_ = durable.Write(d.file, b, 0o600)
		}
	}
	return slices.Clone(found), nil
}

// dial connects to the server; the name asked for is the one of the protocol, not an
// address.
func (d *dialer) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	all, err := d.addresses(ctx)
	if err != nil {
		return nil, err
	}
	nd := net.Dialer{Timeout: dialTime, KeepAlive: 15 * time.Second}
	var failed error
	for _, a := range all {
		c, err := nd.DialContext(ctx, "tcp", netip.AddrPortFrom(a, d.port).String())
		if err == nil {
			return c, nil
		}
		failed = errors.Join(failed, err)
	}
	return nil, failed
}

// Addresses returns where the server is, for isolation to leave open.
func (l *Link) Addresses(ctx context.Context) ([]netip.AddrPort, error) {
	all, err := l.dialer.addresses(ctx)
	if err != nil {
		return nil, err
	}
	var out []netip.AddrPort
	for _, a := range all {
		out = append(out, netip.AddrPortFrom(a, l.dialer.port))
	}
	return out, nil
}
