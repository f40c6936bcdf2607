package funcs

import (
	"strconv"
	"strings"

	"github.com/vedette-edr/vedette/kql/types"
)

// wkt reads well-known text into GeoJSON.
func wkt(s string) (any, bool) {
	names := map[string]string{"POINT": "Point", "LINESTRING": "LineString", "POLYGON": "Polygon", "MULTIPOINT": "MultiPoint", "MULTILINESTRING": "MultiLineString", "MULTIPOLYGON": "MultiPolygon"}
	i := strings.IndexByte(s, '(')
	if i < 0 {
		return nil, false
	}
	kind, ok := names[strings.ToUpper(strings.TrimSpace(s[:i]))]
	if !ok {
		return nil, false
	}
	c, rest, ok := wktList(s[i:], 0)
	if !ok || strings.TrimSpace(rest) != "" {
		return nil, false
	}
	list := c.([]any)
	if kind == "Point" {
		if len(list) != 1 {
			return nil, false
		}
		c = list[0]
	}
	// MULTIPOINT allows each point in parentheses of its own.
	if kind == "MultiPoint" {
		for j, e := range list {
			if in, ok := e.([]any); ok && len(in) == 1 {
				list[j] = in[0]
			}
		}
	}
	b := types.NewBag()
	b.Set("type", kind)
	b.Set("coordinates", c)
	return b, true
}

// wktList reads a parenthesised list of positions or lists.
func wktList(s string, depth int) (any, string, bool) {
	s = strings.TrimSpace(s)
	if depth > 4 || !strings.HasPrefix(s, "(") {
		return nil, s, false
	}
	s = strings.TrimSpace(s[1:])
	out := []any{}
	for {
		if strings.HasPrefix(s, "(") {
			e, rest, ok := wktList(s, depth+1)
			if !ok {
				return nil, s, false
			}
			out, s = append(out, e), strings.TrimSpace(rest)
		} else {
			i := strings.IndexAny(s, ",)")
			if i < 0 {
				return nil, s, false
			}
			var pos []any
			for _, f := range strings.Fields(s[:i]) {
				v, err := strconv.ParseFloat(f, 64)
				if err != nil {
					return nil, s, false
				}
				pos = append(pos, v)
			}
			if len(pos) < 2 {
				return nil, s, false
			}
			out, s = append(out, pos), s[i:]
		}
		switch {
		case strings.HasPrefix(s, ","):
			s = strings.TrimSpace(s[1:])
		case strings.HasPrefix(s, ")"):
			return out, s[1:], true
		default:
			return nil, s, false
		}
	}
}
