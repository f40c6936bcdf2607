package eval

import (
	"cmp"
	"slices"

	"github.com/vedette-edr/vedette/kql/funcs"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/types"
)

// What a stream asks of every row is compiled for speed: tests answer without making
// values, what is constant is prepared once, and of tests that must all hold the cheap
// come first, which is sound because expressions have no effects and cannot fail. Tables
// are read by the plain reading in expr.go, which is what this is held against.

// truth is what a predicate says.
type truth uint8

const (
	no truth = iota
	yes
	unknown // null
)

func (t truth) value() types.Value {
	if t == unknown {
		return types.Null(types.Bool)
	}
	return types.NewBool(t == yes)
}

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// test is a predicate on a row.
type test func(row []types.Value) truth

// text reads a string from a row; ok is false for a null.
type text func(row []types.Value) (s string, ok bool)

// test compiles a predicate for a stream.
func (x *exec) test(e plan.Expr, cols []plan.Column) (test, error) {
	y, ok := e.(*plan.Call)
	if !ok {
		return x.plainTest(e, cols)
	}
	switch y.Fn.Name {
	case "and", "or":
		args := slices.Clone(y.Args)
		slices.SortStableFunc(args, func(a, b plan.Expr) int { return cmp.Compare(cost(a), cost(b)) })
		tests := make([]test, len(args))
		for i, a := range args {
			t, err := x.test(a, cols)
			if err != nil {
				return nil, err
			}
			tests[i] = t
		}
		return allOf(y.Fn.Name == "or", tests), nil
	case "not":
		t, err := x.test(y.Args[0], cols)
		return func(row []types.Value) truth {
			switch t(row) {
			case yes:
				return no
			case no:
				return yes
			}
			return unknown
		}, err
	}
	plain, err := x.plainTest(e, cols)
	if err != nil {
		return nil, err
	}
	ask, fold := known(y)
	if ask == nil {
		return plain, nil
	}
	read, err := x.text(y.Args[0], cols, fold)
	return func(row []types.Value) truth {
		s, ok := read(row)
		if !ok {
			return plain(row)
		}
		return truthOf(ask(s))
	}, err
}

// allOf is the and of tests; with decisive true, their or.
func allOf(decisive bool, tests []test) test {
	decides := truthOf(decisive)
	return func(row []types.Value) truth {
		out := truthOf(!decisive)
		for _, t := range tests {
			switch t(row) {
			case decides:
				return decides
			case unknown:
				out = unknown
			}
		}
		return out
	}
}

func (x *exec) plainTest(e plan.Expr, cols []plan.Column) (test, error) {
	f, err := x.compilePlain(e, cols)
	return func(row []types.Value) truth {
		v := f(row)
		switch {
		case v.Null:
			return unknown
		case v.I != 0:
			return yes
		}
		return no
	}, err
}

// text compiles an expression of type string; with fold it reads the folded text.
func (x *exec) text(e plan.Expr, cols []plan.Column, fold bool) (text, error) {
	if c, ok := e.(*plan.Col); ok {
		i := slices.IndexFunc(cols, func(k plan.Column) bool { return k.ID == c.ID })
		if i >= 0 && fold && x.base {
			return func(row []types.Value) (string, bool) {
				if row[i].Null {
					return "", false
				}
				return x.stream.folded(i, row[i].S), true
			}, nil
		}
		if i >= 0 && !fold {
			return func(row []types.Value) (string, bool) { return row[i].S, !row[i].Null }, nil
		}
	}
	f, err := x.compile(e, cols)
	return func(row []types.Value) (string, bool) {
		v := f(row)
		if fold {
			return funcs.Fold(v.S), !v.Null
		}
		return v.S, !v.Null
	}, err
}

// known returns what a call asks of its first argument, a text that is not null, where all
// the rest is constant; nil when it is no such call. With fold the text is to be folded.
func known(y *plan.Call) (ask func(s string) bool, fold bool) {
	if len(y.Args) == 0 || y.Args[0].Type() != types.String {
		return nil, false
	}
	var rest []types.Value
	for _, a := range y.Args[1:] {
		c, ok := a.(*plan.Const)
		if !ok || c.V.Null {
			return nil, false
		}
		rest = append(rest, c.V)
	}
	switch y.Fn.Name {
	case "isempty":
		return func(s string) bool { return s == "" }, false
	case "isnotempty":
		return func(s string) bool { return s != "" }, false
	case "has_any", "has_all":
		return terms(funcs.Terms(rest), y.Fn.Name == "has_all"), true
	}
	if len(rest) == 0 || slices.ContainsFunc(rest, func(v types.Value) bool { return v.Type != types.String }) {
		return nil, false
	}
	of := rest[0].S
	switch y.Fn.Name {
	case "==":
		return func(s string) bool { return s == of }, false
	case "!=":
		return func(s string) bool { return s != of }, false
	case "=~":
		of = funcs.Fold(of)
		return func(s string) bool { return s == of }, true
	case "in", "in~":
		set := make(map[string]struct{}, len(rest))
		for _, v := range rest {
			k := v.S
			if y.Fn.Name == "in~" {
				k = funcs.Fold(k)
			}
			set[k] = struct{}{}
		}
		return func(s string) bool { _, ok := set[s]; return ok }, y.Fn.Name == "in~"
	case "matches regex":
		re, needles := (&funcs.Ctx{}).Regexp(of), funcs.Required(of)
		return func(s string) bool { return re != nil && needles.In(s) && re.MatchString(s) }, false
	}
	match, fold := funcs.TextTest(y.Fn.Name)
	if match == nil {
		return nil, false
	}
	if fold {
		of = funcs.Fold(of)
	}
	return func(s string) bool { return match(s, of) }, fold
}

// terms is has_any, or has_all, of a folded text.
func terms(list []string, all bool) func(s string) bool {
	for i := range list {
		list[i] = funcs.Fold(list[i])
	}
	return func(s string) bool {
		for _, t := range list {
			if funcs.HasTerm(s, t) != all {
				return !all
			}
		}
		return all
	}
}

// extract compiles the function of that name where pattern and group are constant: a text
// that cannot match needs no search. ok is false for another call.
func (x *exec) extract(y *plan.Call, cols []plan.Column) (f eval, ok bool, err error) {
	if y.Fn.Name != "extract" || len(y.Args) < 3 {
		return nil, false, nil
	}
	pattern, ok := y.Args[0].(*plan.Const)
	if !ok || pattern.V.Null || pattern.V.Type != types.String {
		return nil, false, nil
	}
	needles := funcs.Required(pattern.V.S)
	if needles == nil {
		return nil, false, nil
	}
	source, err := x.text(y.Args[2], cols, false)
	if err != nil {
		return nil, false, err
	}
	plain, err := x.compilePlain(y, cols)
	return func(row []types.Value) types.Value {
		if s, ok := source(row); ok && !needles.In(s) {
			return types.Null(y.T)
		}
		return plain(row)
	}, true, err
}

// cost estimates what computing an expression takes, one for a comparison of short texts.
func cost(e plan.Expr) int {
	total := 0
	plan.WalkExpr(e, func(sub plan.Expr) {
		switch y := sub.(type) {
		case *plan.Col:
			if y.T == types.Dynamic {
				total += 20 // its text is parsed
			}
		case *plan.Call:
			total += callCost(y)
		case *plan.InTable:
			total += 5
		}
	})
	return total
}

func callCost(y *plan.Call) int {
	switch y.Fn.Name {
	case "and", "or", "not":
		return 0
	case "==", "!=", "<", "<=", ">", ">=", "isempty", "isnotempty", "isnull", "isnotnull":
		return 1
	case "in", "in~", "=~", "get":
		return 2
	case "has_any", "has_all":
		return 4 + 2*len(y.Args)
	case "matches regex", "extract", "extract_all", "replace_regex", "parse_json":
		return 40
	}
	if match, fold := funcs.TextTest(y.Fn.Name); match != nil {
		if fold {
			return 4
		}
		return 3
	}
	return 8
}
