package syntax

import (
	"fmt"
	"strings"

	"github.com/vedette-edr/vedette/kql/types"
)

// Print writes a tree as KQL: one statement or operator a line. Parsing the result
// gives the same tree but for spans.
func Print(n Node) string {
	w := &printer{}
	w.node(n)
	return w.b.String()
}

type printer struct{ b strings.Builder }

func (w *printer) put(parts ...any) {
	for _, x := range parts {
		switch v := x.(type) {
		case string:
			w.b.WriteString(v)
		case Node:
			w.node(v)
		case []Expr:
			for i, e := range v {
				if i > 0 {
					w.b.WriteString(", ")
				}
				w.node(e)
			}
		}
	}
}

func (w *printer) node(n Node) {
	switch x := n.(type) {
	case *Script:
		w.statements(x.Statements)
	case Statement:
		w.statement(x)
	case Operator:
		w.operator(x)
	case Expr:
		w.expr(x)
	}
}

func (w *printer) statements(list []Statement) {
	for i, s := range list {
		if i > 0 {
			w.put(";\n")
		}
		w.node(s)
	}
}

func (w *printer) statement(s Statement) {
	switch x := s.(type) {
	case *Let:
		w.put("let ", x.Name, " = ", x.Value)
	case *ExprStmt:
		w.put(x.X)
	case *Set:
		w.put("set ", x.Name)
		if x.Value != nil {
			w.put("=", x.Value)
		}
	case *Declare:
		w.put("declare query_parameters")
		w.params(x.Params)
	}
}

func (w *printer) params(list []*Param) {
	w.put("(")
	for i, p := range list {
		if i > 0 {
			w.put(", ")
		}
		w.put(p.Name, ":")
		switch {
		case p.Table && len(p.Cols) == 0:
			w.put("(*)")
		case p.Table:
			w.put("(")
			w.cols(p.Cols)
			w.put(")")
		default:
			w.put(p.Type.String())
		}
		if p.Default != nil {
			w.put("=", p.Default)
		}
	}
	w.put(")")
}

func (w *printer) cols(list []*ColDecl) {
	for i, c := range list {
		if i > 0 {
			w.put(", ")
		}
		w.put(c.Name, ":", c.Type.String())
	}
}

func (w *printer) expr(e Expr) {
	switch x := e.(type) {
	case *Literal:
		if x.Text != "" {
			w.put(x.Text)
		} else {
			w.put(x.Val.Literal())
		}
	case *Ident:
		if x.Quoted {
			w.put("[", types.Quote(x.Name), "]")
		} else {
			w.put(x.Name)
		}
	case *Wildcard:
		w.put(x.Pattern)
	case *Star:
		w.put("*")
	case *Member:
		// The point of a number must not run into the point of its member.
		if _, number := x.X.(*Literal); number {
			w.put(x.X, " ")
		} else {
			w.put(x.X)
		}
		w.put(".", x.Name)
	case *Index:
		w.put(x.X, "[", x.I, "]")
	case *Call:
		w.put(x.Name, "(", x.Args, ")")
	case *Unary:
		w.put(x.Op, x.X)
	case *Binary:
		w.put(x.X, " ", x.Op, " ", x.Y)
	case *Logic:
		for i, a := range x.Args {
			if i > 0 {
				w.put(" ", x.Op, " ")
			}
			w.put(a)
		}
	case *In:
		w.put(x.X, " ", x.Op, " (", x.List, ")")
	case *Between:
		op := " between ("
		if x.Not {
			op = " !between ("
		}
		w.put(x.X, op, x.Lo, " .. ", x.Hi, ")")
	case *Named:
		if x.Paren {
			w.put("(")
			for i, n := range x.Names {
				if i > 0 {
					w.put(", ")
				}
				w.put(n)
			}
			w.put(")")
		} else {
			w.put(x.Names[0])
		}
		w.put(" = ", x.X)
	case *Paren:
		w.put("(", x.X, ")")
	case *TypeOf:
		w.put("typeof(")
		for i, t := range x.Types {
			if i > 0 {
				w.put(", ")
			}
			w.put(t.String())
		}
		w.put(")")
	case *Query:
		w.query(x)
	case *DataTable:
		w.put("datatable(")
		w.cols(x.Cols)
		w.put(")[", x.Rows, "]")
	case *ExternalData:
		w.put("externaldata(")
		w.cols(x.Cols)
		w.put(")[", x.URIs, "]")
		if len(x.Props) > 0 {
			w.put(" with (")
			w.props(x.Props, ", ")
			w.put(")")
		}
	case *FuncLit:
		if x.View {
			w.put("view ")
		}
		w.params(x.Params)
		w.put(" {\n")
		w.statements(x.Body)
		w.put("\n}")
	}
}

func (w *printer) query(q *Query) {
	if q.Source != nil {
		w.put(q.Source)
	}
	for i, o := range q.Ops {
		if i > 0 || q.Source != nil {
			w.put("\n| ")
		}
		w.put(o)
	}
}

func (w *printer) props(list []*Property, sep string) {
	for i, p := range list {
		if i > 0 {
			w.put(sep)
		}
		w.put(p.Name, "=", p.Value)
	}
}

func (w *printer) leading(list []*Property) {
	for _, p := range list {
		w.put(p.Name, "=", p.Value, " ")
	}
}

func (w *printer) keys(list []*SortKey) {
	for i, k := range list {
		if i > 0 {
			w.put(", ")
		}
		w.put(k.X)
		if k.Order != "" {
			w.put(" ", k.Order)
		}
		if k.Nulls != "" {
			w.put(" nulls ", k.Nulls)
		}
	}
}

func (w *printer) operator(o Operator) {
	switch x := o.(type) {
	case *WhereOp:
		w.put(x.Kw, " ", x.Pred)
	case *ExtendOp:
		w.put(x.Kw, " ", x.Items)
	case *ProjectOp:
		w.put(x.Kw, " ")
		for i, e := range x.Items {
			if i > 0 {
				w.put(", ")
			}
			w.put(e)
			if i < len(x.Orders) && x.Orders[i] != "" {
				w.put(" ", x.Orders[i])
			}
		}
	case *SummarizeOp:
		w.put("summarize ")
		w.leading(x.Props)
		w.put(x.Aggs)
		if x.HasBy {
			w.put(" by ", x.By)
		}
	case *JoinOp:
		w.put(x.Kw, " ")
		w.leading(x.Props)
		w.put(x.Right)
		if len(x.On) > 0 {
			w.put(" on ", x.On)
		}
	case *UnionOp:
		w.put("union ")
		w.leading(x.Props)
		w.put(x.Tables)
	case *SortOp:
		w.put(x.Kw, " ")
		w.leading(x.Props)
		w.put("by ")
		w.keys(x.Keys)
	case *TopOp:
		w.put("top ", x.N, " by ")
		w.keys(x.Keys)
	case *TakeOp:
		w.put(x.Kw, " ", x.N)
	case *SampleDistinctOp:
		w.put("sample-distinct ", x.N, " of ", x.Of)
	case *TopHittersOp:
		w.put("top-hitters ", x.N, " of ", x.Of)
		if x.By != nil {
			w.put(" by ", x.By)
		}
	case *WordOp:
		w.put(x.Kw)
		if x.As != nil {
			w.put(" as ")
			w.put(x.As)
		}
	case *AsOp:
		w.put("as ")
		w.leading(x.Props)
		w.put(x.Name)
	case *MvOp:
		w.put(x.Kw, " ")
		w.leading(x.Props)
		for i, it := range x.Items {
			if i > 0 {
				w.put(", ")
			}
			w.put(it.X)
			if it.To != types.Unknown {
				w.put(" to typeof(", it.To.String(), ")")
			}
		}
		if x.Limit != nil {
			w.put(" limit ", x.Limit)
		}
		if x.On != nil {
			w.put(" on (", x.On, ")")
		}
	case *ParseOp:
		w.put(x.Kw, " ")
		w.leading(x.Props)
		w.put(x.X, " with")
		for _, p := range x.Parts {
			switch {
			case p.Star:
				w.put(" *")
			case p.Text != nil:
				w.put(" ", p.Text)
			default:
				w.put(" ", p.Name)
				if p.Type != types.Unknown {
					w.put(":", p.Type.String())
				}
			}
		}
	case *ParseKVOp:
		w.put("parse-kv ", x.X, " as (")
		w.cols(x.Cols)
		w.put(")")
		w.with(x.Props)
	case *RenderOp:
		w.put("render ", x.Kind)
		w.with(x.Props)
	case *EvaluateOp:
		w.put("evaluate ")
		w.leading(x.Props)
		w.put(x.Call)
		if x.Schema != nil {
			w.put(" : (")
			if x.Star {
				w.put("*")
				if len(x.Schema) > 0 {
					w.put(", ")
				}
			}
			w.cols(x.Schema)
			w.put(")")
		}
	case *InvokeOp:
		w.put("invoke ", x.Call)
	case *PrintOp:
		w.put("print ", x.Items)
	case *RangeOp:
		w.put("range ", x.Name, " from ", x.From, " to ", x.To, " step ", x.Step)
	default:
		w.rareOperator(o)
	}
}

func (w *printer) with(props []*Property) {
	if len(props) > 0 {
		w.put(" with (")
		w.props(props, ", ")
		w.put(")")
	}
}

func (w *printer) rareOperator(o Operator) {
	switch x := o.(type) {
	case *SearchOp:
		w.put("search ")
		w.leading(x.Props)
		if len(x.Tables) > 0 {
			w.put("in (", x.Tables, ") ")
		}
		if x.Pred == nil {
			w.put("*")
		} else {
			w.put(x.Pred)
		}
	case *FindOp:
		w.put("find ")
		w.leading(x.Props)
		if len(x.Tables) > 0 {
			w.put("in (", x.Tables, ") ")
		}
		if x.Pred != nil {
			w.put("where ", x.Pred)
		}
		if len(x.Project) > 0 {
			w.put(" project ", x.Project)
		}
	case *MakeSeriesOp:
		w.makeSeries(x)
	case *TopNestedOp:
		for i, l := range x.Levels {
			if i > 0 {
				w.put(", ")
			}
			w.put("top-nested ")
			if l.N != nil {
				w.put(l.N, " ")
			}
			w.put("of ", l.Of)
			if l.Others != nil {
				w.put(" with others = ", l.Others)
			}
			w.put(" by ", l.By)
			if l.Order != "" {
				w.put(" ", l.Order)
			}
		}
	case *PartitionOp:
		w.put("partition ")
		w.leading(x.Props)
		if x.Body != nil {
			w.put("by ", x.By, " { ", x.Body, " }")
		} else {
			w.put("by ", x.By, " (", x.Sub, ")")
		}
	case *ScanOp:
		w.scan(x)
	case *ForkOp:
		w.put(x.Kw)
		if len(x.By) > 0 {
			w.put(" by ", x.By)
			if len(x.Branches) > 0 {
				w.put(" with")
			}
		}
		for _, b := range x.Branches {
			w.put(" (", b, ")")
		}
	case *ReduceOp:
		w.put("reduce by ", x.By)
		if len(x.Props) > 0 {
			w.put(" with ")
			w.props(x.Props, ", ")
		}
	default:
		panic(fmt.Sprintf("syntax: no printer for %T", o))
	}
}

func (w *printer) makeSeries(x *MakeSeriesOp) {
	w.put("make-series ")
	inRange := false
	for _, p := range x.Props {
		if p.Name == "in_range" {
			inRange = true
		} else {
			w.put(p.Name, "=", p.Value, " ")
		}
	}
	for i, a := range x.Aggs {
		if i > 0 {
			w.put(", ")
		}
		w.put(a.X)
		if a.Default != nil {
			w.put(" default=", a.Default)
		}
	}
	w.put(" on ", x.On)
	if inRange {
		w.put(" in range(", x.From, ", ", x.To, ", ", x.Step, ")")
	} else {
		if x.From != nil {
			w.put(" from ", x.From)
		}
		if x.To != nil {
			w.put(" to ", x.To)
		}
		w.put(" step ", x.Step)
	}
	if len(x.By) > 0 {
		w.put(" by ", x.By)
	}
}

func (w *printer) scan(x *ScanOp) {
	w.put("scan ")
	w.leading(x.Props)
	if len(x.Order) > 0 {
		w.put("order by ")
		w.keys(x.Order)
		w.put(" ")
	}
	if len(x.By) > 0 {
		w.put("partition by ", x.By, " ")
	}
	if len(x.Declare) > 0 {
		w.put("declare ")
		w.params(x.Declare)
		w.put(" ")
	}
	w.put("with (")
	for _, s := range x.Steps {
		w.put("\n  step ", s.Name)
		if s.Optional {
			w.put(" optional")
		}
		if s.Output != "" {
			w.put(" output=", s.Output)
		}
		w.put(": ", s.Cond)
		if len(s.Assign) > 0 {
			w.put(" => ", s.Assign)
		}
		w.put(";")
	}
	w.put(")")
}
