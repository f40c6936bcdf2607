package address

import (
	"fmt"
	"net/netip"
)

// Verdict is what is wanted of an address: a set, because several rules may cover it. Of
// what is in it Allow goes before Warn, Warn before Block, and Block before Audit: the order
// that the published product has. The empty Verdict asks for nothing.
type Verdict uint8

// The verdicts. The kernel's programs know these values.
const (
	Allow Verdict = 1 << iota
	Block         // refuse, and report who tried
	Audit         // let through, and report who tried
	Warn          // let through, tell who tried, and report it
)

// Blocks reports whether v refuses connections.
func (v Verdict) Blocks() bool { return v.Decisive() == Block }

// Decisive returns the one verdict of v that goes before the others in it.
func (v Verdict) Decisive() Verdict {
	for _, one := range [...]Verdict{Allow, Warn, Block, Audit} {
		if v&one != 0 {
			return one
		}
	}
	return 0
}

// Rule is what is wanted of one address or range.
type Rule struct {
	Prefix  netip.Prefix // masked, IPv4 in its own form; a whole address for a single one
	Verdict Verdict
	ID      int64 // of the indicator that is named in events
}

// MaxRanges is how many rules may be of ranges wider than one address.
const MaxRanges = 65536

// Stats counts what the kernel's programs decided since New.
type Stats struct {
	Blocked    uint64 // calls refused
	Audited    uint64 // calls let through and reported, as Audit or Warn
	Spared     uint64 // calls that a rule would have refused, but the floor holds
	Suppressed uint64 // events left out as repetitions; the next event of the kind counts them
	Lost       uint64 // events for which there was no room; also reported as a Gap
	Ended      uint64 // sessions ended because their peer became blocked
	Hosts      int    // rules of single addresses
	Ranges     int    // rules of ranges
}

// Normal returns p as a Rule's Prefix has to be.
func Normal(p netip.Prefix) (netip.Prefix, error) {
	a, bits := p.Addr(), p.Bits()
	if !p.IsValid() || a.Zone() != "" {
		return p, fmt.Errorf("%v is no range of addresses", p)
	}
	if a.Is4In6() {
		if bits < 96 {
			return p, fmt.Errorf("%v is wider than the IPv4 addresses that it means", p)
		}
		a, bits = a.Unmap(), bits-96
	}
	return netip.PrefixFrom(a, bits).Masked(), nil
}
