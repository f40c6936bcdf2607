// Package hunt runs a query for someone: it compiles KQL against the hunting tables, keeps
// it within the caller's tenant and the published limits, has the telemetry store run it,
// says what telemetry is known to be missing from the answer, and records who asked what.
//
// It also answers the few questions that other routes have about telemetry: which event a
// reference names, who logged on to a device (lookup.go). Those run as the server itself,
// because their callers need no permission to hunt; the texts are fixed, and values get
// into them as literals of types that were validated.
//
// It neither parses requests nor renders answers: the published shapes of the hunting API
// are package api's. Start at Service.Run.
package hunt

import (
	"errors"
	"time"

	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/server/telemetry"
)

// Request is one query of one caller, who is the principal of the context.
type Request struct {
	Query string
	// From and To bound the Timestamp of the rows that the query gets to see, as the
	// published Timespan does; the zero time bounds nothing.
	From, To time.Time
	// Ingested is what of every table is looked at, by the time it came in; the zero Span
	// is everything.
	Ingested Span
	// At is what now() means; zero for the time of the request.
	At time.Time
}

// Span is a stretch of time, From included and To not.
type Span struct{ From, To time.Time }

// Column is one column of a result.
type Column struct {
	Name string
	Type types.Type
	// JSON marks a dynamic column that the published schema calls a string: its cells are
	// answered as JSON text.
	JSON bool
}

// Table is the rows that a query answers with their columns.
type Table struct {
	Columns []Column
	Rows    *Rows // one cell a column, of the column's type
}

func newTableOf(columns []plan.Column, scratch string) Table {
	var t Table
	var kinds []types.Type
	for _, c := range columns {
		t.Columns = append(t.Columns, Column{Name: c.Name, Type: c.Type, JSON: c.JSONString})
		kinds = append(kinds, c.Type)
	}
	t.Rows = NewRows(kinds, scratch)
	return t
}

// Result is the answer to a query. It belongs to the caller, who closes it.
type Result struct {
	Table
	// More are the further tables of queries that answer several, as with fork and facet.
	More         []Table
	Stats        Stats
	Completeness Completeness
	// Render is the query's render operator as kind and properties, "" for none.
	Render     string
	Properties map[string]string
}

// Close frees the rows.
func (r *Result) Close() error {
	var err error
	if r.Rows != nil {
		err = r.Rows.Close()
	}
	for _, t := range r.More {
		err = errors.Join(err, t.Rows.Close())
	}
	return err
}

// Stats is what a query took.
type Stats struct {
	Elapsed time.Duration // wall, compilation included
	CPU     time.Duration // of the worker
	Memory  int64         // peak of the worker in bytes
	Bytes   int64         // of the rows
}

func (s *Stats) add(t telemetry.Stats) {
	s.CPU += t.CPUUser + t.CPUKernel
	s.Memory = max(s.Memory, t.Memory)
	s.Bytes += t.Bytes
}

// Completeness says whether the rows can be trusted to be all there are.
type Completeness struct {
	Complete bool
	Gaps     []Gap // at most MaxGaps, latest first
	More     bool  // there are gaps beyond those listed
}

// MaxGaps bounds the gaps listed with a result.
const MaxGaps = 100

// Gap is one stretch of missing telemetry that overlaps the time a query looks at.
type Gap struct {
	Device   string
	Source   string
	Reason   string
	Lost     int64 // events; 0 when the number is unknown
	From, To time.Time
}
