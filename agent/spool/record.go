package spool

import (
	"encoding/binary"
	"errors"
	"time"
)

// record is one batch as it lies in the journal of telemetry: what the spool itself needs
// to know of it, then the frame.
type record struct {
	Sequence    uint64
	FirstReport int64
	Events      int
	Covered     uint64 // emitted events accounted for up to and with this batch
	Created     time.Time
	Frame       []byte
}

const (
	recordVersion = 1
	recordHead    = 1 + 8 + 8 + 4 + 8 + 8
)

func (r *record) encode() []byte {
	b := make([]byte, 0, recordHead+len(r.Frame))
	b = append(b, recordVersion)
	b = binary.LittleEndian.AppendUint64(b, r.Sequence)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.FirstReport))
	b = binary.LittleEndian.AppendUint32(b, uint32(r.Events))
	b = binary.LittleEndian.AppendUint64(b, r.Covered)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Created.UnixNano()))
	return append(b, r.Frame...)
}

var errRecord = errors.New("spool: record of an unknown kind")

// parseRecord reads a record; its frame is part of b.
func parseRecord(b []byte) (*record, error) {
	if len(b) < recordHead || b[0] != recordVersion {
		return nil, errRecord
	}
	u := binary.LittleEndian
	return &record{
		Sequence: u.Uint64(b[1:]), FirstReport: int64(u.Uint64(b[9:])), Events: int(u.Uint32(b[17:])),
		Covered: u.Uint64(b[21:]), Created: time.Unix(0, int64(u.Uint64(b[29:]))).UTC(), Frame: b[recordHead:],
	}, nil
}
