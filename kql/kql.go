// Package kql compiles Kusto query language texts into typed plans.
//
// It is a library of its own: it knows neither a store nor a schema. A caller brings a
// catalogue of tables, gets a plan, and hands that to kql/sqlgen (SQL text) or kql/eval
// (rows in memory). Compile is pure and safe for concurrent use.
//
// The stages, each a package: syntax (text to tree), bind (tree to plan), plan
// (operators and rewrites), funcs (the table of functions), sqlgen and eval.
package kql

import (
	"context"

	"github.com/vedette-edr/vedette/kql/bind"
	"github.com/vedette-edr/vedette/kql/eval"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/syntax"
	"github.com/vedette-edr/vedette/kql/types"
)

// Error is one thing wrong with a query, with its place in the text.
type Error = syntax.Error

// Errors is the error of Compile: every problem found, in the order of the text.
type Errors = syntax.Errors

// Options are the circumstances of one query.
type Options = bind.Options

// Query is a compiled query.
type Query struct {
	Text    string
	Root    plan.Node
	Columns []plan.Column // of the result, in order
	Render  *bind.Render  // what render asked for, or nil
	// More are the further results: of fork and facet, where Root is the first, and of a text
	// of several queries, where Root is the last.
	More []plan.Node
}

// written answers the rows of plans that read no table.
func written(root plan.Node) ([][]types.Value, error) {
	reads := false
	plan.Walk(root, func(n plan.Node) {
		if _, ok := n.(*plan.Scan); ok {
			reads = true
		}
	})
	if reads {
		return nil, nil
	}
	return eval.Run(context.Background(), plan.Optimize(root), nil, eval.Limits{Rows: 100_000})
}

// Compile parses, binds and rewrites a text. The error, when there is one, is of type Errors.
// Without opt.Probe the plug-ins whose columns depend on rows see the tables that the text
// itself writes, and no others.
func Compile(text string, cat bind.Catalog, opt Options) (*Query, error) {
	if opt.Probe == nil {
		opt.Probe = written
	}
	script, errs := syntax.Parse(text)
	if len(errs) > 0 {
		return nil, errs
	}
	res, errs := bind.Bind(text, script, cat, opt)
	if len(errs) > 0 {
		return nil, errs
	}
	cols := append([]plan.Column(nil), res.Root.Columns()...)
	q := &Query{Text: text, Root: plan.Optimize(res.Root), Columns: cols, Render: res.Render}
	for _, n := range res.More {
		q.More = append(q.More, plan.Optimize(n))
	}
	return q, nil
}
