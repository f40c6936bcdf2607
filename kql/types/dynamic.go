package types

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bag is a dynamic object that keeps the order of its keys.
type Bag struct {
	Keys []string
	Vals map[string]any
}

// NewBag returns an empty bag.
func NewBag() *Bag { return &Bag{Vals: map[string]any{}} }

// Set stores val under key; a new key goes last.
func (b *Bag) Set(key string, val any) {
	if _, ok := b.Vals[key]; !ok {
		b.Keys = append(b.Keys, key)
	}
	b.Vals[key] = val
}

// Get returns the value under key.
func (b *Bag) Get(key string) (any, bool) {
	v, ok := b.Vals[key]
	return v, ok
}

// maxJSONDepth bounds the nesting of JSON texts that come from outside.
const maxJSONDepth = 200

// ParseJSON reads exactly one JSON value of s.
func ParseJSON(s string) (any, bool) {
	if s == "" {
		return nil, false
	}
	switch c := s[0]; {
	case c == '{', c == '[', c == '"', c == '-', c >= '0' && c <= '9', c == 't', c == 'f', c == 'n', c == ' ', c == '\t', c == '\n', c == '\r':
	default:
		return nil, false
	}
	dec := json.NewDecoder(strings.NewReader(s))
	dec.UseNumber()
	v, ok := decodeJSON(dec, 0)
	if !ok {
		return nil, false
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, false
	}
	return v, true
}

func decodeJSON(dec *json.Decoder, depth int) (any, bool) {
	if depth > maxJSONDepth {
		return nil, false
	}
	tok, err := dec.Token()
	if err != nil {
		return nil, false
	}
	switch t := tok.(type) {
	case json.Delim:
		if t == '[' {
			arr := []any{}
			for dec.More() {
				v, ok := decodeJSON(dec, depth+1)
				if !ok {
					return nil, false
				}
				arr = append(arr, v)
			}
			_, err := dec.Token()
			return arr, err == nil
		}
		bag := NewBag()
		for dec.More() {
			k, err := dec.Token()
			key, isString := k.(string)
			if err != nil || !isString {
				return nil, false
			}
			v, ok := decodeJSON(dec, depth+1)
			if !ok {
				return nil, false
			}
			bag.Set(key, v)
		}
		_, err := dec.Token()
		return bag, err == nil
	case json.Number:
		return number(string(t)), true
	}
	return tok, true
}

func number(s string) any {
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return i
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(f, 0) {
		return s
	}
	return f
}

// MarshalDynamic prints a dynamic's payload as compact JSON.
func MarshalDynamic(d any) string {
	var b strings.Builder
	writeJSON(&b, d)
	return b.String()
}

func writeJSON(b *strings.Builder, d any) {
	switch x := d.(type) {
	case nil:
		b.WriteString("null")
	case bool:
		b.WriteString(strconv.FormatBool(x))
	case int64:
		b.WriteString(strconv.FormatInt(x, 10))
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			b.WriteString(`"` + FormatReal(x) + `"`)
			return
		}
		b.WriteString(FormatReal(x))
	case string:
		writeJSONString(b, x)
	case []any:
		b.WriteByte('[')
		for i, e := range x {
			if i > 0 {
				b.WriteByte(',')
			}
			writeJSON(b, e)
		}
		b.WriteByte(']')
	case *Bag:
		b.WriteByte('{')
		for i, k := range x.Keys {
			if i > 0 {
				b.WriteByte(',')
			}
			writeJSONString(b, k)
			b.WriteByte(':')
			writeJSON(b, x.Vals[k])
		}
		b.WriteByte('}')
	}
}

func writeJSONString(b *strings.Builder, s string) {
	plain := true
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			plain = false
			break
		}
	}
	if plain {
		b.WriteByte('"')
		b.WriteString(s)
		b.WriteByte('"')
		return
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if enc.Encode(s) == nil {
		b.Write(bytes.TrimRight(buf.Bytes(), "\n"))
	}
}

// ToDynamic wraps any value as a dynamic. Datetimes, timespans and guids become the
// strings that Kusto prints for them.
func ToDynamic(v Value) Value {
	if v.Type == Dynamic {
		return v
	}
	return NewDynamic(Payload(v))
}

// Payload returns v as a dynamic's payload.
func Payload(v Value) any {
	if v.Null {
		return nil
	}
	switch v.Type {
	case Bool:
		return v.I != 0
	case Int, Long:
		return v.I
	case Real:
		return v.F
	case Decimal:
		return v.Float()
	case Dynamic:
		return v.D
	}
	return v.Text()
}

// EqualDynamic compares two payloads; numbers by value, bags without regard to order.
func EqualDynamic(a, b any) bool {
	switch x := a.(type) {
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for i := range x {
			if !EqualDynamic(x[i], y[i]) {
				return false
			}
		}
		return true
	case *Bag:
		y, ok := b.(*Bag)
		if !ok || len(x.Keys) != len(y.Keys) {
			return false
		}
		for _, k := range x.Keys {
			w, ok := y.Vals[k]
			if !ok || !EqualDynamic(x.Vals[k], w) {
				return false
			}
		}
		return true
	case int64:
		if f, ok := b.(float64); ok {
			return float64(x) == f
		}
	case float64:
		if i, ok := b.(int64); ok {
			return x == float64(i)
		}
	}
	switch b.(type) {
	case []any, *Bag:
		return false
	}
	return a == b
}
