package funcs

import (
	"math"
	"slices"

	"github.com/vedette-edr/vedette/kql/types"
)

// numbers reads an array of numbers; NaN stands for null elements.
func numbers(d any) ([]float64, bool) {
	arr, ok := d.([]any)
	if !ok {
		return nil, false
	}
	out := make([]float64, len(arr))
	for i, e := range arr {
		v := types.Convert(types.NewDynamic(e), types.Real)
		out[i] = v.F
		if v.Null {
			out[i] = math.NaN()
		}
	}
	return out, true
}

func series(out []float64) types.Value {
	arr := make([]any, len(out))
	for i, f := range out {
		if !math.IsNaN(f) {
			arr[i] = f
		}
	}
	return dyn(arr)
}

func series1(f func(float64) float64) Impl {
	return func(c *Ctx, a []types.Value) types.Value {
		x, ok := numbers(a[0].D)
		if !ok {
			return c.null()
		}
		for i := range x {
			x[i] = f(x[i])
		}
		return series(x)
	}
}

func series2(f func(x, y float64) any) Impl {
	return func(c *Ctx, a []types.Value) types.Value {
		x, okX := numbers(a[0].D)
		y, okY := numbers(a[1].D)
		if !okX || !okY {
			return c.null()
		}
		out := make([]any, min(len(x), len(y)))
		for i := range out {
			if !math.IsNaN(x[i]) && !math.IsNaN(y[i]) {
				out[i] = f(x[i], y[i])
			}
		}
		return dyn(out)
	}
}

func seriesFuncs() []entry {
	out := []entry{
		{sig: "series_fill_const(series:dynamic, constant:real, missing:any?) dynamic", doc: "Missing elements filled with a constant.", eval: func(c *Ctx, a []types.Value) types.Value {
			x, ok := numbers(a[0].D)
			if !ok {
				return c.null()
			}
			for i := range x {
				if math.IsNaN(x[i]) {
					x[i] = a[1].F
				}
			}
			return series(x)
		}},
		{sig: "series_fill_forward(series:dynamic, missing:any?) dynamic", doc: "Missing elements filled with the last one before.", eval: arrays(func(_ *Ctx, arr []any, _ []types.Value) types.Value { return dyn(fill(arr, 1)) })},
		{sig: "series_fill_backward(series:dynamic, missing:any?) dynamic", doc: "Missing elements filled with the first one behind.", eval: arrays(func(_ *Ctx, arr []any, _ []types.Value) types.Value { return dyn(fill(arr, -1)) })},
		{sig: "series_sum(series:dynamic) real", doc: "Sum of the elements.", eval: func(c *Ctx, a []types.Value) types.Value {
			x, ok := numbers(a[0].D)
			if !ok {
				return c.null()
			}
			s := 0.0
			for _, f := range x {
				if !math.IsNaN(f) {
					s += f
				}
			}
			return types.NewReal(s)
		}},
		{sig: "series_magnitude(series:dynamic) real", doc: "Euclidean length.", eval: func(c *Ctx, a []types.Value) types.Value {
			x, ok := numbers(a[0].D)
			if !ok {
				return c.null()
			}
			s := 0.0
			for _, f := range x {
				s += f * f
			}
			return types.NewReal(math.Sqrt(s))
		}},
		{sig: "series_dot_product(x:dynamic, y:dynamic) real", doc: "Dot product.", eval: dot(false)},
		{sig: "series_cosine_similarity(x:dynamic, y:dynamic) real", doc: "Cosine of the angle between two vectors.", eval: dot(true)},
		{sig: "series_add(x:dynamic, y:dynamic) dynamic", doc: "Sums by element.", eval: series2(func(x, y float64) any { return x + y })},
		{sig: "series_subtract(x:dynamic, y:dynamic) dynamic", doc: "Differences by element.", eval: series2(func(x, y float64) any { return x - y })},
		{sig: "series_multiply(x:dynamic, y:dynamic) dynamic", doc: "Products by element.", eval: series2(func(x, y float64) any { return x * y })},
		{sig: "series_divide(x:dynamic, y:dynamic) dynamic", doc: "Quotients by element.", eval: series2(func(x, y float64) any { return x / y })},
		{sig: "series_pow(x:dynamic, y:dynamic) dynamic", doc: "Powers by element.", eval: series2(func(x, y float64) any { return math.Pow(x, y) })},
		{sig: "series_greater(x:dynamic, y:dynamic) dynamic", doc: "Comparison by element.", eval: series2(func(x, y float64) any { return x > y })},
		{sig: "series_greater_equals(x:dynamic, y:dynamic) dynamic", doc: "Comparison by element.", eval: series2(func(x, y float64) any { return x >= y })},
		{sig: "series_less(x:dynamic, y:dynamic) dynamic", doc: "Comparison by element.", eval: series2(func(x, y float64) any { return x < y })},
		{sig: "series_less_equals(x:dynamic, y:dynamic) dynamic", doc: "Comparison by element.", eval: series2(func(x, y float64) any { return x <= y })},
		{sig: "series_equals(x:dynamic, y:dynamic) dynamic", doc: "Comparison by element.", eval: series2(func(x, y float64) any { return x == y })},
		{sig: "series_not_equals(x:dynamic, y:dynamic) dynamic", doc: "Comparison by element.", eval: series2(func(x, y float64) any { return x != y })},
		{sig: "series_stats_dynamic(series:dynamic) dynamic", doc: "Bag with the minimum, maximum, average and deviation of a series.", eval: seriesStats},
	}
	for name, f := range map[string]func(float64) float64{"abs": math.Abs, "exp": math.Exp, "log": math.Log, "sin": math.Sin, "cos": math.Cos, "tan": math.Tan,
		"asin": math.Asin, "acos": math.Acos, "atan": math.Atan, "floor": math.Floor, "ceiling": math.Ceil,
		"sign": func(x float64) float64 {
			switch {
			case x > 0:
				return 1
			case x < 0:
				return -1
			}
			return x
		}} {
		out = append(out, entry{sig: "series_" + name + "(series:dynamic) dynamic", doc: "Function " + name + " by element.", eval: series1(f)})
	}
	return out
}

func fill(arr []any, step int) []any {
	out := append([]any{}, arr...)
	i := 0
	if step < 0 {
		i = len(out) - 1
	}
	for last := any(nil); i >= 0 && i < len(out); i += step {
		if out[i] == nil {
			out[i] = last
		}
		last = out[i]
	}
	return out
}

func dot(cosine bool) Impl {
	return func(c *Ctx, a []types.Value) types.Value {
		x, okX := numbers(a[0].D)
		y, okY := numbers(a[1].D)
		if n := types.Convert(a[1], types.Real); !okY && okX && !n.Null {
			// A number stands for a vector of it.
			y, okY = slices.Repeat([]float64{n.F}, len(x)), true
		}
		if !okX || !okY || len(x) != len(y) {
			return c.null()
		}
		var s, p, q float64
		for i := range x {
			s, p, q = s+x[i]*y[i], p+x[i]*x[i], q+y[i]*y[i]
		}
		if cosine {
			s /= math.Sqrt(p) * math.Sqrt(q)
		}
		return types.NewReal(s)
	}
}

func seriesStats(c *Ctx, a []types.Value) types.Value {
	x, ok := numbers(a[0].D)
	if !ok || len(x) == 0 {
		return c.null()
	}
	var sum, n float64
	lo, hi := math.Inf(1), math.Inf(-1)
	loAt, hiAt := 0, 0
	for i, f := range x {
		if math.IsNaN(f) {
			continue
		}
		sum, n = sum+f, n+1
		if f < lo {
			lo, loAt = f, i
		}
		if f > hi {
			hi, hiAt = f, i
		}
	}
	avg, sq := sum/n, 0.0
	for _, f := range x {
		if !math.IsNaN(f) {
			sq += (f - avg) * (f - avg)
		}
	}
	b := types.NewBag()
	b.Set("min", lo)
	b.Set("min_idx", int64(loAt))
	b.Set("max", hi)
	b.Set("max_idx", int64(hiAt))
	b.Set("avg", avg)
	b.Set("stdev", math.Sqrt(sq/(n-1)))
	b.Set("variance", sq/(n-1))
	b.Set("sum", sum)
	b.Set("len", int64(len(x)))
	return dyn(b)
}
