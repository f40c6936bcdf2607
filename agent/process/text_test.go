package process

import (
	"slices"
	"strings"
	"testing"
)

// TestJoinedArgumentsAreThoseOfCommandLine tries every list of up to three short arguments of
// characters that matter to a shell, to UTF-8 or to the list itself.
func TestJoinedArgumentsAreThoseOfCommandLine(t *testing.T) {
	words := []string{"", "a", "~", "a~", "#", "a#b", "-x=1,2:3@4%5+6^7_8./9", " ", "a b", "'", "$", "é", "\xff", "\n", "*", "\x7f", "aé"}
	lists := [][]string{nil}
	for range 3 {
		for _, l := range slices.Clone(lists) {
			for _, w := range words {
				lists = append(lists, append(slices.Clone(l), w))
			}
		}
	}
	for _, l := range lists {
		for _, end := range []string{"", "\x00"} {
			b := []byte(strings.Join(l, "\x00") + end)
			if got, want := JoinArgs(b), CommandLine(SplitArgs(b)); got != want {
				t.Fatalf("%q: %q, want %q", b, got, want)
			}
		}
	}
}
