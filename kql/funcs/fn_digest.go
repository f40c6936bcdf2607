package funcs

import (
	"math"
	"sort"
	"strings"

	"github.com/vedette-edr/vedette/kql/types"
)

// A digest of values is a dynamic, so that it can be stored and merged like any other:
// {"tdigest": [[value, weight], …]} in ascending order. Up to maxCentroids it is exact;
// beyond, neighbours are merged where the distribution is dense.
const maxCentroids = 2000

type centroid struct{ v, w float64 }

type digest []centroid

func digestOf(d any) (digest, bool) {
	b, ok := d.(*types.Bag)
	if !ok {
		return nil, false
	}
	raw, _ := b.Get("tdigest")
	list, ok := raw.([]any)
	if !ok {
		return nil, false
	}
	out := make(digest, 0, len(list))
	for _, e := range list {
		pair, ok := e.([]any)
		if !ok || len(pair) != 2 {
			return nil, false
		}
		v, w := types.Convert(dyn(pair[0]), types.Real), types.Convert(dyn(pair[1]), types.Real)
		if v.Null || w.Null || !(w.F > 0) {
			return nil, false
		}
		out = append(out, centroid{v.F, w.F})
	}
	return out, true
}

func (d digest) value() types.Value {
	d = d.compress(maxCentroids)
	list := make([]any, len(d))
	for i, c := range d {
		list[i] = []any{c.v, c.w}
	}
	b := types.NewBag()
	b.Set("tdigest", list)
	return dyn(b)
}

// compress sorts, joins equal values, and merges neighbours until at most n are left; a
// centroid may weigh the more the nearer it is to the median.
func (d digest) compress(n int) digest {
	sort.Slice(d, func(i, j int) bool { return d[i].v < d[j].v })
	out := d[:0]
	total := 0.0
	for _, c := range d {
		total += c.w
		if k := len(out) - 1; k >= 0 && out[k].v == c.v {
			out[k].w += c.w
		} else {
			out = append(out, c)
		}
	}
	for limit := 4 * total / float64(n); len(out) > n; limit *= 1.5 {
		merged, seen := out[:1], 0.0
		for _, c := range out[1:] {
			last := &merged[len(merged)-1]
			q := (seen + last.w) / total
			if last.w+c.w <= limit*q*(1-q)+1e-9 {
				last.v = (last.v*last.w + c.v*c.w) / (last.w + c.w)
				last.w += c.w
				continue
			}
			seen += last.w
			merged = append(merged, c)
		}
		if len(merged) == len(out) && math.IsInf(limit, 1) {
			break
		}
		out = merged
	}
	return out
}

// at is the value at a percentile by nearest rank.
func (d digest) at(p float64) (float64, bool) {
	total := 0.0
	for _, c := range d {
		total += c.w
	}
	want, sum := math.Ceil(p/100*total-1e-9), 0.0
	for _, c := range d {
		if sum += c.w; sum >= want {
			return c.v, true
		}
	}
	if len(d) == 0 {
		return 0, false
	}
	return d[len(d)-1].v, true
}

// rank is how many of the values are at most v.
func (d digest) rank(v float64) (below, total float64) {
	for _, c := range d {
		if c.v <= v {
			below += c.w
		}
		total += c.w
	}
	return below, total
}

type digestAcc struct{ d digest }

func (x *digestAcc) Add(a []types.Value) {
	v := types.Convert(a[0], types.Real)
	if a[0].Type == types.Datetime || a[0].Type == types.Timespan {
		v = types.NewReal(float64(a[0].I))
	}
	w := 1.0
	if len(a) > 1 && !a[1].Null {
		w = types.Convert(a[1], types.Real).F
	}
	if v.Null || math.IsNaN(v.F) || !(w > 0) {
		return
	}
	if x.d = append(x.d, centroid{v.F, w}); len(x.d) > 8*maxCentroids {
		x.d = x.d.compress(maxCentroids)
	}
}

func (x *digestAcc) Result() []types.Value { return one(x.d.value()) }

type digestMergeAcc struct{ d digest }

func (x *digestMergeAcc) Add(a []types.Value) {
	if d, ok := digestOf(a[0].D); ok {
		if x.d = append(x.d, d...); len(x.d) > 8*maxCentroids {
			x.d = x.d.compress(maxCentroids)
		}
	}
}

func (x *digestMergeAcc) Result() []types.Value { return one(x.d.value()) }

// weightedAcc is percentilew and its like: exact, each value as often as its weight says.
type weightedAcc struct {
	c    *Ctx
	vals []types.Value
	ws   []float64
	at   []types.Value
	list bool
}

func (x *weightedAcc) Add(a []types.Value) {
	if x.at == nil {
		x.at = append(x.at, a[2:]...)
	}
	if w := types.Convert(a[1], types.Real); !a[0].Null && !w.Null && w.F > 0 {
		x.vals, x.ws = append(x.vals, a[0]), append(x.ws, w.F)
	}
}

func (x *weightedAcc) Result() []types.Value {
	order := make([]int, len(x.vals))
	total := 0.0
	for i := range order {
		order[i] = i
		total += x.ws[i]
	}
	sort.SliceStable(order, func(i, j int) bool { return types.Compare(x.vals[order[i]], x.vals[order[j]]) < 0 })
	pick := func(p float64) types.Value {
		want, sum := math.Ceil(p/100*total-1e-9), 0.0
		for _, i := range order {
			if sum += x.ws[i]; sum >= want {
				return x.vals[i]
			}
		}
		if n := len(order); n > 0 {
			return x.vals[order[n-1]]
		}
		return x.c.null()
	}
	var ps []float64
	for _, p := range x.at {
		if arr, ok := p.D.([]any); ok {
			for _, e := range arr {
				ps = append(ps, types.Convert(dyn(e), types.Real).F)
			}
			continue
		}
		ps = append(ps, types.Convert(p, types.Real).F)
	}
	if !x.list {
		if len(ps) == 0 {
			return one(x.c.null())
		}
		return one(pick(ps[0]))
	}
	out := []any{}
	for _, p := range ps {
		out = append(out, types.Payload(pick(p)))
	}
	return one(dyn(out))
}

// A sketch for counting distinct values keeps the smallest hashes, {"hll": [hash, …]}
// ascending: exact below sketchSize, else estimated from how dense the smallest lie.
const sketchSize = 4096

type sketch map[uint64]bool

func sketchOf(d any) (sketch, bool) {
	b, ok := d.(*types.Bag)
	if !ok {
		return nil, false
	}
	raw, _ := b.Get("hll")
	list, ok := raw.([]any)
	if !ok {
		return nil, false
	}
	s := sketch{}
	for _, e := range list {
		h, ok := e.(int64)
		if !ok {
			return nil, false
		}
		s[uint64(h)^1<<63] = true
	}
	return s, true
}

func (s sketch) hashes() []uint64 {
	list := make([]uint64, 0, len(s))
	for h := range s {
		list = append(list, h)
	}
	sort.Slice(list, func(i, j int) bool { return list[i] < list[j] })
	return list[:min(len(list), sketchSize)]
}

func (s sketch) trim() sketch {
	if len(s) < 4*sketchSize {
		return s
	}
	out := sketch{}
	for _, h := range s.hashes() {
		out[h] = true
	}
	return out
}

func (s sketch) value() types.Value {
	list := []any{}
	for _, h := range s.hashes() {
		list = append(list, int64(h^1<<63))
	}
	b := types.NewBag()
	b.Set("hll", list)
	return dyn(b)
}

func (s sketch) count() int64 {
	list := s.hashes()
	if len(list) < sketchSize {
		return int64(len(list))
	}
	return int64(math.Round((sketchSize - 1) / (float64(list[sketchSize-1]) / math.MaxUint64)))
}

// IntersectSketches estimates how many distinct values all the sketches, made by hll, have
// in common; null when one is no sketch. Below the least density of them all every
// sketch holds each of its hashes, so that those in common are counted there.
func IntersectSketches(values []types.Value) types.Value {
	var common map[uint64]bool
	limit := uint64(math.MaxUint64)
	for _, v := range values {
		s, ok := sketchOf(v.D)
		if !ok {
			return types.Null(types.Long)
		}
		list := s.hashes()
		if len(list) == sketchSize {
			limit = min(limit, list[sketchSize-1])
		}
		both := map[uint64]bool{}
		for _, h := range list {
			if common == nil || common[h] {
				both[h] = true
			}
		}
		common = both
	}
	if limit == math.MaxUint64 {
		return long(len(common))
	}
	n := 0
	for h := range common {
		if h < limit {
			n++
		}
	}
	return types.NewLong(int64(math.Round(float64(n) / (float64(limit) / math.MaxUint64))))
}

type sketchAcc struct{ s sketch }

func (x *sketchAcc) Add(a []types.Value) {
	if !a[0].Null {
		x.s[xxhash(a[0])] = true
		x.s = x.s.trim()
	}
}

func (x *sketchAcc) Result() []types.Value { return one(x.s.value()) }

type sketchMergeAcc struct{ s sketch }

func (x *sketchMergeAcc) Add(a []types.Value) {
	if s, ok := sketchOf(a[0].D); ok {
		for h := range s {
			x.s[h] = true
		}
		x.s = x.s.trim()
	}
}

func (x *sketchMergeAcc) Result() []types.Value { return one(x.s.value()) }

func digestAggs() []aggEntry {
	return []aggEntry{
		{sig: "tdigest(value:any, weight:any?) dynamic", withIf: "tdigest_if", doc: "Digest of a distribution, for percentile_tdigest and its like.", make: func(*Ctx) Acc { return &digestAcc{} }},
		{sig: "tdigest_merge(digest:dynamic) dynamic", alias: []string{"merge_tdigest"}, doc: "Digests merged.", make: func(*Ctx) Acc { return &digestMergeAcc{} }},
		{sig: "hll(value:any, accuracy:long?) dynamic", withIf: "hll_if", doc: "Sketch of distinct values, for dcount_hll.", make: func(*Ctx) Acc { return &sketchAcc{s: sketch{}} }},
		{sig: "hll_merge(sketch:dynamic) dynamic", doc: "Sketches merged.", make: func(*Ctx) Acc { return &sketchMergeAcc{s: sketch{}} }},
		{sig: "percentilew(value:same, weight:any, percentile:real)", doc: "Value at a percentile of weighted values.", make: func(c *Ctx) Acc { return &weightedAcc{c: c} }},
		{sig: "percentilesw_array(value:any, weight:any, percentile:any...) dynamic", doc: "Array of the values at percentiles of weighted values.", make: func(c *Ctx) Acc { return &weightedAcc{c: c, list: true} }},
		{sig: "buildschema(value:dynamic) dynamic", prefix: "schema", doc: "Smallest schema that all values fit.", make: func(*Ctx) Acc { return &schemaAcc{} }},
	}
}

func digestFuncs() []entry {
	asked := func(c *Ctx, v float64, ok bool, a []types.Value) types.Value {
		if !ok {
			return c.null()
		}
		switch c.Result {
		case types.Dynamic:
			return dyn(v)
		case types.Datetime, types.Timespan:
			return types.Value{Type: c.Result, I: int64(v)}
		}
		return types.Convert(types.NewReal(v), c.Result)
	}
	merged := func(a []types.Value) (digest, bool) {
		var out digest
		for _, v := range a {
			d, ok := digestOf(v.D)
			if !ok {
				return nil, false
			}
			out = append(out, d...)
		}
		return out, true
	}
	many := func(c *Ctx, a []types.Value) types.Value {
		d, ok := digestOf(a[0].D)
		if !ok {
			return c.null()
		}
		out := []any{}
		add := func(p types.Value) {
			if v, ok := d.at(types.Convert(p, types.Real).F); ok {
				out = append(out, v)
			}
		}
		for _, p := range a[1:] {
			if arr, ok := p.D.([]any); ok {
				for _, e := range arr {
					add(dyn(e))
				}
				continue
			}
			add(p)
		}
		return dyn(out)
	}
	return []entry{
		{sig: "percentile_tdigest(digest:dynamic, percentile:real, type:typeof?)", doc: "Value at a percentile of a digest.", eval: func(c *Ctx, a []types.Value) types.Value {
			d, ok := digestOf(a[0].D)
			if !ok {
				return c.null()
			}
			v, ok := d.at(a[1].F)
			return asked(c, v, ok, a)
		}},
		{sig: "percentiles_array_tdigest(digest:dynamic, percentile:any...) dynamic", alias: []string{"percentile_array_tdigest"}, doc: "Array of the values at percentiles of a digest.", eval: many},
		{sig: "percentrank_tdigest(digest:dynamic, value:any) real", doc: "Share of the values of a digest that are at most a value, in percent.", eval: func(c *Ctx, a []types.Value) types.Value {
			d, ok := digestOf(a[0].D)
			if !ok || len(d) == 0 {
				return c.null()
			}
			below, total := d.rank(types.Convert(a[1], types.Real).F)
			return types.NewReal(100 * below / total)
		}},
		{sig: "rank_tdigest(digest:dynamic, value:any) real", doc: "How many of the values of a digest are at most a value.", eval: func(c *Ctx, a []types.Value) types.Value {
			d, ok := digestOf(a[0].D)
			if !ok || len(d) == 0 {
				return c.null()
			}
			below, _ := d.rank(types.Convert(a[1], types.Real).F)
			return types.NewReal(below)
		}},
		{sig: "tdigest_merge(digest:dynamic...) dynamic", alias: []string{"merge_tdigest"}, doc: "Digests merged.", eval: func(c *Ctx, a []types.Value) types.Value {
			d, ok := merged(a)
			if !ok {
				return c.null()
			}
			return d.value()
		}},
		{sig: "dcount_hll(sketch:dynamic) long", doc: "Number of distinct values of a sketch.", eval: func(c *Ctx, a []types.Value) types.Value {
			s, ok := sketchOf(a[0].D)
			if !ok {
				return c.null()
			}
			return types.NewLong(s.count())
		}},
		{sig: "hll_merge(sketch:dynamic...) dynamic", doc: "Sketches merged.", eval: func(c *Ctx, a []types.Value) types.Value {
			acc := &sketchMergeAcc{s: sketch{}}
			for _, v := range a {
				acc.Add([]types.Value{v})
			}
			return acc.Result()[0]
		}},
	}
}

// schemaAcc is buildschema: what types stand at each path.
type schemaAcc struct{ root shape }

type shape struct {
	scalars map[string]bool
	bag     *types.Bag // of *shape
	items   *shape
}

func (s *shape) add(d any) {
	name := ""
	switch x := d.(type) {
	case nil:
		return
	case bool:
		name = "bool"
	case int64:
		name = "long"
	case float64:
		name = "double"
	case string:
		name = "string"
		if _, ok := types.ParseGUID(x); ok && len(x) == 36 {
			name = "guid"
		} else if _, ok := types.ParseDatetime(x); ok && strings.Contains(x, "T") {
			name = "datetime"
		}
	case []any:
		if s.items == nil {
			s.items = &shape{}
		}
		for _, e := range x {
			s.items.add(e)
		}
		return
	case *types.Bag:
		if s.bag == nil {
			s.bag = types.NewBag()
		}
		for _, k := range x.Keys {
			sub, ok := s.bag.Get(k)
			if !ok {
				sub = &shape{}
				s.bag.Set(k, sub)
			}
			sub.(*shape).add(x.Vals[k])
		}
		return
	}
	if s.scalars == nil {
		s.scalars = map[string]bool{}
	}
	s.scalars[name] = true
}

func (s *shape) schema() any {
	var alts []any
	if s.bag != nil || s.items != nil {
		b := types.NewBag()
		if s.items != nil {
			b.Set("`indexer`", s.items.schema())
		}
		if s.bag != nil {
			for _, k := range s.bag.Keys {
				b.Set(k, s.bag.Vals[k].(*shape).schema())
			}
		}
		alts = append(alts, b)
	}
	for _, n := range []string{"bool", "long", "double", "datetime", "guid", "string"} {
		if s.scalars[n] {
			alts = append(alts, n)
		}
	}
	switch len(alts) {
	case 0:
		return "null"
	case 1:
		return alts[0]
	}
	return alts
}

func (x *schemaAcc) Add(a []types.Value)   { x.root.add(a[0].D) }
func (x *schemaAcc) Result() []types.Value { return one(dyn(x.root.schema())) }
