package inventory

import (
	"encoding/binary"
	"encoding/hex"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// ARP hardware types (linux/if_arp.h).
const (
	arpEther    = 1
	arpPPP      = 512
	arpTunnel   = 768
	arpTunnel6  = 769
	arpLoopback = 772
	arpSIT      = 776
	arpIPGRE    = 778
	arpIP6GRE   = 823
	arpNone     = 65534 // tun devices
)

func (c *Collector) network(r *Report) {
	ifs, err := net.Interfaces()
	if err != nil {
		r.miss("interfaces", err)
	}
	slices.SortFunc(ifs, func(a, b net.Interface) int { return a.Index - b.Index })
	if len(ifs) > MaxInterfaces {
		r.cut("interfaces", len(ifs), MaxInterfaces)
		ifs = ifs[:MaxInterfaces]
	}
	gateways := c.gateways()
	var physical, first string
	for _, i := range ifs {
		n := Interface{Name: clean(i.Name), MAC: i.HardwareAddr.String(), Type: c.kind(i.Name), Status: c.status(i), Gateways: gateways[i.Name]}
		addrs, err := i.Addrs()
		if err != nil {
			r.miss("addresses of "+i.Name, err)
		}
		if len(addrs) > MaxAddresses {
			r.cut("addresses of "+i.Name, len(addrs), MaxAddresses)
			addrs = addrs[:MaxAddresses]
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				n.Addresses = append(n.Addresses, Address{IP: p.Addr().Unmap().String(), Prefix: p.Bits(), Kind: scope(p.Addr().Unmap())})
			}
		}
		r.Interfaces = append(r.Interfaces, n)
		if len(i.HardwareAddr) != 6 || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		if _, err := os.Stat(c.path("sys/class/net/" + i.Name + "/device")); err == nil && physical == "" {
			physical = n.MAC
		}
		if first == "" {
			first = n.MAC
		}
	}
	if physical == "" {
		physical = first
	}
	r.Fingerprint.MAC = physical
	r.DNS = c.nameServers()
}

func (c *Collector) kind(name string) string {
	if _, err := os.Stat(c.path("sys/class/net/" + name + "/wireless")); err == nil {
		return "Wireless80211"
	}
	t, err := strconv.Atoi(c.line("sys/class/net/" + name + "/type"))
	if err != nil {
		return "Unknown"
	}
	switch t {
	case arpEther:
		return "Ethernet"
	case arpLoopback:
		return "Loopback"
	case arpPPP:
		return "Ppp"
	case arpTunnel, arpTunnel6, arpSIT, arpIPGRE, arpIP6GRE, arpNone:
		return "Tunnel"
	}
	return "Unknown"
}

func (c *Collector) status(i net.Interface) string {
	switch c.line("sys/class/net/" + i.Name + "/operstate") {
	case "up":
		return "Up"
	case "down":
		return "Down"
	case "dormant":
		return "Dormant"
	case "lowerlayerdown":
		return "LowerLayerDown"
	case "notpresent":
		return "NotPresent"
	case "testing":
		return "Testing"
	}
	// Loopback and tunnels have no state of their own.
	if i.Flags&net.FlagUp != 0 {
		return "Up"
	}
	return "Down"
}

func scope(a netip.Addr) string {
	switch {
	case a.IsLoopback():
		return "Loopback"
	case a.IsLinkLocalUnicast():
		return "LinkLocal"
	case a.IsPrivate():
		return "Private"
	}
	return "Public"
}

// gateways returns the next hops of default routes by interface.
func (c *Collector) gateways() map[string][]string {
	out := map[string][]string{}
	add := func(dev string, a netip.Addr) {
		if a.IsValid() && !a.IsUnspecified() && len(out[dev]) < MaxServers && !slices.Contains(out[dev], a.String()) {
			out[dev] = append(out[dev], a.String())
		}
	}
	four, _ := c.text("proc/net/route")
	for line := range strings.SplitSeq(four, "\n") {
		f := strings.Fields(line)
		if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" {
			continue
		}
		if n, err := strconv.ParseUint(f[2], 16, 32); err == nil {
			// The kernel prints the four bytes as one number of its own byte order.
			add(f[0], netip.AddrFrom4([4]byte(binary.NativeEndian.AppendUint32(nil, uint32(n)))))
		}
	}
	six, _ := c.text("proc/net/ipv6_route")
	for line := range strings.SplitSeq(six, "\n") {
		f := strings.Fields(line)
		if len(f) < 10 || f[1] != "00" || f[0] != strings.Repeat("0", 32) {
			continue
		}
		if b, err := hex.DecodeString(f[4]); err == nil && len(b) == 16 {
			add(f[9], netip.AddrFrom16([16]byte(b)))
		}
	}
	return out
}

// nameServers reads resolv.conf; where that names only systemd's stub, the servers behind it.
func (c *Collector) nameServers() []string {
	servers := c.resolvConf("etc/resolv.conf")
	if len(servers) > 0 && !slices.ContainsFunc(servers, func(s string) bool { return !strings.HasPrefix(s, "127.0.0.5") }) {
		if behind := c.resolvConf("run/systemd/resolve/resolv.conf"); len(behind) > 0 {
			return behind
		}
	}
	return servers
}

func (c *Collector) resolvConf(name string) []string {
	text, _ := c.text(name)
	var out []string
	for line := range strings.SplitSeq(text, "\n") {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "nameserver" || len(out) == MaxServers {
			continue
		}
		if a, err := netip.ParseAddr(f[1]); err == nil {
			out = append(out, a.String())
		}
	}
	return out
}
