// Package telemetry is the contract between the server and whatever stores hunting rows:
// what is appended, when it counts as kept, and how it is queried.
//
// The invariant: when Append returns nil, the batch survives a crash at any instant and
// is counted once, whatever is re-sent. Implementations are the packages below this one;
// each passes the suite of telemetrytest.
package telemetry

import (
	"context"
	"time"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/ident"
)

// Batch is what one device sent in one piece, decoded and validated.
type Batch struct {
	Tenant      ident.TenantID
	Device      ident.DeviceID
	DeviceName  string // as it was when the batch came in
	Incarnation uint64 // changes whenever the device enrols again
	Sequence    uint64 // 1, 2, 3, … within an incarnation
	Hash        [32]byte
	FirstReport int64         // ReportId of Events[0]; the rest count up
	Offset      time.Duration // server clock minus device clock; applied beyond 2 s
	Received    time.Time     // ingestion time
	Events      []*event.Event
	Gaps        []event.Gap // the device's own loss ledger since its last batch
	// Raw is the batch as it came over the wire. It is what the journal keeps; Decode,
	// given to the store when it is opened, turns it into Events and Gaps at replay.
	Raw []byte
}

// Ack is what became of an appended batch.
type Ack uint8

// The outcomes of Append.
const (
	Committed Ack = iota + 1
	Duplicate     // the same sequence with the same hash was committed before
)

// Row is one row that the server itself makes: inventory, alerts, gaps. Columns that
// are not named are null; unknown columns are an error.
type Row map[string]event.Value

// Appender takes rows in.
type Appender interface {
	// Append returns after the batch is on stable storage. A sequence that was committed
	// with another hash is errs.Conflict with code DeviceCloned; a store that cannot
	// write is errs.Unavailable with code StoreFull and a Retry.
	Append(ctx context.Context, b *Batch) (Ack, error)
	// AppendRows commits rows of one table that no device sent. The rows' Timestamp and
	// IngestionTime are the caller's.
	AppendRows(ctx context.Context, tenant ident.TenantID, table string, rows []Row) error
}

// Status is the store's own view of its health, for /readyz, metrics and operators.
type Status struct {
	Degraded    string // why, in words for people; "" when all is well
	JournalSize int64  // bytes not yet in segments
	Segments    int
	Oldest      time.Time // ingestion time of the oldest row kept
	Committed   uint64    // events since start
	Duplicates  uint64    // batches since start
	Conflicts   uint64    // batches since start
	Workers     int       // query workers alive
	Sandbox     string    // what the workers' sandbox lacks, in words for people; "" for nothing
}

// State is what the server knows now, shown as hunting tables: nobody appends their rows,
// each query is given those of the moment.
type State interface {
	// Holds reports whether a physical table is one of these.
	Holds(table string) bool
	// Rows passes the rows of a tenant's table to take, whose error ends it. Columns that a
	// row does not name are null.
	Rows(ctx context.Context, tenant ident.TenantID, table string, take func(Row) error) error
}
