package collect

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/netlink"
)

// dump lists objects of the routing family in the calling thread's network namespace and
// calls each with the header and the attributes of every one.
func dump(typ uint16, family byte, header int, each func(h []byte, attr map[uint16][]byte)) error {
	c, err := netlink.Dial(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer c.Close()
	// The request's header is as long as the longest, struct ifinfomsg.
	req := make([]byte, header)
	req[0] = family
	answers, err := c.Dump(netlink.Message{Type: typ, Flags: unix.NLM_F_REQUEST, Data: req, What: "list"})
	if err != nil {
		return err
	}
	for _, a := range answers {
		if len(a.Data) < header {
			continue
		}
		attr := map[uint16][]byte{}
		netlink.Attrs(a.Data[header:], func(typ uint16, data []byte) { attr[typ] = data })
		each(a.Data, attr)
	}
	return nil
}

// Sizes of the headers of linux/rtnetlink.h and its neighbours.
const (
	linkHeader  = 16
	addrHeader  = 8
	neighHeader = 12
	routeHeader = 12
)

func address(b []byte) string {
	a, ok := netip.AddrFromSlice(b)
	if !ok {
		return ""
	}
	return a.String()
}

func number(b []byte) string {
	if len(b) < 4 {
		return ""
	}
	return itoa(native.Uint32(b))
}

func text(b []byte) string { return strings.TrimRight(string(b), "\x00") }

// interfaceNames names the interfaces of the calling thread's namespace by their index.
func interfaceNames() map[uint32]string {
	out := map[uint32]string{}
	_ = dump(unix.RTM_GETLINK, unix.AF_UNSPEC, linkHeader, func(h []byte, a map[uint16][]byte) { // a number is as good
		out[native.Uint32(h[4:])] = text(a[unix.IFLA_IFNAME])
	})
	return out
}

func nameOf(names map[uint32]string, b []byte) string {
	if len(b) < 4 {
		return ""
	}
	n := native.Uint32(b)
	return cmp.Or(names[n], itoa(n))
}

var operStates = []string{"unknown", "not present", "down", "lower layer down", "testing", "dormant", "up"}

// interfaces lists interfaces and their addresses; what listens to all traffic or has a
// program of its own in its way is said.
func (d *device) interfaces(t *Task) error {
	links, err := t.Table("Interfaces.csv", "NetworkNamespace", "Index", "Name", "Kind", "State", "Flags", "MacAddress", "Mtu", "Master", "Promiscuous", "XdpProgram")
	if err != nil {
		return err
	}
	defer links.end()
	addrs, err := t.Table("IpConfig.csv", "NetworkNamespace", "Interface", "Address", "PrefixLength", "Broadcast", "Scope", "Label")
	if err != nil {
		return err
	}
	defer addrs.end()
	err = d.eachNamespace(t, func(ns namespace) error {
		names := interfaceNames()
		var failed error
		err := dump(unix.RTM_GETLINK, unix.AF_UNSPEC, linkHeader, func(h []byte, a map[uint16][]byte) {
			kind, state, xdp := "", "", ""
			netlink.Attrs(a[unix.IFLA_LINKINFO], func(typ uint16, data []byte) {
				if typ == unix.IFLA_INFO_KIND {
					kind = text(data)
				}
			})
			netlink.Attrs(a[unix.IFLA_XDP], func(typ uint16, data []byte) {
				if typ == unix.IFLA_XDP_PROG_ID {
					xdp = number(data)
				}
			})
			if b := a[unix.IFLA_OPERSTATE]; len(b) > 0 && int(b[0]) < len(operStates) {
				state = operStates[b[0]]
			}
			flags := net.Flags(0)
			raw := native.Uint32(h[8:])
			for bit, f := range map[uint32]net.Flags{unix.IFF_UP: net.FlagUp, unix.IFF_BROADCAST: net.FlagBroadcast, unix.IFF_LOOPBACK: net.FlagLoopback,
				unix.IFF_POINTOPOINT: net.FlagPointToPoint, unix.IFF_MULTICAST: net.FlagMulticast, unix.IFF_RUNNING: net.FlagRunning} {
				if raw&bit != 0 {
					flags |= f
				}
			}
			promiscuous := number(a[unix.IFLA_PROMISCUITY])
			if raw&unix.IFF_PROMISC != 0 && promiscuous == "0" {
				promiscuous = "set"
			}
			if promiscuous == "0" {
				promiscuous = ""
			}
			failed = errors.Join(failed, links.Row(ns.name, itoa(native.Uint32(h[4:])), text(a[unix.IFLA_IFNAME]), kind, state, flags.String(),
				net.HardwareAddr(a[unix.IFLA_ADDRESS]).String(), number(a[unix.IFLA_MTU]), nameOf(names, a[unix.IFLA_MASTER]), promiscuous, xdp))
		})
		if err = errors.Join(err, failed); err != nil {
			return err
		}
		err = dump(unix.RTM_GETADDR, unix.AF_UNSPEC, addrHeader, func(h []byte, a map[uint16][]byte) {
			addr := a[unix.IFA_LOCAL] // of a point-to-point link the other one is the peer's
			if addr == nil {
				addr = a[unix.IFA_ADDRESS]
			}
			failed = errors.Join(failed, addrs.Row(ns.name, nameOf(names, h[4:8]), address(addr), itoa(h[1]), address(a[unix.IFA_BROADCAST]), routeScope(h[3]), text(a[unix.IFA_LABEL])))
		})
		return errors.Join(err, failed)
	})
	return errors.Join(err, links.Close(), addrs.Close())
}

func routeScope(n byte) string {
	switch n {
	case unix.RT_SCOPE_UNIVERSE:
		return "global"
	case unix.RT_SCOPE_SITE:
		return "site"
	case unix.RT_SCOPE_LINK:
		return "link"
	case unix.RT_SCOPE_HOST:
		return "host"
	}
	return itoa(n)
}

// neighbours lists which hardware address answers to which address, of both families.
func (d *device) neighbours(t *Task) error {
	tab, err := t.Table("Arp.csv", "NetworkNamespace", "Family", "Address", "MacAddress", "Interface", "State", "Router", "Proxy")
	if err != nil {
		return err
	}
	defer tab.end()
	states := []string{"incomplete", "reachable", "stale", "delay", "probe", "failed", "noarp", "permanent"}
	err = d.eachNamespace(t, func(ns namespace) error {
		names := interfaceNames()
		var failed error
		err := dump(unix.RTM_GETNEIGH, unix.AF_UNSPEC, neighHeader, func(h []byte, a map[uint16][]byte) {
			family := map[byte]string{unix.AF_INET: "IPv4", unix.AF_INET6: "IPv6"}[h[0]]
			if family == "" {
				return // a bridge's own list
			}
			var state []string
			for i, s := range states {
				if native.Uint16(h[8:])>>i&1 == 1 {
					state = append(state, s)
				}
			}
			flag := func(bit byte) string {
				if h[10]&bit != 0 {
					return "1"
				}
				return ""
			}
			failed = errors.Join(failed, tab.Row(ns.name, family, address(a[unix.NDA_DST]), net.HardwareAddr(a[unix.NDA_LLADDR]).String(), nameOf(names, h[4:8]),
				strings.Join(state, " "), flag(unix.NTF_ROUTER), flag(unix.NTF_PROXY)))
		})
		return errors.Join(err, failed)
	})
	return errors.Join(err, tab.Close())
}

var routeTypes = []string{"", "unicast", "local", "broadcast", "anycast", "multicast", "blackhole", "unreachable", "prohibit", "throw", "nat"}

// routes lists all routing tables and the rules that choose among them.
func (d *device) routes(t *Task) error {
	tab, err := t.Table("Routes.csv", "NetworkNamespace", "Family", "Table", "Type", "Destination", "Gateway", "Interface", "Source", "Metric", "Protocol", "Scope")
	if err != nil {
		return err
	}
	defer tab.end()
	rules, err := t.Table("RoutingRules.csv", "NetworkNamespace", "Family", "Priority", "From", "To", "InInterface", "OutInterface", "Mark", "Table", "Action")
	if err != nil {
		return err
	}
	defer rules.end()
	err = d.eachNamespace(t, func(ns namespace) error {
		names := interfaceNames()
		for family, word := range map[byte]string{unix.AF_INET: "IPv4", unix.AF_INET6: "IPv6"} {
			var failed error
			err := dump(unix.RTM_GETROUTE, family, routeHeader, func(h []byte, a map[uint16][]byte) {
				for _, hop := range hops(a) {
					kind := itoa(h[7])
					if int(h[7]) < len(routeTypes) {
						kind = routeTypes[h[7]]
					}
					failed = errors.Join(failed, tab.Row(ns.name, word, routeTable(h[4], a[unix.RTA_TABLE]), kind, prefix(family, h[1], a[unix.RTA_DST]), hop.gateway,
						nameOf(names, hop.iface), address(a[unix.RTA_PREFSRC]), number(a[unix.RTA_PRIORITY]), itoa(h[5]), routeScope(h[6])))
				}
			})
			if err = errors.Join(err, failed); err != nil {
				return err
			}
			err = dump(unix.RTM_GETRULE, family, routeHeader, func(h []byte, a map[uint16][]byte) {
				mark := ""
				if m := a[unix.FRA_FWMARK]; len(m) >= 4 {
					mark = fmt.Sprintf("%#x", native.Uint32(m))
				}
				failed = errors.Join(failed, rules.Row(ns.name, word, cmp.Or(number(a[unix.FRA_PRIORITY]), "0"), prefix(family, h[2], a[unix.FRA_SRC]), prefix(family, h[1], a[unix.FRA_DST]),
					text(a[unix.FRA_IIFNAME]), text(a[unix.FRA_OIFNAME]), mark, routeTable(h[4], a[unix.FRA_TABLE]), itoa(h[7])))
			})
			if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT) {
				err = nil // a kernel without rules, or without IPv6
			}
			if err = errors.Join(err, failed); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, tab.Close(), rules.Close())
}

func routeTable(short byte, long []byte) string {
	n := uint32(short)
	if len(long) >= 4 {
		n = native.Uint32(long)
	}
	switch n {
	case unix.RT_TABLE_MAIN:
		return "main"
	case unix.RT_TABLE_LOCAL:
		return "local"
	case unix.RT_TABLE_DEFAULT:
		return "default"
	}
	return itoa(n)
}

func prefix(family, bits byte, b []byte) string {
	if len(b) == 0 {
		if bits == 0 {
			return "default"
		}
		b = make([]byte, 4)
		if family == unix.AF_INET6 {
			b = make([]byte, 16)
		}
	}
	return address(b) + "/" + itoa(bits)
}

// hop is where a route leads next.
type hop struct {
	gateway string
	iface   []byte
}

// rtnexthop is the size of struct rtnexthop.
const rtnexthop = 8

func hops(a map[uint16][]byte) []hop {
	via := func(a map[uint16][]byte) string {
		if g := a[unix.RTA_GATEWAY]; g != nil {
			return address(g)
		}
		if v := a[unix.RTA_VIA]; len(v) > 2 { // the family, then an address of it
			return address(v[2:])
		}
		return ""
	}
	multi := a[unix.RTA_MULTIPATH]
	if len(multi) < rtnexthop {
		return []hop{{via(a), a[unix.RTA_OIF]}}
	}
	var out []hop
	for len(multi) >= rtnexthop {
		size := int(native.Uint16(multi))
		if size < rtnexthop || size > len(multi) {
			break
		}
		inner := map[uint16][]byte{}
		netlink.Attrs(multi[rtnexthop:size], func(typ uint16, data []byte) { inner[typ] = data })
		out = append(out, hop{via(inner), multi[4:8]})
		multi = multi[min(len(multi), (size+3)&^3):]
	}
	return out
}
