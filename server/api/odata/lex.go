package odata

import (
	"strings"
	"unicode/utf8"
)

// tokenKind says what a token is.
type tokenKind uint8

const (
	end    tokenKind = iota
	word             // a name, an operator, a number, a date: told apart by where it stands
	text             // a quoted string, unquoted
	punct            // one of ( ) [ ] , : /
	broken           // a string without its closing quote
)

type token struct {
	kind tokenKind
	text string
	col  int // of its first character, from 1
	at   int // its offset, in bytes
}

// shown renders a token for an error.
func (t token) shown() string {
	switch t.kind {
	case end:
		return "the end"
	case text:
		return "'" + clip(t.text) + "'"
	}
	return `"` + clip(t.text) + `"`
}

type lexer struct {
	src string
	pos int
	col int
}

func (l *lexer) advance(n int) {
	l.col += utf8.RuneCountInString(l.src[l.pos : l.pos+n])
	l.pos += n
}

const delimiters = " \t\r\n()[],'/"

// next returns the next token. A colon belongs to a word when a digit precedes it, as in
// a time, and stands alone behind a name, as in any(tag:tag eq 'x').
func (l *lexer) next() token {
	for l.pos < len(l.src) && strings.IndexByte(" \t\r\n", l.src[l.pos]) >= 0 {
		l.advance(1)
	}
	at, pos := l.col, l.pos
	if l.pos >= len(l.src) {
		return token{kind: end, col: at, at: pos}
	}
	c := l.src[l.pos]
	switch {
	case c == '\'':
		return l.quoted()
	case strings.IndexByte("()[],/:", c) >= 0:
		l.advance(1)
		return token{kind: punct, text: string(c), col: at, at: pos}
	}
	n := 0
	digit := c >= '0' && c <= '9'
	for n < len(l.src)-l.pos {
		c := l.src[l.pos+n]
		if strings.IndexByte(delimiters, c) >= 0 || c == ':' && !digit {
			break
		}
		n++
	}
	w := l.src[l.pos : l.pos+n]
	l.advance(n)
	return token{kind: word, text: w, col: at, at: pos}
}

// quoted reads a string in single quotes; a doubled quote stands for one.
func (l *lexer) quoted() token {
	at, pos := l.col, l.pos
	var b strings.Builder
	for i := l.pos + 1; i < len(l.src); i++ {
		if l.src[i] != '\'' {
			b.WriteByte(l.src[i])
			continue
		}
		if i+1 < len(l.src) && l.src[i+1] == '\'' {
			b.WriteByte('\'')
			i++
			continue
		}
		l.advance(i + 1 - l.pos)
		return token{kind: text, text: b.String(), col: at, at: pos}
	}
	l.advance(len(l.src) - l.pos)
	return token{kind: broken, text: b.String(), col: at, at: pos}
}
