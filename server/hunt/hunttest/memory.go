// Package hunttest holds telemetry in memory for the tests of hunting: a telemetry.Querier
// that answers by the interpreter of KQL, which shares no code with SQL.
//
// It is no store: nothing is durable and every query reads all rows. The invariant: a row
// has every column of its table, filled by the same readers as a real store's. Limits
// other than that of rows are not kept. Start at Memory.
package hunttest

import (
	"context"
	"sync"
	"time"

	"github.com/vedette-edr/vedette/kql/eval"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/schema"
	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/telemetry"
)

// Memory is telemetry in memory. The zero Memory is empty; it is safe for concurrent use.
type Memory struct {
	mu   sync.Mutex
	rows map[place][]map[string]types.Value
}

type place struct {
	tenant ident.TenantID
	table  string
}

var _ telemetry.Querier = (*Memory)(nil)

// Add keeps events of one device, which get the ReportIds from first on.
func (m *Memory) Add(tenant ident.TenantID, o event.Origin, events ...*event.Event) {
	for i, e := range events {
		at := o
		at.ReportID += int64(i)
		if at.Timestamp = e.Time; at.Ingested.IsZero() {
			at.Ingested = e.Time.Add(time.Second)
		}
		row := telemetry.Row{}
		t, _ := schema.Lookup(e.Table.String())
		for _, c := range t.Columns {
			if read, ok := event.Column(c.Name); ok && c.Stored() {
				row[c.Name] = read(&at, e)
			}
		}
		m.AddRow(tenant, t.Name, row)
	}
}

// AddRow keeps one row of a physical table; columns that it does not name are null.
func (m *Memory) AddRow(tenant ident.TenantID, table string, row telemetry.Row) {
	t, ok := schema.Lookup(table)
	if !ok || t.Base != "" {
		panic("hunttest: no physical table " + table)
	}
	cells := map[string]types.Value{}
	for _, c := range t.Columns {
		if c.Stored() {
			cells[c.Name] = cell(row[c.Name], c.Type)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.rows == nil {
		m.rows = map[place][]map[string]types.Value{}
	}
	p := place{tenant, table}
	m.rows[p] = append(m.rows[p], cells)
}

func cell(v event.Value, t types.Type) types.Value {
	switch v.Kind {
	case event.String:
		if t == types.Dynamic {
			return types.ParseDynamic(v.S)
		}
		return types.ParseAs(v.S, t)
	case event.Int:
		return types.Convert(types.NewLong(v.N), t)
	case event.Bool:
		return types.NewBool(v.N != 0)
	case event.Time:
		return types.NewDatetime(v.N)
	}
	return types.Null(t)
}

// Query implements telemetry.Querier.
func (m *Memory) Query(ctx context.Context, q *telemetry.Query, sink telemetry.Sink) (telemetry.Stats, error) {
	const op = "hunttest.Query"
	var s telemetry.Stats
	rows, err := eval.Run(ctx, q.Plan, tenant{m, q}, eval.Limits{})
	if err != nil {
		return s, errs.Wrap(op, err)
	}
	for _, r := range rows {
		if q.Limits.Rows > 0 && s.Rows == q.Limits.Rows {
			return s, errs.New(op, errs.Limited, "", "more than %d rows", q.Limits.Rows)
		}
		if err := sink(r); err != nil {
			return s, err
		}
		s.Rows++
	}
	return s, nil
}

// tenant is the rows of one tenant.
type tenant struct {
	*Memory
	q *telemetry.Query
}

// Open implements eval.RowSource.
func (t tenant) Open(ctx context.Context, s *plan.Scan) (eval.Rows, error) {
	if s.External != nil {
		return t.external(ctx, s)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var out [][]types.Value
	for _, cells := range t.rows[place{t.q.Tenant, s.Base}] {
		var row []types.Value
		for _, cols := range [][]plan.ScanColumn{s.Cols, s.Extra} {
			for _, c := range cols {
				row = append(row, types.Convert(cells[c.Source], c.Type))
			}
		}
		out = append(out, row)
	}
	return eval.Slice(out), nil
}

func (t tenant) external(ctx context.Context, s *plan.Scan) (eval.Rows, error) {
	if t.q.External == nil {
		return nil, errs.New("hunttest.Query", errs.Unsupported, errs.DisabledFeature, "externaldata is not available")
	}
	var out [][]types.Value
	err := t.q.External(ctx, s.External, func(row []types.Value) error {
		out = append(out, s.ExternalRow(row))
		return nil
	})
	return eval.Slice(out), err
}
