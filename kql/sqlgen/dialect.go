package sqlgen

import (
	"math"
	"strconv"
	"strings"

	"github.com/vedette-edr/vedette/kql/types"
)

// dialect holds what differs between SQL engines and is not a function's lowering.
type dialect struct {
	inline string // marks a common table expression that is not materialised
	types  func(types.Type) string
}

func duckDB() dialect { return dialect{inline: "NOT MATERIALIZED ", types: DuckDBType} }

// DuckDBType is the column type in which DuckDB holds values of t; adapters write their
// tables and files with it.
func DuckDBType(t types.Type) string {
	switch t {
	case types.Bool:
		return "BOOLEAN"
	case types.Int:
		return "INTEGER"
	case types.Long, types.Datetime, types.Timespan:
		return "BIGINT"
	case types.Real:
		return "DOUBLE"
	}
	return "VARCHAR"
}

// quote is the one function through which texts enter a statement.
func quote(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if !strings.Contains(s, "\x00") {
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	// A statement is a C string to the engine: a zero byte would end it.
	parts := strings.Split(s, "\x00")
	for i := range parts {
		parts[i] = "'" + strings.ReplaceAll(parts[i], "'", "''") + "'"
	}
	return "(" + strings.Join(parts, " || chr(0) || ") + ")"
}

// ident quotes a name that comes from a catalogue.
func ident(s string) string {
	return `"` + strings.ReplaceAll(strings.ReplaceAll(s, "\x00", ""), `"`, `""`) + `"`
}

// literal writes a constant.
func (g *gen) literal(v types.Value) string {
	if v.Null {
		return "CAST(NULL AS " + g.d.types(v.Type) + ")"
	}
	switch v.Type {
	case types.Bool:
		return strconv.FormatBool(v.I != 0)
	case types.Int, types.Long, types.Datetime, types.Timespan:
		return "CAST('" + strconv.FormatInt(v.I, 10) + "' AS " + g.d.types(v.Type) + ")"
	case types.Real:
		s := strconv.FormatFloat(v.F, 'g', -1, 64)
		switch {
		case math.IsNaN(v.F):
			s = "nan"
		case math.IsInf(v.F, 1):
			s = "inf"
		case math.IsInf(v.F, -1):
			s = "-inf"
		}
		return "CAST('" + s + "' AS DOUBLE)"
	case types.Dynamic:
		return quote(types.MarshalDynamic(v.D))
	}
	return quote(v.S)
}
