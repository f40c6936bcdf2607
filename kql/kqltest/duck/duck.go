// Package duck is the kqltest.Engine of generated SQL on an in-memory DuckDB.
//
// It is apart from kqltest because it needs cgo. Each run has a database of its own, with
// the test's tables as DuckDB tables of the types that sqlgen expects.
package duck

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	_ "github.com/duckdb/duckdb-go/v2" // the database/sql driver "duckdb"

	"github.com/vedette-edr/vedette/kql"
	"github.com/vedette-edr/vedette/kql/eval"
	"github.com/vedette-edr/vedette/kql/exec"
	"github.com/vedette-edr/vedette/kql/kqltest"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/sqlgen"
	"github.com/vedette-edr/vedette/kql/sqlgen/duckfn"
	"github.com/vedette-edr/vedette/kql/types"
)

// Engine runs queries on one DuckDB connection; it is not safe for concurrent use.
type Engine struct {
	db     *sql.DB
	conn   *sql.Conn
	loaded *kqltest.Data
	tables int
}

// New opens a database in memory.
func New(ctx context.Context) (*Engine, error) {
	db, err := sql.Open("duckdb", "")
	if err != nil {
		return nil, fmt.Errorf("open duckdb: %w", err)
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to duckdb: %w", err)
	}
	if err := duckfn.Register(conn, nil); err != nil {
		return nil, err
	}
	return &Engine{db: db, conn: conn}, nil
}

// Close closes the database.
func (e *Engine) Close() error {
	if err := e.conn.Close(); err != nil {
		return err
	}
	return e.db.Close()
}

// Run implements kqltest.Engine.
func (e *Engine) Run(ctx context.Context, q *kql.Query, d *kqltest.Data) ([][]types.Value, error) {
	if e.loaded != d || e.tables != len(d.Physical) {
		if err := e.load(ctx, d); err != nil {
			return nil, err
		}
		e.loaded, e.tables = d, len(d.Physical)
	}
	rows, err := exec.Run(ctx, q.Root, querier{e.conn, source{d}}, eval.Limits{})
	if err != nil {
		return nil, err
	}
	return eval.All(rows)
}

type querier struct {
	conn *sql.Conn
	src  sqlgen.Sources
}

func (q querier) Query(ctx context.Context, n plan.Node) (eval.Rows, error) {
	statement, cols, err := sqlgen.Generate(n, q.src)
	if err != nil {
		return nil, err
	}
	rows, err := Query(ctx, q.conn, statement, cols)
	return eval.Slice(rows), err
}

// Query runs a generated statement and decodes its rows.
func Query(ctx context.Context, conn *sql.Conn, text string, cols []plan.Column) ([][]types.Value, error) {
	rs, err := conn.QueryContext(ctx, text)
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, text)
	}
	defer rs.Close()
	var out [][]types.Value
	raw := make([]any, max(len(cols), 1))
	ptr := make([]any, len(raw))
	for i := range raw {
		ptr[i] = &raw[i]
	}
	for rs.Next() {
		if err := rs.Scan(ptr...); err != nil {
			return nil, err
		}
		row := make([]types.Value, len(cols))
		for i, c := range cols {
			if row[i], err = value(raw[i], c.Type); err != nil {
				return nil, fmt.Errorf("column %s: %w", c.Name, err)
			}
		}
		out = append(out, row)
	}
	if err := rs.Err(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, text)
	}
	return out, nil
}

func value(v any, t types.Type) (types.Value, error) {
	switch x := v.(type) {
	case nil:
		return types.Null(t), nil
	case bool:
		return types.NewBool(x), nil
	case int32:
		return types.Value{Type: t, I: int64(x)}, nil
	case int64:
		return types.Value{Type: t, I: x}, nil
	case float64:
		return types.NewReal(x), nil
	case string:
		return sqlgen.Decode(x, t), nil
	}
	return types.Value{}, fmt.Errorf("unexpected %T", v)
}

func (e *Engine) load(ctx context.Context, d *kqltest.Data) error {
	for name, cols := range d.Physical {
		defs := make([]string, len(cols))
		marks := make([]string, len(cols))
		for i, c := range cols {
			defs[i] = fmt.Sprintf("%q %s", c.Name, sqlgen.DuckDBType(physical(c.Type, c.JSONString)))
			marks[i] = "?"
		}
		if _, err := e.conn.ExecContext(ctx, fmt.Sprintf("CREATE OR REPLACE TABLE %q (%s)", name, strings.Join(defs, ", "))); err != nil {
			return err
		}
		for rows := range slices.Chunk(d.Rows[name], 20) {
			var args []any
			for _, row := range rows {
				for _, v := range row {
					args = append(args, param(v))
				}
			}
			list := strings.Repeat(", ("+strings.Join(marks, ", ")+")", len(rows))[2:]
			if _, err := e.conn.ExecContext(ctx, fmt.Sprintf("INSERT INTO %q VALUES %s", name, list), args...); err != nil {
				return err
			}
		}
	}
	return nil
}

func physical(t types.Type, text bool) types.Type {
	if text {
		return types.String
	}
	return t
}

func param(v types.Value) any {
	switch {
	case v.Null:
		return nil
	case v.Type == types.Bool:
		return v.I != 0
	case v.Type == types.Int:
		return int32(v.I)
	case v.Type == types.Real:
		return v.F
	case v.Type == types.Dynamic:
		return types.MarshalDynamic(v.D)
	case v.Type == types.Long || v.Type == types.Datetime || v.Type == types.Timespan:
		return v.I
	}
	return v.S
}

type source struct{ d *kqltest.Data }

// Source implements sqlgen.Sources.
func (s source) Source(scan *plan.Scan) (sqlgen.Source, error) {
	if _, ok := s.d.Physical[scan.Base]; !ok {
		return sqlgen.Source{}, nil
	}
	missing := map[string]bool{}
	for _, c := range append(append([]plan.ScanColumn{}, scan.Cols...), scan.Extra...) {
		missing[c.Source] = true
	}
	for _, c := range s.d.Physical[scan.Base] {
		delete(missing, c.Name)
	}
	return sqlgen.Source{Relation: scan.Base, Missing: missing}, nil
}
