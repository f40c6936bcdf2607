package bind

import (
	"github.com/vedette-edr/vedette/kql/syntax"
	"github.com/vedette-edr/vedette/kql/types"
)

// function finds a function of the query or of the catalogue; nil when there is none. One
// of the catalogue sees the catalogue only, whatever the query calls by the same names.
func (b *binder) function(name string, sc *scope) *symbol {
	if sym := sc.lookup(name); sym != nil {
		if sym.fn == nil {
			return nil
		}
		return sym
	}
	if sym, ok := b.library[name]; ok {
		return sym
	}
	lib, ok := b.cat.(Library)
	if !ok {
		return nil
	}
	text, ok := lib.Function(name)
	if !ok {
		return nil
	}
	script, errs := syntax.Parse("let f = " + text + ";")
	if len(errs) > 0 || len(script.Statements) != 1 {
		return nil
	}
	let, ok := script.Statements[0].(*syntax.Let)
	if !ok {
		return nil
	}
	fn, ok := let.Value.(*syntax.FuncLit)
	if !ok {
		return nil
	}
	sym := &symbol{fn: fn, scope: newScope(nil), shipped: true}
	if b.library == nil {
		b.library = map[string]*symbol{}
	}
	b.library[name] = sym
	return sym
}

// shippedArgs reads the arguments of a function of the catalogue: where it takes the name
// of a column, the column itself stands for its name.
func shippedArgs(sym *symbol, args []syntax.Expr, r rel) []syntax.Expr {
	out := append([]syntax.Expr(nil), args...)
	for i, a := range out {
		id, ok := a.(*syntax.Ident)
		if !ok || i+1 >= len(sym.fn.Params) || sym.fn.Params[i+1].Type != types.String {
			continue
		}
		if _, found := r.find(id.Name); found {
			out[i] = &syntax.Literal{Span: id.Span, Val: types.NewString(id.Name), Text: types.Quote(id.Name)}
		}
	}
	return out
}
