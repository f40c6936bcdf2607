package wire

import (
	"encoding/hex"
	"math"
	"time"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/wire/wirepb"
)

// DecodeBatch reads a frame. Nothing in it is trusted: sizes, counts, references, UTF-8,
// JSON, addresses, numbers and times are checked, and an error is a *FormatError that
// names the place. What it returns, EncodeBatch turns into an equal batch again.
func DecodeBatch(frame []byte, l Limits) (*Batch, error) {
	l = l.orDefault()
	if len(frame) > l.Frame {
		return nil, bad("frame", "is %d bytes, more than %d", len(frame), l.Frame)
	}
	content, err := unpack(frame, l.Decoded)
	if err != nil {
		return nil, err
	}
	d := decoding{limits: l}
	if err := d.in.UnmarshalVT(content); err != nil {
		return nil, bad("content", "is not the message it should be: %v", err)
	}
	return d.batch()
}

type decoding struct {
	limits    Limits
	in        wirepb.Batch
	texts     []string
	object    []uint8 // per text: whether it is a JSON object; 0 not yet known
	addresses []string
	accounts  []event.Account
	files     []event.File
	processes []event.Process
	networks  []event.Network
	logons    []event.Logon
}

func (d *decoding) batch() (*Batch, error) {
	in := &d.in
	switch {
	case len(in.Device) != 20:
		return nil, bad("device", "is not 20 bytes")
	case in.Incarnation == 0 || in.Sequence == 0:
		return nil, bad("header", "incarnation and sequence begin at 1")
	case in.FirstReport < 0 || in.FirstReport > maxTime:
		return nil, bad("first_report", "is out of range")
	case in.Created <= 0 || in.Created >= maxTime:
		return nil, bad("created", "is out of range")
	}
	if err := d.checkRows(); err != nil {
		return nil, err
	}
	for _, part := range []func() error{
		d.readStrings, d.readAddresses, d.readAccounts, d.readFiles, d.readProcesses, d.readNetworks, d.readLogons,
	} {
		if err := part(); err != nil {
			return nil, err
		}
	}
	b := &Batch{Header: Header{
		Device: hex.EncodeToString(in.Device), Incarnation: in.Incarnation, Sequence: in.Sequence,
		FirstReport: in.FirstReport, Created: time.Unix(0, in.Created).UTC(),
	}}
	var err error
	if b.Events, err = d.readEvents(); err != nil {
		return nil, err
	}
	if b.Gaps, err = d.readGaps(); err != nil {
		return nil, err
	}
	if len(b.Events)+len(b.Gaps) == 0 {
		return nil, bad("events", "the batch holds nothing")
	}
	return b, nil
}

// checkRows bounds every table by what the events can refer to, before anything is
// allocated for it.
func (d *decoding) checkRows() error {
	in := &d.in
	events, gaps := len(in.GetEvents().GetTable()), len(in.GetGaps().GetSource())
	if events > d.limits.Events {
		return bad("events", "there are %d, more than %d", events, d.limits.Events)
	}
	if gaps > d.limits.Gaps {
		return bad("gaps", "there are %d, more than %d", gaps, d.limits.Gaps)
	}
	for _, t := range []struct {
		name      string
		rows, max int
	}{
		{"strings", len(in.GetStrings().GetLength()), 1 + 40*events + 2*gaps},
		{"addresses", len(in.GetAddresses().GetLength()), 3 * events},
		{"accounts", len(in.GetAccounts().GetName()), 3 * events},
		{"files", len(in.GetFiles().GetPath()), 4 * events},
		{"processes", len(in.GetProcesses().GetKey()), 2 * events},
		{"networks", len(in.GetNetworks().GetRemoteIp()), events},
		{"logons", len(in.GetLogons().GetType()), events},
	} {
		if t.rows > t.max {
			return bad(t.name, "there are %d, more than the events can refer to", t.rows)
		}
	}
	return nil
}

// sameLength checks that the columns of a table have one length.
func sameLength(table string, n int, columns ...int) error {
	for i, c := range columns {
		if c != n {
			return bad(table, "column %d has %d rows, the first has %d", i+2, c, n)
		}
	}
	return nil
}

func (d *decoding) readStrings() error {
	t := d.in.GetStrings()
	lengths, text := t.GetLength(), string(t.GetText())
	if len(lengths) == 0 || lengths[0] != 0 {
		return bad("strings", "string 0 is not the empty one")
	}
	d.texts, d.object = make([]string, len(lengths)), make([]uint8, len(lengths))
	at := 0
	for i, n := range lengths {
		if n > uint32(d.limits.Text) {
			return bad("strings", "string %d is %d bytes, more than %d", i, n, d.limits.Text)
		}
		if int(n) > len(text)-at {
			return bad("strings", "string %d ends outside the text", i)
		}
		d.texts[i] = text[at : at+int(n)]
		if !utf8.ValidString(d.texts[i]) {
			return bad("strings", "string %d is not UTF-8", i)
		}
		at += int(n)
	}
	if at != len(text) {
		return bad("strings", "%d bytes of text belong to no string", len(text)-at)
	}
	return nil
}

// row resolves the references of one row; the first fault stays in err.
type row struct {
	d     *decoding
	table string
	index int
	err   error
}

func (r *row) fail(column, format string, args ...any) {
	if r.err == nil {
		r.err = bad(r.table+"."+column, "row %d: "+format, append([]any{r.index}, args...)...)
	}
}

func (r *row) text(column string, ref uint32) string {
	if uint64(ref) >= uint64(len(r.d.texts)) {
		r.fail(column, "there is no string %d", ref)
		return ""
	}
	return r.d.texts[ref]
}

func (r *row) address(column string, ref uint32) string {
	if uint64(ref) >= uint64(len(r.d.addresses)) {
		r.fail(column, "there is no address %d", ref)
		return ""
	}
	return r.d.addresses[ref]
}

func (r *row) port(column string, n uint32) uint16 {
	if n > math.MaxUint16 {
		r.fail(column, "%d is no port", n)
	}
	return uint16(n)
}

func (r *row) moment(column string, d *difference, n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	v := d.take(n)
	if v <= 0 || v >= maxTime {
		r.fail(column, "the time is out of range")
		return time.Time{}
	}
	return time.Unix(0, v).UTC()
}

func (r *row) pid(column string, n int64) uint32 {
	if n < 0 || n > math.MaxUint32 {
		r.fail(column, "%d is no process id", n)
		return 0
	}
	return uint32(n)
}

// part resolves a one-based reference into a table of parts.
func part[T any](r *row, column string, table []T, ref uint32) *T {
	if ref == 0 {
		return nil
	}
	if uint64(ref) > uint64(len(table)) {
		r.fail(column, "there is no row %d to refer to", ref)
		return nil
	}
	return &table[ref-1]
}

func (d *decoding) readEvents() ([]*event.Event, error) {
	t := d.in.GetEvents()
	n := len(t.GetTable())
	if err := sameLength("events", n, len(t.GetAction()), len(t.GetTime()), len(t.GetBoot()), len(t.GetInitiating()),
		len(t.GetProcess()), len(t.GetFile()), len(t.GetPrevious()), len(t.GetNetwork()), len(t.GetLogon()),
		len(t.GetAccount()), len(t.GetAdditional())); err != nil {
		return nil, err
	}
	clock, boot := difference{d.in.Created}, difference{}
	all, out := make([]event.Event, n), make([]*event.Event, n)
	for i := range all {
		r := row{d: d, table: "events", index: i}
		e := &all[i]
		out[i] = e
		if e.Table = event.Table(t.Table[i]); t.Table[i] > math.MaxUint8 || !e.Table.Valid() {
			r.fail("table", "%d is unknown", t.Table[i])
		}
		if e.Action = r.text("action", t.Action[i]); r.err == nil && !isAction(e.Action) {
			r.fail("action", "is not 1 to 64 letters and digits")
		}
		if e.Time = r.moment("time", &clock, t.Time[i]); r.err == nil && e.Time.IsZero() {
			r.fail("time", "is not given")
		}
		if t.Boot[i] != 0 && r.err == nil {
			e.Boot = boot.take(t.Boot[i]) + clock.last
			if e.Boot <= 0 || e.Boot >= maxBoot {
				r.fail("boot", "is out of range")
			}
		}
		e.Initiating = part(&r, "initiating", d.processes, t.Initiating[i])
		e.Process = part(&r, "process", d.processes, t.Process[i])
		e.File, e.Previous = part(&r, "file", d.files, t.File[i]), part(&r, "previous", d.files, t.Previous[i])
		e.Network, e.Logon = part(&r, "network", d.networks, t.Network[i]), part(&r, "logon", d.logons, t.Logon[i])
		e.Account = part(&r, "account", d.accounts, t.Account[i])
		if e.Additional = r.text("additional", t.Additional[i]); e.Additional != "" && !d.isObject(t.Additional[i]) {
			r.fail("additional", "is not a JSON object")
		}
		if r.err != nil {
			return nil, r.err
		}
	}
	return out, nil
}

// isObject remembers its answer, because many events may share one text.
func (d *decoding) isObject(ref uint32) bool {
	if d.object[ref] == 0 {
		d.object[ref] = 1
		if isObject(d.texts[ref]) {
			d.object[ref] = 2
		}
	}
	return d.object[ref] == 2
}

func (d *decoding) readGaps() ([]event.Gap, error) {
	t := d.in.GetGaps()
	n := len(t.GetSource())
	if err := sameLength("gaps", n, len(t.GetReason()), len(t.GetCount()), len(t.GetFrom()), len(t.GetTo())); err != nil {
		return nil, err
	}
	from, to := difference{d.in.Created}, difference{d.in.Created}
	var out []event.Gap
	for i := range n {
		r := row{d: d, table: "gaps", index: i}
		g := event.Gap{Source: r.text("source", t.Source[i]), Reason: r.text("reason", t.Reason[i]), Count: t.Count[i],
			From: r.moment("from", &from, t.From[i]), To: r.moment("to", &to, t.To[i])}
		if r.err == nil && g.Source == "" {
			r.fail("source", "is empty")
		}
		if r.err != nil {
			return nil, r.err
		}
		out = append(out, g)
	}
	return out, nil
}
