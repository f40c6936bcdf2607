package funcs

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"io"
	"math"
	"math/bits"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/kql/types"
)

func hashFuncs() []entry {
	hexOf := func(sum func([]byte) []byte) Impl {
		return func(_ *Ctx, a []types.Value) types.Value {
			return str(hex.EncodeToString(sum([]byte(a[0].Text()))))
		}
	}
	return []entry{
		{sig: "hash(value:any, mod:long?) long", alias: []string{"hash_xxhash64"}, doc: "64-bit xxHash of a value, below mod when given.", eval: func(c *Ctx, a []types.Value) types.Value {
			h := xxhash(a[0])
			if len(a) > 1 {
				if a[1].I <= 0 {
					return c.null()
				}
				return types.NewLong(int64(h % uint64(a[1].I)))
			}
			return types.NewLong(int64(h))
		}},
		{sig: "hash_md5(value:any) string", doc: "MD5 in hexadecimal.", eval: hexOf(func(b []byte) []byte { s := md5.Sum(b); return s[:] })},
		{sig: "hash_sha1(value:any) string", doc: "SHA-1 in hexadecimal.", eval: hexOf(func(b []byte) []byte { s := sha1.Sum(b); return s[:] })},
		{sig: "hash_sha256(value:any) string", doc: "SHA-256 in hexadecimal.", eval: hexOf(func(b []byte) []byte { s := sha256.Sum256(b); return s[:] })},
		{sig: "hash_sha512(value:any) string", doc: "SHA-512 in hexadecimal.", eval: hexOf(func(b []byte) []byte { s := sha512.Sum512(b); return s[:] })},
		{sig: "base64_encode_tostring(text:string) string", alias: []string{"base64_encodestring"}, doc: "Text in base64.", eval: func(_ *Ctx, a []types.Value) types.Value {
			return str(base64.StdEncoding.EncodeToString([]byte(a[0].S)))
		}},
		{sig: "base64_decode_tostring(text:string) string", alias: []string{"base64_decodestring"}, doc: "Text of base64; empty when it is none.", eval: func(_ *Ctx, a []types.Value) types.Value {
			b, ok := decode64(a[0].S)
			if !ok || !utf8.Valid(b) {
				return str("")
			}
			return str(string(b))
		}},
		{sig: "base64_decode_toarray(text:string) dynamic", doc: "Array of the bytes of base64.", eval: func(c *Ctx, a []types.Value) types.Value {
			b, ok := decode64(a[0].S)
			if !ok {
				return c.null()
			}
			out := make([]any, len(b))
			for i, x := range b {
				out[i] = int64(x)
			}
			return dyn(out)
		}},
		{sig: "base64_decode_toguid(text:string) guid", doc: "guid of base64.", eval: func(c *Ctx, a []types.Value) types.Value {
			b, ok := decode64(a[0].S)
			if !ok || len(b) != 16 {
				return c.null()
			}
			return types.NewGUID(hex.EncodeToString(swapGUID(b)))
		}},
		{sig: "base64_encode_fromguid(guid:guid) string", doc: "guid in base64.", eval: func(c *Ctx, a []types.Value) types.Value {
			var h []byte
			for i := 0; i < len(a[0].S); i++ {
				if a[0].S[i] != '-' {
					h = append(h, a[0].S[i])
				}
			}
			b := make([]byte, 16)
			if _, err := hex.Decode(b, h); err != nil {
				return c.null()
			}
			return str(base64.StdEncoding.EncodeToString(swapGUID(b)))
		}},
		{sig: "base64_encode_fromarray(bytes:dynamic) string", doc: "Array of bytes in base64.", eval: arrays(func(c *Ctx, arr []any, _ []types.Value) types.Value {
			var b []byte
			for _, e := range arr {
				i, ok := e.(int64)
				if !ok || i < 0 || i > 255 {
					return c.null()
				}
				b = append(b, byte(i))
			}
			return str(base64.StdEncoding.EncodeToString(b))
		})},
		{sig: "gzip_compress_to_base64_string(text:string) string", doc: "Text compressed with gzip, in base64.", eval: gzipText},
		{sig: "gzip_decompress_from_base64_string(text:string) string", doc: "Text decompressed with gzip from base64.", eval: inflate(func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) })},
		{sig: "zlib_compress_to_base64_string(text:string) string", doc: "Text compressed with zlib, in base64.", eval: zlibText},
		{sig: "zlib_decompress_from_base64_string(text:string) string", doc: "Text decompressed with zlib from base64.", eval: inflate(func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) })},
	}
}

// swapGUID exchanges the byte order of the first three groups, as .NET stores a guid.
func swapGUID(b []byte) []byte {
	return []byte{b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]}
}

func decode64(s string) ([]byte, bool) {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		if b, err = base64.RawStdEncoding.DecodeString(s); err != nil {
			return nil, false
		}
	}
	return b, true
}

func inflate(open func(io.Reader) (io.Reader, error)) Impl {
	return func(_ *Ctx, a []types.Value) types.Value {
		b, ok := decode64(a[0].S)
		if !ok {
			return str("")
		}
		r, err := open(bytes.NewReader(b))
		if err != nil {
			return str("")
		}
		out, err := io.ReadAll(io.LimitReader(r, MaxString))
		if err != nil || !utf8.Valid(out) {
			return str("")
		}
		return str(string(out))
	}
}

// xxhash hashes what Kusto hashes: the bytes of a text, the eight bytes of a number.
func xxhash(v types.Value) uint64 {
	var b [8]byte
	switch v.Type {
	case types.Bool, types.Int, types.Long, types.Datetime, types.Timespan:
		binary.LittleEndian.PutUint64(b[:], uint64(v.I))
		return xxh64(b[:])
	case types.Real:
		binary.LittleEndian.PutUint64(b[:], math.Float64bits(v.F))
		return xxh64(b[:])
	}
	return xxh64([]byte(v.Text()))
}

const (
	xp1 uint64 = 11400714785074694791
	xp2 uint64 = 14029467366897019727
	xp3 uint64 = 1609587929392839161
	xp4 uint64 = 9650029242287828579
	xp5 uint64 = 2870177450012600261
)

func xround(acc, in uint64) uint64 { return bits.RotateLeft64(acc+in*xp2, 31) * xp1 }

// xxh64 is xxHash64 with seed 0.
func xxh64(b []byte) uint64 {
	n, h := len(b), xp5
	if n >= 32 {
		var p1, p2 = xp1, xp2
		v1, v2, v3, v4 := p1+p2, p2, uint64(0), -p1
		for ; len(b) >= 32; b = b[32:] {
			v1 = xround(v1, binary.LittleEndian.Uint64(b))
			v2 = xround(v2, binary.LittleEndian.Uint64(b[8:]))
			v3 = xround(v3, binary.LittleEndian.Uint64(b[16:]))
			v4 = xround(v4, binary.LittleEndian.Uint64(b[24:]))
		}
		h = bits.RotateLeft64(v1, 1) + bits.RotateLeft64(v2, 7) + bits.RotateLeft64(v3, 12) + bits.RotateLeft64(v4, 18)
		for _, v := range [4]uint64{v1, v2, v3, v4} {
			h = (h^xround(0, v))*xp1 + xp4
		}
	}
	h += uint64(n)
	for ; len(b) >= 8; b = b[8:] {
		h = bits.RotateLeft64(h^xround(0, binary.LittleEndian.Uint64(b)), 27)*xp1 + xp4
	}
	if len(b) >= 4 {
		h = bits.RotateLeft64(h^uint64(binary.LittleEndian.Uint32(b))*xp1, 23)*xp2 + xp3
		b = b[4:]
	}
	for _, c := range b {
		h = bits.RotateLeft64(h^uint64(c)*xp5, 11) * xp1
	}
	h ^= h >> 33
	h *= xp2
	h ^= h >> 29
	h *= xp3
	return h ^ h>>32
}
