package funcs

import (
	"strings"
	"testing"

	"github.com/vedette-edr/vedette/kql/types"
)

func TestEveryPublicFunctionIsDocumented(t *testing.T) {
	for name, f := range scalars() {
		if !f.Internal && (f.Doc == "" || !strings.HasSuffix(f.Doc, ".")) {
			t.Errorf("%s has no doc text", name)
		}
		if f.Eval == nil {
			t.Errorf("%s has no implementation", name)
		}
	}
	for name, a := range aggs() {
		if a.Doc == "" || a.New == nil {
			t.Errorf("%s has no doc text or implementation", name)
		}
	}
}

// TestNoArgumentsPanic calls every function with values of every kind, fitting or not.
func TestNoArgumentsPanic(t *testing.T) {
	bag := types.NewBag()
	bag.Set("k", []any{int64(1), nil, "x"})
	pool := []types.Value{
		types.NewString(""), types.NewString("a(b"), types.NewString("10.0.0.1/33"), types.NewString("\xff\x00"), types.NewLong(-1 << 63), types.NewLong(1 << 40), types.NewLong(0),
		types.NewReal(1e308), types.NewReal(-0.5), types.NewDatetime(0), types.NewTimespan(-1 << 62), types.NewBool(true), types.NewDynamic([]any{nil, int64(3), "s", bag}),
		types.NewDynamic(bag), types.NewDynamic("t"), types.Null(types.Long), types.Null(types.Dynamic), types.NewGUID("0123456789abcdef0123456789abcdef"), types.NewDecimal("1.5"),
	}
	for name, f := range scalars() {
		for n := f.MinArgs(); n <= max(len(f.Params)+1, 1) && n <= 6; n++ {
			if _, ok := f.Param(max(n-1, 0)); n > 0 && !ok {
				continue
			}
			for seed := 0; seed < 60; seed++ {
				args := make([]types.Value, n)
				for i := range args {
					args[i] = pool[(seed*7+i*(seed%5+1)*3+i)%len(pool)]
					if p, _ := f.Param(i); p.Kind == Typed {
						args[i] = types.Convert(args[i], p.Type)
					}
				}
				res := f.Result
				if res == types.Unknown && n > 0 {
					res = args[n-1].Type
				}
				func() {
					defer func() {
						if r := recover(); r != nil {
							t.Errorf("%s%v panics: %v", name, args, r)
						}
					}()
					f.Call(&Ctx{Result: res}, args)
				}()
			}
		}
	}
}
