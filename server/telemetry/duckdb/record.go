package duckdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/telemetry"
)

// The kinds of journal record. They are on disk: never renumber.
const (
	recordBatch = 1 // a device's batch: stamp, then the batch as it came
	recordRows  = 2 // rows that the server made
	recordProbe = 3 // nothing: shows that the disk takes writes again
)

var errRecord = errors.New("malformed journal record")

// encodeBatch makes the record of b.
func encodeBatch(b *telemetry.Batch) []byte {
	r := make([]byte, 0, len(b.Raw)+200)
	r = append(r, recordBatch)
	r = putText(r, string(b.Tenant))
	r = putText(r, string(b.Device))
	r = putText(r, b.DeviceName)
	r = binary.AppendUvarint(r, b.Incarnation)
	r = binary.AppendUvarint(r, b.Sequence)
	r = append(r, b.Hash[:]...)
	r = binary.AppendVarint(r, b.FirstReport)
	r = binary.AppendVarint(r, int64(b.Offset))
	r = binary.AppendVarint(r, event.Ticks(b.Received))
	return append(r, b.Raw...)
}

// decodeBatch is the inverse; Events and Gaps are left for Config.Decode. Raw is a copy.
func decodeBatch(r []byte) (*telemetry.Batch, error) {
	d := &decoder{b: r[1:]}
	b := &telemetry.Batch{
		Tenant:      ident.TenantID(d.text()),
		Device:      ident.DeviceID(d.text()),
		DeviceName:  d.text(),
		Incarnation: d.uvarint(),
		Sequence:    d.uvarint(),
	}
	copy(b.Hash[:], d.take(len(b.Hash)))
	b.FirstReport = d.varint()
	b.Offset = time.Duration(d.varint())
	b.Received = event.FromTicks(d.varint())
	if d.bad {
		return nil, errRecord
	}
	b.Raw = slices.Clone(d.b)
	return b, nil
}

// rowsRecord is the decoded form of a record of rows.
type rowsRecord struct {
	tenant ident.TenantID
	table  string
	rows   []telemetry.Row
}

func encodeRows(tenant ident.TenantID, table string, rows []telemetry.Row) []byte {
	r := []byte{recordRows}
	r = putText(r, string(tenant))
	r = putText(r, table)
	r = binary.AppendUvarint(r, uint64(len(rows)))
	for _, row := range rows {
		r = binary.AppendUvarint(r, uint64(len(row)))
		for name, v := range row {
			r = putText(r, name)
			r = append(r, byte(v.Kind))
			switch v.Kind {
			case event.Null:
			case event.String:
				r = putText(r, v.S)
			default:
				r = binary.AppendVarint(r, v.N)
			}
		}
	}
	return r
}

func decodeRows(r []byte) (*rowsRecord, error) {
	d := &decoder{b: r[1:]}
	rec := &rowsRecord{tenant: ident.TenantID(d.text()), table: d.text()}
	for range d.count() {
		row := telemetry.Row{}
		for range d.count() {
			name := d.text()
			v := event.Value{Kind: event.Kind(d.byte())}
			switch v.Kind {
			case event.Null:
			case event.String:
				v.S = d.text()
			case event.Int, event.Bool, event.Time:
				v.N = d.varint()
			default:
				return nil, fmt.Errorf("%w: value of kind %d", errRecord, v.Kind)
			}
			row[name] = v
		}
		rec.rows = append(rec.rows, row)
	}
	if d.bad || len(d.b) > 0 {
		return nil, errRecord
	}
	return rec, nil
}

func putText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decoder reads fields; once one is cut short, bad is set and all that follow are zero.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) fail() {
	d.bad = true
	d.b = nil
}

func (d *decoder) take(n int) []byte {
	if n < 0 || n > len(d.b) {
		d.fail()
		return nil
	}
	t := d.b[:n]
	d.b = d.b[n:]
	return t
}

func (d *decoder) byte() byte {
	if t := d.take(1); len(t) == 1 {
		return t[0]
	}
	return 0
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

// count reads a number of things that take at least a byte each.
func (d *decoder) count() int {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) text() string {
	n := d.uvarint()
	if n > math.MaxInt32 {
		d.fail()
		return ""
	}
	return string(d.take(int(n)))
}
