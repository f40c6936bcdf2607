// Package plan is the typed form of a query: logical operators over columns with
// identities, the rewrites on them, and their printed form.
//
// It is what the binder makes and what sqlgen and eval take; neither of them sees
// syntax. It holds no rows and opens no table.
//
// Invariants: a column's ID is unique in the whole plan, and an expression names
// columns of its operator's inputs by ID only; names exist for people. A plan is a
// tree: no node has two parents. Start at Node and Scan.
package plan

import (
	"github.com/vedette-edr/vedette/kql/funcs"
	"github.com/vedette-edr/vedette/kql/types"
)

// Column is an output of an operator.
type Column struct {
	ID   int
	Name string
	Type types.Type
	// JSONString marks a string that holds JSON text and answers member access; KQL
	// calls its type dynamic, results print it as the string it is.
	JSONString bool
}

// Ref returns an expression that reads c.
func (c Column) Ref() *Col { return &Col{ID: c.ID, Name: c.Name, T: c.Type, JSONString: c.JSONString} }

// Expr is a typed scalar expression.
type Expr interface {
	// Type is the Kusto type of the value.
	Type() types.Type
	String() string
}

// Expressions.
type (
	// Col reads a column of the input.
	Col struct {
		ID         int
		Name       string
		T          types.Type
		JSONString bool
	}
	// Const is a constant.
	Const struct{ V types.Value }
	// Call applies a function or operator of the table; its arguments already have
	// the types that Fn takes, except where Fn takes any.
	Call struct {
		Fn   *funcs.Func
		Args []Expr
		T    types.Type
	}
	// Scalar is the first column of the first row of a query that shares nothing with
	// the one around it; no row is null.
	Scalar struct{ Root Node }
	// InTable is X Op (first column of Root), for in, in~, has_any and has_all; a
	// negated operator is a call of not around it.
	InTable struct {
		Op   string
		X    Expr
		Root Node
	}
)

// Type implements Expr.
func (c *Col) Type() types.Type { return c.T }

// Type implements Expr.
func (c *Const) Type() types.Type { return c.V.Type }

// Type implements Expr.
func (c *Call) Type() types.Type { return c.T }

// Type implements Expr.
func (s *Scalar) Type() types.Type { return s.Root.Columns()[0].Type }

// Type implements Expr.
func (*InTable) Type() types.Type { return types.Bool }

// Node is a logical operator.
type Node interface {
	// Columns are the outputs in order; the slice is not the caller's to change.
	Columns() []Column
	// Inputs are the operators below, in order; nested queries of expressions are not among them.
	Inputs() []Node
}

// Item computes a column.
type Item struct {
	Col  Column
	Expr Expr
}

// SortKey is one key of an ordering.
type SortKey struct {
	Expr       Expr
	Desc       bool
	NullsFirst bool
}

// AggItem computes one or, for arg_max and its like, several columns per group.
type AggItem struct {
	Cols   []Column
	Fn     *funcs.Agg
	Args   []Expr
	Filter Expr // nil or a bool: only rows where it is true count
}

// MvItem expands one dynamic expression.
type MvItem struct {
	Col  Column
	Expr Expr // dynamic
}

// WindowItem is a function over the rows in order: prev, next, row_number…
type WindowItem struct {
	Col  Column
	Name string
	Args []Expr
}

// JoinKind names what a join keeps.
type JoinKind string

// Join kinds. InnerUnique deduplicates the left side by key.
const (
	InnerUnique JoinKind = "innerunique"
	Inner       JoinKind = "inner"
	LeftOuter   JoinKind = "leftouter"
	RightOuter  JoinKind = "rightouter"
	FullOuter   JoinKind = "fullouter"
	LeftSemi    JoinKind = "leftsemi"
	LeftAnti    JoinKind = "leftanti"
	RightSemi   JoinKind = "rightsemi"
	RightAnti   JoinKind = "rightanti"
)

// JoinKey is one equality between the sides; both expressions have one type.
type JoinKey struct{ Left, Right Expr }

// Operators.
type (
	// Values is a table written in the query.
	Values struct {
		Cols []Column
		Rows [][]types.Value
	}
	// Range counts from From to To; one column.
	Range struct {
		Col            Column
		From, To, Step types.Value
	}
	// Filter keeps the rows for which Pred is true.
	Filter struct {
		In   Node
		Pred Expr
	}
	// Project computes exactly Items.
	Project struct {
		In    Node
		Items []Item
	}
	// Aggregate groups by Keys; without keys there is one row.
	Aggregate struct {
		In   Node
		Keys []Item
		Aggs []AggItem
	}
	// Join joins; the semi and anti kinds answer the columns of one side.
	Join struct {
		Kind JoinKind
		L, R Node
		Keys []JoinKey
	}
	// Union appends its inputs, whose columns agree with Cols by position and type.
	Union struct {
		Ins  []Node
		Cols []Column
	}
	// Sort orders.
	Sort struct {
		In   Node
		Keys []SortKey
	}
	// Limit keeps N rows; after a Sort, the first ones.
	Limit struct {
		In     Node
		N      int64
		Sample bool // any N rows, chosen at random
	}
	// MvExpand makes a row per element; several items walk together.
	MvExpand struct {
		In      Node
		Items   []MvItem
		Index   *Column // zero-based position, or nil
		Limit   int64   // rows made from one row
		AsArray bool    // a bag gives [key, value] pairs
	}
	// MvApply runs Sub, whose leaf is Outer, on the expansion of every row.
	MvApply struct {
		In    Node
		Items []MvItem
		Index *Column
		Limit int64
		Keep  []Column // columns of In that precede Sub's in the output
		Outer *Outer
		Sub   Node
	}
	// Outer is the leaf of a subplan: the rows that the operator around it hands in.
	Outer struct{ Cols []Column }
	// Window computes functions over the rows in their order.
	Window struct {
		In    Node
		Items []WindowItem
	}
)

// Columns implements Node.
func (n *Values) Columns() []Column { return n.Cols }

// Columns implements Node.
func (n *Range) Columns() []Column { return []Column{n.Col} }

// Columns implements Node.
func (n *Filter) Columns() []Column { return n.In.Columns() }

// Columns implements Node.
func (n *Sort) Columns() []Column { return n.In.Columns() }

// Columns implements Node.
func (n *Limit) Columns() []Column { return n.In.Columns() }

// Columns implements Node.
func (n *Union) Columns() []Column { return n.Cols }

// Columns implements Node.
func (n *Outer) Columns() []Column { return n.Cols }

// Columns implements Node.
func (n *Project) Columns() []Column {
	out := make([]Column, len(n.Items))
	for i, it := range n.Items {
		out[i] = it.Col
	}
	return out
}

// Columns implements Node.
func (n *Aggregate) Columns() []Column {
	var out []Column
	for _, k := range n.Keys {
		out = append(out, k.Col)
	}
	for _, a := range n.Aggs {
		out = append(out, a.Cols...)
	}
	return out
}

// Columns implements Node.
func (n *Join) Columns() []Column {
	switch n.Kind {
	case LeftSemi, LeftAnti:
		return n.L.Columns()
	case RightSemi, RightAnti:
		return n.R.Columns()
	}
	return append(append([]Column{}, n.L.Columns()...), n.R.Columns()...)
}

// Columns implements Node: the input's columns, then the expanded ones, then the index.
func (n *MvExpand) Columns() []Column {
	out := append([]Column{}, n.In.Columns()...)
	for _, it := range n.Items {
		out = append(out, it.Col)
	}
	if n.Index != nil {
		out = append(out, *n.Index)
	}
	return out
}

// Columns implements Node.
func (n *MvApply) Columns() []Column {
	return append(append([]Column{}, n.Keep...), n.Sub.Columns()...)
}

// Columns implements Node.
func (n *Window) Columns() []Column {
	out := append([]Column{}, n.In.Columns()...)
	for _, it := range n.Items {
		out = append(out, it.Col)
	}
	return out
}

// Inputs implements Node.
func (*Values) Inputs() []Node { return nil }

// Inputs implements Node.
func (*Range) Inputs() []Node { return nil }

// Inputs implements Node.
func (*Outer) Inputs() []Node { return nil }

// Inputs implements Node.
func (n *Filter) Inputs() []Node { return []Node{n.In} }

// Inputs implements Node.
func (n *Project) Inputs() []Node { return []Node{n.In} }

// Inputs implements Node.
func (n *Aggregate) Inputs() []Node { return []Node{n.In} }

// Inputs implements Node.
func (n *Join) Inputs() []Node { return []Node{n.L, n.R} }

// Inputs implements Node.
func (n *Union) Inputs() []Node { return n.Ins }

// Inputs implements Node.
func (n *Sort) Inputs() []Node { return []Node{n.In} }

// Inputs implements Node.
func (n *Limit) Inputs() []Node { return []Node{n.In} }

// Inputs implements Node.
func (n *MvExpand) Inputs() []Node { return []Node{n.In} }

// Inputs implements Node.
func (n *MvApply) Inputs() []Node { return []Node{n.In, n.Sub} }

// Inputs implements Node.
func (n *Window) Inputs() []Node { return []Node{n.In} }
