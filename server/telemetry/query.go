package telemetry

import (
	"context"
	"io"
	"time"

	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/server/ident"
)

// Table is one physical hunting table as the store keeps it.
type Table struct {
	Name    string
	Columns []Column
}

// Column is one stored column.
type Column struct {
	Name string
	Type types.Type
}

// GapTable is the table that takes the gaps of batches, if the store was given it. Its
// columns are Timestamp, DeviceId, DeviceName, Source, Reason, EventsLost, GapStart,
// GapEnd and IngestionTime.
const GapTable = "VedetteTelemetryGaps"

// Limits bound one query. Zero means the store's own default; no limit can be lifted.
type Limits struct {
	Rows   int           // rows returned; one more is errs.Limited
	Bytes  int64         // of the rows returned, as they travel; more is errs.Limited
	Time   time.Duration // wall clock; more is errs.Timeout
	CPU    time.Duration // of all threads; more is errs.Limited
	Memory int64         // resident bytes; more is errs.Limited
}

// Stats says what a query took.
type Stats struct {
	Rows      int
	Bytes     int64
	Elapsed   time.Duration
	Running   time.Duration // of Elapsed, what was not spent waiting for others
	CPUUser   time.Duration
	CPUKernel time.Duration
	Memory    int64 // peak resident bytes
	Tables    []TableStats
}

// TableStats says how much of a table a query had before it.
type TableStats struct {
	Table string
	Rows  int64
	Bytes int64
	Files int
}

// Sink takes the rows of a result, in order. A row is valid during the call only; an
// error ends the query and is returned by it.
type Sink func(row []types.Value) error

// Querier answers queries.
type Querier interface {
	// Query runs q and hands its rows to sink. What a query does wrong is errs.Invalid,
	// what is too much errs.Limited or errs.Timeout, with the published texts as detail.
	// Cancelling ctx ends it at once.
	Query(ctx context.Context, q *Query, sink Sink) (Stats, error)
}

// Store is a telemetry store. Close ends what it runs; rows that were acknowledged
// before are there when it is opened again.
type Store interface {
	Appender
	Querier
	Status() Status
	io.Closer
}

// Result is a whole result in memory.
type Result struct {
	Rows  [][]types.Value
	Stats Stats
}

// Collect runs q and keeps its rows.
func Collect(ctx context.Context, s Querier, q *Query) (*Result, error) {
	var r Result
	var err error
	r.Stats, err = s.Query(ctx, q, func(row []types.Value) error {
		r.Rows = append(r.Rows, append([]types.Value(nil), row...))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &r, nil
}

// Query is one question of one tenant.
type Query struct {
	Tenant ident.TenantID
	// Caller is who asks, in any unique spelling; "" is the server itself. Stores share out
	// what they have among tenants first, and among a tenant's callers then.
	Caller string
	// Plan is the bound query; its columns are the result's. It is not changed.
	Plan   plan.Node
	Limits Limits
	// External answers the rows of files that Plan names by address, and of what the caller
	// brings along (x.Given), in order and with a value for each of x.Cols; the store asks it
	// once for each. Nil refuses such plans as errs.Unsupported.
	External func(ctx context.Context, x *plan.External, sink Sink) error
	// State answers the tables that are not stored; nil for none.
	State State
}
