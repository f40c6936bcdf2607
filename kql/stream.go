package kql

import (
	"errors"

	"github.com/vedette-edr/vedette/kql/bind"
	"github.com/vedette-edr/vedette/kql/eval"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/syntax"
	"github.com/vedette-edr/vedette/kql/types"
)

// CodeStream is the code of what is good KQL and cannot run on a stream of events.
const CodeStream = "KQL0201"

// live is the parameter that now() reads in a stream; the binder's ids are positive.
var live = &plan.Param{ID: -1, Name: "now", T: types.Datetime}

// StreamQuery is a query that looks at one event at a time, of one table.
type StreamQuery struct {
	Text    string
	Columns []plan.Column // of the result, in order
	root    plan.Node
}

// CompileStream is Compile for a query that is to run on a stream. What needs more than
// one row, or a second table, is an error with its place in the text, of code CodeStream.
// now() in it is the instant that each row is pushed at.
func CompileStream(text string, cat bind.Catalog, opt Options) (*StreamQuery, error) {
	script, errs := syntax.Parse(text)
	if len(errs) > 0 {
		return nil, errs
	}
	w := streamCheck{text: text}
	w.statements(script.Statements)
	if len(w.errs) > 0 {
		return nil, w.errs
	}
	opt.Live = live
	if opt.Probe == nil {
		opt.Probe = written
	}
	res, errs := bind.Bind(text, script, cat, opt)
	if len(errs) > 0 {
		return nil, errs
	}
	q := &StreamQuery{Text: text, root: res.Root, Columns: append([]plan.Column(nil), res.Root.Columns()...)}
	if len(res.More) > 0 {
		return nil, w.refuse(script.Pos(), "a stream has one result")
	}
	if _, err := q.Open(nil); err != nil {
		var no *eval.NotStream
		if errors.As(err, &no) {
			return nil, w.refuse(script.Pos(), no.Reason)
		}
		return nil, w.refuse(script.Pos(), err.Error())
	}
	return q, nil
}

// Open compiles the query for one goroutine. columns are those of the result that are
// wanted, in order; nil for all. A name that the result does not have is an error.
func (q *StreamQuery) Open(columns []string) (*eval.Stream, error) {
	root := plan.Clone(q.root)
	if columns != nil {
		p := &plan.Project{In: root}
		for _, name := range columns {
			c, ok := q.Column(name)
			if !ok {
				return nil, errors.New("the query has no column " + name)
			}
			p.Items = append(p.Items, plan.Item{Col: plan.Column{ID: 1_000_000 + len(p.Items), Name: name, Type: c.Type, JSONString: c.JSONString}, Expr: c.Ref()})
		}
		root = p
	}
	return eval.Open(plan.Optimize(root), live)
}

// Column finds a column of the result by its name.
func (q *StreamQuery) Column(name string) (plan.Column, bool) {
	for _, c := range q.Columns {
		if c.Name == name {
			return c, true
		}
	}
	return plan.Column{}, false
}

// Base returns the part of the query right above its table, as a plan of its own: the
// filters that speak of the table's own columns, and of these all that a row has. Rows
// that it leaves out are none of the query's; those that it keeps may be.
func (q *StreamQuery) Base() (scan *plan.Scan, filters []plan.Expr) {
	var chain []plan.Node
	for n := plan.Clone(q.root); ; n = n.Inputs()[0] {
		if s, ok := n.(*plan.Scan); ok {
			scan = s
			break
		}
		chain = append(chain, n)
	}
	for i := len(chain) - 1; i >= 0; i-- {
		f, ok := chain[i].(*plan.Filter)
		if !ok {
			break
		}
		for _, e := range eval.Conjuncts(f.Pred) {
			timeless := true
			plan.WalkExpr(e, func(x plan.Expr) {
				if _, ok := x.(*plan.Param); ok {
					timeless = false
				}
			})
			if timeless {
				filters = append(filters, e)
			}
		}
	}
	return scan, filters
}

// streamCheck finds the operators that a stream cannot have, where they stand.
type streamCheck struct {
	text string
	errs syntax.Errors
}

// refuse is note for what ends the check.
func (w *streamCheck) refuse(at syntax.Span, why string) syntax.Errors {
	w.note(at, why)
	return w.errs
}

// note keeps an error of the text.
func (w *streamCheck) note(at syntax.Span, why string) {
	w.errs = append(w.errs, syntax.NewError(w.text, at, CodeStream, "not possible in a continuous rule: %s", why))
}

func (w *streamCheck) statements(list []syntax.Statement) {
	for _, s := range list {
		switch x := s.(type) {
		case *syntax.Let:
			w.expr(x.Value)
		case *syntax.ExprStmt:
			w.expr(x.X)
		}
	}
}

// expr looks at tabular expressions; those inside scalar ones are found in the plan.
func (w *streamCheck) expr(e syntax.Expr) {
	switch x := e.(type) {
	case *syntax.Paren:
		w.expr(x.X)
	case *syntax.FuncLit:
		w.statements(x.Body)
	case *syntax.ExternalData:
		w.note(x.Pos(), "externaldata cannot be read for each event")
	case *syntax.Query:
		if x.Source != nil {
			w.expr(x.Source)
		}
		if _, ok := x.Source.(*syntax.DataTable); ok {
			return // a table written in the query is computed once
		}
		for _, op := range x.Ops {
			if why := streamReason(op); why != "" {
				w.note(op.Pos(), why)
			}
		}
	}
}

// streamReason says why an operator cannot stand in a stream, "" when it can.
func streamReason(op syntax.Operator) string {
	const alone = ": an event is looked at by itself, when it arrives"
	switch x := op.(type) {
	case *syntax.WhereOp, *syntax.ExtendOp, *syntax.MvOp, *syntax.ParseOp, *syntax.ParseKVOp, *syntax.InvokeOp, *syntax.RenderOp, *syntax.AsOp:
		return ""
	case *syntax.ProjectOp:
		if x.Kw == "distinct" {
			return "distinct needs all rows" + alone
		}
		return ""
	case *syntax.SummarizeOp:
		return "summarize needs all rows" + alone + "; a threshold of a rule file counts, a scheduled rule summarizes"
	case *syntax.JoinOp:
		return x.Kw + " needs a second table" + alone + "; a sequence of a rule file joins events, a scheduled rule tables"
	case *syntax.UnionOp, *syntax.SearchOp, *syntax.FindOp:
		return "it reads several tables; a stream is of one"
	case *syntax.SortOp, *syntax.TopOp, *syntax.TakeOp, *syntax.SampleDistinctOp:
		return "order and number of rows are unknown" + alone
	case *syntax.WordOp:
		return x.Kw + " needs all rows" + alone
	case *syntax.PrintOp, *syntax.RangeOp:
		return "it reads no table of events"
	}
	return "the operator needs all rows" + alone
}
