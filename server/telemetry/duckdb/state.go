package duckdb

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/telemetry"
	"github.com/vedette-edr/vedette/server/telemetry/duckdb/parquet"
)

// stateKey names the file of a table that is not stored among those of a query.
func stateKey(table string) string { return "state " + table }

// stateTables are the tables of a query that are not stored.
func stateTables(q *telemetry.Query) []string {
	if q.State == nil {
		return nil
	}
	var out []string
	plan.Walk(q.Plan, func(n plan.Node) {
		if scan, ok := n.(*plan.Scan); ok && scan.External == nil && q.State.Holds(scan.Base) && !slices.Contains(out, scan.Base) {
			out = append(out, scan.Base)
		}
	})
	return out
}

// bringState makes a file of the rows that a table has now. A query has one file of each
// table, however often it reads it, so that all of it sees one moment.
func (s *Store) bringState(ctx context.Context, q *telemetry.Query, table string) (string, error) {
	const op = "duckdb.bringState"
	shape := s.tables[table]
	if shape == nil {
		return "", errs.New(op, errs.Invalid, "", "the store has no table %q", table)
	}
	columns := shape.newColumns()
	rows := 0
	err := q.State.Rows(ctx, q.Tenant, table, func(row telemetry.Row) error {
		rows++
		for i := range shape.columns {
			c := &shape.columns[i]
			c.put(columns[i], row[c.Name])
		}
		return nil
	})
	if err != nil || rows == 0 {
		return "", err
	}
	enc, err := parquet.NewEncoder()
	if err != nil {
		return "", err
	}
	b, err := enc.Encode(nil, columns)
	if err != nil {
		return "", err
	}
	name := fmt.Sprintf("%s/%d.parquet", externalDir, s.nextID.Add(1))
	if err := writeSegment(filepath.Join(s.segmentDir(q.Tenant), name), b); err != nil {
		return "", &errs.E{Op: op, Kind: errs.Unavailable, Code: errs.ServiceDegraded, Detail: textBroken, Err: err}
	}
	return name, nil
}
