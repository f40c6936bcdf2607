package odata

import (
	"cmp"
	"slices"
	"strings"

	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/filter"
)

// Params lists the query options of a list for the OpenAPI document.
func Params(s Spec) []api.Param {
	out := []api.Param{}
	if len(s.Fields) > 0 {
		var names, sorted []string
		for _, f := range s.Fields {
			names = append(names, f.Name)
			if f.Type != filter.List && !f.Fluid {
				sorted = append(sorted, f.Name)
			}
		}
		out = append(out,
			api.Param{Name: "$filter", About: "An OData expression over " + strings.Join(names, ", ") + ".", Example: example(s.Fields)},
			api.Param{Name: "$orderby", About: "Keys of the order, each with asc or desc: " + strings.Join(sorted, ", ") + ".", Example: sorted[0] + " desc"},
		)
	}
	out = append(out,
		api.Param{Name: "$top", Type: "integer", Max: int64(s.top()), About: "Rows at most, over all pages.", Example: "10"},
		api.Param{Name: "$skip", Type: "integer", Max: 1<<31 - 1, About: "Rows passed over.", Example: "1"},
		api.Param{Name: "$count", Type: "boolean", About: "Whether @odata.count tells the number of rows that match.", Example: "true"},
	)
	if ks := keys(s.Entity); len(ks) > 0 {
		out = append(out, api.Param{Name: "$select", About: "Properties to answer with.", Example: ks[0]})
	}
	if len(s.Expand) > 0 {
		out = append(out, api.Param{Name: "$expand", About: "Navigations to answer with: " + strings.Join(s.Expand, ", ") + ".", Example: s.Expand[0]})
	}
	if len(s.Fields) > 0 {
		out = append(out, api.Param{Name: "$skiptoken", About: "Where the list goes on, from @odata.nextLink."})
	}
	return out
}

// CountParams lists the query options of a /$count.
func CountParams(s Spec) []api.Param {
	return slices.DeleteFunc(Params(s), func(p api.Param) bool { return p.Name != "$filter" })
}

// example is a filter that is understood.
func example(fields filter.Schema) string {
	f := fields[0]
	text := map[filter.Type]string{filter.Int: "1", filter.Float: "1.5", filter.Time: "2024-01-01T00:00:00Z", filter.Bool: "true"}[f.Type]
	if f.Type == filter.List {
		return f.Name + "/$count gt 0"
	}
	return f.Name + " eq " + cmp.Or(text, "'x'")
}
