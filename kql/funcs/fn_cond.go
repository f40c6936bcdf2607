package funcs

import "github.com/vedette-edr/vedette/kql/types"

func condFuncs() []entry {
	return []entry{
		{sig: "not(value:bool) bool", doc: "Negation.", eval: func(_ *Ctx, a []types.Value) types.Value { return boolean(a[0].I == 0) }},
		{sig: "iff(if:bool, then:same, else:same)", alias: []string{"iif"}, nulls: true, doc: "The first of two values when a predicate is true, else the second.", eval: func(_ *Ctx, a []types.Value) types.Value {
			if a[0].True() {
				return a[1]
			}
			return a[2]
		}},
		{sig: "case(value:same...)", nulls: true, doc: "Value behind the first true predicate; the last value when none is.", eval: func(c *Ctx, a []types.Value) types.Value {
			for i := 0; i+1 < len(a); i += 2 {
				if a[i].True() {
					return a[i+1]
				}
			}
			return a[len(a)-1]
		}},
		{sig: "coalesce(value:same...)", nulls: true, doc: "First value that is not null, for texts not empty.", eval: func(c *Ctx, a []types.Value) types.Value {
			for _, v := range a {
				if !v.Null && !(v.Type == types.String && v.S == "") {
					return v
				}
			}
			return c.null()
		}},
		{sig: "isnull(value:any) bool", nulls: true, doc: "Whether a value is null; a text never is.", eval: func(_ *Ctx, a []types.Value) types.Value { return boolean(a[0].Null) }},
		{sig: "isnotnull(value:any) bool", alias: []string{"notnull"}, nulls: true, doc: "Whether a value is not null.", eval: func(_ *Ctx, a []types.Value) types.Value { return boolean(!a[0].Null) }},
		{sig: "min_of(value:same...)", nulls: true, doc: "Smallest argument.", eval: extreme(-1)},
		{sig: "max_of(value:same...)", nulls: true, doc: "Largest argument.", eval: extreme(1)},
		{sig: "assert(condition:bool, message:string) bool", nulls: true, doc: "True; a condition that is false fails the query when it is compiled.", eval: func(_ *Ctx, a []types.Value) types.Value { return boolean(a[0].True()) }},
		{sig: "around(value:same, center:same, delta:any) bool", doc: "Whether a value lies within delta of the center.", eval: func(_ *Ctx, a []types.Value) types.Value {
			if a[0].Type == types.Real || a[2].Type == types.Real {
				x, c, d := a[0].Float(), a[1].Float(), a[2].Float()
				return boolean(x >= c-d && x <= c+d)
			}
			return boolean(a[0].I >= a[1].I-a[2].I && a[0].I <= a[1].I+a[2].I)
		}},
	}
}

func extreme(sign int) Impl {
	return func(c *Ctx, a []types.Value) types.Value {
		best := c.null()
		first := true
		for _, v := range a {
			if v.Null {
				continue
			}
			if first || types.Compare(v, best)*sign > 0 {
				best, first = v, false
			}
		}
		return best
	}
}
