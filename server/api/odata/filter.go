package odata

import (
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/filter"
)

// MaxFilter bounds the text of $filter, in bytes.
const MaxFilter = 256 << 10

// ParseFilter reads a $filter expression over fields: eq ne gt ge lt le, in, and or not,
// contains startswith endswith, and any over collections.
func ParseFilter(src string, fields filter.Schema) (filter.Expr, error) {
	if len(src) > MaxFilter {
		return nil, bad("$filter: %d bytes, more than %d", len(src), MaxFilter)
	}
	p := &parser{lex: lexer{src: src, col: 1}, fields: fields}
	p.step()
	e, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.tok.kind != end {
		return nil, p.wanted("and, or, or the end")
	}
	if err := filter.Check(fields, e); err != nil {
		return nil, err
	}
	return e, nil
}

type parser struct {
	lex    lexer
	tok    token
	fields filter.Schema
	depth  int
	terms  int
}

func (p *parser) step() token {
	was := p.tok
	p.tok = p.lex.next()
	return was
}

func (p *parser) wanted(what string) error {
	if p.tok.kind == broken {
		return bad("$filter, column %d: the string has no closing quote", p.tok.col)
	}
	return bad("$filter, column %d: expected %s, found %s", p.tok.col, what, p.tok.shown())
}

// is reports whether the next token is the keyword w, in any case.
func (p *parser) is(w string) bool {
	return p.tok.kind == word && strings.EqualFold(p.tok.text, w)
}

func (p *parser) isPunct(s string) bool { return p.tok.kind == punct && p.tok.text == s }

func (p *parser) expect(s string) error {
	if !p.isPunct(s) {
		return p.wanted(`"` + s + `"`)
	}
	p.step()
	return nil
}

// enter counts what filter.Check counts, before the recursion happens.
func (p *parser) enter() error {
	p.depth++
	p.terms++
	if p.depth > 2*filter.MaxDepth || p.terms > 4*filter.MaxTerms {
		return bad("$filter, column %d: the filter is too complex", p.tok.col)
	}
	return nil
}

func (p *parser) or() (filter.Expr, error) {
	es, err := p.list("or", p.and)
	if err != nil || len(es) == 1 {
		return first(es), err
	}
	return filter.Or(es), nil
}

func (p *parser) and() (filter.Expr, error) {
	es, err := p.list("and", p.unary)
	if err != nil || len(es) == 1 {
		return first(es), err
	}
	return filter.And(es), nil
}

func first(es []filter.Expr) filter.Expr {
	if len(es) == 0 {
		return nil
	}
	return es[0]
}

func (p *parser) list(joint string, one func() (filter.Expr, error)) ([]filter.Expr, error) {
	var es []filter.Expr
	for {
		e, err := one()
		if err != nil {
			return nil, err
		}
		es = append(es, e)
		if !p.is(joint) {
			return es, nil
		}
		p.step()
	}
}

func (p *parser) unary() (filter.Expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	switch {
	case p.is("not"):
		p.step()
		e, err := p.unary()
		return filter.Not{Term: e}, err
	case p.isPunct("("):
		p.step()
		e, err := p.or()
		if err != nil {
			return nil, err
		}
		return e, p.expect(")")
	case p.tok.kind == word:
		return p.named()
	}
	return nil, p.wanted("a property or a function")
}

var functions = map[string]filter.Op{
	"contains": filter.Contains, "startswith": filter.StartsWith, "endswith": filter.EndsWith,
}

var operators = map[string]filter.Op{
	"eq": filter.Eq, "ne": filter.Ne, "gt": filter.Gt, "ge": filter.Ge, "lt": filter.Lt, "le": filter.Le,
}

// named reads what begins with a word: a function or a comparison of a property.
func (p *parser) named() (filter.Expr, error) {
	name := p.step()
	if op, ok := functions[strings.ToLower(name.text)]; ok && p.isPunct("(") {
		return p.function(op)
	}
	f, err := p.field(name)
	if err != nil {
		return nil, err
	}
	if p.isPunct("/") {
		p.step()
		return p.any(f)
	}
	if p.is("in") {
		p.step()
		vs, err := p.values(f)
		return filter.In{Field: f, Values: vs}, err
	}
	op, ok := operators[strings.ToLower(p.tok.text)]
	if !ok || p.tok.kind != word {
		return nil, p.wanted("eq, ne, gt, ge, lt, le or in after " + f.Name)
	}
	p.step()
	v, err := p.value(f.Name, f.Type)
	return filter.Compare{Field: f, Op: op, Value: v}, err
}

func (p *parser) field(name token) (filter.Field, error) {
	f, ok := p.fields.Find(name.text)
	if !ok {
		return f, bad("$filter, column %d: cannot filter by %s", name.col, name.shown())
	}
	return f, nil
}

// function reads (property, 'text') and what may follow it: eq true or eq false.
func (p *parser) function(op filter.Op) (filter.Expr, error) {
	p.step()
	if p.tok.kind != word {
		return nil, p.wanted("a property")
	}
	f, err := p.field(p.step())
	if err != nil {
		return nil, err
	}
	v, err := p.argument(f.Name)
	if err != nil {
		return nil, err
	}
	var e filter.Expr = filter.Compare{Field: f, Op: op, Value: v}
	return p.truth(e)
}

// argument reads the rest of a function's call: , 'text')
func (p *parser) argument(name string) (filter.Value, error) {
	if err := p.expect(","); err != nil {
		return filter.Value{}, err
	}
	v, err := p.value(name, filter.String)
	if err != nil {
		return v, err
	}
	return v, p.expect(")")
}

func (p *parser) truth(e filter.Expr) (filter.Expr, error) {
	if !p.is("eq") && !p.is("ne") {
		return e, nil
	}
	same := p.is("eq")
	p.step()
	v, err := p.value("the function's result", filter.Bool)
	if err != nil {
		return nil, err
	}
	if v.Null {
		return nil, bad("$filter, column %d: a function's result is never null", p.tok.col)
	}
	if v.B != same {
		return filter.Not{Term: e}, nil
	}
	return e, nil
}

// any reads any(x: predicate of x). Its alternatives become alternatives of the whole.
func (p *parser) any(f filter.Field) (filter.Expr, error) {
	if !p.is("any") {
		return nil, p.wanted("any after " + f.Name + "/")
	}
	p.step()
	if err := p.expect("("); err != nil {
		return nil, err
	}
	if p.tok.kind != word {
		return nil, p.wanted("a name for the collection's elements")
	}
	element := p.step().text
	if err := p.expect(":"); err != nil {
		return nil, err
	}
	var es []filter.Expr
	for {
		e, err := p.element(f, element)
		if err != nil {
			return nil, err
		}
		es = append(es, e...)
		if !p.is("or") {
			break
		}
		p.step()
	}
	if err := p.expect(")"); err != nil {
		return nil, err
	}
	if len(es) == 1 {
		return es[0], nil
	}
	return filter.Or(es), nil
}

// element reads one predicate of a collection's element.
func (p *parser) element(f filter.Field, element string) ([]filter.Expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	if p.isPunct("(") {
		p.step()
		es, err := p.element(f, element)
		if err != nil {
			return nil, err
		}
		return es, p.expect(")")
	}
	if p.tok.kind != word {
		return nil, p.wanted(element)
	}
	name := p.step()
	if op, ok := functions[strings.ToLower(name.text)]; ok && p.isPunct("(") {
		p.step()
		if !p.is(element) {
			return nil, p.wanted(element)
		}
		p.step()
		v, err := p.argument(element)
		return []filter.Expr{filter.Any{Field: f, Op: op, Value: v}}, err
	}
	if !strings.EqualFold(name.text, element) {
		return nil, bad("$filter, column %d: expected %s, found %s", name.col, element, name.shown())
	}
	if p.is("in") {
		p.step()
		vs, err := p.values(filter.Field{Name: element})
		if err != nil {
			return nil, err
		}
		es := make([]filter.Expr, len(vs))
		for i, v := range vs {
			es[i] = filter.Any{Field: f, Op: filter.Eq, Value: v}
		}
		return es, nil
	}
	op, ok := operators[strings.ToLower(p.tok.text)]
	if !ok || p.tok.kind != word {
		return nil, p.wanted("eq, ne, gt, ge, lt, le or in after " + element)
	}
	p.step()
	v, err := p.value(element, filter.String)
	return []filter.Expr{filter.Any{Field: f, Op: op, Value: v}}, err
}

// values reads the list behind in, in parentheses or square brackets.
func (p *parser) values(f filter.Field) ([]filter.Value, error) {
	closing := ")"
	switch {
	case p.isPunct("["):
		closing = "]"
	case !p.isPunct("("):
		return nil, p.wanted("a list in parentheses")
	}
	p.step()
	var out []filter.Value
	for {
		v, err := p.value(f.Name, f.Type)
		if err != nil {
			return nil, err
		}
		if out = append(out, v); len(out) > filter.MaxValues {
			return nil, bad("$filter, column %d: more than %d values in a list", p.tok.col, filter.MaxValues)
		}
		if !p.isPunct(",") {
			return out, p.expect(closing)
		}
		p.step()
	}
}

// zone is the offset of a date-time whose plus sign was sent unescaped and came as space.
var zone = regexp.MustCompile(`^[0-9]{2}:[0-9]{2}$`)

// value reads a literal for a property of type t. Quoted or not, its text decides: some
// clients quote numbers and dates, others leave GUIDs bare.
func (p *parser) value(name string, t filter.Type) (filter.Value, error) {
	if p.tok.kind != word && p.tok.kind != text {
		return filter.Value{}, p.wanted("a value for " + name)
	}
	lit := p.step()
	if lit.kind == word && strings.EqualFold(lit.text, "null") {
		return filter.Value{Type: t, Null: true}, nil
	}
	v := filter.Value{Type: t}
	ok := true
	switch t {
	case filter.Int:
		n, err := strconv.ParseInt(lit.text, 10, 64)
		v.N, ok = n, err == nil
	case filter.Float:
		n, err := strconv.ParseFloat(lit.text, 64)
		v.F, ok = n, err == nil && !math.IsNaN(n) && !math.IsInf(n, 0)
	case filter.Bool:
		v.B = strings.EqualFold(lit.text, "true")
		ok = v.B || strings.EqualFold(lit.text, "false")
	case filter.Time:
		if lit.kind == word && p.tok.kind == word && zone.MatchString(p.tok.text) {
			lit.text += "+" + p.step().text
		}
		v.T, ok = api.ParseTime(lit.text)
	default:
		v.Type, v.S = filter.String, lit.text
	}
	if !ok {
		return v, bad("$filter, column %d: %s is not a value for %s, which is %s", lit.col, lit.shown(), name, typeNames[t])
	}
	return v, nil
}

var typeNames = map[filter.Type]string{
	filter.Int: "a number", filter.Float: "a number", filter.Bool: "true or false", filter.Time: "a time such as 2020-12-12T00:00:00Z",
}
