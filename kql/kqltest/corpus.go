package kqltest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sort"
	"strings"

	"github.com/vedette-edr/vedette/kql"
	"github.com/vedette-edr/vedette/kql/bind"
	"github.com/vedette-edr/vedette/kql/eval"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/sqlgen"
	"github.com/vedette-edr/vedette/kql/syntax"
	"github.com/vedette-edr/vedette/kql/types"
)

// Checked is how far one query of a corpus came.
type Checked struct {
	Line     int    `json:"line"`
	Parsed   bool   `json:"parsed"`
	Bound    bool   `json:"bound"`
	Compiled bool   `json:"compiled"` // to SQL, or to SQL below the interpreter
	Executed bool   `json:"executed"` // on every engine
	SQL      bool   `json:"sql"`      // SQL says it whole
	Rows     int    `json:"rows,omitempty"`
	Error    string `json:"error,omitempty"`
	// Differs says that the engines answered differently, where the query says enough for
	// them not to: the rows that only one of them has.
	Differs string `json:"differs,omitempty"`
	// Columns are the result's, each a name and a Kusto type.
	Columns [][2]string `json:"columns,omitempty"`
}

// maxLine bounds one line of a corpus.
const maxLine = 16 << 20

// Corpus takes queries as far as they go.
type Corpus struct {
	Catalog bind.Catalog
	Now     int64
	// Rows is how many rows each table that a query reads is given, see Sample; with 0
	// the tables are empty.
	Rows    int
	Engines []Engine // that run each query; they must agree
}

// Run reads {"text": …} lines.
func (c Corpus) Run(ctx context.Context, r io.Reader) ([]Checked, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	var out []Checked
	for n := 1; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var q struct {
			Text string `json:"text"`
		}
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			return out, fmt.Errorf("line %d: %w", n, err)
		}
		one := Checked{Line: n}
		if err := c.check(ctx, &one, q.Text); err != nil {
			one.Error = err.Error()
		}
		out = append(out, one)
	}
	return out, lines.Err()
}

func (c Corpus) check(ctx context.Context, one *Checked, text string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	if _, errs := syntax.Parse(text); len(errs) > 0 {
		return errs
	}
	one.Parsed = true
	q, err := kql.Compile(text, c.Catalog, bind.Options{Now: c.Now})
	if err != nil {
		return err
	}
	one.Bound = true
	for _, col := range q.Columns {
		t := col.Type
		if col.JSONString {
			t = types.Dynamic
		}
		one.Columns = append(one.Columns, [2]string{col.Name, t.String()})
	}
	_, _, err = sqlgen.Generate(q.Root, NoRows{})
	var no *sqlgen.Unsupported
	if err != nil && !errors.As(err, &no) {
		return err
	}
	one.Compiled, one.SQL = true, err == nil
	data := c.data(text, q)
	if c.Rows > 0 {
		// The plug-ins whose columns depend on rows have rows to look at.
		probe := func(n plan.Node) ([][]types.Value, error) {
			return eval.Run(ctx, plan.Optimize(n), data, eval.Limits{Rows: 100_000})
		}
		if q, err = kql.Compile(text, data, bind.Options{Now: c.Now, Probe: probe}); err != nil {
			return fmt.Errorf("with rows: %w", err)
		}
	}
	var first []string
	for i, eng := range c.Engines {
		rows, err := eng.Run(ctx, q, data)
		if err != nil {
			return fmt.Errorf("%T: %w", eng, err)
		}
		one.Rows = len(rows)
		got := lines(rows)
		if i > 0 && !unsettled.MatchString(text) {
			one.Differs = difference(first, got)
		}
		if i == 0 {
			first = got
		}
	}
	one.Executed = true
	return nil
}

// unsettled matches queries whose rows depend on an order that they do not ask for, or on
// chance, or on a join that keeps any one row of a key.
var unsettled = regexp.MustCompile(`(?i)\b(rand|new_guid|take_any|any|anyif|take_anyif|make_list\w*|makelist|arg_max|arg_min|argmax|argmin|make_set\w*|makeset|make_bag\w*|row_\w+|prev|next|FileProfile)\s*\(|\|\s*(take|limit|sample|top|join|lookup|scan|serialize)\b|autocluster|basket|diffpatterns`)

var quoted = regexp.MustCompile(`"([^"\\\n]{1,80})"|'([^'\\\n]{1,80})'`)

// data makes the rows that a query reads, with the words that it looks for among them.
func (c Corpus) data(text string, q *kql.Query) *Data {
	names := map[string]bool{}
	plan.Walk(q.Root, func(n plan.Node) {
		if s, ok := n.(*plan.Scan); ok && s.External == nil {
			names[s.Base] = true
		}
	})
	s := Sample{Catalog: c.Catalog, Now: c.Now, Rows: c.Rows, Seed: 1}
	for _, m := range quoted.FindAllStringSubmatch(text, 200) {
		s.Words = append(s.Words, m[1]+m[2])
	}
	return s.Data(names)
}

func lines(rows [][]types.Value) []string {
	out := make([]string, 0, len(rows))
	for _, r := range rows {
		out = append(out, short(roundAll(any(plainRow(r)))))
	}
	sort.Strings(out)
	return out
}

func difference(a, b []string) string {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	if i == len(a) && i == len(b) {
		return ""
	}
	row := func(l []string) string {
		if i < len(l) {
			return l[i]
		}
		return "no row"
	}
	return strings.Join([]string{row(a), row(b)}, " ≠ ")
}

// NoRows is a store in which every table is empty, for sqlgen and for eval.
type NoRows struct{}

// Source implements sqlgen.Sources.
func (NoRows) Source(*plan.Scan) (sqlgen.Source, error) { return sqlgen.Source{}, nil }

// Open implements eval.RowSource.
func (NoRows) Open(context.Context, *plan.Scan) (eval.Rows, error) { return eval.Slice(nil), nil }

// Tally counts how far the queries came, for the last line of a report.
func Tally(list []Checked) string {
	var parsed, bound, compiled, whole, executed, differ int
	for _, q := range list {
		for _, c := range []struct {
			n  *int
			ok bool
		}{{&parsed, q.Parsed}, {&bound, q.Bound}, {&compiled, q.Compiled}, {&whole, q.SQL}, {&executed, q.Executed}, {&differ, q.Differs != ""}} {
			if c.ok {
				*c.n++
			}
		}
	}
	s := fmt.Sprintf("%d queries: %d parse, %d bind, %d compile (%d to SQL alone), %d execute", len(list), parsed, bound, compiled, whole, executed)
	if differ > 0 {
		s += fmt.Sprintf("; the engines differ on %d", differ)
	}
	return s
}

// RunCorpus reads a file of {"text": …} lines, prints the tally to w, and writes how far
// each query came to the file report, one JSON object a line, when that is not "".
func RunCorpus(ctx context.Context, w io.Writer, c Corpus, r io.Reader, report io.Writer) error {
	list, err := c.Run(ctx, r)
	if err != nil {
		return err
	}
	if report != nil {
		enc := json.NewEncoder(report)
		for _, q := range list {
			if err := enc.Encode(q); err != nil {
				return err
			}
		}
	}
	_, err = fmt.Fprintln(w, Tally(list)+c.where())
	return err
}

func (c Corpus) where() string {
	if c.Rows == 0 {
		return " on an empty store"
	}
	return fmt.Sprintf(" on %d rows a table", c.Rows)
}
