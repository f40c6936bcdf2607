// Package syntax turns KQL text into a tree with positions and back.
//
// It is a hand-written lexer and recursive-descent parser with recovery: one text may
// answer several errors, and the tree of what was understood comes with them. It knows
// grammar only; whether a table, column or function exists is the binder's affair.
//
// Invariants: every node's span lies inside the text; printing a tree and parsing that
// again gives the same tree; texts above MaxText bytes and nestings deeper than MaxDepth
// are refused. Start at Parse and ast.go.
package syntax

import (
	"fmt"
	"strings"

	"github.com/vedette-edr/vedette/kql/types"
)

// Limits on hostile texts.
const (
	MaxText  = 1 << 20 // bytes
	MaxDepth = 100     // nested expressions, and operands of one arithmetic chain
	maxError = 20      // errors reported for one text
)

// Span is a half-open range of byte offsets into the text.
type Span struct{ Off, End int }

// Pos returns the span itself; embedding Span makes a struct a Node.
func (s Span) Pos() Span { return s }

// Error is one thing wrong with a query text. Offset and Length count bytes; Line and
// Column count from 1, Column in bytes. Suggestion is a near name or "".
type Error struct {
	Code       string `json:"code"`
	Message    string `json:"message"`
	Offset     int    `json:"offset"`
	Line       int    `json:"line"`
	Column     int    `json:"column"`
	Length     int    `json:"length"`
	Suggestion string `json:"suggestion,omitempty"`
}

// Error prints the place, the code and the message.
func (e *Error) Error() string {
	s := fmt.Sprintf("%d:%d: %s: %s", e.Line, e.Column, e.Code, e.Message)
	if e.Suggestion != "" {
		s += fmt.Sprintf(" (did you mean %q?)", e.Suggestion)
	}
	return s
}

// Errors is a non-empty list of errors in the order of the text.
type Errors []*Error

// Error prints one error per line.
func (e Errors) Error() string {
	var b strings.Builder
	for i, x := range e {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(x.Error())
	}
	return b.String()
}

// Codes of syntax errors; the binder's begin at KQL0100.
const (
	CodeTooLarge = "KQL0001" // text too large or nested too deep
	CodeToken    = "KQL0002" // a character or literal that is no token
	CodeSyntax   = "KQL0003" // unexpected token
	CodeOperator = "KQL0004" // unknown tabular operator
)

// NewError builds an Error for span sp of text.
func NewError(text string, sp Span, code, format string, args ...any) *Error {
	off := min(max(sp.Off, 0), len(text))
	end := min(max(sp.End, off), len(text))
	line := 1 + strings.Count(text[:off], "\n")
	col := off - strings.LastIndexByte(text[:off], '\n')
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Offset: off, Line: line, Column: col, Length: end - off}
}

type kind uint8

const (
	tEOF kind = iota
	tIdent
	tString
	tLiteral // number, timespan, typed literal
	tPunct
)

type token struct {
	kind kind
	Span
	text string      // identifier, punctuation, or the literal's source text
	val  types.Value // of strings and literals
}

func (t token) is(punct string) bool { return t.kind == tPunct && t.text == punct }
func (t token) word(w string) bool   { return t.kind == tIdent && t.text == w }
