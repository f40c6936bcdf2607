package plugin

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vedette-edr/vedette/kql/funcs"
	"github.com/vedette-edr/vedette/kql/types"
)

func lookupFuncs() []Func {
	ip := func(name, doc string) Func {
		return Func{Name: name, Doc: doc,
			Params: []Param{{Name: "LookupTable", Kind: Tab}, {Name: "SourceIPv4Key", Kind: Col}, {Name: "IPv4LookupKey", Kind: Key}, {Name: "ExtraKey", Kind: Col, Optional: true, Variadic: true}, {Name: "return_unmatched", Kind: Const, Optional: true}},
			Shape:  lookupShape, Run: ipLookup}
	}
	geo := func(name, doc string, dist bool) Func {
		p := []Param{{Name: "LookupTable", Kind: Tab}, {Name: "LookupShapeKey", Kind: Key}, {Name: "SourceLongitude", Kind: Col}, {Name: "SourceLatitude", Kind: Col}}
		if dist {
			p = append(p, Param{Name: "radius", Kind: Const})
		} else {
			p = append(p, Param{Name: "radius", Kind: Const, Optional: true})
		}
		p = append(p, Param{Name: "return_unmatched", Kind: Const, Optional: true}, Param{Name: "lookup_area_radius", Kind: Const, Optional: true}, Param{Name: "return_lookup_key", Kind: Const, Optional: true})
		return Func{Name: name, Doc: doc, Params: p, Shape: geoShape, Run: geoLookup}
	}
	return []Func{
		ip("ipv4_lookup", "Rows of a table whose network holds an IPv4 address."),
		ip("ipv6_lookup", "Rows of a table whose network holds an IPv4 or IPv6 address."),
		geo("geo_polygon_lookup", "Rows of a table whose polygon holds a place.", false),
		geo("geo_line_lookup", "Rows of a table whose line is near a place.", true),
	}
}

// lookupShape is the source's columns and then the table's; for ipv6_lookup, as in Kusto,
// the other way round.
func lookupShape(c *Call, _ Rows) ([]Column, error) {
	extra := c.list("ExtraKey")
	var other []Column
	for _, col := range c.Table {
		if !slices.ContainsFunc(extra, func(a Arg) bool { return c.In[a.At].Name == col.Name }) {
			other = append(other, col)
		}
	}
	lead, tail := c.In, other
	if tableFirst(c) {
		lead, tail = other, c.In
	}
	out := slices.Clone(lead)
	for _, col := range tail {
		out = append(out, Column{fresh(out, col.Name), col.Type})
	}
	return out, nil
}

func tableFirst(c *Call) bool { return c.Fn.Name == "ipv6_lookup" }

func fresh(have []Column, name string) string {
	n := name
	for i := 1; slices.ContainsFunc(have, func(c Column) bool { return c.Name == n }); i++ {
		n = fmt.Sprintf("%s%d", name, i)
	}
	return n
}

// network reads an address or a prefix; v4 says which family is wanted.
func network(s string, v4 bool) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return p, false
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if v4 && !p.Addr().Is4() {
		return p, false
	}
	return p.Masked(), true
}

func ipLookup(c *Call, in, table Rows, limit int) (Rows, error) {
	v4 := c.Fn.Name == "ipv4_lookup"
	src, key := c.at("SourceIPv4Key"), c.at("IPv4LookupKey")
	if c.In[src].Type != types.String || c.Table[key].Type != types.String {
		return nil, fmt.Errorf("%s takes addresses and networks as strings", c.Fn.Name)
	}
	extra := positions(c.list("ExtraKey"))
	var extraTab []int
	for _, i := range extra {
		j := slices.IndexFunc(c.Table, func(t Column) bool { return t.Name == c.In[i].Name })
		if j < 0 {
			return nil, fmt.Errorf("%s: the lookup table has no column %q", c.Fn.Name, c.In[i].Name)
		}
		extraTab = append(extraTab, j)
	}
	type slot struct {
		p netip.Prefix
		k string
	}
	byNet := map[slot][]int{}
	lens := map[int]bool{}
	for i, row := range table {
		if p, ok := network(row[key].S, v4); ok {
			s := slot{p, keyOf(row, extraTab)}
			byNet[s] = append(byNet[s], i)
			lens[p.Bits()] = true
		}
	}
	join := func(row []types.Value, other []types.Value) []types.Value {
		var out []types.Value
		if !tableFirst(c) {
			out = append(out, row...)
		}
		for j, col := range c.Table {
			if slices.Contains(extraTab, j) {
				continue
			}
			if other == nil {
				out = append(out, types.Null(col.Type))
			} else {
				out = append(out, other[j])
			}
		}
		if tableFirst(c) {
			out = append(out, row...)
		}
		return out
	}
	var out Rows
	for _, row := range in {
		hit := false
		if p, ok := network(row[src].S, v4); ok {
			// The most specific network first; all that hold the address match.
			for b := p.Bits(); b >= 0; b-- {
				if !lens[b] {
					continue
				}
				q := netip.PrefixFrom(p.Addr(), b).Masked()
				for _, i := range byNet[slot{q, keyOf(row, extra)}] {
					hit = true
					if out = append(out, join(row, table[i])); len(out) > limit {
						return nil, tooMany(c, limit)
					}
				}
			}
		}
		if !hit && c.flag("return_unmatched") {
			out = append(out, join(row, nil))
		}
	}
	return out, nil
}

// maxPairs bounds the places that are compared with shapes.
const maxPairs = 1_000_000

func geoShape(c *Call, _ Rows) ([]Column, error) {
	out := slices.Clone(c.In)
	for i, col := range c.Table {
		if i != c.at("LookupShapeKey") || c.flag("return_lookup_key") {
			out = append(out, Column{fresh(out, col.Name), col.Type})
		}
	}
	return out, nil
}

func geoLookup(c *Call, in, table Rows, limit int) (Rows, error) {
	key, lon, lat := c.at("LookupShapeKey"), c.at("SourceLongitude"), c.at("SourceLatitude")
	radius := c.value("radius", types.Real)
	name := "geo_distance_point_to_polygon"
	if c.Fn.Name == "geo_line_lookup" {
		name = "geo_distance_point_to_line"
	}
	f, _ := funcs.Lookup(name)
	ctx := &funcs.Ctx{Result: types.Real}
	join := func(row, other []types.Value) []types.Value {
		out := slices.Clone(row)
		for j, col := range c.Table {
			if j == key && !c.flag("return_lookup_key") {
				continue
			}
			if other == nil {
				out = append(out, types.Null(col.Type))
			} else {
				out = append(out, other[j])
			}
		}
		return out
	}
	if len(in)*len(table) > maxPairs {
		return nil, fmt.Errorf("%s would compare more than %d pairs", c.Fn.Name, maxPairs)
	}
	var out Rows
	for _, row := range in {
		hit := false
		for _, t := range table {
			d := f.Call(ctx, []types.Value{types.Convert(row[lon], types.Real), types.Convert(row[lat], types.Real), t[key]})
			if d.Null || d.F > radius.F {
				continue
			}
			hit = true
			if out = append(out, join(row, t)); len(out) > limit {
				return nil, tooMany(c, limit)
			}
		}
		if !hit && c.flag("return_unmatched") {
			out = append(out, join(row, nil))
		}
	}
	return out, nil
}
