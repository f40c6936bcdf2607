// Package bind turns a syntax tree into a typed plan over a catalogue of tables.
//
// It resolves names and scopes (let, functions and their parameters, views), types every
// expression by Kusto's rules, inserts the implicit conversions, folds constants, names
// the unnamed columns, and reports every semantic error it can find in one pass. It does
// not execute anything and does not know what a table's data look like.
//
// Rules worth knowing before reading: names are case-sensitive; a let of a table is bound
// anew at each use, so that the plan stays a tree; comparisons get operands of one type;
// now() is one instant for the whole query. Start at Bind, then expr.go and operator.go.
package bind

import (
	"slices"
	"strings"

	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/syntax"
	"github.com/vedette-edr/vedette/kql/types"
)

// Catalog tells which tables there are.
type Catalog interface {
	// Table finds a table by its exact name.
	Table(name string) (*Table, bool)
	// TableNames lists all names, for wildcards and suggestions.
	TableNames() []string
}

// Library is a Catalog that brings functions of its own.
type Library interface {
	// Function answers the text of a function, (parameters) { body }, by its exact name.
	// The text is trusted and compiles over the catalogue's tables.
	Function(name string) (text string, ok bool)
}

// Table is a table or a view that renames and casts the columns of one.
type Table struct {
	Name    string
	Columns []Column
	Base    string // the physical table when this is a view; "" means Name
}

// Column is a column of a Table.
type Column struct {
	Name   string
	Type   types.Type
	Source string // column of the physical table; "" means Name
	// SourceType is the type in the physical table when it differs; Unknown means Type.
	SourceType types.Type
	Hidden     bool // found by name but in no output, such as an alias
	// JSONString marks a dynamic stored as JSON text: string operators read the text,
	// member access parses it, results print the text.
	JSONString bool
}

// IngestionTime is the name of the hidden datetime column that ingestion_time() reads;
// on a table without it the function is null.
const IngestionTime = "$ingestion_time"

// Options are the circumstances of one query.
type Options struct {
	Now       int64  // datetime in ticks, the one instant of now() and ago()
	Principal string // who asks, for current_principal()
	// Live, when set, is what now() and ago() read instead of Now: a plan that is compiled
	// once and meets rows for months has another instant for each of them.
	Live *plan.Param
	// Probe answers the rows of a subplan while the query is bound, for the plug-ins whose
	// columns depend on their input, such as bag_unpack. Without it they have only the
	// columns that the query declares.
	Probe func(plan.Node) ([][]types.Value, error)
}

// Render is what the last render operator asked for.
type Render struct {
	Kind  string
	Props map[string]string
}

// Result is a bound query.
type Result struct {
	Root   plan.Node
	More   []plan.Node // further results of fork and facet, and of queries before the last
	Render *Render     // nil without render
}

// Codes of semantic errors.
const (
	CodeColumn    = "KQL0101" // no such column
	CodeTable     = "KQL0102" // no such table
	CodeFunction  = "KQL0103" // no such function
	CodeArguments = "KQL0104" // wrong number or form of arguments
	CodeType      = "KQL0105" // types do not fit
	CodeSupport   = "KQL0106" // known to Kusto, not supported here
	CodeLimit     = "KQL0107" // query too large
	CodeAggregate = "KQL0108" // aggregate or window function out of place
	CodeQuery     = "KQL0109" // anything else that is no query
)

// maxNodes bounds the plan: lets are inlined, so that ten of them that each use the last
// one twice would otherwise be a thousand copies.
const maxNodes = 4000

// maxExprs bounds the expressions of the plan in the same way: forty scalar lets that
// each use the last one twice would be a million million. A text of the greatest length
// that is written out has fewer.
const maxExprs = 400_000

// Bind binds a script. The errors are nil when the result is sound.
func Bind(text string, script *syntax.Script, cat Catalog, opt Options) (*Result, syntax.Errors) {
	b := &binder{text: text, cat: cat, opt: opt, settings: map[string]types.Value{}}
	res := &Result{}
	ok := b.guard(func() {
		r := b.statements(script.Statements, newScope(nil), true)
		b.release()
		if r == nil && len(b.errs) > 0 {
			panic(bail{})
		}
		if r == nil {
			b.fail(syntax.Span{Off: len(text), End: len(text)}, CodeQuery, "the text has no query")
		}
		res.Root = b.trim(*r)
	})
	if !ok || len(b.errs) > 0 {
		return nil, b.errs
	}
	res.Render, res.More = b.render, b.more
	return res, nil
}

type binder struct {
	text   string
	cat    Catalog
	opt    Options
	errs   syntax.Errors
	lastID int
	nodes  int
	exprs  int // see weigh
	depth  int
	render *Render
	more   []plan.Node
	// library are the functions of the catalogue that the query used.
	library map[string]*symbol
	// at is the call of such a function while its body is bound: errors stand there.
	at *syntax.Span
	// held are the errors of lets whose table does not exist, until it is known whether
	// only fuzzy unions use them; broken is the last of them that was used.
	held   []*held
	broken *held
	// settings are the constants of set statements.
	settings map[string]types.Value
}

type bail struct{}

// held are the errors of a let that named a table which does not exist. A fuzzy union
// that leaves it out forgives them, and those of the let that it failed for.
type held struct {
	errs     syntax.Errors
	cause    *held
	forgiven bool
}

func (h *held) forgive() {
	for ; h != nil; h = h.cause {
		h.forgiven = true
	}
}

// release reports what no fuzzy union has forgiven, in the order of the text.
func (b *binder) release() {
	for _, h := range b.held {
		if !h.forgiven {
			b.errs = append(b.errs, h.errs...)
		}
	}
	b.held = nil
	slices.SortStableFunc(b.errs, func(x, y *syntax.Error) int { return x.Offset - y.Offset })
}

// missing reports whether all errors say that there is no such table or function.
func missing(errs syntax.Errors) bool {
	for _, e := range errs {
		if e.Code != CodeTable && e.Code != CodeFunction {
			return false
		}
	}
	return true
}

func (b *binder) report(sp syntax.Span, code, format string, args ...any) *syntax.Error {
	sp = b.place(sp)
	e := syntax.NewError(b.text, sp, code, format, args...)
	for _, x := range b.errs {
		if x.Offset == e.Offset && x.Code == e.Code {
			return e
		}
	}
	if len(b.errs) < 20 {
		b.errs = append(b.errs, e)
	}
	return e
}

// place is where the caller's text says what stands at sp: for the body of a function of
// the catalogue, the call.
func (b *binder) place(sp syntax.Span) syntax.Span {
	if b.at != nil {
		return *b.at
	}
	return sp
}

func (b *binder) fail(sp syntax.Span, code, format string, args ...any) {
	b.report(sp, code, format, args...)
	panic(bail{})
}

func (b *binder) unknown(sp syntax.Span, code, what, name string, names []string) {
	e := b.report(sp, code, "there is no %s %q", what, name)
	e.Suggestion = syntax.Near(name, names)
	panic(bail{})
}

// guard runs f and reports whether it came through.
func (b *binder) guard(f func()) (ok bool) {
	depth := b.depth
	defer func() {
		if r := recover(); r != nil {
			if _, mine := r.(bail); !mine {
				panic(r)
			}
			b.depth = depth
		}
	}()
	f()
	return true
}

func (b *binder) newID() int { b.lastID++; return b.lastID }

func (b *binder) column(name string, t types.Type) plan.Column {
	return plan.Column{ID: b.newID(), Name: name, Type: t}
}

func (b *binder) node(n plan.Node, at syntax.Span) plan.Node {
	if b.nodes++; b.nodes > maxNodes {
		b.fail(at, CodeLimit, "the query becomes more than %d operators when its let statements are put in place", maxNodes)
	}
	return n
}

// use answers the expression that a name stands for, and counts it: every use is a copy
// when the plan is written out.
func (b *binder) use(sym *symbol, at syntax.Span) plan.Expr {
	b.grow(sym.weight, at)
	return sym.scalar
}

func (b *binder) grow(n int, at syntax.Span) {
	over := b.exprs > maxExprs
	if b.exprs += n; over {
		panic(bail{}) // said once already
	}
	if b.exprs > maxExprs {
		b.fail(at, CodeLimit, "the query becomes more than %d expressions when its let statements are put in place", maxExprs)
	}
}

// scalar makes the symbol of an expression. Only what was counted when it was bound comes
// here, so the walk is as short as the limit.
func scalar(e plan.Expr) *symbol { return &symbol{scalar: e, weight: weigh(e)} }

// weigh is about how much text an expression becomes, in units of a short operand.
// Queries inside it are counted by their nodes.
func weigh(e plan.Expr) int {
	n := 0
	plan.WalkExpr(e, func(x plan.Expr) {
		n++
		switch y := x.(type) {
		case *plan.Const:
			n += extent(y.V) / 64
		case *plan.Scalar:
			n += weighNode(y.Root)
		case *plan.InTable:
			n += weighNode(y.Root)
		}
	})
	return n
}

func weighNode(x plan.Node) int {
	n := maxExprs / maxNodes
	for _, e := range plan.Exprs(x) {
		n += weigh(e)
	}
	for _, in := range x.Inputs() {
		n += weighNode(in)
	}
	return n
}

// extent is about how many bytes a value takes when it is written out.
func extent(v types.Value) int { return len(v.S) + dynamicExtent(v.D) }

func dynamicExtent(d any) int {
	n := 0
	switch x := d.(type) {
	case string:
		n = len(x)
	case []any:
		for _, e := range x {
			n += 8 + dynamicExtent(e)
		}
	case map[string]any:
		for k, e := range x {
			n += 8 + len(k) + dynamicExtent(e)
		}
	}
	return n
}

// rel is a plan with the columns a query sees: cols in order, alias by name only.
type rel struct {
	node  plan.Node
	cols  []plan.Column
	alias []plan.Column
	name  string // of the table, for withsource
	// open says that there may be columns which no row of today has: unknown names are null.
	open bool
}

func (r rel) find(name string) (plan.Column, bool) {
	for _, c := range r.cols {
		if c.Name == name {
			return c, true
		}
	}
	for _, c := range r.alias {
		if c.Name == name {
			return c, true
		}
	}
	return plan.Column{}, false
}

// trim returns the plan with exactly the visible columns.
func (b *binder) trim(r rel) plan.Node {
	have := r.node.Columns()
	same := len(have) == len(r.cols)
	for i := 0; same && i < len(have); i++ {
		same = have[i] == r.cols[i]
	}
	if same {
		return r.node
	}
	p := &plan.Project{In: r.node}
	for _, c := range r.cols {
		p.Items = append(p.Items, plan.Item{Col: c, Expr: c.Ref()})
	}
	return p
}

// symbol is what a name of the query stands for; exactly one of the fields is set.
type symbol struct {
	scalar plan.Expr
	weight int // of scalar
	table  func() rel
	fn     *syntax.FuncLit
	scope  *scope // where fn was defined
	// shipped marks a function of the catalogue.
	shipped bool
}

type scope struct {
	parent *scope
	names  map[string]*symbol
}

func newScope(parent *scope) *scope { return &scope{parent: parent, names: map[string]*symbol{}} }

func (s *scope) lookup(name string) *symbol {
	for ; s != nil; s = s.parent {
		if sym, ok := s.names[name]; ok {
			return sym
		}
	}
	return nil
}

// tables lists the names of tables and of functions that are views.
func (s *scope) tables() []string {
	var out []string
	for ; s != nil; s = s.parent {
		for n, sym := range s.names {
			if sym.table != nil || sym.fn != nil && sym.fn.View {
				out = append(out, n)
			}
		}
	}
	return out
}

// statements binds lets into sc and answers the last query; scalar bodies are answered
// as a table of one row only at the top.
func (b *binder) statements(list []syntax.Statement, sc *scope, top bool) *rel {
	var out *rel
	for _, s := range list {
		b.guard(func() {
			switch x := s.(type) {
			case *syntax.Let:
				b.let(x, sc)
			case *syntax.ExprStmt:
				before := out
				if b.isTable(x.X, sc) {
					r := b.table(x.X, sc)
					out = &r
				} else if top {
					r := b.printOne(x.X, sc)
					out = &r
				}
				if top && before != nil && out != before {
					// Of several queries the last is the result, the others stand beside it.
					b.more = append(b.more, b.trim(*before))
				}
			case *syntax.Set:
				if x.Value != nil {
					b.setting(x, sc)
				}
			case *syntax.Declare:
				for _, p := range x.Params {
					if p.Default == nil {
						b.fail(p.Pos(), CodeArguments, "query parameter %q has no value", p.Name.Name)
					}
					v := b.expr(p.Default, &env{sc: sc})
					sc.names[p.Name.Name] = scalar(b.convert(v, p.Type, p.Pos()))
				}
			}
		})
	}
	return out
}

// setting keeps the value of a set statement; the names of options that only Kusto has
// are no error.
func (b *binder) setting(x *syntax.Set, sc *scope) {
	if !strings.HasPrefix(x.Name.Name, "query_bin_auto_") {
		return
	}
	c, ok := b.expr(x.Value, &env{sc: sc}).(*plan.Const)
	if !ok {
		b.fail(x.Pos(), CodeArguments, "the value of a set statement is a constant")
	}
	b.settings[x.Name.Name] = c.V
}

func (b *binder) printOne(x syntax.Expr, sc *scope) rel {
	return b.print(rel{}, &syntax.PrintOp{Span: x.Pos(), Items: []syntax.Expr{x}}, sc)
}

func (b *binder) let(x *syntax.Let, sc *scope) {
	name := x.Name.Name
	if f, ok := x.Value.(*syntax.FuncLit); ok {
		sc.names[name] = &symbol{fn: f, scope: sc.snapshot()}
		return
	}
	inner := sc.snapshot()
	id, plain := x.Value.(*syntax.Ident)
	// A name that says nothing is taken for a table's: a fuzzy union may leave it out.
	if b.isTable(x.Value, sc) || plain && sc.lookup(id.Name) == nil {
		value := x.Value
		// Bound once here for its errors; the nodes of this copy do not count.
		before, known := b.nodes, len(b.errs)
		b.broken = nil
		var first *rel
		ok := b.guard(func() { r := b.table(value, inner); first = &r })
		b.nodes = before
		if !ok {
			// Its errors are reported, here or when they are released; what uses it has none
			// of its own.
			h := &held{cause: b.broken}
			if found := b.errs[known:]; missing(found) {
				h.errs = slices.Clone(found)
				b.errs = b.errs[:known]
				b.held = append(b.held, h)
			}
			sc.names[name] = &symbol{table: func() rel { b.broken = h; panic(bail{}) }}
			return
		}
		sc.names[name] = &symbol{table: func() rel {
			if first != nil {
				r := *first
				first = nil
				b.nodes += countNodes(r.node)
				r.name = name
				return r
			}
			r := b.table(value, inner)
			r.name = name
			return r
		}}
		return
	}
	var v plan.Expr = &plan.Const{V: types.Null(types.Dynamic)}
	b.guard(func() { v = b.expr(x.Value, &env{sc: sc}) })
	sc.names[name] = scalar(v)
}

func countNodes(n plan.Node) int {
	c := 1
	for _, in := range n.Inputs() {
		c += countNodes(in)
	}
	return c
}

// snapshot copies a scope, so that a later let of the same name does not change what an
// earlier body means.
func (s *scope) snapshot() *scope {
	c := newScope(s.parent)
	for k, v := range s.names {
		c.names[k] = v
	}
	return c
}
