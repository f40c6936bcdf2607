package worker

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/big"
	"strconv"
	"time"

	"github.com/duckdb/duckdb-go/v2"

	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/server/telemetry/duckdb/frame"
)

// blockSize is the size of a frame of rows at which it is sent.
const blockSize = 128 << 10

// run executes q and sends its rows.
func run(conn *sql.Conn, q *frame.Request, out io.Writer) error {
	ctx := context.Background()
	rows, err := conn.QueryContext(ctx, q.SQL)
	if err != nil {
		return err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	if len(names) != len(q.Columns) {
		return fmt.Errorf("the statement has %d columns, the request %d", len(names), len(q.Columns))
	}
	cells := make([]any, len(names))
	into := make([]any, len(names))
	for i := range cells {
		into[i] = &cells[i]
	}
	var block []byte
	count, sent := 0, int64(0)
	for rows.Next() {
		if count++; count > q.Rows {
			return errRows
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		before := len(block)
		for i, c := range cells {
			if block, err = appendCell(block, c, q.Columns[i]); err != nil {
				return fmt.Errorf("column %s: %w", names[i], err)
			}
		}
		if sent += int64(len(block) - before); sent > q.Bytes {
			return errBytes
		}
		if len(block) >= blockSize {
			if err := frame.Write(out, frame.KindRows, block); err != nil {
				return err
			}
			block = block[:0]
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if len(block) > 0 {
		return frame.Write(out, frame.KindRows, block)
	}
	return nil
}

// appendCell adds what the driver made of a cell in the form that a column of type t takes.
func appendCell(b []byte, v any, t types.Type) ([]byte, error) {
	if v == nil {
		return frame.AppendNull(b), nil
	}
	switch t {
	case types.Bool, types.Int, types.Long, types.Datetime, types.Timespan:
		n, ok := integer(v)
		if !ok {
			return nil, fmt.Errorf("%T does not fit %v", v, t)
		}
		return frame.AppendInt(b, n), nil
	case types.Real:
		f, ok := real64(v)
		if !ok {
			return nil, fmt.Errorf("%T does not fit %v", v, t)
		}
		return frame.AppendReal(b, f), nil
	case types.Dynamic:
		s, err := jsonText(v)
		if err != nil {
			return nil, err
		}
		return frame.AppendText(b, s), nil
	}
	s, ok := text(v)
	if !ok {
		return nil, fmt.Errorf("%T does not fit %v", v, t)
	}
	return frame.AppendText(b, s), nil
}

func integer(v any) (int64, bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case int8:
		return int64(v), true
	case int16:
		return int64(v), true
	case int32:
		return int64(v), true
	case int64:
		return v, true
	case uint8:
		return int64(v), true
	case uint16:
		return int64(v), true
	case uint32:
		return int64(v), true
	case uint64:
		return int64(v), v <= math.MaxInt64
	case *big.Int:
		return v.Int64(), v.IsInt64()
	case float64:
		return int64(v), v == math.Trunc(v) && math.Abs(v) < 1<<62
	case time.Time:
		return types.FromTime(v), true
	}
	return 0, false
}

func real64(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case float32:
		return float64(v), true
	case *big.Int:
		f, _ := new(big.Float).SetInt(v).Float64()
		return f, true
	case duckdb.Decimal:
		return v.Float64(), true
	}
	n, ok := integer(v)
	return float64(n), ok
}

func text(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case []byte:
		return string(v), true
	case duckdb.UUID:
		return v.String(), true
	case duckdb.Decimal:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	case float64:
		return types.FormatReal(v), true
	}
	if n, ok := integer(v); ok {
		return strconv.FormatInt(n, 10), true
	}
	return "", false
}

// jsonText returns JSON as it is, and renders what the driver decoded.
func jsonText(v any) (string, error) {
	if s, ok := v.(string); ok {
		return s, nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("%T does not fit dynamic: %w", v, err)
	}
	return string(b), nil
}
