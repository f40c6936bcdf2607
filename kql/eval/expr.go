package eval

import (
	"fmt"

	"github.com/vedette-edr/vedette/kql/funcs"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/types"
)

// eval computes an expression on a row.
type eval func(row []types.Value) types.Value

func (x *exec) compile(e plan.Expr, cols []plan.Column) (eval, error) {
	if y, ok := e.(*plan.Call); ok && x.stream != nil {
		if y.T == types.Bool {
			t, err := x.test(y, cols)
			return func(row []types.Value) types.Value { return t(row).value() }, err
		}
		if f, ok, err := x.extract(y, cols); ok || err != nil {
			return f, err
		}
	}
	return x.compilePlain(e, cols)
}

func (x *exec) compilePlain(e plan.Expr, cols []plan.Column) (eval, error) {
	switch y := e.(type) {
	case *plan.Const:
		v := y.V
		return func([]types.Value) types.Value { return v }, nil
	case *plan.Col:
		for i, c := range cols {
			if c.ID == y.ID {
				return func(row []types.Value) types.Value { return row[i] }, nil
			}
		}
		return nil, fmt.Errorf("column %s is not in reach", y)
	case *plan.Call:
		args, err := x.compileAll(y.Args, cols)
		if err != nil {
			return nil, err
		}
		if y.Fn.Name == "and" || y.Fn.Name == "or" {
			return logic(y.Fn.Name == "or", args), nil
		}
		c := &funcs.Ctx{Result: y.T, Places: x.lim.Places}
		buf := make([]types.Value, len(args))
		return func(row []types.Value) types.Value {
			// One buffer per call site serves all rows: implementations keep no arguments.
			for i, a := range args {
				buf[i] = a(row)
			}
			return y.Fn.Call(c, buf)
		}, nil
	case *plan.Scalar:
		r, err := x.sub(y.Root)
		if err != nil {
			return nil, err
		}
		v := types.Null(y.Type())
		if len(r) > 0 {
			v = r[0][0]
		}
		return func([]types.Value) types.Value { return v }, nil
	case *plan.Param:
		if at, ok := x.live[y.ID]; ok {
			return func([]types.Value) types.Value { return *at }, nil
		}
		v, ok := x.params[y.ID]
		if !ok {
			return nil, fmt.Errorf("%s has no value here", y)
		}
		return func([]types.Value) types.Value { return v }, nil
	case *plan.InTable:
		return x.inTable(y, cols)
	}
	return nil, fmt.Errorf("eval cannot compute %T", e)
}

// sub runs a nested query, which sees nothing of the one around it.
func (x *exec) sub(root plan.Node) (rows, error) {
	inner := *x
	inner.outer = nil
	return inner.run(root)
}

func (x *exec) compileAll(list []plan.Expr, cols []plan.Column) ([]eval, error) {
	out := make([]eval, len(list))
	for i, e := range list {
		f, err := x.compile(e, cols)
		if err != nil {
			return nil, err
		}
		out[i] = f
	}
	return out, nil
}

func (x *exec) inTable(y *plan.InTable, cols []plan.Column) (eval, error) {
	f, err := x.compile(y.X, cols)
	if err != nil {
		return nil, err
	}
	r, err := x.sub(y.Root)
	if err != nil {
		return nil, err
	}
	switch y.Op {
	case "in", "in~":
		set := make(map[string]bool, len(r))
		key := func(v types.Value) string {
			if y.Op == "in~" {
				return funcs.Fold(v.S)
			}
			return types.Key(v)
		}
		for _, row := range r {
			set[key(row[0])] = true
		}
		return func(row []types.Value) types.Value { return types.NewBool(set[key(f(row))]) }, nil
	}
	terms := make([]string, len(r))
	for i, row := range r {
		terms[i] = funcs.Fold(row[0].Text())
	}
	all := y.Op == "has_all"
	return func(row []types.Value) types.Value {
		s := funcs.Fold(f(row).S)
		for _, t := range terms {
			if funcs.HasTerm(s, t) != all {
				return types.NewBool(!all)
			}
		}
		return types.NewBool(all)
	}, nil
}

// logic is and (or, with decisive true): an argument that decides the outcome spares the
// rest, which are pure. Null decides nothing; where nothing decides it is the outcome.
func logic(decisive bool, args []eval) eval {
	return func(row []types.Value) types.Value {
		null := false
		for _, a := range args {
			v := a(row)
			switch {
			case v.Null:
				null = true
			case (v.I != 0) == decisive:
				return types.NewBool(decisive)
			}
		}
		if null {
			return types.Null(types.Bool)
		}
		return types.NewBool(!decisive)
	}
}
