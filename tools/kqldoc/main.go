// Command kqldoc prints the reference pages of the query language as Markdown: the
// functions, from the tables of kql/funcs and kql/plugin, and the conformance page, from
// the reports of `vedette kql run`. `make generate` and `make conformance` write them.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"

	"github.com/vedette-edr/vedette/kql/funcs"
	"github.com/vedette-edr/vedette/kql/kqltest"
	"github.com/vedette-edr/vedette/kql/plugin"
)

func main() {
	if err := run(os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "kqldoc:", err)
		os.Exit(1)
	}
}

func run(w io.Writer, args []string) error {
	switch {
	case len(args) == 1 && args[0] == "functions":
		return functions(w)
	case len(args) == 3 && args[0] == "conformance":
		return conformance(w, args[1], args[2])
	}
	return fmt.Errorf("usage: kqldoc functions | kqldoc conformance EVAL.json SQL.json")
}

type page struct {
	w   io.Writer
	err error
}

func (p *page) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func functions(w io.Writer) error {
	p := &page{w: w}
	p.line("# Functions\n")
	p.line("Made by `make generate` from kql/funcs and kql/plugin; do not edit. Aggregates stand in `summarize`, `make-series` and")
	p.line("`top-nested`; window functions (`prev`, `next`, `row_number`, `row_cumsum`, `row_rank_dense`, `row_rank_min`,")
	p.line("`row_window_session`) in `where`, `extend` and `project`.\n")
	p.line("## Scalar functions\n\n| function | also | |\n|---|---|---|")
	also := map[string][]string{}
	seen := map[string]*funcs.Func{}
	aggs := map[string]*funcs.Agg{}
	for _, n := range funcs.Names() {
		if f, ok := funcs.Lookup(n); ok && !f.Internal {
			if seen[f.Name] = f; n != f.Name {
				also[f.Name] = append(also[f.Name], n)
			}
		}
		if a, _, ok := funcs.LookupAgg(n); ok {
			if aggs[a.Name] = a; n != a.Name {
				also["agg "+a.Name] = append(also["agg "+a.Name], n)
			}
		}
	}
	for _, n := range sorted(seen) {
		if word(n) {
			p.line("| `%s` | %s | %s |", seen[n].Signature(), names(also[n]), cell(seen[n].Doc))
		}
	}
	p.line("\n## Aggregates\n\n| function | also | |\n|---|---|---|")
	for _, n := range sorted(aggs) {
		p.line("| `%s` | %s | %s |", aggs[n].Signature(), names(also["agg "+n]), cell(aggs[n].Doc))
	}
	p.line("\n## Plug-ins of evaluate\n\n| plug-in | |\n|---|---|")
	for _, n := range plugin.Names() {
		f, _ := plugin.Lookup(n)
		var params []string
		for _, q := range f.Params {
			s := q.Name
			if q.Variadic {
				s += "…"
			}
			if q.Optional {
				s = "[" + s + "]"
			}
			params = append(params, s)
		}
		p.line("| `%s(%s)` | %s |", n, strings.Join(params, ", "), cell(f.Doc))
	}
	return p.err
}

// word tells names from operators.
func word(n string) bool {
	return n != "" && n[0] >= 'a' && n[0] <= 'z' && !strings.ContainsAny(n, "~ ")
}

func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }

func names(list []string) string {
	sort.Strings(list)
	return strings.Join(list, ", ")
}

func sorted[V any](m map[string]V) []string {
	var out []string
	for n := range m {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}

// known are the reasons behind failures that the runner's own words do not tell.
var known = []struct{ prefix, why string }{
	{"hash-many", "The way in which Kusto combines the hashes is not published and none of the usual ways gives its answer; ours is another."},
	{"series-periods-detect", "Kusto's score of a period is not published; the first period is the same, the second is one that Kusto leaves out."},
	{"join-time-window-02", "Five million rows before the filter: more than the row interpreter takes; SQL answers it."},
	{"graph", "Graph operators are not supported."},
	{"pattern-statement", "Patterns are a feature of applications, not of hunting; not supported."},
	{"reduce-operator-01", "What a threshold near 1 does in Kusto is not published: the sample shows one pattern nine times."},
	{"geo-polygon-centroid", "Another centroid: ours is that of the spherical surface."},
	{"geo-polygon-area", "The parts of this multipolygon overlap; they are not united."},
	{"geo-polygon-perimeter", "The parts of this multipolygon overlap; they are not united."},
	{"geo-info-from-ip", "Needs a database of places."},
}

func conformance(w io.Writer, evalPath, sqlPath string) error {
	reports := map[string][]kqltest.Outcome{}
	for name, path := range map[string]string{"eval": evalPath, "SQL": sqlPath} {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var list []kqltest.Outcome
		if err := json.Unmarshal(b, &list); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		reports[name] = list
	}
	p := &page{w: w}
	p.line("# Conformance\n")
	p.line("Made by `make conformance`; do not edit. The cases are documentation samples with the answers of Kusto's emulator.")
	p.line("`exact` cases agree in columns, types and rows (and their order, where the query orders); `volatile` ones cannot repeat")
	p.line("(a pattern beside the runner decides) and agree in columns, types and number of rows; `geometry` is `geo_*`.\n")
	p.line("| engine | exact | volatile | geometry |\n|---|---|---|---|")
	for _, e := range []string{"SQL", "eval"} {
		passed, total := map[string]int{}, map[string]int{}
		for _, o := range reports[e] {
			if total[o.Class]++; o.Passed {
				passed[o.Class]++
			}
		}
		row := "| " + e
		for _, c := range []string{"exact", "volatile", "geometry"} {
			row += fmt.Sprintf(" | %d of %d", passed[c], total[c])
		}
		p.line("%s |", row)
	}
	p.line("\n## What differs\n\n| case | class | engine | reason |\n|---|---|---|---|")
	failed := map[string][]string{}
	by := map[string]kqltest.Outcome{}
	for _, e := range []string{"SQL", "eval"} {
		for _, o := range reports[e] {
			if !o.Passed {
				failed[o.ID] = append(failed[o.ID], e)
				by[o.ID] = o
			}
		}
	}
	for _, id := range sorted(failed) {
		o := by[id]
		p.line("| %s | %s | %s | %s |", id, o.Class, strings.Join(failed[id], ", "), cell(reason(o)))
	}
	return p.err
}

func reason(o kqltest.Outcome) string {
	for _, k := range known {
		if strings.HasPrefix(o.ID, k.prefix) {
			return k.why
		}
	}
	line, _, _ := strings.Cut(o.Reason, "\n")
	if r := []rune(line); len(r) > 160 {
		line = string(r[:160]) + "…"
	}
	return line
}
