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
	var b strings.Builder
	format(&b, e)
	return b.String()
}

func format(b *strings.Builder, e filter.Expr) {
	switch e := e.(type) {
	case filter.And:
		formatAll(b, e, " and ")
	case filter.Or:
		formatAll(b, e, " or ")
	case filter.Not:
		b.WriteString("not ")
		formatTerm(b, e.Term)
	case filter.Compare:
		formatCompare(b, e.Field.Name, e.Op, e.Value)
	case filter.In:
		b.WriteString(e.Field.Name + " in (")
		for i, v := range e.Values {
			if i > 0 {
				b.WriteByte(',')
			}
			formatValue(b, v)
		}
		b.WriteByte(')')
	case filter.Any:
		b.WriteString(e.Field.Name + "/any(x: ")
		formatCompare(b, "x", e.Op, e.Value)
		b.WriteByte(')')
	}
}

func formatAll(b *strings.Builder, es []filter.Expr, joint string) {
	for i, e := range es {
		if i > 0 {
			b.WriteString(joint)
		}
		formatTerm(b, e)
	}
}

// formatTerm puts parentheses around what binds less tightly than not.
func formatTerm(b *strings.Builder, e filter.Expr) {
	switch e.(type) {
	case filter.And, filter.Or:
		b.WriteByte('(')
		format(b, e)
		b.WriteByte(')')
	default:
		format(b, e)
	}
}

func formatCompare(b *strings.Builder, name string, op filter.Op, v filter.Value) {
	for fn, o := range functions {
		if o == op {
			b.WriteString(fn + "(" + name + ",")
			formatValue(b, v)
			b.WriteByte(')')
			return
		}
	}
	for word, o := range operators {
		if o == op {
			b.WriteString(name + " " + word + " ")
		}
	}
	formatValue(b, v)
}

func formatValue(b *strings.Builder, v filter.Value) {
	switch {
	case v.Null:
		b.WriteString("null")
	case v.Type == filter.Int:
		b.WriteString(strconv.FormatInt(v.N, 10))
	case v.Type == filter.Bool:
		b.WriteString(strconv.FormatBool(v.B))
	case v.Type == filter.Time:
		b.WriteString(v.T.UTC().Format(time.RFC3339Nano))
	default:
		b.WriteString("'" + strings.ReplaceAll(v.S, "'", "''") + "'")
	}
}
