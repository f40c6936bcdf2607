package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/vedette-edr/vedette/cmd/vedette/screen"
	"github.com/vedette-edr/vedette/sheet"
)

// printer writes lists and single things in the form the user asked for.
type printer struct {
	w     io.Writer // guarded
	form  string    // table, json or csv
	width int       // columns of the terminal; 0 when the output is none
	tty   io.Writer // the terminal, which obeys what is written into it; nil when the output is none
}

func newPrinter(w io.Writer, form string) printer {
	p := printer{w: guarded(w), form: form}
	if isTerminal(w) {
		p.tty = w
		if width, _, err := term.GetSize(int(w.(*os.File).Fd())); err == nil {
			p.width = width
		}
	}
	return p
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// guarded keeps a terminal from obeying what a device, a user or the server says. What is no
// terminal gets every byte as it is.
func guarded(w io.Writer) io.Writer {
	if isTerminal(w) {
		return screen.Text(w)
	}
	return w
}

// rows prints a list: as JSON the items themselves, else header and cells.
func (p printer) rows(items any, header []string, cells [][]string) error {
	switch p.form {
	case "json":
		return p.json(items)
	case "csv":
		w := csv.NewWriter(p.w)
		if err := w.Write(header); err != nil {
			return err
		}
		for _, row := range cells {
			if err := w.Write(sheet.Row(row)); err != nil {
				return err
			}
		}
		w.Flush()
		return w.Error()
	}
	if len(cells) == 0 {
		_, err := fmt.Fprintln(p.w, "None.")
		return err
	}
	return p.table(header, cells)
}

// one prints a single thing: as JSON itself, else a line for each of its fields.
func (p printer) one(item any, fields [][2]string) error {
	switch p.form {
	case "json":
		return p.json(item)
	case "csv":
		header, row := make([]string, len(fields)), make([]string, len(fields))
		for i, f := range fields {
			header[i], row[i] = f[0], f[1]
		}
		return p.rows(nil, header, [][]string{row})
	}
	widest := 0
	for _, f := range fields {
		widest = max(widest, len(f[0]))
	}
	for _, f := range fields {
		if f[1] == "" {
			continue
		}
		if _, err := fmt.Fprintf(p.w, "%-*s  %s\n", widest, f[0], f[1]); err != nil {
			return err
		}
	}
	return nil
}

func (p printer) json(v any) error {
	enc := json.NewEncoder(p.w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// table aligns columns. On a terminal the widest columns give way until a row fits.
func (p printer) table(header []string, cells [][]string) error {
	width := make([]int, len(header))
	for i, h := range header {
		width[i] = utf8.RuneCountInString(h)
	}
	for _, row := range cells {
		for i := range row {
			row[i] = oneLine(row[i])
			width[i] = max(width[i], utf8.RuneCountInString(row[i]))
		}
	}
	if p.width > 0 {
		shrink(width, p.width-2*(len(width)-1))
	}
	line := func(row []string) error {
		var b strings.Builder
		for i, c := range row {
			c = clip(c, width[i])
			b.WriteString(c)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", width[i]-utf8.RuneCountInString(c)+2))
			}
		}
		_, err := fmt.Fprintln(p.w, strings.TrimRight(b.String(), " "))
		return err
	}
	if err := line(header); err != nil {
		return err
	}
	for _, row := range cells {
		if err := line(row); err != nil {
			return err
		}
	}
	return nil
}

// shrink narrows the widest columns until their sum is at most total, none below 8.
func shrink(width []int, total int) {
	for {
		sum, widest := 0, 0
		for i, w := range width {
			sum += w
			if w > width[widest] {
				widest = i
			}
		}
		if sum <= total || width[widest] <= 8 {
			return
		}
		width[widest] -= min(sum-total, max(1, width[widest]/4))
		width[widest] = max(width[widest], 8)
	}
}

func clip(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}

// oneLine makes text from a device safe to print: no line breaks, no terminal controls.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r < 0x20 || r >= 0x7f && r < 0xa0 || screen.Turns(r):
			return '�'
		}
		return r
	}, s)
}

func when(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
