package funcs

import (
	"math"
	"sort"

	"github.com/vedette-edr/vedette/kql/types"
)

type aggEntry struct {
	sig, doc, prefix, withIf string
	alias                    []string
	multi                    bool
	make                     func(c *Ctx) Acc
}

func (e aggEntry) build() *Agg {
	f := entry{sig: e.sig, doc: e.doc}.build()
	return &Agg{Func: *f, Prefix: e.prefix, If: e.withIf, Multi: e.multi, New: e.make}
}

func aggTable() []aggEntry {
	return []aggEntry{
		{sig: "count(value:any?) long", alias: []string{"cnt"}, withIf: "countif", doc: "Number of rows.", make: func(*Ctx) Acc { return &countAcc{} }},
		{sig: "dcount(value:any, accuracy:long?) long", withIf: "dcountif", alias: []string{"count_distinct"}, doc: "Number of distinct values.", make: func(*Ctx) Acc { return &dcountAcc{seen: map[string]bool{}} }},
		{sig: "sum(value:any)", withIf: "sumif", doc: "Sum.", make: func(c *Ctx) Acc { return &sumAcc{c: c} }},
		{sig: "avg(value:any)", withIf: "avgif", doc: "Average.", make: func(c *Ctx) Acc { return &sumAcc{c: c, avg: true} }},
		{sig: "min(value:same)", withIf: "minif", doc: "Smallest value.", make: func(c *Ctx) Acc { return &bestAcc{c: c, sign: -1} }},
		{sig: "max(value:same)", withIf: "maxif", doc: "Largest value.", make: func(c *Ctx) Acc { return &bestAcc{c: c, sign: 1} }},
		{sig: "arg_max(maximize:any, return:any...)", alias: []string{"argmax"}, withIf: "arg_maxif", multi: true, doc: "Row with the largest value.", make: func(*Ctx) Acc { return &argAcc{sign: 1} }},
		{sig: "arg_min(minimize:any, return:any...)", alias: []string{"argmin"}, withIf: "arg_minif", multi: true, doc: "Row with the smallest value.", make: func(*Ctx) Acc { return &argAcc{sign: -1} }},
		{sig: "take_any(value:any...)", alias: []string{"any"}, withIf: "take_anyif", prefix: "any", multi: true, doc: "Values of some row.", make: func(*Ctx) Acc { return &anyAcc{} }},
		{sig: "make_list(value:any, maxSize:long?) dynamic", alias: []string{"makelist"}, withIf: "make_list_if", prefix: "list", doc: "Array of all values.", make: func(*Ctx) Acc { return &listAcc{} }},
		{sig: "make_list_with_nulls(value:any) dynamic", prefix: "list", doc: "Array of all values, nulls included.", make: func(*Ctx) Acc { return &listAcc{nulls: true} }},
		{sig: "make_set(value:any, maxSize:long?) dynamic", alias: []string{"makeset"}, withIf: "make_set_if", prefix: "set", doc: "Array of the distinct values.", make: func(*Ctx) Acc { return &listAcc{seen: map[string]bool{}} }},
		{sig: "make_bag(value:dynamic, maxSize:long?) dynamic", alias: []string{"make_dictionary"}, withIf: "make_bag_if", prefix: "bag", doc: "Bag of the keys of all bags.", make: func(*Ctx) Acc { return &bagAcc{b: types.NewBag()} }},
		{sig: "stdev(value:real) real", withIf: "stdevif", doc: "Standard deviation of a sample.", make: func(*Ctx) Acc { return &varAcc{sample: true, root: true} }},
		{sig: "stdevp(value:real) real", withIf: "stdevpif", doc: "Standard deviation of a population.", make: func(*Ctx) Acc { return &varAcc{root: true} }},
		{sig: "variance(value:real) real", withIf: "varianceif", doc: "Variance of a sample.", make: func(*Ctx) Acc { return &varAcc{sample: true} }},
		{sig: "variancep(value:real) real", withIf: "variancepif", doc: "Variance of a population.", make: func(*Ctx) Acc { return &varAcc{} }},
		{sig: "covariance(x:real, y:real) real", withIf: "covarianceif", doc: "Covariance of a sample.", make: func(*Ctx) Acc { return &covAcc{sample: true} }},
		{sig: "covariancep(x:real, y:real) real", withIf: "covariancepif", doc: "Covariance of a population.", make: func(*Ctx) Acc { return &covAcc{} }},
		{sig: "percentile(value:same, percentile:real)", doc: "Value at a percentile, by nearest rank.", make: func(c *Ctx) Acc { return &percentileAcc{c: c} }},
		{sig: "percentiles_array(value:any, percentile:any...) dynamic", doc: "Array of the values at percentiles.", make: func(c *Ctx) Acc { return &percentileAcc{c: c, array: true} }},
		{sig: "binary_all_and(value:long) long", doc: "Bits set in all.", make: func(*Ctx) Acc { return &bitAcc{f: func(x, y int64) int64 { return x & y }} }},
		{sig: "binary_all_or(value:long) long", doc: "Bits set in any.", make: func(*Ctx) Acc { return &bitAcc{f: func(x, y int64) int64 { return x | y }} }},
		{sig: "binary_all_xor(value:long) long", doc: "Bits set in an odd number of values.", make: func(*Ctx) Acc { return &bitAcc{f: func(x, y int64) int64 { return x ^ y }} }},
	}
}

func one(v types.Value) []types.Value { return []types.Value{v} }

type countAcc struct{ n int64 }

func (x *countAcc) Add([]types.Value)     { x.n++ }
func (x *countAcc) Result() []types.Value { return one(types.NewLong(x.n)) }

type dcountAcc struct{ seen map[string]bool }

func (x *dcountAcc) Add(a []types.Value) {
	if !a[0].Null {
		x.seen[types.Key(a[0])] = true
	}
}
func (x *dcountAcc) Result() []types.Value { return one(long(len(x.seen))) }

type sumAcc struct {
	c   *Ctx
	n   int64
	i   int64
	f   float64
	dec types.Value
	avg bool
}

func (x *sumAcc) Add(a []types.Value) {
	v := a[0]
	if v.Type == types.Dynamic {
		v = types.Convert(v, types.Real)
	}
	if v.Null {
		return
	}
	x.n++
	x.f += v.Float()
	x.i += v.I
	if v.Type == types.Decimal {
		if x.dec.S == "" {
			x.dec = types.NewDecimal("0")
		}
		x.dec = decimalOp('+', x.dec, v)
	}
}

func (x *sumAcc) Result() []types.Value {
	if x.avg && x.n == 0 {
		if x.c.Result == types.Real {
			return one(types.NewReal(math.NaN()))
		}
		return one(x.c.null())
	}
	switch x.c.Result {
	case types.Real:
		if x.avg {
			return one(types.NewReal(x.f / float64(x.n)))
		}
		return one(types.NewReal(x.f))
	case types.Decimal:
		if x.dec.S == "" {
			x.dec = types.NewDecimal("0")
		}
		if x.avg {
			return one(decimalOp('/', x.dec, types.NewLong(x.n)))
		}
		return one(x.dec)
	}
	if x.avg {
		return one(x.c.integer(int64(x.f / float64(x.n))))
	}
	return one(x.c.integer(x.i))
}

type bestAcc struct {
	c    *Ctx
	sign int
	v    types.Value
	has  bool
}

func (x *bestAcc) Add(a []types.Value) {
	if !a[0].Null && (!x.has || types.Compare(a[0], x.v)*x.sign > 0) {
		x.v, x.has = a[0], true
	}
}

func (x *bestAcc) Result() []types.Value {
	if !x.has {
		return one(x.c.null())
	}
	return one(x.v)
}

type argAcc struct {
	sign int
	row  []types.Value
}

func (x *argAcc) Add(a []types.Value) {
	if x.row == nil || !a[0].Null && (x.row[0].Null || types.Compare(a[0], x.row[0])*x.sign > 0) {
		x.row = append(x.row[:0], a...)
	}
}
func (x *argAcc) Result() []types.Value { return x.row }

type anyAcc struct{ row []types.Value }

func (x *anyAcc) Add(a []types.Value) {
	if x.row == nil {
		x.row = append(x.row, a...)
		return
	}
	// A null gives way to the first value that is none, column by column.
	for i := range a {
		if (x.row[i].Null || empty(x.row[i])) && !a[i].Null {
			x.row[i] = a[i]
		}
	}
}
func (x *anyAcc) Result() []types.Value { return x.row }

type listAcc struct {
	seen  map[string]bool
	nulls bool
	out   []any
}

func (x *listAcc) Add(a []types.Value) {
	limit := int64(MaxArray)
	if len(a) > 1 && !a[1].Null {
		limit = a[1].I
	}
	if int64(len(x.out)) >= limit || a[0].Null && !x.nulls {
		return
	}
	p := types.Payload(a[0])
	if x.seen != nil {
		// A set of arrays is the set of their elements.
		if arr, ok := p.([]any); ok {
			for _, e := range arr {
				x.add(e)
			}
			return
		}
		x.add(p)
		return
	}
	x.out = append(x.out, p)
}

func (x *listAcc) add(p any) {
	if k := keyOf(p); !x.seen[k] {
		x.seen[k] = true
		x.out = append(x.out, p)
	}
}

func (x *listAcc) Result() []types.Value {
	if x.out == nil {
		x.out = []any{}
	}
	return one(dyn(x.out))
}

type bagAcc struct{ b *types.Bag }

func (x *bagAcc) Add(a []types.Value) {
	b, ok := a[0].D.(*types.Bag)
	if !ok {
		return
	}
	for _, k := range b.Keys {
		if _, has := x.b.Get(k); !has && len(x.b.Keys) < MaxArray {
			x.b.Set(k, b.Vals[k])
		}
	}
}
func (x *bagAcc) Result() []types.Value { return one(dyn(x.b)) }

// varAcc is Welford's running variance.
type varAcc struct {
	n, mean, m2  float64
	sample, root bool
}

func (x *varAcc) Add(a []types.Value) {
	if a[0].Null {
		return
	}
	x.n++
	d := a[0].F - x.mean
	x.mean += d / x.n
	x.m2 += d * (a[0].F - x.mean)
}

func (x *varAcc) Result() []types.Value {
	n := x.n
	if x.sample {
		n--
	}
	v := x.m2 / n
	switch {
	case n <= 0 && x.sample:
		v = 0 // the published default, of no value and of one
	case n <= 0:
		v = math.NaN()
	}
	if x.root {
		v = math.Sqrt(v)
	}
	return one(types.NewReal(v))
}

type covAcc struct {
	n, mx, my, c float64
	sample       bool
}

func (x *covAcc) Add(a []types.Value) {
	if a[0].Null || a[1].Null {
		return
	}
	x.n++
	d := a[0].F - x.mx
	x.mx += d / x.n
	x.my += (a[1].F - x.my) / x.n
	x.c += d * (a[1].F - x.my)
}

func (x *covAcc) Result() []types.Value {
	n := x.n
	if x.sample {
		n--
	}
	if n <= 0 {
		return one(types.NewReal(math.NaN()))
	}
	return one(types.NewReal(x.c / n))
}

type percentileAcc struct {
	c     *Ctx
	array bool
	vals  []types.Value
	at    []types.Value
}

func (x *percentileAcc) Add(a []types.Value) {
	if x.at == nil {
		x.at = append(x.at, a[1:]...)
	}
	if !a[0].Null && !(a[0].Type == types.Real && math.IsNaN(a[0].F)) {
		x.vals = append(x.vals, a[0])
	}
}

func (x *percentileAcc) Result() []types.Value {
	sort.Slice(x.vals, func(i, j int) bool { return types.Compare(x.vals[i], x.vals[j]) < 0 })
	if x.array {
		out := []any{}
		for _, p := range x.at {
			if arr, ok := p.D.([]any); ok {
				for _, e := range arr {
					out = append(out, types.Payload(x.rank(types.Convert(dyn(e), types.Real).F)))
				}
				continue
			}
			out = append(out, types.Payload(x.rank(p.Float())))
		}
		return one(dyn(out))
	}
	if len(x.at) == 0 {
		return one(x.c.null())
	}
	return one(x.rank(x.at[0].Float()))
}

func (x *percentileAcc) rank(p float64) types.Value {
	if len(x.vals) == 0 {
		return x.c.null()
	}
	i := int(math.Ceil(p/100*float64(len(x.vals)))) - 1
	return x.vals[min(max(i, 0), len(x.vals)-1)]
}

type bitAcc struct {
	f   func(x, y int64) int64
	v   int64
	has bool
}

func (x *bitAcc) Add(a []types.Value) {
	switch {
	case a[0].Null:
	case !x.has:
		x.v, x.has = a[0].I, true
	default:
		x.v = x.f(x.v, a[0].I)
	}
}

func (x *bitAcc) Result() []types.Value {
	if !x.has {
		return one(types.Null(types.Long))
	}
	return one(types.NewLong(x.v))
}
