package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/vedette-edr/vedette/schema"
)

// Judge asks Kusto's parser, in a node process of its own for each question.
type Judge struct {
	Dir string // where judge.js and its node_modules are
}

// Verdict is what Kusto's parser makes of one query.
type Verdict struct {
	Valid   bool        `json:"valid"`
	Columns [][2]string `json:"columns"` // each a name and a Kusto type; of a valid query
	Open    bool        `json:"open"`    // there may be further columns, which depend on rows
	Errors  []struct {
		Message string `json:"message"`
		Start   int    `json:"start"` // in UTF-16 units
	} `json:"errors"`
	Broken string `json:"broken"` // why the parser gave up; the query is neither valid nor invalid
}

// Signature is the number of arguments of a function and the types that each takes; the
// last of Params stands for all that follow.
type Signature struct {
	Min    int        `json:"min"`
	Max    int        `json:"max"`
	Params [][]string `json:"params"`
}

// Function is a scalar function or an aggregate that the parser knows.
type Function struct {
	Kind       string      `json:"kind"` // function or aggregate
	Name       string      `json:"name"`
	Signatures []Signature `json:"signatures"`
}

// Queries judges texts over the hunting tables and functions, in order.
func (j Judge) Queries(ctx context.Context, texts []string) ([]Verdict, error) {
	var in bytes.Buffer
	enc := json.NewEncoder(&in)
	if err := enc.Encode(header()); err != nil {
		return nil, err
	}
	for _, t := range texts {
		if err := enc.Encode(map[string]string{"text": t}); err != nil {
			return nil, err
		}
	}
	out, err := lines[Verdict](ctx, j, &in)
	if err == nil && len(out) != len(texts) {
		err = fmt.Errorf("judge.js answered %d of %d queries", len(out), len(texts))
	}
	return out, err
}

// Signatures lists the functions and aggregates.
func (j Judge) Signatures(ctx context.Context) ([]Function, error) {
	return lines[Function](ctx, j, nil, "signatures")
}

// lines runs judge.js and decodes what it prints.
func lines[T any](ctx context.Context, j Judge, in *bytes.Buffer, args ...string) ([]T, error) {
	cmd := exec.CommandContext(ctx, "node", append([]string{filepath.Join(j.Dir, "judge.js")}, args...)...)
	if in != nil {
		cmd.Stdin = in
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	b, err := cmd.Output()
	if err != nil {
		text := errs.String()
		return nil, fmt.Errorf("node judge.js: %w: %s", err, text[max(0, len(text)-400):])
	}
	var out []T
	s := bufio.NewScanner(bytes.NewReader(b))
	s.Buffer(nil, 16<<20)
	for s.Scan() {
		var v T
		if err := json.Unmarshal(s.Bytes(), &v); err != nil {
			return nil, fmt.Errorf("judge.js: %w", err)
		}
		out = append(out, v)
	}
	return out, s.Err()
}

type table struct {
	Name    string      `json:"name"`
	Columns [][2]string `json:"columns"`
}

type function struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// header declares the hunting tables and functions to the parser. A hidden column that
// another stands for is left out: queries name the other.
func header() any {
	var h struct {
		Tables    []table    `json:"tables"`
		Functions []function `json:"functions"`
	}
	for _, t := range schema.Tables() {
		d := table{Name: t.Name}
		for _, c := range t.Columns {
			if c.Hidden {
				continue
			}
			name := c.Type.String()
			if c.JSON {
				name = "dynamic"
			}
			d.Columns = append(d.Columns, [2]string{c.Name, name})
		}
		h.Tables = append(h.Tables, d)
	}
	for _, f := range schema.Functions() {
		h.Functions = append(h.Functions, function{f.Name, strings.TrimSpace(f.Text)})
	}
	return h
}
