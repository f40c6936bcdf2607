package wire

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/wire/wirepb"
)

// EncodeBatch makes the frame of a batch. Texts that are not UTF-8 or too long are mended,
// because file names and arguments may be any bytes; an event that cannot be mended is an
// *EventError, after which the caller encodes the batch without that event. The same
// arguments need not give the same bytes in another build: keep the frame, do not make it
// again.
func EncodeBatch(h Header, events []*event.Event, gaps []event.Gap) ([]byte, error) {
	return new(Encoder).EncodeBatch(h, events, gaps)
}

// Encoder is for who makes one frame after the other: it keeps its tables, emptied, from
// one to the next. The zero value is ready; it is not for several goroutines.
type Encoder struct {
	e       *encoding
	content []byte
}

// keepContent is the size of a batch up to which the tables are kept for the next one.
const keepContent = 2 << 20

// EncodeBatch does what the function of that name does. The frame is the caller's.
func (x *Encoder) EncodeBatch(h Header, events []*event.Event, gaps []event.Gap) ([]byte, error) {
	limits := DefaultLimits()
	device, err := hex.DecodeString(h.Device)
	switch {
	case err != nil || len(device) != 20:
		return nil, bad("device", "is not 40 hexadecimal digits")
	case h.Incarnation == 0 || h.Sequence == 0:
		return nil, bad("header", "incarnation and sequence begin at 1")
	case h.FirstReport < 0 || h.FirstReport > maxTime:
		return nil, bad("header", "the first report id is out of range")
	case len(events)+len(gaps) == 0:
		return nil, bad("events", "the batch holds nothing")
	case len(events) > limits.Events || len(gaps) > limits.Gaps:
		return nil, bad("events", "there are more than %d events or %d gaps", limits.Events, limits.Gaps)
	}
	created, ok := nanos(h.Created)
	if !ok || created == 0 {
		return nil, bad("created", "is out of range")
	}
	if x.e == nil {
		x.e = newEncoding(limits)
	}
	e := x.e
	defer x.tidy()
	e.begin(created)
	for i, v := range events {
		if why := e.event(v); why != "" {
			return nil, &EventError{Index: i, Why: why}
		}
	}
	for i, g := range gaps {
		if why := e.gap(g); why != "" {
			return nil, bad("gaps", "gap %d: %s", i, why)
		}
	}
	e.out.Device, e.out.Incarnation, e.out.Sequence = device, h.Incarnation, h.Sequence
	e.out.FirstReport, e.out.Created = h.FirstReport, created
	size := e.out.SizeVT()
	if size > limits.Decoded {
		return nil, bad("frame", "holds %d bytes, more than %d", size, limits.Decoded)
	}
	if cap(x.content) < size {
		x.content = make([]byte, size+size/4)
	}
	content := x.content[:size]
	if _, err := e.out.MarshalToSizedBufferVT(content); err != nil {
		return nil, err
	}
	frame, err := pack(content)
	if err == nil && len(frame) > limits.Frame {
		return nil, bad("frame", "is %d bytes, more than %d", len(frame), limits.Frame)
	}
	return frame, err
}

// tidy empties the tables, which else would keep the events alive, and gives them up when
// an unusual batch has made them large.
func (x *Encoder) tidy() {
	if cap(x.content) > keepContent || cap(x.e.strings.Text) > keepContent {
		*x = Encoder{}
		return
	}
	x.e.reset()
}

// CheckEvent says why an event can never be put into a batch; "" when it can.
func CheckEvent(e *event.Event) string {
	x := newEncoding(DefaultLimits())
	x.begin(1)
	return x.event(e)
}

// encoding is a batch in the making. Tables are filled as events refer to them.
type encoding struct {
	limits    Limits
	out       wirepb.Batch
	strings   wirepb.Strings
	seen      map[string]uint32
	addresses map[netip.Addr]uint32
	accounts  map[accountRow]uint32
	files     map[fileRow]uint32
	procs     map[processRow]uint32
	networks  map[networkRow]uint32
	logons    map[logonRow]uint32

	// What was looked at already: events share processes, and processes files and accounts.
	byPointer map[*event.Process]uint32
	byFile    map[event.File]uint32
	byAccount map[event.Account]uint32
	object    string // the last JSON object that was found to be one

	time, start, parentStart, from, to difference
	boot                               difference
	pid                                int64
	why                                string // of the event at hand
}

func newEncoding(l Limits) *encoding {
	e := &encoding{
		limits: l, seen: map[string]uint32{}, addresses: map[netip.Addr]uint32{},
		accounts: map[accountRow]uint32{}, files: map[fileRow]uint32{}, procs: map[processRow]uint32{},
		networks: map[networkRow]uint32{}, logons: map[logonRow]uint32{}, byPointer: map[*event.Process]uint32{},
		byFile: map[event.File]uint32{}, byAccount: map[event.Account]uint32{},
	}
	e.out.Strings = &e.strings
	e.out.Addresses, e.out.Accounts, e.out.Files = &wirepb.Addresses{}, &wirepb.Accounts{}, &wirepb.Files{}
	e.out.Processes, e.out.Networks, e.out.Logons = &wirepb.Processes{}, &wirepb.Networks{}, &wirepb.Logons{}
	e.out.Events, e.out.Gaps = &wirepb.Events{}, &wirepb.Gaps{}
	return e
}

// begin makes ready an encoding that is empty.
func (e *encoding) begin(created int64) {
	e.seen[""] = 0
	e.strings.Length = append(e.strings.Length, 0)
	for _, d := range []*difference{&e.time, &e.start, &e.parentStart, &e.from, &e.to} {
		d.last = created
	}
}

// difference is the state of a time column: the last value that was given.
type difference struct{ last int64 }

func (d *difference) put(v int64) int64 {
	n := v - d.last
	d.last = v
	if n >= 0 {
		n++
	}
	return n
}

// take is the inverse of put; n is not 0.
func (d *difference) take(n int64) int64 {
	if n > 0 {
		n--
	}
	d.last += n
	return d.last
}

func nanos(t time.Time) (int64, bool) {
	if t.IsZero() {
		return 0, true
	}
	if t.Unix() < 0 || t.Unix() >= maxTime/int64(time.Second) {
		return 0, false
	}
	n := t.UnixNano()
	return n, n > 0
}

func (e *encoding) fail(why string) {
	if e.why == "" {
		e.why = why
	}
}

// text returns the reference of a string, mended to UTF-8 of bounded length.
func (e *encoding) text(s string) uint32 {
	if i, ok := e.seen[s]; ok {
		return i
	}
	m := s
	if !utf8.ValidString(m) {
		m = strings.ToValidUTF8(m, "\uFFFD")
	}
	if len(m) > e.limits.Text {
		cut := e.limits.Text
		for !utf8.RuneStart(m[cut]) {
			cut--
		}
		m = m[:cut]
	}
	i, ok := e.seen[m]
	if !ok {
		i = uint32(len(e.strings.Length))
		e.strings.Length = append(e.strings.Length, uint32(len(m)))
		e.strings.Text = append(e.strings.Text, m...)
		e.seen[m] = i
	}
	e.seen[s] = i
	return i
}

func (e *encoding) moment(what string, t time.Time) int64 {
	n, ok := nanos(t)
	if !ok {
		e.fail(what + " is out of range")
	}
	return n
}

func column(d *difference, n int64) int64 {
	if n == 0 {
		return 0
	}
	return d.put(n)
}

func (e *encoding) event(v *event.Event) string {
	e.why = ""
	if v == nil {
		return "is nil"
	}
	now := e.moment("Time", v.Time)
	switch {
	case !v.Table.Valid():
		e.fail("the table is unknown")
	case !isAction(v.Action):
		e.fail("the action is not 1 to 64 letters and digits")
	case now == 0:
		e.fail("Time is not set")
	case v.Boot < 0 || v.Boot >= maxBoot:
		e.fail("Boot is out of range")
	case v.Additional != "" && len(v.Additional) > e.limits.Text:
		e.fail("Additional is too long")
	case v.Additional != "" && v.Additional != e.object && !isObject(v.Additional):
		e.fail("Additional is not a JSON object")
	}
	if e.why != "" {
		return e.why
	}
	if v.Additional != "" {
		e.object = v.Additional
	}
	initiating, process := e.process(v.Initiating), e.process(v.Process)
	var file, previous, account uint32
	if v.File != nil {
		file = e.file(v.File)
	}
	if v.Previous != nil {
		previous = e.file(v.Previous)
	}
	if v.Account != nil {
		account = e.accountPart(v.Account)
	}
	network, logon := e.network(v.Network), e.logon(v.Logon)
	action, additional := e.text(v.Action), e.text(v.Additional)
	if e.why != "" {
		return e.why
	}
	t := e.out.Events
	t.Table, t.Action, t.Time = append(t.Table, uint32(v.Table)), append(t.Action, action), append(t.Time, e.time.put(now))
	boot := int64(0)
	if v.Boot != 0 {
		boot = e.boot.put(v.Boot - now)
	}
	t.Boot, t.Initiating, t.Process = append(t.Boot, boot), append(t.Initiating, initiating), append(t.Process, process)
	t.File, t.Previous = append(t.File, file), append(t.Previous, previous)
	t.Network, t.Logon = append(t.Network, network), append(t.Logon, logon)
	t.Account, t.Additional = append(t.Account, account), append(t.Additional, additional)
	return ""
}

func (e *encoding) gap(g event.Gap) string {
	e.why = ""
	from, to := e.moment("From", g.From), e.moment("To", g.To)
	if g.Source == "" {
		e.fail("Source is empty")
	}
	if e.why != "" {
		return e.why
	}
	t := e.out.Gaps
	t.Source, t.Reason, t.Count = append(t.Source, e.text(g.Source)), append(t.Reason, e.text(g.Reason)), append(t.Count, g.Count)
	t.From, t.To = append(t.From, column(&e.from, from)), append(t.To, column(&e.to, to))
	return ""
}

// lastElement is the file name in a path of either kind of separator.
func lastElement(path string) string {
	return path[strings.LastIndexAny(path, `/\`)+1:]
}

func isAction(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}
