package odata

import (
	"cmp"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/filter"
)

// MaxFilter bounds the text of $filter, in bytes.
const MaxFilter = 256 << 10

// ParseFilter reads a $filter expression over fields: the comparisons eq ne gt ge lt le and
// in; and, or, not; contains, startswith, endswith, tolower, toupper, length and indexof;
// year, month, day, hour, minute, second and date; any, all and $count of collections.
//
// Text compares without regard to case, so tolower and toupper change nothing.
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
	lex     lexer
	tok     token
	fields  filter.Schema
	element string // what the lambda calls the collection's elements; "" outside of one
	depth   int
	terms   int
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
	case p.tok.kind == text:
		return p.flipped()
	case p.tok.kind == word:
		if c := p.tok.text[0]; c >= '0' && c <= '9' || c == '-' {
			return p.flipped()
		}
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

// mirrored is each operator with its sides exchanged.
var mirrored = map[filter.Op]filter.Op{
	filter.Eq: filter.Eq, filter.Ne: filter.Ne, filter.Gt: filter.Lt, filter.Ge: filter.Le, filter.Lt: filter.Gt, filter.Le: filter.Ge,
}

// named reads what begins with a word: a test of text, a test of a collection, or a
// comparison.
func (p *parser) named() (filter.Expr, error) {
	at := p.tok.col
	if op, ok := functions[strings.ToLower(p.tok.text)]; ok && p.called() {
		p.step()
		return p.textTest(op)
	}
	o, err := p.operand()
	if err != nil {
		return nil, err
	}
	if o.field.Type == filter.List && o.fn == filter.Plain && p.isPunct("/") {
		p.step()
		return p.lambda(o.field)
	}
	if p.is("in") {
		if o.fn != filter.Plain || o.date {
			return nil, bad("$filter, column %d: in applies to a property itself", at)
		}
		p.step()
		vs, err := p.values(o.field)
		return filter.In{Field: o.field, Values: vs}, err
	}
	op, ok := operators[strings.ToLower(p.tok.text)]
	if !ok || p.tok.kind != word {
		if o.field.Type == filter.Bool {
			return filter.Compare{Field: o.field, Value: filter.Value{Type: filter.Bool, B: true}}, nil
		}
		return nil, p.wanted("eq, ne, gt, ge, lt, le or in after " + o.field.Name)
	}
	p.step()
	v, err := p.value(o.field.Name, o.result())
	if err != nil {
		return nil, err
	}
	return o.compare(op, v), nil
}

// flipped reads a comparison whose literal stands first: 'x' eq property.
func (p *parser) flipped() (filter.Expr, error) {
	lit := p.tok
	back := p.lex
	p.step()
	op, ok := operators[strings.ToLower(p.tok.text)]
	if !ok || p.tok.kind != word {
		return nil, p.wanted("eq, ne, gt, ge, lt or le after " + lit.shown())
	}
	p.step()
	o, err := p.operand()
	if err != nil {
		return nil, err
	}
	// The literal is read again now that its type is known.
	after, next := p.lex, p.tok
	p.lex, p.tok = back, lit
	v, err := p.value(o.field.Name, o.result())
	p.lex, p.tok = after, next
	if err != nil {
		return nil, err
	}
	return o.compare(mirrored[op], v), nil
}

// operand is the side of a comparison that depends on the row.
type operand struct {
	field filter.Field
	fn    filter.Fn
	arg   string
	date  bool // the day of a time
}

func (o operand) result() filter.Type {
	if o.fn != filter.Plain {
		return filter.Int
	}
	return o.field.Type
}

func (o operand) compare(op filter.Op, v filter.Value) filter.Expr {
	c := filter.Compare{Field: o.field, Fn: o.fn, Arg: o.arg, Op: op, Value: v}
	if !o.date || v.Null {
		return c
	}
	// A day is a range of the time, which an index serves.
	day, next := v, v
	day.T = v.T.Truncate(24 * time.Hour)
	next.T = day.T.Add(24 * time.Hour)
	bound := func(op filter.Op, v filter.Value) filter.Expr {
		return filter.Compare{Field: o.field, Op: op, Value: v}
	}
	switch op {
	case filter.Eq:
		return filter.And{bound(filter.Ge, day), bound(filter.Lt, next)}
	case filter.Ne:
		return filter.Not{Term: filter.And{bound(filter.Ge, day), bound(filter.Lt, next)}}
	case filter.Gt:
		return bound(filter.Ge, next)
	case filter.Le:
		return bound(filter.Lt, next)
	}
	return bound(op, day)
}

var parts = map[string]filter.Fn{
	"length": filter.Length, "indexof": filter.IndexOf, "year": filter.Year, "month": filter.Month, "day": filter.Day,
	"hour": filter.Hour, "minute": filter.Minute, "second": filter.Second,
}

// called reports whether the word at hand is followed by an opening parenthesis.
func (p *parser) called() bool {
	ahead := p.lex
	next := ahead.next()
	return next.kind == punct && next.text == "("
}

// operand reads a property or what a function makes of one.
func (p *parser) operand() (operand, error) {
	var o operand
	if err := p.enter(); err != nil {
		return o, err
	}
	defer func() { p.depth-- }()
	if p.tok.kind != word {
		return o, p.wanted("a property")
	}
	if !p.called() {
		return p.property()
	}
	call := p.step()
	p.step()
	o, err := p.operand()
	if err != nil {
		return o, err
	}
	name := strings.ToLower(call.text)
	if o.fn != filter.Plain || o.date {
		return o, bad("$filter, column %d: %s of a function is not supported", call.col, name)
	}
	switch fn, ok := parts[name]; {
	case ok:
		o.fn = fn
	case name == "tolower" || name == "toupper":
		if o.field.Type != filter.String {
			return o, bad("$filter, column %d: %s applies to strings only", call.col, name)
		}
	case name == "date":
		o.date = true
		if o.field.Type != filter.Time {
			return o, bad("$filter, column %d: date applies to times only", call.col)
		}
	default:
		return o, bad("$filter, column %d: the function %s is not supported", call.col, clip(call.text))
	}
	if o.fn == filter.IndexOf {
		if err := p.expect(","); err != nil {
			return o, err
		}
		v, err := p.value("indexof", filter.String)
		if err != nil || v.Null {
			return o, cmp.Or(err, bad("$filter, column %d: indexof of null", call.col))
		}
		o.arg = v.S
	}
	return o, p.expect(")")
}

// property reads the path of a property: object/member, an element of a lambda, or the
// number of a collection's elements.
func (p *parser) property() (operand, error) {
	name := p.step()
	if p.element != "" {
		if !strings.EqualFold(name.text, p.element) {
			return operand{}, bad("$filter, column %d: expected %s, found %s", name.col, p.element, name.shown())
		}
		if f, ok := p.fields.Find(filter.Element.Name); ok {
			return operand{field: f}, nil
		}
		if err := p.expect("/"); err != nil {
			return operand{}, err
		}
		if p.tok.kind != word {
			return operand{}, p.wanted("a property of " + p.element)
		}
		name = p.step()
	}
	for {
		if f, ok := p.fields.Find(name.text); ok {
			return p.counted(operand{field: f})
		}
		// What precedes the slash may be an object of which only members can be named.
		if ahead := p.lex; !p.isPunct("/") || ahead.next().kind != word {
			return operand{}, bad("$filter, column %d: cannot filter by %s", name.col, name.shown())
		}
		p.step()
		name.text += "/" + p.step().text
	}
}

// counted reads the /$count that may follow a collection.
func (p *parser) counted(o operand) (operand, error) {
	ahead := p.lex
	if o.field.Type != filter.List || !p.isPunct("/") || !strings.EqualFold(ahead.next().text, "$count") {
		return o, nil
	}
	p.step()
	p.step()
	o.fn = filter.Count
	return o, nil
}

// textTest reads (property, 'text') and what may follow it: eq true or eq false.
func (p *parser) textTest(op filter.Op) (filter.Expr, error) {
	at := p.tok.col
	p.step()
	o, err := p.operand()
	if err != nil {
		return nil, err
	}
	if o.fn != filter.Plain || o.date {
		return nil, bad("$filter, column %d: text functions apply to strings only", at)
	}
	if err := p.expect(","); err != nil {
		return nil, err
	}
	v, err := p.value(o.field.Name, filter.String)
	if err != nil {
		return nil, err
	}
	if err := p.expect(")"); err != nil {
		return nil, err
	}
	return p.truth(filter.Compare{Field: o.field, Op: op, Value: v})
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

// lambda reads any(), any(x: predicate of x) and all(x: predicate of x).
func (p *parser) lambda(f filter.Field) (filter.Expr, error) {
	all := p.is("all")
	if !all && !p.is("any") {
		return nil, p.wanted("any, all or $count after " + f.Name + "/")
	}
	if p.element != "" {
		return nil, bad("$filter, column %d: any and all cannot be nested", p.tok.col)
	}
	p.step()
	if err := p.expect("("); err != nil {
		return nil, err
	}
	if !all && p.isPunct(")") {
		p.step()
		return filter.Any{Field: f}, nil
	}
	if p.tok.kind != word {
		return nil, p.wanted("a name for the collection's elements")
	}
	name := p.step().text
	if err := p.expect(":"); err != nil {
		return nil, err
	}
	outer := p.fields
	p.fields, p.element = f.Elements(), name
	where, err := p.or()
	p.fields, p.element = outer, ""
	if err != nil {
		return nil, err
	}
	if err := p.expect(")"); err != nil {
		return nil, err
	}
	if all {
		return filter.All(f, where), nil
	}
	return filter.Any{Field: f, Where: where}, nil
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
	// The literal of an enumeration or an older type: Name.Space.Type'Word', guid'…'.
	if lit.kind == word && p.tok.kind == text && p.tok.at == lit.at+len(lit.text) {
		lit = p.step()
	}
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
