// Package kqltest checks engines of KQL: recorded cases with an oracle's answers, and
// scripts of queries with their rows.
//
// An Engine is anything that runs a compiled query on given tables; the same cases and
// scripts run on every engine. The package has no engine of SQL itself, so that importing
// it needs no cgo: see kqltest/duck.
//
// Start at RunCases for recorded cases and RunScript for scripts.
package kqltest

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"regexp"
	"sort"
	"strings"

	"github.com/vedette-edr/vedette/kql"
	"github.com/vedette-edr/vedette/kql/bind"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/types"
)

// Engine runs compiled queries.
type Engine interface {
	// Run answers the rows of q over data, in order.
	Run(ctx context.Context, q *kql.Query, data *Data) ([][]types.Value, error)
}

// Case is a query with the columns, types and rows that an oracle gave.
type Case struct {
	ID          string            `json:"id"`
	KQL         string            `json:"kql"`
	Columns     []string          `json:"columns"`
	ColumnTypes []string          `json:"column_types"`
	Rows        []json.RawMessage `json:"rows"`
}

// LoadCases reads a file of cases.
func LoadCases(path string) ([]Case, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var f struct {
		Cases []Case `json:"cases"`
	}
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f.Cases, nil
}

// Outcome is what one case came to.
type Outcome struct {
	ID     string `json:"id"`
	Class  string `json:"class"` // exact, volatile or geometry
	Passed bool   `json:"passed"`
	Reason string `json:"reason,omitempty"`
}

// volatile matches queries whose answer cannot repeat: only their columns, types and
// number of rows are compared.
var volatile = regexp.MustCompile(`\b(now|ago|rand|new_guid|current_\w+|cursor_\w+|ingestion_time)\s*\(|\|\s*sample\b|make-graph|graph-`)

// ClassOf sorts a case by how it can be compared.
func ClassOf(c Case) string {
	switch {
	case strings.HasPrefix(c.ID, "geo"):
		return "geometry"
	case volatile.MatchString(c.KQL):
		return "volatile"
	}
	return "exact"
}

// RunCases runs all cases and answers their outcomes in order. now is the instant of now().
func RunCases(ctx context.Context, cases []Case, eng Engine, now int64) []Outcome {
	out := make([]Outcome, 0, len(cases))
	for _, c := range cases {
		o := Outcome{ID: c.ID, Class: ClassOf(c)}
		if err := runCase(ctx, c, eng, now, o.Class == "volatile"); err != nil {
			o.Reason = err.Error()
		} else {
			o.Passed = true
		}
		out = append(out, o)
	}
	return out
}

func runCase(ctx context.Context, c Case, eng Engine, now int64, loose bool) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	data := &Data{}
	q, err := kql.Compile(c.KQL, data, bind.Options{Now: now})
	if err != nil {
		return err
	}
	for i, col := range q.Columns {
		if i >= len(c.Columns) || col.Name != c.Columns[i] {
			return fmt.Errorf("columns are %v, want %v", columnNames(q.Columns), c.Columns)
		}
		if got := col.Type.APIName(); got != c.ColumnTypes[i] {
			return fmt.Errorf("column %s is %s, want %s", col.Name, got, c.ColumnTypes[i])
		}
	}
	if len(q.Columns) != len(c.Columns) {
		return fmt.Errorf("columns are %v, want %v", columnNames(q.Columns), c.Columns)
	}
	rows, err := eng.Run(ctx, q, data)
	if err != nil {
		return err
	}
	if len(rows) != len(c.Rows) {
		return fmt.Errorf("%d rows, want %d", len(rows), len(c.Rows))
	}
	if loose {
		return nil
	}
	var got, want []any
	for _, r := range rows {
		got = append(got, plainRow(r))
	}
	for _, raw := range c.Rows {
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			return err
		}
		want = append(want, v)
	}
	if !Ordered(q.Root) {
		sortLines(got)
		sortLines(want)
	}
	for i := range got {
		if !equalJSON(got[i], want[i]) {
			return fmt.Errorf("row %d is %s, want %s", i, short(got[i]), short(want[i]))
		}
	}
	return nil
}

func columnNames(cols []plan.Column) []string {
	var out []string
	for _, c := range cols {
		out = append(out, c.Name)
	}
	return out
}

func short(v any) string {
	b, _ := json.Marshal(v)
	if len(b) > 300 {
		b = append(b[:300], "…"...)
	}
	return string(b)
}

// Plain turns a value into what encoding/json reads from the hunting API's rows.
func Plain(v types.Value) any {
	if v.Null {
		return nil
	}
	switch v.Type {
	case types.Bool:
		return v.I != 0
	case types.Int, types.Long:
		return float64(v.I)
	case types.Real:
		if math.IsNaN(v.F) || math.IsInf(v.F, 0) {
			return types.FormatReal(v.F)
		}
		return v.F
	case types.Datetime:
		return types.FormatDatetimeJSON(v.I)
	case types.Dynamic:
		var d any
		if json.Unmarshal([]byte(types.MarshalDynamic(v.D)), &d) != nil {
			return types.MarshalDynamic(v.D)
		}
		return d
	}
	return v.Text()
}

// Ordered reports whether the rows of a plan have an order that its query asked for.
func Ordered(n plan.Node) bool {
	switch x := n.(type) {
	case *plan.Sort:
		return true
	case *plan.Project, *plan.Filter, *plan.Limit, *plan.Window, *plan.MvExpand:
		return Ordered(x.Inputs()[0])
	}
	return false
}

func sortLines(list []any) {
	sort.SliceStable(list, func(i, j int) bool { return short(roundAll(list[i])) < short(roundAll(list[j])) })
}

// roundAll cuts reals to what two ways of summing agree on, for sorting only.
func roundAll(v any) any {
	switch x := v.(type) {
	case float64:
		return fmt.Sprintf("%.8g", x)
	case []any:
		out := make([]any, len(x))
		for i := range x {
			out[i] = roundAll(x[i])
		}
		return out
	}
	return v
}

// equalJSON compares decoded JSON; reals agree to 12 digits.
func equalJSON(a, b any) bool {
	switch x := a.(type) {
	case float64:
		y, ok := b.(float64)
		return ok && (x == y || math.Abs(x-y) <= 1e-12*math.Max(math.Abs(x), math.Abs(y)))
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for i := range x {
			if !equalJSON(x[i], y[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for k := range x {
			w, ok := y[k]
			if !ok || !equalJSON(x[k], w) {
				return false
			}
		}
		return true
	}
	return a == b
}
