package ebpf

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/hash"
	"github.com/vedette-edr/vedette/agent/kernfs"
	"github.com/vedette-edr/vedette/agent/process"
	"github.com/vedette-edr/vedette/agent/sensor"
	"github.com/vedette-edr/vedette/schema/event"
)

// flagPathCut is FLAG_PATH_CUT of bpf/event.h.
const flagPathCut = 1

// Config of a Sensor. The zero value watches the whole machine.
type Config struct {
	Table      *process.Table // nil makes one
	Pool       *hash.Pool     // nil makes one; a given one is not closed by the sensor
	RingBytes  int            // a power of two; 0 means 8 MiB
	Flush      time.Duration  // how long a record may lie in the ring, 10–50 ms; 0 means 25 ms
	CgroupPath string         // watch only this cgroup2 directory and below; "" means all
	Exclude    []Exclusion    // file events that are not reported
	Disable    []string       // facilities to leave out: bpf:file, tracefs, cgroup2, …
	OmitExit   bool           // no ProcessTerminated events
	RunStats   bool           // measure the run time of the programs, at a cost of ~30 ns a run
	// Resolved is told of each address that an answer to a question of this device gives a
	// name, and for how long it is good. It returns at once. nil tells nobody.
	Resolved func(name string, addr netip.Addr, ttl time.Duration)
	Now      func() time.Time // the wall clock; nil means time.Now
}

// Sensor watches the device with kernel programs. Its methods may be called from any
// goroutine, but not from within the Sink's.
type Sensor struct {
	cfg     Config
	ownPool bool
	found   ledger

	mu      sync.Mutex // guards what follows
	norm    *normaliser
	objects *objects
	progs   []attached
	last    Stats
	ring    *kernelRing     // while Run reads it
	behind  []chan struct{} // closed when all that is in the ring now was taken in
	ready   chan struct{}
	started atomic.Bool
}

var _ sensor.Sensor = (*Sensor)(nil)

// New returns a sensor that does nothing until Run.
func New(cfg Config) *Sensor {
	if cfg.RingBytes <= 0 {
		cfg.RingBytes = 8 << 20
	}
	if cfg.Flush <= 0 {
		cfg.Flush = 25 * time.Millisecond
	}
	cfg.Flush = min(max(cfg.Flush, 10*time.Millisecond), 50*time.Millisecond)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Table == nil {
		cfg.Table = process.New(process.Config{Now: cfg.Now})
	}
	s := &Sensor{cfg: cfg, ready: make(chan struct{})}
	if cfg.Pool == nil {
		s.ownPool = true
		s.cfg.Pool = hash.NewPool(hash.Config{Now: cfg.Now})
	}
	return s
}

// Name returns "ebpf".
func (s *Sensor) Name() string { return "ebpf" }

// Processes returns the table that the sensor fills.
func (s *Sensor) Processes() *process.Table { return s.cfg.Table }

// Ready is closed when Run has attached what there is to attach and read the processes
// that were there before.
func (s *Sensor) Ready() <-chan struct{} { return s.ready }

// Facilities implements sensor.Sensor.
func (s *Sensor) Facilities() []sensor.Facility { return s.found.all() }

// Run implements sensor.Sensor. A Sensor runs once.
func (s *Sensor) Run(ctx context.Context, sink sensor.Sink) (err error) {
	if s.started.Swap(true) {
		return errors.New("ebpf: a sensor runs once")
	}
	if s.ownPool {
		defer s.cfg.Pool.Close()
	}
	// Needed before 5.11 only, and a failure shows as a map that cannot be made.
	_ = rlimit.RemoveMemlock()
	obj, err := prepare(s.cfg)
	if errors.Is(err, unix.EPERM) {
		// Without the library's guess that the memory limit is to blame.
		err = errors.New("the kernel refuses BPF to this user or container")
	}
	if err != nil {
		s.found.missing("bpf", "run the agent as root on a kernel with BPF, BTF and typed tasks (5.11 or later)", err)
		return fmt.Errorf("ebpf: %w", err)
	}
	defer obj.close()
	s.found.working("bpf")
	if !kernfs.Initial("pid") {
		s.found.set(sensor.Facility{
			Name: "pid-namespace", State: sensor.Degraded, Remedy: "run the agent in the host's pid namespace (--pid=host)",
			Detail: "the agent runs in a pid namespace of its own: pids in events are the host's, and /proc does not show them",
		})
	}
	if s.cfg.RunStats {
		if c, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME)); err == nil {
			defer c.Close()
		}
	}
	rd, err := newRing(obj.maps.Maps[bpfMapEvents])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rd.close()) }()

	clk := newClock(s.cfg.Now)
	norm := newNormaliser(s.cfg, clk, sink)
	progs := s.attachAll(obj)
	obj.btf = nil // megabytes that nobody needs any more
	s.mu.Lock()
	s.norm, s.objects, s.progs = norm, obj, progs
	s.mu.Unlock()
	defer s.finish()
	defer norm.drain(time.Second)
	defer detach(progs)

	// The programs run already, so a process born from here on is in the ring, and one born
	// before is in /proc; who is in both is told apart by its start time.
	found, err := s.cfg.Table.Snapshot(clk.wall(0))
	if err != nil {
		s.found.missing("proc", "mount /proc", err)
	}
	if s.cfg.CgroupPath != "" {
		pids, err := pidsIn(s.cfg.CgroupPath)
		if err != nil {
			return fmt.Errorf("ebpf: %w", err)
		}
		found = slices.DeleteFunc(found, func(p *event.Process) bool { return !pids[p.PID] })
	}
	norm.hashRunning(found)
	if err := listening(obj.maps.Maps[bpfMapListeners], found, clk); err != nil {
		s.found.set(sensor.Facility{
			Name: "listeners", State: sensor.Degraded,
			Detail: "connections accepted by programs that ran before the agent have no owner: " + err.Error(),
		})
	}
	s.mu.Lock()
	s.ring = rd
	s.mu.Unlock()
	close(s.ready)
	return s.read(ctx, rd, norm, progs, obj)
}

// CatchUp returns when what the kernel reported before the call is in the table of
// processes, or after limit. Another source that names a process by its number would else
// find it as it was up to Config.Flush ago, or not at all.
func (s *Sensor) CatchUp(limit time.Duration) {
	done := make(chan struct{})
	s.mu.Lock()
	if s.ring == nil {
		s.mu.Unlock()
		return
	}
	s.behind = append(s.behind, done)
	err := s.ring.until(time.Now())
	s.mu.Unlock()
	if err != nil {
		return // closed
	}
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}

// waiting returns who waits in CatchUp, to be released once the ring was read to its end
// after this.
func (s *Sensor) waiting() []chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.behind
	s.behind = nil
	return w
}

// read moves records from the ring to the normaliser until ctx ends, and then what is left.
func (s *Sensor) read(ctx context.Context, rd *kernelRing, norm *normaliser, progs []attached, obj *objects) error {
	loss := newLoss(obj.maps.Maps[bpfMapCounters], norm)
	next := time.Now().Add(s.cfg.Flush)
	closing := false
	for {
		behind := s.waiting() // whoever comes during the pass waits for another
		for i := 1; ; i++ {
			rec, err := rd.next()
			if err != nil {
				return err
			}
			if rec == nil {
				break
			}
			norm.record(rec)
			if i%256 == 0 && !time.Now().Before(next) {
				next = norm.tick(loss, s.cfg.Flush)
			}
		}
		for _, done := range behind {
			close(done)
		}
		if closing {
			loss.report(s.cfg.Now())
			return nil
		}
		if ctx.Err() != nil {
			detach(progs)
			closing = true
			continue
		}
		if !time.Now().Before(next) {
			next = norm.tick(loss, s.cfg.Flush)
		}
		if err := rd.until(next); err != nil {
			return fmt.Errorf("ebpf: waiting for the ring: %w", err)
		}
		// CatchUp sets the time too: it was before this one, or it wakes the wait.
		if s.hurried() {
			continue
		}
		if err := rd.wait(); err != nil {
			return err
		}
	}
}

// hurried reports whether somebody waits in CatchUp.
func (s *Sensor) hurried() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.behind) > 0
}

// finish keeps the last figures and frees the programs.
func (s *Sensor) finish() {
	last := s.Stats()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.objects, s.ring = last, nil, nil
	for _, p := range s.progs {
		p.prog.Close()
	}
	s.progs = nil
}

// typeName is the name that Stats counts records of type t by and that Gap.Source ends in.
func typeName(t bpfEventType) string {
	names := [...]string{
		"", "exec", "fork", "exit", "connect", "connected", "connect-failed", "accept", "listen", "dns",
		"create", "modify", "rename", "delete", "ptrace", "memfd", "wx", "module", "io_uring", "read",
	}
	if int(t) < len(names) {
		return names[t]
	}
	return ""
}
