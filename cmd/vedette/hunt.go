package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/client"
)

type huntCommand struct {
	Query string `arg:"" help:"KQL text, @FILE to read it from a file, or - for standard input."`
}

func (h *huntCommand) Run(s *session) error {
	query, err := argText(h.Query)
	if err != nil {
		return err
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	start := time.Now()
	r, err := c.Hunt(s.ctx, query)
	if err != nil {
		return err
	}
	header, cells := huntCells(client.HuntTable{Schema: r.Schema, Results: r.Results})
	if err := s.out.rows(r, header, cells); err != nil {
		return err
	}
	if s.out.form != "json" { // where all tables are one value
		for _, t := range r.MoreResults {
			if _, err := fmt.Fprintln(s.out.w); err != nil {
				return err
			}
			more, lines := huntCells(t)
			if err := s.out.rows(t, more, lines); err != nil {
				return err
			}
		}
	}
	if s.out.form == "table" {
		rows := "rows"
		if len(cells) == 1 {
			rows = "row"
		}
		fmt.Fprintf(s.errs, "%d %s in %s\n", len(cells), rows, time.Since(start).Round(time.Millisecond))
		if r.Completeness != nil && !r.Completeness.Complete {
			printGaps(s.errs, r.Completeness)
		}
	}
	return nil
}

// huntCells are the names of a table's columns and its cells in their order.
func huntCells(t client.HuntTable) (header []string, cells [][]string) {
	header = make([]string, len(t.Schema))
	for i, col := range t.Schema {
		header[i] = col.Name
	}
	cells = make([][]string, len(t.Results))
	for i, row := range t.Results {
		cells[i] = make([]string, len(header))
		for j, name := range header {
			cells[i][j] = cell(row[name])
		}
	}
	return header, cells
}

// printGaps says which telemetry the server knows to be missing from the answer.
func printGaps(w io.Writer, c *client.Completeness) {
	fmt.Fprintf(w, "Incomplete: telemetry is missing in %d stretches.\n", len(c.Gaps))
	for i, g := range c.Gaps {
		if i == 5 {
			fmt.Fprintf(w, "  … see VedetteTelemetryGaps for the rest\n")
			return
		}
		lost := "an unknown number of events"
		if g.Lost > 0 {
			lost = fmt.Sprintf("%d events", g.Lost)
		}
		fmt.Fprintf(w, "  %s: %s lost %s (%s), %s to %s\n", g.DeviceID, g.Source, lost, g.Reason, when(&g.From), when(&g.To))
	}
}

func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case float64, bool:
		return strings.TrimSuffix(fmt.Sprintf("%v", v), ".0")
	case json.Number:
		return v.String()
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(raw)
}

// argText returns an argument's text: itself, @FILE's, or standard input's for "-".
func argText(arg string) (string, error) {
	if arg == "-" {
		raw, err := io.ReadAll(os.Stdin)
		return string(raw), err
	}
	if path, ok := strings.CutPrefix(arg, "@"); ok {
		raw, err := os.ReadFile(path)
		return string(raw), err
	}
	return arg, nil
}

type tokenCommand struct{}

func (tokenCommand) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	token, err := c.Token(s.ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.out.w, token)
	return err
}
