package bind

import (
	"path"
	"slices"
	"strings"

	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/syntax"
)

func (b *binder) extend(r rel, items []syntax.Expr, p *pipe) rel {
	ev := b.rowEnv(r, p)
	used := names{}
	for _, c := range r.cols {
		used[c.Name] = true
	}
	next := 0
	var list []plan.Item
	for _, e := range items {
		b.guard(func() {
			list = append(list, b.outputs(e, ev, func(x syntax.Expr) string {
				if n := b.autoName(x, ""); n != "" {
					return used.unique(n)
				}
				return used.column(&next)
			})...)
		})
	}
	r = b.windowed(r, ev)
	return b.overlay(r, list)
}

// overlay adds computed columns; one of an existing name takes its place.
func (b *binder) overlay(r rel, list []plan.Item) rel {
	pr := &plan.Project{In: r.node}
	out := rel{name: r.name, open: r.open}
	for _, c := range r.cols {
		it := plan.Item{Col: c, Expr: c.Ref()}
		for _, n := range list {
			if n.Col.Name == c.Name {
				it = n
			}
		}
		pr.Items = append(pr.Items, it)
		out.cols = append(out.cols, it.Col)
	}
	for i, n := range list {
		if slices.ContainsFunc(out.cols, func(c plan.Column) bool { return c.Name == n.Col.Name }) {
			continue
		}
		// Of two of one name the last counts.
		for _, later := range list[i+1:] {
			if later.Col.Name == n.Col.Name {
				n = later
			}
		}
		pr.Items = append(pr.Items, n)
		out.cols = append(out.cols, n.Col)
	}
	for _, a := range r.alias {
		if slices.ContainsFunc(list, func(n plan.Item) bool { return n.Col.Name == a.Name }) {
			continue
		}
		out.alias = append(out.alias, a)
		if !slices.ContainsFunc(pr.Items, func(it plan.Item) bool { return it.Col.ID == a.ID }) {
			pr.Items = append(pr.Items, plan.Item{Col: a, Expr: a.Ref()})
		}
	}
	out.node = b.node(pr, syntax.Span{})
	return out
}

func (b *binder) project(r rel, x *syntax.ProjectOp, p *pipe) rel {
	switch x.Kw {
	case "project":
		return b.projectItems(r, x, p)
	case "distinct":
		return b.distinct(r, x, p)
	case "project-by-names":
		return b.projectByNames(r, x, p)
	case "project-rename":
		out := rel{alias: r.alias, name: r.name, cols: slices.Clone(r.cols), node: r.node, open: r.open}
		pr := &plan.Project{In: r.node}
		for _, e := range x.Items {
			ids, src := named(e)
			id, ok := src.(*syntax.Ident)
			if len(ids) != 1 || !ok {
				b.fail(e.Pos(), CodeArguments, "project-rename takes New = Old")
			}
			c, ok := b.name(id, &env{sc: p.sc, in: r}).(*plan.Col)
			i := -1
			if ok {
				i = slices.IndexFunc(out.cols, func(o plan.Column) bool { return o.ID == c.ID })
			}
			if i < 0 {
				b.fail(e.Pos(), CodeColumn, "%q is no column", id.Name)
			}
			nc := out.cols[i]
			nc.ID, nc.Name = b.newID(), ids[0].Name
			pr.Items = append(pr.Items, plan.Item{Col: nc, Expr: out.cols[i].Ref()})
			out.cols[i] = nc
		}
		for i, c := range out.cols {
			if c.ID == r.cols[i].ID {
				pr.Items = append(pr.Items, plan.Item{Col: c, Expr: c.Ref()})
			}
		}
		out.alias = nil
		for _, a := range r.alias {
			// An alias lives on with its column; one of its own is carried along.
			if slices.ContainsFunc(r.cols, func(c plan.Column) bool { return c.ID == a.ID }) {
				if slices.ContainsFunc(out.cols, func(c plan.Column) bool { return c.ID == a.ID }) {
					out.alias = append(out.alias, a)
				}
				continue
			}
			pr.Items = append(pr.Items, plan.Item{Col: a, Expr: a.Ref()})
			out.alias = append(out.alias, a)
		}
		out.node = b.node(pr, x.Pos())
		return out
	}
	picked := b.pick(r, x, p)
	out := rel{node: r.node, name: r.name, open: r.open && x.Kw != "project-keep"}
	switch x.Kw {
	case "project-keep":
		for _, c := range r.cols {
			if slices.Contains(picked, c) {
				out.cols = append(out.cols, c)
			}
		}
	case "project-away":
		for _, c := range r.cols {
			if !slices.Contains(picked, c) {
				out.cols = append(out.cols, c)
			}
		}
		for _, a := range r.alias {
			if !slices.ContainsFunc(picked, func(c plan.Column) bool { return c.ID == a.ID }) {
				out.alias = append(out.alias, a)
			}
		}
	case "project-reorder":
		out.alias = r.alias
		out.cols = picked
		for _, c := range r.cols {
			if !slices.Contains(picked, c) {
				out.cols = append(out.cols, c)
			}
		}
	}
	return out
}

// pick answers the columns that names and patterns mean, in their order.
func (b *binder) pick(r rel, x *syntax.ProjectOp, p *pipe) []plan.Column {
	var out []plan.Column
	add := func(c plan.Column) {
		if !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	for i, e := range x.Items {
		order := ""
		if i < len(x.Orders) {
			order = x.Orders[i]
		}
		switch y := e.(type) {
		case *syntax.Star:
			b.pickPattern(r, "*", order, add)
		case *syntax.Wildcard:
			b.pickPattern(r, y.Pattern, order, add)
		case *syntax.Ident:
			b.guard(func() {
				if c, ok := r.find(y.Name); ok {
					add(c)
					return
				}
				if r.open {
					return
				}
				b.name(y, &env{sc: newScope(nil), in: r})
			})
		default:
			b.fail(e.Pos(), CodeArguments, "%s takes names of columns", x.Kw)
		}
	}
	return out
}

func (b *binder) pickPattern(r rel, pattern, order string, add func(plan.Column)) {
	var hit []plan.Column
	for _, c := range r.cols {
		if ok, err := path.Match(pattern, c.Name); err == nil && ok {
			hit = append(hit, c)
		}
	}
	if order != "" {
		slices.SortStableFunc(hit, func(x, y plan.Column) int {
			n := strings.Compare(x.Name, y.Name)
			if strings.HasPrefix(order, "granny") {
				n = granny(x.Name, y.Name)
			}
			if strings.HasSuffix(order, "desc") {
				n = -n
			}
			return n
		})
	}
	for _, c := range hit {
		add(c)
	}
}

// granny orders names with the numbers in them by value.
func granny(x, y string) int {
	for x != "" && y != "" {
		i, j := digits(x), digits(y)
		if i > 0 && j > 0 {
			if a, c := strings.TrimLeft(x[:i], "0"), strings.TrimLeft(y[:j], "0"); a != c {
				if len(a) != len(c) {
					return len(a) - len(c)
				}
				return strings.Compare(a, c)
			}
			x, y = x[i:], y[j:]
			continue
		}
		if x[0] != y[0] {
			return int(x[0]) - int(y[0])
		}
		x, y = x[1:], y[1:]
	}
	return len(x) - len(y)
}

func digits(s string) int {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return i
}

func (b *binder) projectItems(r rel, x *syntax.ProjectOp, p *pipe) rel {
	ev := b.rowEnv(r, p)
	used := names{}
	next := 0
	var items []plan.Item
	for _, e := range x.Items {
		b.guard(func() {
			if id, ok := e.(*syntax.Ident); ok {
				if c, found := r.find(id.Name); found && !used[c.Name] && !slices.ContainsFunc(items, func(it plan.Item) bool { return it.Col.ID == c.ID }) {
					used[c.Name] = true
					items = append(items, plan.Item{Col: c, Expr: c.Ref()})
					return
				}
			}
			for _, it := range b.outputs(e, ev, func(y syntax.Expr) string {
				if n := b.autoName(y, ""); n != "" {
					return n
				}
				return used.column(&next)
			}) {
				if used[it.Col.Name] && !strings.HasPrefix(it.Col.Name, "Column") {
					it.Col.Name = used.unique(it.Col.Name)
				}
				used[it.Col.Name] = true
				items = append(items, it)
			}
		})
	}
	r = b.windowed(r, ev)
	out := rel{node: b.node(&plan.Project{In: r.node, Items: items}, x.Pos()), name: r.name, alias: r.twins(items)}
	for _, it := range items {
		out.cols = append(out.cols, it.Col)
	}
	return out
}

func (b *binder) distinct(r rel, x *syntax.ProjectOp, p *pipe) rel {
	agg := &plan.Aggregate{In: r.node}
	ev := b.rowEnv(r, p)
	used := names{}
	next := 0
	for _, e := range x.Items {
		b.guard(func() {
			if _, ok := e.(*syntax.Star); ok {
				for _, c := range r.cols {
					agg.Keys = append(agg.Keys, plan.Item{Col: c, Expr: c.Ref()})
				}
				return
			}
			agg.Keys = append(agg.Keys, b.outputs(e, ev, func(y syntax.Expr) string {
				if n := b.autoName(y, ""); n != "" {
					return used.unique(n)
				}
				return used.column(&next)
			})...)
		})
	}
	agg.In = b.windowed(r, ev).node
	return rel{node: b.node(agg, x.Pos()), cols: agg.Columns(), alias: r.twins(agg.Keys)}
}
