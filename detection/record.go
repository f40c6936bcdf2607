package detection

import (
	"time"

	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/schema/event"
)

// Record is one event as rules see it: fresh from a device, or a row that a store kept of
// one. The two answer alike, cell for cell.
type Record struct {
	Table      string // physical hunting table
	Action     string
	Device     string
	DeviceName string
	Report     int64     // names the event within the device
	At         time.Time // corrected by the device's clock offset
	Raw        time.Time // by the device's own clock, which a second sending does not change
	Ingested   time.Time

	event  *event.Event
	origin event.Origin
	row    map[string]types.Value
}

// FromEvent returns the record of an event; o must not change while it is in use.
func FromEvent(o event.Origin, e *event.Event) Record {
	return Record{
		Table: e.Table.String(), Action: e.Action, Device: o.DeviceID, DeviceName: o.DeviceName, Report: o.ReportID,
		At: o.Timestamp, Raw: e.Time, Ingested: o.Ingested, event: e, origin: o,
	}
}

// FromRow returns the record of a stored row, whose cells are keyed by column name; one
// that is missing is null.
func FromRow(table string, row map[string]types.Value) Record {
	r := Record{Table: table, row: row, Action: row["ActionType"].S, Device: row["DeviceId"].S, DeviceName: row["DeviceName"].S, Report: row["ReportId"].I}
	at := func(name string) time.Time {
		if v, ok := row[name]; ok && !v.Null && v.Type == types.Datetime {
			return event.FromTicks(v.I)
		}
		return time.Time{}
	}
	r.At, r.Raw, r.Ingested = at("Timestamp"), at("RawTimestamp"), at("IngestionTime")
	if r.Raw.IsZero() {
		r.Raw = r.At
	}
	return r
}

// column is a column of events as some query reads it.
type column struct {
	name string
	typ  types.Type
	read event.Reader // nil for one that no event fills
}

func newColumn(name string, typ types.Type) column {
	read, ok := event.Column(name)
	if !ok {
		read = nil
	}
	return column{name, typ, read}
}

func (r *Record) cell(c *column) types.Value {
	if r.event == nil {
		v, ok := r.row[c.name]
		if !ok {
			return types.Null(c.typ)
		}
		return types.Convert(v, c.typ)
	}
	if c.read == nil {
		return types.Null(c.typ)
	}
	v := c.read(&r.origin, r.event)
	switch v.Kind {
	case event.String:
		if c.typ == types.String {
			return types.NewString(v.S)
		}
		return types.Convert(types.NewString(v.S), c.typ)
	case event.Int:
		if c.typ == types.Long {
			return types.NewLong(v.N)
		}
		return types.Convert(types.NewLong(v.N), c.typ)
	case event.Bool:
		return types.Convert(types.NewBool(v.N != 0), c.typ)
	case event.Time:
		return types.Convert(types.NewDatetime(v.N), c.typ)
	}
	return types.Null(c.typ)
}

// text reads a column as text, "" for null.
func (r *Record) text(name string) string {
	c := newColumn(name, types.String)
	return r.cell(&c).S
}

func (r *Record) number(name string) int64 {
	c := newColumn(name, types.Long)
	if v := r.cell(&c); !v.Null {
		return v.I
	}
	return 0
}

func (r *Record) time(name string) time.Time {
	c := newColumn(name, types.Datetime)
	if v := r.cell(&c); !v.Null {
		return event.FromTicks(v.I)
	}
	return time.Time{}
}
