package bind

import (
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/types"
)

// known answers the value of an expression that has one before the query runs: a constant,
// or one of subqueries, which are then run. ok is false where it depends on a row.
func (b *binder) known(e plan.Expr) (v types.Value, ok bool) {
	if c, ok := e.(*plan.Const); ok {
		return c.V, true
	}
	rows := false
	subquery := false
	plan.WalkExpr(e, func(x plan.Expr) {
		switch x.(type) {
		case *plan.Col:
			rows = true
		case *plan.Scalar, *plan.InTable:
			subquery = true
		}
	})
	if rows || !subquery || b.opt.Probe == nil {
		return types.Value{}, false
	}
	one := &plan.Project{In: &plan.Values{Rows: [][]types.Value{{}}}, Items: []plan.Item{{Col: b.column("value", e.Type()), Expr: e}}}
	out, err := b.opt.Probe(one)
	switch {
	case err != nil:
		return types.Value{}, false
	case len(out) == 0 && e.Type().Numeric():
		// A store that cannot be asked has no rows to count.
		return types.Convert(types.NewLong(0), e.Type()), true
	case len(out) == 0:
		return types.Null(e.Type()), true
	}
	return out[0][0], true
}
