package main

import (
	"github.com/vedette-edr/vedette/kql/bind"
	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/schema"
)

// tables shows the declared hunting tables to the binder.
type tables map[string]*bind.Table

// ingestion is the column that ingestion_time() reads.
const ingestion = "IngestionTime"

func huntingTables() tables {
	out := tables{}
	for _, t := range schema.Tables() {
		base := t
		if t.Base != "" {
			base, _ = schema.Lookup(t.Base) // package schema refuses a view of nothing
		}
		b := &bind.Table{Name: t.Name, Base: t.Base}
		for _, c := range t.Columns {
			col := bind.Column{Name: c.Name, Type: c.Type, Source: c.Source, Hidden: c.Hidden, JSONString: c.JSON}
			source := c.Source
			if source == "" {
				source = c.Name
			}
			if s, ok := base.Column(source); ok && s.Type != c.Type {
				col.SourceType = s.Type
			}
			b.Columns = append(b.Columns, col)
			if c.Name == ingestion {
				b.Columns = append(b.Columns, bind.Column{Name: bind.IngestionTime, Type: types.Datetime, Source: ingestion, Hidden: true})
			}
		}
		out[t.Name] = b
	}
	return out
}

// Table implements bind.Catalog.
func (t tables) Table(name string) (*bind.Table, bool) { b, ok := t[name]; return b, ok }

// TableNames implements bind.Catalog.
func (t tables) TableNames() []string {
	var out []string
	for _, s := range schema.Tables() {
		out = append(out, s.Name)
	}
	return out
}

// Function implements bind.Library.
func (t tables) Function(name string) (string, bool) {
	f, ok := schema.LookupFunction(name)
	return f.Text, ok
}
