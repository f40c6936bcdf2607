package hunting

import (
	"github.com/vedette-edr/vedette/kql/funcs"
	"github.com/vedette-edr/vedette/schema"
)

// vocabulary is what a query may name, for an editor's hints.
type vocabulary struct {
	Tables    []tableEntity    `json:"tables"`
	Functions []functionEntity `json:"functions"`
}

type tableEntity struct {
	Name        string         `json:"name"`
	Description string         `json:"description"`
	View        string         `json:"viewOf"` // the table that it is another name of, "" for none
	Columns     []columnEntity `json:"columns"`
}

type columnEntity struct {
	Name string `json:"name"`
	Type string `json:"type"` // as KQL names it
}

// Kinds of function.
const (
	scalar    = "scalar"
	aggregate = "aggregate"
	tabular   = "table"
)

type functionEntity struct {
	Name        string `json:"name"`
	Kind        string `json:"kind" doc:"enum=scalar|aggregate|table"`
	Signature   string `json:"signature"`
	Description string `json:"description"`
}

func describe() vocabulary {
	var out vocabulary
	for _, t := range schema.Tables() {
		e := tableEntity{Name: t.Name, Description: t.Doc, View: t.Base, Columns: []columnEntity{}}
		for _, c := range t.Columns {
			if !c.Hidden {
				e.Columns = append(e.Columns, columnEntity{c.Name, c.Type.String()})
			}
		}
		out.Tables = append(out.Tables, e)
	}
	for _, f := range schema.Functions() {
		out.Functions = append(out.Functions, functionEntity{f.Name, tabular, f.Text, f.Doc})
	}
	for _, n := range funcs.Names() {
		if f, ok := funcs.Lookup(n); ok && !f.Internal && f.Name == n {
			out.Functions = append(out.Functions, functionEntity{n, scalar, f.Signature(), f.Doc})
		}
		if a, withIf, ok := funcs.LookupAgg(n); ok && !withIf && a.Name == n {
			out.Functions = append(out.Functions, functionEntity{n, aggregate, a.Signature(), a.Doc})
		}
	}
	return out
}
