package live

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// table is an answer in rows.
type table struct {
	columns []string // as in JSON
	rows    [][]any  // string, int64, bool, time.Time, or nil
}

func (t *table) add(cells ...any) { t.rows = append(t.rows, cells) }

// write renders t. A name that a device has is hostile: nothing in a cell moves the cursor.
func (t *table) write(w io.Writer, asJSON bool) error {
	if asJSON {
		return t.writeJSON(w)
	}
	width := make([]int, len(t.columns))
	cells := make([][]string, 0, len(t.rows)+1)
	cells = append(cells, t.columns)
	for _, r := range t.rows {
		row := make([]string, len(r))
		for i, c := range r {
			row[i] = visible(cell(c))
		}
		cells = append(cells, row)
	}
	for _, r := range cells {
		for i, c := range r {
			width[i] = min(max(width[i], utf8.RuneCountInString(c)), 60)
		}
	}
	var b bytes.Buffer
	for _, r := range cells {
		for i, c := range r {
			if i == len(r)-1 {
				b.WriteString(c)
				break
			}
			b.WriteString(c + strings.Repeat(" ", max(0, width[i]-utf8.RuneCountInString(c))+2))
		}
		b.WriteByte('\n')
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (t *table) writeJSON(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString("[")
	for i, r := range t.rows {
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString("\n  {")
		for j, c := range r {
			if j > 0 {
				b.WriteString(", ")
			}
			if s, ok := c.(string); ok {
				c = strings.ToValidUTF8(s, "\ufffd")
			}
			v, err := json.Marshal(c)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "%q: %s", t.columns[j], v)
		}
		b.WriteString("}")
	}
	b.WriteString("\n]\n")
	_, err := w.Write(b.Bytes())
	return err
}

func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return "-"
	case string:
		if v == "" {
			return "-"
		}
		return v
	case time.Time:
		if v.IsZero() {
			return "-"
		}
		return v.UTC().Format(time.RFC3339)
	}
	return fmt.Sprint(v)
}

// visible writes control characters, and what is no text, so that a terminal shows them
// and does not obey them.
func visible(s string) string {
	clean := true
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] >= 0x7f {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case unicode.IsControl(r):
			fmt.Fprintf(&b, `\x%02x`, r)
		case unicode.Is(unicode.Cf, r): // such as those that turn the direction of writing
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		s = s[n:]
	}
	return b.String()
}
