package eval

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/vedette-edr/vedette/kql/funcs"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/types"
)

// Stream is a plan compiled once, through which rows of its one table go one at a time.
//
// Only operators whose answer for a row depends on that row alone can stand in it; Open
// says which one cannot. A Stream is for one goroutine.
type Stream struct {
	scan   *plan.Scan
	row    []types.Value
	loaded []bool
	stages []stage // filters right above the scan, split at their conjuncts
	rest   []int   // columns that what comes after reads
	next   push
	now    types.Value
	fold   func(i int) string
}

// push takes a row, which is valid during the call, and hands on what becomes of it.
type push func(row []types.Value, emit func([]types.Value)) error

// stage is a conjunct and the columns of the scan that it reads.
type stage struct {
	need []int
	pred test
	cost int
}

// NotStream is the error of a plan that cannot run on one row at a time.
type NotStream struct{ Reason string }

// Error implements error.
func (n *NotStream) Error() string { return n.Reason }

// Open compiles root, which Optimize should have pruned: columns are read only where the
// plan asks for them. live is the parameter that reads the instant given to Push; nil for
// a plan without one. The error of a plan that cannot stream is a *NotStream.
func Open(root plan.Node, live *plan.Param) (*Stream, error) {
	s := &Stream{now: types.Null(types.Datetime)}
	x := &exec{ctx: context.Background(), lim: Limits{Rows: 10_000}, live: map[int]*types.Value{}, src: nothing{}, stream: s}
	if live != nil {
		x.live[live.ID] = &s.now
	}
	var chain []plan.Node // from the root down to the scan
	for n := root; s.scan == nil; {
		switch y := n.(type) {
		case *plan.Scan:
			s.scan = y
		case *plan.Filter:
			chain, n = append(chain, n), y.In
		case *plan.Project:
			chain, n = append(chain, n), y.In
		case *plan.MvExpand:
			chain, n = append(chain, n), y.In
		case *plan.MvApply:
			chain, n = append(chain, n), y.In
		default:
			return nil, &NotStream{reason(n)}
		}
	}
	if err := single(root, s.scan); err != nil {
		return nil, err
	}
	s.row, s.loaded = make([]types.Value, len(s.scan.Cols)), make([]bool, len(s.scan.Cols))
	cols := s.scan.Columns()
	for len(chain) > 0 {
		f, ok := chain[len(chain)-1].(*plan.Filter)
		if !ok {
			break
		}
		if err := s.filter(x, f.Pred, cols); err != nil {
			return nil, err
		}
		chain = chain[:len(chain)-1]
	}
	slices.SortStableFunc(s.stages, func(a, b stage) int { return cmp.Compare(a.cost, b.cost) })
	for i := range cols {
		s.rest = append(s.rest, i)
	}
	s.next = func(row []types.Value, emit func([]types.Value)) error { emit(row); return nil }
	for _, n := range chain {
		next, err := x.step(n, s.next)
		if err != nil {
			return nil, err
		}
		s.next = next
	}
	return s, nil
}

// filter adds the conjuncts of pred.
func (s *Stream) filter(x *exec, pred plan.Expr, cols []plan.Column) error {
	for _, e := range Conjuncts(pred) {
		x.base = true
		f, err := x.test(e, cols)
		x.base = false
		if err != nil {
			return err
		}
		st := stage{pred: f, cost: cost(e)}
		plan.WalkExpr(e, func(sub plan.Expr) {
			if c, ok := sub.(*plan.Col); ok {
				if i := slices.IndexFunc(cols, func(k plan.Column) bool { return k.ID == c.ID }); i >= 0 && !slices.Contains(st.need, i) {
					st.need = append(st.need, i)
				}
			}
		})
		s.stages = append(s.stages, st)
	}
	return nil
}

// Conjuncts returns the expressions that must all be true for e to be.
func Conjuncts(e plan.Expr) []plan.Expr {
	c, ok := e.(*plan.Call)
	if !ok || c.Fn.Name != "and" {
		return []plan.Expr{e}
	}
	var out []plan.Expr
	for _, a := range c.Args {
		out = append(out, Conjuncts(a)...)
	}
	return out
}

// Scan is the table that the stream reads; rows are made of its Cols.
func (s *Stream) Scan() *plan.Scan { return s.scan }

// FoldWith has the stream ask fold for the folded text of the scan's i-th column, after it
// was loaded, so that streams of the same rows can share it. Without it each folds by
// itself.
func (s *Stream) FoldWith(fold func(i int) string) { s.fold = fold }

func (s *Stream) folded(i int, text string) string {
	if s.fold != nil {
		return s.fold(i)
	}
	return funcs.Fold(text)
}

// Push runs one row. load gives the value of the scan's i-th column, of that column's
// type; it is called at most once for a column, and only for those that are needed to
// decide. emit takes each row that comes out, valid during the call. now is the instant
// that now() means.
func (s *Stream) Push(now types.Value, load func(i int) types.Value, emit func(row []types.Value)) error {
	s.now = now
	clear(s.loaded)
	for i := range s.stages {
		st := &s.stages[i]
		s.load(st.need, load)
		if st.pred(s.row) != yes {
			return nil
		}
	}
	s.load(s.rest, load)
	return s.next(s.row, emit)
}

func (s *Stream) load(need []int, load func(int) types.Value) {
	for _, i := range need {
		if !s.loaded[i] {
			s.row[i], s.loaded[i] = load(i), true
		}
	}
}

// step compiles one operator in front of next.
func (x *exec) step(n plan.Node, next push) (push, error) {
	cols := n.Inputs()[0].Columns()
	switch y := n.(type) {
	case *plan.Filter:
		f, err := x.test(y.Pred, cols)
		return func(row []types.Value, emit func([]types.Value)) error {
			if f(row) != yes {
				return nil
			}
			return next(row, emit)
		}, err
	case *plan.Project:
		fs := make([]eval, len(y.Items))
		for i, it := range y.Items {
			f, err := x.compile(it.Expr, cols)
			if err != nil {
				return nil, err
			}
			fs[i] = f
		}
		out := make([]types.Value, len(fs))
		return func(row []types.Value, emit func([]types.Value)) error {
			for i, f := range fs {
				out[i] = f(row)
			}
			return next(out, emit)
		}, nil
	}
	if y, ok := n.(*plan.MvExpand); ok && y.Index == nil && len(y.Items) == 1 {
		if f, err := x.unpack(y, cols, next); f != nil || err != nil {
			return f, err
		}
	}
	// The operators that make several rows of one run as they do on tables, on a table of
	// one row; few rules have them and few rows come so far.
	leaf := &plan.Outer{Cols: cols}
	var op plan.Node
	switch y := n.(type) {
	case *plan.MvExpand:
		c := *y
		c.In, op = leaf, &c
	case *plan.MvApply:
		c := *y
		c.In, op = leaf, &c
	default:
		return nil, fmt.Errorf("eval cannot stream %T", n)
	}
	return func(row []types.Value, emit func([]types.Value)) error {
		inner := *x
		inner.outer, inner.stream = rows{row}, nil
		made, err := inner.run(op)
		if err != nil {
			return err
		}
		for _, r := range made {
			if err := next(r, emit); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// unpack is mv-expand of a list that the query writes itself, whose elements become rows
// without becoming a list first: rules ask so for any of several columns. It is nil for
// another expansion, and for a type that an element would have to be converted to.
func (x *exec) unpack(y *plan.MvExpand, cols []plan.Column, next push) (push, error) {
	list, ok := y.Items[0].Expr.(*plan.Call)
	typ := y.Items[0].Col.Type
	if !ok || y.AsArray || list.Fn.Name != "pack_array" || len(list.Args) == 0 || typ != types.String && typ != types.Long || int64(len(list.Args)) > y.Limit {
		return nil, nil
	}
	for _, a := range list.Args {
		if a.Type() != typ {
			return nil, nil
		}
	}
	fs, err := x.compileAll(list.Args, cols)
	if err != nil {
		return nil, err
	}
	buf := make([]types.Value, len(cols)+1)
	return func(row []types.Value, emit func([]types.Value)) error {
		for _, f := range fs {
			copy(buf, row)
			if buf[len(cols)] = f(row); buf[len(cols)].Null {
				buf[len(cols)] = types.Null(typ)
			}
			if err := next(buf, emit); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// single refuses plans that read anything but the rows of the stream.
func single(root plan.Node, scan *plan.Scan) error {
	var err error
	if scan.External != nil {
		return &NotStream{"externaldata is no stream of events"}
	}
	plan.Walk(root, func(n plan.Node) {
		if s, ok := n.(*plan.Scan); ok && s != scan && err == nil {
			err = &NotStream{"it reads a second table, " + s.Table + ": an event is looked at by itself, when it arrives"}
			if s.External != nil {
				err = &NotStream{"externaldata cannot be read for each event"}
			}
		}
	})
	return err
}

// reason says why an operator cannot stand in a stream.
func reason(n plan.Node) string {
	const alone = ": an event is looked at by itself, when it arrives"
	switch n.(type) {
	case *plan.Aggregate:
		return "summarize, distinct and count need all rows" + alone
	case *plan.Join:
		return "join and lookup need a second table" + alone
	case *plan.Union:
		return "union, search and find read several tables; a stream is of one"
	case *plan.Sort:
		return "sort and top need all rows" + alone
	case *plan.Limit:
		return "take, top and sample need all rows" + alone
	case *plan.Window:
		return "functions of neighbouring rows need rows in order" + alone
	case *plan.Values, *plan.Range:
		return "it reads no table of events"
	}
	return "an operator of it needs all rows" + alone
}

// nothing is the source of plans whose scans are all answered by the stream.
type nothing struct{}

// Open implements RowSource.
func (nothing) Open(context.Context, *plan.Scan) (Rows, error) {
	return nil, errors.New("a stream opens no table")
}
