package plan

import (
	"fmt"
	"strings"

	"github.com/vedette-edr/vedette/kql/plugin"
	"github.com/vedette-edr/vedette/kql/types"
)

// Operators that no SQL says; package eval runs them on the rows of what is below.
type (
	// Plugin computes a table by a function of kql/plugin. InCols and TableCols are the
	// columns of the inputs in the order that Call knows them.
	Plugin struct {
		Call      *plugin.Call
		In        Node
		InCols    []Column
		Table     Node // nil without a table argument
		TableCols []Column
		Cols      []Column
	}
	// Partition runs Sub, whose leaf is Outer when it has one, on the rows of each value
	// of Key, and appends the results. Param, when set, is that value inside Sub.
	Partition struct {
		In    Node
		Key   Expr
		Outer *Outer
		Param *Param
		Sub   Node
	}
	// TopNested keeps the best values of each level within those of the level before.
	TopNested struct {
		In     Node
		Outer  *Outer
		Levels []TopLevel
	}
	// TopLevel is one level: Best and Rest aggregate the rows of Outer, Best by value to
	// (value, aggregate), Rest to the aggregate alone.
	TopLevel struct {
		Key, Agg   Column
		N          int64 // -1 for all
		Desc       bool
		Best, Rest Node
		Of         Expr        // the value, over Outer
		Others     types.Value // the value that stands for the rest
		HasOthers  bool
	}
	// Match is scan: steps that rows in order walk through.
	Match struct {
		In       Node
		By       []Expr // rows of other values have states of their own
		Declared []Item // what rows get in addition; Expr is the default
		Steps    []MatchStep
		ID       *Column // number of the match, or nil
	}
	// MatchStep is one step; State are the columns of its last row, as expressions see them:
	// In's, then Declared's.
	MatchStep struct {
		State    []Column
		Optional bool
		Output   string // all, last or none
		Cond     Expr
		Assign   []Assign
	}
	// Assign gives the declared column At a value.
	Assign struct {
		At   int
		Expr Expr
	}
)

// Param is a value that the operator around a subplan sets for each of its runs.
type Param struct {
	ID   int
	Name string
	T    types.Type
}

// Type implements Expr.
func (p *Param) Type() types.Type { return p.T }

// String implements Expr.
func (p *Param) String() string { return fmt.Sprintf("$%s#%d", p.Name, p.ID) }

// Columns implements Node.
func (n *Plugin) Columns() []Column { return n.Cols }

// Columns implements Node.
func (n *Partition) Columns() []Column { return n.Sub.Columns() }

// Columns implements Node.
func (n *TopNested) Columns() []Column {
	var out []Column
	for _, l := range n.Levels {
		out = append(out, l.Key, l.Agg)
	}
	return out
}

// Columns implements Node.
func (n *Match) Columns() []Column {
	out := append([]Column{}, n.In.Columns()...)
	for _, d := range n.Declared {
		out = append(out, d.Col)
	}
	if n.ID != nil {
		out = append(out, *n.ID)
	}
	return out
}

// Inputs implements Node.
func (n *Plugin) Inputs() []Node {
	if n.Table != nil {
		return []Node{n.In, n.Table}
	}
	return []Node{n.In}
}

// Inputs implements Node.
func (n *Partition) Inputs() []Node { return []Node{n.In, n.Sub} }

// Inputs implements Node.
func (n *TopNested) Inputs() []Node {
	out := []Node{n.In}
	for _, l := range n.Levels {
		out = append(out, l.Best)
		if l.Rest != nil {
			out = append(out, l.Rest)
		}
	}
	return out
}

// Inputs implements Node.
func (n *Match) Inputs() []Node { return []Node{n.In} }

// exprs lists the expressions of these nodes themselves.
func (n *Partition) exprs() []Expr { return []Expr{n.Key} }

func (n *TopNested) exprs() []Expr {
	var out []Expr
	for _, l := range n.Levels {
		out = append(out, l.Of)
	}
	return out
}

func (n *Match) exprs() []Expr {
	out := append([]Expr{}, n.By...)
	for _, d := range n.Declared {
		out = append(out, d.Expr)
	}
	for _, s := range n.Steps {
		out = append(out, s.Cond)
		for _, a := range s.Assign {
			out = append(out, a.Expr)
		}
	}
	return out
}

// pruneSpecial prunes below an operator that reads all columns of its inputs.
func pruneSpecial(n Node) {
	all := func(in Node) Node {
		need := map[int]bool{}
		for _, c := range in.Columns() {
			need[c.ID] = true
		}
		return prune(in, need)
	}
	switch x := n.(type) {
	case *Plugin:
		x.In = all(x.In)
		if x.Table != nil {
			x.Table = all(x.Table)
		}
	case *TopNested:
		x.In = all(x.In)
		for i, l := range x.Levels {
			x.Levels[i].Best = all(l.Best)
			if l.Rest != nil {
				x.Levels[i].Rest = all(l.Rest)
			}
		}
	case *Match:
		x.In = all(x.In)
	}
}

func (n *Plugin) describe() string {
	var args []string
	for _, a := range n.Call.Args {
		if a.At < 0 {
			args = append(args, a.Val.Literal())
			continue
		}
		cols := n.Call.In
		if a.Param.Kind == plugin.Key {
			cols = n.Call.Table
		}
		args = append(args, cols[a.At].Name)
	}
	return fmt.Sprintf("Plugin %s(%s) [%s]", n.Call.Fn.Name, strings.Join(args, ", "), colList(n.Cols))
}

func (n *Partition) describe() string { return "Partition by " + n.Key.String() }

func (n *TopNested) describe() string {
	s := "TopNested"
	for _, l := range n.Levels {
		s += fmt.Sprintf(" %d of %s by %s", l.N, l.Of, l.Agg.Name)
	}
	return s
}

func (n *Match) describe() string {
	s := "Match"
	for _, st := range n.Steps {
		s += fmt.Sprintf(" [%s]", st.Cond)
	}
	return s
}

// Closed reports whether a plan can run by itself: the leaves that stand for rows from
// outside, and the values that are set there, belong to operators of the plan.
func Closed(root Node) bool {
	var own func(n Node, inside bool) bool
	own = func(n Node, inside bool) bool {
		if _, leaf := n.(*Outer); leaf && !inside {
			return false
		}
		open := false
		for _, e := range Exprs(n) {
			WalkExpr(e, func(x Expr) {
				if _, ok := x.(*Param); ok && !inside {
					open = true
				}
			})
		}
		if open {
			return false
		}
		for i, in := range n.Inputs() {
			sub := inside
			switch n.(type) {
			case *MvApply, *Partition, *TopNested:
				sub = inside || i > 0
			}
			if !own(in, sub) {
				return false
			}
		}
		return true
	}
	return own(root, false)
}
