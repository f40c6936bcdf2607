package kqltest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/vedette-edr/vedette/kql"
	"github.com/vedette-edr/vedette/kql/bind"
	"github.com/vedette-edr/vedette/kql/types"
)

// T is what scripts use of a *testing.T. Naming it would link package testing, with its
// flags, into the programs that run recorded cases.
type T[S any] interface {
	Helper()
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Run(name string, f func(S)) bool
}

// RunScript runs a script on an engine, one subtest per query. data may bring tables;
// the script adds its own. A script is a list of blocks, each ended by an empty line:
//
//	# a comment
//	table T (a:long, s:string)
//	1, "x"
//	2, ""
//
//	query
//	T
//	| where a > 1
//	----
//	expect ordered
//	a:long, s:string
//	[2, ""]
//
// Rows are JSON as the hunting API writes values. Without "expect ordered" their order
// does not count. "expect error KQL0101 1:11" takes the place of columns and rows. The
// text of a query may hold empty lines.
func RunScript[S T[S]](t S, script string, eng Engine, data *Data, now int64) {
	t.Helper()
	lines := strings.Split(script, "\n")
	for i := 0; i < len(lines); i++ {
		line := strings.TrimSpace(lines[i])
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "table "):
			head := strings.TrimPrefix(line, "table ")
			var rows []string
			for i++; i < len(lines) && strings.TrimSpace(lines[i]) != ""; i++ {
				rows = append(rows, lines[i])
			}
			if err := addTable(data, head, rows); err != nil {
				t.Fatalf("line %d: %v", i, err)
			}
		case line == "query":
			at := i + 1
			var text, want []string
			for i++; i < len(lines) && lines[i] != "----"; i++ {
				text = append(text, lines[i])
			}
			for i++; i < len(lines) && strings.TrimSpace(lines[i]) != ""; i++ {
				want = append(want, lines[i])
			}
			t.Run(fmt.Sprintf("line_%d", at), func(t S) {
				query(t, strings.Join(text, "\n"), want, eng, data, now)
			})
		default:
			t.Fatalf("line %d: %q begins no block", i+1, line)
		}
	}
}

// Queries answers the queries of a script, each with the tables before it written out, so
// that it stands alone. Those that are expected to fail are left out.
func Queries(script string) []string {
	var out []string
	tables := ""
	lines := strings.Split(script, "\n")
	for i := 0; i < len(lines); i++ {
		line := strings.TrimSpace(lines[i])
		switch {
		case strings.HasPrefix(line, "table "):
			name, cols, _ := strings.Cut(strings.TrimPrefix(line, "table "), " ")
			var rows []string
			for i++; i < len(lines) && strings.TrimSpace(lines[i]) != ""; i++ {
				rows = append(rows, lines[i])
			}
			tables += "let " + name + " = datatable" + cols + "[" + strings.Join(rows, ", ") + "];\n"
		case line == "query":
			var text []string
			for i++; i < len(lines) && lines[i] != "----"; i++ {
				text = append(text, lines[i])
			}
			if i+1 < len(lines) && strings.HasPrefix(lines[i+1], "expect error") {
				continue
			}
			out = append(out, tables+strings.Join(text, "\n"))
		}
	}
	return out
}

// addTable reads the rows as the values of a datatable.
func addTable(d *Data, head string, rows []string) error {
	name, cols, ok := strings.Cut(head, " ")
	if !ok {
		return fmt.Errorf("table needs (columns)")
	}
	q, err := kql.Compile("datatable"+cols+"["+strings.Join(rows, ",\n")+"]", &Data{}, kql.Options{})
	if err != nil {
		return err
	}
	vals, err := Eval{}.Run(context.Background(), q, &Data{})
	if err != nil {
		return err
	}
	var list []bind.Column
	for _, c := range q.Columns {
		list = append(list, bind.Column{Name: c.Name, Type: c.Type})
	}
	d.Add(name, list, vals)
	return nil
}

func query[S T[S]](t S, text string, want []string, eng Engine, data *Data, now int64) {
	t.Helper()
	ordered := false
	if len(want) > 0 && want[0] == "expect ordered" {
		ordered, want = true, want[1:]
	}
	q, err := kql.Compile(text, data, kql.Options{Now: now})
	if len(want) > 0 && strings.HasPrefix(want[0], "expect error ") {
		var errs kql.Errors
		if !errors.As(err, &errs) {
			t.Fatalf("the query compiles, want %s\n%s", want[0], text)
		}
		f := strings.Fields(want[0])
		got := fmt.Sprintf("%s %d:%d", errs[0].Code, errs[0].Line, errs[0].Column)
		if w := strings.Join(f[2:], " "); !strings.HasPrefix(got, w) {
			t.Errorf("error is %s (%v), want %s", got, errs[0], w)
		}
		return
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	var head []string
	for _, c := range q.Columns {
		head = append(head, c.Name+":"+c.Type.String())
	}
	if len(want) == 0 {
		t.Fatal("the script says no columns")
	}
	if got := strings.Join(head, ", "); got != want[0] {
		t.Errorf("columns are %s, want %s", got, want[0])
	}
	rows, err := eng.Run(context.Background(), q, data)
	if err != nil {
		t.Fatal(err)
	}
	var got, exp []any
	for _, r := range rows {
		got = append(got, plainRow(r))
	}
	for _, l := range want[1:] {
		var v any
		if err := json.Unmarshal([]byte(l), &v); err != nil {
			t.Fatalf("row %s: %v", l, err)
		}
		exp = append(exp, v)
	}
	if !ordered {
		sortLines(got)
		sortLines(exp)
	}
	same := len(got) == len(exp)
	for i := 0; same && i < len(got); i++ {
		same = equalJSON(got[i], exp[i])
	}
	if !same {
		t.Errorf("rows are\n%s\nwant\n%s\n%s", dump(got), dump(exp), text)
	}
}

func plainRow(r []types.Value) []any {
	out := make([]any, len(r))
	for i, v := range r {
		out[i] = Plain(v)
	}
	return out
}

func dump(list []any) string {
	var b strings.Builder
	for _, v := range list {
		b.WriteString("  " + short(v) + "\n")
	}
	return b.String()
}
