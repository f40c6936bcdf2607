package plan

import (
	"github.com/vedette-edr/vedette/kql/funcs"
	"github.com/vedette-edr/vedette/kql/types"
)

// NewCall applies a function of the table by name, for predicates that are made by
// programs; t is the result type, Unknown for the function's own. A name that the table
// does not have is a programming error and panics.
func NewCall(name string, t types.Type, args ...Expr) *Call {
	f, ok := funcs.Lookup(name)
	if !ok {
		panic("plan: no function " + name)
	}
	if t == types.Unknown {
		t = f.Result
	}
	return &Call{Fn: f, Args: args, T: t}
}

// givenID is the number of the column of a given relation: one that the binder, which
// counts up from 1, and Scan.Read, which counts down from -1, do not give.
const givenID = -1 << 21

// InGiven is x in (the texts of a relation that who asks brings along), for lists that are
// too long to stand in the plan. The relation has one column, a string.
func InGiven(x Expr, name string) Expr {
	c := Column{ID: givenID, Name: "value", Type: types.String}
	return &InTable{Op: "in", X: x, Root: &Scan{Table: name, External: &External{Cols: []Column{c}, Given: name},
		Cols: []ScanColumn{{Column: c, Source: ExternalColumn(0), BaseType: types.String}}}}
}

// InStrings is x in (list), the usual shape of a scope; an empty list is never true.
func InStrings(x Expr, list []string) Expr {
	if len(list) == 0 {
		return &Const{V: types.NewBool(false)}
	}
	args := []Expr{x}
	for _, s := range list {
		args = append(args, &Const{V: types.NewString(s)})
	}
	return NewCall("in", types.Bool, args...)
}
