package syntax

import (
	"strings"

	"github.com/vedette-edr/vedette/kql/types"
)

// expression reads one expression, or-level downwards.
func (p *parser) expression() Expr {
	p.enter()
	defer p.leave()
	return p.logic("or", func() Expr { return p.logic("and", p.comparison) })
}

func (p *parser) logic(word string, sub func() Expr) Expr {
	x := sub()
	if !p.tok().word(word) {
		return x
	}
	l := &Logic{Op: word, Args: []Expr{x}}
	for p.acceptWord(word) {
		l.Args = append(l.Args, sub())
	}
	l.Span = Span{x.Pos().Off, l.Args[len(l.Args)-1].Pos().End}
	return l
}

// stringOps are the word operators with one right operand.
var stringOps = map[string]bool{
	"has": true, "!has": true, "has_cs": true, "!has_cs": true,
	"hasprefix": true, "!hasprefix": true, "hasprefix_cs": true, "!hasprefix_cs": true,
	"hassuffix": true, "!hassuffix": true, "hassuffix_cs": true, "!hassuffix_cs": true,
	"contains": true, "!contains": true, "contains_cs": true, "!contains_cs": true, "notcontains": true, "notcontains_cs": true, "containscs": true,
	"startswith": true, "!startswith": true, "startswith_cs": true, "!startswith_cs": true,
	"endswith": true, "!endswith": true, "endswith_cs": true, "!endswith_cs": true,
	"matches": true, "like": true, "notlike": true,
}

func (p *parser) comparison() Expr {
	x := p.additive()
	for n := 0; ; n++ {
		t := p.tok()
		op := ""
		switch {
		case t.kind == tPunct:
			switch t.text {
			case "==", "!=", "<>", "<", ">", "<=", ">=", "=~", "!~", ":":
				op = t.text
			case "!in", "!between":
				op = t.text
			default:
				if t.text[0] == '!' && stringOps[t.text] {
					op = t.text
				}
			}
		case t.kind == tIdent:
			switch t.text {
			case "in", "between", "has_any", "has_all":
				op = t.text
			default:
				if stringOps[t.text] {
					op = t.text
				}
			}
		}
		if op == "" {
			return x
		}
		if n > MaxDepth {
			p.fatal = true
			p.fail(t.Span, CodeTooLarge, "more than %d comparisons in one chain", MaxDepth)
		}
		p.advance()
		switch op {
		case "in", "!in":
			if p.tok().is("~") && p.tok().Off == t.End {
				p.advance()
				op += "~"
			}
			x = p.inList(op, x)
		case "has_any", "has_all":
			x = p.inList(op, x)
		case "between", "!between":
			b := &Between{X: x, Not: op[0] == '!'}
			p.expect("(")
			b.Lo = p.additive()
			p.expect("..")
			b.Hi = p.additive()
			p.expect(")")
			b.Span = p.from(x.Pos().Off)
			x = b
		default:
			if op == "matches" {
				p.expectWord("regex")
				op = "matches regex"
			}
			y := p.additive()
			x = &Binary{Span: Span{x.Pos().Off, y.Pos().End}, Op: op, X: x, Y: y}
		}
	}
}

func (p *parser) inList(op string, x Expr) Expr {
	in := &In{Op: op, X: x}
	if !p.tok().is("(") {
		// in and has_any also take a single name or dynamic literal without parentheses.
		in.List = []Expr{p.additive()}
		in.Span = p.from(x.Pos().Off)
		return in
	}
	p.advance()
	for !p.tok().is(")") {
		in.List = append(in.List, p.pipeline())
		if !p.accept(",") {
			break
		}
	}
	p.expect(")")
	in.Span = p.from(x.Pos().Off)
	return in
}

func (p *parser) additive() Expr {
	return p.chain(func(t token) bool { return t.is("+") || t.is("-") }, p.multiplicative)
}

func (p *parser) multiplicative() Expr {
	return p.chain(func(t token) bool { return t.is("*") || t.is("/") || t.is("%") }, p.unary)
}

func (p *parser) chain(is func(token) bool, sub func() Expr) Expr {
	x := sub()
	for n := 0; is(p.tok()); n++ {
		if n >= MaxDepth {
			p.fatal = true
			p.fail(p.tok().Span, CodeTooLarge, "more than %d operands in one chain", MaxDepth)
		}
		op := p.advance().text
		y := sub()
		x = &Binary{Span: Span{x.Pos().Off, y.Pos().End}, Op: op, X: x, Y: y}
	}
	return x
}

func (p *parser) unary() Expr {
	t := p.tok()
	if t.is("-") || t.is("+") {
		p.enter()
		defer p.leave()
		p.advance()
		x := p.unary()
		return &Unary{Span: Span{t.Off, x.Pos().End}, Op: t.text, X: x}
	}
	return p.postfix(p.primary())
}

func (p *parser) postfix(x Expr) Expr {
	off := x.Pos().Off
	for n := 0; ; n++ {
		if n > MaxDepth {
			p.fatal = true
			p.fail(p.tok().Span, CodeTooLarge, "path is longer than %d steps", MaxDepth)
		}
		switch t := p.tok(); {
		case t.is("."):
			p.advance()
			if p.tok().is("[") {
				p.advance()
				i := p.expression()
				p.expect("]")
				x = &Index{Span: p.from(off), X: x, I: i}
				continue
			}
			x = &Member{X: x, Name: p.name()}
			x.(*Member).Span = p.from(off)
		case t.is("["):
			p.advance()
			i := p.expression()
			p.expect("]")
			x = &Index{Span: p.from(off), X: x, I: i}
		default:
			return x
		}
	}
}

func (p *parser) primary() Expr {
	t := p.tok()
	switch t.kind {
	case tLiteral:
		p.advance()
		return &Literal{Span: t.Span, Val: t.val, Text: t.text}
	case tString:
		p.advance()
		s := t.val.S
		for p.tok().kind == tString {
			s += p.advance().val.S
		}
		sp := p.from(t.Off)
		return &Literal{Span: sp, Val: types.NewString(s), Text: p.text[sp.Off:sp.End]}
	case tIdent:
		return p.word(t)
	}
	switch {
	case t.is("*"):
		p.advance()
		return &Star{t.Span}
	case t.is("("):
		p.advance()
		x := p.pipeline()
		p.expect(")")
		return &Paren{Span: p.from(t.Off), X: x}
	case t.is("["):
		return p.name()
	}
	p.unexpected("an expression")
	return nil
}

func (p *parser) word(t token) Expr {
	call := p.peek(1).is("(")
	switch t.text {
	case "true", "false", "True", "False", "TRUE", "FALSE":
		if !call {
			p.advance()
			return &Literal{Span: t.Span, Val: types.NewBool(t.text[0] == 't' || t.text[0] == 'T'), Text: t.text}
		}
	case "dynamic":
		if call {
			p.advance()
			p.advance()
			v := p.dynamic()
			p.expect(")")
			sp := p.from(t.Off)
			return &Literal{Span: sp, Val: types.NewDynamic(v), Text: p.text[sp.Off:sp.End]}
		}
	case "typeof":
		if call {
			p.advance()
			p.advance()
			x := &TypeOf{Types: []types.Type{p.typeName()}}
			for p.accept(",") {
				x.Types = append(x.Types, p.typeName())
			}
			p.expect(")")
			x.Span = p.from(t.Off)
			return x
		}
	case "datatable":
		if call {
			return p.dataTable()
		}
	case "externaldata", "external_data":
		if call {
			return p.externalData()
		}
	}
	if !call {
		// A pattern such as Device* stands where union and find take tables.
		if n := p.peek(1); n.is("*") && n.Off == t.End && p.afterWildcard() {
			return p.wildcard()
		}
		p.advance()
		return &Ident{Span: t.Span, Name: t.text}
	}
	p.advance()
	return p.call(&Ident{Span: t.Span, Name: t.text})
}

func (p *parser) afterWildcard() bool {
	switch t := p.peek(2); {
	case t.kind == tEOF, t.is(","), t.is("|"), t.is(")"), t.is(";"):
		return true
	}
	return false
}

func (p *parser) call(name *Ident) Expr {
	p.enter()
	defer p.leave()
	p.expect("(")
	c := &Call{Name: name}
	for !p.tok().is(")") {
		c.Args = append(c.Args, p.argument())
		if !p.accept(",") {
			break
		}
	}
	p.expect(")")
	c.Span = p.from(name.Off)
	return c
}

func (p *parser) argument() Expr {
	if off := p.tok().Off; p.tok().kind == tIdent && p.peek(1).is("=") {
		n := &Named{Names: []*Ident{p.name()}}
		p.advance()
		n.X = p.pipeline()
		n.Span = p.from(off)
		return n
	}
	if p.tok().is("*") && (p.peek(1).is(")") || p.peek(1).is(",")) {
		return &Star{p.advance().Span}
	}
	if p.tok().kind == tIdent && p.peek(1).is("*") && p.peek(1).Off == p.tok().End && p.afterWildcard() {
		return p.wildcard()
	}
	return p.pipeline()
}

// named reads name = x, (a, b) = x, or x.
func (p *parser) named() Expr {
	off := p.tok().Off
	if p.tok().kind == tIdent && p.peek(1).is("=") {
		n := &Named{Names: []*Ident{p.name()}}
		p.advance()
		n.X = p.expression()
		n.Span = p.from(off)
		return n
	}
	if p.tok().is("[") && p.peek(3).is("=") {
		n := &Named{Names: []*Ident{p.name()}}
		p.expect("=")
		n.X = p.expression()
		n.Span = p.from(off)
		return n
	}
	if p.tok().is("(") && p.isNameList() {
		n := &Named{Paren: true}
		p.advance()
		for {
			n.Names = append(n.Names, p.name())
			if !p.accept(",") {
				break
			}
		}
		p.expect(")")
		p.expect("=")
		n.X = p.expression()
		n.Span = p.from(off)
		return n
	}
	return p.expression()
}

func (p *parser) isNameList() bool {
	for j := p.i + 1; j+1 < len(p.toks); j++ {
		switch t := p.toks[j]; {
		case t.is(")"):
			return j > p.i+1 && p.toks[j+1].is("=")
		case t.kind != tIdent && t.kind != tString && !t.is(",") && !t.is("[") && !t.is("]"):
			return false
		}
	}
	return false
}

// dynamic reads the value of a dynamic literal: JSON, with KQL's strings and literals.
func (p *parser) dynamic() any {
	p.enter()
	defer p.leave()
	t := p.tok()
	switch {
	case t.is("["):
		p.advance()
		arr := []any{}
		for !p.tok().is("]") {
			arr = append(arr, p.dynamic())
			if !p.accept(",") {
				break
			}
		}
		p.expect("]")
		return arr
	case t.is("{"):
		p.advance()
		bag := types.NewBag()
		for !p.tok().is("}") {
			k := p.advance()
			if k.kind != tString && k.kind != tIdent && k.kind != tLiteral {
				p.i--
				p.unexpected("a property name")
			}
			key := k.text
			if k.kind == tString {
				key = k.val.S
			}
			p.expect(":")
			bag.Set(key, p.dynamic())
			if !p.accept(",") {
				break
			}
		}
		p.expect("}")
		return bag
	case t.kind == tString:
		p.advance()
		s := t.val.S
		for p.tok().kind == tString {
			s += p.advance().val.S
		}
		return s
	case t.kind == tLiteral:
		p.advance()
		return types.Payload(t.val)
	case t.is("-") || t.is("+"):
		p.advance()
		switch v := p.dynamic().(type) {
		case int64:
			if t.text == "-" {
				return -v
			}
			return v
		case float64:
			if t.text == "-" {
				return -v
			}
			return v
		}
		p.unexpected("a number")
	case t.kind == tIdent:
		switch strings.ToLower(t.text) {
		case "true", "false":
			p.advance()
			return strings.EqualFold(t.text, "true")
		case "null":
			p.advance()
			return nil
		case "dynamic":
			p.advance()
			p.expect("(")
			v := p.dynamic()
			p.expect(")")
			return v
		}
	}
	p.unexpected("a JSON value")
	return nil
}

func (p *parser) dataTable() Expr {
	off := p.advance().Off
	d := &DataTable{}
	p.expect("(")
	d.Cols = p.colDecls()
	p.expect(")")
	p.properties(true)
	p.expect("[")
	for !p.tok().is("]") {
		d.Rows = append(d.Rows, p.expression())
		if !p.accept(",") {
			break
		}
	}
	p.expect("]")
	d.Span = p.from(off)
	return d
}

func (p *parser) externalData() Expr {
	off := p.advance().Off
	d := &ExternalData{}
	p.expect("(")
	d.Cols = p.colDecls()
	p.expect(")")
	p.expect("[")
	for !p.tok().is("]") {
		d.URIs = append(d.URIs, p.expression())
		if !p.accept(",") {
			break
		}
	}
	p.expect("]")
	if p.acceptWord("with") {
		p.expect("(")
		d.Props = p.withList()
	}
	d.Span = p.from(off)
	return d
}

// withList reads name=value pairs up to the closing parenthesis.
func (p *parser) withList() []*Property {
	var out []*Property
	for !p.tok().is(")") {
		name, _ := p.propName()
		p.expect("=")
		out = append(out, &Property{Name: name, Value: p.expression()})
		if !p.accept(",") {
			break
		}
	}
	p.expect(")")
	return out
}

func (p *parser) propName() (string, Span) {
	t := p.tok()
	if t.kind != tIdent {
		p.unexpected("a property name")
	}
	p.advance()
	name := t.text
	for p.tok().is(".") && p.peek(1).kind == tIdent {
		p.advance()
		name += "." + p.advance().text
	}
	return name, p.from(t.Off)
}

// properties reads the name=value pairs an operator takes before its body. With any
// set, every pair is one; otherwise only known names are, because `summarize a = x`
// begins alike.
func (p *parser) properties(anyName bool) []*Property {
	var out []*Property
	for p.tok().kind == tIdent {
		j := p.i + 1
		for p.toks[j].is(".") && p.toks[min(j+1, len(p.toks)-1)].kind == tIdent {
			j += 2
		}
		if !p.toks[j].is("=") {
			break
		}
		if name := p.tok().text; !anyName && name != "hint" {
			break
		}
		name, _ := p.propName()
		p.expect("=")
		out = append(out, &Property{Name: name, Value: p.propValue()})
	}
	return out
}

// propValue reads a word or a literal. A parenthesis after the word is never its call:
// join kind=inner (T) has its table there.
func (p *parser) propValue() Expr {
	if p.tok().is("(") {
		// with (a, b) lists, as fullouter hints take them
		return p.primary()
	}
	if p.tok().kind == tIdent {
		t := p.advance()
		return &Ident{Span: t.Span, Name: t.text}
	}
	return p.unary()
}
