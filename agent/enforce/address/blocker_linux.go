package address

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"sync"
	"time"

	"github.com/cilium/ebpf/ringbuf"

	"github.com/vedette-edr/vedette/agent/enforce/program"
	"github.com/vedette-edr/vedette/agent/kernfs"
	"github.com/vedette-edr/vedette/agent/process"
	"github.com/vedette-edr/vedette/agent/sensor"
	"github.com/vedette-edr/vedette/agent/session"
	"github.com/vedette-edr/vedette/schema/event"
)

// facility is the name under which the blocker reports how it works.
const facility = "enforce:address"

// Config is what a Blocker needs. Members marked so may be left out.
type Config struct {
	// Instance names the agent on this kernel: letters, digits, - and _, at most 32.
	Instance string
	// CgroupPath limits it to sockets of this cgroup2 directory and below; "" for all.
	CgroupPath string
	// Servers returns the server's addresses, which are never blocked. It is asked when
	// Run begins and every minute; while it fails the last answer holds. nil for none.
	Servers func(context.Context) ([]netip.AddrPort, error)
	// Find describes the process of an event: process.Table's method. nil leaves it out.
	Find func(process.Ref) *event.Process
	// Settle is how long an event waits before Find is asked, so that the sensors have
	// told the table of a process that has only just begun; 0 for 150 ms.
	Settle time.Duration
	// Warned is told of what was let through with a warning, once it was reported; it
	// returns quickly. nil tells nobody.
	Warned func(*event.Event)
	Now    func() time.Time // the wall clock; nil for time.Now
}

// Blocker refuses connections to the addresses that it is given. Its methods may be called
// from any goroutine. It blocks from New to Close.
type Blocker struct {
	cfg    Config
	events *ringbuf.Reader

	mu      sync.Mutex // guards what follows, and the order of changes to the tables
	kernel  *kernel    // nil once closed
	last    Stats      // once closed
	floor   map[netip.Addr]bool
	count   int                   // rules of single addresses
	rules   map[netip.Prefix]Rule // of ranges, as given
	made    map[netip.Prefix]Rule // of ranges, as the kernel has them
	learned map[netip.Addr]Learned
	ended   uint64
	trouble error // why sessions could not be ended; nil when they could
}

var _ sensor.Sensor = (*Blocker)(nil)

// builtin is the floor of every device: itself.
var builtin = [...]netip.Addr{
	netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback(),
	// A connection to these goes to the device itself.
	netip.IPv4Unspecified(), netip.IPv6Unspecified(),
}

// New loads and attaches the programs; nothing is blocked yet. The caller closes it, or
// lets Run do so.
func New(cfg Config) (*Blocker, error) {
	if cfg.Settle <= 0 {
		cfg.Settle = 150 * time.Millisecond
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	k, err := loadKernel(cfg.Instance)
	if err != nil {
		return nil, fmt.Errorf("address: %w", err)
	}
	b := &Blocker{cfg: cfg, kernel: k, floor: map[netip.Addr]bool{}, rules: map[netip.Prefix]Rule{}, made: map[netip.Prefix]Rule{},
		learned: map[netip.Addr]Learned{}}
	if b.events, err = ringbuf.NewReader(k.Maps[bpfMapEvents]); err != nil {
		k.close()
		return nil, fmt.Errorf("address: %w", err)
	}
	if err = b.Protect(nil); err == nil {
		err = k.Attach(cfg.CgroupPath)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("address: %w", err), b.Close())
	}
	return b, nil
}

// errClosed is what methods return after Close.
var errClosed = errors.New("address: the blocker is closed")

// Close detaches the programs: nothing is blocked any more. Closing again does nothing.
func (b *Blocker) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.kernel == nil {
		return nil
	}
	b.last = b.stats()
	b.kernel.close()
	b.kernel = nil
	return b.events.Close()
}

// detach stops the blocking, and leaves the tables for what is still to be read.
func (b *Blocker) detach() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.kernel != nil {
		b.kernel.Detach()
	}
}

// maxFloor leaves room in the kernel's table for the builtin floor.
const maxFloor = 250

// Protect makes servers, and what every device protects anyway, the addresses that are
// never blocked.
func (b *Blocker) Protect(servers []netip.Addr) error {
	if len(servers) > maxFloor {
		return fmt.Errorf("address: %d addresses to protect, at most %d", len(servers), maxFloor)
	}
	want := map[netip.Addr]bool{}
	for _, a := range builtin {
		want[a] = true
	}
	for _, a := range servers {
		if a = a.Unmap().WithZone(""); a.IsValid() {
			want[a] = true
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.kernel == nil {
		return errClosed
	}
	m := b.kernel.Maps[bpfMapFloors]
	for a := range want {
		if !b.floor[a] {
			if err := m.Put(keyOf(a), uint8(1)); err != nil {
				return fmt.Errorf("address: protect %v: %w", a, err)
			}
			b.floor[a] = true
		}
	}
	for a := range b.floor {
		if !want[a] {
			if err := program.Absent(m.Delete(keyOf(a))); err != nil {
				return fmt.Errorf("address: protect no more %v: %w", a, err)
			}
			delete(b.floor, a)
		}
	}
	return nil
}

// Replace brings the rules into force, and no others; there is one rule for each prefix.
// n is about how many there are. Single addresses change in one step, and at no moment is
// one blocked that the old rules and the new ones allow. Sessions with what is blocked
// are ended. After an error some of the rules may be in force; Replace again.
func (b *Blocker) Replace(rules iter.Seq[Rule], n int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.kernel == nil {
		return errClosed
	}
	ranges := map[netip.Prefix]Rule{}
	count, blocking := 0, false
	err := b.kernel.hosts.Replace(n, func(put program.Put[bpfAddress, bpfRule]) error {
		for r := range rules {
			blocking = blocking || r.Verdict.Blocks()
			if !r.Prefix.IsSingleIP() {
				if ranges[r.Prefix] = r; len(ranges) > MaxRanges {
					return errRanges
				}
				continue
			}
			count++
			if err := put(keyOf(r.Prefix.Addr()), ruleOf(r)); err != nil {
				return err
			}
		}
		return b.applyRanges(loosened(b.rules, ranges))
	})
	if err != nil {
		return errors.Join(fmt.Errorf("address: %w", err), b.applyRanges(b.rules))
	}
	b.count, b.rules = count, ranges
	if err := b.applyRanges(ranges); err != nil {
		return fmt.Errorf("address: %w", err)
	}
	if blocking {
		b.endSessions(func(netip.Addr) bool { return true })
	}
	return nil
}

var errRanges = fmt.Errorf("there are more than %d ranges", MaxRanges)

// Change brings the rules into force in place of those with the same prefixes; one with
// an empty verdict takes the prefix's rule away. It is for few rules beside many that
// stay. After an error some of the rules may be in force.
func (b *Blocker) Change(rules []Rule) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.kernel == nil {
		return errClosed
	}
	touched := false
	blocked := map[netip.Prefix]bool{}
	for _, r := range rules {
		if r.Verdict.Blocks() {
			blocked[r.Prefix] = true
		}
		if r.Prefix.IsSingleIP() {
			more, err := b.kernel.host(r)
			if err != nil {
				return fmt.Errorf("address: rule of %v: %w", r.Prefix, err)
			}
			b.count += more
			continue
		}
		touched = true
		delete(b.rules, r.Prefix)
		if r.Verdict != 0 {
			if len(b.rules) >= MaxRanges {
				return fmt.Errorf("address: %w", errRanges)
			}
			b.rules[r.Prefix] = r
		}
	}
	if touched {
		if err := b.applyRanges(b.rules); err != nil {
			return fmt.Errorf("address: %w", err)
		}
	}
	if len(blocked) > 0 {
		b.endSessions(within(blocked))
	}
	return nil
}

// within returns whether an address is in one of the prefixes.
func within(set map[netip.Prefix]bool) func(netip.Addr) bool {
	widths := map[int]bool{} // those that occur, of both families
	for p := range set {
		widths[p.Bits()] = true
	}
	return func(a netip.Addr) bool {
		for bits := range widths {
			if p, err := a.Prefix(bits); err == nil && set[p] {
				return true
			}
		}
		return false
	}
}

// applyRanges brings the kernel's trie to what the rules make together.
func (b *Blocker) applyRanges(rules map[netip.Prefix]Rule) error {
	want := compile(rules)
	for p, r := range want {
		if had, ok := b.made[p]; ok && had == r {
			continue
		}
		if err := b.kernel.rangeRule(r); err != nil {
			return fmt.Errorf("rule of %v: %w", p, err)
		}
		b.made[p] = r
	}
	for p := range maps.Clone(b.made) {
		if _, ok := want[p]; ok {
			continue
		}
		if err := b.kernel.rangeRule(Rule{Prefix: p}); err != nil {
			return fmt.Errorf("rule of %v: %w", p, err)
		}
		delete(b.made, p)
	}
	return nil
}

// endSessions ends the sessions whose peer is among candidates and blocked. The rules hold
// whether it succeeds or not; a failure shows in the facility.
func (b *Blocker) endSessions(candidate func(netip.Addr) bool) {
	known := map[netip.Addr]bool{}
	n, err := session.DestroyEverywhere(func(remote netip.AddrPort) bool {
		a := remote.Addr().Unmap().WithZone("")
		if !candidate(a) {
			return false
		}
		yes, ok := known[a]
		if !ok {
			v, err := b.kernel.verdict(a)
			yes = err == nil && v.Blocks()
			known[a] = yes
		}
		return yes
	}, session.TCP, session.UDP)
	b.ended += uint64(n)
	b.trouble = err
}

// Verdict returns what the kernel does with a connection to a: it includes Allow for what
// is never blocked.
func (b *Blocker) Verdict(a netip.Addr) (Verdict, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.kernel == nil {
		return 0, errClosed
	}
	return b.kernel.verdict(a.Unmap().WithZone(""))
}

// Stats returns the figures so far; after Close, those at its end.
func (b *Blocker) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.kernel == nil {
		return b.last
	}
	return b.stats()
}

func (b *Blocker) stats() Stats {
	k := b.kernel
	return Stats{
		Blocked: k.tally(bpfTallyTALLY_BLOCKED), Audited: k.tally(bpfTallyTALLY_AUDITED), Spared: k.tally(bpfTallyTALLY_SPARED),
		Suppressed: k.tally(bpfTallyTALLY_SUPPRESSED), Lost: k.tally(bpfTallyTALLY_LOST),
		Ended: b.ended, Hosts: b.count, Ranges: len(b.rules),
	}
}

// Name returns "enforce:address", which is also the name of its only facility.
func (b *Blocker) Name() string { return facility }

// Facilities implements sensor.Sensor.
func (b *Blocker) Facilities() []sensor.Facility {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := sensor.Facility{Name: facility, State: sensor.Working}
	switch {
	case b.kernel == nil:
		f.State, f.Detail = sensor.Missing, "the agent is stopping"
	case b.trouble != nil:
		f.State, f.Detail = sensor.Degraded, "sessions from before an address was blocked were not all ended: "+b.trouble.Error()
		f.Remedy = "use a kernel with CONFIG_INET_DIAG_DESTROY; close the sessions by hand"
	case b.cfg.CgroupPath == "" && !kernfs.Initial("cgroup"):
		f.State, f.Detail = sensor.Degraded, "the agent runs in a cgroup namespace of its own: programs outside of it are not ruled"
		f.Remedy = "run the agent in the host's cgroup namespace (--cgroupns=host)"
	case b.kernel.tally(bpfTallyTALLY_SPARED) > 0:
		f.State, f.Detail = sensor.Degraded, "an indicator names the server or this device itself, which are never blocked"
		f.Remedy = "delete or narrow the indicator"
	}
	return []sensor.Facility{f}
}
