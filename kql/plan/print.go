package plan

import (
	"fmt"
	"strings"

	"github.com/vedette-edr/vedette/kql/types"
)

// String implements Expr.
func (c *Col) String() string { return fmt.Sprintf("%s#%d", c.Name, c.ID) }

// String implements Expr.
func (c *Const) String() string { return c.V.Literal() }

// String implements Expr.
func (c *Call) String() string {
	var b strings.Builder
	b.WriteString(c.Fn.Name)
	b.WriteByte('(')
	for i, a := range c.Args {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(a.String())
	}
	b.WriteByte(')')
	return b.String()
}

// String implements Expr.
func (s *Scalar) String() string { return "toscalar(\n" + indent(Print(s.Root)) + ")" }

// String implements Expr.
func (x *InTable) String() string {
	return fmt.Sprintf("%s %s (\n%s)", x.X, x.Op, indent(Print(x.Root)))
}

func indent(s string) string {
	return "  " + strings.ReplaceAll(strings.TrimSuffix(s, "\n"), "\n", "\n  ") + "\n"
}

// Print writes a plan as an indented tree, inputs below their operator.
func Print(n Node) string {
	var b strings.Builder
	b.WriteString(describe(n))
	b.WriteByte('\n')
	for _, in := range n.Inputs() {
		b.WriteString(indent(Print(in)))
	}
	return b.String()
}

func colList(cols []Column) string {
	parts := make([]string, len(cols))
	for i, c := range cols {
		parts[i] = fmt.Sprintf("%s#%d:%s", c.Name, c.ID, c.Type)
	}
	return strings.Join(parts, ", ")
}

func itemList(items []Item) string {
	parts := make([]string, len(items))
	for i, it := range items {
		if c, ok := it.Expr.(*Col); ok && c.ID == it.Col.ID {
			parts[i] = c.String()
		} else {
			parts[i] = fmt.Sprintf("%s#%d = %s", it.Col.Name, it.Col.ID, it.Expr)
		}
	}
	return strings.Join(parts, ", ")
}

func describe(n Node) string {
	switch x := n.(type) {
	case *Scan:
		s := "Scan " + x.Table
		if x.Base != x.Table {
			s += " of " + x.Base
		}
		s += " [" + colList(x.Columns()) + "]"
		for _, r := range x.Ranges {
			s += fmt.Sprintf(" %s in [%s, %s]", r.Source, types.FormatDatetimeJSON(r.Min), types.FormatDatetimeJSON(r.Max))
		}
		if x.Pred != nil {
			s += " restrict " + x.Pred.String()
		}
		return s
	case *Values:
		return fmt.Sprintf("Values %d rows [%s]", len(x.Rows), colList(x.Cols))
	case *Range:
		return fmt.Sprintf("Range %s#%d from %s to %s step %s", x.Col.Name, x.Col.ID, x.From.Literal(), x.To.Literal(), x.Step.Literal())
	case *Filter:
		return "Filter " + x.Pred.String()
	case *Project:
		return "Project " + itemList(x.Items)
	case *Aggregate:
		s := "Aggregate by [" + itemList(x.Keys) + "]"
		for _, a := range x.Aggs {
			c := &Call{Fn: &a.Fn.Func, Args: a.Args}
			s += fmt.Sprintf(" [%s] = %s", colList(a.Cols), c)
			if a.Filter != nil {
				s += " if " + a.Filter.String()
			}
		}
		return s
	case *Join:
		s := "Join " + string(x.Kind)
		for _, k := range x.Keys {
			s += fmt.Sprintf(" %s == %s", k.Left, k.Right)
		}
		return s
	case *Union:
		return "Union [" + colList(x.Cols) + "]"
	case *Sort:
		s := "Sort"
		for _, k := range x.Keys {
			s += " " + k.Expr.String()
			if k.Desc {
				s += " desc"
			} else {
				s += " asc"
			}
			if k.NullsFirst {
				s += " nulls first"
			}
		}
		return s
	case *Limit:
		if x.Sample {
			return fmt.Sprintf("Sample %d", x.N)
		}
		return fmt.Sprintf("Limit %d", x.N)
	case *MvExpand:
		return "MvExpand " + mvList(x.Items)
	case *MvApply:
		return "MvApply " + mvList(x.Items)
	case interface{ describe() string }:
		return x.describe()
	case *Outer:
		return "Outer [" + colList(x.Cols) + "]"
	case *Window:
		s := "Window"
		for _, it := range x.Items {
			s += fmt.Sprintf(" %s#%d = %s", it.Col.Name, it.Col.ID, it.Name)
		}
		return s
	}
	return fmt.Sprintf("%T", n)
}

func mvList(items []MvItem) string {
	parts := make([]string, len(items))
	for i, it := range items {
		parts[i] = fmt.Sprintf("%s#%d:%s = %s", it.Col.Name, it.Col.ID, it.Col.Type, it.Expr)
	}
	return strings.Join(parts, ", ")
}
