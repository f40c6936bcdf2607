package archive

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/sheet"
)

// maxCell is how many bytes of one value stand in a cell; spreadsheets take 32,767 characters.
const maxCell = 32_000

// Table is a CSV file (RFC 4180, UTF-8, first line the columns) whose cells are harmless.
type Table struct {
	csv  *csv.Writer
	cols int
	rows int
}

// NewTable begins a table in w.
func NewTable(w io.Writer, columns ...string) (*Table, error) {
	t := &Table{csv: csv.NewWriter(w), cols: len(columns)}
	return t, t.csv.Write(columns)
}

// Row writes one row, with as many values as there are columns.
func (t *Table) Row(values ...string) error {
	if len(values) != t.cols {
		return fmt.Errorf("a row of %d values for %d columns", len(values), t.cols)
	}
	cells := make([]string, len(values))
	for i, v := range values {
		cells[i] = Cell(v)
	}
	t.rows++
	if err := t.csv.Write(cells); err != nil {
		return err
	}
	return t.csv.Error()
}

// Rows is how many rows there are but for the columns.
func (t *Table) Rows() int { return t.rows }

// Flush writes what is held back.
func (t *Table) Flush() error {
	t.csv.Flush()
	return t.csv.Error()
}

// Cell makes a value harmless for those who open a table. A value that has control
// characters, characters that cannot be seen or bytes that are not UTF-8, or that begins
// with a quotation mark, is written as a quoted string of Go, so that a name cannot forge a
// line and can still be read exactly. One that a spreadsheet would take for a formula, or
// that begins with an apostrophe, gets an apostrophe before it. One that is too long ends with how long it was.
func Cell(v string) string {
	size := len(v)
	cut := false
	if size > maxCell {
		v, cut = v[:maxCell], true
		for len(v) > maxCell-utf8.UTFMax && !utf8.ValidString(v[len(v)-1:]) {
			v = v[:len(v)-1] // half a character at the end
		}
	}
	if strings.HasPrefix(v, `"`) || strings.ContainsFunc(v, unseen) || !utf8.ValidString(v) {
		v = strconv.Quote(v)
	}
	if cut {
		v += fmt.Sprintf(" … (%d bytes)", size)
	}
	if strings.HasPrefix(v, "'") {
		return "'" + v
	}
	return sheet.Cell(v)
}

func unseen(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }
