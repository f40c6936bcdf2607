// Package recent remembers the programs that were run and the files that were made last on
// this device, for those who ask what happened a moment ago.
//
// It is no telemetry: what it forgets is with the server. Its memory is bounded by a number
// of entries, each of them short. Start at Ring.
package recent

import (
	"strings"
	"sync"
	"time"

	"github.com/vedette-edr/vedette/schema/event"
)

// Bounds of a Ring.
const (
	MaxEach = 2048 // programs, and files
	maxText = 512  // bytes of a path or command line
)

// Trace is a program that was run, or a file that was made.
type Trace struct {
	Time    time.Time
	Action  string // ProcessCreated, FileCreated, … as in the hunting tables
	Path    string
	SHA256  string // "" when not known then
	PID     uint32 // of the process that was run, or that made the file
	Command string // its command line, cut when it is long
	Account string
}

// Ring keeps the last traces of each sort. The zero value is empty. It is safe for
// concurrent use.
type Ring struct {
	mu       sync.Mutex
	programs line
	files    line
}

// line is the last traces of one sort, oldest at next once it is full.
type line struct {
	list []Trace
	next int
}

func (l *line) put(t Trace) {
	if len(l.list) < MaxEach {
		l.list = append(l.list, t)
		return
	}
	l.list[l.next] = t
	l.next = (l.next + 1) % MaxEach
}

func (l *line) all() []Trace {
	return append(append([]Trace(nil), l.list[l.next:]...), l.list[:l.next]...)
}

// Observe remembers what an event tells of.
func (r *Ring) Observe(e *event.Event) {
	var by *event.Process
	var file *event.File
	switch {
	case e.Table == event.ProcessEvents && e.Action == "ProcessCreated" && e.Process != nil:
		by, file = e.Process, &e.Process.Image
	case e.Table == event.FileEvents && e.File != nil && (e.Action == "FileCreated" || e.Action == "FileRenamed"):
		by, file = e.Initiating, e.File
	default:
		return
	}
	t := Trace{Time: e.Time, Action: e.Action, Path: short(file.Path), SHA256: file.SHA256}
	if by != nil {
		t.PID, t.Command, t.Account = by.PID, short(by.CommandLine), by.Account.Name
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.Table == event.ProcessEvents {
		r.programs.put(t)
	} else {
		r.files.put(t)
	}
}

// List returns the traces, oldest first.
func (r *Ring) List() []Trace {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, b := r.programs.all(), r.files.all()
	out := make([]Trace, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if b[0].Time.Before(a[0].Time) {
			out, b = append(out, b[0]), b[1:]
		} else {
			out, a = append(out, a[0]), a[1:]
		}
	}
	return append(append(out, a...), b...)
}

// short cuts a text, and does not keep the long one in memory.
func short(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(strings.Clone(s[:maxText]), "") + "…"
}
