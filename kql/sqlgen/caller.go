package sqlgen

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/vedette-edr/vedette/kql/funcs"
	"github.com/vedette-edr/vedette/kql/types"
)

const codes = "?bilrdsptgy" // by types.Type: Unknown, Bool, Int, Long, Real, Decimal, String, Datetime, Timespan, GUID, Dynamic

func code(t types.Type) byte { return codes[t] }

// Caller computes kql_call. It caches what a call site needs, so that one serves one
// goroutine at a time; it is cheap to make.
type Caller struct {
	places funcs.Places
	sites  map[string]*site
}

type site struct {
	fn   *funcs.Func
	args []types.Type
	ctx  funcs.Ctx
	// last keeps the parsed form of the last text of each dynamic argument, because
	// lists of terms are the same for every row.
	last []types.Value
	text []string
	vals []types.Value
}

// NewCaller returns a Caller that asks places where addresses are; nil for nobody.
func NewCaller(places funcs.Places) *Caller {
	return &Caller{places: places, sites: map[string]*site{}}
}

// Call computes the function named by spec on argument texts; nil is NULL.
func (c *Caller) Call(spec string, args []*string) (*string, error) {
	s := c.sites[spec]
	if s == nil {
		var err error
		if s, err = newSite(spec); err != nil {
			return nil, err
		}
		s.ctx.Places = c.places
		c.sites[spec] = s
	}
	if len(args) != len(s.args) {
		return nil, fmt.Errorf("kql_call %q: %d arguments", spec, len(args))
	}
	for i, a := range args {
		s.vals[i] = s.arg(i, a)
	}
	return encode(s.fn.Call(&s.ctx, s.vals)), nil
}

func newSite(spec string) (*site, error) {
	// The name comes first and may hold a bar of its own in no case of the table.
	parts := strings.Split(spec, "|")
	if len(parts) != 3 || len(parts[2]) != 1 {
		return nil, fmt.Errorf("kql_call: bad function %q", spec)
	}
	fn, ok := funcs.Lookup(parts[0])
	if !ok {
		return nil, fmt.Errorf("kql_call: no function %q", parts[0])
	}
	s := &site{fn: fn, ctx: funcs.Ctx{Result: types.Type(strings.IndexByte(codes, parts[2][0]))}}
	for i := 0; i < len(parts[1]); i++ {
		s.args = append(s.args, types.Type(strings.IndexByte(codes, parts[1][i])))
	}
	s.last, s.text, s.vals = make([]types.Value, len(s.args)), make([]string, len(s.args)), make([]types.Value, len(s.args))
	return s, nil
}

func (s *site) arg(i int, a *string) types.Value {
	t := s.args[i]
	if a == nil {
		return types.Null(t)
	}
	if t != types.Dynamic {
		return Decode(*a, t)
	}
	if s.text[i] == *a && s.text[i] != "" {
		return s.last[i]
	}
	v := Decode(*a, t)
	s.text[i], s.last[i] = *a, v
	return v
}

// Decode reads the text form of an SQL value of type t.
func Decode(s string, t types.Type) types.Value {
	switch t {
	case types.String:
		return types.NewString(s)
	case types.GUID, types.Decimal:
		return types.Value{Type: t, S: s}
	case types.Dynamic:
		return types.ParseDynamic(s)
	case types.Bool:
		return types.NewBool(s == "true")
	case types.Real:
		// The sign of a NaN is the processor's whim: 0/0 has it on some.
		if s == "-nan" {
			s = "nan"
		}
		return types.ParseAs(s, types.Real)
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return types.Null(t)
	}
	return types.Value{Type: t, I: n}
}

func encode(v types.Value) *string {
	if v.Null {
		return nil
	}
	s := ""
	switch v.Type {
	case types.Bool:
		s = strconv.FormatBool(v.I != 0)
	case types.Int, types.Long, types.Datetime, types.Timespan:
		s = strconv.FormatInt(v.I, 10)
	case types.Real:
		s = strconv.FormatFloat(v.F, 'g', -1, 64)
	case types.Dynamic:
		s = types.MarshalDynamic(v.D)
	default:
		s = strings.ToValidUTF8(v.S, "\uFFFD")
	}
	return &s
}
