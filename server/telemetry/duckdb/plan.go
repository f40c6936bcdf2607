package duckdb

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/kql/eval"
	"github.com/vedette-edr/vedette/kql/exec"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/sqlgen"
	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/telemetry"
)

// maxInterpreting is how many queries run at once that SQL cannot say whole: what they
// work on is in the memory of the serving process.
const maxInterpreting = 2

// Bounds on the rows that statements hand to the interpreter for one query.
const (
	partRows  = 500_000
	partCells = 6_000_000 // of one step of the interpreter, some 60 bytes each
	partBytes = 256 << 20
	partMade  = 96 << 20 // of what one step computes; the collector may hold thrice that
)

// Query implements telemetry.Querier. What SQL can say whole streams from the worker; of
// the rest the interpreter runs what SQL cannot say, on rows of the same snapshot.
func (s *Store) Query(ctx context.Context, q *telemetry.Query, sink telemetry.Sink) (telemetry.Stats, error) {
	files, err := s.bring(ctx, q)
	if err != nil {
		return telemetry.Stats{}, err
	}
	defer s.drop(q.Tenant, files)
	st := s.statement(q, q.Plan, files)
	width := len(q.Plan.Columns())
	stats, err := s.execute(ctx, st, func(row []types.Value) error { return sink(row[:width]) })
	var unsupported *sqlgen.Unsupported
	if !errors.As(err, &unsupported) {
		return stats, err
	}
	return s.interpret(ctx, q, files, sink)
}

// statement is a plan that is to be written as one statement.
func (s *Store) statement(q *telemetry.Query, root plan.Node, files externals) *statement {
	st := &statement{tenant: q.Tenant, caller: q.Caller, limits: q.Limits}
	for _, c := range root.Columns() {
		st.columns = append(st.columns, c.Type)
	}
	if len(st.columns) == 0 {
		// SQL has no rows without columns: the writer makes one up.
		st.columns = []types.Type{types.Long}
	}
	st.sql = func(n *snapshot) (string, error) {
		text, _, err := sqlgen.Generate(root, &sources{n, s.tables, files})
		return text, planError(err)
	}
	return st
}

// interpret runs a plan of which SQL can say parts only, within the limits of the whole.
func (s *Store) interpret(ctx context.Context, q *telemetry.Query, files externals, sink telemetry.Sink) (telemetry.Stats, error) {
	const op = "duckdb.Query"
	limits := s.pool.cfg.bounded(q.Limits)
	begin := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, limits.Time, errs.New(op, errs.Timeout, "", textTimeout))
	defer cancel()
	who := party{q.Tenant, q.Caller}
	if err := s.interpreters.enter(ctx, who); err != nil {
		return telemetry.Stats{}, poolError(op, err)
	}
	defer s.interpreters.leave(who)
	started := time.Now()
	p := &parts{store: s, query: q, files: files, limits: limits, left: partBytes, snap: s.snapshot(q.Tenant, "")}
	defer s.release(p.snap)
	rows, err := exec.Above(ctx, q.Plan, p, eval.Limits{Rows: partRows, Cells: partCells, Bytes: partMade, Places: s.places})
	p.stats.Rows, p.stats.Bytes = 0, 0
	if err == nil {
		for _, row := range rows {
			p.stats.Bytes += sizeOf(row)
			if p.stats.Rows++; p.stats.Rows > limits.Rows || p.stats.Bytes > limits.Bytes {
				err = errs.New(op, errs.Limited, "", textSize)
				break
			}
			if err = sink(row); err != nil {
				break
			}
		}
	}
	// What the interpreter itself takes is counted, and what its statements waited is not.
	p.stats.Elapsed, p.stats.Running = time.Since(begin), time.Since(started)-p.waited
	return p.stats, interpretError(ctx, err)
}

// interpretError names what ended the interpreter in the published words.
func interpretError(ctx context.Context, err error) error {
	const op = "duckdb.Query"
	var known *errs.E
	var many *eval.TooMuch
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return known
	case errors.As(err, &many):
		return &errs.E{Op: op, Kind: errs.Limited, Detail: textResources, Err: err}
	case ctx.Err() != nil:
		return &errs.E{Op: op, Kind: errs.Timeout, Detail: textTimeout, Err: err}
	}
	// What is left is what a plug-in says of its arguments.
	return &errs.E{Op: op, Kind: errs.Invalid, Detail: err.Error(), Err: err}
}

// parts answers the subtrees of one query; it is the exec.Querier of the interpreter.
type parts struct {
	store  *Store
	query  *telemetry.Query
	files  externals
	limits telemetry.Limits
	snap   *snapshot
	left   int64         // bytes that rows may still take
	waited time.Duration // of statements, for a worker
	stats  telemetry.Stats
}

// Query implements exec.Querier.
func (p *parts) Query(ctx context.Context, n plan.Node) (eval.Rows, error) {
	// Whether SQL can say it is asked before a worker is.
	if _, _, err := sqlgen.Generate(n, &sources{p.snap.unread(), p.store.tables, p.files}); err != nil {
		return nil, planError(err)
	}
	st := p.store.statement(p.query, n, p.files)
	st.limits = p.limits
	st.limits.Rows, st.limits.Bytes = partRows, p.left
	st.snap = p.snap
	width := len(n.Columns())
	var rows [][]types.Value
	used, err := p.store.execute(ctx, st, func(row []types.Value) error {
		rows = append(rows, append([]types.Value(nil), row[:width]...))
		return nil
	})
	p.left -= used.Bytes
	p.waited += used.Elapsed - used.Running
	p.stats.CPUUser += used.CPUUser
	p.stats.CPUKernel += used.CPUKernel
	p.stats.Memory = max(p.stats.Memory, used.Memory)
	p.stats.Tables = append(p.stats.Tables, used.Tables...)
	return eval.Slice(rows), err
}

// sizeOf estimates a row as it travels.
func sizeOf(row []types.Value) int64 {
	n := int64(0)
	for _, v := range row {
		switch v.Type {
		case types.Dynamic:
			n += int64(len(v.Text()))
		default:
			n += 9 + int64(len(v.S))
		}
	}
	return n
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
	files  externals
}

// Source implements sqlgen.Sources.
func (n *sources) Source(scan *plan.Scan) (sqlgen.Source, error) {
	if scan.External != nil {
		if name := n.files[key(scan.External)]; name != "" {
			return sqlgen.Source{Files: []string{n.prefix + "/" + name}, Uniform: true, Filled: true}, nil
		}
		return sqlgen.Source{}, nil
	}
	shape := n.tables[scan.Base]
	if shape == nil {
		return sqlgen.Source{}, errs.New("duckdb.Query", errs.Invalid, "", "the store has no table %q", scan.Base)
	}
	if name, ok := n.files[stateKey(scan.Base)]; ok {
		if name == "" {
			return sqlgen.Source{}, nil
		}
		return sqlgen.Source{Files: []string{n.prefix + "/" + name}}, nil
	}
	list := n.list(scan.Base, rangeOf(scan, colTime), rangeOf(scan, colIngest))
	src := sqlgen.Source{Files: n.paths(list)}
	// A column that was added since is in none of the older files.
	columns := ""
	for _, g := range list {
		columns = joinColumns(columns, g.columns)
	}
	// Segments hold the empty text where there is none: see columnShape.put and Store.sort.
	src.Uniform = !slices.ContainsFunc(list, func(g *segment) bool { return g.columns != columns })
	src.Filled = src.Uniform
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
