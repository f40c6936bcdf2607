package plan

import (
	"strconv"

	"github.com/vedette-edr/vedette/kql/types"
)

// Scan reads a table of the catalogue.
type Scan struct {
	Table string // as the query names it
	Base  string // the physical table; "" for External
	// External is set when the rows come from files that the query names by address; who
	// fetches them, and whether at all, is the affair of the source that answers the scan.
	External *External
	Cols     []ScanColumn
	// Pred is a filter that the query did not write, such as a device-group scope; nil
	// when there is none. It reads Cols and Extra.
	Pred Expr
	// Extra are columns that only Pred reads; they are no outputs.
	Extra []ScanColumn
	// Ranges bounds datetime columns by what the query's filters demand of every row;
	// it serves pruning only, the filters themselves stay in the plan.
	Ranges []ColumnRange
}

// External is externaldata: addresses and properties such as format and ignoreFirstRecord.
// Cols are the declared columns in the order of the files' fields, whether read or not.
type External struct {
	Cols      []Column
	Addresses []Address
	Props     map[string]string
	// Given names rows that whoever asks brings along, in the place of Addresses; "" for
	// none. No text of a query says it: see InGiven.
	Given string
}

// Address is where a file of externaldata is, and where in the text the query says so.
type Address struct {
	URI          string
	Line, Column int // from 1
}

// ExternalColumn is the ScanColumn.Source of the i-th declared column of an External.
func ExternalColumn(i int) string { return "f" + strconv.Itoa(i) }

// ScanColumn is a column of a scan and where it comes from.
type ScanColumn struct {
	Column
	Source   string     // column of the physical table
	BaseType types.Type // type in the physical table; cast to Column.Type when different
}

// TimeRange bounds a datetime in ticks, both ends included.
type TimeRange struct{ Min, Max int64 }

// ColumnRange is the TimeRange of a physical column.
type ColumnRange struct {
	Source string
	TimeRange
}

// AllTime is the range that excludes nothing.
func AllTime() TimeRange { return TimeRange{0, types.MaxDatetime} }

// Time returns the range of the physical column source; AllTime when nothing is known.
// A range with Min above Max says that no row can match.
func (s *Scan) Time(source string) TimeRange {
	for _, r := range s.Ranges {
		if r.Source == source {
			return r.TimeRange
		}
	}
	return AllTime()
}

// Read returns a reference to the physical column source for use in Pred, whether or not
// the query reads it. The column has type t in the physical table.
func (s *Scan) Read(source string, t types.Type) *Col {
	for _, c := range append(append([]ScanColumn{}, s.Cols...), s.Extra...) {
		if c.Source == source && c.Type == t {
			return c.Ref()
		}
	}
	// Negative numbers cannot meet the binder's, and a Pred sees this scan only.
	c := ScanColumn{Column: Column{ID: -1 - len(s.Extra), Name: source, Type: t}, Source: source, BaseType: t}
	s.Extra = append(s.Extra, c)
	return c.Ref()
}

// Columns implements Node.
func (s *Scan) Columns() []Column {
	out := make([]Column, len(s.Cols))
	for i, c := range s.Cols {
		out[i] = c.Column
	}
	return out
}

// Inputs implements Node.
func (*Scan) Inputs() []Node { return nil }

// ExternalRow picks the columns that the scan of an External reads, Extra ones included,
// out of a row of all of its columns.
func (s *Scan) ExternalRow(row []types.Value) []types.Value {
	out := make([]types.Value, 0, len(s.Cols)+len(s.Extra))
	for _, cols := range [][]ScanColumn{s.Cols, s.Extra} {
		for _, c := range cols {
			v := types.Null(c.Type)
			for i := range s.External.Cols {
				if c.Source == ExternalColumn(i) {
					v = row[i]
				}
			}
			out = append(out, v)
		}
	}
	return out
}
