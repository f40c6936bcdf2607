// Package sheet keeps spreadsheets from computing texts. A table that is opened in one takes
// a cell that begins like a formula for a formula, which may fetch addresses, send what stands
// beside it and start programs; names on devices are chosen by whoever attacks them.
//
// It holds the one rule for everything that is written as CSV; the portal keeps the same one
// (web/src/ui/export.ts).
package sheet

import (
	"regexp"
	"strings"
)

// A number stays one, whatever it begins with.
var number = regexp.MustCompile(`^[+-]?[0-9]+([.,][0-9]+)?([eE][+-]?[0-9]{1,3})?$`)

// Formula reports whether a spreadsheet may compute a text. They look past spaces, and take
// the wide forms of East Asian keyboards; some take | and % for a beginning as well.
func Formula(s string) bool {
	switch t := strings.TrimLeft(s, " \u00a0\u3000\ufeff\u200b"); {
	case t == "":
		return false
	case strings.ContainsRune("=+-@\t\r\n|%", rune(t[0])), strings.HasPrefix(t, "＝"), strings.HasPrefix(t, "＋"), strings.HasPrefix(t, "－"), strings.HasPrefix(t, "＠"):
		return !number.MatchString(t)
	}
	return false
}

// Cell is a text as a spreadsheet shows it: with an apostrophe before what it would compute.
func Cell(s string) string {
	if Formula(s) {
		return "'" + s
	}
	return s
}

// Row is a row of such cells, in a slice of its own.
func Row(cells []string) []string {
	out := make([]string, len(cells))
	for i, c := range cells {
		out[i] = Cell(c)
	}
	return out
}
