package funcs

import (
	"strings"

	"github.com/vedette-edr/vedette/kql/types"
)

// entry is a row of a family's table. sig is "name(param:kind, param:kind?, rest:kind...) result",
// where kind is a type, any, same, number or typeof, and result a type, same or number.
type entry struct {
	sig   string
	doc   string
	eval  Impl
	alias []string
	nulls bool
	vol   bool
	late  bool
	in    bool
	outs  []Out
}

func (e entry) build() *Func {
	name, rest, _ := strings.Cut(e.sig, "(")
	params, result, _ := strings.Cut(rest, ")")
	f := &Func{Name: name, Doc: e.doc, Eval: e.eval, Nulls: e.nulls, Volatile: e.vol, Late: e.late, Internal: e.in, Outs: e.outs}
	f.Result, _ = types.FromName(strings.TrimSpace(result))
	if params == "" {
		return f
	}
	for _, p := range strings.Split(params, ",") {
		n, kind, _ := strings.Cut(strings.TrimSpace(p), ":")
		prm := Param{Name: n}
		if strings.HasSuffix(kind, "?") {
			prm.Optional, kind = true, strings.TrimSuffix(kind, "?")
		}
		if strings.HasSuffix(kind, "...") {
			prm.Variadic, kind = true, strings.TrimSuffix(kind, "...")
		}
		switch kind {
		case "any":
			prm.Kind = Any
		case "same":
			prm.Kind = Same
		case "number":
			prm.Kind = Number
		case "typeof":
			prm.Kind = TypeOf
		default:
			t, ok := types.FromName(kind)
			if !ok {
				panic("funcs: bad signature " + e.sig)
			}
			prm.Type = t
		}
		f.Params = append(f.Params, prm)
	}
	return f
}

// Signature prints a function as its reference page shows it.
func (f *Func) Signature() string {
	var b strings.Builder
	b.WriteString(f.Name + "(")
	for i, p := range f.Params {
		if i > 0 {
			b.WriteString(", ")
		}
		if p.Optional {
			b.WriteByte('[')
		}
		b.WriteString(p.Name + ": ")
		switch p.Kind {
		case Typed:
			b.WriteString(p.Type.String())
		case Any, Same:
			b.WriteString("scalar")
		case Number:
			b.WriteString("number")
		case TypeOf:
			b.WriteString("typeof")
		}
		if p.Variadic {
			b.WriteString("...")
		}
		if p.Optional {
			b.WriteByte(']')
		}
	}
	b.WriteByte(')')
	if f.Result != types.Unknown {
		b.WriteString(" " + f.Result.String())
	}
	return b.String()
}

// Param returns the parameter that takes argument i, if there is one.
func (f *Func) Param(i int) (Param, bool) {
	if i < len(f.Params) {
		return f.Params[i], true
	}
	if n := len(f.Params); n > 0 && f.Params[n-1].Variadic {
		return f.Params[n-1], true
	}
	return Param{}, false
}

// MinArgs is the smallest number of arguments.
func (f *Func) MinArgs() int {
	n := 0
	for _, p := range f.Params {
		if !p.Optional {
			n++
		}
	}
	return n
}
