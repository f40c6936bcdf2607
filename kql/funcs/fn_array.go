package funcs

import (
	"math"
	"slices"
	"sort"

	"github.com/vedette-edr/vedette/kql/types"
)

func sortStrings(s []string) { sort.Strings(s) }

// arrays runs f on an array argument; other dynamics give null.
func arrays(f func(c *Ctx, arr []any, a []types.Value) types.Value) Impl {
	return func(c *Ctx, a []types.Value) types.Value {
		arr, ok := a[0].D.([]any)
		if !ok {
			return c.null()
		}
		return f(c, arr, a)
	}
}

func arrayFuncs() []entry {
	return []entry{
		{sig: "pack_array(value:any...) dynamic", nulls: true, doc: "Array of values.", eval: func(_ *Ctx, a []types.Value) types.Value {
			out := []any{}
			for _, v := range a {
				out = append(out, types.Payload(v))
			}
			return dyn(out)
		}},
		{sig: "array_length(array:dynamic) long", alias: []string{"arraylength"}, doc: "Number of elements; null for no array.", eval: arrays(func(_ *Ctx, arr []any, _ []types.Value) types.Value { return long(len(arr)) })},
		{sig: "array_concat(array:dynamic...) dynamic", nulls: true, doc: "Arrays joined.", eval: func(c *Ctx, a []types.Value) types.Value {
			out := []any{}
			for _, v := range a {
				switch x := v.D.(type) {
				case []any:
					out = append(out, x...)
				case nil:
				default:
					out = append(out, x)
				}
			}
			if len(out) > MaxArray {
				return c.null()
			}
			return dyn(out)
		}},
		{sig: "array_iff(condition:dynamic, then:any, else:any) dynamic", alias: []string{"array_iif"}, doc: "Elements of one or another array by an array of conditions.", eval: arrays(func(_ *Ctx, arr []any, a []types.Value) types.Value {
			pick := func(v types.Value, i int) any {
				if x, ok := v.D.([]any); ok {
					if i < len(x) {
						return x[i]
					}
					return nil
				}
				return types.Payload(v)
			}
			out := make([]any, len(arr))
			for i, c := range arr {
				switch b := types.Convert(dyn(c), types.Bool); {
				case b.Null:
				case b.True():
					out[i] = pick(a[1], i)
				default:
					out[i] = pick(a[2], i)
				}
			}
			return dyn(out)
		})},
		{sig: "array_index_of(array:dynamic, value:any, start:long?, length:long?, occurrence:long?) long", doc: "Position of a value, -1 when absent.", eval: arrays(func(_ *Ctx, arr []any, a []types.Value) types.Value {
			start, occ := 0, int64(1)
			if len(a) > 2 {
				start = int(max(min(a[2].I, int64(len(arr))), -int64(len(arr))))
				if start < 0 {
					start += len(arr)
				}
			}
			end := len(arr)
			if len(a) > 3 && a[3].I >= 0 && a[3].I < int64(end-start) {
				end = start + int(a[3].I)
			}
			if len(a) > 4 {
				occ = a[4].I
			}
			for i := start; i < end; i++ {
				if types.EqualDynamic(arr[i], types.Payload(a[1])) {
					if occ--; occ == 0 {
						return long(i)
					}
				}
			}
			return long(-1)
		})},
		{sig: "array_reverse(array:dynamic) dynamic", doc: "Elements in reverse order.", eval: arrays(func(_ *Ctx, arr []any, _ []types.Value) types.Value {
			out := slices.Clone(arr)
			slices.Reverse(out)
			return dyn(out)
		})},
		{sig: "array_rotate_left(array:dynamic, count:long) dynamic", doc: "Elements rotated to the left.", eval: rotate(1)},
		{sig: "array_rotate_right(array:dynamic, count:long) dynamic", doc: "Elements rotated to the right.", eval: rotate(-1)},
		{sig: "array_shift_left(array:dynamic, count:long, fill:any?) dynamic", doc: "Elements shifted to the left.", eval: shift(1)},
		{sig: "array_shift_right(array:dynamic, count:long, fill:any?) dynamic", doc: "Elements shifted to the right.", eval: shift(-1)},
		{sig: "array_slice(array:dynamic, start:long, end:long) dynamic", doc: "Elements from start to end, both included; negative counts from the end.", eval: arrays(func(_ *Ctx, arr []any, a []types.Value) types.Value {
			n := int64(len(arr))
			at := func(i int64) int64 {
				if i < 0 {
					i += n
				}
				return i
			}
			lo, hi := max(at(a[1].I), 0), min(at(a[2].I), n-1)
			if lo > hi {
				return dyn([]any{})
			}
			return dyn(slices.Clone(arr[lo : hi+1]))
		})},
		{sig: "array_split(array:dynamic, index:any) dynamic", doc: "Array cut at one or several positions.", eval: arrays(arraySplit)},
		{sig: "array_sum(array:dynamic) real", doc: "Sum of the elements.", eval: arrays(func(c *Ctx, arr []any, _ []types.Value) types.Value {
			s := 0.0
			for _, e := range arr {
				v := types.Convert(dyn(e), types.Real)
				if v.Null {
					return c.null()
				}
				s += v.F
			}
			return types.NewReal(s)
		})},
		{sig: "array_sort_asc(array:dynamic, more:any...?) dynamic", doc: "Elements in ascending order; further arrays are ordered alike, a last bool says whether nulls come last.", eval: arrays(arraySort(1))},
		{sig: "array_sort_desc(array:dynamic, more:any...?) dynamic", doc: "Elements in descending order; further arrays are ordered alike, a last bool says whether nulls come last.", eval: arrays(arraySort(-1))},
		{sig: "range(start:same, stop:same, step:any?) dynamic", doc: "Array of evenly spaced values, bounded in length.", eval: rangeArray},
		{sig: "zip(array:dynamic...) dynamic", doc: "Array of the arrays of elements at one position.", eval: func(c *Ctx, a []types.Value) types.Value {
			n := 0
			for _, v := range a {
				x, _ := v.D.([]any)
				n = max(n, len(x))
			}
			out := make([]any, n)
			for i := range out {
				row := make([]any, len(a))
				for j, v := range a {
					if x, _ := v.D.([]any); i < len(x) {
						row[j] = x[i]
					}
				}
				out[i] = row
			}
			return dyn(out)
		}},
		{sig: "set_union(set:dynamic...) dynamic", doc: "Distinct elements of all arrays.", eval: func(_ *Ctx, a []types.Value) types.Value {
			all := []any{}
			for _, v := range a {
				x, _ := v.D.([]any)
				all = append(all, x...)
			}
			return dyn(distinct(all))
		}},
		{sig: "set_intersect(set:dynamic...) dynamic", doc: "Distinct elements that all arrays have.", eval: setFilter(true)},
		{sig: "set_difference(set:dynamic...) dynamic", doc: "Distinct elements of the first array that no other has.", eval: setFilter(false)},
		{sig: "set_has_element(set:dynamic, value:any) bool", doc: "Whether an array has an element.", eval: arrays(func(_ *Ctx, arr []any, a []types.Value) types.Value {
			p := types.Payload(a[1])
			return boolean(slices.ContainsFunc(arr, func(e any) bool { return types.EqualDynamic(e, p) }))
		})},
		{sig: "set_equals(a:dynamic, b:dynamic) bool", doc: "Whether two arrays have the same distinct elements.", eval: arrays(func(_ *Ctx, arr []any, a []types.Value) types.Value {
			other, _ := a[1].D.([]any)
			x, y := keySet(arr), keySet(other)
			if len(x) != len(y) {
				return boolean(false)
			}
			for k := range x {
				if !y[k] {
					return boolean(false)
				}
			}
			return boolean(true)
		})},
		{sig: "jaccard_index(a:dynamic, b:dynamic) real", doc: "Size of the intersection by the size of the union.", eval: arrays(func(c *Ctx, arr []any, a []types.Value) types.Value {
			other, _ := a[1].D.([]any)
			x, y, both := keySet(arr), keySet(other), 0
			for k := range x {
				if y[k] {
					both++
				}
			}
			return types.NewReal(float64(both) / float64(len(x)+len(y)-both))
		})},
		{sig: "array_distinct(array:dynamic) dynamic", in: true, doc: "Distinct elements in their first order.", eval: arrays(func(_ *Ctx, arr []any, _ []types.Value) types.Value { return dyn(distinct(arr)) })},
	}
}

func keyOf(e any) string { return types.Key(types.NewDynamic(e)) }

func keySet(arr []any) map[string]bool {
	m := make(map[string]bool, len(arr))
	for _, e := range arr {
		m[keyOf(e)] = true
	}
	return m
}

func distinct(arr []any) []any {
	seen := map[string]bool{}
	out := []any{}
	for _, e := range arr {
		if k := keyOf(e); !seen[k] {
			seen[k] = true
			out = append(out, e)
		}
	}
	return out
}

func setFilter(keep bool) Impl {
	return func(_ *Ctx, a []types.Value) types.Value {
		first, _ := a[0].D.([]any)
		out := distinct(first)
		for _, v := range a[1:] {
			x, _ := v.D.([]any)
			in := keySet(x)
			out = slices.DeleteFunc(out, func(e any) bool { return in[keyOf(e)] != keep })
		}
		return dyn(out)
	}
}

func rotate(sign int64) Impl {
	return arrays(func(_ *Ctx, arr []any, a []types.Value) types.Value {
		n := int64(len(arr))
		if n == 0 {
			return a[0]
		}
		k := (a[1].I%n*sign + n) % n
		return dyn(append(slices.Clone(arr[k:]), arr[:k]...))
	})
}

func shift(sign int64) Impl {
	return arrays(func(_ *Ctx, arr []any, a []types.Value) types.Value {
		var fill any
		if len(a) > 2 {
			fill = types.Payload(a[2])
		}
		k := a[1].I * sign
		out := make([]any, len(arr))
		for i := range out {
			if j := int64(i) + k; j >= 0 && j < int64(len(arr)) {
				out[i] = arr[j]
			} else {
				out[i] = fill
			}
		}
		return dyn(out)
	})
}

func arraySplit(c *Ctx, arr []any, a []types.Value) types.Value {
	cuts, ok := a[1].D.([]any)
	if !ok {
		cuts = []any{types.Payload(a[1])}
	}
	out, prev := []any{}, 0
	for _, cut := range cuts {
		i, ok := cut.(int64)
		if !ok {
			return c.null()
		}
		if i < 0 {
			i += int64(len(arr))
		}
		at := int(min(max(i, int64(prev)), int64(len(arr))))
		out = append(out, slices.Clone(arr[prev:at]))
		prev = at
	}
	return dyn(append(out, slices.Clone(arr[prev:])))
}

func arraySort(sign int) func(*Ctx, []any, []types.Value) types.Value {
	return func(_ *Ctx, arr []any, a []types.Value) types.Value {
		last, more := true, a[1:]
		if n := len(more); n > 0 && more[n-1].Type == types.Bool {
			last, more = more[n-1].True(), more[:n-1]
		}
		order := make([]int, len(arr))
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(i, j int) int {
			x, y := arr[i], arr[j]
			if x == nil || y == nil {
				switch {
				case x == nil && y == nil:
					return 0
				case (x == nil) == last:
					return 1
				}
				return -1
			}
			return sign * types.ComparePayload(x, y)
		})
		by := func(list []any) any {
			if len(list) != len(arr) {
				return nil
			}
			out := make([]any, len(list))
			for i, j := range order {
				out[i] = list[j]
			}
			return out
		}
		if len(more) == 0 {
			return dyn(by(arr))
		}
		all := []any{by(arr)}
		for _, m := range more {
			list, _ := m.D.([]any)
			all = append(all, by(list))
		}
		return dyn(all)
	}
}

func rangeArray(c *Ctx, a []types.Value) types.Value {
	step := types.NewLong(1)
	if a[0].Type == types.Datetime || a[0].Type == types.Timespan {
		step = types.NewTimespan(types.TicksPerHour)
	}
	if len(a) > 2 {
		step = a[2]
	}
	// A longer array ends early.
	if steps := (a[1].Float() - a[0].Float()) / step.Float(); steps >= MaxArray && !math.IsInf(steps, 0) {
		switch {
		case a[1].Type == types.Real || step.Type == types.Real:
			a[1] = types.NewReal(a[0].Float() + (MaxArray-1)*step.Float())
		default:
			a[1].I = a[0].I + (MaxArray-1)*step.I
		}
	}
	vals, ok := Sequence(a[0], a[1], step, MaxArray)
	if !ok {
		return c.null()
	}
	out := make([]any, len(vals))
	for i, v := range vals {
		out[i] = types.Payload(v)
	}
	return dyn(out)
}

// Sequence lists from, from+step, … up to and including to; ok is false when the step
// is zero or there would be more than limit values.
func Sequence(from, to, step types.Value, limit int) (out []types.Value, ok bool) {
	if from.Null || to.Null || step.Null {
		return nil, true
	}
	f, t, s := from.Float(), to.Float(), step.Float()
	steps := (t - f) / s
	if s == 0 || !(steps <= float64(limit)) {
		return nil, false
	}
	if from.Type == types.Real || step.Type == types.Real || to.Type == types.Real {
		for i := 0; float64(i) <= steps; i++ {
			out = append(out, types.NewReal(f+float64(i)*s))
		}
		return out, true
	}
	typ := from.Type
	if typ.Integral() {
		typ = types.Long
	}
	// Counted, not compared alone: near the ends of int64 the next value wraps around.
	for v, i := from.I, 0; i <= limit && (step.I > 0 && v <= to.I || step.I < 0 && v >= to.I); i++ {
		out = append(out, types.Value{Type: typ, I: v})
		next := v + step.I
		if (next > v) != (step.I > 0) {
			break
		}
		v = next
	}
	return out, true
}

// internalFuncs are what SQL engines call to make rows and aggregates of arrays.
func internalFuncs() []entry {
	return []entry{
		{sig: "mv_rows(asArray:bool, value:any...) dynamic", in: true, nulls: true, eval: func(_ *Ctx, a []types.Value) types.Value {
			return dyn(MvRows(a[1:], a[0].True()))
		}},
		{sig: "series_build(bins:dynamic, values:dynamic, from:long, to:long, step:long, default:dynamic) dynamic", in: true, nulls: true, eval: seriesBuild},
		{sig: "set_of(values:dynamic, limit:long) dynamic", in: true, eval: arrays(func(_ *Ctx, arr []any, a []types.Value) types.Value {
			acc := &listAcc{seen: map[string]bool{}}
			for _, e := range arr {
				acc.Add([]types.Value{dyn(e), a[1]})
			}
			return acc.Result()[0]
		})},
		{sig: "bag_of(bags:dynamic) dynamic", in: true, eval: arrays(func(_ *Ctx, arr []any, _ []types.Value) types.Value {
			acc := &bagAcc{b: types.NewBag()}
			for _, e := range arr {
				acc.Add([]types.Value{dyn(e)})
			}
			return acc.Result()[0]
		})},
	}
}

// seriesBuild lays values out over the axis of make-series.
func seriesBuild(c *Ctx, a []types.Value) types.Value {
	bins, _ := a[0].D.([]any)
	vals, _ := a[1].D.([]any)
	from, to, step := a[2].I, a[3].I, a[4].I
	if a[2].Null || a[3].Null || step <= 0 || to < from || float64(to-from)/float64(step) > MaxArray {
		return c.null()
	}
	out := make([]any, (to-from+step-1)/step)
	for i := range out {
		out[i] = a[5].D
	}
	for i, b := range bins {
		at, ok := b.(int64)
		if j := (at - from) / step; ok && j >= 0 && j < int64(len(out)) && i < len(vals) && vals[i] != nil {
			out[j] = vals[i]
		}
	}
	return dyn(out)
}

// MvRows is the expansion of mv-expand: one array of the items' elements per row, at
// least one row.
func MvRows(items []types.Value, asArray bool) []any {
	lists, n := make([][]any, len(items)), 1
	for i, v := range items {
		lists[i] = elements(v, asArray)
		n = max(n, len(lists[i]))
	}
	out := make([]any, n)
	for i := range out {
		row := make([]any, len(items))
		for j, l := range lists {
			if i < len(l) {
				row[j] = l[i]
			}
		}
		out[i] = row
	}
	return out
}

// elements lists what a dynamic expands to; a scalar is its own single element.
func elements(v types.Value, asArray bool) []any {
	switch d := v.D.(type) {
	case []any:
		return d
	case *types.Bag:
		out := make([]any, len(d.Keys))
		for i, k := range d.Keys {
			if asArray {
				out[i] = []any{k, d.Vals[k]}
			} else {
				b := types.NewBag()
				b.Set(k, d.Vals[k])
				out[i] = b
			}
		}
		return out
	case nil:
		return nil
	}
	return []any{v.D}
}
