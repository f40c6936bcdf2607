package behavior

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"time"

	"github.com/vedette-edr/vedette/detection"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/telemetry"
)

// Bounds of reading a rule's events from the store.
const (
	maxRows    = 100_000
	maxElapsed = 2 * time.Minute
)

// Replay examines what a tenant's store took in since its memory was last written, for
// the rules that need more than one event. It returns what they raise: alerts whose ids
// follow from what was found, so that most are known already. until is where live batches
// began.
func (d *Detector) Replay(ctx context.Context, store telemetry.Querier, id ident.TenantID, until time.Time) ([]*alert.Alert, error) {
	const op = "behavior.Replay"
	t := d.running(id)
	var rules []*detection.Compiled
	var span time.Duration
	for _, r := range t.set.Rules() {
		if r.Stateful() {
			rules, span = append(rules, r), max(span, r.Span())
		}
	}
	if len(rules) == 0 {
		return nil, nil
	}
	from := d.Position(id)
	if oldest := until.Add(-span); from.Before(oldest) {
		from = oldest
	}
	records, err := Read(ctx, store, id, rules, "IngestionTime", from, until)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	set := detection.NewSet(rules, &d.counters)
	return d.match(ctx, tenant{set: set, rules: t.rules, state: t.state}, id, slices.Values(records))
}

// Read returns the events that rules' queries may be about, with column (Timestamp or
// IngestionTime) from from up to before until, in the order of their time, each once. More
// than 100,000 of one query are errs.Limited.
func Read(ctx context.Context, store telemetry.Querier, id ident.TenantID, rules []*detection.Compiled, column string, from, until time.Time) ([]*detection.Record, error) {
	type key struct {
		table, device string
		report        int64
		at            int64
	}
	seen := map[key]bool{}
	var out []*detection.Record
	for _, r := range rules {
		for _, q := range r.Queries() {
			rows, err := rowsOf(ctx, store, id, q, column, from, until)
			if err != nil {
				return nil, err
			}
			for rec := range rows {
				k := key{rec.Table, rec.Device, rec.Report, rec.At.UnixNano()}
				if !seen[k] {
					seen[k] = true
					out = append(out, rec)
				}
			}
		}
	}
	slices.SortStableFunc(out, func(a, b *detection.Record) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Device, b.Device), cmp.Compare(a.Report, b.Report))
	})
	return out, nil
}

// rowsOf asks the store for the events that pass a query's own first filters.
func rowsOf(ctx context.Context, store telemetry.Querier, id ident.TenantID, q detection.Query, column string, from, until time.Time) (iter.Seq[*detection.Record], error) {
	scan := q.Scan
	r := plan.TimeRange{Min: types.FromTime(from), Max: types.FromTime(until) - 1}
	at := scan.Read(column, types.Datetime)
	scan.Pred = plan.NewCall("and", types.Bool,
		plan.NewCall(">=", types.Bool, at, &plan.Const{V: types.NewDatetime(r.Min)}),
		plan.NewCall("<=", types.Bool, at, &plan.Const{V: types.NewDatetime(r.Max)}))
	scan.Ranges = []plan.ColumnRange{{Source: column, TimeRange: r}}
	var root plan.Node = scan
	for _, f := range q.Filters {
		root = &plan.Filter{In: root, Pred: f}
	}
	res, err := telemetry.Collect(ctx, store, &telemetry.Query{Tenant: id, Plan: root,
		Limits: telemetry.Limits{Rows: maxRows, Time: maxElapsed}})
	if err != nil {
		return nil, err
	}
	return func(yield func(*detection.Record) bool) {
		for _, row := range res.Rows {
			cells := make(map[string]types.Value, len(row))
			for i, c := range scan.Cols {
				cells[c.Source] = row[i]
			}
			rec := detection.FromRow(q.Table, cells)
			if rec.Ingested.IsZero() {
				rec.Ingested = rec.At
			}
			if !yield(&rec) {
				return
			}
		}
	}, nil
}
