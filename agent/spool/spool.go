// Package spool keeps what the agent observed until the server has it: telemetry in
// batches that are encoded once and sent unchanged however often, and the results of
// commands, which go before telemetry and are never dropped for it.
//
// The invariants: what is on disk is delivered, also after kill -9, under the same
// sequence with the same bytes; what was emitted and did not come to the disk, or was
// dropped from it to stay within the limit, is counted in a Gap that travels with the
// next batch. The number of events emitted lives in a mapped file, which outlasts the
// process, so that the count is exact unless the machine itself went down.
//
// It does not talk to the server: package link takes batches with Next and acknowledges
// them. Start at Open; flush.go is the way to the disk, queue.go the way from it.
package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/wire"
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrClosed says that the spool was closed.
	ErrClosed = errors.New("spool: closed")
	// ErrFull says that the log of results is full: the server has not taken any for long.
	ErrFull = errors.New("spool: full")
)

// Config describes a spool. Members that are zero take the default that is given.
type Config struct {
	Dir         string // created with mode 0700
	Device      string // 40 hexadecimal digits
	Incarnation uint64
	BootID      string // of this boot of the machine; "" asks the kernel

	Limit       int64         // bytes of telemetry on disk; 256 MiB
	ResultLimit int64         // bytes of results on disk; 32 MiB
	Linger      time.Duration // how long an event may wait for company; 100 ms
	LoadLinger  time.Duration // the same while events come thick and fast; 300 ms
	BatchEvents int           // events of one batch; 1500
	QueueEvents int           // events in memory that wait for the disk; 16384
	QueueBytes  int           // what these take, about; 8 MiB

	Clock func() time.Time // time.Now
}

func (c Config) orDefault() Config {
	if c.Limit <= 0 {
		c.Limit = 256 << 20
	}
	if c.ResultLimit <= 0 {
		c.ResultLimit = 32 << 20
	}
	if c.Linger <= 0 {
		c.Linger = 100 * time.Millisecond
	}
	if c.LoadLinger <= 0 {
		c.LoadLinger = max(300*time.Millisecond, c.Linger)
	}
	if c.BatchEvents <= 0 {
		c.BatchEvents = 1500
	}
	if c.QueueEvents <= 0 {
		c.QueueEvents = 16384
	}
	if c.QueueBytes <= 0 {
		c.QueueBytes = 8 << 20
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.BootID == "" {
		b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // "" elsewhere: no boot is told from another
		c.BootID = strings.TrimSpace(string(b))
	}
	return c
}

// Spool is an open spool. It is a sensor.Sink; all methods may be called by many
// goroutines.
type Spool struct {
	conf    Config
	counter *counter
	results *queue
	stop    chan struct{}
	done    chan struct{}
	rebinds chan rebinding
	wake    chan struct{}

	mu        sync.Mutex
	telemetry *queue // replaced by the flusher alone
	closed    bool
	opened    time.Time      // constant
	fresh     bool           // constant: there was no spool before
	events    []*event.Event // emitted, not yet taken by the flusher
	queued    int            // bytes of events
	first     time.Time      // when events[0] came; monotonic
	gaps      []event.Gap    // to go with the next batch
	overflow  event.Gap      // events that found the queue full
	stats     Stats

	// Owned by the flusher.
	state   state
	covered uint64 // emitted events that are on disk or counted in a gap on disk
	saved   time.Time
	encoder wire.Encoder
	last    int // events of the last batch
}

// Stats is how a spool fares, for health and metrics.
type Stats struct {
	Emitted  uint64 // events handed in since Open
	Spooled  uint64 // events brought to the disk since Open
	Dropped  uint64 // events dropped since Open, each counted in a gap
	Batches  int    // unacknowledged batches on disk
	Bytes    int64  // of telemetry on disk
	Limit    int64
	Oldest   time.Time // when the oldest unacknowledged batch was made; zero for none
	Results  int       // unacknowledged results
	Degraded string    // why the disk cannot be written; "" when it can
}

// queue returns the journal of telemetry.
func (s *Spool) queue() *queue {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.telemetry
}

// segments is how many segment files make up the limit: what is dropped at once.
const segments = 16

// Open opens the spool in c.Dir. When the spool holds batches of another device or
// incarnation, those are made anew under the present one.
func Open(c Config) (*Spool, error) {
	c = c.orDefault()
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	s := &Spool{conf: c, stop: make(chan struct{}), done: make(chan struct{}), wake: make(chan struct{}, 1),
		rebinds: make(chan rebinding)}
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.release())
	}
	s.nudge() // gaps may wait already
	go s.run()
	return s, nil
}

func (s *Spool) open() error {
	found, err := loadState(s.conf.Dir)
	if err != nil {
		return err
	}
	if s.counter, err = openCounter(filepath.Join(s.conf.Dir, "emitted")); err != nil {
		return fmt.Errorf("spool: counter: %w", err)
	}
	fresh := found == nil
	if fresh {
		found = &state{Device: s.conf.Device, Incarnation: s.conf.Incarnation, BootID: s.conf.BootID, Generation: 1,
			NextSequence: 1, NextReport: 1}
	}
	s.state = *found
	if s.results, err = openQueue(filepath.Join(s.conf.Dir, "results"), s.conf.ResultLimit/segments, s.state.ResultsAcked); err != nil {
		return err
	}
	if err := s.openTelemetry(); err != nil {
		return err
	}
	if err := s.removeOthers(); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	if fresh {
		s.counter.set(0)
	} else {
		s.account()
	}
	if s.state.Device != s.conf.Device || s.state.Incarnation != s.conf.Incarnation {
		if err := s.rebind(); err != nil {
			return err
		}
	}
	s.state.BootID, s.state.Clean, s.state.Opened = s.conf.BootID, false, s.conf.Clock().UTC()
	s.opened, s.fresh = s.state.Opened, fresh
	if err := s.saveState(); err != nil {
		return err
	}
	s.counter.watch(false)
	return nil
}

// Emit takes an event in. It never blocks on the disk: when the queue in memory is full
// the event is dropped and counted.
func (s *Spool) Emit(e *event.Event) {
	now := s.conf.Clock()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.counter.add(1, now)
	s.counter.delayed(now.Sub(e.Time))
	s.stats.Emitted++
	size := sizeOf(e)
	full := len(s.events) >= s.conf.QueueEvents || len(s.events) > 0 && s.queued+size > s.conf.QueueBytes
	if full {
		s.overflow = event.Gap{Source: "spool", Reason: "the disk was too slow or full", Count: s.overflow.Count + 1,
			From: earliest(s.overflow.From, now), To: now}
		s.stats.Dropped++
	} else {
		if len(s.events) == 0 {
			s.first = time.Now()
		}
		s.events = append(s.events, e)
		s.queued += size
	}
	n := len(s.events)
	enough := n == s.conf.BatchEvents || s.queued >= batchBytes && s.queued-size < batchBytes
	s.mu.Unlock()
	if n == 1 || enough {
		s.nudge()
	}
}

// sizeOf is about what an event keeps in memory. Processes are shared by the events that
// mention them, so their command lines, which may be long, count with their creation.
func sizeOf(e *event.Event) int {
	n := 512 + len(e.Additional)
	for _, f := range []*event.File{e.File, e.Previous} {
		if f != nil {
			n += 256 + len(f.Path)
		}
	}
	if p := e.Process; p != nil && e.Table == event.ProcessEvents {
		n += 512 + len(p.CommandLine) + len(p.WorkingDir) + len(p.Image.Path)
	}
	return n
}

// Lost takes in what a sensor knows to be missing.
func (s *Spool) Lost(g event.Gap) {
	if g.Source == "" {
		g.Source = "unknown"
	}
	s.mu.Lock()
	if !s.closed {
		s.counter.add(g.Count, s.conf.Clock())
		s.addGap(g)
	}
	s.mu.Unlock()
	s.nudge()
}

func (s *Spool) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Batch is one batch as it goes to the server.
type Batch struct {
	Sequence uint64
	Events   int
	Created  time.Time
	Frame    []byte // the same bytes each time
	token    uint64
	from     *queue // not another one's tokens, after Rebind
}

// Next returns the oldest batch that was not given out since Open or the last Rewind,
// and waits for one until ctx ends.
func (s *Spool) Next(ctx context.Context) (*Batch, error) {
	for {
		q := s.queue()
		token, b, err := q.next(ctx)
		if errors.Is(err, ErrClosed) && q != s.queue() {
			continue // Rebind replaced it
		}
		if err != nil {
			return nil, err
		}
		r, err := parseRecord(b)
		if err != nil {
			// The journal's checksum held, so this is no damage but another version.
			q.ack(token)
			s.Lost(event.Gap{Source: "spool", Reason: "a batch on disk is not readable", From: s.conf.Clock(), To: s.conf.Clock()})
			continue
		}
		return &Batch{Sequence: r.Sequence, Events: r.Events, Created: r.Created, Frame: r.Frame, token: token, from: q}, nil
	}
}

// Ack says that the server has the batch.
func (s *Spool) Ack(b *Batch) { b.from.ack(b.token) }

// Stale reports whether the batch is of an identity before the last Rebind, which made it
// anew: it need not be sent, and acknowledging it changes nothing.
func (s *Spool) Stale(b *Batch) bool { return b.from != s.queue() }

// Rewind makes Next begin again at the oldest batch that is not acknowledged.
func (s *Spool) Rewind() { s.queue().rewind() }

// asideKept bounds the batches that are kept for people to look at.
const asideKept = 16

// SetAside gives up a batch that the server will never take: it is kept in the directory
// "aside" for people to look at, its events are counted as a gap, and it is acknowledged.
func (s *Spool) SetAside(b *Batch, reason string) error {
	dir := filepath.Join(s.conf.Dir, "aside")
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		name := fmt.Sprintf("%d-%d.frame", s.conf.Incarnation, b.Sequence%asideKept)
		err = os.WriteFile(filepath.Join(dir, name), b.Frame, 0o600)
	}
	s.mu.Lock()
	s.stats.Dropped += uint64(b.Events)
	s.mu.Unlock()
	s.Lost(event.Gap{Source: "link", Reason: reason, Count: uint64(b.Events), From: b.Created, To: b.Created})
	s.Ack(b)
	return err
}

// Result is one result of a command on its way to the server.
type Result struct {
	Data  []byte
	token uint64
}

// PutResult keeps a result and returns after it is on stable storage.
func (s *Spool) PutResult(data []byte) error {
	if s.results.size() > s.conf.ResultLimit {
		return ErrFull
	}
	return s.results.append(data)
}

// NextResult is Next for results.
func (s *Spool) NextResult(ctx context.Context) (*Result, error) {
	token, b, err := s.results.next(ctx)
	if err != nil {
		return nil, err
	}
	return &Result{Data: b, token: token}, nil
}

// AckResult says that the server has the result.
func (s *Spool) AckResult(r *Result) { s.results.ack(r.token) }

// RewindResults is Rewind for results.
func (s *Spool) RewindResults() { s.results.rewind() }

// Stats returns how the spool fares.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	st := s.stats
	s.mu.Unlock()
	st.Limit = s.conf.Limit
	st.Batches, st.Oldest = s.queue().pending()
	st.Bytes = s.queue().unacked()
	st.Results, _ = s.results.pending()
	return st
}

// Close brings what was emitted to the disk and closes the spool.
func (s *Spool) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	close(s.stop)
	<-s.done
	err := s.finish()
	return errors.Join(err, s.release())
}

func (s *Spool) release() error {
	var err error
	for _, q := range []*queue{s.telemetry, s.results} {
		if q != nil {
			err = errors.Join(err, q.close())
		}
	}
	if s.counter != nil {
		err = errors.Join(err, s.counter.close())
	}
	return err
}

// telemetryDir names the journal of one generation: rebind begins a new one.
func (s *Spool) telemetryDir(generation uint64) string {
	return filepath.Join(s.conf.Dir, fmt.Sprintf("telemetry-%d", generation))
}

func (s *Spool) openTelemetry() error {
	q, err := openQueue(s.telemetryDir(s.state.Generation), s.conf.Limit/segments, s.state.Acked)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.telemetry = q
	s.mu.Unlock()
	if q.last != nil {
		s.state.NextSequence = max(s.state.NextSequence, q.last.Sequence+1)
		s.state.NextReport = max(s.state.NextReport, q.last.FirstReport+int64(q.last.Events))
	}
	if s.state.GapsSequence == s.state.NextSequence {
		for _, g := range s.state.Gaps {
			s.addGap(g)
		}
	}
	if n := q.damaged; n > 0 {
		s.addGap(event.Gap{Source: "spool", Reason: fmt.Sprintf("%d places on disk are damaged", n), From: s.state.Saved, To: s.conf.Clock()})
	}
	return nil
}
