// Package catalog shows the declared hunting tables and functions to the KQL binder.
//
// It is apart from schema because schema is a declaration that agents and documentation
// read too, and knows of KQL's types alone. Everything that compiles hunting queries, the
// server, the command line and the tests, takes the tables from here.
package catalog

import (
	"sync"

	"github.com/vedette-edr/vedette/kql/bind"
	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/schema"
)

// Hunting returns the hunting tables and functions. It is immutable, safe for concurrent
// use, and also a bind.Library.
func Hunting() bind.Catalog { return hunting() }

type catalog struct {
	tables map[string]*bind.Table
	names  []string
}

var hunting = sync.OnceValue(func() *catalog {
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
