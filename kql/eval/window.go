package eval

import (
	"slices"

	"github.com/vedette-edr/vedette/kql/funcs"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/types"
)

func (x *exec) window(w *plan.Window) (rows, error) {
	in, err := x.run(w.In)
	if err != nil {
		return nil, err
	}
	out := make(rows, len(in))
	for i := range in {
		out[i] = slices.Clone(in[i])
	}
	cols := w.In.Columns()
	for _, it := range w.Items {
		args, err := x.compileAll(it.Args, cols)
		if err != nil {
			return nil, err
		}
		vals := windowValues(it, args, out)
		for i := range out {
			out[i] = append(out[i], vals[i])
		}
		cols = append(slices.Clone(cols), it.Col)
	}
	return out, nil
}

func windowValues(it plan.WindowItem, args []eval, in rows) []types.Value {
	out := make([]types.Value, len(in))
	switch it.Name {
	case "prev", "next":
		for i := range in {
			off := 1
			if len(args) > 1 {
				off = int(args[1](in[i]).I)
			}
			j := i - off
			if it.Name == "next" {
				j = i + off
			}
			switch {
			case j >= 0 && j < len(in):
				out[i] = args[0](in[j])
			case len(args) > 2:
				out[i] = args[2](in[i])
			default:
				out[i] = types.Null(it.Col.Type)
			}
		}
	case "row_number":
		n := int64(0)
		for i := range in {
			if i == 0 || len(args) > 1 && args[1](in[i]).True() {
				n = args[0](in[i]).I - 1
			}
			n++
			out[i] = types.NewLong(n)
		}
	case "row_cumsum":
		add, _ := funcs.Lookup("+")
		c := &funcs.Ctx{Result: it.Col.Type}
		sum := types.Convert(types.NewLong(0), it.Col.Type)
		for i := range in {
			if len(args) > 1 && args[1](in[i]).True() {
				sum = types.Convert(types.NewLong(0), it.Col.Type)
			}
			if v := args[0](in[i]); !v.Null {
				sum = add.Call(c, []types.Value{sum, types.Convert(v, it.Col.Type)})
			}
			out[i] = sum
		}
	case "row_rank_dense", "row_rank_min":
		rank, since := int64(0), int64(0)
		for i := range in {
			restart := i == 0 || len(args) > 1 && args[1](in[i]).True()
			if restart {
				rank, since = 0, 0
			}
			since++
			if restart || types.Key(args[0](in[i])) != types.Key(args[0](in[i-1])) {
				if rank++; it.Name == "row_rank_min" {
					rank = since
				}
			}
			out[i] = types.NewLong(rank)
		}
	case "row_window_session":
		var start, last int64
		for i := range in {
			v, far, gap := args[0](in[i]), args[1](in[i]), args[2](in[i])
			restart := i == 0 || len(args) > 3 && args[3](in[i]).True()
			if restart || v.I-start > far.I || v.I-last > gap.I {
				start = v.I
			}
			last = v.I
			out[i] = types.NewDatetime(start)
		}
	}
	return out
}
