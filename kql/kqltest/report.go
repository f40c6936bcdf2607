package kqltest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/vedette-edr/vedette/kql"
	"github.com/vedette-edr/vedette/kql/bind"
	"github.com/vedette-edr/vedette/kql/eval"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/sqlgen"
	"github.com/vedette-edr/vedette/kql/syntax"
	"github.com/vedette-edr/vedette/kql/types"
)

// RunFile runs a file of cases, prints each failure and "N passed, M failed" to w, and
// writes the outcomes to the file report as JSON when that is not "".
func RunFile(ctx context.Context, w io.Writer, path, report string, eng Engine, now int64) (failed int, err error) {
	cases, err := LoadCases(path)
	if err != nil {
		return 0, err
	}
	out := RunCases(ctx, cases, eng, now)
	for _, o := range out {
		if !o.Passed {
			failed++
			if _, err := fmt.Fprintf(w, "%s (%s): %s\n", o.ID, o.Class, o.Reason); err != nil {
				return failed, err
			}
		}
	}
	if _, err := fmt.Fprintf(w, "%d passed, %d failed\n", len(out)-failed, failed); err != nil {
		return failed, err
	}
	return failed, WriteReport(report, out)
}

// WriteReport writes v to a file as indented JSON; to none when path is "".
func WriteReport(path string, v any) error {
	if path == "" {
		return nil
	}
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

// Checked is how far one query of a corpus came.
type Checked struct {
	Line     int    `json:"line"`
	Parsed   bool   `json:"parsed"`
	Bound    bool   `json:"bound"`
	Compiled bool   `json:"compiled"` // to SQL, or to SQL below the interpreter
	Executed bool   `json:"executed"` // on tables without rows
	SQL      bool   `json:"sql"`      // SQL says it whole
	Error    string `json:"error,omitempty"`
	// Columns are the result's, each a name and a Kusto type.
	Columns [][2]string `json:"columns,omitempty"`
}

// maxLine bounds one line of a corpus.
const maxLine = 16 << 20

// Corpus reads {"text": …} lines and takes each query as far as it goes.
func Corpus(ctx context.Context, r io.Reader, cat bind.Catalog, now int64) ([]Checked, error) {
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
		c := Checked{Line: n}
		if err := check(ctx, &c, q.Text, cat, now); err != nil {
			c.Error = err.Error()
		}
		out = append(out, c)
	}
	return out, lines.Err()
}

func check(ctx context.Context, c *Checked, text string, cat bind.Catalog, now int64) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	if _, errs := syntax.Parse(text); len(errs) > 0 {
		return errs
	}
	c.Parsed = true
	q, err := kql.Compile(text, cat, bind.Options{Now: now})
	if err != nil {
		return err
	}
	c.Bound = true
	for _, col := range q.Columns {
		t := col.Type
		if col.JSONString {
			t = types.Dynamic
		}
		c.Columns = append(c.Columns, [2]string{col.Name, t.String()})
	}
	_, _, err = sqlgen.Generate(q.Root, NoRows{})
	var no *sqlgen.Unsupported
	if err != nil && !errors.As(err, &no) {
		return err
	}
	c.Compiled, c.SQL = true, err == nil
	if _, err := eval.Run(ctx, q.Root, NoRows{}, eval.Limits{}); err != nil {
		return err
	}
	c.Executed = true
	return nil
}

// NoRows is a store in which every table is empty, for sqlgen and for eval.
type NoRows struct{}

// Source implements sqlgen.Sources.
func (NoRows) Source(*plan.Scan) (sqlgen.Source, error) { return sqlgen.Source{}, nil }

// Open implements eval.RowSource.
func (NoRows) Open(context.Context, *plan.Scan) (eval.Rows, error) { return eval.Slice(nil), nil }
