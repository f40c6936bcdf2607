package isolate

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The chains of the table of addresses; the table of links has two of these names too, that
// the chains of its devices lead to.
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
	to    string // the chain to jump to
}

// exprs is the rule as the kernel takes it; every rule counts.
func (r rule) exprs() []expr.Any {
	return append(append([]expr.Any(nil), r.match...), &expr.Counter{}, &expr.Verdict{Kind: r.kind, Chain: r.to})
}

// ruleset is what is to be installed.
type ruleset struct {
	Policy
	mark  uint32 // of the sockets that may reach everything
	links []link // that lead out; each gets hooks of its own where the kernel can
}

// list collects rules. Which packets are IPv4 is said in other words at a link than where
// addresses are judged.
type list struct {
	four, six []expr.Any
	rules     []rule
}

func (l *list) accept(chain string, match ...[]expr.Any) {
	r := rule{chain: chain, kind: expr.VerdictAccept}
	for _, m := range match {
		r.match = append(r.match, m...)
	}
	l.rules = append(l.rules, r)
}

// addressRules returns the rules of the table that judges what enters, leaves and crosses
// the device by its addresses. The last two rules of each chain drop and count what
// is left of IPv4 and of IPv6; the chains' policy is to drop as well. No rule asks the
// connection tracker, so that sessions older than it, and kernels without it, work.
func addressRules(s ruleset) []rule {
	l := &list{four: proto(unix.NFPROTO_IPV4), six: proto(unix.NFPROTO_IPV6)}
	if s.speakers() {
		// A resolver on the device asks others for whoever asks it: it must not carry the
		// words of a program that may not speak.
		for _, p := range []byte{unix.IPPROTO_UDP, unix.IPPROTO_TCP} {
			l.accept(chainOut, loopback(expr.MetaKeyOIF), marked(s.mark), l4(p), port(2, 53))
			l.rules = append(l.rules, rule{chain: chainOut, kind: expr.VerdictDrop,
				match: slices.Concat(loopback(expr.MetaKeyOIF), l4(p), port(2, 53))})
		}
		l.accept(chainOut, marked(s.mark))
		l.accept(chainIn, socketMarked(s.mark), l4(unix.IPPROTO_TCP), noSYN())
		l.accept(chainIn, socketMarked(s.mark), l4(unix.IPPROTO_UDP))
	}
	l.accept(chainIn, loopback(expr.MetaKeyIIF))
	l.accept(chainOut, loopback(expr.MetaKeyOIF))
	l.common(s.Policy)
	for _, chain := range []string{chainIn, chainOut, chainForward} {
		for _, f := range [][]expr.Any{l.four, l.six} {
			l.rules = append(l.rules, rule{chain: chain, match: f, kind: expr.VerdictDrop})
		}
	}
	return l.rules
}

// linkRules returns the rules of the table that judges whole frames where they enter and
// leave a device: those of packet sockets, of bridged guests and of devices above this one
// pass there, and nothing but there. The last rule of each chain drops and counts.
func linkRules(s ruleset) []rule {
	l := &list{four: etherType(unix.ETH_P_IP), six: etherType(unix.ETH_P_IPV6)}
	for _, chain := range []string{chainIn, chainOut} {
		l.accept(chain, etherType(unix.ETH_P_ARP))
		l.accept(chain, etherType(unix.ETH_P_PAE)) // without it a port that authenticates shuts
	}
	if s.speakers() {
		l.accept(chainOut, marked(s.mark))
		// Whose socket a packet is for is not known yet: the table of addresses asks. Frames for
		// others, which are guests of a bridge, are not for any socket.
		l.accept(chainIn, toHost(), l.four)
		l.accept(chainIn, toHost(), l.six)
	}
	l.common(s.Policy)
	for _, chain := range []string{chainIn, chainOut} {
		l.rules = append(l.rules, rule{chain: chain, kind: expr.VerdictDrop})
	}
	for _, k := range s.links {
		for _, side := range []string{chainIn, chainOut} {
			l.rules = append(l.rules, rule{chain: k.chain(side), kind: expr.VerdictJump, to: side})
		}
	}
	return l.rules
}

// common is what every isolated device may send and receive.
func (l *list) common(p Policy) {
	for _, s := range p.Servers {
		// What comes from the server belongs to a session that the device began: a bare
		// SYN does not. That holds for sessions begun before the isolation, too.
		host := netip.PrefixFrom(s.Addr(), s.Addr().BitLen())
		l.accept(chainOut, l.address(host, destination), l4(unix.IPPROTO_TCP), port(2, s.Port()))
		l.accept(chainIn, l.address(host, source), l4(unix.IPPROTO_TCP), port(0, s.Port()), noSYN())
	}
	for _, t := range p.targets() {
		var out, in []expr.Any
		if t.Port != 0 {
			out, in = port(2, t.Port), port(0, t.Port)
		}
		to, from := l.address(t.Prefix, destination), l.address(t.Prefix, source)
		if t.Protocol != "udp" {
			l.accept(chainOut, to, l4(unix.IPPROTO_TCP), out)
			l.accept(chainIn, from, l4(unix.IPPROTO_TCP), in, noSYN())
		}
		if t.Protocol != "tcp" {
			l.accept(chainOut, to, l4(unix.IPPROTO_UDP), out)
			l.accept(chainIn, from, l4(unix.IPPROTO_UDP), in)
		}
		if t.Protocol == "" {
			// Of other protocols it cannot be told who began.
			l.accept(chainOut, to)
			l.accept(chainIn, from, notL4(unix.IPPROTO_TCP))
		}
	}
	// Requests go only to the broadcast address: a lease is then renewed by rebinding, and
	// the ports cannot be used to reach a host of somebody's choice.
	all := netip.AddrFrom4([4]byte{255, 255, 255, 255})
	l.accept(chainOut, l.address(netip.PrefixFrom(all, 32), destination), l4(unix.IPPROTO_UDP), port(0, 68), port(2, 67))
	l.accept(chainIn, l.four, l4(unix.IPPROTO_UDP), port(0, 67), port(2, 68))
	agents := netip.MustParsePrefix("ff02::1:2/128") // all DHCP agents of the link
	l.accept(chainOut, l.address(agents, destination), l4(unix.IPPROTO_UDP), port(0, 546), port(2, 547))
	l.accept(chainIn, l.address(netip.MustParsePrefix("fe80::/10"), source), l4(unix.IPPROTO_UDP), port(0, 547), port(2, 546))
	// A hop limit of 255 cannot have crossed, and will not cross, a router.
	for _, t := range []byte{133, 135, 136} {
		l.accept(chainOut, l.icmp6(t), hopLimit(255))
	}
	for _, t := range []byte{134, 135, 136} {
		l.accept(chainIn, l.icmp6(t), hopLimit(255))
	}
	// Switches forward discovery only to those who report that they listen.
	for _, t := range []byte{131, 132, 143} {
		l.accept(chainOut, l.icmp6(t), hopLimit(1))
	}
	l.accept(chainIn, l.icmp6(130), hopLimit(1))
	l.accept(chainIn, l.icmp6(2)) // packet too big
	l.accept(chainIn, l.four, l4(unix.IPPROTO_ICMP), payload(expr.PayloadBaseTransportHeader, 0, []byte{3, 4}))
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

func notL4(p byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, &expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: []byte{p}}}
}

// etherType matches what a frame carries.
func etherType(t uint16) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyPROTOCOL, Register: 1}, equals(binary.BigEndian.AppendUint16(nil, t))}
}

// toHost matches frames that are addressed to the device itself.
func toHost() []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyPKTTYPE, Register: 1}, equals([]byte{unix.PACKET_HOST})}
}

// marked matches packets of sockets with a mark.
func marked(m uint32) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyMARK, Register: 1}, equals(native.AppendUint32(nil, m))}
}

// socketMarked matches packets for sockets with a mark.
func socketMarked(m uint32) []expr.Any {
	return []expr.Any{&expr.Socket{Key: expr.SocketKeyMark, Register: 1}, equals(native.AppendUint32(nil, m))}
}

func (l *list) address(p netip.Prefix, s side) []expr.Any {
	family, off := l.six, uint32(8)
	if p.Addr().Is4() {
		family, off = l.four, 12
	}
	want := p.Addr().AsSlice()
	if s == destination {
		off += uint32(len(want))
	}
	load := &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: off, Len: uint32(len(want))}
	if p.IsSingleIP() {
		return slices.Concat(family, []expr.Any{load, equals(want)})
	}
	mask := make([]byte, len(want))
	for i := range p.Bits() {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return slices.Concat(family, []expr.Any{load,
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: uint32(len(want)), Mask: mask, Xor: make([]byte, len(want))}, equals(want)})
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

func (l *list) icmp6(typ byte) []expr.Any {
	return slices.Concat(l.six, l4(unix.IPPROTO_ICMPV6), payload(expr.PayloadBaseTransportHeader, 0, []byte{typ}))
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
