package syntax

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/kql/types"
)

type lexer struct {
	text string
	pos  int
	toks []token
	errs Errors
}

func lex(text string) ([]token, Errors) {
	l := &lexer{text: text, toks: make([]token, 0, len(text)/5+8)}
	for l.skipSpace(); l.pos < len(text) && len(l.errs) < maxError; l.skipSpace() {
		l.next()
	}
	l.toks = append(l.toks, token{kind: tEOF, Span: Span{len(text), len(text)}})
	return l.toks, l.errs
}

func (l *lexer) fail(off int, format string, args ...any) {
	l.errs = append(l.errs, NewError(l.text, Span{off, l.pos}, CodeToken, format, args...))
}

func (l *lexer) emit(k kind, off int, val types.Value) {
	l.toks = append(l.toks, token{kind: k, Span: Span{off, l.pos}, text: l.text[off:l.pos], val: val})
}

func (l *lexer) skipSpace() {
	for l.pos < len(l.text) {
		switch c := l.text[l.pos]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v':
			l.pos++
		case c == '/' && strings.HasPrefix(l.text[l.pos:], "//"):
			if i := strings.IndexByte(l.text[l.pos:], '\n'); i >= 0 {
				l.pos += i
			} else {
				l.pos = len(l.text)
			}
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRuneInString(l.text[l.pos:])
			if !unicode.IsSpace(r) && r != 0xFEFF && r != 0x200B {
				return
			}
			l.pos += n
		default:
			return
		}
	}
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isIdent(c byte) bool {
	return c == '_' || c == '$' || isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

var puncts2 = [...]string{"==", "!=", "<>", "<=", ">=", "=~", "!~", "=>", ".."}

func (l *lexer) next() {
	off, rest := l.pos, l.text[l.pos:]
	c := rest[0]
	switch {
	case c == '"' || c == '\'':
		l.quoted(off)
		return
	case c == '@' && len(rest) > 1 && (rest[1] == '"' || rest[1] == '\''):
		l.pos++
		l.verbatim(off)
		return
	case (c == 'h' || c == 'H') && len(rest) > 2 && (rest[1] == '"' || rest[1] == '\''):
		l.pos++
		l.quoted(off)
		return
	case (c == 'h' || c == 'H') && len(rest) > 2 && rest[1] == '@' && (rest[2] == '"' || rest[2] == '\''):
		l.pos += 2
		l.verbatim(off)
		return
	case strings.HasPrefix(rest, "```") || strings.HasPrefix(rest, "~~~"):
		end := strings.Index(rest[3:], rest[:3])
		if end < 0 {
			l.pos = len(l.text)
			l.fail(off, "string is not closed")
			return
		}
		l.pos += end + 6
		l.emit(tString, off, types.NewString(rest[3:end+3]))
		return
	case isDigit(c):
		l.number(off)
		return
	case isIdent(c):
		for l.pos < len(l.text) && isIdent(l.text[l.pos]) {
			l.pos++
		}
		if !l.typedLiteral(off) {
			l.emit(tIdent, off, types.Value{})
		}
		return
	case c == '!' && len(rest) > 1 && (rest[1] >= 'a' && rest[1] <= 'z'):
		l.pos++
		for l.pos < len(l.text) && isIdent(l.text[l.pos]) {
			l.pos++
		}
		l.emit(tPunct, off, types.Value{})
		return
	}
	for _, p := range puncts2 {
		if strings.HasPrefix(rest, p) {
			l.pos += 2
			l.emit(tPunct, off, types.Value{})
			return
		}
	}
	if strings.IndexByte("()[]{}|,;:.=<>+-*/%~?@", c) >= 0 {
		l.pos++
		l.emit(tPunct, off, types.Value{})
		return
	}
	_, n := utf8.DecodeRuneInString(rest)
	l.pos += n
	l.fail(off, "unexpected character %q", rest[:n])
}

func (l *lexer) quoted(off int) {
	q := l.text[l.pos]
	l.pos++
	var b strings.Builder
	for l.pos < len(l.text) {
		c := l.text[l.pos]
		switch {
		case c == q:
			l.pos++
			l.emit(tString, off, types.NewString(b.String()))
			return
		case c == '\n':
			l.fail(off, "string is not closed on its line")
			return
		case c == '\\' && l.pos+1 < len(l.text):
			l.escape(&b)
		default:
			b.WriteByte(c)
			l.pos++
		}
	}
	l.fail(off, "string is not closed")
}

func (l *lexer) escape(b *strings.Builder) {
	off := l.pos
	c := l.text[l.pos+1]
	l.pos += 2
	hex := func(n int) {
		if l.pos+n <= len(l.text) {
			if u, err := strconv.ParseUint(l.text[l.pos:l.pos+n], 16, 32); err == nil {
				l.pos += n
				b.WriteRune(rune(u))
				return
			}
		}
		l.fail(off, "bad escape in string")
	}
	switch c {
	case 'n':
		b.WriteByte('\n')
	case 't':
		b.WriteByte('\t')
	case 'r':
		b.WriteByte('\r')
	case 'a':
		b.WriteByte(7)
	case 'b':
		b.WriteByte(8)
	case 'f':
		b.WriteByte(12)
	case 'v':
		b.WriteByte(11)
	case '"', '\'', '\\', '/':
		b.WriteByte(c)
	case 'x':
		hex(2)
	case 'u':
		hex(4)
	case 'U':
		hex(8)
	case '0', '1', '2', '3', '4', '5', '6', '7':
		v := rune(c - '0')
		for i := 0; i < 2 && l.pos < len(l.text) && l.text[l.pos] >= '0' && l.text[l.pos] <= '7'; i++ {
			v = v*8 + rune(l.text[l.pos]-'0')
			l.pos++
		}
		b.WriteRune(v)
	default:
		l.fail(off, "unknown escape \\%c in string; write @\"...\" for a text with backslashes", c)
	}
}

func (l *lexer) verbatim(off int) {
	q := l.text[l.pos]
	l.pos++
	var b strings.Builder
	for l.pos < len(l.text) {
		c := l.text[l.pos]
		l.pos++
		if c == q {
			if l.pos < len(l.text) && l.text[l.pos] == q {
				l.pos++
			} else {
				l.emit(tString, off, types.NewString(b.String()))
				return
			}
		}
		b.WriteByte(c)
	}
	l.fail(off, "string is not closed")
}

func (l *lexer) number(off int) {
	rest := l.text[off:]
	if len(rest) > 2 && rest[0] == '0' && (rest[1] == 'x' || rest[1] == 'X') {
		l.pos += 2
		for l.pos < len(l.text) && isIdent(l.text[l.pos]) {
			l.pos++
		}
		v := types.ParseAs(l.text[off:l.pos], types.Long)
		if v.Null {
			l.fail(off, "bad hexadecimal number")
			return
		}
		l.emit(tLiteral, off, v)
		return
	}
	digits := func() {
		for l.pos < len(l.text) && isDigit(l.text[l.pos]) {
			l.pos++
		}
	}
	digits()
	isReal := false
	if l.pos+1 < len(l.text) && l.text[l.pos] == '.' && isDigit(l.text[l.pos+1]) {
		isReal = true
		l.pos++
		digits()
	} else if l.pos < len(l.text) && l.text[l.pos] == '.' && !strings.HasPrefix(l.text[l.pos:], "..") && (l.pos+1 == len(l.text) || !isIdent(l.text[l.pos+1])) {
		isReal = true
		l.pos++
	}
	num := l.text[off:l.pos]
	if l.pos < len(l.text) && (l.text[l.pos] == 'e' || l.text[l.pos] == 'E') {
		i := l.pos + 1
		if i < len(l.text) && (l.text[i] == '+' || l.text[i] == '-') {
			i++
		}
		if i < len(l.text) && isDigit(l.text[i]) {
			isReal = true
			l.pos = i
			digits()
			num = l.text[off:l.pos]
		}
	}
	s := l.pos
	for l.pos < len(l.text) && isIdent(l.text[l.pos]) {
		l.pos++
	}
	if suffix := l.text[s:l.pos]; suffix != "" {
		ticks, ok := types.ParseTimespan(num + suffix)
		if !ok {
			// A name may begin with a digit; the binder will say whether it exists.
			if !isReal {
				l.emit(tIdent, off, types.Value{})
				return
			}
			l.fail(off, "bad number or timespan %q", num+suffix)
			return
		}
		l.emit(tLiteral, off, types.NewTimespan(ticks))
		return
	}
	if isReal {
		v := types.ParseAs(num, types.Real)
		if v.Null {
			l.fail(off, "bad number %q", num)
			return
		}
		l.emit(tLiteral, off, v)
		return
	}
	i, err := strconv.ParseInt(num, 10, 64)
	if err != nil {
		if u, err := strconv.ParseUint(num, 10, 64); err != nil || u != 1<<63 {
			l.fail(off, "number %q does not fit a long", num)
			return
		}
		i = -1 << 63
	}
	l.emit(tLiteral, off, types.NewLong(i))
}

// typedLiteral reads type(text) as one literal, because the text of a date or guid is
// not made of tokens.
func (l *lexer) typedLiteral(off int) bool {
	name := l.text[off:l.pos]
	switch name {
	case "datetime", "date", "timespan", "time", "guid", "int", "int32", "int64", "long", "real", "double", "bool", "boolean", "decimal":
	default:
		return false
	}
	i := l.pos
	for i < len(l.text) && (l.text[i] == ' ' || l.text[i] == '\t') {
		i++
	}
	if i >= len(l.text) || l.text[i] != '(' {
		return false
	}
	end := strings.IndexByte(l.text[i:], ')')
	if end < 0 || end > 200 {
		return false
	}
	raw := strings.TrimSpace(l.text[i+1 : i+end])
	t, _ := types.FromName(name)
	if n := len(raw); n >= 2 && (raw[0] == '"' || raw[0] == '\'') && raw[n-1] == raw[0] {
		raw = raw[1 : n-1]
	}
	l.pos = i + end + 1
	if raw == "null" || raw == "" && t == types.Datetime {
		l.emit(tLiteral, off, types.Null(t))
		return true
	}
	if t == types.Datetime && strings.Contains(raw, ",") {
		raw = dateOfParts(raw)
	}
	v := types.ParseAs(strings.TrimPrefix(strings.ReplaceAll(raw, " - ", "-"), "+"), t)
	if v.Null {
		l.fail(off, "%q is no %s", raw, t)
		return true
	}
	l.emit(tLiteral, off, v)
	return true
}

// dateOfParts writes "2025, 6, 14" or "2025, 6, 14, 13, 5, 0" as a date; other texts stay
// as they are.
func dateOfParts(raw string) string {
	parts := strings.Split(raw, ",")
	if len(parts) < 3 || len(parts) > 6 {
		return raw
	}
	var n [6]int
	for i, p := range parts {
		v, err := strconv.Atoi(strings.TrimSpace(p))
		if err != nil || v < 0 || v > 9999 {
			return raw
		}
		n[i] = v
	}
	return fmt.Sprintf("%04d-%02d-%02dT%02d:%02d:%02d", n[0], n[1], n[2], n[3], n[4], n[5])
}
