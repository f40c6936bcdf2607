// Command schemadoc prints the documentation of the hunting tables, made from package
// schema, as Markdown. `make generate` writes it to docs/schema.md.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/vedette-edr/vedette/schema"
	"github.com/vedette-edr/vedette/schema/event"
)

func main() {
	if err := write(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "schemadoc:", err)
		os.Exit(1)
	}
}

func write(w io.Writer) error {
	p := &page{w: w}
	p.line("# Hunting tables\n")
	p.line("Made by `make generate` from the declarations in package schema; do not edit.\n")
	p.line("Names are case-sensitive. `TimeGenerated` is another name of `Timestamp` in every table that has it,")
	p.line("and `IngestionTime` is when the server took a row in; both answer when a query names them.")
	p.line("`AdditionalFields` is dynamic and also answers string operators. A column marked ● is filled by")
	p.line("the telemetry of Linux devices.\n")
	p.line("| table | view of | about |\n|---|---|---|")
	for _, t := range schema.Tables() {
		p.line("| [%s](#%s) | %s | %s |", t.Name, anchor(t.Name), t.Base, t.Doc)
	}
	for _, t := range schema.Tables() {
		p.line("\n## %s\n\n%s\n\n| column | type | |\n|---|---|---|", t.Name, t.Doc)
		for _, c := range t.Columns {
			if c.Hidden {
				continue
			}
			mark := ""
			if filled(t, c) {
				mark = "●"
			}
			p.line("| %s | %s | %s |", c.Name, c.Type, mark)
		}
	}
	return p.err
}

// filled reports whether events carry the column of an event table.
func filled(t *schema.Table, c schema.Column) bool {
	name, table := c.Name, t.Name
	if t.Base != "" {
		name, table = c.Source, t.Base
	}
	for id := event.ProcessEvents; id.Valid(); id++ {
		if id.String() == table {
			_, ok := event.Column(name)
			return ok
		}
	}
	return false
}

func anchor(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// page prints lines and keeps the first error.
type page struct {
	w   io.Writer
	err error
}

func (p *page) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}
