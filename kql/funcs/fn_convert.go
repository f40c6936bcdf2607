package funcs

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/vedette-edr/vedette/kql/types"
)

// to converts to the call's result type.
func to(c *Ctx, a []types.Value) types.Value { return types.Convert(a[0], c.Result) }

func convertFuncs() []entry {
	return []entry{
		{sig: "tostring(value:any) string", nulls: true, doc: "Text of a value; empty for null.", eval: to},
		{sig: "toint(value:any) int", doc: "int, or null.", eval: to},
		{sig: "tolong(value:any) long", doc: "long, or null.", eval: to},
		{sig: "todouble(value:any) real", alias: []string{"toreal"}, doc: "real, or null.", eval: to},
		{sig: "todecimal(value:any) decimal", doc: "decimal, or null.", eval: to},
		{sig: "tobool(value:any) bool", alias: []string{"toboolean"}, doc: "bool, or null.", eval: to},
		{sig: "todatetime(value:any) datetime", doc: "datetime, or null.", eval: to},
		{sig: "totimespan(value:any) timespan", alias: []string{"totime"}, doc: "timespan, or null.", eval: to},
		{sig: "toguid(value:any) guid", doc: "guid, or null.", eval: to},
		{sig: "as_dynamic(value:any) dynamic", in: true, doc: "Value as it is, as a dynamic.", eval: func(_ *Ctx, a []types.Value) types.Value { return types.ToDynamic(a[0]) }},
		{sig: "tohex(value:long, length:long?) string", nulls: true, doc: "Hexadecimal digits, padded to a length.", eval: func(_ *Ctx, a []types.Value) types.Value {
			if a[0].Null {
				return str("")
			}
			s := strconv.FormatUint(uint64(a[0].I), 16)
			if len(a) > 1 && !a[1].Null {
				if n := int(min(max(a[1].I, 0), 64)); len(s) < n {
					s = strings.Repeat("0", n-len(s)) + s
				}
				// A negative int has 32 bits, of which the upper half is only sign.
				if a[0].I < 0 && a[0].I >= -1<<31 && a[1].I <= 8 {
					s = s[8:]
				}
			}
			return str(s)
		}},
		{sig: "gettype(value:any) string", nulls: true, doc: "Name of the value's type; of a dynamic, of what it holds.", eval: func(_ *Ctx, a []types.Value) types.Value {
			return str(TypeName(a[0]))
		}},
		{sig: "format_bytes(size:number, precision:long?, units:string?) string", doc: "Number of bytes with a unit.", eval: formatBytes},
		{sig: "new_guid() guid", vol: true, doc: "A random guid.", eval: func(*Ctx, []types.Value) types.Value {
			var b [16]byte
			for i := range b {
				b[i] = byte(randomFloat() * 256)
			}
			b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
			return types.NewGUID(fmt.Sprintf("%x", b[:]))
		}},
	}
}

// TypeName is gettype.
func TypeName(v types.Value) string {
	if v.Null {
		return "null"
	}
	if v.Type != types.Dynamic {
		return v.Type.String()
	}
	switch v.D.(type) {
	case bool:
		return "bool"
	case int64:
		return "long"
	case float64:
		return "double"
	case string:
		return "string"
	case []any:
		return "array"
	}
	return "dictionary"
}

func formatBytes(_ *Ctx, a []types.Value) types.Value {
	units := []string{"Bytes", "KB", "MB", "GB", "TB", "PB", "EB"}
	f, prec, i := a[0].Float(), 0, 0
	if len(a) > 1 {
		prec = int(min(max(a[1].I, 0), 15))
	}
	want := ""
	if len(a) > 2 {
		want = a[2].S
	}
	for (want == "" && (f >= 1024 || f <= -1024) || want != "" && units[i] != want) && i < len(units)-1 {
		f /= 1024
		i++
	}
	s := strconv.FormatFloat(f, 'f', prec, 64)
	if prec > 0 {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return str(s + " " + units[i])
}
