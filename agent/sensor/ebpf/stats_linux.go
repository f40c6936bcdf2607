package ebpf

import (
	"time"

	"github.com/cilium/ebpf"

	"github.com/vedette-edr/vedette/agent/hash"
	"github.com/vedette-edr/vedette/agent/process"
	"github.com/vedette-edr/vedette/schema/event"
)

// Count says what became of one kind of record in the kernel.
type Count struct {
	Sent       uint64 // put into the ring
	Lost       uint64 // not put there, because it was full; also reported as a Gap
	Suppressed uint64 // left out as repetitions within their window
	Forgotten  uint64 // calls that ended after their arguments were displaced; also reported as a Gap
}

// Stats counts what a Sensor did.
type Stats struct {
	Kernel    map[string]Count // by kind of record: exec, fork, connect, …
	Emitted   uint64           // events handed to the sink
	Unhashed  int              // processes whose image is still being read
	Excluded  uint64           // file events left out by Config.Exclude
	Undecoded uint64           // datagrams on port 53 that are no DNS message
	Malformed uint64           // records that could not be read: a bug, or memory gone bad
	Runs      uint64           // runs of all programs, with Config.RunStats
	RunTime   time.Duration    // what they took
	Hash      hash.Stats
	Processes process.Stats
}

// Stats returns the figures so far; after Run, those at its end.
func (s *Sensor) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.objects == nil {
		return s.last
	}
	st := Stats{Kernel: make(map[string]Count), Hash: s.cfg.Pool.Stats(), Processes: s.cfg.Table.Stats()}
	for t := bpfEventTypeEVENT_EXEC; t < bpfEventTypeEVENT_END; t++ {
		if c, err := kernelCount(s.objects.maps.Maps[bpfMapCounters], t); err == nil && c != (Count{}) {
			st.Kernel[typeName(t)] = c
		}
	}
	for _, p := range s.progs {
		if r, err := p.prog.Stats(); err == nil {
			st.Runs += r.RunCount
			st.RunTime += r.Runtime
		}
	}
	n := s.norm
	st.Emitted, st.Excluded, st.Unhashed = n.emitted.Load(), n.excluded.Load(), int(n.unhashed.Load())
	st.Undecoded, st.Malformed = n.undecoded.Load(), n.malformed.Load()
	return st
}

func kernelCount(m *ebpf.Map, t bpfEventType) (Count, error) {
	var percpu []bpfCounter
	if err := m.Lookup(uint32(t), &percpu); err != nil {
		return Count{}, err
	}
	var c Count
	for _, p := range percpu {
		c.Sent += p.Sent
		c.Lost += p.Lost
		c.Suppressed += p.Suppressed
		c.Forgotten += p.Forgotten
	}
	return c, nil
}

// loss watches the kernel's counters of lost records and reports what is new.
type loss struct {
	counters *ebpf.Map
	norm     *normaliser
	seen     [bpfEventTypeEVENT_END]Count
	since    time.Time
	due      time.Time
}

func newLoss(m *ebpf.Map, n *normaliser) *loss {
	return &loss{counters: m, norm: n, since: n.cfg.Now()}
}

// report sends one Gap for each kind of record that was lost since the last call, and for each
// way of losing it.
func (l *loss) report(now time.Time) {
	for t := bpfEventTypeEVENT_EXEC; t < bpfEventTypeEVENT_END; t++ {
		c, err := kernelCount(l.counters, t)
		if err != nil {
			continue
		}
		l.gap(t, now, c.Lost-l.seen[t].Lost, "the kernel's ring buffer was full")
		l.gap(t, now, c.Forgotten-l.seen[t].Forgotten, "more calls were in flight than the kernel programs remember")
		l.seen[t] = c
	}
	l.since = now
}

func (l *loss) gap(t bpfEventType, now time.Time, n uint64, reason string) {
	if n > 0 {
		l.norm.sink.Lost(event.Gap{Source: "kernel:" + typeName(t), Reason: reason, Count: n, From: l.since, To: now})
	}
}

// tick does what is due by time: events whose patience ended, losses and the clock once a
// second. It returns when to be called again.
func (n *normaliser) tick(l *loss, flush time.Duration) time.Time {
	now := time.Now()
	if !now.Before(l.due) {
		l.due = now.Add(time.Second)
		n.clock.adjust()
		l.report(n.cfg.Now())
	}
	n.mu.Lock()
	early := n.release(now)
	n.mu.Unlock()
	next := now.Add(flush)
	if !early.IsZero() && early.Before(next) {
		// In a storm something is due at every moment: what is a little late goes together.
		next = early
		if soon := now.Add(flush / 4); next.Before(soon) {
			next = soon
		}
	}
	return next
}

// hashRunning has the images of the processes read that were found at start.
func (n *normaliser) hashRunning(found []*event.Process) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range found {
		exe := procExe(p.PID)
		id, err := hash.Stat(exe)
		if err != nil {
			continue // a kernel thread, or gone
		}
		key := p.Key
		if n.pool.Submit(id, []string{exe, p.Image.Path}, func(s hash.Sums, err error) { n.hashed(key, s, err) }) == nil {
			n.await(p)
		}
	}
}
