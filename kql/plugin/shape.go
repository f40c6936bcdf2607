package plugin

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/vedette-edr/vedette/kql/types"
)

func shapeFuncs() []Func {
	return []Func{
		{Name: "bag_unpack", Doc: "A column for each key of the bags of a column.", Open: true,
			Params: []Param{{Name: "column", Kind: Col}, {Name: "OutputColumnPrefix", Kind: Const, Optional: true}, {Name: "columnsConflict", Kind: Const, Optional: true}, {Name: "ignoredProperties", Kind: Const, Optional: true}},
			Shape:  unpackShape, Run: unpackRun},
		{Name: "pivot", Doc: "A column for each value of a column, with an aggregate of its rows.", Open: true,
			Params: []Param{{Name: "column", Kind: Col}, {Name: "value", Kind: Col}, {Name: "missing", Kind: Const}},
			Shape:  pivotShape, Run: pivotRun},
		{Name: "narrow", Doc: "A row for each cell: number of the row, column, value.",
			Shape: func(*Call, Rows) ([]Column, error) {
				return []Column{{"Row", types.Long}, {"Column", types.String}, {"Value", types.String}}, nil
			},
			Run: func(c *Call, in, _ Rows, limit int) (Rows, error) {
				var out Rows
				for i, row := range in {
					if len(out)+len(row) > limit {
						return nil, tooMany(c, limit)
					}
					for j, v := range row {
						out = append(out, []types.Value{long(i), types.NewString(c.In[j].Name), types.NewString(v.Text())})
					}
				}
				return out, nil
			}},
		{Name: "rows_near", Doc: "Rows within some places before and after those of which a condition is true.",
			Params: []Param{{Name: "Condition", Kind: Col}, {Name: "NumRows", Kind: Const}, {Name: "RowsAfter", Kind: Const, Optional: true}},
			Shape:  func(c *Call, _ Rows) ([]Column, error) { return without(c, c.at("Condition")), nil },
			Run:    rowsNear},
		{Name: "dcount_intersect", Doc: "Distinct values of the first sketch, of the first two together, and so on.",
			Params: []Param{{Name: "hll", Kind: Col, Variadic: true}},
			Shape:  intersectShape, Run: intersect},
		{Name: "schema_merge", Doc: "One schema of several, as getschema answers them.",
			Params: []Param{{Name: "PreserveOrder", Kind: Const, Optional: true}},
			Shape: func(c *Call, _ Rows) ([]Column, error) {
				want := []Column{{"ColumnName", types.String}, {"ColumnOrdinal", types.Long}, {"DataType", types.String}, {"ColumnType", types.String}}
				if !slices.Equal(c.In, want) {
					return nil, fmt.Errorf("schema_merge takes what getschema answers")
				}
				return want, nil
			},
			Run: schemaMerge},
	}
}

func tooMany(c *Call, limit int) error {
	return fmt.Errorf("%s makes more than %d rows", c.Fn.Name, limit)
}

// without lists the input's columns but one.
func without(c *Call, at int) []Column { return slices.Delete(slices.Clone(c.In), at, at+1) }

// maxColumns bounds the columns that rows can make.
const maxColumns = 1000

func unpackShape(c *Call, rows Rows) ([]Column, error) {
	at := c.at("column")
	if t := c.In[at].Type; t != types.Dynamic {
		return nil, fmt.Errorf("bag_unpack takes a dynamic column, not a %s", t)
	}
	out := without(c, at)
	prefix := c.value("OutputColumnPrefix", types.String).S
	conflict := c.value("columnsConflict", types.String).S
	ignored := ignoredKeys(c)
	kinds := map[string]types.Type{}
	for _, row := range rows {
		b, ok := row[at].D.(*types.Bag)
		if !ok {
			continue
		}
		for _, k := range b.Keys {
			if ignored[k] {
				continue
			}
			kinds[k] = meet(kinds[k], b.Vals[k])
			if len(kinds) > maxColumns {
				return nil, fmt.Errorf("bag_unpack makes more than %d columns", maxColumns)
			}
		}
	}
	var keys []string
	for k := range kinds {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		t := kinds[k]
		if t == types.Unknown {
			t = types.Dynamic
		}
		col := Column{prefix + k, t}
		i := slices.IndexFunc(out, func(o Column) bool { return o.Name == col.Name })
		switch {
		case i < 0:
			out = append(out, col)
		case conflict == "replace_source":
			out[i] = col
		case conflict == "keep_source":
		default:
			return nil, fmt.Errorf("bag_unpack would make a second column %q; give columnsConflict or a prefix", col.Name)
		}
	}
	return out, nil
}

func ignoredKeys(c *Call) map[string]bool {
	out := map[string]bool{}
	list, _ := c.value("ignoredProperties", types.Dynamic).D.([]any)
	for _, k := range list {
		if s, ok := k.(string); ok {
			out[s] = true
		}
	}
	return out
}

// meet is the type that holds both the values seen so far and d.
func meet(t types.Type, d any) types.Type {
	var k types.Type
	switch d.(type) {
	case nil:
		return t
	case bool:
		k = types.Bool
	case int64:
		k = types.Long
	case float64:
		k = types.Real
	case string:
		k = types.String
	default:
		return types.Dynamic
	}
	if t == types.Unknown {
		return k
	}
	if w, ok := types.Common(t, k); ok {
		return w
	}
	return types.Dynamic
}

func unpackRun(c *Call, in, _ Rows, _ int) (Rows, error) {
	at, prefix := c.at("column"), c.value("OutputColumnPrefix", types.String).S
	conflict, ignored := c.value("columnsConflict", types.String).S, ignoredKeys(c)
	from := make([]int, len(c.Out))
	for i, o := range c.Out {
		from[i] = slices.IndexFunc(c.In, func(x Column) bool { return x.Name == o.Name && x.Name != c.In[at].Name })
	}
	// A column that any bag replaces is replaced in every row.
	if conflict == "replace_source" {
		for _, row := range in {
			b, ok := row[at].D.(*types.Bag)
			for i, o := range c.Out {
				key, has := strings.CutPrefix(o.Name, prefix)
				if !ok || !has || ignored[key] {
					continue
				}
				if _, has = b.Get(key); has {
					from[i] = -1
				}
			}
		}
	}
	out := make(Rows, len(in))
	for r, row := range in {
		b, _ := row[at].D.(*types.Bag)
		cells := make([]types.Value, len(c.Out))
		for i, o := range c.Out {
			cells[i] = types.Null(o.Type)
			if from[i] >= 0 {
				cells[i] = types.Convert(row[from[i]], o.Type)
				continue
			}
			key, ok := strings.CutPrefix(o.Name, prefix)
			if !ok || b == nil || ignored[key] {
				continue
			}
			if d, has := b.Get(key); has {
				cells[i] = types.Convert(types.NewDynamic(d), o.Type)
			}
		}
		out[r] = cells
	}
	return out, nil
}

// pivotShape keeps the columns that are neither the pivot's nor its value.
func pivotShape(c *Call, rows Rows) ([]Column, error) {
	at, val := c.at("column"), c.at("value")
	var out []Column
	for i, col := range c.In {
		if i != at && i != val {
			out = append(out, col)
		}
	}
	seen := map[string]bool{}
	var names []string
	for _, row := range rows {
		if n := row[at].Text(); !seen[n] {
			if seen[n] = true; len(seen) > maxColumns {
				return nil, fmt.Errorf("pivot makes more than %d columns", maxColumns)
			}
			names = append(names, n)
		}
	}
	sort.Strings(names)
	for _, n := range names {
		out = append(out, Column{n, c.In[val].Type})
	}
	return out, nil
}

func pivotRun(c *Call, in, _ Rows, limit int) (Rows, error) {
	at, val := c.at("column"), c.at("value")
	var keys []int
	for i := range c.In {
		if i != at && i != val {
			keys = append(keys, i)
		}
	}
	// A declared schema may leave columns out or change their types: names tell.
	to, from := map[string]int{}, make([]int, len(c.Out))
	for i, o := range c.Out {
		from[i] = -1
		for _, k := range keys {
			if c.In[k].Name == o.Name {
				from[i] = k
			}
		}
		if from[i] < 0 {
			to[o.Name] = i
		}
	}
	miss, _ := c.arg("missing")
	byKey := map[string][]types.Value{}
	var out Rows
	for _, row := range in {
		k := keyOf(row, keys)
		cells := byKey[k]
		if cells == nil {
			cells = make([]types.Value, len(c.Out))
			for i, o := range c.Out {
				cells[i] = types.Convert(miss.Val, o.Type)
				if from[i] >= 0 {
					cells[i] = types.Convert(row[from[i]], o.Type)
				}
			}
			byKey[k] = cells
			if out = append(out, cells); len(out) > limit {
				return nil, tooMany(c, limit)
			}
		}
		if i, ok := to[row[at].Text()]; ok {
			cells[i] = types.Convert(row[val], c.Out[i].Type)
		}
	}
	return out, nil
}

// schemaMerge gives each column the place at which it came first; with PreserveOrder a
// column at two places is an error, named in its row.
func schemaMerge(c *Call, in, _ Rows, _ int) (Rows, error) {
	keep := true
	if a, ok := c.arg("PreserveOrder"); ok {
		keep = a.Val.True()
	}
	var out Rows
	index := map[string]int{}
	place := map[string]int64{}
	for _, row := range in {
		name := row[0].S
		i, seen := index[name]
		if !seen {
			index[name], place[name] = len(out), row[1].I
			out = append(out, slices.Clone(row))
			continue
		}
		switch {
		case out[i][3].S != row[3].S:
			out[i][1], out[i][2], out[i][3] = long(-1), types.NewString("ERROR(unknown CSL type:ERROR(types mismatch))"), types.NewString("ERROR(types mismatch)")
		case keep && place[name] != row[1].I:
			const text = "ERROR(columns are out of order)"
			out[i][1], out[i][2], out[i][3] = long(-1), types.NewString("ERROR(unknown CSL type:"+text+")"), types.NewString(text)
		default:
			place[name] = max(place[name], row[1].I)
			out[i][1] = types.NewLong(place[name])
		}
	}
	// Faulty columns go last, the others by their place.
	sort.SliceStable(out, func(i, j int) bool { return uint64(out[i][1].I) < uint64(out[j][1].I) })
	return out, nil
}
