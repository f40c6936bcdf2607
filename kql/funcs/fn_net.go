package funcs

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/vedette-edr/vedette/kql/types"
)

// ipv4 reads an address with an optional /prefix.
func ipv4(s string) (addr uint32, prefix int, ok bool) {
	s = strings.TrimSpace(s)
	host, bits, has := strings.Cut(s, "/")
	prefix = 32
	if has {
		if _, err := fmt.Sscanf(bits, "%d", &prefix); err != nil || prefix < 0 || prefix > 32 {
			return 0, 0, false
		}
	}
	a, err := netip.ParseAddr(host)
	if err != nil || !a.Is4() {
		return 0, 0, false
	}
	b := a.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3]), prefix, true
}

func mask4(prefix int) uint32 {
	if prefix <= 0 {
		return 0
	}
	return ^uint32(0) << (32 - min(prefix, 32))
}

func text4(a uint32) string { return fmt.Sprintf("%d.%d.%d.%d", a>>24, a>>16&255, a>>8&255, a&255) }

// ip6 reads an IPv4 or IPv6 address with an optional prefix as 128 bits.
func ip6(s string) (addr [16]byte, prefix int, ok bool) {
	host, bits, has := strings.Cut(strings.TrimSpace(s), "/")
	a, err := netip.ParseAddr(host)
	if err != nil {
		return addr, 0, false
	}
	prefix = 128
	if has {
		if _, err := fmt.Sscanf(bits, "%d", &prefix); err != nil || prefix < 0 {
			return addr, 0, false
		}
		if a.Is4() {
			prefix += 96
		}
	}
	return a.As16(), prefix, prefix <= 128
}

func cmp6(c *Ctx, a []types.Value, extra int) (int, bool) {
	x, p, ok := ip6(a[0].S)
	y, q, ok2 := ip6(a[1].S)
	if !ok || !ok2 {
		return 0, false
	}
	n := min(p, q)
	if len(a) > extra {
		n = min(n, int(max(a[extra].I, 0)))
	}
	for i := range x {
		m := byte(0xff)
		if k := n - i*8; k <= 0 {
			m = 0
		} else if k < 8 {
			m <<= 8 - k
		}
		if u, v := x[i]&m, y[i]&m; u != v {
			if u < v {
				return -1, true
			}
			return 1, true
		}
	}
	return 0, true
}

func cmp4(a []types.Value) (int, bool) {
	x, p, ok := ipv4(a[0].S)
	y, q, ok2 := ipv4(a[1].S)
	if !ok || !ok2 {
		return 0, false
	}
	n := min(p, q)
	if len(a) > 2 {
		n = min(n, int(max(a[2].I, 0)))
	}
	m := mask4(n)
	switch {
	case x&m < y&m:
		return -1, true
	case x&m > y&m:
		return 1, true
	}
	return 0, true
}

func inRange4(ip, cidr string) (bool, bool) {
	x, _, ok := ipv4(ip)
	y, q, ok2 := ipv4(cidr)
	return ok && ok2 && x&mask4(q) == y&mask4(q), ok && ok2
}

func netFuncs() []entry {
	return []entry{
		{sig: "ipv4_is_private(ip:string) bool", doc: "Whether an IPv4 address belongs to a private network.", eval: func(c *Ctx, a []types.Value) types.Value {
			x, p, ok := ipv4(a[0].S)
			if !ok {
				return c.null()
			}
			x &= mask4(p)
			return boolean(x>>24 == 10 || x>>20 == 0xac1 || x>>16 == 0xc0a8)
		}},
		{sig: "ipv4_is_in_range(ip:string, range:string) bool", doc: "Whether an address lies in a CIDR range.", eval: func(c *Ctx, a []types.Value) types.Value {
			in, ok := inRange4(a[0].S, a[1].S)
			if !ok {
				return c.null()
			}
			return boolean(in)
		}},
		{sig: "ipv4_is_in_any_range(ip:string, ranges:any...) bool", doc: "Whether an address lies in one of several CIDR ranges.", eval: func(c *Ctx, a []types.Value) types.Value {
			if _, _, ok := ipv4(a[0].S); !ok {
				return c.null()
			}
			for _, r := range Terms(a[1:]) {
				if in, ok := inRange4(a[0].S, r); ok && in {
					return boolean(true)
				}
			}
			return boolean(false)
		}},
		{sig: "ipv4_is_match(ip1:string, ip2:string, prefix:long?) bool", doc: "Whether two addresses agree under their prefixes.", eval: func(c *Ctx, a []types.Value) types.Value {
			r, ok := cmp4(a)
			if !ok {
				return c.null()
			}
			return boolean(r == 0)
		}},
		{sig: "ipv4_compare(ip1:string, ip2:string, prefix:long?) long", doc: "Order of two addresses under their prefixes.", eval: func(c *Ctx, a []types.Value) types.Value {
			r, ok := cmp4(a)
			if !ok {
				return c.null()
			}
			return long(r)
		}},
		{sig: "ipv4_netmask_suffix(ip:string) long", doc: "Prefix length of an address.", eval: func(c *Ctx, a []types.Value) types.Value {
			_, p, ok := ipv4(a[0].S)
			if !ok {
				return c.null()
			}
			return long(p)
		}},
		{sig: "parse_ipv4(ip:string) long", doc: "Number of an IPv4 address.", eval: func(c *Ctx, a []types.Value) types.Value {
			x, p, ok := ipv4(a[0].S)
			if !ok {
				return c.null()
			}
			return types.NewLong(int64(x & mask4(p)))
		}},
		{sig: "parse_ipv4_mask(ip:string, prefix:long) long", doc: "Number of an IPv4 address under a prefix.", eval: func(c *Ctx, a []types.Value) types.Value {
			x, p, ok := ipv4(a[0].S)
			if !ok {
				return c.null()
			}
			return types.NewLong(int64(x & mask4(min(p, int(max(a[1].I, 0))))))
		}},
		{sig: "format_ipv4(ip:any, prefix:long?) string", nulls: true, doc: "Address text under a prefix.", eval: func(_ *Ctx, a []types.Value) types.Value {
			x, _, ok := format4(a)
			if !ok {
				return str("")
			}
			return str(text4(x))
		}},
		{sig: "format_ipv4_mask(ip:any, prefix:long?) string", nulls: true, doc: "Address text in CIDR notation.", eval: func(_ *Ctx, a []types.Value) types.Value {
			x, p, ok := format4(a)
			if !ok {
				return str("")
			}
			return str(fmt.Sprintf("%s/%d", text4(x), p))
		}},
		{sig: "ipv4_range_to_cidr_list(start:string, end:string) dynamic", doc: "Array of the CIDR ranges that cover a range.", eval: func(c *Ctx, a []types.Value) types.Value {
			x, _, ok := ipv4(a[0].S)
			y, _, ok2 := ipv4(a[1].S)
			if !ok || !ok2 {
				return c.null()
			}
			out := []any{}
			for lo, hi := uint64(x), uint64(y); lo <= hi; {
				p := 32
				for p > 0 && lo%(1<<(33-p)) == 0 && lo+(1<<(33-p))-1 <= hi {
					p--
				}
				out = append(out, fmt.Sprintf("%s/%d", text4(uint32(lo)), p))
				lo += 1 << (32 - p)
			}
			return dyn(out)
		}},
		{sig: "parse_ipv6(ip:string) string", doc: "Full text of an IPv6 address.", eval: func(_ *Ctx, a []types.Value) types.Value { return str(full6(a[0].S, -1)) }},
		{sig: "parse_ipv6_mask(ip:string, prefix:long) string", doc: "Full text of an IPv6 address under a prefix.", eval: func(_ *Ctx, a []types.Value) types.Value {
			return str(full6(a[0].S, int(max(a[1].I, 0))))
		}},
		{sig: "ipv6_compare(ip1:string, ip2:string, prefix:long?) long", doc: "Order of two addresses under their prefixes.", eval: func(c *Ctx, a []types.Value) types.Value {
			r, ok := cmp6(c, a, 2)
			if !ok {
				return c.null()
			}
			return long(r)
		}},
		{sig: "ipv6_is_match(ip1:string, ip2:string, prefix:long?) bool", doc: "Whether two addresses agree under their prefixes.", eval: func(c *Ctx, a []types.Value) types.Value {
			r, ok := cmp6(c, a, 2)
			if !ok {
				return c.null()
			}
			return boolean(r == 0)
		}},
		{sig: "ipv6_is_in_range(ip:string, range:string) bool", doc: "Whether an address lies in a range.", eval: func(c *Ctx, a []types.Value) types.Value {
			r, ok := cmp6(c, a[:2], 2)
			if !ok {
				return c.null()
			}
			return boolean(r == 0)
		}},
		{sig: "ipv6_is_in_any_range(ip:string, ranges:any...) bool", doc: "Whether an address lies in one of several ranges.", eval: func(c *Ctx, a []types.Value) types.Value {
			if _, _, ok := ip6(a[0].S); !ok {
				return c.null()
			}
			for _, r := range Terms(a[1:]) {
				if v, ok := cmp6(c, []types.Value{a[0], str(r)}, 2); ok && v == 0 {
					return boolean(true)
				}
			}
			return boolean(false)
		}},
		{sig: "has_ipv4(source:string, ip:string) bool", doc: "Whether a text has an address as a term.", eval: hasIP(false)},
		{sig: "has_any_ipv4(source:string, ips:any...) bool", doc: "Whether a text has one of several addresses as a term.", eval: hasIP(false)},
		{sig: "has_ipv4_prefix(source:string, prefix:string) bool", doc: "Whether a text has an address that begins with a prefix.", eval: hasIP(true)},
		{sig: "has_any_ipv4_prefix(source:string, prefixes:any...) bool", doc: "Whether a text has an address that begins with one of several prefixes.", eval: hasIP(true)},
	}
}

func format4(a []types.Value) (addr uint32, prefix int, ok bool) {
	if a[0].Type.Integral() && !a[0].Null {
		addr, prefix, ok = uint32(a[0].I), 32, a[0].I >= 0 && a[0].I <= 1<<32-1
	} else {
		addr, prefix, ok = ipv4(a[0].Text())
	}
	if len(a) > 1 {
		if a[1].Null || a[1].I < 0 || a[1].I > 32 {
			return 0, 0, false
		}
		prefix = min(prefix, int(a[1].I))
	}
	return addr & mask4(prefix), prefix, ok
}

func full6(s string, prefix int) string {
	a, p, ok := ip6(s)
	if !ok {
		return ""
	}
	if prefix >= 0 {
		p = min(p, prefix)
	}
	for i := range a {
		if k := p - i*8; k <= 0 {
			a[i] = 0
		} else if k < 8 {
			a[i] &= 0xff << (8 - k)
		}
	}
	return netip.AddrFrom16(a).StringExpanded()
}

// hasIP looks for addresses bounded by what cannot belong to a longer one.
func hasIP(prefix bool) Impl {
	return func(_ *Ctx, a []types.Value) types.Value {
		terms := Terms(a[1:])
		isPart := func(c byte) bool {
			return c == '.' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		}
		s := a[0].S
		for i := 0; i < len(s); {
			if !isPart(s[i]) {
				i++
				continue
			}
			j := i
			for j < len(s) && isPart(s[j]) {
				j++
			}
			word := strings.TrimRight(s[i:j], ".")
			i = j
			if _, _, ok := ipv4(word); !ok {
				continue
			}
			for _, t := range terms {
				if word == t || prefix && strings.HasSuffix(t, ".") && strings.HasPrefix(word, t) {
					return boolean(true)
				}
			}
		}
		return boolean(false)
	}
}
