package frame

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/vedette-edr/vedette/kql/types"
)

// The tags of a cell.
const (
	tagNull = iota
	tagInt  // varint: bool, int, long, datetime, timespan
	tagReal // eight bytes
	tagText // length and bytes: string, guid, decimal, and dynamic as JSON
)

// AppendNull adds a cell without a value to a payload of rows, which the other Append
// functions add values to. A row is its cells, in order of the request's columns.
func AppendNull(b []byte) []byte { return append(b, tagNull) }

// AppendInt adds an integer.
func AppendInt(b []byte, v int64) []byte { return binary.AppendVarint(append(b, tagInt), v) }

// AppendReal adds a number.
func AppendReal(b []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(append(b, tagReal), math.Float64bits(v))
}

// AppendText adds a text.
func AppendText(b []byte, v string) []byte {
	return append(binary.AppendUvarint(append(b, tagText), uint64(len(v))), v...)
}

// ReadRow decodes one row of the given column types into row, and returns what follows.
func ReadRow(b []byte, columns []types.Type, row []types.Value) ([]byte, error) {
	for i, t := range columns {
		if len(b) == 0 {
			return nil, fmt.Errorf("%w: row ends at column %d", ErrMalformed, i)
		}
		tag := b[0]
		b = b[1:]
		v := types.Value{Type: t}
		switch tag {
		case tagNull:
			v = types.Null(t)
		case tagInt:
			n, used := binary.Varint(b)
			if used <= 0 || !integral(t) {
				return nil, fmt.Errorf("%w: integer in column %d of type %v", ErrMalformed, i, t)
			}
			v.I, b = n, b[used:]
		case tagReal:
			if len(b) < 8 || t != types.Real {
				return nil, fmt.Errorf("%w: real in column %d of type %v", ErrMalformed, i, t)
			}
			v.F, b = math.Float64frombits(binary.LittleEndian.Uint64(b)), b[8:]
		case tagText:
			n, used := binary.Uvarint(b)
			if used <= 0 || n > uint64(len(b)-used) || integral(t) || t == types.Real {
				return nil, fmt.Errorf("%w: text in column %d of type %v", ErrMalformed, i, t)
			}
			s := string(b[used : used+int(n)])
			b = b[used+int(n):]
			if t == types.Dynamic {
				v = types.ParseDynamic(s)
			} else {
				v.S = s
			}
		default:
			return nil, fmt.Errorf("%w: tag %d in column %d", ErrMalformed, tag, i)
		}
		row[i] = v
	}
	return b, nil
}

func integral(t types.Type) bool {
	switch t {
	case types.Bool, types.Int, types.Long, types.Datetime, types.Timespan:
		return true
	}
	return false
}
