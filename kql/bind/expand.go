package bind

import (
	"regexp"
	"slices"
	"strings"

	"github.com/vedette-edr/vedette/kql/funcs"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/syntax"
	"github.com/vedette-edr/vedette/kql/types"
)

// mvItems binds what mv-expand and mv-apply expand; from is the column that an item
// replaces, when it is one under its own name.
func (b *binder) mvItems(r rel, x *syntax.MvOp, p *pipe) (items []plan.MvItem, index *plan.Column, limit int64) {
	limit = 1 << 20
	if x.Limit != nil {
		limit = b.count(x.Limit, p.sc)
	}
	ev := &env{sc: p.sc, in: r}
	next := 0
	used := names{}
	for _, it := range x.Items {
		ids, e := named(it.X)
		v := b.expr(e, ev)
		name := ""
		if len(ids) > 0 {
			name = ids[0].Name
		} else if name = b.autoName(e, ""); name == "" {
			name = used.column(&next)
		}
		c, isCol := v.(*plan.Col)
		if v.Type() != types.Dynamic && !(isCol && c.JSONString) {
			b.fail(e.Pos(), CodeType, "%s takes a dynamic, not a %s", x.Kw, v.Type())
		}
		t := it.To
		if t == types.Unknown {
			t = types.Dynamic
		}
		items = append(items, plan.MvItem{Col: b.column(name, t), Expr: b.dynamic(v)})
	}
	if n, ok := propText(x.Props, "with_itemindex"); ok {
		c := b.column(n, types.Long)
		index = &c
	}
	return items, index, limit
}

func (b *binder) mvExpand(r rel, x *syntax.MvOp, p *pipe) rel {
	items, index, limit := b.mvItems(r, x, p)
	bag, _ := propText(x.Props, "bagexpansion")
	if bag == "" {
		bag, _ = propText(x.Props, "kind")
	}
	mv := &plan.MvExpand{In: r.node, Items: items, Index: index, Limit: limit, AsArray: bag == "array"}
	out := rel{name: r.name, alias: r.alias, cols: slices.Clone(r.cols), open: r.open}
	for _, it := range items {
		if i := slices.IndexFunc(out.cols, func(c plan.Column) bool { return c.Name == it.Col.Name }); i >= 0 {
			out.cols[i] = it.Col
		} else {
			out.cols = append(out.cols, it.Col)
		}
	}
	if index != nil {
		out.cols = append(out.cols, *index)
	}
	out.node = b.node(mv, x.Pos())
	return out
}

func (b *binder) mvApply(r rel, x *syntax.MvOp, p *pipe) rel {
	items, index, limit := b.mvItems(r, x, p)
	outer := &plan.Outer{Cols: slices.Clone(r.node.Columns())}
	in := rel{node: outer}
	for _, it := range items {
		outer.Cols = append(outer.Cols, it.Col)
		in.cols = append(in.cols, it.Col)
	}
	if index != nil {
		outer.Cols = append(outer.Cols, *index)
		in.cols = append(in.cols, *index)
	}
	for _, c := range r.cols {
		if !slices.ContainsFunc(in.cols, func(o plan.Column) bool { return o.Name == c.Name }) {
			in.alias = append(in.alias, c)
		}
	}
	sub := in
	sp := &pipe{q: x.On, sc: newScope(p.sc)}
	for i, op := range x.On.Ops {
		sp.at = i
		sub = b.operator(sub, op, sp)
	}
	out := rel{name: r.name, open: r.open || sub.open}
	var keep []plan.Column
	for _, c := range r.cols {
		if !slices.ContainsFunc(sub.cols, func(o plan.Column) bool { return o.Name == c.Name }) {
			keep = append(keep, c)
		}
	}
	out.cols = append(slices.Clone(keep), sub.cols...)
	for _, a := range r.alias {
		if slices.ContainsFunc(keep, func(c plan.Column) bool { return c.ID == a.ID }) {
			out.alias = append(out.alias, a)
		}
	}
	out.node = b.node(&plan.MvApply{In: r.node, Items: items, Index: index, Limit: limit, Keep: keep, Outer: outer, Sub: b.trim(sub)}, x.Pos())
	return out
}

// parse turns the pattern into a regular expression with a group per column.
func (b *binder) parse(r rel, x *syntax.ParseOp, p *pipe) rel {
	ev := &env{sc: p.sc, in: r}
	src := b.asText(b.expr(x.X, ev))
	kind, _ := propText(x.Props, "kind")
	flags, _ := propText(x.Props, "flags")
	re := strings.Builder{}
	if strings.Trim(flags, "imsU") != "" {
		b.fail(x.Pos(), CodeArguments, "unknown regex flags %q", flags)
	}
	if kind != "regex" {
		re.WriteString("(?s)^")
	} else if flags != "" {
		re.WriteString("(?" + flags + ")")
	}
	type group struct {
		col plan.Column
		n   int
	}
	var groups []group
	n := 0
	for i, part := range x.Parts {
		last := i == len(x.Parts)-1
		lazy := ".*?"
		if last {
			lazy = ".*"
		}
		switch {
		case part.Star:
			re.WriteString(lazy)
		case part.Text != nil:
			c, ok := b.expr(part.Text, ev).(*plan.Const)
			if !ok {
				b.fail(x.Pos(), CodeArguments, "a pattern is a constant text")
			}
			if kind == "regex" {
				sub, err := regexp.Compile(funcs.Pattern(c.V.S))
				if err != nil {
					b.fail(part.Text.Pos(), CodeArguments, "bad regular expression: %v", err)
				}
				re.WriteString("(?:" + c.V.S + ")")
				n += sub.NumSubexp()
			} else {
				re.WriteString(regexp.QuoteMeta(c.V.S))
			}
		default:
			t := part.Type
			if t == types.Unknown {
				t = types.String
			}
			n++
			groups = append(groups, group{b.column(part.Name.Name, t), n})
			switch {
			case kind == "regex" && !t.Integral():
				re.WriteString("(.*)")
			case kind == "relaxed" && t.Integral() && !last && x.Parts[i+1].Star:
				// A star behind would leave the column nothing but the empty text.
				re.WriteString(`([-+]?\d+|` + lazy + ")")
			case kind == "relaxed":
				re.WriteString("(" + lazy + ")")
			case t == types.Long || t == types.Int:
				re.WriteString(`([-+]?\d+)`)
			case t == types.Real || t == types.Decimal:
				re.WriteString(`([-+]?\d*\.?\d+(?:[eE][-+]?\d+)?)`)
			default:
				re.WriteString("(" + lazy + ")")
			}
		}
	}
	if kind != "regex" {
		re.WriteString("$")
	}
	pattern := constant(types.NewString(re.String()))
	b.pattern(pattern, x.Pos())
	if x.Kw == "parse-where" {
		r.node = b.node(&plan.Filter{In: r.node, Pred: call("matches regex", types.Bool, src, pattern)}, x.Pos())
	}
	var items []plan.Item
	for _, g := range groups {
		args := []plan.Expr{pattern, constant(types.NewLong(int64(g.n))), src, constant(types.NewString(g.col.Type.String()))}
		items = append(items, plan.Item{Col: g.col, Expr: call("extract", g.col.Type, args...)})
	}
	return b.overlay(r, items)
}

func (b *binder) parseKV(r rel, x *syntax.ParseKVOp, p *pipe) rel {
	src := b.asText(b.expr(x.X, &env{sc: p.sc, in: r}))
	opt := types.NewBag()
	for _, pr := range x.Props {
		v, ok := b.expr(pr.Value, &env{sc: p.sc}).(*plan.Const)
		if !ok || !slices.Contains([]string{"pair_delimiter", "kv_delimiter", "quote", "escape", "greedy", "regex"}, pr.Name) {
			b.fail(x.Pos(), CodeArguments, "parse-kv takes constants for pair_delimiter, kv_delimiter, quote, escape, greedy and regex")
		}
		if pr.Name == "regex" {
			v = b.pattern(v, x.Pos()).(*plan.Const)
		}
		list, _ := opt.Get(pr.Name)
		old, _ := list.([]any)
		opt.Set(pr.Name, append(old, v.V.Text()))
	}
	keys := []any{}
	for _, c := range x.Cols {
		keys = append(keys, c.Name.Name)
	}
	opt.Set("keys", keys)
	bag := call("parse_kv", types.Dynamic, src, constant(types.NewDynamic(opt)))
	var items []plan.Item
	for _, c := range x.Cols {
		v := call("get", types.Dynamic, bag, constant(types.NewString(c.Name.Name)))
		items = append(items, plan.Item{Col: b.column(c.Name.Name, c.Type), Expr: b.convert(v, c.Type, x.Pos())})
	}
	return b.overlay(r, items)
}
