// Package duckfn registers kql_call, the foreign function of statements that kql/sqlgen
// writes, with a DuckDB connection.
//
// It is apart from sqlgen because it needs cgo. A process that runs generated statements
// calls Register once on each connection it opens; nothing else is to know.
package duckfn

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"sync"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"github.com/vedette-edr/vedette/kql/funcs"
	"github.com/vedette-edr/vedette/kql/sqlgen"
)

// Register makes kql_call known on a connection. It asks places where addresses are; nil
// for nobody.
func Register(conn *sql.Conn, places funcs.Places) error {
	text, err := duckdb.NewTypeInfo(duckdb.TYPE_VARCHAR)
	if err != nil {
		return fmt.Errorf("type of kql_call: %w", err)
	}
	f := &function{text: text, pool: sync.Pool{New: func() any { return sqlgen.NewCaller(places) }}}
	if err := duckdb.RegisterScalarUDF(conn, "kql_call", f); err != nil {
		return fmt.Errorf("register kql_call: %w", err)
	}
	return nil
}

type function struct {
	text duckdb.TypeInfo
	pool sync.Pool // of *sqlgen.Caller: DuckDB calls from several threads
}

// Config implements duckdb.ScalarFunc.
func (f *function) Config() duckdb.ScalarFuncConfig {
	return duckdb.ScalarFuncConfig{
		InputTypeInfos:      []duckdb.TypeInfo{f.text},
		VariadicTypeInfo:    f.text,
		ResultTypeInfo:      f.text,
		SpecialNullHandling: true,
	}
}

// Executor implements duckdb.ScalarFunc.
func (f *function) Executor() duckdb.ScalarFuncExecutor {
	return duckdb.ScalarFuncExecutor{RowExecutor: f.row}
}

func (f *function) row(values []driver.Value) (any, error) {
	c := f.pool.Get().(*sqlgen.Caller)
	defer f.pool.Put(c)
	spec, ok := values[0].(string)
	if !ok {
		return nil, fmt.Errorf("kql_call: the function's name is a %T", values[0])
	}
	args := make([]*string, len(values)-1)
	for i, v := range values[1:] {
		if s, ok := v.(string); ok {
			args[i] = &s
		}
	}
	out, err := c.Call(spec, args)
	if err != nil || out == nil {
		return nil, err
	}
	return *out, nil
}
