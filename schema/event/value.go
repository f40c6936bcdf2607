package event

import (
	"strconv"
	"time"
)

// Kind says which field of a Value holds it.
type Kind uint8

// The kinds of cell.
const (
	Null   Kind = iota
	String      // S
	Int         // N
	Bool        // N, 0 or 1
	Time        // N, ticks of 100 ns since 0001-01-01 UTC
)

// Value is one cell of a hunting row. The zero Value is null.
type Value struct {
	Kind Kind
	N    int64
	S    string
}

// unixTicks is 1970-01-01 in ticks of 100 ns since 0001-01-01, the epoch of Kusto's datetime.
const unixTicks = 621355968000000000

// Ticks returns t in ticks of 100 ns since 0001-01-01 UTC, the store's datetime.
func Ticks(t time.Time) int64 { return unixTicks + t.Unix()*1e7 + int64(t.Nanosecond())/100 }

// FromTicks is the inverse of Ticks, in UTC.
func FromTicks(n int64) time.Time {
	n -= unixTicks
	sec := n / 1e7
	rest := n % 1e7
	if rest < 0 {
		sec, rest = sec-1, rest+1e7
	}
	return time.Unix(sec, rest*100).UTC()
}

// Str returns a string cell. Hunting strings are never null: "" stays "".
func Str(s string) Value { return Value{Kind: String, S: s} }

// Num returns an integer cell.
func Num(n int64) Value { return Value{Kind: Int, N: n} }

// Flag returns a bool cell.
func Flag(b bool) Value {
	if b {
		return Value{Kind: Bool, N: 1}
	}
	return Value{Kind: Bool}
}

// At returns a datetime cell, null for the zero time.
func At(t time.Time) Value {
	if t.IsZero() {
		return Value{}
	}
	return Value{Kind: Time, N: Ticks(t)}
}

// String renders v for people and tests; null is "".
func (v Value) String() string {
	switch v.Kind {
	case String:
		return v.S
	case Int:
		return strconv.FormatInt(v.N, 10)
	case Bool:
		return strconv.FormatBool(v.N != 0)
	case Time:
		return FromTicks(v.N).Format("2006-01-02T15:04:05.0000000Z")
	}
	return ""
}
