package odata

import (
	"strconv"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/filter"
)

// Format renders a predicate as $filter text; ParseFilter reads the same tree back. An
// And or Or of fewer than two terms has no such text and is rendered by its terms.
func Format(e filter.Expr) string {
	b := printer{}
	b.format(e)
	return b.String()
}

// printer collects text; element is what properties are members of inside a lambda.
type printer struct {
	strings.Builder
	element string
}

func (b *printer) name(f filter.Field) string {
	switch {
	case b.element == "":
		return f.Name
	case f.Name == filter.Element.Name:
		return b.element
	}
	return b.element + "/" + f.Name
}

func (b *printer) format(e filter.Expr) {
	switch e := e.(type) {
	case filter.And:
		b.formatAll(e, " and ")
	case filter.Or:
		b.formatAll(e, " or ")
	case filter.Not:
		b.WriteString("not ")
		b.formatTerm(e.Term)
	case filter.Compare:
		b.formatCompare(e)
	case filter.In:
		b.WriteString(b.name(e.Field) + " in (")
		for i, v := range e.Values {
			if i > 0 {
				b.WriteByte(',')
			}
			b.formatValue(v)
		}
		b.WriteByte(')')
	case filter.Any:
		b.WriteString(e.Field.Name + "/any(")
		if e.Where != nil {
			b.WriteString("x: ")
			b.element = "x"
			b.format(e.Where)
			b.element = ""
		}
		b.WriteByte(')')
	}
}

func (b *printer) formatAll(es []filter.Expr, joint string) {
	for i, e := range es {
		if i > 0 {
			b.WriteString(joint)
		}
		b.formatTerm(e)
	}
}

// formatTerm puts parentheses around what binds less tightly than not.
func (b *printer) formatTerm(e filter.Expr) {
	switch e.(type) {
	case filter.And, filter.Or:
		b.WriteByte('(')
		b.format(e)
		b.WriteByte(')')
	default:
		b.format(e)
	}
}

func (b *printer) formatCompare(e filter.Compare) {
	name := b.name(e.Field)
	for fn, o := range functions {
		if o == e.Op {
			b.WriteString(fn + "(" + name + ",")
			b.formatValue(e.Value)
			b.WriteByte(')')
			return
		}
	}
	switch e.Fn {
	case filter.Plain:
	case filter.Count:
		name += "/$count"
	case filter.IndexOf:
		name = "indexof(" + name + "," + quote(e.Arg) + ")"
	default:
		for word, fn := range parts {
			if fn == e.Fn {
				name = word + "(" + name + ")"
				break
			}
		}
	}
	for word, o := range operators {
		if o == e.Op {
			b.WriteString(name + " " + word + " ")
		}
	}
	b.formatValue(e.Value)
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func (b *printer) formatValue(v filter.Value) {
	switch {
	case v.Null:
		b.WriteString("null")
	case v.Type == filter.Int:
		b.WriteString(strconv.FormatInt(v.N, 10))
	case v.Type == filter.Float:
		b.WriteString(strconv.FormatFloat(v.F, 'g', -1, 64))
	case v.Type == filter.Bool:
		b.WriteString(strconv.FormatBool(v.B))
	case v.Type == filter.Time:
		b.WriteString(v.T.UTC().Format(time.RFC3339Nano))
	default:
		b.WriteString(quote(v.S))
	}
}
