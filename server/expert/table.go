package expert

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"math"
	"strconv"

	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/server/hunt"
	"github.com/vedette-edr/vedette/sheet"
)

// writeLines writes the rows of a table as JSON, one object a line. A cell that says nothing
// is left out: a table of every kind of event is mostly empty.
func writeLines(w io.Writer, t *hunt.Table) error {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		q, _ := json.Marshal(c.Name) // of a string: cannot fail
		names[i] = string(q) + ":"
	}
	var line []byte
	for row, err := range t.Rows.All() {
		if err != nil {
			return err
		}
		line = append(line[:0], '{')
		for i, v := range row {
			if v.Null || v.Type == types.String && v.S == "" {
				continue
			}
			if len(line) > 1 {
				line = append(line, ',')
			}
			line = appendJSON(append(line, names[i]...), v)
		}
		if _, err := w.Write(append(line, "}\n"...)); err != nil {
			return err
		}
	}
	return nil
}

func appendJSON(b []byte, v types.Value) []byte {
	switch v.Type {
	case types.Bool:
		return strconv.AppendBool(b, v.I != 0)
	case types.Int, types.Long:
		return strconv.AppendInt(b, v.I, 10)
	case types.Real:
		if !math.IsNaN(v.F) && !math.IsInf(v.F, 0) { // JSON has no word for these
			n, _ := json.Marshal(v.F) // of a finite number: cannot fail
			return append(b, n...)
		}
	case types.Datetime:
		return strconv.AppendQuote(b, types.FormatDatetimeJSON(v.I))
	case types.Dynamic:
		return append(b, types.MarshalDynamic(v.D)...)
	}
	q, _ := json.Marshal(v.Text()) // of a string: cannot fail
	return append(b, q...)
}

// writeCSV writes the rows of a table for a spreadsheet.
func writeCSV(w io.Writer, t *hunt.Table) error {
	out := csv.NewWriter(w)
	cells := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		cells[i] = c.Name
	}
	if err := out.Write(cells); err != nil {
		return err
	}
	for row, err := range t.Rows.All() {
		if err != nil {
			return err
		}
		for i, v := range row {
			switch v.Type {
			case types.Datetime:
				cells[i] = ""
				if !v.Null {
					cells[i] = types.FormatDatetimeJSON(v.I)
				}
			case types.Bool, types.Int, types.Long, types.Real:
				cells[i] = v.Text()
			default:
				cells[i] = sheet.Cell(v.Text())
			}
		}
		if err := out.Write(cells); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}
