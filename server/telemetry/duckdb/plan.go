package duckdb

import (
	"context"
	"errors"
	"strings"

	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/sqlgen"
	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/telemetry"
)

// Query implements telemetry.Querier.
func (s *Store) Query(ctx context.Context, q *telemetry.Query, sink telemetry.Sink) (telemetry.Stats, error) {
	st := &statement{tenant: q.Tenant, limits: q.Limits}
	for _, c := range q.Plan.Columns() {
		st.columns = append(st.columns, c.Type)
	}
	width := len(st.columns)
	if width == 0 {
		// SQL has no rows without columns: the writer makes one up.
		st.columns = []types.Type{types.Long}
	}
	st.sql = func(n *snapshot) (string, error) {
		text, _, err := sqlgen.Generate(q.Plan, &sources{n, s.tables})
		return text, planError(err)
	}
	return s.execute(ctx, st, func(row []types.Value) error { return sink(row[:width]) })
}

func planError(err error) error {
	var known *errs.E
	var unsupported *sqlgen.Unsupported
	var large *sqlgen.TooLarge
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return known
	case errors.As(err, &unsupported):
		return &errs.E{Op: "duckdb.Query", Kind: errs.Unsupported, Detail: unsupported.Error(), Err: err}
	case errors.As(err, &large):
		return &errs.E{Op: "duckdb.Query", Kind: errs.Invalid, Code: errs.BadRequest, Detail: large.Error(), Err: err}
	}
	return &errs.E{Op: "duckdb.Query", Detail: textBroken, Err: err}
}

// sources tells the writer of SQL which files a scan reads.
type sources struct {
	*snapshot
	tables map[string]*tableShape
}

// Source implements sqlgen.Sources.
func (n *sources) Source(scan *plan.Scan) (sqlgen.Source, error) {
	if scan.External != nil {
		return sqlgen.Source{}, errs.New("duckdb.Query", errs.Unsupported, errs.DisabledFeature,
			"externaldata is not available on this server: queries read the tables of telemetry alone, no addresses and no files")
	}
	shape := n.tables[scan.Base]
	if shape == nil {
		return sqlgen.Source{}, errs.New("duckdb.Query", errs.Invalid, "", "the store has no table %q", scan.Base)
	}
	list := n.list(scan.Base, rangeOf(scan, colTime), rangeOf(scan, colIngest))
	src := sqlgen.Source{Files: n.paths(list)}
	// A column that was added since is in none of the older files.
	columns := ""
	for _, g := range list {
		columns = joinColumns(columns, g.columns)
	}
	if columns == shape.names || len(list) == 0 {
		return src, nil
	}
	src.Missing = map[string]bool{}
	for _, c := range shape.columns {
		src.Missing[c.Name] = true
	}
	for _, name := range strings.Fields(columns) {
		delete(src.Missing, name)
	}
	return src, nil
}

func rangeOf(scan *plan.Scan, column string) timeRange {
	r := scan.Time(column)
	return timeRange{r.Min, r.Max}
}
