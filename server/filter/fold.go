package filter

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Fold maps texts that strings.EqualFold holds equal to one text, and what a database
// cannot hold (NUL, malformed UTF-8) to the replacement character. Texts compare by what
// Fold makes of them, byte by byte; it keeps the number of characters.
func Fold(s string) string {
	plain := true
	for i := 0; i < len(s) && plain; i++ {
		plain = s[i] != 0 && s[i] < utf8.RuneSelf && (s[i] < 'A' || s[i] > 'Z')
	}
	if plain {
		return s
	}
	return strings.Map(foldRune, s)
}

// foldRune returns the least of the runes that differ from r in case alone, but a–z for A–Z.
func foldRune(r rune) rune {
	if r == 0 {
		return utf8.RuneError
	}
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	if 'A' <= least && least <= 'Z' {
		return least + 'a' - 'A'
	}
	return least
}
