package funcs

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"hash/adler32"
	"hash/crc32"
	"strings"

	"github.com/vedette-edr/vedette/kql/types"
)

func codeFuncs() []entry {
	text := func(f func(string) (string, bool)) Impl {
		return func(c *Ctx, a []types.Value) types.Value {
			s, ok := f(a[0].S)
			if !ok {
				return str("")
			}
			return str(s)
		}
	}
	labels := func(f func(string) (string, bool)) func(string) (string, bool) {
		return func(s string) (string, bool) {
			parts := strings.FieldsFunc(s, func(r rune) bool { return r == '.' || r == '。' || r == '．' || r == '｡' })
			for i, p := range parts {
				l, ok := f(p)
				if !ok {
					return "", false
				}
				parts[i] = l
			}
			return strings.Join(parts, "."), true
		}
	}
	return []entry{
		{sig: "punycode_from_string(text:string) string", doc: "Text in punycode.", eval: text(punyEncode)},
		{sig: "punycode_to_string(text:string) string", doc: "Text of punycode.", eval: text(punyDecode)},
		{sig: "punycode_domain_from_string(domain:string) string", doc: "Domain name with its encoded labels decoded.", eval: text(labels(func(l string) (string, bool) {
			if enc, ok := strings.CutPrefix(l, "xn--"); ok {
				return punyDecode(enc)
			}
			return l, true
		}))},
		{sig: "punycode_domain_to_string(domain:string) string", doc: "Domain name with its labels encoded.", eval: text(labels(func(l string) (string, bool) {
			for i := 0; i < len(l); i++ {
				if l[i] >= 0x80 {
					s, ok := punyEncode(l)
					return "xn--" + s, ok
				}
			}
			return l, true
		}))},
		{sig: "hash_many(value:any, more:any...) long", doc: "Hash of several values together.", eval: func(_ *Ctx, a []types.Value) types.Value {
			var h uint64
			for _, v := range a {
				var b [16]byte
				binary.LittleEndian.PutUint64(b[:], h)
				binary.LittleEndian.PutUint64(b[8:], xxhash(v))
				h = xxh64(b[:])
			}
			return types.NewLong(int64(h))
		}},
		{sig: "hash_combine(hash:long, more:long...) long", doc: "Several hashes combined into one.", eval: func(_ *Ctx, a []types.Value) types.Value {
			h := uint64(a[0].I)
			for _, v := range a[1:] {
				h ^= uint64(v.I) + 0x9e3779b97f4a7c15 + h<<6 + h>>2
			}
			return types.NewLong(int64(h))
		}},
		{sig: "estimate_data_size(value:any...) long", nulls: true, doc: "Estimated bytes of values.", eval: func(_ *Ctx, a []types.Value) types.Value {
			n := 0
			for _, v := range a {
				switch v.Type {
				case types.Bool:
					n++
				case types.Int:
					n += 4
				case types.GUID, types.Decimal:
					n += 16
				case types.String, types.Dynamic:
					n += len(v.Text())
				default:
					n += 8
				}
			}
			return long(n)
		}},
		{sig: "datetime_list_timezones() dynamic", doc: "Names of time zones that datetime_utc_to_local knows best.", eval: func(*Ctx, []types.Value) types.Value {
			out := []any{}
			for _, z := range strings.Fields(zoneNames) {
				out = append(out, z)
			}
			return dyn(out)
		}},
		{sig: "current_cluster_endpoint() string", vol: true, doc: "Name of the cluster: there is one, and it is local.", eval: func(*Ctx, []types.Value) types.Value { return str("localhost") }},
		{sig: "current_database() string", vol: true, doc: "Name of the database of the hunting tables.", eval: func(*Ctx, []types.Value) types.Value { return str("hunting") }},
		{sig: "cursor_current() string", vol: true, alias: []string{"current_cursor"}, doc: "Database cursors are not kept: always empty.", eval: func(*Ctx, []types.Value) types.Value { return str("") }},
	}
}

const zoneNames = "Africa/Cairo Africa/Johannesburg Africa/Lagos Africa/Nairobi America/Anchorage America/Argentina/Buenos_Aires America/Bogota America/Chicago America/Denver America/Halifax America/Lima America/Los_Angeles America/Mexico_City America/New_York America/Phoenix America/Santiago America/Sao_Paulo America/St_Johns America/Toronto America/Vancouver Asia/Bangkok Asia/Dhaka Asia/Dubai Asia/Hong_Kong Asia/Jakarta Asia/Jerusalem Asia/Karachi Asia/Kathmandu Asia/Kolkata Asia/Manila Asia/Riyadh Asia/Seoul Asia/Shanghai Asia/Singapore Asia/Taipei Asia/Tehran Asia/Tokyo Atlantic/Azores Atlantic/Reykjavik Australia/Adelaide Australia/Brisbane Australia/Darwin Australia/Melbourne Australia/Perth Australia/Sydney Europe/Amsterdam Europe/Athens Europe/Berlin Europe/Brussels Europe/Bucharest Europe/Budapest Europe/Copenhagen Europe/Dublin Europe/Helsinki Europe/Istanbul Europe/Kyiv Europe/Lisbon Europe/London Europe/Madrid Europe/Moscow Europe/Oslo Europe/Paris Europe/Prague Europe/Rome Europe/Stockholm Europe/Vienna Europe/Warsaw Europe/Zurich Pacific/Auckland Pacific/Fiji Pacific/Guam Pacific/Honolulu US/Central US/Eastern US/Mountain US/Pacific UTC"

// Punycode of RFC 3492.
const (
	punyBase, punyTMin, punyTMax, punySkew, punyDamp, punyBias, punyFirst = 36, 1, 26, 38, 700, 72, 128
	maxPuny                                                               = 4096
)

func punyAdapt(delta, n int, first bool) int {
	if first {
		delta /= punyDamp
	} else {
		delta /= 2
	}
	delta += delta / n
	k := 0
	for ; delta > (punyBase-punyTMin)*punyTMax/2; k += punyBase {
		delta /= punyBase - punyTMin
	}
	return k + (punyBase-punyTMin+1)*delta/(delta+punySkew)
}

func punyT(k, bias int) int { return min(max(k-bias, punyTMin), punyTMax) }

func punyEncode(s string) (string, bool) {
	in := []rune(s)
	if len(in) > maxPuny {
		return "", false
	}
	var b strings.Builder
	for _, r := range in {
		if r < punyFirst {
			b.WriteRune(r)
		}
	}
	basic := b.Len()
	done, n, delta, bias := basic, punyFirst, 0, punyBias
	if basic > 0 {
		b.WriteByte('-')
	}
	digit := func(d int) byte {
		if d < 26 {
			return byte('a' + d)
		}
		return byte('0' + d - 26)
	}
	for done < len(in) {
		next := rune(0x7fffffff)
		for _, r := range in {
			if int(r) >= n && r < next {
				next = r
			}
		}
		delta += (int(next) - n) * (done + 1)
		n = int(next)
		for _, r := range in {
			if int(r) < n {
				delta++
			}
			if int(r) != n {
				continue
			}
			q := delta
			for k := punyBase; ; k += punyBase {
				t := punyT(k, bias)
				if q < t {
					break
				}
				b.WriteByte(digit(t + (q-t)%(punyBase-t)))
				q = (q - t) / (punyBase - t)
			}
			b.WriteByte(digit(q))
			bias = punyAdapt(delta, done+1, done == basic)
			delta = 0
			done++
		}
		delta++
		n++
	}
	return b.String(), true
}

func punyDecode(s string) (string, bool) {
	if len(s) > maxPuny {
		return "", false
	}
	var out []rune
	if i := strings.LastIndexByte(s, '-'); i >= 0 {
		for _, r := range s[:i] {
			if r >= punyFirst {
				return "", false
			}
			out = append(out, r)
		}
		s = s[i+1:]
	}
	n, at, bias := punyFirst, 0, punyBias
	for s != "" {
		old, w := at, 1
		for k := punyBase; ; k += punyBase {
			if s == "" {
				return "", false
			}
			d := -1
			switch c := s[0] | 0x20; {
			case c >= 'a' && c <= 'z':
				d = int(c - 'a')
			case s[0] >= '0' && s[0] <= '9':
				d = int(s[0]-'0') + 26
			}
			s = s[1:]
			if d < 0 || at > 1<<40 {
				return "", false
			}
			at += d * w
			t := punyT(k, bias)
			if d < t {
				break
			}
			if w *= punyBase - t; w > 1<<32 {
				return "", false
			}
		}
		bias = punyAdapt(at-old, len(out)+1, old == 0)
		n += at / (len(out) + 1)
		at %= len(out) + 1
		if n > 0x10ffff {
			return "", false
		}
		out = append(out, 0)
		copy(out[at+1:], out[at:])
		out[at] = rune(n)
		at++
	}
	return string(out), true
}

// stored is data as one stored block of deflate, or nil when there is too much of it.
func stored(data []byte) []byte {
	if len(data) > 0xffff {
		return nil
	}
	n := uint16(len(data))
	b := binary.LittleEndian.AppendUint16([]byte{1}, n)
	return append(binary.LittleEndian.AppendUint16(b, ^n), data...)
}

// shorter answers the smaller of a compressed form and the stored one between its frame.
func shorter(packed, head, body, tail []byte) types.Value {
	if body != nil {
		if plain := append(append(append([]byte{}, head...), body...), tail...); len(plain) <= len(packed) {
			packed = plain
		}
	}
	return str(base64.StdEncoding.EncodeToString(packed))
}

func gzipText(_ *Ctx, a []types.Value) types.Value {
	data := []byte(a[0].S)
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(data)
	_ = w.Close()
	tail := binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(data))
	tail = binary.LittleEndian.AppendUint32(tail, uint32(len(data)))
	return shorter(b.Bytes(), []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}, stored(data), tail)
}

func zlibText(_ *Ctx, a []types.Value) types.Value {
	data := []byte(a[0].S)
	var b bytes.Buffer
	w, _ := zlib.NewWriterLevel(&b, zlib.BestSpeed)
	_, _ = w.Write(data)
	_ = w.Close()
	return shorter(b.Bytes(), []byte{0x78, 0x01}, stored(data), binary.BigEndian.AppendUint32(nil, adler32.Checksum(data)))
}
