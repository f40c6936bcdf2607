package funcs

import (
	"math"
	"slices"

	"github.com/vedette-edr/vedette/kql/types"
)

// line is a least-squares fit of a series over its indexes.
type line struct {
	slope, at0                float64
	rsquare, variance, rvaria float64
	fit                       []float64
}

// fitLine fits y[lo:hi]; missing elements weigh nothing.
func fitLine(y []float64, lo, hi int) line {
	var n, sx, sy float64
	for i := lo; i < hi; i++ {
		if !math.IsNaN(y[i]) {
			n, sx, sy = n+1, sx+float64(i-lo), sy+y[i]
		}
	}
	l := line{fit: make([]float64, hi-lo)}
	mx, my := sx/n, sy/n
	var sxx, sxy, syy float64
	for i := lo; i < hi; i++ {
		if !math.IsNaN(y[i]) {
			dx, dy := float64(i-lo)-mx, y[i]-my
			sxx, sxy, syy = sxx+dx*dx, sxy+dx*dy, syy+dy*dy
		}
	}
	if sxx > 0 {
		l.slope = sxy / sxx
	}
	l.at0 = my - l.slope*mx
	rest := 0.0
	for i := lo; i < hi; i++ {
		l.fit[i-lo] = l.at0 + l.slope*float64(i-lo)
		if !math.IsNaN(y[i]) {
			rest += (y[i] - l.fit[i-lo]) * (y[i] - l.fit[i-lo])
		}
	}
	l.variance, l.rvaria = syy/n, rest/n
	if n > 1 {
		l.variance, l.rvaria = syy/(n-1), rest/(n-1)
	}
	l.rsquare = 1
	if syy > 0 {
		l.rsquare = 1 - rest/syy
	}
	return l
}

func floats(x []float64) []any {
	out := make([]any, len(x))
	for i, f := range x {
		if !math.IsNaN(f) {
			out[i] = f
		}
	}
	return out
}

func (l line) outs() []any {
	return []any{l.rsquare, l.slope, l.variance, l.rvaria, l.at0, floats(l.fit)}
}

var lineOuts = []Out{{"rsquare", types.Real}, {"slope", types.Real}, {"variance", types.Real}, {"rvariance", types.Real}, {"interception", types.Real}, {"line_fit", types.Dynamic}}

var twoLineOuts = []Out{{"rsquare", types.Real}, {"split_idx", types.Long}, {"variance", types.Real}, {"rvariance", types.Real}, {"line_fit", types.Dynamic},
	{"right_rsquare", types.Real}, {"right_slope", types.Real}, {"right_interception", types.Real}, {"right_variance", types.Real}, {"right_rvariance", types.Real},
	{"left_rsquare", types.Real}, {"left_slope", types.Real}, {"left_interception", types.Real}, {"left_variance", types.Real}, {"left_rvariance", types.Real}}

// twoLines fits two lines at the split that leaves the smallest residual.
func twoLines(y []float64) []any {
	whole := fitLine(y, 0, len(y))
	best, split := math.Inf(1), 1
	for i := 2; i <= len(y)-2; i++ {
		a, b := fitLine(y, 0, i), fitLine(y, i, len(y))
		if r := a.rvaria*float64(i-1) + b.rvaria*float64(len(y)-i-1); r < best {
			best, split = r, i
		}
	}
	l, r := fitLine(y, 0, split), fitLine(y, split, len(y))
	rest := best / float64(len(y)-1)
	rsq := 1.0
	if whole.variance > 0 {
		rsq = 1 - rest/whole.variance
	}
	return []any{rsq, int64(split), whole.variance, rest, append(floats(l.fit), floats(r.fit)...),
		r.rsquare, r.slope, r.at0, r.variance, r.rvaria, l.rsquare, l.slope, l.at0, l.variance, l.rvaria}
}

// outputs wraps a function of one series with several results.
func outputs(least int, f func(x []float64, a []types.Value) []any) Impl {
	return func(c *Ctx, a []types.Value) types.Value {
		x, ok := numbers(a[0].D)
		if !ok || len(x) < least || len(x) > maxSeries {
			return types.Null(types.Dynamic)
		}
		out := f(x, a)
		if out == nil {
			return types.Null(types.Dynamic)
		}
		return dyn(out)
	}
}

// maxSeries bounds the series of functions that take more than linear time.
const maxSeries = 1 << 16

// bag wraps a function of several outputs as one that answers a bag.
func bagOf(outs []Out, f Impl) Impl {
	return func(c *Ctx, a []types.Value) types.Value {
		v := f(c, a)
		list, ok := v.D.([]any)
		if !ok {
			return c.null()
		}
		b := types.NewBag()
		for i, o := range outs {
			b.Set(o.Name, list[i])
		}
		return dyn(b)
	}
}

// fitPoly solves the normal equations of a polynomial over x scaled to [-1, 1].
func fitPoly(x, y []float64, degree int) (coef []float64, rsquare, variance, rvariance float64, fit []float64, ok bool) {
	n := degree + 1
	if len(y) < n || len(x) != len(y) {
		return nil, 0, 0, 0, nil, false
	}
	m := make([][]float64, n)
	for i := range m {
		m[i] = make([]float64, n+1)
	}
	for k := range y {
		if math.IsNaN(y[k]) || math.IsNaN(x[k]) {
			continue
		}
		pow := make([]float64, 2*n-1)
		pow[0] = 1
		for i := 1; i < len(pow); i++ {
			pow[i] = pow[i-1] * x[k]
		}
		for i := range m {
			for j := 0; j < n; j++ {
				m[i][j] += pow[i+j]
			}
			m[i][n] += pow[i] * y[k]
		}
	}
	for i := range m {
		p := i
		for r := i + 1; r < n; r++ {
			if math.Abs(m[r][i]) > math.Abs(m[p][i]) {
				p = r
			}
		}
		m[i], m[p] = m[p], m[i]
		if m[i][i] == 0 {
			return nil, 0, 0, 0, nil, false
		}
		for r := range m {
			if r != i {
				f := m[r][i] / m[i][i]
				for j := i; j <= n; j++ {
					m[r][j] -= f * m[i][j]
				}
			}
		}
	}
	coef = make([]float64, n)
	for i := range m {
		coef[i] = m[i][n] / m[i][i]
	}
	mean, count := 0.0, 0.0
	fit = make([]float64, len(y))
	for k := range y {
		for i := n - 1; i >= 0; i-- {
			fit[k] = fit[k]*x[k] + coef[i]
		}
		if !math.IsNaN(y[k]) {
			mean, count = mean+y[k], count+1
		}
	}
	mean /= count
	var all, rest float64
	for k := range y {
		if !math.IsNaN(y[k]) {
			all, rest = all+(y[k]-mean)*(y[k]-mean), rest+(y[k]-fit[k])*(y[k]-fit[k])
		}
	}
	rsquare = 1
	if all > 0 {
		rsquare = 1 - rest/all
	}
	return coef, rsquare, all / max(count-1, 1), rest / max(count-1, 1), fit, true
}

func polyOuts(c *Ctx, a []types.Value) types.Value {
	y, ok := numbers(a[0].D)
	if !ok || len(y) > maxSeries {
		return types.Null(types.Dynamic)
	}
	degree, x := int64(2), make([]float64, len(y))
	for i := range x {
		x[i] = float64(i)
	}
	for _, v := range a[1:] {
		if arr, ok := numbers(v.D); ok && v.Type == types.Dynamic {
			x = arr
		} else if d := types.Convert(v, types.Long); !d.Null {
			degree = d.I
		}
	}
	if degree < 0 || degree > 5 {
		return types.Null(types.Dynamic)
	}
	coef, r2, v, rv, fit, ok := fitPoly(x, y, int(degree))
	if !ok {
		return types.Null(types.Dynamic)
	}
	return dyn([]any{r2, floats(coef), v, rv, floats(fit)})
}

var polyOutNames = []Out{{"rsquare", types.Real}, {"coefficients", types.Dynamic}, {"variance", types.Real}, {"rvariance", types.Real}, {"poly_fit", types.Dynamic}}

func pearson(c *Ctx, a []types.Value) types.Value {
	x, okX := numbers(a[0].D)
	y, okY := numbers(a[1].D)
	if !okX || !okY || len(x) != len(y) || len(x) == 0 {
		return c.null()
	}
	var mx, my float64
	for i := range x {
		mx, my = mx+x[i]/float64(len(x)), my+y[i]/float64(len(x))
	}
	var sxy, sxx, syy float64
	for i := range x {
		sxy, sxx, syy = sxy+(x[i]-mx)*(y[i]-my), sxx+(x[i]-mx)*(x[i]-mx), syy+(y[i]-my)*(y[i]-my)
	}
	return types.NewReal(sxy / math.Sqrt(sxx*syy))
}

// quantile interpolates between the sorted values.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// outlierScores scores each element by how far beyond Tukey's fences it lies, in units of
// the range between the two quantiles; 0 within it. Only the first learn elements make
// the fences.
func outlierScores(x []float64, lo, hi float64, learn int) []float64 {
	var s []float64
	for _, f := range x[:learn] {
		if !math.IsNaN(f) {
			s = append(s, f)
		}
	}
	slices.Sort(s)
	a, b := quantile(s, lo), quantile(s, hi)
	out := make([]float64, len(x))
	for i, f := range x {
		switch {
		case math.IsNaN(f) || a <= f && f <= b:
		case b == a:
			out[i] = math.Inf(int(math.Copysign(1, f-b)))
		case f > b:
			out[i] = (f - b) / (b - a)
		default:
			out[i] = (f - a) / (b - a)
		}
	}
	return out
}

func fences(kind string, lo, hi float64) (float64, float64) {
	if kind == "tukey" {
		return 0.25, 0.75
	}
	if lo > 0 || hi > 0 {
		return lo / 100, hi / 100
	}
	return 0.1, 0.9
}
