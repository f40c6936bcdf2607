// Package sqlgen writes a bound plan as one SQL statement.
//
// It takes plans only, never text: every literal passes through one function, every
// identifier is made by the writer itself (c7, o3), and file names are literals like any
// other, so that nothing a query says is spliced. What SQL cannot say as Kusto means it
// becomes a call of one foreign function, kql_call, that the embedding process registers
// with Caller (kql/sqlgen/duckfn does it for DuckDB) and that computes with kql/funcs.
//
// Values in SQL: string, guid and decimal are VARCHAR, dynamic is VARCHAR holding JSON
// text or NULL, datetime and timespan are BIGINT ticks, int INTEGER, long BIGINT, real
// DOUBLE, bool BOOLEAN. A string column may be NULL inside the statement, which means the
// empty string; the statement's results never are. Start at Generate and node.go.
package sqlgen

import (
	"fmt"
	"strings"

	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/types"
)

// Sources tells where the rows of a scan are.
type Sources interface {
	Source(scan *plan.Scan) (Source, error)
}

// Source is the data of one table: Parquet files with the columns' DuckDBType, or a
// relation that the connection already has. With neither, the table is empty.
type Source struct {
	Files []string
	// Relation is the name of a table or view of the connection; it must have all columns.
	Relation string
	// Missing names columns that no file has; they read as null.
	Missing map[string]bool
	// Uniform says that every file has every column that is not Missing, so that no file
	// need be looked into before the statement is planned.
	Uniform bool
	// Filled says that no text that is there is NULL. Reading such columns bare lets the
	// database work on its dictionaries instead of every row.
	Filled bool
}

// Generate writes root as SQL for DuckDB. The statement's columns are those answered, in
// order, under positional names; rows come in the order that the query asked for.
func Generate(root plan.Node, src Sources) (string, []plan.Column, error) {
	g := &gen{src: src, d: duckDB()}
	sql, err := g.statement(root)
	if err != nil {
		return "", nil, err
	}
	return sql, root.Columns(), nil
}

// Unsupported is the error for a plan that SQL cannot say yet; package eval runs it.
type Unsupported struct{ What string }

// Error implements error.
func (u *Unsupported) Error() string { return u.What + " is not supported by the SQL engine" }

// TooLarge is the error for a plan that is sound and more than is carried out.
type TooLarge struct{ What string }

// Error implements error.
func (e *TooLarge) Error() string { return e.What }

// maxSQL bounds the statement's text.
const maxSQL = 8 << 20

type gen struct {
	src  Sources
	d    dialect
	with []string // name AS (…)
	size int
	n    int
	// maybeNull holds the columns of type string that may be NULL.
	maybeNull map[string]bool
}

type bail struct{ err error }

func (g *gen) tooLarge(format string, args ...any) {
	panic(bail{&TooLarge{fmt.Sprintf(format, args...)}})
}
func (g *gen) unsupported(what string) { panic(bail{&Unsupported{what}}) }

func (g *gen) statement(root plan.Node) (sql string, err error) {
	defer func() {
		if r := recover(); r != nil {
			b, ok := r.(bail)
			if !ok {
				panic(r)
			}
			err = b.err
		}
	}()
	g.maybeNull = map[string]bool{}
	r := g.node(root)
	var out []string
	for i, c := range root.Columns() {
		x := g.col(c.ID, c.Type)
		if c.Type == types.String {
			x = g.str(x)
		}
		out = append(out, fmt.Sprintf("%s AS r%d", x.s, i))
	}
	if len(out) == 0 {
		out = []string{"1 AS r0"}
	}
	sql = "SELECT " + strings.Join(out, ", ") + " FROM " + r.name + r.orderBy()
	if len(g.with) > 0 {
		sql = "WITH " + strings.Join(g.with, ",\n") + "\n" + sql
	}
	return sql, nil
}

// rel is a named subquery: its columns are c<ID> of the node, and those of its order.
type rel struct {
	name  string
	order []term
	// empty says that there can be no rows, because there is no file of any.
	empty bool
}

type term struct {
	col        string
	desc       bool
	nullsFirst bool
}

func (r rel) orderBy() string {
	if len(r.order) == 0 {
		return ""
	}
	return " ORDER BY " + r.terms()
}

func (r rel) terms() string {
	parts := make([]string, len(r.order))
	for i, t := range r.order {
		parts[i] = t.col
		if t.desc {
			parts[i] += " DESC"
		} else {
			parts[i] += " ASC"
		}
		if t.nullsFirst {
			parts[i] += " NULLS FIRST"
		} else {
			parts[i] += " NULLS LAST"
		}
	}
	return strings.Join(parts, ", ")
}

// define adds a subquery and answers its name.
func (g *gen) define(sql string) string {
	g.n++
	if g.size += len(sql); g.size > maxSQL {
		g.tooLarge("the query becomes more than %d bytes of SQL", maxSQL)
	}
	name := fmt.Sprintf("t%d", g.n)
	// DuckDB materialises a common table expression unless told not to, and would then
	// push no filter into a scan.
	g.with = append(g.with, name+" AS "+g.d.inline+"("+sql+")")
	return name
}

func (g *gen) fresh(prefix string) string {
	g.n++
	return fmt.Sprintf("%s%d", prefix, g.n)
}

func colName(id int) string {
	if id < 0 {
		return fmt.Sprintf("x%d", -id)
	}
	return fmt.Sprintf("c%d", id)
}

// keep lists the columns of the input's order that the outputs do not hold yet.
func (r rel) keep(have map[string]bool) []string {
	var out []string
	for _, t := range r.order {
		if !have[t.col] {
			have[t.col] = true
			out = append(out, t.col)
		}
	}
	return out
}

func sel(items []string) string {
	if len(items) == 0 {
		return "1 AS nothing"
	}
	return strings.Join(items, ", ")
}
