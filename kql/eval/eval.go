// Package eval runs a bound plan on rows in memory.
//
// It is the slow, plain reading of the plan: the oracle for the SQL engines, and the
// engine for streams that never reach a table. It materialises each operator's result
// and knows no index; large data belong to sqlgen.
//
// Invariants: a row is a slice of values in the order of the operator's columns; rows
// handed in are never changed; Limits bound what one query may hold. Start at Run.
package eval

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/vedette-edr/vedette/kql/funcs"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/types"
)

// Rows is a source of rows.
type Rows interface {
	// Next returns the next row in the order of the columns asked for, or nil at the
	// end. The row belongs to the caller.
	Next() ([]types.Value, error)
}

// RowSource opens the rows of a scan; rows have one value per element of scan.Cols
// followed by one per element of scan.Extra, each of the column's own type.
type RowSource interface {
	Open(ctx context.Context, scan *plan.Scan) (Rows, error)
}

// Delegate is a RowSource that can answer whole subtrees, scans with their predicate
// included. ok is false for a subtree that it leaves to eval.
type Delegate interface {
	RowSource
	Delegate(ctx context.Context, n plan.Node) (rows Rows, ok bool, err error)
}

// Slice returns rows in memory as a source; it takes them over.
func Slice(list [][]types.Value) Rows { return &slice{list} }

type slice struct{ list [][]types.Value }

func (s *slice) Next() ([]types.Value, error) {
	if len(s.list) == 0 {
		return nil, nil
	}
	row := s.list[0]
	s.list = s.list[1:]
	return row, nil
}

// All reads rows to their end.
func All(r Rows) ([][]types.Value, error) {
	var out [][]types.Value
	for {
		row, err := r.Next()
		if err != nil {
			return nil, err
		}
		if row == nil {
			return out, nil
		}
		out = append(out, row)
	}
}

// Limits are what one query may use: how much, where zero means the default, and whom it
// may ask.
type Limits struct {
	Rows   int          // of one operator's result, default 2,000,000
	Cells  int          // rows times columns of one operator's result, no limit without it
	Bytes  int          // of texts and lists that one operator computes, no limit without it
	Places funcs.Places // for geo_info_from_ip_address; nil for none
}

// TooMuch is the error of a query that would hold more than its Limits.
type TooMuch struct{ text string }

// Error implements error.
func (t *TooMuch) Error() string { return t.text }

func tooMuch(format string, args ...any) error { return &TooMuch{fmt.Sprintf(format, args...)} }

// Run evaluates root and returns its rows in order.
func Run(ctx context.Context, root plan.Node, src RowSource, lim Limits) ([][]types.Value, error) {
	if lim.Rows == 0 {
		lim.Rows = 2_000_000
	}
	x := &exec{ctx: ctx, src: src, lim: lim}
	return x.run(root)
}

type exec struct {
	ctx   context.Context
	src   RowSource
	lim   Limits
	outer [][]types.Value // rows for the Outer leaf of the subplan that runs
	// params are the values that operators around the subplan set.
	params map[int]types.Value
	// live are parameters whose value changes between rows; see Stream.
	live map[int]*types.Value
	// stream is the stream that expressions are compiled for, nil for tables; see test.
	stream *Stream
	base   bool // the row is the stream's own, of its scan's columns
}

type rows = [][]types.Value

func (x *exec) run(n plan.Node) (rows, error) {
	if err := x.ctx.Err(); err != nil {
		return nil, err
	}
	if d, ok := x.src.(Delegate); ok {
		if r, ok, err := d.Delegate(x.ctx, n); err != nil {
			return nil, err
		} else if ok {
			return x.read(r, "a step of the query")
		}
	}
	out, err := x.node(n)
	if n := len(n.Columns()); err == nil && x.lim.Cells > 0 && n > 0 && len(out) > x.lim.Cells/n {
		return nil, tooMuch("a step of the query makes more than %d rows of %d columns", x.lim.Cells/n, n)
	}
	if err == nil && len(out) > x.lim.Rows {
		return nil, tooMuch("a step of the query makes more than %d rows", x.lim.Rows)
	}
	return out, err
}

func (x *exec) node(n plan.Node) (rows, error) {
	switch y := n.(type) {
	case *plan.Values:
		return y.Rows, nil
	case *plan.Outer:
		return x.outer, nil
	case *plan.Range:
		return x.rangeRows(y)
	case *plan.Scan:
		return x.scan(y)
	case *plan.Filter:
		in, err := x.run(y.In)
		if err != nil {
			return nil, err
		}
		return x.filter(in, y.In.Columns(), y.Pred)
	case *plan.Project:
		return x.project(y)
	case *plan.Aggregate:
		return x.aggregate(y)
	case *plan.Join:
		return x.join(y)
	case *plan.Union:
		var out rows
		for _, in := range y.Ins {
			r, err := x.run(in)
			if err != nil {
				return nil, err
			}
			out = append(out, r...)
		}
		return out, nil
	case *plan.Sort:
		return x.sort(y)
	case *plan.Limit:
		in, err := x.run(y.In)
		if err != nil {
			return nil, err
		}
		n := min(int64(len(in)), y.N)
		if y.Sample {
			out := make(rows, n)
			for i, j := range rand.Perm(len(in))[:n] {
				out[i] = in[j]
			}
			return out, nil
		}
		return in[:n], nil
	case *plan.MvExpand:
		in, err := x.run(y.In)
		if err != nil {
			return nil, err
		}
		return x.expand(in, y.In.Columns(), y.Items, y.Index != nil, y.Limit, y.AsArray)
	case *plan.MvApply:
		return x.mvApply(y)
	case *plan.Window:
		return x.window(y)
	case *plan.Plugin:
		return x.plugin(y)
	case *plan.Partition:
		return x.partition(y)
	case *plan.TopNested:
		return x.topNested(y)
	case *plan.Match:
		return x.match(y)
	}
	return nil, fmt.Errorf("eval cannot run %T", n)
}

// alive is the context's error, looked at now and then: functions of long series take
// their time on each row.
func (x *exec) alive(i int) error {
	if i&63 != 0 {
		return nil
	}
	return x.ctx.Err()
}

func (x *exec) scan(s *plan.Scan) (rows, error) {
	it, err := x.src.Open(x.ctx, s)
	if err != nil {
		return nil, err
	}
	out, err := x.read(it, "table "+s.Table)
	if err != nil {
		return nil, err
	}
	if s.Pred == nil {
		return out, nil
	}
	cols := s.Columns()
	for _, c := range s.Extra {
		cols = append(cols, c.Column)
	}
	if out, err = x.filter(out, cols, s.Pred); err != nil {
		return nil, err
	}
	for i := range out {
		out[i] = out[i][:len(s.Cols)]
	}
	return out, nil
}

func (x *exec) read(it Rows, what string) (rows, error) {
	var out rows
	for {
		row, err := it.Next()
		if err != nil {
			return nil, err
		}
		if row == nil {
			return out, nil
		}
		if out = append(out, row); len(out) > x.lim.Rows {
			return nil, tooMuch("%s has more than %d rows in reach", what, x.lim.Rows)
		}
	}
}

func (x *exec) filter(in rows, cols []plan.Column, pred plan.Expr) (rows, error) {
	f, err := x.compile(pred, cols)
	if err != nil {
		return nil, err
	}
	var out rows
	for i, r := range in {
		if err := x.alive(i); err != nil {
			return nil, err
		}
		if f(r).True() {
			out = append(out, r)
		}
	}
	return out, nil
}

func (x *exec) project(p *plan.Project) (rows, error) {
	in, err := x.run(p.In)
	if err != nil {
		return nil, err
	}
	fs := make([]eval, len(p.Items))
	made := make([]bool, len(p.Items)) // anew for each row
	cols := p.In.Columns()
	for i, it := range p.Items {
		if fs[i], err = x.compile(it.Expr, cols); err != nil {
			return nil, err
		}
		switch it.Expr.(type) {
		case *plan.Col, *plan.Const:
		default:
			made[i] = true
		}
	}
	out := make(rows, len(in))
	held := 0
	for i, r := range in {
		if err := x.alive(i); err != nil {
			return nil, err
		}
		row := make([]types.Value, len(fs))
		for j, f := range fs {
			row[j] = f(r)
			if made[j] {
				held += weight(row[j])
			}
		}
		if x.lim.Bytes > 0 && held > x.lim.Bytes {
			return nil, tooMuch("a step of the query computes more than %d bytes of texts and lists", x.lim.Bytes)
		}
		out[i] = row
	}
	return out, nil
}

// weight is roughly how many bytes v holds beside itself.
func weight(v types.Value) int {
	const element = 24 // an interface, and what it points to
	switch d := v.D.(type) {
	case []any:
		return len(v.S) + element*len(d)
	case *types.Bag:
		return len(v.S) + 3*element*len(d.Keys)
	case string:
		return len(v.S) + len(d)
	}
	return len(v.S)
}
