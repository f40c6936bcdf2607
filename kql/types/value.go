package types

import (
	"math"
	"math/big"
	"strconv"
	"strings"
)

// Value is one scalar. Which field holds it depends on Type: I for bool (0 or 1), int,
// long, datetime and timespan; F for real; S for string, guid (lower case, hyphens) and
// decimal (canonical digits); D for dynamic. A Value is immutable once made.
type Value struct {
	Type Type
	Null bool
	I    int64
	F    float64
	S    string
	// D is nil (JSON null), bool, int64, float64, string, []any or *Bag.
	D any
}

// Null returns the null of t; for a string, which is never null, the empty string.
func Null(t Type) Value { return Value{Type: t, Null: t != String} }

// NewBool returns a bool.
func NewBool(b bool) Value {
	if b {
		return Value{Type: Bool, I: 1}
	}
	return Value{Type: Bool}
}

// NewInt returns an int; a value outside 32 bits is null.
func NewInt(i int64) Value {
	if i < math.MinInt32 || i > math.MaxInt32 {
		return Null(Int)
	}
	return Value{Type: Int, I: i}
}

// NewLong returns a long.
func NewLong(i int64) Value { return Value{Type: Long, I: i} }

// NewReal returns a real.
func NewReal(f float64) Value { return Value{Type: Real, F: f} }

// NewString returns a string.
func NewString(s string) Value { return Value{Type: String, S: s} }

// NewDatetime returns a datetime of ticks; out of range is null.
func NewDatetime(ticks int64) Value {
	if ticks < 0 || ticks > MaxDatetime {
		return Null(Datetime)
	}
	return Value{Type: Datetime, I: ticks}
}

// NewTimespan returns a timespan of ticks.
func NewTimespan(ticks int64) Value { return Value{Type: Timespan, I: ticks} }

// NewDynamic returns a dynamic; JSON null is the null dynamic.
func NewDynamic(d any) Value { return Value{Type: Dynamic, D: d, Null: d == nil} }

// NewGUID returns a guid from any of its spellings; what is none is null.
func NewGUID(s string) Value {
	if g, ok := ParseGUID(s); ok {
		return Value{Type: GUID, S: g}
	}
	return Null(GUID)
}

// NewDecimal returns a decimal from digits; what is none is null.
func NewDecimal(s string) Value {
	s = strings.TrimSpace(s)
	if len(s) > 64 {
		return Null(Decimal)
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok || strings.Contains(s, "/") {
		return Null(Decimal)
	}
	return DecimalFromRat(r)
}

// DecimalFromRat rounds r to the 34 significant digits of Kusto's decimal.
func DecimalFromRat(r *big.Rat) Value {
	f, _ := new(big.Float).SetPrec(256).SetRat(r).Float64()
	if math.IsInf(f, 0) {
		return Null(Decimal)
	}
	frac := 34
	if a := math.Abs(f); a >= 1 {
		frac -= int(math.Log10(a)) + 1
	}
	s := r.FloatString(min(max(frac, 0), 34))
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	if s == "-0" {
		s = "0"
	}
	return Value{Type: Decimal, S: s}
}

// Rat returns a decimal, int or long as a rational.
func (v Value) Rat() *big.Rat {
	switch v.Type {
	case Decimal:
		if r, ok := new(big.Rat).SetString(v.S); ok {
			return r
		}
	case Int, Long:
		return new(big.Rat).SetInt64(v.I)
	case Real:
		if r := new(big.Rat); r.SetFloat64(v.F) != nil {
			return r
		}
	}
	return new(big.Rat)
}

// ParseGUID returns the canonical form of a guid written with or without hyphens or braces.
func ParseGUID(s string) (string, bool) {
	if len(s) > 48 {
		return "", false
	}
	s = strings.ToLower(strings.Trim(strings.TrimSpace(s), "{}()"))
	h := strings.ReplaceAll(s, "-", "")
	if len(h) != 32 {
		return "", false
	}
	for i := 0; i < 32; i++ {
		if c := h[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return "", false
		}
	}
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:], true
}

// True reports whether v is the bool true.
func (v Value) True() bool { return v.Type == Bool && !v.Null && v.I != 0 }

// Float returns a number as float64.
func (v Value) Float() float64 {
	switch v.Type {
	case Real:
		return v.F
	case Decimal:
		f, _ := v.Rat().Float64()
		return f
	}
	return float64(v.I)
}

// FormatReal prints f as Kusto's tostring does.
func FormatReal(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	if a := math.Abs(f); a != 0 && (a >= 1e15 || a < 1e-5) {
		return strconv.FormatFloat(f, 'E', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// Text is Kusto's tostring: "" for null, True/False lower case, JSON for arrays and bags.
func (v Value) Text() string {
	if v.Null {
		return ""
	}
	switch v.Type {
	case Bool:
		return strconv.FormatBool(v.I != 0)
	case Int, Long:
		return strconv.FormatInt(v.I, 10)
	case Real:
		s := FormatReal(v.F)
		return strings.TrimSuffix(s, ".0")
	case Datetime:
		return FormatDatetime(v.I)
	case Timespan:
		return FormatTimespan(v.I)
	case Dynamic:
		if s, ok := v.D.(string); ok {
			return s
		}
		return MarshalDynamic(v.D)
	}
	return v.S
}

// Literal prints v as a KQL literal that parses back to v.
func (v Value) Literal() string {
	if v.Null {
		return v.Type.String() + "(null)"
	}
	switch v.Type {
	case Bool:
		return strconv.FormatBool(v.I != 0)
	case Int:
		return "int(" + strconv.FormatInt(v.I, 10) + ")"
	case Long:
		if v.I < 0 {
			return "long(" + strconv.FormatInt(v.I, 10) + ")"
		}
		return strconv.FormatInt(v.I, 10)
	case Real:
		switch {
		case math.IsNaN(v.F):
			return "real(nan)"
		case math.IsInf(v.F, 1):
			return "real(+inf)"
		case math.IsInf(v.F, -1):
			return "real(-inf)"
		case v.F < 0 || math.Signbit(v.F):
			return "real(" + strconv.FormatFloat(v.F, 'g', -1, 64) + ")"
		}
		s := strconv.FormatFloat(v.F, 'g', -1, 64)
		if !strings.ContainsAny(s, ".e") {
			s += ".0"
		}
		return s
	case Decimal:
		return "decimal(" + v.S + ")"
	case Datetime:
		return "datetime(" + FormatDatetime(v.I) + ")"
	case Timespan:
		return "timespan(" + FormatTimespan(v.I) + ")"
	case GUID:
		return "guid(" + v.S + ")"
	case Dynamic:
		return "dynamic(" + MarshalDynamic(v.D) + ")"
	}
	return Quote(v.S)
}

// Quote returns s as a double-quoted KQL string.
func Quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < 0x20:
			b.WriteString(`\u00`)
			b.WriteByte("0123456789abcdef"[c>>4])
			b.WriteByte("0123456789abcdef"[c&15])
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
