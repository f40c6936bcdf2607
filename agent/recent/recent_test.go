package recent

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/schema/event"
)

func TestTheLastAreKeptInTheirOrder(t *testing.T) {
	var r Ring
	at := time.Unix(1000, 0)
	ran := func(i int) {
		r.Observe(&event.Event{Table: event.ProcessEvents, Action: "ProcessCreated", Time: at.Add(time.Duration(i) * time.Second),
			Process: &event.Process{PID: uint32(i), Image: event.File{Path: fmt.Sprint("/bin/", i)}}})
	}
	for i := range MaxEach + 10 {
		ran(i)
	}
	r.Observe(&event.Event{Table: event.FileEvents, Action: "FileCreated", Time: at.Add(15500 * time.Millisecond),
		File: &event.File{Path: "/tmp/x"}, Initiating: &event.Process{PID: 7, CommandLine: strings.Repeat("é", maxText)}})
	r.Observe(&event.Event{Table: event.FileEvents, Action: "FileDeleted", File: &event.File{Path: "/tmp/y"}})
	r.Observe(&event.Event{Table: event.FileEvents, Action: "FileCreated"}) // a sensor that lost the file

	got := r.List()
	if len(got) != MaxEach+1 || got[0].PID != 10 || got[len(got)-1].PID != MaxEach+9 {
		t.Fatalf("%d traces, from %+v to %+v", len(got), got[0], got[len(got)-1])
	}
	if got[6].Path != "/tmp/x" || got[5].PID != 15 || got[7].PID != 16 {
		t.Errorf("the file does not stand between 15 and 16: %+v", got[5:8])
	}
	if c := got[6].Command; len(c) > maxText+4 || !strings.HasSuffix(c, "é…") {
		t.Errorf("command line: %d bytes, %q", len(c), c[len(c)-8:])
	}
}
