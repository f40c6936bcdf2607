// Package rows renders the rows of a hunt as the published hunting APIs do, which differ in
// what they wrap around them: package api/mde and package api/graph.
package rows

import (
	"bufio"
	"encoding/json"
	"math"
	"strconv"

	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/server/hunt"
)

// Column is a column of a result, its type named as the published APIs do.
type Column struct {
	Name string `json:"Name"`
	Type string `json:"Type"`
}

// Columns returns the columns of a table in their order.
func Columns(list []hunt.Column) []Column {
	out := make([]Column, len(list))
	for i, c := range list {
		out[i] = Column{c.Name, c.Type.APIName()}
		if c.JSON {
			out[i].Type = types.String.APIName()
		}
	}
	return out
}

// Write renders the rows of a table as objects with a comma between them, without the
// brackets around. An error is of reading the rows: what was written lacks some.
func Write(b *bufio.Writer, t hunt.Table) error {
	keys := make([][]byte, len(t.Columns))
	for i, c := range t.Columns {
		keys[i] = append(appendString(nil, c.Name), ':')
	}
	var cell []byte
	first := true
	for row, err := range t.Rows.All() {
		if err != nil {
			return err
		}
		if !first {
			_ = b.WriteByte(',')
		}
		first = false
		_ = b.WriteByte('{')
		for j, v := range row {
			if j > 0 {
				_ = b.WriteByte(',')
			}
			_, _ = b.Write(keys[j])
			cell = appendCell(cell[:0], v, t.Columns[j].JSON)
			if _, err := b.Write(cell); err != nil {
				return nil // the client is gone, nobody misses the rest
			}
		}
		_ = b.WriteByte('}')
	}
	return nil
}

// WriteArrays renders the rows of a table as arrays of their cells, in the order of the
// columns, with a comma between them, without the brackets around. An error is of reading
// the rows: what was written lacks some.
func WriteArrays(b *bufio.Writer, t hunt.Table) error {
	var line []byte
	first := true
	for row, err := range t.Rows.All() {
		if err != nil {
			return err
		}
		line = line[:0]
		if !first {
			line = append(line, ',')
		}
		first = false
		line = append(line, '[')
		for j, v := range row {
			if j > 0 {
				line = append(line, ',')
			}
			line = appendCell(line, v, t.Columns[j].JSON)
		}
		if _, err := b.Write(append(line, ']')); err != nil {
			return nil // the client is gone, nobody misses the rest
		}
	}
	return nil
}

// appendCell renders a value as the published API does: a missing string is "", every
// other missing value null. asText turns a dynamic value into the text of its JSON.
func appendCell(b []byte, v types.Value, asText bool) []byte {
	if asText {
		return appendString(b, v.Text())
	}
	if v.Type == types.String {
		return appendString(b, v.S)
	}
	if v.Null {
		return append(b, "null"...)
	}
	switch v.Type {
	case types.Bool:
		return strconv.AppendBool(b, v.I != 0)
	case types.Int, types.Long:
		return strconv.AppendInt(b, v.I, 10)
	case types.Real:
		// JSON has no word for these; Kusto writes them as strings.
		if math.IsNaN(v.F) || math.IsInf(v.F, 0) {
			return appendString(b, types.FormatReal(v.F))
		}
		n, _ := json.Marshal(v.F)
		return append(b, n...)
	case types.Datetime:
		return appendString(b, types.FormatDatetimeJSON(v.I))
	case types.Dynamic:
		return append(b, types.MarshalDynamic(v.D)...)
	}
	return appendString(b, v.Text())
}

func appendString(b []byte, s string) []byte {
	q, _ := json.Marshal(s)
	return append(b, q...)
}
