// Package schema declares the hunting tables, once: their columns in published order with
// Kusto's types, the views that carry their legacy names, and the aliases that queries in
// the field use. The telemetry store's columns, the query catalogue, the documentation
// and the portal's hints are all made from it.
//
// A table without Base is physical: rows of it are stored. A view has a Base and each of
// its columns a Source there. Hidden columns are stored or answer to their name, but do
// not appear unless a query names them.
//
// Start at Tables and Lookup. The declarations are the table_*.go files.
package schema

import (
	"fmt"
	"strings"
	"sync"

	"github.com/vedette-edr/vedette/kql/types"
)

// Column is one column of a table.
type Column struct {
	Name string
	Type types.Type
	// Source is the column of the base table (of the same table, for an alias) that the
	// column reads; "" when it is stored under its own name.
	Source string
	// Hidden columns answer to their name and are absent from a table's own output.
	Hidden bool
	// JSON marks a dynamic column that also answers string operators, as queries written
	// for the published string column use it, and is shown as JSON text.
	JSON bool
}

// Stored reports whether c takes room in the store.
func (c Column) Stored() bool { return c.Source == "" }

// Table is one hunting table or view.
type Table struct {
	Name    string
	Doc     string
	Base    string // the physical table that a view reads; "" for a physical table
	Columns []Column
}

// Column returns the column called name, case-sensitive as Kusto is.
func (t *Table) Column(name string) (Column, bool) {
	for _, c := range t.Columns {
		if c.Name == name {
			return c, true
		}
	}
	return Column{}, false
}

// Tables returns every table and view in documentation order. The caller must not change
// what it points to.
func Tables() []*Table { return all().list }

// Lookup returns the table or view called name, case-sensitive as Kusto is.
func Lookup(name string) (*Table, bool) {
	t, ok := all().byName[name]
	return t, ok
}

type catalogue struct {
	list   []*Table
	byName map[string]*Table
}

// declared is how the table_*.go files write a table: columns as name:type, separated by
// white space.
type declared struct {
	name, doc, base, columns string
}

var all = sync.OnceValue(func() *catalogue {
	c := &catalogue{byName: map[string]*Table{}}
	for _, group := range [][]declared{deviceTables, alertTables, postureTables, ownTables} {
		for _, d := range group {
			c.add(d.table())
		}
	}
	for _, d := range legacyTables {
		c.add(d.view(c.byName[d.base]))
	}
	return c
})

func (c *catalogue) add(t *Table) {
	if c.byName[t.Name] != nil {
		panic("schema: table declared twice: " + t.Name)
	}
	c.list = append(c.list, t)
	c.byName[t.Name] = t
}

func (d declared) fields() []Column {
	var cols []Column
	for _, f := range strings.Fields(d.columns) {
		name, kind, _ := strings.Cut(f, ":")
		typ, ok := types.FromName(kind)
		if !ok {
			panic(fmt.Sprintf("schema: %s.%s has no type %q", d.name, name, kind))
		}
		cols = append(cols, Column{Name: name, Type: typ})
	}
	return cols
}

func (d declared) table() *Table {
	t := &Table{Name: d.name, Doc: d.doc, Columns: d.fields()}
	for i := range t.Columns {
		if c := &t.Columns[i]; c.Name == "AdditionalFields" {
			c.Type, c.JSON = types.Dynamic, true
		}
	}
	hidden := func(c Column) {
		if _, ok := t.Column(c.Name); !ok {
			c.Hidden = true
			t.Columns = append(t.Columns, c)
		}
	}
	if _, ok := t.Column("Timestamp"); ok {
		hidden(Column{Name: "TimeGenerated", Type: types.Datetime, Source: "Timestamp"})
	}
	hidden(Column{Name: "IngestionTime", Type: types.Datetime})
	for _, extra := range extraColumns[d.name] {
		hidden(extra)
	}
	return t
}

// renamed maps a column's name of the 2019 schema to today's.
var renamed = map[string]string{
	"EventTime":          "Timestamp",
	"MachineId":          "DeviceId",
	"ComputerName":       "DeviceName",
	"RemoteComputerName": "RemoteDeviceName",
	"RegistryMachineTag": "RegistryDeviceTag",
}

func (d declared) view(base *Table) *Table {
	if base == nil {
		panic("schema: " + d.name + " is a view of nothing: " + d.base)
	}
	t := &Table{Name: d.name, Base: d.base, Columns: d.fields(),
		Doc: "The " + base.Name + " table under its name of 2019: " + base.Doc}
	for i := range t.Columns {
		c := &t.Columns[i]
		c.Source = c.Name
		if now, ok := renamed[c.Name]; ok {
			c.Source = now
		}
		b, ok := base.Column(c.Source)
		if !ok {
			panic("schema: " + d.name + "." + c.Name + " has no source in " + base.Name)
		}
		if b.JSON {
			c.Type, c.JSON = b.Type, true
		}
	}
	for _, b := range base.Columns {
		if _, taken := t.Column(b.Name); !taken && b.Hidden {
			c := b
			if c.Source == "" {
				c.Source = c.Name
			}
			t.Columns = append(t.Columns, c)
		}
	}
	return t
}
