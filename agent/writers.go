package agent

import (
	"strings"
	"sync"
	"time"

	"github.com/vedette-edr/vedette/agent/recent"
	"github.com/vedette-edr/vedette/agent/sensor"
	"github.com/vedette-edr/vedette/schema/event"
)

// writers remembers who wrote files of accounts and services last, which the sensor that
// compares their contents cannot know.
type writers struct {
	mu     sync.Mutex
	byPath map[string]writing
	order  []string // the oldest first
	now    func() time.Time
}

type writing struct {
	by *event.Process
	at time.Time
}

// Files are remembered up to a number, and for as long as a comparison may be late: a later
// change by a way that was not seen must not be laid at the door of an earlier writer.
const (
	maxWriters = 512
	writerLife = 15 * time.Second
)

func newWriters(now func() time.Time) *writers {
	return &writers{byPath: make(map[string]writing), now: now}
}

// ofInterest reports whether package account reads below path.
func ofInterest(path string) bool {
	for _, dir := range []string{"/etc/", "/run/systemd/", "/usr/lib/systemd/", "/usr/local/lib/systemd/", "/lib/systemd/", "/var/spool/cron/"} {
		if strings.HasPrefix(path, dir) {
			return true
		}
	}
	return false
}

func (w *writers) note(path string, by *event.Process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, known := w.byPath[path]; !known {
		if len(w.order) >= maxWriters {
			delete(w.byPath, w.order[0])
			w.order = append(w.order[:0], w.order[1:]...)
		}
		w.order = append(w.order, path)
	}
	w.byPath[path] = writing{by, w.now()}
}

// last returns who changed the file last, nil when that was not seen.
func (w *writers) last(path string) *event.Process {
	w.mu.Lock()
	defer w.mu.Unlock()
	if l := w.byPath[path]; w.now().Sub(l.at) <= writerLife {
		return l.by
	}
	return nil
}

// watched is a sink whose file events writers learns from, and whose events an observer
// looks at once they were handed on.
type watched struct {
	sensor.Sink
	writers  *writers
	recent   *recent.Ring
	observer observer
}

// observer looks at events; it returns quickly and changes nothing of them.
type observer interface{ Observe(e *event.Event) }

// Emit implements sensor.Sink.
func (s watched) Emit(e *event.Event) {
	if e.Table == event.FileEvents && e.Initiating != nil {
		for _, f := range []*event.File{e.File, e.Previous} {
			if f != nil && ofInterest(f.Path) {
				s.writers.note(f.Path, e.Initiating)
			}
		}
	}
	s.Sink.Emit(e)
	s.recent.Observe(e)
	if s.observer != nil {
		s.observer.Observe(e)
	}
}
