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
type Column struct{ Name, Type string }

// Columns returns the columns of a result in their order.
func Columns(h *hunt.Result) []Column {
	out := make([]Column, len(h.Columns))
	for i, c := range h.Columns {
		out[i] = Column{c.Name, c.Type.APIName()}
		if c.JSON {
			out[i].Type = types.String.APIName()
		}
	}
	return out
}

// Write renders the rows of a result as objects with a comma between them, without the
// brackets around.
func Write(b *bufio.Writer, h *hunt.Result) {
	keys := make([][]byte, len(h.Columns))
	for i, c := range h.Columns {
		keys[i] = append(appendString(nil, c.Name), ':')
	}
	var cell []byte
	for i, row := range h.Rows {
		if i > 0 {
			_ = b.WriteByte(',')
		}
		_ = b.WriteByte('{')
		for j, v := range row {
			if j > 0 {
				_ = b.WriteByte(',')
			}
			_, _ = b.Write(keys[j])
			cell = appendCell(cell[:0], v, h.Columns[j].JSON)
			_, _ = b.Write(cell)
		}
		_ = b.WriteByte('}')
	}
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
