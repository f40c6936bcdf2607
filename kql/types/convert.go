package types

import (
	"math"
	"strconv"
	"strings"
)

// Convert is Kusto's to<type>() on v: what cannot be converted is null.
func Convert(v Value, to Type) Value {
	if v.Type == to {
		return v
	}
	if v.Null {
		return Null(to)
	}
	if to == Dynamic {
		if v.Type == String {
			return ParseDynamic(v.S)
		}
		return ToDynamic(v)
	}
	if to == String {
		return NewString(v.Text())
	}
	if v.Type == Dynamic {
		return fromPayload(v.D, to)
	}
	if v.Type == String {
		return ParseAs(v.S, to)
	}
	switch to {
	case Bool:
		if v.Type.Numeric() {
			return NewBool(v.Float() != 0)
		}
	case Int:
		if l := Convert(v, Long); !l.Null {
			return NewInt(l.I)
		}
	case Long:
		switch v.Type {
		case Bool, Int, Datetime, Timespan:
			return NewLong(v.I)
		case Real, Decimal:
			f := v.Float()
			if math.IsNaN(f) || f >= math.MaxInt64 || f <= math.MinInt64 {
				return Null(Long)
			}
			return NewLong(int64(f))
		}
	case Real:
		if v.Type != GUID {
			return NewReal(v.Float())
		}
	case Decimal:
		switch v.Type {
		case Bool, Int, Long, Datetime, Timespan:
			return NewDecimal(strconv.FormatInt(v.I, 10))
		case Real:
			return NewDecimal(strconv.FormatFloat(v.F, 'g', -1, 64))
		}
	case Datetime:
		switch v.Type {
		case Long, Int:
			return NewDatetime(v.I)
		}
	case Timespan:
		switch v.Type {
		case Long, Int:
			return NewTimespan(v.I)
		}
	}
	return Null(to)
}

func fromPayload(d any, to Type) Value {
	switch x := d.(type) {
	case bool:
		return Convert(NewBool(x), to)
	case int64:
		return Convert(NewLong(x), to)
	case float64:
		return Convert(NewReal(x), to)
	case string:
		return ParseAs(x, to)
	}
	return Null(to)
}

// ParseDynamic is parse_json: text that is no JSON becomes a dynamic string.
func ParseDynamic(s string) Value {
	if s == "" {
		return Null(Dynamic)
	}
	if d, ok := ParseJSON(s); ok {
		return NewDynamic(d)
	}
	return NewDynamic(s)
}

// ParseAs reads text as a value of type to; what is none is null.
func ParseAs(s string, to Type) Value {
	t := strings.TrimSpace(s)
	switch to {
	case String:
		return NewString(s)
	case Bool:
		switch strings.ToLower(t) {
		case "true", "1":
			return NewBool(true)
		case "false", "0":
			return NewBool(false)
		}
		if i, err := strconv.ParseInt(t, 10, 64); err == nil {
			return NewBool(i != 0)
		}
	case Int:
		if l := ParseAs(s, Long); !l.Null {
			return NewInt(l.I)
		}
	case Long:
		if i, ok := parseLong(t); ok {
			return NewLong(i)
		}
		if f, err := strconv.ParseFloat(t, 64); err == nil && math.Abs(f) < 9.2e18 {
			return NewLong(int64(f))
		}
	case Real:
		switch strings.ToLower(t) {
		case "nan":
			return NewReal(math.NaN())
		case "inf", "+inf", "infinity", "+infinity":
			return NewReal(math.Inf(1))
		case "-inf", "-infinity":
			return NewReal(math.Inf(-1))
		}
		if strings.ContainsAny(t, "xXpP_") {
			if i, ok := parseLong(t); ok {
				return NewReal(float64(i))
			}
			break
		}
		if f, err := strconv.ParseFloat(t, 64); err == nil {
			return NewReal(f)
		}
	case Decimal:
		return NewDecimal(t)
	case Datetime:
		if d, ok := ParseDatetime(t); ok {
			return NewDatetime(d)
		}
	case Timespan:
		if d, ok := ParseTimespan(t); ok {
			return NewTimespan(d)
		}
	case GUID:
		return NewGUID(t)
	case Dynamic:
		return ParseDynamic(s)
	}
	return Null(to)
}

func parseLong(t string) (int64, bool) {
	if len(t) > 2 && (t[:2] == "0x" || t[:2] == "0X") {
		u, err := strconv.ParseUint(t[2:], 16, 64)
		return int64(u), err == nil
	}
	i, err := strconv.ParseInt(t, 10, 64)
	return i, err == nil
}

// Compare orders two non-null values of one type: -1, 0 or 1. Numbers of different
// types compare by value, NaN as the least of them, dynamics by their kind and then by
// their value.
func Compare(a, b Value) int {
	if a.Type.Numeric() && b.Type.Numeric() {
		if a.Type.Integral() && b.Type.Integral() {
			return cmp(a.I, b.I)
		}
		if a.Type != Real && b.Type != Real {
			return a.Rat().Cmp(b.Rat())
		}
		return cmp(a.Float(), b.Float())
	}
	switch a.Type {
	case String, GUID:
		return strings.Compare(a.S, b.S)
	case Dynamic:
		return ComparePayload(a.D, b.D)
	}
	return cmp(a.I, b.I)
}

func cmp[T int64 | float64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	case a != a || b != b: // NaN
		switch {
		case b == b:
			return -1
		case a == a:
			return 1
		}
	}
	return 0
}

// ComparePayload orders dynamic payloads: null, bool, number, string, then the rest by text.
func ComparePayload(a, b any) int {
	ra, rb := rank(a), rank(b)
	if ra != rb {
		return cmp(int64(ra), int64(rb))
	}
	switch ra {
	case 0:
		return 0
	case 2:
		return cmp(asFloat(a), asFloat(b))
	case 3:
		return strings.Compare(a.(string), b.(string))
	}
	return strings.Compare(MarshalDynamic(a), MarshalDynamic(b))
}

func rank(a any) int {
	switch a.(type) {
	case nil:
		return 0
	case bool:
		return 1
	case int64, float64:
		return 2
	case string:
		return 3
	}
	return 4
}

func asFloat(a any) float64 {
	switch x := a.(type) {
	case int64:
		return float64(x)
	case float64:
		return x
	}
	return 0
}

// Key returns a text that two values of one type share exactly when they are the same
// group for summarize, join and distinct; nulls form one group.
func Key(v Value) string {
	if v.Null {
		return "n"
	}
	switch v.Type {
	case String, GUID, Decimal:
		return "s" + v.S
	case Real:
		if v.F == math.Trunc(v.F) && math.Abs(v.F) < 1e18 {
			return "i" + strconv.FormatInt(int64(v.F), 10)
		}
		return "f" + strconv.FormatFloat(v.F, 'g', -1, 64)
	case Dynamic:
		return "d" + MarshalDynamic(v.D)
	}
	return "i" + strconv.FormatInt(v.I, 10)
}
