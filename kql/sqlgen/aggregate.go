package sqlgen

import (
	"fmt"
	"strings"

	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/types"
)

func (g *gen) aggregate(a *plan.Aggregate) rel {
	in := g.node(a.In)
	var out, group []string
	for i, k := range a.Keys {
		x := g.value(k.Expr)
		if x.t == types.String {
			x = g.str(x)
		}
		name := colName(k.Col.ID)
		g.maybeNull[name] = false
		out = append(out, x.s+" AS "+name)
		group = append(group, fmt.Sprint(i+1))
	}
	var unpack []string
	packed := false
	for _, it := range a.Aggs {
		filter := ""
		if it.Filter != nil {
			filter = " FILTER (WHERE " + g.pred(it.Filter) + ")"
		}
		if it.Fn.Multi {
			s := g.fresh("s")
			out = append(out, g.multi(it, filter)+" AS "+s)
			packed = true
			for i, c := range it.Cols {
				name := colName(c.ID)
				g.maybeNull[name] = c.Type == types.String
				unpack = append(unpack, fmt.Sprintf("%s.f%d AS %s", s, i, name))
			}
			continue
		}
		name := colName(it.Cols[0].ID)
		g.maybeNull[name] = it.Cols[0].Type == types.String
		out = append(out, g.agg(it, filter, in)+" AS "+name)
		unpack = append(unpack, name)
	}
	sql := "SELECT " + sel(out) + " FROM " + in.name
	if len(group) > 0 {
		sql += " GROUP BY " + strings.Join(group, ", ")
	}
	name := g.define(sql)
	if packed {
		var keys []string
		for _, k := range a.Keys {
			keys = append(keys, colName(k.Col.ID))
		}
		name = g.define("SELECT " + sel(append(keys, unpack...)) + " FROM " + name)
	}
	return rel{name: name}
}

// multi writes an aggregate of several columns as one struct, so that they come from one row.
func (g *gen) multi(it plan.AggItem, filter string) string {
	var fields []string
	for i, e := range it.Args {
		x := g.value(e)
		if it.Fn.Name == "take_any" {
			s := x.s
			if x.t == types.String {
				s = "nullif(" + s + ", '')"
			}
			fields = append(fields, fmt.Sprintf("f%d := any_value(%s)%s", i, s, filter))
		} else {
			fields = append(fields, fmt.Sprintf("f%d := %s", i, x.s))
		}
	}
	pack := "struct_pack(" + strings.Join(fields, ", ") + ")"
	if it.Fn.Name == "take_any" {
		return pack
	}
	key := g.value(it.Args[0])
	if key.t == types.String {
		key = g.str(key)
	}
	if key.t == types.Dynamic {
		g.unsupported(it.Fn.Name + " of a dynamic")
	}
	if key.t == types.Real { // NaN is the least of all
		key.s = "CASE WHEN isnan(" + key.s + ") THEN CAST('-inf' AS DOUBLE) ELSE " + key.s + " END"
	}
	if key.t == types.String {
		return it.Fn.Name + "(" + pack + ", " + key.s + ")" + filter
	}
	// A group whose every key is null still has a row to show.
	if low, ok := outermost(it.Fn.Name, key.t); ok {
		return fmt.Sprintf("%s(%s, coalesce(%s, %s))%s", it.Fn.Name, pack, key.s, low, filter)
	}
	return fmt.Sprintf("coalesce(%s(%s, %s)%s, any_value(%s)%s)", it.Fn.Name, pack, key.s, filter, pack, filter)
}

// outermost is a key that any other one wins over.
func outermost(fn string, t types.Type) (string, bool) {
	switch {
	case t == types.Long || t == types.Datetime || t == types.Timespan:
		if fn == "arg_min" {
			return "CAST('9223372036854775807' AS BIGINT)", true
		}
		return "CAST('-9223372036854775808' AS BIGINT)", true
	case t == types.Int:
		if fn == "arg_min" {
			return "CAST('2147483647' AS INTEGER)", true
		}
		return "CAST('-2147483648' AS INTEGER)", true
	}
	return "", false
}

func (g *gen) agg(it plan.AggItem, filter string, in rel) string {
	if it.Fn.Name == "count" {
		return "count(*)" + filter
	}
	x := g.value(it.Args[0])
	t := it.Cols[0].Type
	cast := func(s string) string { return "CAST(" + s + " AS " + g.d.types(t) + ")" }
	if x.t == types.Decimal {
		g.unsupported(it.Fn.Name + " of a decimal")
	}
	switch it.Fn.Name {
	case "dcount":
		if x.t == types.String {
			x = g.str(x)
		}
		return "count(DISTINCT " + x.s + ")" + filter
	case "sum":
		return cast("coalesce(sum(" + x.s + ")" + filter + ", 0)")
	case "avg":
		if t == types.Real {
			return "coalesce(avg(" + x.s + ")" + filter + ", CAST('nan' AS DOUBLE))"
		}
		return cast("avg(" + x.s + ")" + filter)
	case "min", "max":
		if x.t == types.Dynamic {
			g.unsupported(it.Fn.Name + " of a dynamic")
		}
		switch {
		case x.t == types.String: // an empty text is the least of all
			x = g.str(x)
		case x.t == types.Real && len(x.s) > maxTwice:
			g.unsupported(it.Fn.Name + " of a long expression of reals")
		case x.t == types.Real && it.Fn.Name == "min":
			return fmt.Sprintf("CASE WHEN coalesce(bool_or(isnan(%s))%s, false) THEN CAST('nan' AS DOUBLE) ELSE min(%s)%s END", x.s, filter, x.s, filter)
		case x.t == types.Real:
			return fmt.Sprintf("coalesce(max(%s)%s, max(%s)%s)", x.s, filterOf("NOT isnan("+x.s+")", filter), x.s, filter)
		}
		return it.Fn.Name + "(" + x.s + ")" + filter
	case "stdev", "variance":
		fn := map[string]string{"stdev": "stddev_samp", "variance": "var_samp"}[it.Fn.Name]
		return fmt.Sprintf("coalesce(%s(%s)%s, 0)", fn, x.s, filter)
	case "stdevp", "variancep":
		fn := map[string]string{"stdevp": "stddev_pop", "variancep": "var_pop"}[it.Fn.Name]
		return fmt.Sprintf("coalesce(%s(%s)%s, CAST('nan' AS DOUBLE))", fn, x.s, filter)
	case "covariance", "covariancep":
		fn := map[string]string{"covariance": "covar_samp", "covariancep": "covar_pop"}[it.Fn.Name]
		return fmt.Sprintf("coalesce(%s(%s, %s)%s, CAST('nan' AS DOUBLE))", fn, g.value(it.Args[1]).s, x.s, filter)
	case "percentile":
		p, ok := it.Args[1].(*plan.Const)
		if !ok || p.V.Null || p.V.F < 0 || p.V.F > 100 {
			g.unsupported("a percentile that is no constant from 0 to 100")
		}
		if x.t == types.Real {
			filter = filterOf("NOT isnan("+x.s+")", filter)
		}
		return fmt.Sprintf("quantile_disc(%s, %s)%s", x.s, g.literal(types.NewReal(p.V.F/100)), filter)
	case "binary_all_and":
		return "bit_and(" + x.s + ")" + filter
	case "binary_all_or":
		return "bit_or(" + x.s + ")" + filter
	case "binary_all_xor":
		return "bit_xor(" + x.s + ")" + filter
	case "make_list", "make_list_with_nulls", "make_set", "make_bag":
		return g.collect(it, x, filter, in)
	}
	g.unsupported("the aggregate " + it.Fn.Name)
	return ""
}

// filterOf joins a condition with the FILTER clause of an aggregate.
func filterOf(cond, filter string) string {
	if rest, ok := strings.CutPrefix(filter, " FILTER (WHERE "); ok {
		return " FILTER (WHERE " + cond + " AND (" + rest + ")"
	}
	return " FILTER (WHERE " + cond + ")"
}

// collect writes the aggregates that make arrays, as JSON text.
func (g *gen) collect(it plan.AggItem, x sx, filter string, in rel) string {
	limit := ""
	if len(it.Args) > 1 {
		k, ok := it.Args[1].(*plan.Const)
		if !ok || !k.V.Type.Integral() {
			g.unsupported("a size of " + it.Fn.Name + " that is no constant")
		}
		limit = fmt.Sprintf("[1:%d]", max(k.V.I, 0))
	}
	j := g.json(x)
	if it.Fn.Name == "make_list_with_nulls" {
		j = "coalesce(" + j + ", 'null')"
	}
	distinct := ""
	if it.Fn.Name == "make_set" && len(in.order) == 0 && x.t != types.Dynamic {
		distinct = "DISTINCT "
	}
	list := "list(" + distinct + j + in.orderBy() + ")" + filterOf(j+" IS NOT NULL", filter)
	if it.Fn.Name == "make_list" || it.Fn.Name == "make_list_with_nulls" || distinct != "" {
		return "'[' || coalesce(array_to_string((" + list + ")" + limit + ", ','), '') || ']'"
	}
	array := sx{s: "'[' || coalesce(array_to_string(" + list + ", ','), '') || ']'", t: types.Dynamic}
	if it.Fn.Name == "make_bag" {
		return g.foreign("bag_of", types.Dynamic, []sx{array}).s
	}
	n := int64(1 << 20)
	if len(it.Args) > 1 {
		n = it.Args[1].(*plan.Const).V.I
	}
	return g.foreign("set_of", types.Dynamic, []sx{array, {s: g.literal(types.NewLong(n)), t: types.Long}}).s
}
