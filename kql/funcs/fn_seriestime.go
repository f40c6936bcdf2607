package funcs

import (
	"math"
	"math/bits"
	"math/cmplx"
	"slices"
	"sort"

	"github.com/vedette-edr/vedette/kql/types"
)

// fft is the discrete Fourier transform of any length; inverse leaves out the division.
func fft(x []complex128, inverse bool) []complex128 {
	n := len(x)
	if n <= 1 {
		return slices.Clone(x)
	}
	sign := -1.0
	if inverse {
		sign = 1
	}
	if n&(n-1) == 0 {
		out := make([]complex128, n)
		shift := bits.LeadingZeros64(uint64(n)) + 1
		for i := range x {
			out[bits.Reverse64(uint64(i))>>shift] = x[i]
		}
		for size := 2; size <= n; size *= 2 {
			for at := 0; at < n; at += size {
				for k := 0; k < size/2; k++ {
					w := cmplx.Rect(1, sign*2*math.Pi*float64(k)/float64(size))
					a, b := out[at+k], w*out[at+k+size/2]
					out[at+k], out[at+k+size/2] = a+b, a-b
				}
			}
		}
		return out
	}
	// Bluestein: a transform of any length is a convolution, made with one of a power of two.
	m := 1
	for m < 2*n {
		m *= 2
	}
	chirp := func(i int) complex128 {
		return cmplx.Rect(1, sign*math.Pi*float64(i*i%(2*n))/float64(n))
	}
	a, b := make([]complex128, m), make([]complex128, m)
	for i := range x {
		a[i] = x[i] * chirp(i)
		b[i] = cmplx.Conj(chirp(i))
		if i > 0 {
			b[m-i] = b[i]
		}
	}
	fa, fb := fft(a, false), fft(b, false)
	for i := range fa {
		fa[i] *= fb[i]
	}
	conv := fft(fa, true)
	out := make([]complex128, n)
	for i := range out {
		out[i] = conv[i] / complex(float64(m), 0) * chirp(i)
	}
	return out
}

func seriesFFT(inverse bool) Impl {
	return func(c *Ctx, a []types.Value) types.Value {
		re, ok := numbers(a[0].D)
		if !ok || len(re) > maxSeries {
			return types.Null(types.Dynamic)
		}
		x := make([]complex128, len(re))
		for i := range re {
			x[i] = complex(re[i], 0)
		}
		if len(a) > 1 {
			im, ok := numbers(a[1].D)
			if !ok || len(im) != len(re) {
				return types.Null(types.Dynamic)
			}
			for i := range im {
				x[i] = complex(re[i], im[i])
			}
		}
		y := fft(x, inverse)
		r, m := make([]any, len(y)), make([]any, len(y))
		for i, v := range y {
			if inverse {
				v /= complex(float64(len(y)), 0)
			}
			r[i], m[i] = real(v), imag(v)
		}
		return dyn([]any{r, m})
	}
}

// fir filters with a finite response; centred, the window lies around the element.
func fir(c *Ctx, a []types.Value) types.Value {
	x, okX := numbers(a[0].D)
	f, okF := numbers(a[1].D)
	if !okX || !okF || len(f) == 0 || len(x)*len(f) > 1<<26 {
		return c.null()
	}
	normalize := len(a) < 3 || a[2].True()
	shift := 0
	if len(a) > 3 && a[3].True() {
		shift = len(f) / 2
	}
	sum := 0.0
	for _, w := range f {
		sum += w
	}
	if !normalize || sum == 0 {
		sum = 1
	}
	out := make([]float64, len(x))
	for i := range x {
		for j, w := range f {
			if k := i + shift - j; k >= 0 && k < len(x) {
				out[i] += x[k] * w
			}
		}
		out[i] /= sum
	}
	return series(out)
}

func iir(c *Ctx, a []types.Value) types.Value {
	x, okX := numbers(a[0].D)
	num, okN := numbers(a[1].D)
	den, okD := numbers(a[2].D)
	if !okX || !okN || !okD || len(den) == 0 || den[0] == 0 || len(x)*(len(num)+len(den)) > 1<<26 {
		return c.null()
	}
	y := make([]float64, len(x))
	for i := range x {
		for j, b := range num {
			if i >= j {
				y[i] += b * x[i-j]
			}
		}
		for j := 1; j < len(den) && j <= i; j++ {
			y[i] -= den[j] * y[i-j]
		}
		y[i] /= den[0]
	}
	return series(y)
}

// autocorrelation is the correlation of a series with itself moved by lag.
func autocorrelation(x []float64, lag int) float64 {
	n := len(x) - lag
	if lag <= 0 || n < 2 {
		return 0
	}
	var ma, mb float64
	for i := 0; i < n; i++ {
		ma, mb = ma+x[i]/float64(n), mb+x[i+lag]/float64(n)
	}
	var sab, saa, sbb float64
	for i := 0; i < n; i++ {
		u, v := x[i]-ma, x[i+lag]-mb
		sab, saa, sbb = sab+u*v, saa+u*u, sbb+v*v
	}
	if saa == 0 || sbb == 0 {
		return 0
	}
	return max(sab/math.Sqrt(saa*sbb), 0)
}

func filled(x []float64) []float64 {
	out := slices.Clone(x)
	last := 0.0
	for i, f := range out {
		if math.IsNaN(f) {
			out[i] = last
		}
		last = out[i]
	}
	return out
}

type period struct{ length, score float64 }

// periodsOf finds the lags at which a series resembles itself most: the local maxima of
// its autocorrelation, multiples of a better one left out.
func periodsOf(x []float64, lo, hi float64, n int) []period {
	x = filled(x)
	l := fitLine(x, 0, len(x))
	for i := range x {
		x[i] -= l.fit[i]
	}
	var found []period
	top := min(int(hi), len(x)/2)
	if len(x)*top > 1<<26 {
		top = (1 << 26) / len(x)
	}
	score := make([]float64, top+2)
	for lag := 1; lag <= top+1; lag++ {
		score[lag] = autocorrelation(x, lag)
	}
	for lag := max(int(math.Ceil(lo)), 2); lag <= top; lag++ {
		if score[lag] > score[lag-1] && score[lag] >= score[lag+1] && score[lag] > 0.1 {
			found = append(found, period{float64(lag), score[lag]})
		}
	}
	// A multiple of a period scores about as well as the period itself, by chance better:
	// of two in tune the shorter one counts.
	for i := range found {
		for j := range found[:i] {
			r := found[i].length / found[j].length
			if math.Abs(r-math.Round(r)) < 0.1 && found[j].score > 0.9*found[i].score {
				found[i].score = min(found[i].score, found[j].score-1e-6)
			}
		}
	}
	sort.SliceStable(found, func(i, j int) bool { return found[i].score > found[j].score+1e-9 })
	var out []period
	for _, p := range found {
		multiple := slices.ContainsFunc(out, func(o period) bool {
			r := p.length / o.length
			return r > 1 && math.Abs(r-math.Round(r)) < 0.1
		})
		if !multiple && len(out) < n {
			out = append(out, p)
		}
	}
	for len(out) < n {
		out = append(out, period{})
	}
	return out
}

func periodOuts(list []period) []any {
	p, s := []any{}, []any{}
	for _, x := range list {
		p, s = append(p, x.length), append(s, x.score)
	}
	return []any{p, s}
}

// parts is a series taken apart: baseline = seasonal + trend, series = baseline + residual.
type parts struct{ baseline, seasonal, trend, residual []float64 }

// decompose learns from all but the last test elements. seasonality is a period, 0 for
// none, -1 to find it.
func decompose(x []float64, seasonality int, trend string, test int, threshold float64) parts {
	n := len(x)
	learn := n - min(max(test, 0), n-1)
	y := filled(x)
	p := parts{make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)}
	switch trend {
	case "linefit":
		l := fitLine(y[:learn], 0, learn)
		for i := range p.trend {
			p.trend[i] = l.at0 + l.slope*float64(i)
		}
	case "none":
	default:
		mean := 0.0
		for _, f := range y[:learn] {
			mean += f / float64(learn)
		}
		for i := range p.trend {
			p.trend[i] = mean
		}
	}
	if seasonality < 0 {
		seasonality = 0
		if best := periodsOf(y[:learn], 2, float64(learn)/2, 1)[0]; best.score > threshold {
			seasonality = int(best.length)
		}
	}
	if seasonality > 1 && seasonality <= learn/2 {
		// The season is the median of each of its places: an outlier does not shift it.
		places := make([][]float64, seasonality)
		for i := 0; i < learn; i++ {
			places[i%seasonality] = append(places[i%seasonality], y[i]-p.trend[i])
		}
		for i := range p.seasonal {
			p.seasonal[i] = median(places[i%seasonality])
		}
	}
	for i := range x {
		p.baseline[i] = p.trend[i] + p.seasonal[i]
		p.residual[i] = x[i] - p.baseline[i]
	}
	return p
}

// decomposeArgs reads seasonality, trend, test points and threshold from position at on.
func decomposeArgs(a []types.Value, at int) (season int, trend string, test int, threshold float64) {
	season, trend, threshold = -1, "avg", 0.6
	get := func(i int) (types.Value, bool) {
		if len(a) > at+i && !a[at+i].Null {
			return a[at+i], true
		}
		return types.Value{}, false
	}
	if v, ok := get(0); ok {
		season = int(types.Convert(v, types.Long).I)
	}
	if v, ok := get(1); ok {
		trend = v.Text()
	}
	if v, ok := get(2); ok {
		test = int(types.Convert(v, types.Long).I)
	}
	return season, trend, test, threshold
}

func seriesTimeFuncs() []entry {
	two := []Out{{"baseline", types.Dynamic}, {"seasonal", types.Dynamic}, {"trend", types.Dynamic}, {"residual", types.Dynamic}}
	line1 := outputs(1, func(x []float64, _ []types.Value) []any { return fitLine(x, 0, len(x)).outs() })
	line2 := outputs(4, func(x []float64, _ []types.Value) []any {
		if len(x) > 4096 {
			return nil
		}
		return twoLines(x)
	})
	bagOuts := []Out{{"rsquare", types.Real}, {"slope", types.Real}, {"variance", types.Real}, {"rvariance", types.Real}, {"interception", types.Real}, {"line_fit", types.Dynamic}}
	statsOuts := []Out{{"min", types.Real}, {"min_idx", types.Long}, {"max", types.Real}, {"max_idx", types.Long}, {"avg", types.Real}, {"stdev", types.Real}, {"variance", types.Real}}
	return []entry{
		{sig: "series_stats(series:dynamic, ignoreNonfinite:bool?) dynamic", outs: statsOuts, doc: "Minimum, maximum, average and deviation of a series, in seven columns.", eval: func(c *Ctx, a []types.Value) types.Value {
			b, ok := seriesStats(c, a[:1]).D.(*types.Bag)
			if !ok {
				return c.null()
			}
			out := make([]any, len(statsOuts))
			for i, o := range statsOuts {
				out[i], _ = b.Get(o.Name)
			}
			return dyn(out)
		}},
		{sig: "series_fit_line(series:dynamic) dynamic", outs: lineOuts, doc: "Line fitted to a series, in six columns.", eval: line1},
		{sig: "series_fit_line_dynamic(series:dynamic) dynamic", doc: "Line fitted to a series, as a bag.", eval: bagOf(bagOuts, line1)},
		{sig: "series_fit_2lines(series:dynamic) dynamic", outs: twoLineOuts, doc: "Two lines fitted to a series, in fifteen columns.", eval: line2},
		{sig: "series_fit_2lines_dynamic(series:dynamic) dynamic", doc: "Two lines fitted to a series, as a bag.", eval: bagOf(twoLineOuts, line2)},
		{sig: "series_fit_poly(y:dynamic, more:any...?) dynamic", outs: polyOutNames, doc: "Polynomial fitted to a series: series_fit_poly(y, [x], [degree]).", eval: polyOuts},
		{sig: "series_pearson_correlation(x:dynamic, y:dynamic) real", doc: "Pearson's correlation coefficient.", eval: pearson},
		{sig: "series_product(series:dynamic) real", doc: "Product of the elements.", eval: func(c *Ctx, a []types.Value) types.Value {
			x, ok := numbers(a[0].D)
			if !ok {
				return c.null()
			}
			p := 1.0
			for _, f := range x {
				if !math.IsNaN(f) {
					p *= f
				}
			}
			return types.NewReal(p)
		}},
		{sig: "series_fft(re:dynamic, im:dynamic?) dynamic", outs: []Out{{"real", types.Dynamic}, {"imag", types.Dynamic}}, doc: "Fourier transform: real and imaginary part.", eval: seriesFFT(false)},
		{sig: "series_ifft(re:dynamic, im:dynamic?) dynamic", outs: []Out{{"real", types.Dynamic}, {"imag", types.Dynamic}}, doc: "Inverse Fourier transform: real and imaginary part.", eval: seriesFFT(true)},
		{sig: "series_fir(series:dynamic, filter:dynamic, normalize:bool?, center:bool?) dynamic", doc: "Series filtered with a finite response.", eval: fir},
		{sig: "series_iir(series:dynamic, numerators:dynamic, denominators:dynamic) dynamic", doc: "Series filtered with an infinite response.", eval: iir},
		{sig: "series_fill_linear(series:dynamic, missing:any?, fillEdges:bool?, edge:any?) dynamic", doc: "Missing elements interpolated.", eval: fillLinear},
		{sig: "series_outliers(series:dynamic, kind:string?, ignore:any?, low:real?, high:real?) dynamic", nulls: true, doc: "Score of each element by how far it lies outside the bulk.", eval: func(c *Ctx, a []types.Value) types.Value {
			x, ok := numbers(a[0].D)
			if !ok {
				return c.null()
			}
			kind, lo, hi := "ctukey", 0.0, 0.0
			if len(a) > 1 && a[1].S != "" {
				kind = a[1].S
			}
			if len(a) > 4 {
				lo, hi = a[3].F, a[4].F
			}
			lo, hi = fences(kind, lo, hi)
			return series(outlierScores(x, lo, hi, len(x)))
		}},
		{sig: "series_periods_detect(series:dynamic, min:real, max:real, count:long) dynamic", outs: []Out{{"periods", types.Dynamic}, {"scores", types.Dynamic}}, doc: "Strongest periods of a series and their scores.", eval: outputs(1, func(x []float64, a []types.Value) []any {
			return periodOuts(periodsOf(x, a[1].F, a[2].F, int(min(max(a[3].I, 1), 100))))
		})},
		{sig: "series_periods_validate(series:dynamic, period:real...) dynamic", outs: []Out{{"periods", types.Dynamic}, {"scores", types.Dynamic}}, doc: "Scores of given periods of a series.", eval: outputs(1, func(x []float64, a []types.Value) []any {
			x = filled(x)
			var list []period
			for _, p := range a[1:] {
				list = append(list, period{p.F, autocorrelation(x, int(math.Round(p.F)))})
			}
			return periodOuts(list)
		})},
		{sig: "series_seasonal(series:dynamic, period:long?) dynamic", doc: "Seasonal part of a series.", eval: func(c *Ctx, a []types.Value) types.Value {
			x, ok := numbers(a[0].D)
			if !ok || len(x) == 0 || len(x) > maxSeries {
				return c.null()
			}
			p := -1
			if len(a) > 1 {
				p = int(a[1].I)
			}
			d := decompose(x, p, "none", 0, 0)
			return series(d.seasonal)
		}},
		{sig: "series_decompose(series:dynamic, seasonality:long?, trend:string?, testPoints:long?, threshold:real?) dynamic", nulls: true, outs: two, doc: "Series taken apart into baseline, seasonal, trend and residual.", eval: outputs(1, func(x []float64, a []types.Value) []any {
			season, trend, test, th := decomposeArgs(a, 1)
			p := decompose(x, season, trend, test, th)
			return []any{floats(p.baseline), floats(p.seasonal), floats(p.trend), floats(p.residual)}
		})},
		{sig: "series_decompose_anomalies(series:dynamic, threshold:real?, seasonality:long?, trend:string?, testPoints:long?, method:string?, seasonalityThreshold:real?) dynamic", nulls: true,
			outs: []Out{{"ad_flag", types.Dynamic}, {"ad_score", types.Dynamic}, {"baseline", types.Dynamic}}, doc: "Anomalies of a series: flags of -1, 0 and 1, scores, and the baseline.", eval: outputs(1, anomalies)},
		{sig: "series_decompose_forecast(series:dynamic, points:long, seasonality:long?, trend:string?, threshold:real?) dynamic", nulls: true,
			outs: []Out{{"forecast", types.Dynamic}, {"seasonal", types.Dynamic}, {"trend", types.Dynamic}, {"residual", types.Dynamic}}, doc: "Forecast of the last points of a series from those before.", eval: outputs(1, func(x []float64, a []types.Value) []any {
				season, trend, _, th := decomposeArgs(a, 2)
				if len(a) < 4 {
					trend = "linefit"
				}
				p := decompose(x, season, trend, int(a[1].I), th)
				return []any{floats(p.baseline), floats(p.seasonal), floats(p.trend), floats(p.residual)}
			})},
	}
}

func anomalies(x []float64, a []types.Value) []any {
	limit := 1.5
	if len(a) > 1 && !a[1].Null {
		limit = a[1].F
	}
	season, trend, test, th := decomposeArgs(a, 2)
	p := decompose(x, season, trend, test, th)
	kind := "ctukey"
	if len(a) > 5 && a[5].S != "" {
		kind = a[5].S
	}
	lo, hi := fences(kind, 0, 0)
	score := outlierScores(p.residual, lo, hi, len(x)-min(max(test, 0), len(x)-1))
	flags := make([]any, len(x))
	for i, s := range score {
		flags[i] = int64(0)
		if math.Abs(s) >= limit {
			flags[i] = int64(math.Copysign(1, s))
		}
	}
	return []any{flags, floats(score), floats(p.baseline)}
}

func fillLinear(c *Ctx, a []types.Value) types.Value {
	x, ok := numbers(a[0].D)
	if !ok {
		return c.null()
	}
	if len(a) > 1 {
		if m := types.Convert(a[1], types.Real); !m.Null {
			for i := range x {
				if x[i] == m.F {
					x[i] = math.NaN()
				}
			}
		}
	}
	edges := len(a) < 3 || a[2].True()
	last := -1
	for i := 0; i <= len(x); i++ {
		if i < len(x) && math.IsNaN(x[i]) {
			continue
		}
		for j := last + 1; j < i; j++ {
			switch {
			case last >= 0 && i < len(x):
				x[j] = x[last] + (x[i]-x[last])*float64(j-last)/float64(i-last)
			case !edges:
			case last >= 0:
				x[j] = x[last]
			case i < len(x):
				x[j] = x[i]
			}
		}
		last = i
	}
	return series(x)
}

// median of a list, which it sorts; 0 of none.
func median(x []float64) float64 {
	sort.Float64s(x)
	n := len(x)
	switch {
	case n == 0:
		return 0
	case n%2 == 1:
		return x[n/2]
	}
	return (x[n/2-1] + x[n/2]) / 2
}
