package bind

import (
	"slices"
	"strings"

	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/syntax"
	"github.com/vedette-edr/vedette/kql/types"
)

// projectByNames keeps the columns that constant texts, or arrays of them, name. A text
// may be a pattern; one that names no column names none.
func (b *binder) projectByNames(r rel, x *syntax.ProjectOp, p *pipe) rel {
	out := rel{node: r.node, name: r.name}
	add := func(c plan.Column) {
		if !slices.Contains(out.cols, c) {
			out.cols = append(out.cols, c)
		}
	}
	for _, e := range x.Items {
		c, ok := b.expr(e, &env{sc: p.sc}).(*plan.Const)
		if !ok || c.V.Type != types.String && c.V.Type != types.Dynamic {
			b.fail(e.Pos(), CodeArguments, "project-by-names takes constant texts and arrays of them")
		}
		list, isArray := c.V.D.([]any)
		if !isArray {
			list = []any{c.V.Text()}
		}
		for _, n := range list {
			name, _ := n.(string)
			if strings.Contains(name, "*") {
				b.pickPattern(r, name, "", add)
			} else if c, found := r.find(name); found {
				add(c)
			}
		}
	}
	return out
}
