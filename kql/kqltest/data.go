package kqltest

import (
	"context"
	"sort"

	"github.com/vedette-edr/vedette/kql"
	"github.com/vedette-edr/vedette/kql/bind"
	"github.com/vedette-edr/vedette/kql/eval"
	"github.com/vedette-edr/vedette/kql/external"
	"github.com/vedette-edr/vedette/kql/funcs"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/types"
)

// Data is a catalogue with rows in memory. The zero value has no tables.
type Data struct {
	Tables map[string]*bind.Table
	// Rows holds, by physical table, the rows of Physical's columns.
	Rows     map[string][][]types.Value
	Physical map[string][]bind.Column
	// Functions answers the texts of the catalogue's functions; nil means that it has none.
	Functions func(name string) (string, bool)
}

// Function implements bind.Library.
func (d *Data) Function(name string) (string, bool) {
	if d.Functions == nil {
		return "", false
	}
	return d.Functions(name)
}

// Table implements bind.Catalog.
func (d *Data) Table(name string) (*bind.Table, bool) { t, ok := d.Tables[name]; return t, ok }

// TableNames implements bind.Catalog.
func (d *Data) TableNames() []string {
	var out []string
	for n := range d.Tables {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}

// Add adds a physical table and a table of the same name and columns.
func (d *Data) Add(name string, cols []bind.Column, rows [][]types.Value) {
	if d.Tables == nil {
		d.Tables, d.Rows, d.Physical = map[string]*bind.Table{}, map[string][][]types.Value{}, map[string][]bind.Column{}
	}
	d.Tables[name] = &bind.Table{Name: name, Columns: cols}
	d.Physical[name] = cols
	d.Rows[name] = rows
}

// Eval is the Engine of package eval.
type Eval struct {
	Places funcs.Places  // for geo_info_from_ip_address; nil for none
	Files  external.Open // of externaldata; nil for files without rows
}

// Run implements Engine.
func (e Eval) Run(ctx context.Context, q *kql.Query, d *Data) ([][]types.Value, error) {
	return eval.Run(ctx, q.Root, files{d, e.Files}, eval.Limits{Places: e.Places})
}

// files answers externaldata, and tables from Data.
type files struct {
	*Data
	open external.Open
}

// Open implements eval.RowSource.
func (f files) Open(ctx context.Context, s *plan.Scan) (eval.Rows, error) {
	if s.External == nil {
		return f.Data.Open(ctx, s)
	}
	if f.open == nil {
		return eval.Slice(nil), nil
	}
	var out [][]types.Value
	err := external.Read(ctx, s.External, f.open, external.Limits{}, func(row []types.Value) error {
		out = append(out, s.ExternalRow(row))
		return nil
	})
	return eval.Slice(out), err
}

// Open implements eval.RowSource.
func (d *Data) Open(_ context.Context, s *plan.Scan) (eval.Rows, error) {
	cols := append(append([]plan.ScanColumn{}, s.Cols...), s.Extra...)
	at := make([]int, len(cols))
	for i, c := range cols {
		at[i] = -1
		for j, p := range d.Physical[s.Base] {
			if p.Name == c.Source {
				at[i] = j
			}
		}
	}
	return &memRows{rows: d.Rows[s.Base], cols: cols, at: at}, nil
}

type memRows struct {
	rows [][]types.Value
	cols []plan.ScanColumn
	at   []int
	i    int
}

func (m *memRows) Next() ([]types.Value, error) {
	if m.i >= len(m.rows) {
		return nil, nil
	}
	row := m.rows[m.i]
	m.i++
	out := make([]types.Value, len(m.cols))
	for i, c := range m.cols {
		if m.at[i] < 0 {
			out[i] = types.Null(c.Type)
		} else {
			out[i] = types.Convert(row[m.at[i]], c.Type)
		}
	}
	return out, nil
}
