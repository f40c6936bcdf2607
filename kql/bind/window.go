package bind

import (
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/syntax"
	"github.com/vedette-edr/vedette/kql/types"
)

// windowFuncs are the functions over the rows in their order.
var windowFuncs = map[string]bool{"row_number": true, "prev": true, "next": true, "row_cumsum": true, "row_rank_dense": true, "row_rank": true, "row_rank_min": true, "row_window_session": true}

func (b *binder) window(x *syntax.Call, ev *env) plan.Expr {
	name := x.Name.Name
	if ev.win == nil || ev.aggs != nil {
		b.fail(x.Pos(), CodeAggregate, "%s stands in where, extend and project only", name)
	}
	var args []plan.Expr
	for _, a := range x.Args {
		args = append(args, b.expr(a, ev))
	}
	t := types.Long
	restart := func(i int) {
		if len(args) > i {
			args[i] = b.convert(args[i], types.Bool, x.Pos())
		}
	}
	if name == "row_rank" {
		name = "row_rank_dense" // its former name
	}
	switch name {
	case "row_number":
		b.arity(x, 0, 2)
		if len(args) == 0 {
			args = append(args, constant(types.NewLong(1)))
		}
		restart(1)
	case "prev", "next":
		b.arity(x, 1, 3)
		t = args[0].Type()
		if len(args) > 2 {
			args[2] = b.convert(args[2], t, x.Pos())
		}
		if len(args) > 1 {
			if _, ok := args[1].(*plan.Const); !ok {
				b.fail(x.Pos(), CodeArguments, "the offset of %s is a constant", name)
			}
		}
	case "row_cumsum":
		b.arity(x, 1, 2)
		t = args[0].Type()
		if !t.Numeric() && t != types.Timespan {
			b.fail(x.Pos(), CodeType, "row_cumsum takes numbers or timespans, not a %s", t)
		}
		restart(1)
	case "row_rank_dense", "row_rank_min":
		b.arity(x, 1, 2)
		restart(1)
	case "row_window_session":
		b.arity(x, 3, 4)
		t = types.Datetime
		restart(3)
	}
	c := b.column(name, t)
	*ev.win = append(*ev.win, plan.WindowItem{Col: c, Name: name, Args: args})
	return c.Ref()
}
