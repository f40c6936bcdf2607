package spool

import (
	"errors"
	"fmt"
	"time"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/wire"
)

// Times of the flusher. burst is how long even a lonely event waits, because sensors
// hand events over in bursts; retry is the pause after the disk refused.
const (
	burst     = 5 * time.Millisecond
	retry     = time.Second
	saveEvery = time.Second
)

// batchBytes bounds about what one batch is made of: its encoding is held several times over.
const batchBytes = 1 << 20

// run is the flusher: the only goroutine that makes batches.
func (s *Spool) run() {
	defer close(s.done)
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	var flushed time.Time
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
			s.counter.alive(s.conf.Clock())
			s.counter.forget()
			s.housekeep()
			continue
		case r := <-s.rebinds:
			s.serve(r)
			continue
		case <-s.wake:
		}
		for s.pending() {
			if !s.gather(flushed) {
				return
			}
			flushed = time.Now()
			if err := s.flush(); err != nil {
				s.degrade(err)
				if !s.pause(retry) {
					return
				}
				continue
			}
			s.degrade(nil)
		}
	}
}

// loaded is the size of a batch after which the next one waits for Config.LoadLinger: what a
// batch costs by itself (its fsync, its request, its tables) is more than its events cost
// then, and the processor is wanted by what causes them.
const loaded = 200

func (s *Spool) linger() time.Duration {
	if s.last >= loaded {
		return s.conf.LoadLinger
	}
	return s.conf.Linger
}

// gather waits until a batch is worth its fsync; false when the spool is closing.
func (s *Spool) gather(flushed time.Time) bool {
	for {
		s.mu.Lock()
		n, bytes, first := len(s.events), s.queued, s.first
		s.mu.Unlock()
		linger := s.linger()
		due := flushed.Add(linger)
		if n > 0 {
			due = later(first.Add(burst), due)
			if last := first.Add(linger); due.After(last) {
				due = last
			}
		}
		wait := time.Until(due)
		if n >= s.conf.BatchEvents || bytes >= batchBytes || wait <= 0 {
			return true
		}
		t := time.NewTimer(wait)
		select {
		case <-s.stop:
			t.Stop()
			return false
		case r := <-s.rebinds:
			s.serve(r)
		case <-s.wake:
		case <-t.C:
		}
		t.Stop()
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func (s *Spool) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-s.stop:
		return false
	case r := <-s.rebinds:
		s.serve(r)
	case <-t.C:
	}
	return true
}

func (s *Spool) pending() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.events) > 0 || len(s.gaps) > 0 || s.overflow.Count > 0
}

func (s *Spool) degrade(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Degraded = ""
	if err != nil {
		s.stats.Degraded = err.Error()
	}
}

// flush brings one batch to the disk. On an error nothing is lost: the events and gaps
// are still in memory, in their order.
func (s *Spool) flush() error {
	if err := s.makeRoom(); err != nil {
		return err
	}
	s.mu.Lock()
	n, size := 0, 0
	for n < min(len(s.events), s.conf.BatchEvents) && (n == 0 || size < batchBytes) {
		size += sizeOf(s.events[n])
		n++
	}
	events := s.events[:n:n]
	if s.overflow.Count > 0 {
		s.addGap(s.overflow)
		s.overflow = event.Gap{}
	}
	gaps := append([]event.Gap(nil), s.gaps...)
	s.mu.Unlock()

	r, taken, extra, err := s.encode(events, gaps)
	if err != nil {
		return err
	}
	if r != nil {
		if err := s.telemetry.append(r.encode()); err != nil {
			return err
		}
		s.state.NextSequence, s.state.NextReport = r.Sequence+1, r.FirstReport+int64(r.Events)
		s.covered = r.Covered
	}
	s.last = taken
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events[:taken] {
		s.queued -= sizeOf(e)
	}
	s.events = s.events[taken:]
	if len(s.events) == 0 {
		s.events = nil // the array behind it would keep every event alive
	} else {
		s.first = time.Now()
	}
	if r != nil {
		s.stats.Spooled += uint64(r.Events)
		s.gaps = removeGaps(s.gaps, gaps)
	}
	if extra.Count > 0 {
		s.stats.Dropped += extra.Count
		s.addGap(extra)
	}
	return nil
}

// removeGaps takes what a batch carried from the gaps, which may have grown meanwhile.
func removeGaps(have, sent []event.Gap) []event.Gap {
	out := have[:0:0]
	for i, g := range have {
		if i < len(sent) && g.Source == sent[i].Source && g.Reason == sent[i].Reason {
			if g.Count == sent[i].Count && g.To.Equal(sent[i].To) && g.From.Equal(sent[i].From) {
				continue
			}
			if g.Count > 0 {
				g.Count -= sent[i].Count
			}
			g.From = sent[i].To
		}
		out = append(out, g)
	}
	return out
}

// encode makes the record of the next batch and says how many of the events it took in.
// Events that can never be sent become the gap extra, which goes with a later batch; the
// record is nil when nothing is left to send.
func (s *Spool) encode(events []*event.Event, gaps []event.Gap) (r *record, taken int, extra event.Gap, err error) {
	now := s.conf.Clock()
	taken = len(events)
	good := events
	for {
		if len(good)+len(gaps) == 0 {
			return nil, taken, extra, nil
		}
		h := wire.Header{Device: s.conf.Device, Incarnation: s.conf.Incarnation, Sequence: s.state.NextSequence,
			FirstReport: s.state.NextReport, Created: now}
		frame, err := s.encoder.EncodeBatch(h, good, gaps)
		var bad *wire.EventError
		switch {
		case err == nil:
			covered := s.covered + uint64(len(good))
			for _, g := range gaps {
				covered += g.Count
			}
			return &record{Sequence: h.Sequence, FirstReport: h.FirstReport, Events: len(good), Covered: covered,
				Created: now, Frame: frame}, taken, extra, nil
		case errors.As(err, &bad):
			extra = event.Gap{Source: "spool", Reason: "the event is malformed: " + bad.Why, Count: extra.Count + 1, From: now, To: now}
			rest := append([]*event.Event(nil), good[:bad.Index]...)
			good = append(rest, good[bad.Index+1:]...)
		case len(good) > 1 && extra.Count == 0:
			// Too many bytes: the first half goes now, the rest next time.
			good = good[:len(good)/2]
			taken = len(good)
		default:
			return nil, 0, event.Gap{}, err
		}
	}
}

// makeRoom drops the oldest telemetry until the journal is within its limit. The count of
// what it drops is on disk before the batches are gone.
func (s *Spool) makeRoom() error {
	if s.telemetry.size() <= s.conf.Limit {
		return nil
	}
	if err := s.saveState(); err != nil {
		return err
	}
	if err := s.telemetry.trim(); err != nil {
		return err
	}
	for s.telemetry.size() > s.conf.Limit {
		before := s.telemetry.acked()
		events, from, to, err := s.telemetry.dropSegment()
		if err != nil {
			return err
		}
		s.mu.Lock()
		if events > 0 {
			s.stats.Dropped += events
			// Already counted when it was spooled: covered counts it a second time below.
			s.counter.add(events, s.conf.Clock())
			s.addGap(event.Gap{Source: "spool", Reason: "the spool was full: the oldest telemetry was dropped", Count: events, From: from, To: to})
		}
		s.state.Gaps, s.state.GapsSequence = append([]event.Gap(nil), s.gaps...), s.state.NextSequence
		s.mu.Unlock()
		if err := s.saveState(); err != nil {
			return err
		}
		if err := s.telemetry.trim(); err != nil {
			return err
		}
		if s.telemetry.acked() == before {
			return nil // one segment is left and is being written
		}
	}
	return nil
}

// housekeep saves the state and frees what is acknowledged, when anything changed.
func (s *Spool) housekeep() {
	if s.telemetry.acked() == s.state.Acked && s.results.acked() == s.state.ResultsAcked {
		return
	}
	err := s.saveState()
	if err == nil {
		err = errors.Join(s.telemetry.trim(), s.results.trim())
	}
	if err != nil {
		s.degrade(err)
	}
}

// finish flushes what is left and marks the state clean. The flusher has ended.
func (s *Spool) finish() error {
	var err error
	for s.pending() && err == nil {
		err = s.flush()
	}
	s.counter.alive(s.conf.Clock())
	s.mu.Lock()
	s.state.Clean = err == nil
	s.state.Gaps, s.state.GapsSequence = append([]event.Gap(nil), s.gaps...), s.state.NextSequence
	s.mu.Unlock()
	if err != nil {
		err = fmt.Errorf("spool: last flush: %w", err)
	}
	return errors.Join(err, s.saveState())
}
