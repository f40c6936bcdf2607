package syntax

import (
	"strings"

	"github.com/vedette-edr/vedette/kql/types"
)

// Parse reads a query text. The script holds what was understood even when there are
// errors; the errors are nil when the whole text is sound.
func Parse(text string) (*Script, Errors) {
	if len(text) > MaxText {
		return &Script{}, Errors{NewError(text, Span{MaxText, len(text)}, CodeTooLarge, "query text of %d bytes is above the limit of %d", len(text), MaxText)}
	}
	toks, errs := lex(text)
	p := &parser{text: text, toks: toks, errs: errs}
	s := &Script{Span: Span{0, len(text)}}
	s.Statements = p.statements("")
	if len(p.errs) > maxError {
		p.errs = p.errs[:maxError]
	}
	return s, p.errs
}

type parser struct {
	text  string
	toks  []token
	i     int
	depth int
	errs  Errors
	fatal bool
}

// bail unwinds to the nearest operator or statement, where parsing goes on.
type bail struct{}

func (p *parser) tok() token { return p.toks[p.i] }
func (p *parser) peek(n int) token {
	return p.toks[min(p.i+n, len(p.toks)-1)]
}
func (p *parser) advance() token {
	t := p.toks[p.i]
	if p.i < len(p.toks)-1 {
		p.i++
	}
	return t
}

func (p *parser) fail(sp Span, code, format string, args ...any) {
	if len(p.errs) == 0 || p.errs[len(p.errs)-1].Offset != sp.Off {
		p.errs = append(p.errs, NewError(p.text, sp, code, format, args...))
	}
	if len(p.errs) > maxError {
		p.fatal = true
	}
	panic(bail{})
}

func describe(t token) string {
	switch t.kind {
	case tEOF:
		return "the end of the query"
	case tString:
		return "a string"
	}
	if len(t.text) > 40 {
		return "\"" + t.text[:40] + "…\""
	}
	return "\"" + t.text + "\""
}

func (p *parser) unexpected(want string) {
	t := p.tok()
	p.fail(t.Span, CodeSyntax, "expected %s, found %s", want, describe(t))
}

func (p *parser) accept(punct string) bool {
	if p.tok().is(punct) {
		p.advance()
		return true
	}
	return false
}

func (p *parser) acceptWord(w string) bool {
	if p.tok().word(w) {
		p.advance()
		return true
	}
	return false
}

func (p *parser) expect(punct string) token {
	if !p.tok().is(punct) {
		p.unexpected("\"" + punct + "\"")
	}
	return p.advance()
}

func (p *parser) expectWord(w string) {
	if !p.acceptWord(w) {
		p.unexpected(w)
	}
}

func (p *parser) from(off int) Span {
	end := off
	if p.i > 0 {
		end = max(off, p.toks[p.i-1].End)
	}
	return Span{off, end}
}

func (p *parser) enter() {
	p.depth++
	if p.depth > MaxDepth {
		p.fatal = true
		p.fail(p.tok().Span, CodeTooLarge, "expression is nested deeper than %d", MaxDepth)
	}
}

func (p *parser) leave() { p.depth-- }

// guard runs f; after an error it skips to a token for which stop holds at this
// bracket depth, and reports whether f succeeded.
func (p *parser) guard(f func(), stop func(token) bool) (ok bool) {
	start, depth := p.i, p.depth
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		if _, mine := r.(bail); !mine {
			panic(r)
		}
		p.depth = depth
		if p.fatal {
			p.i = len(p.toks) - 1
			return
		}
		level := 0
		for j := start; j < p.i; j++ {
			level += bracket(p.toks[j])
		}
		for p.tok().kind != tEOF && (level > 0 || !stop(p.tok())) {
			b := bracket(p.tok())
			if level == 0 && b < 0 {
				break
			}
			level += b
			p.advance()
		}
	}()
	f()
	return true
}

func bracket(t token) int {
	if t.kind == tPunct {
		switch t.text {
		case "(", "[", "{":
			return 1
		case ")", "]", "}":
			return -1
		}
	}
	return 0
}

func (p *parser) statements(end string) []Statement {
	var out []Statement
	for p.tok().kind != tEOF && !(end != "" && p.tok().is(end)) {
		if p.accept(";") {
			continue
		}
		before := p.i
		p.guard(func() {
			out = append(out, p.statement())
			if !p.tok().is(";") && p.tok().kind != tEOF && !(end != "" && p.tok().is(end)) {
				p.unexpected("\";\" or \"|\"")
			}
		}, func(t token) bool { return t.is(";") })
		if p.i == before {
			if end != "" {
				return out
			}
			p.advance()
		}
	}
	return out
}

func (p *parser) statement() Statement {
	off := p.tok().Off
	switch {
	case p.tok().word("let"):
		p.advance()
		name := p.name()
		p.expect("=")
		v := p.letValue()
		return &Let{Span: p.from(off), Name: name, Value: v}
	case p.tok().word("set") && p.peek(1).kind == tIdent:
		p.advance()
		s := &Set{Name: p.name()}
		if p.accept("=") {
			s.Value = p.expression()
		}
		s.Span = p.from(off)
		return s
	case p.tok().word("declare") && p.peek(1).word("query_parameters"):
		p.advance()
		p.advance()
		d := &Declare{Params: p.params()}
		d.Span = p.from(off)
		return d
	case p.tok().kind == tIdent && p.peek(1).kind == tIdent && (p.tok().text == "alias" || p.tok().text == "declare" || p.tok().text == "restrict"):
		p.fail(p.tok().Span, CodeSyntax, "the %s statement is not supported", p.tok().text)
	}
	x := p.pipeline()
	return &ExprStmt{Span: p.from(off), X: x}
}

// letValue is an expression, a pipeline, or a function literal.
func (p *parser) letValue() Expr {
	if p.tok().word("view") && p.peek(1).is("(") || p.tok().is("(") && p.isFunction() {
		return p.function()
	}
	return p.pipeline()
}

// isFunction looks past the matching parenthesis for a brace.
func (p *parser) isFunction() bool {
	level := 0
	for j := p.i; j < len(p.toks); j++ {
		level += bracket(p.toks[j])
		if level == 0 {
			return p.toks[min(j+1, len(p.toks)-1)].is("{")
		}
	}
	return false
}

func (p *parser) function() Expr {
	off := p.tok().Off
	p.enter()
	defer p.leave()
	f := &FuncLit{View: p.acceptWord("view")}
	f.Params = p.params()
	p.expect("{")
	f.Body = p.statements("}")
	p.expect("}")
	f.Span = p.from(off)
	return f
}

func (p *parser) params() []*Param {
	p.expect("(")
	var out []*Param
	for !p.tok().is(")") {
		off := p.tok().Off
		prm := &Param{Name: p.name()}
		p.expect(":")
		if p.accept("(") {
			prm.Table = true
			if !p.accept("*") {
				prm.Cols = p.colDecls()
			}
			p.expect(")")
		} else {
			prm.Type = p.typeName()
		}
		if p.accept("=") {
			prm.Default = p.expression()
		}
		prm.Span = p.from(off)
		out = append(out, prm)
		if !p.accept(",") {
			break
		}
	}
	p.expect(")")
	return out
}

func (p *parser) colDecls() []*ColDecl {
	var out []*ColDecl
	for !p.tok().is(")") {
		c := &ColDecl{Name: p.name()}
		p.expect(":")
		c.Type = p.typeName()
		out = append(out, c)
		if !p.accept(",") {
			break
		}
	}
	return out
}

func (p *parser) typeName() types.Type {
	t := p.tok()
	if t.kind == tIdent {
		if typ, ok := types.FromName(t.text); ok {
			p.advance()
			return typ
		}
	}
	p.unexpected("a type")
	return types.Unknown
}

// name reads a plain or bracketed name.
func (p *parser) name() *Ident {
	t := p.tok()
	if t.kind == tIdent {
		p.advance()
		return &Ident{Span: t.Span, Name: t.text}
	}
	if t.is("[") && p.peek(1).kind == tString && p.peek(2).is("]") {
		s := p.peek(1).val.S
		p.advance()
		p.advance()
		p.advance()
		return &Ident{Span: p.from(t.Off), Name: s, Quoted: true}
	}
	p.unexpected("a name")
	return nil
}

// wildcard reads a name in which asterisks may stand, or a plain expression.
func (p *parser) wildcard() Expr {
	j, star := p.i, false
	for ; j < len(p.toks); j++ {
		t := p.toks[j]
		if t.kind != tIdent && !t.is("*") || j > p.i && t.Off != p.toks[j-1].End {
			break
		}
		star = star || t.is("*")
	}
	if star && (j-p.i > 1 || !p.tok().is("*")) {
		sp := Span{p.tok().Off, p.toks[j-1].End}
		p.i = j
		return &Wildcard{Span: sp, Pattern: p.text[sp.Off:sp.End]}
	}
	if p.tok().is("*") {
		return &Star{p.advance().Span}
	}
	return p.named()
}

// pipeline reads an expression and the operators piped behind it.
func (p *parser) pipeline() Expr {
	p.enter()
	defer p.leave()
	off := p.tok().Off
	q := &Query{}
	if op := p.sourceOperator(); op != nil {
		q.Ops = append(q.Ops, op)
	} else {
		if p.tok().word("view") && p.peek(1).is("(") {
			return p.function()
		}
		q.Source = p.expression()
		if !p.tok().is("|") {
			return q.Source
		}
	}
	p.pipes(q)
	q.Span = p.from(off)
	return q
}

func (p *parser) pipes(q *Query) {
	for p.tok().is("|") {
		p.advance()
		p.guard(func() {
			op := p.operator()
			if op != nil {
				q.Ops = append(q.Ops, op)
			}
			switch t := p.tok(); {
			case t.kind == tEOF, t.is("|"), t.is(";"), t.is(")"), t.is("}"), t.is(","):
			default:
				p.unexpected("\"|\" or the end of the operator")
			}
		}, func(t token) bool { return t.is("|") || t.is(";") })
	}
}

// sub reads a parenthesised pipeline without a source, as mv-apply and partition take it.
func (p *parser) sub() *Query {
	p.enter()
	defer p.leave()
	p.expect("(")
	off := p.tok().Off
	q := &Query{}
	if op := p.operator(); op != nil {
		q.Ops = append(q.Ops, op)
	}
	p.pipes(q)
	q.Span = p.from(off)
	p.expect(")")
	return q
}

// opName reads a name made of words joined by hyphens.
func (p *parser) opName() (string, Span) {
	t := p.tok()
	if t.kind != tIdent {
		p.unexpected("an operator")
	}
	p.advance()
	name, end := t.text, t.End
	for p.tok().is("-") && p.tok().Off == end && p.peek(1).kind == tIdent && p.peek(1).Off == end+1 {
		p.advance()
		w := p.advance()
		name += "-" + w.text
		end = w.End
	}
	return name, Span{t.Off, end}
}

func near(name string, of []string) string {
	best, dist := "", len(name)/3+2
	for _, o := range of {
		if strings.EqualFold(o, name) {
			return o
		}
		if d := Distance(name, o); d < dist {
			best, dist = o, d
		}
	}
	return best
}

// Near returns the name of the list that name was probably meant to be, or "".
func Near(name string, of []string) string { return near(name, of) }

// Distance is how many letters to put in, leave out, change or swap with their neighbour
// make one name of another, case folded; it is 64 for names longer than that.
func Distance(a, b string) int {
	a, b = strings.ToLower(a), strings.ToLower(b)
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	var before []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(row[j-1]+cost, row[j]+1, next[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
