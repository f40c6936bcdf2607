package isolate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Probe is one thing that was tried to learn whether the isolation holds.
type Probe struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
}

// Report is the outcome of all probes.
type Report struct {
	Verified bool    `json:"verified"` // every probe was OK
	Probes   []Probe `json:"probes"`
}

func (r *Report) add(name string, ok bool, detail string) {
	r.Probes = append(r.Probes, Probe{Name: name, OK: ok, Detail: detail})
}

func (r *Report) finish() Report {
	r.Verified = true
	for _, p := range r.Probes {
		r.Verified = r.Verified && p.OK
	}
	return *r
}

// Failures joins what did not hold, for people; "" when verified.
func (r Report) Failures() string {
	var out []string
	for _, p := range r.Probes {
		if !p.OK {
			out = append(out, p.Name+": "+p.Detail)
		}
	}
	return strings.Join(out, "; ")
}

// Documentation addresses: nobody answers there, but packets to them would leave.
var (
	elsewhere4 = []netip.Addr{
		netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("203.0.113.1"),
	}
	elsewhere6 = []netip.Addr{
		netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8:1::1"), netip.MustParseAddr("2001:db8:2::1"),
	}
)

// target picks an address that is neither a server's nor our own: laboratories do use the
// documentation's networks.
func target(candidates []netip.Addr, p Policy) netip.Addr {
	own, _ := ownAddresses()
	for _, a := range candidates {
		taken := own.has(a)
		for _, s := range p.Servers {
			taken = taken || s.Addr() == a
		}
		for _, t := range p.targets() {
			taken = taken || t.Prefix.Contains(a)
		}
		if !taken {
			return a
		}
	}
	return candidates[0]
}

// connectWait is how long a blocked connection is given; its first packet is counted at
// once, so that this is not the time the proof takes but the time a leak is given.
const connectWait = 300 * time.Millisecond

// Verify tries whether the device is isolated by p: the server answers, packets to
// elsewhere are refused and counted in both families that have a route, and the table is
// as it was made.
func (i *Isolator) Verify(ctx context.Context, p Policy) Report {
	var r Report
	p, err := p.normal()
	if err != nil {
		r.add("policy", false, err.Error())
		return r.finish()
	}
	i.mu.Lock()
	damage := i.damaged()
	if i.saved != nil && !i.saved.Policy.equal(p) {
		damage = "the rules in force are of another policy"
	}
	var linkless error
	if i.home.made != nil {
		linkless = i.home.made.linkless
	}
	broken, missing := i.broken, []string(nil)
	if i.speakers != nil {
		missing = i.speakers.Missing()
	}
	i.mu.Unlock()
	r.add("rules", damage == "", damage)
	if p.speakers() {
		if broken != nil {
			r.add("allowed-programs", false, broken.Error())
		} else if len(missing) > 0 {
			r.add("allowed-programs", true, "not on this device: "+strings.Join(missing, ", "))
		} else {
			r.add("allowed-programs", true, "")
		}
	}
	r.Probes = append(r.Probes, i.reach(ctx, p))
	r.Probes = append(r.Probes, i.blocked(ctx, "blocked-ipv4", target(elsewhere4, p), func(c content) uint64 { return c.out4 }))
	r.Probes = append(r.Probes, i.blocked(ctx, "blocked-ipv6", target(elsewhere6, p), func(c content) uint64 { return c.out6 }))
	if linkless != nil {
		r.add("blocked-frames", true, "this kernel has no hooks at links (5.16): what packet sockets send is not held: "+linkless.Error())
	} else {
		r.Probes = append(r.Probes, i.blockedFrame())
	}
	return r.finish()
}

// Reach tries to connect to any of the policy's servers, without looking at the rules.
func (i *Isolator) Reach(ctx context.Context, p Policy) Probe {
	p, err := p.normal()
	if err != nil {
		return Probe{Name: "server", Detail: err.Error()}
	}
	return i.reach(ctx, p)
}

func (i *Isolator) reach(ctx context.Context, p Policy) Probe {
	ctx, cancel := context.WithTimeout(ctx, i.cfg.Timeout)
	defer cancel()
	results := make(chan error, len(p.Servers))
	for _, s := range p.Servers {
		go func() {
			c, err := new(net.Dialer).DialContext(ctx, "tcp", s.String())
			if err == nil {
				c.Close()
			}
			results <- err
		}()
	}
	var errs []error
	for range p.Servers {
		err := <-results
		if err == nil {
			return Probe{Name: "server", OK: true}
		}
		errs = append(errs, err)
	}
	return Probe{Name: "server", Detail: errors.Join(errs...).Error()}
}

// blocked sends a datagram and opens a connection to a, and wants both refused and the
// drop counter of the family to have counted them.
func (i *Isolator) blocked(ctx context.Context, name string, a netip.Addr, dropped func(content) uint64) Probe {
	p := Probe{Name: name}
	before, err := i.home.nft.content(byAddress, i.name)
	if err != nil {
		p.Detail = err.Error()
		return p
	}
	err = datagram(a)
	switch {
	case unroutable(err):
		p.OK, p.Detail = true, "no route: nothing of this family can leave"
		return p
	case err == nil:
		p.Detail = fmt.Sprintf("a datagram to %v was let out", a)
		return p
	case !errors.Is(err, unix.EPERM):
		p.Detail = fmt.Sprintf("a datagram to %v: %v", a, err)
		return p
	}
	ctx, cancel := context.WithTimeout(ctx, connectWait)
	defer cancel()
	if c, err := new(net.Dialer).DialContext(ctx, "tcp", netip.AddrPortFrom(a, 443).String()); err == nil {
		c.Close()
		p.Detail = fmt.Sprintf("a connection to %v was made", a)
		return p
	}
	after, err := i.home.nft.content(byAddress, i.name)
	if err != nil {
		p.Detail = err.Error()
		return p
	}
	if n := dropped(after) - dropped(before); dropped(after) < dropped(before)+2 {
		p.Detail = fmt.Sprintf("%d of 2 probes to %v were counted as dropped", n, a)
		return p
	}
	p.OK, p.Detail = true, fmt.Sprintf("probes to %v were dropped and counted", a)
	return p
}

// datagram sends one UDP datagram to the discard port of a.
func datagram(a netip.Addr) error {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 9)))
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Write([]byte("vedette isolation probe"))
	return err
}

func unroutable(err error) bool {
	return errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.EADDRNOTAVAIL) ||
		errors.Is(err, unix.EAFNOSUPPORT)
}

// VerifyReleased tries whether the isolation has ended: no table, and packets to elsewhere
// leave, if the device has a route for them.
func (i *Isolator) VerifyReleased(context.Context) Report {
	var r Report
	t, err := i.home.nft.table(byAddress, i.name)
	if err == nil && t == nil {
		// A kernel without the family has no such table.
		t, _ = i.home.nft.table(byLink, i.name)
	}
	switch {
	case err != nil:
		r.add("rules", false, err.Error())
	case t != nil:
		r.add("rules", false, "the table is still there")
	default:
		r.add("rules", true, "")
	}
	for _, f := range []struct {
		name string
		addr netip.Addr
	}{
		{"open-ipv4", target(elsewhere4, Policy{})}, {"open-ipv6", target(elsewhere6, Policy{})},
	} {
		switch err := datagram(f.addr); {
		case err == nil:
			r.add(f.name, true, "")
		case unroutable(err):
			r.add(f.name, true, "no route")
		default:
			r.add(f.name, false, err.Error())
		}
	}
	return r.finish()
}

// probeType is an EtherType that IEEE 802 keeps for local experiments: nobody answers it.
const probeType = 0x88b5

// blockedFrame sends a frame of no known kind out of the first device that is up, past every
// table of addresses, and wants it counted as dropped.
func (i *Isolator) blockedFrame() Probe {
	p := Probe{Name: "blocked-frames"}
	all, err := net.Interfaces()
	if err != nil {
		p.Detail = err.Error()
		return p
	}
	at := slices.IndexFunc(all, func(n net.Interface) bool {
		return n.Flags&(net.FlagUp|net.FlagRunning) == net.FlagUp|net.FlagRunning && n.Flags&net.FlagLoopback == 0 && len(n.HardwareAddr) == 6
	})
	if at < 0 {
		p.OK, p.Detail = true, "no device is up: nothing can leave"
		return p
	}
	n := all[at]
	before, err := i.home.nft.content(byLink, i.name)
	if err != nil {
		p.Detail = err.Error()
		return p
	}
	if err := sendFrame(n.Index, slices.Concat(n.HardwareAddr, n.HardwareAddr, []byte{probeType >> 8, probeType & 0xff}, make([]byte, 46))); err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EPERM) {
		p.Detail = fmt.Sprintf("a frame out of %s: %v", n.Name, err)
		return p
	}
	after, err := i.home.nft.content(byLink, i.name)
	switch {
	case err != nil:
		p.Detail = err.Error()
	case after.frames <= before.frames:
		p.Detail = "a frame out of " + n.Name + " was not counted as dropped"
	default:
		p.OK, p.Detail = true, "a frame out of "+n.Name+" was dropped and counted"
	}
	return p
}

// sendFrame sends a whole frame out of a device.
func sendFrame(index int, frame []byte) error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Protocol: probeType>>8 | probeType&0xff<<8, Ifindex: index, Halen: 6})
}
