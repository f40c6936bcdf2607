package funcs

import (
	"math"
	"math/big"
	"math/bits"

	"github.com/vedette-edr/vedette/kql/types"
)

func real1(f func(float64) float64) Impl {
	return func(c *Ctx, a []types.Value) types.Value {
		v := f(a[0].F)
		if math.IsNaN(v) && !math.IsNaN(a[0].F) {
			return types.NewReal(math.NaN())
		}
		return types.NewReal(v)
	}
}

func bit(f func(x, y int64) int64) Impl {
	return func(_ *Ctx, a []types.Value) types.Value { return types.NewLong(f(a[0].I, a[1].I)) }
}

func mathFuncs() []entry {
	out := []entry{
		{sig: "abs(x:any)", doc: "Absolute value of a number or timespan.", eval: func(c *Ctx, a []types.Value) types.Value {
			switch a[0].Type {
			case types.Real:
				return types.NewReal(math.Abs(a[0].F))
			case types.Decimal:
				r := a[0].Rat()
				return types.DecimalFromRat(r.Abs(r))
			}
			return c.integer(max(a[0].I, -a[0].I))
		}},
		{sig: "sign(x:real) real", doc: "-1, 0 or 1.", eval: func(_ *Ctx, a []types.Value) types.Value {
			switch {
			case a[0].F > 0:
				return types.NewReal(1)
			case a[0].F < 0:
				return types.NewReal(-1)
			}
			return types.NewReal(0)
		}},
		{sig: "round(x:number, precision:long?)", doc: "Rounded to a number of decimals; of the type of x.", eval: func(c *Ctx, a []types.Value) types.Value {
			if a[0].Type != types.Real {
				return roundExact(c, a)
			}
			p := 0.0
			if len(a) > 1 {
				p = float64(min(max(a[1].I, -300), 300))
			}
			m := math.Pow(10, p)
			v := math.RoundToEven(a[0].F * m)
			if d := a[0].F*m - math.Trunc(a[0].F*m); math.Abs(d) == 0.5 {
				v = math.Round(a[0].F * m)
			}
			if v = v / m; math.IsNaN(v) || math.IsInf(v, 0) {
				v = a[0].F
			}
			return types.NewReal(v)
		}},
		{sig: "floor(value:any, roundTo:any?)", alias: []string{"bin"}, doc: "Rounded down to a multiple of roundTo.", eval: binEval},
		{sig: "bin_at(value:any, size:any, fixed:any)", doc: "Rounded down to a multiple of size counted from a fixed point.", eval: binAt},
		{sig: "ceiling(x:number)", doc: "Rounded up; of the type of x.", eval: ceiling},
		{sig: "pow(base:real, exponent:real) real", doc: "Power.", eval: func(_ *Ctx, a []types.Value) types.Value { return types.NewReal(math.Pow(a[0].F, a[1].F)) }},
		{sig: "atan2(y:real, x:real) real", doc: "Angle of a point in radians.", eval: func(_ *Ctx, a []types.Value) types.Value { return types.NewReal(math.Atan2(a[0].F, a[1].F)) }},
		{sig: "pi() real", doc: "π.", eval: func(*Ctx, []types.Value) types.Value { return types.NewReal(math.Pi) }},
		{sig: "isnan(x:real) bool", nulls: true, doc: "Whether a number is NaN.", eval: func(_ *Ctx, a []types.Value) types.Value { return boolean(!a[0].Null && math.IsNaN(a[0].F)) }},
		{sig: "isinf(x:real) bool", nulls: true, doc: "Whether a number is infinite.", eval: func(_ *Ctx, a []types.Value) types.Value {
			return boolean(!a[0].Null && math.IsInf(a[0].F, 0))
		}},
		{sig: "isfinite(x:real) bool", nulls: true, doc: "Whether a number is neither NaN nor infinite.", eval: func(_ *Ctx, a []types.Value) types.Value {
			return boolean(!a[0].Null && !math.IsInf(a[0].F, 0) && !math.IsNaN(a[0].F))
		}},
		{sig: "rand(n:long?)", vol: true, doc: "Random number in [0, 1), or a whole one below n.", eval: func(_ *Ctx, a []types.Value) types.Value {
			if len(a) > 0 && a[0].I > 0 {
				return types.NewReal(math.Floor(randomFloat() * float64(a[0].I)))
			}
			return types.NewReal(randomFloat())
		}},
		{sig: "binary_and(x:long, y:long) long", doc: "Bits set in both.", eval: bit(func(x, y int64) int64 { return x & y })},
		{sig: "binary_or(x:long, y:long) long", doc: "Bits set in either.", eval: bit(func(x, y int64) int64 { return x | y })},
		{sig: "binary_xor(x:long, y:long) long", doc: "Bits set in one.", eval: bit(func(x, y int64) int64 { return x ^ y })},
		{sig: "binary_shift_left(x:long, shift:long) long", doc: "Bits moved up.", eval: bit(func(x, y int64) int64 { return x << uint64(y&63) })},
		{sig: "binary_shift_right(x:long, shift:long) long", doc: "Bits moved down.", eval: bit(func(x, y int64) int64 { return x >> uint64(y&63) })},
		{sig: "binary_not(x:long) long", doc: "Bits inverted.", eval: func(_ *Ctx, a []types.Value) types.Value { return types.NewLong(^a[0].I) }},
		{sig: "bitset_count_ones(x:long) long", doc: "Number of bits set.", eval: func(_ *Ctx, a []types.Value) types.Value { return long(bits.OnesCount64(uint64(a[0].I))) }},
	}
	for name, f := range map[string]func(float64) float64{
		"sqrt": math.Sqrt, "exp": math.Exp, "exp2": math.Exp2, "log2": math.Log2, "log10": math.Log10,
		"sin": math.Sin, "cos": math.Cos, "tan": math.Tan, "asin": math.Asin, "acos": math.Acos, "atan": math.Atan,
		"cot": func(x float64) float64 { return 1 / math.Tan(x) }, "gamma": math.Gamma, "erf": math.Erf, "erfc": math.Erfc,
		"degrees": func(x float64) float64 { return x * 180 / math.Pi }, "radians": func(x float64) float64 { return x * math.Pi / 180 },
		"exp10": func(x float64) float64 { return math.Pow(10, x) }, "log": math.Log,
		"loggamma": func(x float64) float64 { v, _ := math.Lgamma(x); return v },
	} {
		out = append(out, entry{sig: name + "(x:real) real", doc: "Mathematical function " + name + ".", eval: real1(f)})
	}
	return out
}

func binEval(c *Ctx, a []types.Value) types.Value {
	size := types.NewLong(1)
	if len(a) > 1 {
		size = a[1]
	}
	return binFrom(c, a[0], size, 0, 0)
}

func binAt(c *Ctx, a []types.Value) types.Value { return binFrom(c, a[0], a[1], a[2].I, a[2].Float()) }

func binFrom(c *Ctx, v, size types.Value, at int64, atReal float64) types.Value {
	if v.Type == types.Real || size.Type == types.Real || v.Type == types.Decimal {
		s := size.Float()
		if s <= 0 {
			return c.null()
		}
		r := math.Floor((v.Float()-atReal)/s)*s + atReal
		return types.Convert(types.NewReal(r), c.Result)
	}
	if size.I <= 0 {
		return c.null()
	}
	d := v.I - at
	m := d % size.I
	if m < 0 {
		m += size.I
	}
	return c.integer(v.I - m)
}

// roundExact rounds integers and decimals, half away from zero, without passing through
// a real: a negative precision rounds to tens, hundreds and so on.
func roundExact(c *Ctx, a []types.Value) types.Value {
	p := int64(0)
	if len(a) > 1 {
		p = min(max(a[1].I, -30), 30)
	}
	if a[0].Type != types.Decimal && p >= 0 {
		return a[0]
	}
	unit := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(max(p, -p)), nil))
	if p > 0 {
		unit.Inv(unit)
	}
	r := new(big.Rat).SetInt64(a[0].I)
	if a[0].Type == types.Decimal {
		r = a[0].Rat()
	}
	n := new(big.Rat).Quo(r, unit)
	half := big.NewRat(int64(n.Sign()), 2)
	n.Add(n, half)
	n.SetInt(new(big.Int).Quo(n.Num(), n.Denom())) // Quo cuts towards zero
	n.Mul(n, unit)
	if a[0].Type == types.Decimal {
		return types.DecimalFromRat(n)
	}
	if !n.Num().IsInt64() {
		return c.null()
	}
	return c.integer(n.Num().Int64())
}

func ceiling(_ *Ctx, a []types.Value) types.Value {
	switch a[0].Type {
	case types.Real:
		return types.NewReal(math.Ceil(a[0].F))
	case types.Decimal:
		r := a[0].Rat()
		n := new(big.Int).Div(r.Num(), r.Denom()) // Div goes down, the denominator being positive
		if !r.IsInt() {
			n.Add(n, big.NewInt(1))
		}
		return types.DecimalFromRat(new(big.Rat).SetInt(n))
	}
	return a[0]
}
