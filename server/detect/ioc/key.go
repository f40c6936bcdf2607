package ioc

import (
	"cmp"
	"hash/maphash"
	"net/netip"

	"github.com/vedette-edr/vedette/server/indicator"
)

// form is how a key relates to what is observed.
type form uint8

const (
	whole  form = iota // the observed value itself; for addresses also a CIDR range, by masked address
	prefix             // what it starts with; a CIDR range for addresses
	suffix             // what it ends with
	forms
)

// tag is a kind of observable in one of the forms: what a key is about.
type tag uint8

const tags = indicator.Kinds*int(forms) + 1

// cidr is the tag of address ranges, whose "length" is the number of bits of the mask in
// the 16-byte form of addresses.
const cidr = tag(tags - 1)

func tagOf(k indicator.Kind, f form) tag { return tag(int(k)*int(forms) + int(f)) }

// key is 128 bits of keyed hash of a tag and a value. Values are compared by key alone:
// the seeds are secret and random, so nobody can aim for a collision, and by chance one
// in 10^18 lookups among a million keys would meet one in about 10^14 tries.
type key struct{ hi, lo uint64 }

func (k key) compare(o key) int {
	if c := cmp.Compare(k.hi, o.hi); c != 0 {
		return c
	}
	return cmp.Compare(k.lo, o.lo)
}

// hasher makes keys. Each tag has seeds of its own, so a prefix never meets a domain.
type hasher struct{ seeds [tags][2]maphash.Seed }

func newHasher() *hasher {
	h := &hasher{}
	for t := range h.seeds {
		h.seeds[t] = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
	}
	return h
}

func (h *hasher) text(t tag, s string) key {
	return key{maphash.String(h.seeds[t][0], s), maphash.String(h.seeds[t][1], s)}
}

func (h *hasher) addr(t tag, a netip.Addr, bits uint8) key {
	full := a.As16()
	var b [17]byte
	copy(b[:], full[:])
	b[16] = bits
	return key{maphash.Bytes(h.seeds[t][0], b[:]), maphash.Bytes(h.seeds[t][1], b[:])}
}

// mask keeps the first bits of a's 16-byte form.
func mask(a netip.Addr, bits int) netip.Addr {
	p, err := netip.AddrFrom16(a.As16()).Prefix(bits)
	if err != nil {
		return netip.Addr{}
	}
	return p.Addr()
}

// lengths is a set of lengths from 0 to 255.
type lengths [4]uint64

func (l *lengths) add(n uint8)     { l[n/64] |= 1 << (n % 64) }
func (l lengths) has(n uint8) bool { return l[n/64]&(1<<(n%64)) != 0 }

func (l lengths) or(o lengths) lengths {
	return lengths{l[0] | o[0], l[1] | o[1], l[2] | o[2], l[3] | o[3]}
}

// shape is which tags occur, and with which lengths.
type shape [tags]struct {
	used    bool
	lengths lengths
}

func (s *shape) add(r ref) {
	t := &s[r.tag()]
	t.used = true
	t.lengths.add(r.length())
}

// row is an indicator's or IOC's identity: noun and id.
type row uint64

// ref packs row, tag, length of the value and whether a hit is quiet into 8 bytes.
type ref uint64

const (
	idBits           = 49
	indicatorBit     = 1 << 63
	quietBit         = 1 << 62
	tagShift         = 57
	lengthShift      = 49
	maxID            = 1<<idBits - 1
	tagMask      ref = 31
)

// The tag must fit its five bits.
var _ [32 - tags]struct{}

func makeRef(w row, t tag, length uint8, quiet bool) ref {
	r := ref(w) | ref(t)<<tagShift | ref(length)<<lengthShift
	if quiet {
		r |= quietBit
	}
	return r
}

func (r ref) row() row        { return row(r & (indicatorBit | maxID)) }
func (r ref) tag() tag        { return tag(r >> tagShift & tagMask) }
func (r ref) length() uint8   { return uint8(r >> lengthShift) }
func (r ref) quiet() bool     { return r&quietBit != 0 }
func (r ref) indicator() bool { return r&indicatorBit != 0 }
func (w row) id() int64       { return int64(w & maxID) }
func (w row) indicator() bool { return w&indicatorBit != 0 }

// value is one row as a layer holds it.
type value struct {
	ref     ref
	def     int64 // the definition of an IOC; the mark of an indicator
	expires int64 // seconds since 1970; 0 for never
}

// mark is what of an indicator decides between indicators: whom it is for and the rank of
// its action.
type mark int64

const rankShift = 32

func makeMark(scope uint32, a indicator.Action) mark {
	return mark(int64(rankOf(a))<<rankShift | int64(scope))
}

// scope is the place of the indicator's device groups in set.scopes; 0 for all devices.
func (m mark) scope() uint32 { return uint32(m) }
func (m mark) rank() int     { return int(m >> rankShift) }

// rankOf orders actions by what goes before what, as on devices: Allowed before Warn,
// Warn before what blocks, and that before what only watches.
func rankOf(a indicator.Action) int {
	switch a {
	case indicator.Allowed:
		return 4
	case indicator.Warn:
		return 3
	case indicator.Block, indicator.AlertAndBlock, indicator.BlockAndRemediate:
		return 2
	}
	return 1
}
