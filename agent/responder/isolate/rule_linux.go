package isolate

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The chains of the table.
const (
	chainIn      = "input"
	chainOut     = "output"
	chainForward = "forward"
)

// rule is one rule: in its chain, packets that match all of match get the verdict.
type rule struct {
	chain string
	match []expr.Any
	kind  expr.VerdictKind
}

// exprs is the rule as the kernel takes it; every rule counts.
func (r rule) exprs() []expr.Any {
	return append(append([]expr.Any(nil), r.match...), &expr.Counter{}, &expr.Verdict{Kind: r.kind})
}

// rules returns the whole rule set. The last two rules of each chain drop and count what
// is left of IPv4 and of IPv6; the chains' policy is to drop as well. No rule asks the
// connection tracker, so that sessions older than it, and kernels without it, work.
func rules(p Policy) []rule {
	var out []rule
	accept := func(chain string, match ...[]expr.Any) {
		r := rule{chain: chain, kind: expr.VerdictAccept}
		for _, m := range match {
			r.match = append(r.match, m...)
		}
		out = append(out, r)
	}
	accept(chainIn, loopback(expr.MetaKeyIIF))
	accept(chainOut, loopback(expr.MetaKeyOIF))
	for _, s := range p.Servers {
		// What comes from the server belongs to a session that the device began: a bare
		// SYN does not. That holds for sessions begun before the isolation, too.
		accept(chainOut, address(s.Addr(), destination), l4(unix.IPPROTO_TCP), port(2, s.Port()))
		accept(chainIn, address(s.Addr(), source), l4(unix.IPPROTO_TCP), port(0, s.Port()), noSYN())
	}
	// Requests go only to the broadcast address: a lease is then renewed by rebinding, and
	// the ports cannot be used to reach a host of somebody's choice.
	accept(chainOut, address(netip.AddrFrom4([4]byte{255, 255, 255, 255}), destination), l4(unix.IPPROTO_UDP), port(0, 68), port(2, 67))
	accept(chainIn, proto(unix.NFPROTO_IPV4), l4(unix.IPPROTO_UDP), port(0, 67), port(2, 68))
	accept(chainOut, address(netip.MustParseAddr("ff02::1:2"), destination), l4(unix.IPPROTO_UDP), port(0, 546), port(2, 547))
	accept(chainIn, proto(unix.NFPROTO_IPV6), linkLocal(), l4(unix.IPPROTO_UDP), port(0, 547), port(2, 546))
	// A hop limit of 255 cannot have crossed, and will not cross, a router.
	for _, t := range []byte{133, 135, 136} {
		accept(chainOut, icmp6(t), hopLimit(255))
	}
	for _, t := range []byte{134, 135, 136} {
		accept(chainIn, icmp6(t), hopLimit(255))
	}
	// Switches forward discovery only to those who report that they listen.
	for _, t := range []byte{131, 132, 143} {
		accept(chainOut, icmp6(t), hopLimit(1))
	}
	accept(chainIn, icmp6(130), hopLimit(1))
	accept(chainIn, icmp6(2)) // packet too big
	accept(chainIn, proto(unix.NFPROTO_IPV4), l4(unix.IPPROTO_ICMP), payload(expr.PayloadBaseTransportHeader, 0, []byte{3, 4}))
	for _, chain := range []string{chainIn, chainOut, chainForward} {
		for _, f := range []byte{unix.NFPROTO_IPV4, unix.NFPROTO_IPV6} {
			out = append(out, rule{chain: chain, match: proto(f), kind: expr.VerdictDrop})
		}
	}
	return out
}

type side uint8

const (
	source side = iota
	destination
)

// loopback matches by number: the loopback device is the first of every network namespace,
// while any device can be given its name.
func loopback(key expr.MetaKey) []expr.Any {
	return []expr.Any{&expr.Meta{Key: key, Register: 1}, equals(native.AppendUint32(nil, 1))}
}

func proto(p byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}, equals([]byte{p})}
}

func l4(p byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, equals([]byte{p})}
}

func address(a netip.Addr, s side) []expr.Any {
	if a.Is4() {
		off := uint32(12)
		if s == destination {
			off = 16
		}
		return append(proto(unix.NFPROTO_IPV4), payload(expr.PayloadBaseNetworkHeader, off, a.AsSlice())...)
	}
	off := uint32(8)
	if s == destination {
		off = 24
	}
	return append(proto(unix.NFPROTO_IPV6), payload(expr.PayloadBaseNetworkHeader, off, a.AsSlice())...)
}

// port matches the port at the offset: 0 the source's, 2 the destination's.
func port(off uint32, p uint16) []expr.Any {
	return payload(expr.PayloadBaseTransportHeader, off, binary.BigEndian.AppendUint16(nil, p))
}

// noSYN matches TCP segments other than those with SYN and without ACK.
func noSYN() []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 13, Len: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 1, Mask: []byte{0x12}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: []byte{0x02}},
	}
}

// linkLocal matches sources in fe80::/10.
func linkLocal() []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 8, Len: 2},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 2, Mask: []byte{0xff, 0xc0}, Xor: []byte{0, 0}},
		equals([]byte{0xfe, 0x80}),
	}
}

func icmp6(typ byte) []expr.Any {
	return append(append(proto(unix.NFPROTO_IPV6), l4(unix.IPPROTO_ICMPV6)...),
		payload(expr.PayloadBaseTransportHeader, 0, []byte{typ})...)
}

func hopLimit(n byte) []expr.Any {
	return payload(expr.PayloadBaseNetworkHeader, 7, []byte{n})
}

func payload(base expr.PayloadBase, off uint32, want []byte) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: base, Offset: off, Len: uint32(len(want))}, equals(want),
	}
}

func equals(want []byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: want}
}
