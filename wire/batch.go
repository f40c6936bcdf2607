package wire

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/vedette-edr/vedette/schema/event"
)

// Header says whose batch it is and where it stands among the device's batches.
type Header struct {
	Device      string // 40 lower-case hexadecimal digits
	Incarnation uint64 // from 1
	Sequence    uint64 // 1, 2, 3, … within an incarnation
	FirstReport int64  // ReportId of the first event; the others count up
	Created     time.Time
}

// Batch is a decoded frame. Its events share their parts, and all texts share one piece
// of memory: whoever keeps a single one for long copies it.
type Batch struct {
	Header
	Events []*event.Event
	Gaps   []event.Gap
}

// Limits bounds what DecodeBatch accepts. Zero members take the value of DefaultLimits.
type Limits struct {
	Frame   int // bytes of the frame
	Decoded int // bytes after decompression
	Events  int
	Gaps    int
	Text    int // bytes of one text
}

// DefaultLimits is what EncodeBatch keeps to, and what a server accepts.
func DefaultLimits() Limits {
	return Limits{Frame: 4 << 20, Decoded: 4 << 20, Events: 10000, Gaps: 1000, Text: 64 << 10}
}

func (l Limits) orDefault() Limits {
	d := DefaultLimits()
	for _, p := range []struct{ v, d *int }{
		{&l.Frame, &d.Frame}, {&l.Decoded, &d.Decoded}, {&l.Events, &d.Events}, {&l.Gaps, &d.Gaps}, {&l.Text, &d.Text},
	} {
		if *p.v <= 0 {
			*p.v = *p.d
		}
	}
	return l
}

// Hash is the identity of a frame: the server tells a batch that is sent again from
// another batch with the same sequence by it.
func Hash(frame []byte) [32]byte { return sha256.Sum256(frame) }

// FormatError says what is wrong with a frame, and where.
type FormatError struct {
	Place string // e.g. events.process[17]
	Why   string
}

// Error names the place and the fault.
func (e *FormatError) Error() string { return "wire: batch: " + e.Place + ": " + e.Why }

func bad(place, format string, args ...any) error {
	return &FormatError{Place: place, Why: fmt.Sprintf(format, args...)}
}

// EventError says that one event cannot be put into a batch; the others can.
type EventError struct {
	Index int // of the event
	Why   string
}

// Error names the event and the fault.
func (e *EventError) Error() string { return fmt.Sprintf("wire: event %d: %s", e.Index, e.Why) }

// maxTime and maxBoot keep every difference of two times inside 64 bits: the year 2116,
// and 73 years since boot.
const (
	maxTime = 1 << 62
	maxBoot = 1 << 61
)

// maxDepth is how deeply the JSON of Additional may nest.
const maxDepth = 32
