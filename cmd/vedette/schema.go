package main

import (
	"fmt"

	"github.com/vedette-edr/vedette/schema"
)

type schemaCommand struct {
	Table string `arg:"" optional:"" help:"Table whose columns to show; all tables without it."`
}

func (c *schemaCommand) Run(s *session) error {
	if c.Table == "" {
		cells := [][]string{}
		for _, t := range schema.Tables() {
			cells = append(cells, []string{t.Name, t.Base, t.Doc})
		}
		return s.out.rows(schema.Tables(), []string{"TABLE", "VIEW OF", "ABOUT"}, cells)
	}
	t, ok := schema.Lookup(c.Table)
	if !ok {
		return fmt.Errorf("there is no table %q: 'vedette schema' lists them", c.Table)
	}
	cells := [][]string{}
	for _, col := range t.Columns {
		if !col.Hidden {
			cells = append(cells, []string{col.Name, col.Type.String()})
		}
	}
	return s.out.rows(t, []string{"COLUMN", "TYPE"}, cells)
}
