// Package exec runs a compiled query on an SQL engine, and what SQL cannot say on the
// interpreter above it.
//
// The largest subtrees that sqlgen can write become statements; the operators that it
// refuses with Unsupported, such as mv-apply, run in eval on the rows of those
// statements. A query that SQL can say whole is one statement, and eval never sees it.
//
// It opens no database: the caller's Querier does. Start at Run.
package exec

import (
	"context"
	"errors"

	"github.com/vedette-edr/vedette/kql/eval"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/sqlgen"
)

// Querier runs one generated statement. The rows have the columns given, in order.
type Querier interface {
	Query(ctx context.Context, statement string, cols []plan.Column) (eval.Rows, error)
}

// Run answers the rows of root in order.
func Run(ctx context.Context, root plan.Node, src sqlgen.Sources, q Querier, lim eval.Limits) (eval.Rows, error) {
	statement, cols, err := sqlgen.Generate(root, src)
	if err == nil {
		return q.Query(ctx, statement, cols)
	}
	var no *sqlgen.Unsupported
	if !errors.As(err, &no) {
		return nil, err
	}
	rows, err := eval.Run(ctx, root, &below{src: src, q: q, refused: map[plan.Node]bool{root: true}}, lim)
	if err != nil {
		return nil, err
	}
	return eval.Slice(rows), nil
}

// below is the eval.Delegate that hands subtrees to SQL.
type below struct {
	src     sqlgen.Sources
	q       Querier
	refused map[plan.Node]bool
}

// Open implements eval.RowSource for scans that stand alone.
func (b *below) Open(ctx context.Context, s *plan.Scan) (eval.Rows, error) {
	statement, cols, err := sqlgen.Generate(s, b.src)
	if err != nil {
		return nil, err
	}
	return b.q.Query(ctx, statement, cols)
}

// Delegate implements eval.Delegate.
func (b *below) Delegate(ctx context.Context, n plan.Node) (eval.Rows, bool, error) {
	if b.refused[n] {
		return nil, false, nil
	}
	statement, cols, err := sqlgen.Generate(n, b.src)
	var no *sqlgen.Unsupported
	if errors.As(err, &no) {
		b.refused[n] = true
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	rows, err := b.q.Query(ctx, statement, cols)
	return rows, true, err
}
