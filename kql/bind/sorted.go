package bind

import (
	"fmt"
	"strings"

	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/syntax"
	"github.com/vedette-edr/vedette/kql/types"
)

// sortsSeveral tells the calls of array_sort_asc and array_sort_desc that bring several
// arrays into one order: each becomes a column of its own.
func sortsSeveral(c *syntax.Call) bool {
	if !strings.HasPrefix(c.Name.Name, "array_sort_") || len(c.Args) < 2 {
		return false
	}
	// A last argument that is no array says where nulls go.
	switch x := c.Args[1].(type) {
	case *syntax.Literal:
		return len(c.Args) > 2 || x.Val.Type == types.Dynamic
	case *syntax.Binary, *syntax.Logic, *syntax.Unary:
		return len(c.Args) > 2
	}
	return true
}

// sortedColumns makes the columns of such a call, called after their arrays.
func (b *binder) sortedColumns(c *syntax.Call, ids []*syntax.Ident, ev *env) []plan.Item {
	all := b.expr(c, ev)
	var out []plan.Item
	for i, a := range c.Args {
		if v, ok := a.(*syntax.Literal); ok && v.Val.Type == types.Bool {
			break
		}
		name := b.autoName(a, fmt.Sprintf("array%d", i)) + "_sorted"
		if i < len(ids) {
			name = ids[i].Name
		}
		v := call("get", types.Dynamic, all, constant(types.NewLong(int64(i))))
		out = append(out, plan.Item{Col: b.column(name, types.Dynamic), Expr: v})
	}
	return out
}
