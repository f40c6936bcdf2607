package sqlgen

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/types"
)

func (g *gen) node(n plan.Node) rel {
	switch x := n.(type) {
	case *plan.Scan:
		return g.scan(x)
	case *plan.Values:
		return g.values(x)
	case *plan.Range:
		return g.rangeRows(x)
	case *plan.Filter:
		in := g.node(x.In)
		return rel{g.define("SELECT * FROM " + in.name + " WHERE " + g.pred(x.Pred)), in.order, in.empty}
	case *plan.Project:
		return g.project(x)
	case *plan.Aggregate:
		return g.aggregate(x)
	case *plan.Join:
		return g.join(x)
	case *plan.Union:
		return g.union(x)
	case *plan.Sort:
		return g.sort(x)
	case *plan.Limit:
		in := g.node(x.In)
		by := in.orderBy()
		if x.Sample {
			by = " ORDER BY random()"
		}
		return rel{g.define(fmt.Sprintf("SELECT * FROM %s%s LIMIT %d", in.name, by, x.N)), in.order, in.empty}
	case *plan.MvExpand:
		return g.mvExpand(x)
	case *plan.Window:
		return g.window(x)
	case *plan.MvApply:
		g.unsupported("mv-apply")
	case *plan.Outer:
		g.unsupported("the input of a subquery")
	}
	g.unsupported(fmt.Sprintf("%T", n))
	return rel{}
}

func (g *gen) scan(s *plan.Scan) rel {
	src, err := g.src.Source(s)
	if err != nil {
		panic(bail{fmt.Errorf("source of %s: %w", s.Table, err)})
	}
	empty := len(src.Files) == 0 && src.Relation == ""
	from := ""
	switch {
	case src.Relation != "":
		from = " FROM " + ident(src.Relation)
	case !empty:
		from = " FROM " + g.files(s, src)
	}
	items := func(cols []plan.ScanColumn) []string {
		var out []string
		for _, c := range cols {
			// JSON text that is missing is NULL in any case.
			x := sx{s: ident(c.Source), t: c.BaseType, null: !src.Filled || c.JSONString, simple: true}
			if empty || src.Missing[c.Source] {
				x.null = true
				x.s = "CAST(NULL AS " + g.d.types(c.BaseType) + ")"
			}
			if c.BaseType != c.Type {
				x = g.convert(x, c.Type)
			}
			name := colName(c.ID)
			g.maybeNull[name] = c.Type == types.String && x.null
			out = append(out, x.s+" AS "+name)
		}
		return out
	}
	list := append(items(s.Cols), items(s.Extra)...)
	sql := "SELECT " + sel(list) + from
	if empty {
		sql += " WHERE false"
	}
	name := g.define(sql)
	if s.Pred != nil {
		var out []string
		for _, c := range s.Cols {
			out = append(out, colName(c.ID))
		}
		name = g.define("SELECT " + sel(out) + " FROM " + name + " WHERE " + g.pred(s.Pred))
	}
	return rel{name: name, empty: empty}
}

// files reads Parquet files. Old files may lack a column, and all of them may: a branch
// without rows that names every column with its type makes such a one read as null.
func (g *gen) files(s *plan.Scan, src Source) string {
	files := make([]string, len(src.Files))
	for i, f := range src.Files {
		files[i] = quote(f)
	}
	list := "read_parquet([" + strings.Join(files, ", ") + "]"
	if src.Uniform {
		return list + ")"
	}
	read := list + ", union_by_name=true)"
	seen := map[string]bool{}
	var none []string
	for _, c := range append(append([]plan.ScanColumn{}, s.Cols...), s.Extra...) {
		if !seen[c.Source] {
			seen[c.Source] = true
			none = append(none, "CAST(NULL AS "+g.d.types(c.BaseType)+") AS "+ident(c.Source))
		}
	}
	if len(none) == 0 {
		return read
	}
	return "(SELECT * FROM " + read + " UNION ALL BY NAME SELECT " + strings.Join(none, ", ") + " WHERE false)"
}

func (g *gen) values(v *plan.Values) rel {
	ord := g.fresh("o")
	var cols []string
	for _, c := range v.Cols {
		cols = append(cols, colName(c.ID))
	}
	if len(v.Rows) == 0 {
		var list []string
		for _, c := range v.Cols {
			list = append(list, "CAST(NULL AS "+g.d.types(c.Type)+") AS "+colName(c.ID))
		}
		return rel{name: g.define("SELECT " + sel(list) + " WHERE false")}
	}
	if len(v.Rows) == 1 {
		var list []string
		for j, val := range v.Rows[0] {
			list = append(list, g.literal(val)+" AS "+cols[j])
		}
		return rel{name: g.define("SELECT " + sel(list))}
	}
	lines := make([]string, len(v.Rows))
	for i, row := range v.Rows {
		var vals []string
		for _, val := range row {
			vals = append(vals, g.literal(val))
		}
		lines[i] = "(" + strings.Join(append(vals, fmt.Sprint(i)), ", ") + ")"
	}
	sql := "SELECT * FROM (VALUES " + strings.Join(lines, ", ") + ") v(" + strings.Join(append(cols, ord), ", ") + ")"
	return rel{g.define(sql), []term{{col: ord}}, false}
}

// maxRange bounds the rows of one range operator.
const maxRange = 10_000_000

func (g *gen) rangeRows(r *plan.Range) rel {
	name := colName(r.Col.ID)
	if r.From.Null || r.To.Null || r.Step.Null {
		return rel{name: g.define("SELECT CAST(NULL AS " + g.d.types(r.Col.Type) + ") AS " + name + " WHERE false")}
	}
	n := (r.To.Float() - r.From.Float()) / r.Step.Float()
	if n != n || n > maxRange {
		g.tooLarge("range %s has no end or more than %d rows", r.Col.Name, maxRange)
	}
	ord := []term{{col: name, desc: r.Step.Float() < 0}}
	if r.Col.Type == types.Real {
		return rel{g.define(fmt.Sprintf("SELECT %s + %s * i AS %s FROM generate_series(0, %d) s(i)", g.literal(r.From), g.literal(r.Step), name, int64(n+1e-9))), ord, false}
	}
	return rel{g.define(fmt.Sprintf("SELECT CAST(i AS %s) AS %s FROM generate_series(%s, %s, %s) s(i)", g.d.types(r.Col.Type), name, g.literal(r.From), g.literal(r.To), g.literal(r.Step))), ord, false}
}

func (g *gen) project(p *plan.Project) rel {
	in := g.node(p.In)
	have := map[string]bool{}
	var out []string
	for _, it := range p.Items {
		x := g.value(it.Expr)
		name := colName(it.Col.ID)
		have[name] = true
		g.maybeNull[name] = it.Col.Type == types.String && x.null
		if x.s == name {
			out = append(out, name)
		} else {
			out = append(out, x.s+" AS "+name)
		}
	}
	out = append(out, in.keep(have)...)
	return rel{g.define("SELECT " + sel(out) + " FROM " + in.name), in.order, in.empty}
}

func (g *gen) join(j *plan.Join) rel {
	l, r := g.node(j.L), g.node(j.R)
	var on, part []string
	for _, k := range j.Keys {
		a, b := g.value(k.Left), g.value(k.Right)
		if a.t == types.String {
			a, b = g.str(a), g.str(b)
		}
		on = append(on, a.s+" = "+b.s)
		part = append(part, a.s)
	}
	cond := strings.Join(on, " AND ")
	lname, rname := l.name, r.name
	if j.Kind == plan.InnerUnique {
		over := "PARTITION BY " + strings.Join(part, ", ")
		lname = g.define("SELECT * FROM " + lname + " QUALIFY row_number() OVER (" + over + l.orderBy() + ") = 1")
	}
	verb := map[plan.JoinKind]string{plan.InnerUnique: "JOIN", plan.Inner: "JOIN", plan.LeftOuter: "LEFT JOIN", plan.RightOuter: "RIGHT JOIN", plan.FullOuter: "FULL JOIN",
		plan.LeftSemi: "SEMI JOIN", plan.RightSemi: "SEMI JOIN", plan.LeftAnti: "ANTI JOIN", plan.RightAnti: "ANTI JOIN"}[j.Kind]
	if j.Kind == plan.RightSemi || j.Kind == plan.RightAnti {
		lname, rname = rname, lname
	}
	var out []string
	for _, c := range j.Columns() {
		out = append(out, colName(c.ID))
	}
	// Padding makes strings NULL, which means empty.
	pad := func(cols []plan.Column) {
		for _, c := range cols {
			g.maybeNull[colName(c.ID)] = c.Type == types.String
		}
	}
	if j.Kind == plan.LeftOuter || j.Kind == plan.FullOuter {
		pad(j.R.Columns())
	}
	if j.Kind == plan.RightOuter || j.Kind == plan.FullOuter {
		pad(j.L.Columns())
	}
	return rel{name: g.define("SELECT " + sel(out) + " FROM " + lname + " " + verb + " " + rname + " ON " + cond)}
}

// maxChain is how many tables are united in one go.
const maxChain = 100

func (g *gen) union(u *plan.Union) rel {
	var parts []string
	// Legs of tables without files are left out: planning dozens of them, each of dozens of
	// columns, takes DuckDB seconds. One stays, because a union has columns.
	full, none := 0, true
	for i, in := range u.Ins {
		had, size := len(g.with), g.size
		r := g.node(in)
		if r.empty && (full > 0 || i+1 < len(u.Ins)) {
			g.with, g.size = g.with[:had], size
			continue
		}
		full++
		none = none && r.empty
		var out []string
		for i, c := range in.Columns() {
			name := colName(u.Cols[i].ID)
			g.maybeNull[name] = g.maybeNull[name] || g.maybeNull[colName(c.ID)]
			out = append(out, colName(c.ID)+" AS "+name)
		}
		parts = append(parts, "SELECT "+sel(out)+" FROM "+r.name)
	}
	// The database reads a chain of unions as a tree as deep as it is long.
	for len(parts) > maxChain {
		var groups []string
		for list := range slices.Chunk(parts, maxChain) {
			groups = append(groups, "SELECT * FROM "+g.define(strings.Join(list, " UNION ALL ")))
		}
		parts = groups
	}
	return rel{name: g.define(strings.Join(parts, " UNION ALL ")), empty: none}
}

func (g *gen) sort(s *plan.Sort) rel {
	in := g.node(s.In)
	var order []term
	var extra []string
	for _, k := range s.Keys {
		x := g.value(k.Expr)
		if x.t == types.String {
			x = g.str(x)
		}
		if x.t == types.Decimal {
			x.s = "CAST(" + x.s + " AS DOUBLE)"
		}
		if x.t == types.Real { // NaN stands beside the nulls, between them and the numbers
			kind := g.fresh("o")
			extra = append(extra, "CASE WHEN "+x.s+" IS NULL THEN 2 WHEN isnan("+x.s+") THEN 1 ELSE 0 END AS "+kind)
			order = append(order, term{col: kind, desc: k.NullsFirst})
		}
		name := g.fresh("o")
		extra = append(extra, x.s+" AS "+name)
		order = append(order, term{name, k.Desc, k.NullsFirst})
	}
	// Ties keep the order they had.
	order = append(order, in.order...)
	return rel{g.define("SELECT *, " + strings.Join(extra, ", ") + " FROM " + in.name), order, in.empty}
}

func (g *gen) mvExpand(m *plan.MvExpand) rel {
	in := g.node(m.In)
	args := []sx{{s: g.literal(types.NewBool(m.AsArray)), t: types.Bool, simple: true}}
	for _, it := range m.Items {
		args = append(args, g.value(it.Expr))
	}
	list, elem, pos := g.fresh("l"), g.fresh("e"), g.fresh("o")
	array := g.foreign("mv_rows", types.Dynamic, args)
	a := g.define(fmt.Sprintf("SELECT *, json_extract(%s, '$[*]')[1:%d] AS %s FROM %s", array.s, m.Limit, list, in.name))
	have := map[string]bool{}
	var cols []string
	for _, c := range m.In.Columns() {
		have[colName(c.ID)] = true
		cols = append(cols, colName(c.ID))
	}
	cols = append(cols, in.keep(have)...)
	b := g.define(fmt.Sprintf("SELECT %s, unnest(%s) AS %s, unnest(range(len(%s))) AS %s FROM %s", sel(cols), list, elem, list, pos, a))
	out := append(append([]string{}, cols...), pos)
	for i, it := range m.Items {
		x := sx{s: fmt.Sprintf("nullif(CAST(json_extract(%s, '$[%d]') AS VARCHAR), 'null')", elem, i), t: types.Dynamic, null: true}
		x = g.convert(x, it.Col.Type)
		name := colName(it.Col.ID)
		g.maybeNull[name] = it.Col.Type == types.String && x.null
		out = append(out, x.s+" AS "+name)
	}
	if m.Index != nil {
		out = append(out, "CAST("+pos+" AS BIGINT) AS "+colName(m.Index.ID))
	}
	order := in.order
	if len(order) > 0 {
		order = append(append([]term{}, order...), term{col: pos})
	}
	if _, single := m.In.(*plan.Values); single && len(order) == 0 {
		order = []term{{col: pos}}
	}
	return rel{g.define("SELECT " + sel(out) + " FROM " + b), order, in.empty}
}

func (g *gen) window(w *plan.Window) rel {
	in := g.node(w.In)
	for _, it := range w.Items {
		name := colName(it.Col.ID)
		g.maybeNull[name] = it.Col.Type == types.String
		var args []sx
		for _, a := range it.Args {
			args = append(args, g.value(a))
		}
		part := ""
		restart := func(i int) {
			if len(args) > i {
				p := g.fresh("p")
				in.name = g.define(fmt.Sprintf("SELECT *, sum(CASE WHEN %s THEN 1 ELSE 0 END) OVER (%s ROWS UNBOUNDED PRECEDING) AS %s FROM %s", args[i].s, in.orderBy(), p, in.name))
				part = "PARTITION BY " + p
			}
		}
		f := ""
		switch it.Name {
		case "prev", "next":
			fn := map[string]string{"prev": "lag", "next": "lead"}[it.Name]
			off := "1"
			if len(args) > 1 {
				off = args[1].s
			}
			def := "NULL"
			if len(args) > 2 {
				def = args[2].s
			}
			f = fmt.Sprintf("%s(%s, %s, %s) OVER (%s)", fn, args[0].s, off, def, in.orderBy())
		case "row_number":
			restart(1)
			f = fmt.Sprintf("%s - 1 + row_number() OVER (%s%s)", args[0].s, part, in.orderBy())
		case "row_cumsum":
			restart(1)
			f = fmt.Sprintf("CAST(coalesce(sum(%s) OVER (%s%s ROWS UNBOUNDED PRECEDING), 0) AS %s)", args[0].s, part, in.orderBy(), g.d.types(it.Col.Type))
		case "row_rank_dense":
			restart(1)
			ch := g.fresh("p")
			in.name = g.define(fmt.Sprintf("SELECT *, CASE WHEN row_number() OVER (%s%s) = 1 OR %s IS DISTINCT FROM lag(%s) OVER (%s%s) THEN 1 ELSE 0 END AS %s FROM %s", part, in.orderBy(), args[0].s, args[0].s, part, in.orderBy(), ch, in.name))
			f = fmt.Sprintf("CAST(sum(%s) OVER (%s%s ROWS UNBOUNDED PRECEDING) AS BIGINT)", ch, part, in.orderBy())
		default:
			g.unsupported(it.Name)
		}
		in.name = g.define("SELECT *, " + f + " AS " + name + " FROM " + in.name)
	}
	return in
}
