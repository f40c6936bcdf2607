package bind

import (
	"maps"
	"slices"
	"strings"

	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/syntax"
	"github.com/vedette-edr/vedette/kql/types"
)

var joinKinds = map[string]plan.JoinKind{
	"innerunique": plan.InnerUnique, "inner": plan.Inner, "leftouter": plan.LeftOuter, "rightouter": plan.RightOuter, "fullouter": plan.FullOuter,
	"leftsemi": plan.LeftSemi, "rightsemi": plan.RightSemi, "leftanti": plan.LeftAnti, "anti": plan.LeftAnti, "leftantisemi": plan.LeftAnti,
	"rightanti": plan.RightAnti, "rightantisemi": plan.RightAnti,
}

func propText(list []*syntax.Property, name string) (string, bool) {
	for _, p := range list {
		if p.Name == name {
			switch v := p.Value.(type) {
			case *syntax.Ident:
				return v.Name, true
			case *syntax.Literal:
				return v.Val.Text(), true
			}
		}
	}
	return "", false
}

func (b *binder) join(l rel, x *syntax.JoinOp, sc *scope) rel {
	kind := plan.InnerUnique
	if x.Kw == "lookup" {
		kind = plan.LeftOuter
	}
	if s, ok := propText(x.Props, "kind"); ok {
		k, known := joinKinds[s]
		if !known {
			b.fail(x.Pos(), CodeArguments, "there is no join kind %q", s)
		}
		kind = k
	}
	r := b.table(x.Right, sc)
	j := &plan.Join{Kind: kind, L: l.node, R: r.node}
	var rightKeys []int // column ids that are keys of the right side under their own name
	for _, on := range x.On {
		b.joinOn(on, j, &l, &r, sc, &rightKeys)
	}
	if len(j.Keys) == 0 {
		b.fail(x.Pos(), CodeArguments, "%s needs on", x.Kw)
	}
	out := rel{node: b.node(j, x.Pos()), name: l.name, open: l.open || r.open}
	switch kind {
	case plan.LeftSemi, plan.LeftAnti:
		out.cols, out.alias = l.cols, l.alias
		return out
	case plan.RightSemi, plan.RightAnti:
		out.cols, out.alias = r.cols, r.alias
		return out
	}
	out.cols, out.alias = slices.Clone(l.cols), l.alias
	used, left, given := names{}, names{}, names{}
	for _, c := range l.cols {
		used[c.Name], left[c.Name] = true, true
	}
	for _, c := range r.cols {
		used[c.Name] = true
	}
	for _, c := range r.cols {
		if x.Kw == "lookup" && slices.Contains(rightKeys, c.ID) {
			continue
		}
		if left[c.Name] || given[c.Name] {
			// The new name is none that either side has.
			c.Name = used.unique(c.Name)
		}
		given[c.Name] = true
		out.cols = append(out.cols, c)
	}
	for _, a := range l.alias {
		used[a.Name] = true
	}
	out.alias = slices.Clone(l.alias)
	for _, a := range r.alias {
		if x.Kw != "lookup" && slices.ContainsFunc(r.cols, func(c plan.Column) bool { return c.ID == a.ID }) {
			a.Name = used.unique(a.Name)
			out.alias = append(out.alias, a)
		}
	}
	pr := &plan.Project{In: j}
	for _, c := range out.cols {
		pr.Items = append(pr.Items, plan.Item{Col: c, Expr: c.Ref()})
	}
	for _, c := range out.alias {
		if !slices.ContainsFunc(out.cols, func(o plan.Column) bool { return o.ID == c.ID }) {
			pr.Items = append(pr.Items, plan.Item{Col: c, Expr: c.Ref()})
		}
	}
	out.node = pr
	return out
}

func (b *binder) joinOn(on syntax.Expr, j *plan.Join, l, r *rel, sc *scope, rightKeys *[]int) {
	add := func(le, re plan.Expr, at syntax.Span) {
		if t, ok := types.Common(le.Type(), re.Type()); ok {
			le, re = b.convert(le, t, at), b.convert(re, t, at)
		} else if le.Type() == types.Dynamic || re.Type() == types.Dynamic {
			le, re = b.asText(le), b.asText(re)
		} else {
			b.fail(at, CodeType, "the keys of a join are a %s and a %s", le.Type(), re.Type())
		}
		j.Keys = append(j.Keys, plan.JoinKey{Left: le, Right: re})
		if c, ok := re.(*plan.Col); ok {
			*rightKeys = append(*rightKeys, c.ID)
		}
	}
	switch y := on.(type) {
	case *syntax.Paren:
		b.joinOn(y.X, j, l, r, sc, rightKeys)
		return
	case *syntax.Logic:
		if y.Op == "and" {
			for _, a := range y.Args {
				b.joinOn(a, j, l, r, sc, rightKeys)
			}
			return
		}
	case *syntax.Ident:
		none := newScope(nil)
		le, re := b.name(y, &env{sc: none, in: *l}), b.name(y, &env{sc: none, in: *r})
		add(le, re, y.Pos())
		return
	case *syntax.Binary:
		if y.Op == "==" {
			ls, rs := side(y.X), side(y.Y)
			ev := &env{sc: sc, left: l, right: r}
			first, second := b.keySide(y.X, ev, l, ls), b.keySide(y.Y, ev, r, rs)
			if ls == "$right" || rs == "$left" {
				first, second = b.keySide(y.Y, ev, l, rs), b.keySide(y.X, ev, r, ls)
			}
			add(first, second, y.Pos())
			return
		}
	}
	b.fail(on.Pos(), CodeArguments, "a join's on takes names of columns or $left.a == $right.b")
}

// side tells which table an operand names: "$left", "$right" or "".
func side(e syntax.Expr) string {
	switch x := e.(type) {
	case *syntax.Ident:
		if strings.HasPrefix(x.Name, "$") {
			return x.Name
		}
	case *syntax.Member:
		return side(x.X)
	case *syntax.Index:
		return side(x.X)
	case *syntax.Paren:
		return side(x.X)
	case *syntax.Call:
		for _, a := range x.Args {
			if s := side(a); s != "" {
				return s
			}
		}
	}
	return ""
}

func (b *binder) keySide(e syntax.Expr, ev *env, in *rel, side string) plan.Expr {
	if side == "" {
		return b.expr(e, &env{sc: ev.sc, in: *in})
	}
	return b.expr(e, ev)
}

func (b *binder) union(r rel, x *syntax.UnionOp, sc *scope) rel {
	var ins []rel
	if r.node != nil {
		ins = append(ins, r)
	}
	fuzzy, _ := propText(x.Props, "isfuzzy")
	for _, t := range x.Tables {
		switch y := t.(type) {
		case *syntax.Wildcard:
			for _, n := range b.match(y.Pattern, sc) {
				ins = append(ins, b.named(n, y.Pos(), sc))
			}
			continue
		case *syntax.Star:
			for _, n := range b.match("*", sc) {
				ins = append(ins, b.named(n, y.Pos(), sc))
			}
			continue
		}
		if strings.EqualFold(fuzzy, "true") {
			before := len(b.errs)
			b.broken = nil
			if !b.guard(func() { ins = append(ins, b.table(t, sc)) }) {
				// A fuzzy union leaves out what does not exist, and only that.
				switch found := b.errs[before:]; {
				case len(found) == 0:
					b.broken.forgive()
				case missing(found[len(found)-1:]):
					b.errs = b.errs[:before]
				}
			}
			continue
		}
		in := b.table(t, sc)
		if id, ok := t.(*syntax.Ident); ok && in.name == "" {
			in.name = id.Name
		}
		ins = append(ins, in)
	}
	if len(ins) == 0 {
		b.fail(x.Pos(), CodeTable, "the union has no table")
	}
	kind, _ := propText(x.Props, "kind")
	with, _ := propText(x.Props, "withsource")
	if with == "" {
		with, _ = propText(x.Props, "with_source")
	}
	return b.unionOf(ins, kind == "inner", with, x.Pos())
}

func (b *binder) named(name string, at syntax.Span, sc *scope) rel {
	r := b.table(&syntax.Ident{Span: at, Name: name}, sc)
	r.name = name
	return r
}

// unionOf appends tables. Columns agree by name and type; one name of several types
// becomes a column per type, with the type behind the name.
func (b *binder) unionOf(ins []rel, inner bool, with string, at syntax.Span) rel {
	type key struct {
		name string
		t    types.Type
	}
	var keys []key
	kinds, count, jsonText := map[string][]types.Type{}, map[key]int{}, map[key]bool{}
	for _, in := range ins {
		for _, c := range in.cols {
			k := key{c.Name, c.Type}
			if count[k]++; count[k] == 1 {
				keys = append(keys, k)
				kinds[c.Name] = append(kinds[c.Name], c.Type)
				jsonText[k] = c.JSONString
			}
			jsonText[k] = jsonText[k] && c.JSONString
		}
	}
	// An alias stays one where it names the same column in all inputs that have the
	// column, and is a column of its own where all inputs share it so.
	twin := map[string]string{}
	for _, in := range ins {
		for _, a := range in.alias {
			i := slices.IndexFunc(in.cols, func(c plan.Column) bool { return c.ID == a.ID })
			switch {
			case i < 0:
			case twin[a.Name] == "":
				twin[a.Name] = in.cols[i].Name
			case twin[a.Name] != in.cols[i].Name:
				twin[a.Name] = "\x00"
			}
		}
	}
	for _, a := range ins[0].alias {
		if _, ok := twin[a.Name]; ok {
			continue
		}
		k := key{a.Name, a.Type}
		all := !slices.Contains(keys, k)
		for _, in := range ins {
			c, ok := in.find(a.Name)
			all = all && ok && c.Type == a.Type
		}
		if all {
			keys = append(keys, k)
			count[k] = -1
		}
	}
	u := &plan.Union{}
	out := rel{}
	if with != "" {
		u.Cols = append(u.Cols, b.column(with, types.String))
	}
	var kept []key
	used := names{}
	for _, k := range keys {
		if inner && count[k] > 0 && count[k] < len(ins) {
			continue
		}
		name := k.name
		if len(kinds[k.name]) > 1 {
			name += "_" + k.t.String()
		}
		// The later of two with one name is numbered, whichever has its type in it.
		c := b.column(used.unique(name), k.t)
		c.JSONString = jsonText[k]
		kept = append(kept, k)
		u.Cols = append(u.Cols, c)
	}
	out.cols = append(out.cols, u.Cols...)
	n := len(out.cols)
	for i := range kept {
		if count[kept[i]] < 0 {
			c := out.cols[len(out.cols)-len(kept)+i]
			out.alias = append(out.alias, c)
			n--
		}
	}
	out.cols = out.cols[:n]
	for _, c := range slices.Clone(out.cols) {
		visible := c.Name
		for _, name := range slices.Sorted(maps.Keys(twin)) {
			if _, isCol := out.find(name); twin[name] == visible && !isCol {
				c.Name = name
				out.alias = append(out.alias, c)
			}
		}
	}
	for i, in := range ins {
		pr := &plan.Project{In: in.node}
		if with != "" {
			name := in.name
			if name == "" {
				name = "union_arg" + string(rune('0'+i%10))
			}
			pr.Items = append(pr.Items, plan.Item{Col: b.column(with, types.String), Expr: constant(types.NewString(name))})
		}
		for _, k := range kept {
			e := constant(types.Null(k.t))
			if c, ok := in.find(k.name); ok && c.Type == k.t {
				e = c.Ref()
			}
			pr.Items = append(pr.Items, plan.Item{Col: b.column(k.name, k.t), Expr: e})
		}
		u.Ins = append(u.Ins, pr)
	}
	out.node = b.node(u, at)
	return out
}

// search filters tables by a predicate in which a bare text means any column has it.
func (b *binder) search(r rel, x *syntax.SearchOp, sc *scope) rel {
	hit := b.searched(r, x, sc)
	if r.node != nil {
		return hit[0]
	}
	return b.unionOf(hit, false, "$table", x.Pos())
}

// searched filters every table that has the columns of the predicate.
func (b *binder) searched(r rel, x *syntax.SearchOp, sc *scope) []rel {
	var ins []rel
	switch {
	case r.node != nil:
		ins = []rel{r}
	case len(x.Tables) == 0:
		for _, n := range b.match("*", sc) {
			ins = append(ins, b.named(n, x.Pos(), sc))
		}
	}
	for _, t := range x.Tables {
		switch y := t.(type) {
		case *syntax.Wildcard:
			for _, n := range b.match(y.Pattern, sc) {
				ins = append(ins, b.named(n, y.Pos(), sc))
			}
		case *syntax.Ident:
			ins = append(ins, b.named(y.Name, y.Pos(), sc))
		default:
			ins = append(ins, b.table(t, sc))
		}
	}
	var hit []rel
	for _, in := range ins {
		before := len(b.errs)
		if !b.guard(func() {
			pred := constant(types.NewBool(true))
			if x.Pred != nil {
				pred = b.boolean(x.Pred, &env{sc: sc, in: in, search: true})
			}
			in.node = b.node(&plan.Filter{In: in.node, Pred: pred}, x.Pos())
			hit = append(hit, in)
		}) && len(ins) > 1 && b.errs[len(b.errs)-1].Code == CodeColumn {
			// A table without the column of the predicate has no row to find.
			b.errs = b.errs[:before]
		}
	}
	if len(hit) == 0 {
		b.fail(x.Pos(), CodeTable, "no table can be searched for this")
	}
	return hit
}
