package bind

import (
	"slices"
	"strings"

	"github.com/vedette-edr/vedette/kql/funcs"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/plugin"
	"github.com/vedette-edr/vedette/kql/syntax"
	"github.com/vedette-edr/vedette/kql/types"
)

// evaluate binds a call of a plug-in.
func (b *binder) evaluate(r rel, x *syntax.EvaluateOp, p *pipe) rel {
	name := strings.ToLower(x.Call.Name.Name)
	f, ok := plugin.Lookup(name)
	if !ok || name == "reduce" {
		if slices.Contains([]string{"python", "r", "sql_request", "mysql_request", "postgresql_request", "http_request", "http_request_post", "cosmosdb_sql_request", "azure_digital_twins_query_request", "ai_embeddings",
			"funnel_sequence", "funnel_sequence_completion", "preview", "diffpatterns_text", "infer_storage_schema"}, name) {
			b.fail(x.Call.Pos(), CodeSupport, "the plug-in %s is not supported", name)
		}
		b.unknown(x.Call.Name.Pos(), CodeFunction, "plug-in", x.Call.Name.Name, plugin.Names())
	}
	args := x.Call.Args
	var missing types.Value
	if name == "pivot" {
		r, args, missing = b.pivotInput(r, x, p)
	}
	if name == "rows_near" && len(args) > 0 {
		r, args = b.nearInput(r, args, p)
	}
	if name == "bag_unpack" {
		r = b.parsedInput(r, args)
	}
	call, node := b.pluginCall(f, r, args, x.Call, p)
	if name == "pivot" {
		miss := plugin.Param{Name: "missing", Kind: plugin.Const}
		call.Args = append(call.Args, plugin.Arg{Param: miss, At: -1, Val: missing})
	}
	return b.pluginRel(call, node, x, p)
}

// nearInput makes the condition of rows_near a column, which the plug-in drops.
func (b *binder) nearInput(r rel, args []syntax.Expr, p *pipe) (rel, []syntax.Expr) {
	x := args[0]
	if ids, v := named(x); len(ids) == 1 && strings.EqualFold(ids[0].Name, "Condition") {
		x = v
	}
	cond := b.expr(x, b.rowEnv(r, p))
	if cond.Type() != types.Bool {
		b.fail(x.Pos(), CodeType, "rows_near takes a condition, not a %s", cond.Type())
	}
	c := b.column("$near", types.Bool)
	// The name cannot be written, so that it hides no column.
	r = b.overlay(r, []plan.Item{{Col: c, Expr: cond}})
	return r, append([]syntax.Expr{&syntax.Ident{Span: x.Pos(), Name: c.Name}}, args[1:]...)
}

// parsedInput makes a JSON text that is to be unpacked a dynamic.
func (b *binder) parsedInput(r rel, args []syntax.Expr) rel {
	if len(args) == 0 {
		return r
	}
	id, ok := args[0].(*syntax.Ident)
	if !ok {
		return r
	}
	c, ok := r.find(id.Name)
	if !ok || !c.JSONString {
		return r
	}
	return b.overlay(r, []plan.Item{{Col: b.column(c.Name, types.Dynamic), Expr: b.dynamic(c.Ref())}})
}

// pluginCall resolves arguments: by name, or by position where the kind fits.
func (b *binder) pluginCall(f *plugin.Func, r rel, args []syntax.Expr, at *syntax.Call, p *pipe) (*plugin.Call, *plan.Plugin) {
	c := &plugin.Call{Fn: f}
	n := &plan.Plugin{Call: c, In: b.trim(r), InCols: slices.Clone(r.cols)}
	for _, col := range r.cols {
		c.In = append(c.In, plugin.Column{Name: col.Name, Type: col.Type})
	}
	given := map[string]bool{}
	next := 0
	for _, e := range args {
		if ids, v := named(e); len(ids) == 1 {
			i := slices.IndexFunc(f.Params, func(q plugin.Param) bool { return strings.EqualFold(q.Name, ids[0].Name) })
			if i < 0 {
				b.fail(e.Pos(), CodeArguments, "%s has no parameter %q", f.Name, ids[0].Name)
			}
			if !b.pluginArg(c, n, f.Params[i], v, r, p) {
				b.fail(e.Pos(), CodeArguments, "%s takes something else for %s", f.Name, f.Params[i].Name)
			}
			given[f.Params[i].Name] = true
			continue
		}
		for {
			if next >= len(f.Params) {
				b.fail(e.Pos(), CodeArguments, "%s takes no such argument here", f.Name)
			}
			q := f.Params[next]
			ok := b.pluginArg(c, n, q, e, r, p)
			if ok {
				given[q.Name] = true
			}
			if !ok && !q.Optional {
				b.fail(e.Pos(), CodeArguments, "%s takes a %s for %s", f.Name, kindName(q.Kind), q.Name)
			}
			if !ok || !q.Variadic {
				next++
			}
			if ok {
				break
			}
		}
	}
	for _, q := range f.Params {
		if !q.Optional && !given[q.Name] && q.Name != "missing" {
			b.fail(at.Pos(), CodeArguments, "%s needs a %s for %s", f.Name, kindName(q.Kind), q.Name)
		}
	}
	return c, n
}

func kindName(k plugin.Kind) string {
	return [...]string{"column", "constant", "table", "column or constant", "column of the table"}[k]
}

// pluginArg adds e as an argument of kind q if it is one.
func (b *binder) pluginArg(c *plugin.Call, n *plan.Plugin, q plugin.Param, e syntax.Expr, r rel, p *pipe) bool {
	column := func(cols []plugin.Column) bool {
		id, ok := e.(*syntax.Ident)
		if !ok {
			return false
		}
		i := slices.IndexFunc(cols, func(o plugin.Column) bool { return o.Name == id.Name })
		if i >= 0 {
			c.Args = append(c.Args, plugin.Arg{Param: q, At: i})
		}
		return i >= 0
	}
	switch q.Kind {
	case plugin.Col:
		return column(c.In)
	case plugin.Key:
		return column(c.Table)
	case plugin.Tab:
		if !b.isTable(e, p.sc) {
			return false
		}
		t := b.table(e, p.sc)
		n.Table, n.TableCols = b.trim(t), slices.Clone(t.cols)
		for _, col := range t.cols {
			c.Table = append(c.Table, plugin.Column{Name: col.Name, Type: col.Type})
		}
		return true
	case plugin.Any:
		if column(c.In) {
			return true
		}
	}
	if id, ok := e.(*syntax.Ident); ok {
		if _, isCol := r.find(id.Name); isCol {
			return false
		}
	}
	if b.isTable(e, p.sc) {
		return false
	}
	k, ok := b.expr(e, &env{sc: p.sc}).(*plan.Const)
	if ok {
		c.Args = append(c.Args, plugin.Arg{Param: q, At: -1, Val: k.V})
	}
	return ok
}

// pluginRel finds out the columns and makes the relation.
func (b *binder) pluginRel(call *plugin.Call, n *plan.Plugin, x *syntax.EvaluateOp, p *pipe) rel {
	open := false
	var rows plugin.Rows
	if x.Schema == nil && call.Fn.Open {
		open = true
		rows = b.probe(call, n)
	}
	cols, err := call.Fn.Shape(call, rows)
	if err != nil {
		b.fail(x.Pos(), CodeArguments, "%v", err)
	}
	if x.Schema != nil && call.Fn.Open {
		// Without rows the shape is what passes through.
		if !x.Star {
			cols = nil
		}
		for _, d := range x.Schema {
			cols = append(cols, plugin.Column{Name: d.Name.Name, Type: d.Type})
		}
	}
	call.Out = cols
	for _, c := range cols {
		col := b.column(c.Name, c.Type)
		// JSON text that passes through is JSON text still.
		for _, in := range append(slices.Clone(n.InCols), n.TableCols...) {
			col.JSONString = col.JSONString || in.JSONString && in.Name == col.Name && in.Type == col.Type
		}
		n.Cols = append(n.Cols, col)
	}
	return rel{node: b.node(n, x.Pos()), cols: n.Cols, open: open}
}

// probe asks for the values of the column that an open plug-in makes columns of. Where
// nobody can answer there are none, and the columns are known by name only.
func (b *binder) probe(call *plugin.Call, n *plan.Plugin) plugin.Rows {
	if b.opt.Probe == nil || !plan.Closed(n.In) {
		return nil
	}
	at := call.Args[0].At
	c := n.InCols[at]
	// The plan that is asked about is a copy: engines rewrite what they run.
	agg := &plan.Aggregate{In: plan.Clone(n.In), Keys: []plan.Item{{Col: c, Expr: c.Ref()}}}
	got, err := b.opt.Probe(agg)
	if err != nil {
		b.fail(syntax.Span{}, CodeQuery, "the columns of %s: %v", call.Fn.Name, err)
	}
	out := make(plugin.Rows, len(got))
	for i, g := range got {
		row := make([]types.Value, len(n.InCols))
		row[at] = g[0]
		out[i] = row
	}
	return out
}

// pivotInput groups the rows for pivot: by the columns listed, or by all that neither the
// pivot nor the aggregate names.
func (b *binder) pivotInput(r rel, x *syntax.EvaluateOp, p *pipe) (rel, []syntax.Expr, types.Value) {
	args := x.Call.Args
	if len(args) == 0 {
		b.fail(x.Call.Pos(), CodeArguments, "pivot needs a column")
	}
	id, ok := args[0].(*syntax.Ident)
	var on plan.Column
	if ok {
		on, ok = r.find(id.Name)
	}
	if !ok {
		b.fail(args[0].Pos(), CodeArguments, "pivot takes a column first")
	}
	agg := syntax.Expr(&syntax.Call{Span: x.Call.Span, Name: &syntax.Ident{Span: x.Call.Span, Name: "count"}})
	rest := args[1:]
	if len(rest) > 0 {
		if c, isCall := rest[0].(*syntax.Call); isCall {
			agg, rest = c, rest[1:]
		}
	}
	n := &plan.Aggregate{In: r.node}
	ev := b.rowEnv(r, p)
	ev.aggs = &n.Aggs
	used, next := names{}, 0
	items := b.aggOutput(agg, ev, r, n, &next, used)
	if len(items) != 1 || len(n.Aggs) != 1 || len(n.Aggs[0].Cols) != 1 {
		b.fail(agg.Pos(), CodeAggregate, "pivot takes one aggregate of one result")
	}
	inAgg := map[int]bool{}
	for _, a := range n.Aggs[0].Args {
		plan.WalkExpr(a, func(e plan.Expr) {
			if c, ok := e.(*plan.Col); ok {
				inAgg[c.ID] = true
			}
		})
	}
	add := func(c plan.Column) { n.Keys = append(n.Keys, plan.Item{Col: c, Expr: c.Ref()}) }
	if len(rest) > 0 {
		for _, e := range rest {
			id, ok := e.(*syntax.Ident)
			if !ok {
				b.fail(e.Pos(), CodeArguments, "pivot groups by columns")
			}
			c, ok := b.name(id, ev).(*plan.Col)
			if !ok {
				b.fail(e.Pos(), CodeArguments, "pivot groups by columns")
			}
			col, _ := r.find(c.Name)
			add(col)
		}
	} else {
		for _, c := range r.cols {
			if c.ID != on.ID && !inAgg[c.ID] {
				add(c)
			}
		}
	}
	add(on)
	val := items[0].Col
	val.Name = "$value"
	missing := types.Null(val.Type)
	if bare, ok := items[0].Expr.(*plan.Col); ok && bare.ID == n.Aggs[0].Cols[0].ID {
		n.Aggs[0].Cols[0].Name = val.Name
		// Where a group has no row of a value, the aggregate of nothing stands.
		if a := n.Aggs[0]; slices.Contains([]string{"count", "sum", "dcount"}, a.Fn.Name) {
			missing = a.Fn.New(&funcs.Ctx{Result: val.Type}).Result()[0]
		}
	}
	out := rel{node: b.node(n, x.Pos())}
	for _, k := range n.Keys {
		out.cols = append(out.cols, k.Col)
	}
	if c := n.Aggs[0].Cols[0]; c.ID == val.ID {
		out.cols = append(out.cols, c)
	} else {
		pr := &plan.Project{In: out.node}
		for _, c := range out.cols {
			pr.Items = append(pr.Items, plan.Item{Col: c, Expr: c.Ref()})
		}
		pr.Items = append(pr.Items, plan.Item{Col: val, Expr: items[0].Expr})
		out = rel{node: b.node(pr, x.Pos()), cols: append(out.cols, val)}
	}
	return out, []syntax.Expr{args[0], &syntax.Ident{Span: x.Span, Name: val.Name}}, missing
}

// reduce is the plug-in behind the operator.
func (b *binder) reduce(r rel, x *syntax.ReduceOp, p *pipe) rel {
	f, _ := plugin.Lookup("reduce")
	v := b.asText(b.expr(x.By, b.rowEnv(r, p)))
	c := b.column("text", types.String)
	in := rel{node: b.node(&plan.Project{In: r.node, Items: []plan.Item{{Col: c, Expr: v}}}, x.Pos()), cols: []plan.Column{c}}
	args := []syntax.Expr{&syntax.Ident{Span: x.Span, Name: c.Name}}
	for _, pr := range x.Props {
		args = append(args, &syntax.Named{Span: x.Span, Names: []*syntax.Ident{{Span: x.Span, Name: pr.Name}}, X: pr.Value})
	}
	call, n := b.pluginCall(f, in, args, &syntax.Call{Span: x.Span, Name: &syntax.Ident{Span: x.Span, Name: "reduce"}}, p)
	return b.pluginRel(call, n, &syntax.EvaluateOp{Span: x.Span}, p)
}
