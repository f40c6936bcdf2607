package process

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// CommandLine joins arguments so that a POSIX shell with $'…' would read them back.
func CommandLine(args []string) string {
	n := len(args)
	for _, a := range args {
		n += len(a)
	}
	var b strings.Builder
	b.Grow(n)
	for i, a := range args {
		if i > 0 {
			b.WriteByte(' ')
		}
		quote(&b, a)
	}
	return b.String()
}

// JoinArgs is CommandLine of the kernel's form of an argument list: each ended by a NUL. Most
// need no quotes, and are copied at once.
func JoinArgs(b []byte) string {
	args := bytes.TrimSuffix(b, []byte{0})
	word := false // the argument at hand has a character, so that it is not ''
	for _, c := range args {
		switch {
		case c == 0 && word:
			word = false
		case c < utf8.RuneSelf && bare(rune(c)) && (word || c != '~' && c != '#'):
			word = true
		default:
			return CommandLine(SplitArgs(b))
		}
	}
	if !word {
		return CommandLine(SplitArgs(b))
	}
	var s strings.Builder
	s.Grow(len(args))
	for _, c := range args {
		if c == 0 {
			c = ' '
		}
		s.WriteByte(c)
	}
	return s.String()
}

func quote(b *strings.Builder, s string) {
	plain, printable := s != "", true
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !validAt(s, i), r < ' ', r == 0x7f:
			printable = false
		case !bare(r):
			plain = false
		}
		if r == '~' && i == 0 || r == '#' && i == 0 {
			plain = false
		}
	}
	switch {
	case !printable:
		b.WriteString("$'")
		escape(b, s)
		b.WriteByte('\'')
	case plain:
		b.WriteString(s)
	case !strings.Contains(s, "'"):
		b.WriteByte('\'')
		b.WriteString(s)
		b.WriteByte('\'')
	default:
		b.WriteByte('\'')
		b.WriteString(strings.ReplaceAll(s, "'", `'\''`))
		b.WriteByte('\'')
	}
}

// bare reports whether a shell takes r for itself.
func bare(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r >= utf8.RuneSelf:
		return true
	}
	switch r {
	case '_', '-', '.', '/', ',', ':', '=', '@', '%', '+', '~', '#', '^':
		return true
	}
	return false
}

func validAt(s string, i int) bool {
	_, size := utf8.DecodeRuneInString(s[i:])
	return size > 1
}

func escape(b *strings.Builder, s string) {
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !validAt(s, i):
			fmt.Fprintf(b, `\x%02x`, s[i])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case r < ' ', r == 0x7f:
			fmt.Fprintf(b, `\x%02x`, r)
		case r == '\'', r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
}

// Text makes a name that came from the kernel fit for a column: bytes that are no UTF-8
// become \xNN. Paths and arguments on Linux are bytes, and chosen by anybody.
func Text(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		if r == utf8.RuneError && !validAt(s, i) {
			fmt.Fprintf(&b, `\x%02x`, s[i])
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
