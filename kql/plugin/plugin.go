// Package plugin is the table of table functions: what evaluate calls, and the operators
// that are table functions in all but their syntax, such as reduce.
//
// A plug-in takes the rows of one input, columns and constants as arguments, sometimes
// another table, and makes rows of its own. It knows types and scalar functions, neither
// syntax nor plans; the binder resolves its arguments, package eval hands it rows.
//
// Invariants: the table is immutable; an implementation never panics on any row and makes
// no more rows than it is told; the columns of Shape are those of the rows of Run. Only a
// plug-in marked Open looks at rows to know its columns. Start at Func and Lookup.
package plugin

import (
	"fmt"
	"sort"
	"sync"

	"github.com/vedette-edr/vedette/kql/types"
)

// Column is a column of a table.
type Column struct {
	Name string
	Type types.Type
}

// Kind tells what a parameter takes.
type Kind uint8

// Kinds of parameters.
const (
	Col   Kind = iota // a column of the input
	Const             // a constant
	Tab               // another table
	Any               // a column or a constant
	Key               // a column of the table argument
)

// Param is one parameter.
type Param struct {
	Name     string // also for name = value
	Kind     Kind
	Optional bool
	Variadic bool // last only
}

// Arg is one argument; At is a column's position, or -1 for a constant.
type Arg struct {
	Param Param
	At    int
	Val   types.Value
}

// Call is a bound invocation. It is not changed after Shape.
type Call struct {
	Fn    *Func
	In    []Column // of the input
	Table []Column // of the table argument, when there is one
	Args  []Arg
	// Out is the result's columns once known.
	Out []Column
}

// Rows are rows in the order of their columns.
type Rows = [][]types.Value

// Func is one plug-in.
type Func struct {
	Name   string
	Doc    string
	Params []Param
	Open   bool // the columns depend on the rows
	// Shape answers the result's columns; rows are the input's for an Open plug-in, else nil.
	Shape func(c *Call, rows Rows) ([]Column, error)
	// Run makes at most limit rows.
	Run func(c *Call, in, table Rows, limit int) (Rows, error)
}

var all = sync.OnceValue(func() map[string]*Func {
	m := map[string]*Func{}
	for _, fam := range [][]Func{shapeFuncs(), lookupFuncs(), activityFuncs(), segmentFuncs()} {
		for _, f := range fam {
			m[f.Name] = &f
		}
	}
	return m
})

// Lookup finds a plug-in by name.
func Lookup(name string) (*Func, bool) { f, ok := all()[name]; return f, ok }

// Names lists the plug-ins in order.
func Names() []string {
	var out []string
	for n := range all() {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}

// arg finds the first argument of a parameter.
func (c *Call) arg(name string) (Arg, bool) {
	for _, a := range c.Args {
		if a.Param.Name == name {
			return a, true
		}
	}
	return Arg{}, false
}

// list finds all arguments of a variadic parameter.
func (c *Call) list(name string) []Arg {
	var out []Arg
	for _, a := range c.Args {
		if a.Param.Name == name {
			out = append(out, a)
		}
	}
	return out
}

func (c *Call) flag(name string) bool {
	a, ok := c.arg(name)
	return ok && a.Val.True()
}

// at is the position of a column argument.
func (c *Call) at(name string) int {
	a, _ := c.arg(name)
	return a.At
}

// value is a constant argument as type t.
func (c *Call) value(name string, t types.Type) types.Value {
	a, ok := c.arg(name)
	if !ok {
		return types.Null(t)
	}
	return types.Convert(a.Val, t)
}

// axis reads start, end and a step over the type of a time column.
func (c *Call) axis(col string, names ...string) ([]int64, types.Type, error) {
	t := c.In[c.at(col)].Type
	if t != types.Datetime && t != types.Timespan && !t.Numeric() {
		return nil, t, fmt.Errorf("%s: the column %s is a %s, no time or number", c.Fn.Name, c.In[c.at(col)].Name, t)
	}
	var out []int64
	for _, n := range names {
		a, ok := c.arg(n)
		if !ok || a.Val.Null {
			return nil, t, fmt.Errorf("%s needs %s", c.Fn.Name, n)
		}
		out = append(out, types.Convert(a.Val, types.Long).I)
	}
	return out, t, nil
}

// ticks reads a cell of a time or number column.
func ticks(v types.Value) int64 {
	if v.Type == types.Real || v.Type == types.Decimal {
		return int64(v.Float())
	}
	return v.I
}

func long(n int) types.Value { return types.NewLong(int64(n)) }

// instant is n as a value of the axis' type.
func instant(n int64, t types.Type) types.Value {
	switch t {
	case types.Datetime:
		return types.NewDatetime(n)
	case types.Timespan:
		return types.NewTimespan(n)
	}
	return types.Convert(types.NewLong(n), t)
}

// maxSteps bounds the points of an axis.
const maxSteps = 100_000

// steps counts the points from, from+step … up to and including to.
func steps(name string, from, to, step int64) (int, error) {
	if step <= 0 || to < from {
		return 0, fmt.Errorf("%s needs a positive step and an end behind its start", name)
	}
	if n := (to - from) / step; n < maxSteps {
		return int(n) + 1, nil
	}
	return 0, fmt.Errorf("%s has more than %d steps", name, maxSteps)
}

// keyOf tells rows apart by some of their columns.
func keyOf(row []types.Value, at []int) string {
	s := ""
	for _, i := range at {
		k := types.Key(row[i])
		s += fmt.Sprintf("%d:%s", len(k), k)
	}
	return s
}

func positions(args []Arg) []int {
	out := make([]int, len(args))
	for i, a := range args {
		out[i] = a.At
	}
	return out
}
