// Package funcs is the one table of scalar and aggregate functions: name, signature,
// documentation and meaning.
//
// The binder resolves calls with it, eval computes with it, sqlgen lowers what SQL says
// alike and hands the rest back to it, and the reference pages are printed from it. It
// knows types only, neither syntax nor plans.
//
// Invariants: the tables are immutable after construction; an implementation is pure
// (volatile ones are marked), never panics on any value, and bounds what it allocates
// (MaxString, MaxArray). Start at Func and sig.go.
package funcs

import (
	"math/rand/v2"
	"regexp"
	"sync"

	"github.com/vedette-edr/vedette/kql/types"
)

// Bounds on what one call may make, so that repeat and range cannot eat the memory.
const (
	MaxString = 1 << 20 // bytes of one made string
	MaxArray  = 1 << 20 // elements of one made array
)

// Ctx is what an implementation may know besides its arguments. One Ctx serves one
// call site and one goroutine.
type Ctx struct {
	Result types.Type
	Places Places // nil for none; see Func.Late
	regs   map[string]*regexp.Regexp
}

// Regexp compiles an RE2 pattern once; nil when it is none.
func (c *Ctx) Regexp(pattern string) *regexp.Regexp {
	if re, ok := c.regs[pattern]; ok {
		return re
	}
	if c.regs == nil || len(c.regs) > 1000 {
		c.regs = map[string]*regexp.Regexp{}
	}
	re, err := regexp.Compile(Pattern(pattern))
	if err != nil {
		re = nil
	}
	c.regs[pattern] = re
	return re
}

// null is the null of the call's result.
func (c *Ctx) null() types.Value { return types.Null(c.Result) }

// Impl computes a function.
type Impl func(c *Ctx, a []types.Value) types.Value

// Func is one scalar function or operator.
type Func struct {
	Name   string
	Params []Param
	// Result is the fixed result type, or Unknown when it follows the arguments: then
	// it is the common type of the parameters of kind Same or Number.
	Result types.Type
	Doc    string
	// Nulls says that Eval sees null arguments; otherwise a null argument makes the
	// result null without a call.
	Nulls    bool
	Volatile bool // another value on each call
	Late     bool // reads of Ctx more than Result: not computed while a query is compiled
	Internal bool // no name that a query can write
	// Outs are the columns of a function with several results: Eval then answers a
	// dynamic array of them, or null.
	Outs []Out
	Eval Impl
}

// Out is one result of a function with several.
type Out struct {
	Name string // ends the column's name: function_argument_Name
	Type types.Type
}

// Kind tells what a parameter takes.
type Kind uint8

// Kinds of parameters.
const (
	Typed  Kind = iota // values that convert to Param.Type without loss
	Any                // every type, as it is
	Same               // widened to the common type of all Same parameters
	Number             // a number, widened to the common type of all Number parameters
	TypeOf             // a typeof(...) literal, handed over as its name
)

// Param is one parameter.
type Param struct {
	Name     string
	Kind     Kind
	Type     types.Type
	Optional bool
	Variadic bool // last only: any count, at least one unless Optional
}

// Call evaluates f with its null rule.
func (f *Func) Call(c *Ctx, a []types.Value) types.Value {
	if !f.Nulls {
		for i := range a {
			if a[i].Null {
				return c.null()
			}
		}
	}
	return f.Eval(c, a)
}

// Acc accumulates one group of an aggregate.
type Acc interface {
	// Add takes the arguments of one row; the slice is reused by the caller.
	Add(a []types.Value)
	// Result answers the columns: one, or as many as the aggregate has outputs.
	Result() []types.Value
}

// Agg is one aggregate function.
type Agg struct {
	Func
	// Prefix begins the name of an unnamed column: Prefix_arg; "" means Name.
	Prefix string
	// If is the name of the variant with a predicate as the last argument, or "".
	If string
	// Multi marks arg_max and its like, whose further arguments are outputs of their own.
	Multi bool
	New   func(c *Ctx) Acc
}

var scalars = sync.OnceValue(func() map[string]*Func {
	m := map[string]*Func{}
	for _, fam := range [][]entry{operators(), stringFuncs(), convertFuncs(), mathFuncs(), timeFuncs(), dynamicFuncs(), arrayFuncs(), condFuncs(), hashFuncs(), netFuncs(), parseFuncs(), seriesFuncs(), seriesTimeFuncs(), statFuncs(), digestFuncs(), codeFuncs(), geoFuncs(), placeFuncs(), internalFuncs()} {
		for _, e := range fam {
			f := e.build()
			m[f.Name] = f
			for _, a := range e.alias {
				m[a] = f
			}
		}
	}
	return m
})

var aggs = sync.OnceValue(func() map[string]*Agg {
	m := map[string]*Agg{}
	for _, e := range append(aggTable(), digestAggs()...) {
		a := e.build()
		m[a.Name] = a
		for _, n := range e.alias {
			m[n] = a
		}
	}
	return m
})

// Lookup finds a scalar function by name or legacy name.
func Lookup(name string) (*Func, bool) { f, ok := scalars()[name]; return f, ok }

// LookupAgg finds an aggregate by name or legacy name; the second result is set when the
// name is that of the variant with a predicate.
func LookupAgg(name string) (agg *Agg, withIf, ok bool) {
	if a, ok := aggs()[name]; ok {
		return a, false, true
	}
	// The predicates of what is an alias itself.
	switch name {
	case "anyif":
		name = "take_anyif"
	case "count_distinctif":
		name = "dcountif"
	}
	for _, a := range aggs() {
		if a.If == name {
			return a, true, true
		}
	}
	return nil, false, false
}

// Names lists every name that a query may call, for suggestions.
func Names() []string {
	var out []string
	for n, f := range scalars() {
		if !f.Internal {
			out = append(out, n)
		}
	}
	for n, a := range aggs() {
		out = append(out, n)
		if a.If != "" {
			out = append(out, a.If)
		}
	}
	return out
}

func randomFloat() float64 { return rand.Float64() }
