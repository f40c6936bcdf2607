package agent

import (
	"fmt"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/agent/recent"
	"github.com/vedette-edr/vedette/schema/event"
)

type discard struct{}

func (discard) Emit(*event.Event) {}
func (discard) Lost(event.Gap)    {}

func TestTheLastWriterOfAFileIsKnownForAWhile(t *testing.T) {
	now := time.Unix(1000, 0)
	w := newWriters(func() time.Time { return now })
	s := watched{Sink: discard{}, writers: w, recent: &recent.Ring{}}
	useradd, vi := &event.Process{PID: 1}, &event.Process{PID: 2}
	write := func(path, before string, by *event.Process) {
		e := &event.Event{Table: event.FileEvents, File: &event.File{Path: path}, Initiating: by}
		if before != "" {
			e.Previous = &event.File{Path: before}
		}
		s.Emit(e)
	}
	write("/etc/passwd", "/etc/passwd+", vi)
	write("/etc/passwd", "/etc/passwd+", useradd)
	write("/tmp/x", "", vi)
	s.Emit(&event.Event{Table: event.FileEvents, File: &event.File{Path: "/etc/unknown"}})
	if w.last("/etc/passwd") != useradd || w.last("/etc/passwd+") != useradd || w.last("/tmp/x") != nil || w.last("/etc/unknown") != nil {
		t.Errorf("%+v", w.byPath)
	}
	now = now.Add(writerLife + 1)
	if w.last("/etc/passwd") != nil {
		t.Error("an old writer is named")
	}
	for i := range 3 * maxWriters {
		write(fmt.Sprint("/etc/", i), "", vi)
	}
	if len(w.byPath) > maxWriters || len(w.order) > maxWriters || w.last(fmt.Sprint("/etc/", 3*maxWriters-1)) != vi {
		t.Errorf("%d and %d files kept", len(w.byPath), len(w.order))
	}
}
