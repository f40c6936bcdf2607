package main

import (
	"math/rand/v2"
	"strings"
)

// columns is a table with a column of every type, for Calls.
const columns = "let D = datatable(b:bool, i:int, l:long, r:real, d:decimal, s:string, t:datetime, ts:timespan, g:guid, dy:dynamic)[];\nD\n| "

// typed are expressions of each type; any are those of all.
var (
	typed = map[string][]string{
		"bool": {"b", "true"}, "int": {"i", "int(3)"}, "long": {"l", "5"}, "real": {"r", "1.5"}, "decimal": {"d", "decimal(2)"},
		"string": {"s", `"abc"`}, "datetime": {"t", "datetime(2024-01-02)"}, "timespan": {"ts", "1h"},
		"guid": {"g", "guid(00000000-0000-0000-0000-000000000001)"}, "dynamic": {"dy", "dynamic([1, 2])", `dynamic({"a": 1})`},
	}
	anything = []string{"b", "i", "l", "r", "d", "s", "t", "ts", "g", "dy", "true", "5", "1.5", `"day"`, `"$.a"`, "1h", "dynamic([1])", "typeof(long)"}
)

// notCalled are functions that are no functions of a row: of tables, graphs, or the
// parser's own.
var notCalled = map[string]bool{
	"cluster": true, "database": true, "table": true, "external_table": true, "materialized_view": true, "entity_group": true,
	"stored_query_result": true, "graph": true, "toscalar": true, "materialize": true, "map": true, "inner_nodes": true, "node_id": true,
	"node_degree_in": true, "node_degree_out": true, "all": true, "any": true, "labels": true, "column_names_of": true,
}

// Calls answers n queries for each signature of the functions, the same ones for the same
// seed: calls with as many arguments as it takes, mostly of the types that it takes.
func Calls(fns []Function, n int, seed uint64) []string {
	r := rand.New(rand.NewPCG(seed, 1))
	seen := map[string]bool{}
	var out []string
	for _, f := range fns {
		if notCalled[f.Name] && f.Kind == "function" || strings.HasPrefix(f.Name, "__") {
			continue
		}
		for _, s := range f.Signatures {
			for range n {
				args := make([]string, s.Min+r.IntN(max(min(s.Max, 6)-s.Min, 0)+1))
				for i := range args {
					args[i] = argument(s, i, r)
				}
				op := "project "
				if f.Kind == "aggregate" {
					op = "summarize "
				}
				text := columns + op + f.Name + "(" + strings.Join(args, ", ") + ")"
				if !seen[text] {
					seen[text] = true
					out = append(out, text)
				}
			}
		}
	}
	return out
}

func argument(s Signature, i int, r *rand.Rand) string {
	if len(s.Params) > 0 && r.IntN(10) < 8 {
		if p := s.Params[min(i, len(s.Params)-1)]; len(p) > 0 {
			if list := typed[p[r.IntN(len(p))]]; len(list) > 0 {
				return list[r.IntN(len(list))]
			}
		}
	}
	return anything[r.IntN(len(anything))]
}
