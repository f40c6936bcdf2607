package name

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"

	"github.com/vedette-edr/vedette/agent/enforce/address"
	"github.com/vedette-edr/vedette/agent/enforce/program"
	"github.com/vedette-edr/vedette/agent/kernfs"
	"github.com/vedette-edr/vedette/agent/process"
	"github.com/vedette-edr/vedette/agent/sensor"
	"github.com/vedette-edr/vedette/schema/event"
)

// Addresses blocks addresses that blocked names lead to: address.Blocker.
type Addresses interface {
	Learn(address.Learned) error
	Forget(netip.Addr) error
}

// Config is what a Blocker needs. Members marked so may be left out.
type Config struct {
	// Instance names the agent on this kernel: letters, digits, - and _, at most 32.
	Instance string
	// CgroupPath limits it to sockets of this cgroup2 directory and below; "" for all.
	CgroupPath string
	Seed       Seed
	// Spare is a host that is never held up, with what is below it: the server's. "" for none.
	Spare string
	// Addresses takes what is learned of blocked names; nil leaves that out.
	Addresses Addresses
	// Find describes the process of an event: process.Table's method. nil leaves it out.
	Find func(process.Ref) *event.Process
	// Warned is told of what was let through with a warning; nil tells nobody.
	Warned func(*event.Event)
	// Settle is how long an event waits before Find is asked; 0 for 150 ms.
	Settle time.Duration
	Now    func() time.Time // the wall clock; nil for time.Now
}

// Blocker holds back what names something blocked. Its methods may be called from any
// goroutine. Its programs are attached while there are rules.
type Blocker struct {
	cfg     Config
	events  *ringbuf.Reader
	answers chan answer
	review  chan struct{} // of capacity 1: the rules changed

	mu      sync.Mutex // guards what follows, and the order of changes
	kernel  *kernel    // nil once closed
	last    Stats      // once closed
	count   int
	learned int
	missed  uint64 // answers for which there was no room
	trouble error  // why sessions could not be ended; nil when they could
	failure error  // why the programs could not be attached
}

var _ sensor.Sensor = (*Blocker)(nil)

// New loads the programs; nothing is attached yet. The caller closes it, or lets Run do so.
func New(cfg Config) (*Blocker, error) {
	if cfg.Settle <= 0 {
		cfg.Settle = 150 * time.Millisecond
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Spare = strings.ToLower(strings.TrimSuffix(cfg.Spare, "."))
	k, err := loadKernel(cfg.Instance, cfg.Seed)
	if err != nil {
		return nil, fmt.Errorf("name: %w", err)
	}
	b := &Blocker{cfg: cfg, kernel: k, answers: make(chan answer, 1024), review: make(chan struct{}, 1)}
	if b.events, err = ringbuf.NewReader(k.Maps[bpfMapEvents]); err != nil {
		k.close()
		return nil, fmt.Errorf("name: %w", err)
	}
	return b, nil
}

var errClosed = errors.New("name: the blocker is closed")

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

func (b *Blocker) detach() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.kernel != nil {
		b.kernel.Detach()
	}
}

// Replace brings the rules into force in one step, and no others; there is one rule for
// each key. n is about how many there are.
func (b *Blocker) Replace(rules iter.Seq[Rule], n int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.kernel == nil {
		return errClosed
	}
	count := 0
	err := b.kernel.table.Replace(n+2, func(put program.Put[bpfKey, bpfRule]) error {
		for r := range rules {
			count++
			if err := put(keyOf(r.Key), ruleOf(r)); err != nil {
				return err
			}
		}
		return b.spare(put)
	})
	if err != nil {
		return fmt.Errorf("name: %w", err)
	}
	b.count = count
	return b.changed()
}

// spare lets the server's name through, which is narrower than any rule about a domain
// around it, and at its own key goes before any other.
func (b *Blocker) spare(put func(bpfKey, bpfRule) error) error {
	if b.cfg.Spare == "" {
		return nil
	}
	if _, err := netip.ParseAddr(b.cfg.Spare); err == nil {
		return nil
	}
	key, open, _ := b.cfg.Seed.URL(b.cfg.Spare)
	for _, k := range []Key{key, open} {
		if err := put(keyOf(k), bpfRule{Verdict: uint32(address.Allow)}); err != nil {
			return err
		}
	}
	return nil
}

// Change brings the rules into force in place of those with the same keys; one with an
// empty verdict takes the key's rule away. After an error some of them may be in force.
func (b *Blocker) Change(rules []Rule) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.kernel == nil {
		return errClosed
	}
	for _, r := range rules {
		more, err := b.kernel.set(r)
		if err != nil {
			return fmt.Errorf("name: %w", err)
		}
		b.count += more
	}
	if err := b.spare(func(k bpfKey, r bpfRule) error { return b.kernel.table.Put(k, r) }); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	return b.changed()
}

// changed attaches the programs when there is something to judge, else detaches them, and
// has the known addresses looked at again.
func (b *Blocker) changed() error {
	if b.count == 0 {
		b.kernel.Detach()
	} else if err := b.kernel.Attach(b.cfg.CgroupPath); err != nil {
		b.failure = err
		return fmt.Errorf("name: %w", err)
	}
	b.failure = nil
	select {
	case b.review <- struct{}{}:
	default:
	}
	return nil
}

// Decide returns the rule that decides about a host as far as its name alone tells; one
// without a verdict when there is none, or when some path of the host is allowed.
func (b *Blocker) Decide(host string) (Rule, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.kernel == nil {
		return Rule{}, errClosed
	}
	host = strings.TrimSuffix(host, ".")
	var out Rule
	var err error
	look := func(k Key) bool {
		var r bpfRule
		e := b.kernel.table.Lookup(keyOf(k), &r)
		if e == nil {
			out = Rule{Key: k, Verdict: address.Verdict(r.Verdict), ID: int64(r.Id)}
			return true
		}
		if !errors.Is(e, ebpf.ErrKeyNotExist) {
			err = e
		}
		return false
	}
	b.cfg.Seed.levels(host, func(k Key) { look(k) })
	if was := out; look(b.cfg.Seed.open(host)) {
		out = Rule{Key: was.Key}
	}
	return out, err
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
		Blocked: k.tally(bpfTallyTALLY_BLOCKED), Noted: k.tally(bpfTallyTALLY_NOTED), Suppressed: k.tally(bpfTallyTALLY_SUPPRESSED),
		Lost: k.tally(bpfTallyTALLY_LOST), Blind: k.tally(bpfTallyTALLY_BLIND), Rules: b.count, Learned: b.learned,
	}
}

// Name returns "enforce:domain".
func (b *Blocker) Name() string { return "enforce:domain" }

// Facilities implements sensor.Sensor: enforce:domain and enforce:url, which stand and
// fall together.
func (b *Blocker) Facilities() []sensor.Facility {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := sensor.Facility{Name: "enforce:domain", State: sensor.Working}
	switch {
	case b.kernel == nil:
		f.State, f.Detail = sensor.Missing, "the agent is stopping"
	case b.failure != nil:
		f.State, f.Detail = sensor.Missing, b.failure.Error()
		f.Remedy = "run the agent as root on a kernel with cgroup2 and BPF (5.17 or later)"
	case b.cfg.CgroupPath == "" && !kernfs.Initial("cgroup"):
		f.State, f.Detail = sensor.Degraded, "the agent runs in a cgroup namespace of its own: programs outside of it are not ruled"
		f.Remedy = "run the agent in the host's cgroup namespace (--cgroupns=host)"
	case b.trouble != nil:
		f.State, f.Detail = sensor.Degraded, "connections to blocked names send nothing, but were not all ended: "+b.trouble.Error()
		f.Remedy = "use a kernel with CONFIG_INET_DIAG_DESTROY"
	case b.kernel.tally(bpfTallyTALLY_BLIND) > 0:
		f.State, f.Detail = sensor.Degraded, "some connections were not looked at because the kernel had no memory"
	}
	u := f
	u.Name = "enforce:url"
	return []sensor.Facility{f, u}
}

// Run implements sensor.Sensor: it reports what is held back, keeps to the addresses of
// blocked names, and closes the Blocker when ctx ends.
func (b *Blocker) Run(ctx context.Context, sink sensor.Sink) (err error) {
	defer func() { err = errors.Join(err, b.Close()) }()
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() { b.learn(ctx) })
	e := events{b: b, sink: sink}
	r := program.Reporter[bpfSighting]{
		Sink: sink, Source: "kernel:enforce:domain", Settle: b.cfg.Settle, Most: maxWaiting,
		Take: e.take, Emit: e.emit, Lost: func() uint64 { return b.Stats().Lost }, Now: b.cfg.Now,
	}
	return r.Follow(ctx, b.events, b.detach)
}
