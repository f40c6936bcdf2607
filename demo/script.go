package demo

import (
	"slices"
	"time"
)

// script is everything that happens beside everyday life, in order of time.
func script(c *company, end time.Time, hostile bool) []cue {
	var cues []cue
	s := &scene{company: c, end: end, cues: &cues}
	phishing(s)
	ransomware(s)
	miner(s)
	leaver(s)
	supplyChain(s)
	housekeeping(s)
	if hostile {
		hostileStory(s)
	}
	slices.SortStableFunc(cues, func(a, b cue) int { return a.at.Compare(b.at) })
	return cues
}

// scene is where stories are written.
type scene struct {
	company *company
	end     time.Time
	cues    *[]cue
}

// at is a time of the week: so many days before its end, by the clock of that day (UTC)
// where the day still has it.
func (s *scene) at(days int, hour, minute int) time.Time {
	d := s.end.UTC().AddDate(0, 0, -days)
	t := time.Date(d.Year(), d.Month(), d.Day(), hour, minute, int(s.company.seed%50), 0, time.UTC)
	if t.After(s.end) {
		t = t.Add(-24 * time.Hour)
	}
	return t
}

// ago is a time before the end.
func (s *scene) ago(d time.Duration) time.Time { return s.end.Add(-d) }

// on begins what happens on a device.
func (s *scene) on(name, act string, at time.Time) *actor {
	a := newActor(s.company.seed, s.company.host(name), act, at)
	a.cues = s.cues
	return a
}

// people lets somebody do something by the API.
func (s *scene) people(at time.Time, about string, do func(*desk) error) {
	*s.cues = append(*s.cues, cue{at: at, do: do, about: about})
}
