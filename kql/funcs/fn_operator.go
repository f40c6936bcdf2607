package funcs

import (
	"math"
	"math/big"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/kql/types"
)

func boolean(b bool) types.Value { return types.NewBool(b) }

// operators are what the grammar writes with symbols and words. Their typing is the
// binder's; comparison operands arrive with one type.
func operators() []entry {
	out := []entry{
		{sig: "==(x:any, y:any) bool", nulls: true, eval: func(c *Ctx, a []types.Value) types.Value {
			if a[0].Null && a[1].Null {
				return c.null()
			}
			return boolean(equal(a[0], a[1]))
		}},
		{sig: "!=(x:any, y:any) bool", nulls: true, eval: func(c *Ctx, a []types.Value) types.Value {
			if a[0].Null && a[1].Null {
				return c.null()
			}
			return boolean(!equal(a[0], a[1]))
		}},
		{sig: "<(x:any, y:any) bool", eval: order(func(c int) bool { return c < 0 })},
		{sig: "<=(x:any, y:any) bool", eval: order(func(c int) bool { return c <= 0 })},
		{sig: ">(x:any, y:any) bool", eval: order(func(c int) bool { return c > 0 })},
		{sig: ">=(x:any, y:any) bool", eval: order(func(c int) bool { return c >= 0 })},
		{sig: "+(x:any, y:any)", eval: arithmetic('+')},
		{sig: "-(x:any, y:any)", eval: arithmetic('-')},
		{sig: "*(x:any, y:any)", eval: arithmetic('*')},
		{sig: "/(x:any, y:any)", eval: arithmetic('/')},
		{sig: "%(x:any, y:any)", eval: arithmetic('%')},
		{sig: "neg(x:any)", eval: func(c *Ctx, a []types.Value) types.Value {
			return arithmetic('-')(c, []types.Value{types.Convert(types.NewLong(0), a[0].Type), a[0]})
		}},
		{sig: "and(x:bool...) bool", nulls: true, eval: func(c *Ctx, a []types.Value) types.Value {
			null := false
			for _, v := range a {
				if !v.Null && v.I == 0 {
					return boolean(false)
				}
				null = null || v.Null
			}
			if null {
				return c.null()
			}
			return boolean(true)
		}},
		{sig: "or(x:bool...) bool", nulls: true, eval: func(c *Ctx, a []types.Value) types.Value {
			null := false
			for _, v := range a {
				if v.True() {
					return boolean(true)
				}
				null = null || v.Null
			}
			if null {
				return c.null()
			}
			return boolean(false)
		}},
		{sig: "in(x:any, list:any...) bool", nulls: true, eval: func(c *Ctx, a []types.Value) types.Value {
			for _, v := range a[1:] {
				if a[0].Null && v.Null || equal(a[0], v) {
					return boolean(true)
				}
			}
			return boolean(false)
		}},
		{sig: "in~(x:string, list:string...) bool", nulls: true, eval: func(c *Ctx, a []types.Value) types.Value {
			for _, v := range a[1:] {
				if Fold(a[0].S) == Fold(v.S) {
					return boolean(true)
				}
			}
			return boolean(false)
		}},
		{sig: "in_dynamic(x:any, list:dynamic, fold:bool) bool", nulls: true, eval: inDynamic},
		{sig: "has_any(x:string, terms:any...) bool", nulls: true, eval: func(c *Ctx, a []types.Value) types.Value {
			for _, t := range Terms(a[1:]) {
				if HasTerm(Fold(a[0].S), Fold(t)) {
					return boolean(true)
				}
			}
			return boolean(false)
		}},
		{sig: "has_all(x:string, terms:any...) bool", nulls: true, eval: func(c *Ctx, a []types.Value) types.Value {
			for _, t := range Terms(a[1:]) {
				if !HasTerm(Fold(a[0].S), Fold(t)) {
					return boolean(false)
				}
			}
			return boolean(true)
		}},
		{sig: "matches regex(x:string, pattern:string) bool", eval: func(c *Ctx, a []types.Value) types.Value {
			re := c.Regexp(a[1].S)
			return boolean(re != nil && re.MatchString(a[0].S))
		}},
		{sig: "=~(x:string, y:string) bool", eval: func(_ *Ctx, a []types.Value) types.Value { return boolean(Fold(a[0].S) == Fold(a[1].S)) }},
		{sig: "get(x:dynamic, key:any) dynamic", eval: get},
	}
	for name, f := range textTests() {
		out = append(out,
			entry{sig: name + "(x:string, y:string) bool", eval: func(_ *Ctx, a []types.Value) types.Value { return boolean(f(Fold(a[0].S), Fold(a[1].S))) }},
			entry{sig: name + "_cs(x:string, y:string) bool", eval: func(_ *Ctx, a []types.Value) types.Value { return boolean(f(a[0].S, a[1].S)) }})
	}
	for i := range out {
		out[i].in = true
	}
	return out
}

// textTests are the operators that look for one text in another, each of which has a
// variant _cs that tells upper from lower case.
func textTests() map[string]func(s, t string) bool {
	return map[string]func(s, t string) bool{
		"has": HasTerm, "hasprefix": hasPrefix, "hassuffix": hasSuffix,
		"contains": strings.Contains, "startswith": strings.HasPrefix, "endswith": strings.HasSuffix,
	}
}

// TextTest returns the test of an operator such as startswith_cs, nil when it is none.
// With fold both texts are to be folded before.
func TextTest(op string) (test func(s, t string) bool, fold bool) {
	name, cs := strings.CutSuffix(op, "_cs")
	return textTests()[name], !cs
}

// Fold maps a text to what case-insensitive operators compare.
func Fold(s string) string { return strings.ToLower(s) }

// IsTermRune reports whether r belongs to a term as has sees it: a letter or digit.
func IsTermRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

func edge(s string, first bool) bool {
	if s == "" {
		return false
	}
	var r rune
	if first {
		r, _ = utf8.DecodeRuneInString(s)
	} else {
		r, _ = utf8.DecodeLastRuneInString(s)
	}
	return IsTermRune(r)
}

// findTerm looks for t in s where t's alphanumeric edges are no part of a longer term;
// left and right say which edges count.
func findTerm(s, t string, left, right bool) bool {
	if t == "" {
		return true
	}
	left, right = left && edge(t, true), right && edge(t, false)
	for from := 0; from <= len(s); {
		i := strings.Index(s[from:], t)
		if i < 0 {
			return false
		}
		i += from
		if !(left && edge(s[:i], false)) && !(right && edge(s[i+len(t):], true)) {
			return true
		}
		_, n := utf8.DecodeRuneInString(s[i:])
		from = i + max(n, 1)
	}
	return false
}

// HasTerm is has_cs.
func HasTerm(s, t string) bool   { return findTerm(s, t, true, true) }
func hasPrefix(s, t string) bool { return findTerm(s, t, true, false) }
func hasSuffix(s, t string) bool { return findTerm(s, t, false, true) }

// Terms are the texts that has_any and its like look for: arrays count as their elements.
func Terms(a []types.Value) []string {
	var out []string
	for _, v := range a {
		switch d := v.D.(type) {
		case []any:
			for _, e := range d {
				out = append(out, types.NewDynamic(e).Text())
			}
		default:
			if !v.Null {
				out = append(out, v.Text())
			}
		}
	}
	return out
}

func inDynamic(_ *Ctx, a []types.Value) types.Value {
	list, ok := a[1].D.([]any)
	if !ok {
		list = []any{a[1].D}
	}
	for _, e := range list {
		v := types.Convert(types.NewDynamic(e), a[0].Type)
		if a[0].Type == types.Dynamic {
			v = types.NewDynamic(e)
		}
		if a[2].True() && Fold(a[0].S) == Fold(v.S) || equal(a[0], v) {
			return boolean(true)
		}
	}
	return boolean(false)
}

func equal(x, y types.Value) bool {
	if x.Null || y.Null {
		return false
	}
	if x.Type == types.Dynamic && y.Type == types.Dynamic {
		return types.EqualDynamic(x.D, y.D)
	}
	if x.Type == types.Dynamic || y.Type == types.Dynamic {
		d, o := x, y
		if y.Type == types.Dynamic {
			d, o = y, x
		}
		if o.Type == types.String {
			return d.Text() == o.S
		}
		v := types.Convert(d, o.Type)
		return !v.Null && types.Compare(v, o) == 0
	}
	if x.Type == types.Real || y.Type == types.Real {
		return x.Float() == y.Float()
	}
	return types.Compare(x, y) == 0
}

func order(ok func(int) bool) Impl {
	return func(c *Ctx, a []types.Value) types.Value {
		x, y := a[0], a[1]
		if x.Type == types.Dynamic && y.Type != types.Dynamic {
			x = types.Convert(x, y.Type)
		} else if y.Type == types.Dynamic && x.Type != types.Dynamic {
			y = types.Convert(y, x.Type)
		}
		if x.Null || y.Null {
			return c.null()
		}
		if x.Type == types.Real && math.IsNaN(x.F) || y.Type == types.Real && math.IsNaN(y.F) {
			return boolean(false)
		}
		return boolean(ok(types.Compare(x, y)))
	}
}

func arithmetic(op byte) Impl {
	return func(c *Ctx, a []types.Value) types.Value {
		x, y := a[0], a[1]
		switch c.Result {
		case types.Real:
			return types.NewReal(realOp(op, x.Float(), y.Float()))
		case types.Decimal:
			return decimalOp(op, x, y)
		}
		if x.Type == types.Real || y.Type == types.Real {
			// timespan by real: the product or quotient in ticks
			f := realOp(op, x.Float(), y.Float())
			if math.IsNaN(f) || math.Abs(f) > math.MaxInt64/2 {
				return c.null()
			}
			return c.integer(int64(math.Round(f)))
		}
		v, ok := longOp(op, x.I, y.I)
		if !ok {
			return c.null()
		}
		return c.integer(v)
	}
}

// integer makes the call's result from its int64 form.
func (c *Ctx) integer(i int64) types.Value {
	switch c.Result {
	case types.Int:
		return types.NewInt(i)
	case types.Datetime:
		return types.NewDatetime(i)
	}
	return types.Value{Type: c.Result, I: i}
}

func realOp(op byte, x, y float64) float64 {
	switch op {
	case '+':
		return x + y
	case '-':
		return x - y
	case '*':
		return x * y
	case '/':
		return x / y
	}
	m := math.Mod(x, y)
	if m < 0 {
		m += math.Abs(y)
	}
	return m
}

func longOp(op byte, x, y int64) (int64, bool) {
	switch op {
	case '+':
		return x + y, (x > 0) != (y > 0) || (x+y > 0) == (x > 0) || x == 0 || y == 0
	case '-':
		return x - y, true
	case '*':
		r := x * y
		return r, x == 0 || r/x == y && !(x == -1 && y == math.MinInt64)
	}
	if y == 0 || x == math.MinInt64 && y == -1 {
		return 0, false
	}
	if op == '/' {
		return x / y, true
	}
	r := x % y
	if r < 0 {
		r += max(y, -y)
	}
	return r, true
}

func decimalOp(op byte, x, y types.Value) types.Value {
	r, s := x.Rat(), y.Rat()
	switch op {
	case '+':
		return types.DecimalFromRat(r.Add(r, s))
	case '-':
		return types.DecimalFromRat(r.Sub(r, s))
	case '*':
		return types.DecimalFromRat(r.Mul(r, s))
	}
	if s.Sign() == 0 {
		return types.Null(types.Decimal)
	}
	if op == '/' {
		return types.DecimalFromRat(r.Quo(r, s))
	}
	q := new(big.Rat).Quo(r, s)
	n := new(big.Int).Div(q.Num(), q.Denom())
	return types.DecimalFromRat(r.Sub(r, s.Mul(s, new(big.Rat).SetInt(n))))
}

// get is member and element access; a negative index counts from the end.
func get(_ *Ctx, a []types.Value) types.Value { return types.NewDynamic(element(a[0].D, a[1])) }

func element(d any, key types.Value) any {
	if key.Type == types.Dynamic {
		switch k := key.D.(type) {
		case string:
			key = types.NewString(k)
		case int64:
			key = types.NewLong(k)
		}
	}
	switch x := d.(type) {
	case *types.Bag:
		v, _ := x.Get(key.Text())
		return v
	case []any:
		if !key.Type.Integral() {
			return nil
		}
		i := key.I
		if i < 0 {
			i += int64(len(x))
		}
		if i >= 0 && i < int64(len(x)) {
			return x[i]
		}
	}
	return nil
}
