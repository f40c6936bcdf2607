// Package exec runs a compiled query on an SQL engine, and what SQL cannot say on the
// interpreter above it.
//
// The largest subtrees that sqlgen can write become statements; the operators that it
// refuses with Unsupported, such as mv-apply, run in eval on the rows of those
// statements. A query that SQL can say whole is one statement, and eval never sees it.
//
// It opens no database and writes no SQL: the caller's Querier does. Start at Run.
package exec

import (
	"context"
	"errors"

	"github.com/vedette-edr/vedette/kql/eval"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/sqlgen"
	"github.com/vedette-edr/vedette/kql/types"
)

// Querier answers a subtree as one statement. An error that is a *sqlgen.Unsupported says
// that nothing was run because SQL cannot say the subtree. The rows have the columns of n.
type Querier interface {
	Query(ctx context.Context, n plan.Node) (eval.Rows, error)
}

// Run answers the rows of root in order.
func Run(ctx context.Context, root plan.Node, q Querier, lim eval.Limits) (eval.Rows, error) {
	rows, err := q.Query(ctx, root)
	if !refused(err) {
		return rows, err
	}
	out, err := Above(ctx, root, q, lim)
	return eval.Slice(out), err
}

// Above runs root, which q has refused, in eval on what q answers of it.
func Above(ctx context.Context, root plan.Node, q Querier, lim eval.Limits) ([][]types.Value, error) {
	return eval.Run(ctx, root, &below{q: q, refused: map[plan.Node]bool{root: true}}, lim)
}

func refused(err error) bool {
	var no *sqlgen.Unsupported
	return errors.As(err, &no)
}

// below is the eval.Delegate that hands subtrees to SQL.
type below struct {
	q       Querier
	refused map[plan.Node]bool
}

// Open implements eval.RowSource for scans that stand alone.
func (b *below) Open(ctx context.Context, s *plan.Scan) (eval.Rows, error) {
	return b.q.Query(ctx, s)
}

// Delegate implements eval.Delegate.
func (b *below) Delegate(ctx context.Context, n plan.Node) (eval.Rows, bool, error) {
	if b.refused[n] {
		return nil, false, nil
	}
	// Rows that are at hand need no statement.
	switch n.(type) {
	case *plan.Outer, *plan.Values:
		return nil, false, nil
	}
	rows, err := b.q.Query(ctx, n)
	if refused(err) {
		b.refused[n] = true
		return nil, false, nil
	}
	return rows, err == nil, err
}
