package spool

import (
	"time"

	"github.com/vedette-edr/vedette/schema/event"
)

// account compares what was emitted with what is on disk and makes up gaps for the rest.
// Afterwards what was emitted is what is covered and what the waiting gaps count.
func (s *Spool) account() {
	now := s.conf.Clock()
	s.covered = s.state.Covered
	if s.telemetry.last != nil {
		s.covered = max(s.covered, s.telemetry.last.Covered)
	}
	known := s.covered
	for _, g := range s.gaps {
		known += g.Count
	}
	emitted := s.counter.emitted()
	from := s.counter.last()
	if from.IsZero() || from.After(now) {
		from = s.state.Saved
	}
	// What happened shortly before was still in sensors, and before they watched nobody saw.
	from = from.Add(-s.counter.slack())
	if !s.counter.watching() && !s.state.Opened.IsZero() {
		from = earliest(from, s.state.Opened)
	}
	switch sameBoot := s.conf.BootID == s.state.BootID; {
	case s.state.Clean && emitted == known:
		s.addGap(event.Gap{Source: "agent", Reason: "the agent was stopped", From: from, To: now})
		return
	case emitted < known || !sameBoot:
		s.addGap(event.Gap{Source: "spool", Reason: "the machine went down before these events were on disk",
			From: s.lastSpooled(from), To: from})
		s.counter.set(known)
	case emitted > known:
		s.addGap(event.Gap{Source: "spool", Reason: "the agent ended before these events were on disk", Count: emitted - known,
			From: s.lastSpooled(from), To: from})
	}
	s.addGap(event.Gap{Source: "agent", Reason: "the agent did not run", From: from, To: now})
}

func (s *Spool) lastSpooled(or time.Time) time.Time {
	if s.telemetry.last != nil && !s.telemetry.last.Created.After(or) {
		return s.telemetry.last.Created.Add(-s.counter.slack())
	}
	return or
}

// Watching says that the sensors watch from now on: whoever opened the spool says so once.
// Until then nothing is seen, and when the device was enrolled before, that is a gap.
func (s *Spool) Watching() {
	if !s.fresh {
		s.Lost(event.Gap{Source: "agent", Reason: "the agent was starting", From: s.opened, To: s.conf.Clock()})
	}
	s.counter.watch(true)
}

// maxGaps bounds the gaps that wait for a batch; further ones of one source are merged.
const maxGaps = 200

func (s *Spool) addGap(g event.Gap) {
	for i := range s.gaps {
		p := &s.gaps[i]
		if p.Source == g.Source && (p.Reason == g.Reason || len(s.gaps) >= maxGaps) && (p.Count == 0) == (g.Count == 0) {
			p.Count += g.Count
			p.From, p.To = earliest(p.From, g.From), latest(p.To, g.To)
			return
		}
	}
	if len(s.gaps) < 2*maxGaps {
		s.gaps = append(s.gaps, g)
		return
	}
	p := &s.gaps[len(s.gaps)-1]
	p.Source, p.Reason = "spool", "more losses than can be told apart"
	p.Count += g.Count
	p.From, p.To = earliest(p.From, g.From), latest(p.To, g.To)
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) && !b.IsZero() {
		return b
	}
	return a
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
