package duckdb

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/telemetry"
	"github.com/vedette-edr/vedette/server/telemetry/duckdb/parquet"
)

// Columns of every table that the store itself fills.
const (
	colTime   = "Timestamp"
	colIngest = "IngestionTime"
	colRaw    = "RawTimestamp"
)

// tableShape is a table with what is needed to write its rows.
type tableShape struct {
	name    string
	columns []columnShape
	index   map[string]int
	names   string // of the columns, as segments tell them
}

type columnShape struct {
	telemetry.Column
	physical parquet.Type
	read     event.Reader // nil for a column that no event fills
}

// plainName is what table and column names are made of: they become paths and SQL.
var plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)

// physicalTypes says how each Kusto type is stored. Datetimes and timespans are ticks,
// dynamics JSON text.
var physicalTypes = map[types.Type]parquet.Type{
	types.Bool: parquet.Bool, types.Int: parquet.Int32, types.Long: parquet.Int64, types.Real: parquet.Double,
	types.Decimal: parquet.Text, types.String: parquet.Text, types.Datetime: parquet.Int64,
	types.Timespan: parquet.Int64, types.GUID: parquet.Text, types.Dynamic: parquet.Text,
}

func shapes(tables []telemetry.Table) (map[string]*tableShape, error) {
	all := map[string]*tableShape{}
	for _, t := range tables {
		if !plainName.MatchString(t.Name) || all[t.Name] != nil {
			return nil, fmt.Errorf("table %q: bad or repeated name", t.Name)
		}
		s := &tableShape{name: t.Name, index: map[string]int{}}
		columns := t.Columns
		for _, name := range []string{colTime, colIngest} {
			if !hasColumn(columns, name) {
				columns = append(columns[:len(columns):len(columns)], telemetry.Column{Name: name, Type: types.Datetime})
			}
		}
		for _, c := range columns {
			physical, ok := physicalTypes[c.Type]
			if _, twice := s.index[c.Name]; !ok || twice || !plainName.MatchString(c.Name) {
				return nil, fmt.Errorf("table %s: column %q of type %v: bad or repeated", t.Name, c.Name, c.Type)
			}
			s.index[c.Name] = len(s.columns)
			read, _ := event.Column(c.Name)
			s.columns = append(s.columns, columnShape{c, physical, read})
			s.names = joinColumns(s.names, c.Name)
		}
		all[t.Name] = s
	}
	return all, nil
}

// joinColumns returns the columns of a, followed by those of b that a lacks.
func joinColumns(a, b string) string {
	if a == b {
		return a
	}
	names := strings.Fields(a)
	for _, name := range strings.Fields(b) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

func hasColumn(columns []telemetry.Column, name string) bool {
	for _, c := range columns {
		if c.Name == name {
			return true
		}
	}
	return false
}

// check reports what is wrong with a row.
func (t *tableShape) check(row telemetry.Row) error {
	for name, v := range row {
		i, ok := t.index[name]
		if !ok {
			return fmt.Errorf("table %s has no column %q", t.name, name)
		}
		if !fits(v.Kind, t.columns[i].Type) {
			return fmt.Errorf("column %s is of type %v, the value is %q", name, t.columns[i].Type, v)
		}
	}
	for _, name := range []string{colTime, colIngest} {
		if row[name].Kind != event.Time {
			return fmt.Errorf("%s is missing", name)
		}
	}
	return nil
}

func fits(k event.Kind, t types.Type) bool {
	switch k {
	case event.Null:
		return true
	case event.String:
		return t == types.String || t == types.Dynamic || t == types.GUID || t == types.Decimal
	case event.Int:
		return t == types.Int || t == types.Long || t == types.Real || t == types.Timespan
	case event.Bool:
		return t == types.Bool
	case event.Time:
		return t == types.Datetime
	}
	return false
}

// newColumns returns empty columns for t.
func (t *tableShape) newColumns() []*parquet.Column {
	columns := make([]*parquet.Column, len(t.columns))
	for i, c := range t.columns {
		columns[i] = parquet.NewColumn(c.Name, c.physical)
	}
	return columns
}

// put adds a cell. What does not fit the column is null: columns and readers agree, but
// only AppendRows was checked.
func (c *columnShape) put(to *parquet.Column, v event.Value) {
	switch {
	case v.Kind == event.String && c.physical == parquet.Text:
		s := v.S
		if s == "" && c.Type != types.String {
			to.Null()
			return
		}
		if !utf8.ValidString(s) {
			s = strings.ToValidUTF8(s, "\uFFFD")
		}
		to.Str(s)
	case v.Kind == event.Null && c.Type == types.String:
		to.Str("")
	case v.Kind == event.Bool && c.physical == parquet.Bool:
		to.Flag(v.N != 0)
	case v.Kind == event.Int && c.physical == parquet.Double:
		to.Float(float64(v.N))
	case v.Kind == event.Int && c.Type == types.Int && v.N != int64(int32(v.N)):
		to.Null()
	case (v.Kind == event.Int || v.Kind == event.Time) && (c.physical == parquet.Int64 || c.physical == parquet.Int32):
		to.Int(v.N)
	case c.Type == types.String:
		to.Str("")
	default:
		to.Null()
	}
}
