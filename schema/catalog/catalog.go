// Package catalog shows the hunting tables of package schema to the binder of KQL. It is
// one for hunts, rules and the command line, so that a query means the same in all three.
package catalog

import (
	"sync"

	"github.com/vedette-edr/vedette/kql/bind"
	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/schema"
)

// catalog is the schema as the binder sees it. It is immutable.
type catalog struct {
	tables map[string]*bind.Table
	names  []string
}

// Tables returns the hunting tables for the binder. They are the same for every tenant:
// what differs is the rows that a query is given.
func Tables() bind.Catalog { return builtin() }

var builtin = sync.OnceValue(func() *catalog {
	c := &catalog{tables: map[string]*bind.Table{}}
	for _, t := range schema.Tables() {
		c.tables[t.Name] = bindTable(t)
		c.names = append(c.names, t.Name)
	}
	return c
})

func bindTable(t *schema.Table) *bind.Table {
	out := &bind.Table{Name: t.Name, Base: t.Base}
	base := t
	if t.Base != "" {
		base, _ = schema.Lookup(t.Base) // package schema refuses a view of nothing
	}
	for _, c := range t.Columns {
		b := bind.Column{Name: c.Name, Type: c.Type, Source: c.Source, Hidden: c.Hidden, JSONString: c.JSON}
		source := c.Source
		if source == "" {
			source = c.Name
		}
		if s, ok := base.Column(source); ok && s.Type != c.Type {
			b.SourceType = s.Type
		}
		out.Columns = append(out.Columns, b)
		if c.Name == ingestion {
			out.Columns = append(out.Columns, bind.Column{Name: bind.IngestionTime, Type: types.Datetime, Source: ingestion, Hidden: true})
		}
	}
	return out
}

// ingestion is the hidden column that ingestion_time() reads.
const ingestion = "IngestionTime"

// Table implements bind.Catalog.
func (c *catalog) Table(name string) (*bind.Table, bool) {
	t, ok := c.tables[name]
	return t, ok
}

// TableNames implements bind.Catalog.
func (c *catalog) TableNames() []string { return c.names }

// Function implements bind.Library.
func (c *catalog) Function(name string) (string, bool) {
	f, ok := schema.LookupFunction(name)
	return f.Text, ok
}
