package wire_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/wire"
	"github.com/vedette-edr/vedette/wire/wiretest"
)

const device = "0123456789abcdef0123456789abcdef01234567"

func header(seq uint64) wire.Header {
	return wire.Header{Device: device, Incarnation: 3, Sequence: seq, FirstReport: 1000, Created: wiretest.Start.Add(time.Minute)}
}

func TestBatchesComeBackAsTheyWere(t *testing.T) {
	for name, events := range map[string][]*event.Event{
		"all": wiretest.All(1), "one": wiretest.Shell(2, 1), "many": wiretest.Shell(3, 700), "none": nil,
	} {
		t.Run(name, func(t *testing.T) {
			want := &wire.Batch{Header: header(9), Events: events, Gaps: wiretest.Gaps()}
			frame, err := wire.EncodeBatch(want.Header, want.Events, want.Gaps)
			if err != nil {
				t.Fatal(err)
			}
			got, err := wire.DecodeBatch(frame, wire.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if len(events) == 0 {
				got.Events = nil
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestPartsThatEventsShareAreSharedAgain(t *testing.T) {
	frame, err := wire.EncodeBatch(header(1), wiretest.Shell(4, 300), nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := wire.DecodeBatch(frame, wire.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	parents := map[*event.Process]bool{}
	for _, e := range b.Events {
		parents[e.Initiating] = true
	}
	if len(parents) > 60 {
		t.Errorf("%d initiating processes in memory for 300 events", len(parents))
	}
}

func TestTextsFromHostileProgramsAreMended(t *testing.T) {
	e := &event.Event{Table: event.FileEvents, Action: "FileCreated", Time: wiretest.Start,
		File:    &event.File{Name: "a\xff\xfeb", Path: "/tmp/a\xff\xfeb", Size: -1},
		Process: &event.Process{CommandLine: strings.Repeat("é", 40_000)},
		Network: &event.Network{RemoteIP: "::ffff:192.0.2.1"}}
	frame, err := wire.EncodeBatch(header(1), []*event.Event{e}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := wire.DecodeBatch(frame, wire.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	got := b.Events[0]
	if got.File.Name != "a\uFFFDb" || got.File.Path != "/tmp/a\uFFFDb" {
		t.Errorf("file is %q %q", got.File.Name, got.File.Path)
	}
	if n := len(got.Process.CommandLine); n != 64<<10 {
		t.Errorf("command line has %d bytes", n)
	}
	if got.Network.RemoteIP != "192.0.2.1" {
		t.Errorf("address is %s", got.Network.RemoteIP)
	}
}

func TestAnEventThatCannotBeSentIsNamed(t *testing.T) {
	ok := wiretest.Shell(5, 1)[0]
	for name, spoil := range map[string]func(*event.Event){
		"table":       func(e *event.Event) { e.Table = 99 },
		"action":      func(e *event.Event) { e.Action = "not one word" },
		"no time":     func(e *event.Event) { e.Time = time.Time{} },
		"year 1":      func(e *event.Event) { e.Time = time.Date(1, 2, 3, 0, 0, 0, 0, time.UTC) },
		"year 9999":   func(e *event.Event) { e.Time = time.Date(9999, 2, 3, 0, 0, 0, 0, time.UTC) },
		"boot":        func(e *event.Event) { e.Boot = -1 },
		"json":        func(e *event.Event) { e.Additional = `{"a":` },
		"json list":   func(e *event.Event) { e.Additional = `[1]` },
		"json depth":  func(e *event.Event) { e.Additional = strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40) },
		"json length": func(e *event.Event) { e.Additional = `{"a":"` + strings.Repeat("x", 70_000) + `"}` },
		"address":     func(e *event.Event) { e.Network = &event.Network{RemoteIP: "localhost"} },
		"hash":        func(e *event.Event) { e.File = &event.File{SHA1: "abc"} },
		"size":        func(e *event.Event) { e.File = &event.File{Size: -7} },
	} {
		t.Run(name, func(t *testing.T) {
			e := *ok
			spoil(&e)
			_, err := wire.EncodeBatch(header(1), []*event.Event{ok, &e}, nil)
			var ee *wire.EventError
			if !errors.As(err, &ee) || ee.Index != 1 {
				t.Fatalf("got %v, want an error of event 1", err)
			}
			if wire.CheckEvent(&e) == "" {
				t.Error("CheckEvent finds nothing wrong")
			}
		})
	}
}

func TestHeadersAreChecked(t *testing.T) {
	for name, spoil := range map[string]func(*wire.Header){
		"device":      func(h *wire.Header) { h.Device = "xyz" },
		"incarnation": func(h *wire.Header) { h.Incarnation = 0 },
		"sequence":    func(h *wire.Header) { h.Sequence = 0 },
		"report":      func(h *wire.Header) { h.FirstReport = -1 },
		"created":     func(h *wire.Header) { h.Created = time.Time{} },
	} {
		h := header(1)
		spoil(&h)
		if _, err := wire.EncodeBatch(h, nil, wiretest.Gaps()); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := wire.EncodeBatch(header(1), nil, nil); err == nil {
		t.Error("a batch of nothing was accepted")
	}
}

func BenchmarkWireBytes(b *testing.B) {
	for _, n := range []int{1, 50, 500} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			events := wiretest.Shell(7, n)
			var size int
			b.ReportAllocs()
			for b.Loop() {
				frame, err := wire.EncodeBatch(header(1), events, nil)
				if err != nil {
					b.Fatal(err)
				}
				size = len(frame)
			}
			b.ReportMetric(float64(size)/float64(n), "B/event")
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{1, 50, 500} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			frame, err := wire.EncodeBatch(header(1), wiretest.Shell(7, n), nil)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := wire.DecodeBatch(frame, wire.Limits{}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

func TestFiveHundredEventsTakeAtMost120BytesEach(t *testing.T) {
	frame, err := wire.EncodeBatch(header(1), wiretest.Shell(7, 500), nil)
	if err != nil {
		t.Fatal(err)
	}
	if per := len(frame) / 500; per > 120 {
		t.Errorf("%d bytes per event", per)
	} else {
		t.Logf("%d bytes per event", per)
	}
}
