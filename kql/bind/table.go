package bind

import (
	"path"
	"slices"

	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/syntax"
	"github.com/vedette-edr/vedette/kql/types"
)

// isTable tells a tabular expression from a scalar one without binding it.
func (b *binder) isTable(e syntax.Expr, sc *scope) bool {
	switch x := e.(type) {
	case *syntax.Query, *syntax.DataTable, *syntax.ExternalData:
		return true
	case *syntax.Paren:
		return b.isTable(x.X, sc)
	case *syntax.Ident:
		if sym := sc.lookup(x.Name); sym != nil {
			return sym.table != nil || sym.fn != nil && b.bodyIsTable(sym)
		}
		_, ok := b.cat.Table(x.Name)
		return ok
	case *syntax.Call:
		if x.Name.Name == "materialize" {
			return true
		}
		if x.Name.Name == "table" && len(x.Args) > 0 {
			return true
		}
		if sym := b.function(x.Name.Name, sc); sym != nil {
			return b.bodyIsTable(sym)
		}
	}
	return false
}

func (b *binder) bodyIsTable(sym *symbol) bool {
	if b.depth++; b.depth > 4*syntax.MaxDepth {
		b.fail(sym.fn.Pos(), CodeLimit, "functions are nested too deep")
	}
	defer func() { b.depth-- }()
	sc := newScope(sym.scope)
	for _, p := range sym.fn.Params {
		s := &symbol{scalar: constant(types.Null(types.Dynamic))}
		if p.Table {
			s = &symbol{table: func() rel { return rel{} }}
		}
		sc.names[p.Name.Name] = s
	}
	for _, st := range sym.fn.Body {
		switch y := st.(type) {
		case *syntax.Let:
			s := &symbol{scalar: constant(types.Null(types.Dynamic))}
			if f, ok := y.Value.(*syntax.FuncLit); ok {
				s = &symbol{fn: f, scope: sc}
			} else if b.isTable(y.Value, sc) {
				s = &symbol{table: func() rel { return rel{} }}
			}
			sc.names[y.Name.Name] = s
		case *syntax.ExprStmt:
			return b.isTable(y.X, sc)
		}
	}
	return false
}

// table binds a tabular expression.
func (b *binder) table(e syntax.Expr, sc *scope) rel {
	b.depth++
	defer func() { b.depth-- }()
	if b.depth > 4*syntax.MaxDepth {
		b.fail(e.Pos(), CodeLimit, "tables are nested too deep when the let statements are put in place")
	}
	switch x := e.(type) {
	case *syntax.Paren:
		return b.table(x.X, sc)
	case *syntax.Query:
		return b.query(x, sc)
	case *syntax.DataTable:
		return b.dataTable(x, sc)
	case *syntax.ExternalData:
		return b.external(x, sc)
	case *syntax.Ident:
		if sym := sc.lookup(x.Name); sym != nil {
			switch {
			case sym.table != nil:
				return sym.table()
			case sym.fn != nil:
				return b.callTable(x, sym, nil, sc)
			}
			b.fail(x.Pos(), CodeType, "%q is a scalar, a table is expected", x.Name)
		}
		return b.scan(x)
	case *syntax.Call:
		switch x.Name.Name {
		case "materialize":
			b.arity(x, 1, 1)
			return b.table(x.Args[0], sc)
		case "table":
			v, ok := b.expr(x.Args[0], &env{sc: sc}).(*plan.Const)
			if !ok || v.V.Type != types.String {
				b.fail(x.Pos(), CodeArguments, "table takes the name of a table")
			}
			return b.table(&syntax.Ident{Span: x.Span, Name: v.V.S}, sc)
		}
		if sym := b.function(x.Name.Name, sc); sym != nil {
			return b.callTable(x, sym, x.Args, sc)
		}
		b.unknown(x.Name.Pos(), CodeFunction, "tabular function", x.Name.Name, sc.tables())
	}
	b.fail(e.Pos(), CodeType, "a table is expected here")
	return rel{}
}

func (b *binder) callTable(x syntax.Node, sym *symbol, args []syntax.Expr, sc *scope) rel {
	inner := b.bindParams(x, sym, args, &env{sc: sc})
	if sym.shipped && b.at == nil {
		at := x.Pos()
		b.at = &at
		defer func() { b.at = nil }()
	}
	r := b.statements(sym.fn.Body, inner, false)
	if r == nil {
		panic(bail{})
	}
	return *r
}

// scan reads a table of the catalogue.
func (b *binder) scan(x *syntax.Ident) rel {
	t, ok := b.cat.Table(x.Name)
	if !ok {
		b.unknown(x.Pos(), CodeTable, "table", x.Name, b.cat.TableNames())
	}
	s := &plan.Scan{Table: t.Name, Base: t.Base}
	if s.Base == "" {
		s.Base = t.Name
	}
	r := rel{node: b.node(s, x.Pos()), name: t.Name}
	for _, c := range t.Columns {
		source := c.Source
		if source == "" {
			source = c.Name
		}
		typ := c.Type
		if c.JSONString {
			typ = types.String
		}
		base := c.SourceType
		if base == types.Unknown {
			base = typ
		} else if c.JSONString && base == types.Dynamic {
			base = types.String
		}
		if c.Hidden {
			// An alias of a visible column shares its identity.
			if i := slices.IndexFunc(s.Cols, func(o plan.ScanColumn) bool { return o.Source == source && o.Type == typ }); i >= 0 {
				a := s.Cols[i].Column
				a.Name = c.Name
				r.alias = append(r.alias, a)
				continue
			}
		}
		col := b.column(c.Name, typ)
		col.JSONString = c.JSONString
		s.Cols = append(s.Cols, plan.ScanColumn{Column: col, Source: source, BaseType: base})
		if c.Hidden {
			r.alias = append(r.alias, col)
		} else {
			r.cols = append(r.cols, col)
		}
	}
	return r
}

// external reads files by address; the plan carries the addresses, nothing is fetched here.
func (b *binder) external(x *syntax.ExternalData, sc *scope) rel {
	s := &plan.Scan{Table: "externaldata", External: &plan.External{Props: map[string]string{}}}
	r := rel{node: b.node(s, x.Pos()), name: s.Table}
	for i, c := range x.Cols {
		col := b.column(c.Name.Name, c.Type)
		// By position: names that differ in their case alone are one to some engines.
		s.Cols = append(s.Cols, plan.ScanColumn{Column: col, Source: plan.ExternalColumn(i), BaseType: col.Type})
		r.cols = append(r.cols, col)
	}
	s.External.Cols = r.cols
	for _, u := range x.URIs {
		v, ok := b.expr(u, &env{sc: sc}).(*plan.Const)
		if !ok || v.V.Type != types.String {
			b.fail(u.Pos(), CodeArguments, "an address of externaldata is a constant text")
		}
		at := syntax.NewError(b.text, b.place(u.Pos()), CodeArguments, "")
		s.External.Addresses = append(s.External.Addresses, plan.Address{URI: v.V.S, Line: at.Line, Column: at.Column})
	}
	for _, p := range x.Props {
		if id, ok := p.Value.(*syntax.Ident); ok {
			s.External.Props[p.Name] = id.Name
			continue
		}
		v, ok := b.expr(p.Value, &env{sc: sc}).(*plan.Const)
		if !ok {
			b.fail(x.Pos(), CodeArguments, "the property %s of externaldata is a constant", p.Name)
		}
		s.External.Props[p.Name] = v.V.Text()
	}
	return r
}

func (b *binder) dataTable(x *syntax.DataTable, sc *scope) rel {
	v := &plan.Values{}
	n := len(x.Cols)
	for _, c := range x.Cols {
		v.Cols = append(v.Cols, b.column(c.Name.Name, c.Type))
	}
	if n == 0 || len(x.Rows)%n != 0 {
		b.fail(x.Pos(), CodeArguments, "datatable has %d values for %d columns", len(x.Rows), n)
	}
	for i, e := range x.Rows {
		if i%n == 0 {
			v.Rows = append(v.Rows, make([]types.Value, n))
		}
		b.guard(func() {
			t := x.Cols[i%n].Type
			k, ok := b.expr(e, &env{sc: sc}).(*plan.Const)
			if !ok {
				b.fail(e.Pos(), CodeArguments, "a value of a datatable is a constant")
			}
			val := k.V
			if t == types.Dynamic {
				val = types.ToDynamic(val)
			} else if val.Type != t {
				val = types.Convert(val, t)
			}
			v.Rows[i/n][i%n] = val
		})
	}
	return rel{node: b.node(v, x.Pos()), cols: v.Cols}
}

// match answers the names of tables that a pattern means, in order.
func (b *binder) match(pattern string, sc *scope) []string {
	var out []string
	for _, n := range append(sc.tables(), b.cat.TableNames()...) {
		if ok, err := path.Match(pattern, n); err == nil && ok && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

// query binds a pipeline.
func (b *binder) query(q *syntax.Query, sc *scope) rel {
	var r rel
	if q.Source != nil {
		r = b.table(q.Source, sc)
	}
	p := &pipe{q: q, sc: newScope(sc)}
	for i, op := range q.Ops {
		p.at = i
		before := r
		if !b.guard(func() { r = b.operator(r, op, p) }) {
			r = before
			if r.node == nil {
				panic(bail{})
			}
		}
	}
	if r.node == nil {
		b.fail(q.Pos(), CodeSupport, "an operator inside a subquery cannot name what stands before it")
	}
	return r
}

// pipe is the pipeline around an operator: as and invoke bind its beginning again.
type pipe struct {
	q  *syntax.Query
	at int
	sc *scope
}

// prefix is what stands before the current operator, bound anew at each call.
func (b *binder) prefix(p *pipe) func() rel {
	q := &syntax.Query{Span: p.q.Span, Source: p.q.Source, Ops: p.q.Ops[:p.at]}
	sc := p.sc.parent
	return func() rel { return b.query(q, sc) }
}
