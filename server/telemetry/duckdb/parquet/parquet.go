// Package parquet writes small Parquet files: flat, every column optional, one row group,
// zstd, texts by dictionary. It is what turns the journal into segments in the serving
// process, which holds neither DuckDB nor Arrow.
//
// It is not a Parquet library: it reads nothing, nests nothing and knows five types. Each
// file is readable by every Parquet reader; the tests hold it against DuckDB.
//
// Format: https://parquet.apache.org/docs/file-format/. Start with Encode.
package parquet

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/klauspost/compress/zstd"
)

// The format's own numbers (parquet.thrift).
const (
	typeBool, typeInt32, typeInt64, typeDouble, typeBytes = 0, 1, 2, 5, 6

	encodingPlain, encodingRLE, encodingDictionary = 0, 3, 8

	pageData, pageDictionary = 0, 2

	codecZstd = 6
	optional  = 1
	utf8      = 0
)

var physical = map[Type]int32{Text: typeBytes, Int64: typeInt64, Int32: typeInt32, Bool: typeBool, Double: typeDouble}

// maxStatText is the longest text that statistics carry.
const maxStatText = 64

// Encoder writes files. It is for one goroutine.
type Encoder struct {
	zstd *zstd.Encoder
	page []byte
	pack []byte
}

// NewEncoder returns an encoder.
func NewEncoder() (*Encoder, error) {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		return nil, fmt.Errorf("parquet: %w", err)
	}
	return &Encoder{zstd: z}, nil
}

// chunk is where one column ended up.
type chunk struct {
	dictAt, dataAt  int64 // dictAt is 0 for none
	size, plainSize int64
}

// Encode appends the file made of the columns, which all must have the same length.
func (e *Encoder) Encode(b []byte, columns []*Column) ([]byte, error) {
	if len(columns) == 0 {
		return nil, fmt.Errorf("parquet: no columns")
	}
	base := len(b)
	b = append(b, "PAR1"...)
	rows := columns[0].Len()
	chunks := make([]chunk, len(columns))
	for i, c := range columns {
		if c.Len() != rows {
			return nil, fmt.Errorf("parquet: column %s has %d cells, %s has %d", c.Name, c.Len(), columns[0].Name, rows)
		}
		b = e.column(b, base, c, &chunks[i])
	}
	at := len(b)
	b = footer(b, columns, chunks, rows)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(b)-at))
	return append(b, "PAR1"...), nil
}

func (e *Encoder) column(b []byte, base int, c *Column, k *chunk) []byte {
	start := len(b)
	if c.dict != nil && c.values() > 0 {
		k.dictAt = int64(len(b) - base)
		b = e.writePage(b, c.dictData, func(t *thrift) {
			t.i32(1, pageDictionary)
		}, func(t *thrift) {
			t.open(7)
			t.i32(1, int32(len(c.dict)))
			t.i32(2, encodingPlain)
			t.end()
		}, k)
	}
	k.dataAt = int64(len(b) - base)
	encoding := int32(encodingPlain)
	p := e.levels(e.page[:0], c)
	switch {
	case c.Type == Bool:
		p = appendBits(p, c.bools)
	case c.Type != Text:
		p = append(p, c.fixed...)
	case c.dict != nil && c.values() > 0:
		encoding = encodingDictionary
		width := max(1, bits.Len(uint(len(c.dict)-1)))
		p = append(p, byte(width))
		p = appendPacked(p, c.indices, width)
	default:
		p = append(p, c.plain...)
	}
	e.page = p
	b = e.writePage(b, p, func(t *thrift) {
		t.i32(1, pageData)
	}, func(t *thrift) {
		t.open(5)
		t.i32(1, int32(c.Len()))
		t.i32(2, encoding)
		t.i32(3, encodingRLE)
		t.i32(4, encodingRLE)
		t.end()
	}, k)
	k.size = int64(len(b) - start)
	return b
}

// writePage appends one page; kind and rest write the header's fields before and behind
// the sizes.
func (e *Encoder) writePage(b, data []byte, kind, rest func(*thrift), k *chunk) []byte {
	e.pack = e.zstd.EncodeAll(data, e.pack[:0])
	t := thrift{}
	t.begin()
	kind(&t)
	t.i32(2, int32(len(data)))
	t.i32(3, int32(len(e.pack)))
	rest(&t)
	t.end()
	k.plainSize += int64(len(t.b) + len(data))
	b = append(b, t.b...)
	return append(b, e.pack...)
}

// levels appends the definition levels: which cells are null.
func (e *Encoder) levels(b []byte, c *Column) []byte {
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	if c.nulls == 0 || c.values() == 0 {
		b = binary.AppendUvarint(b, uint64(c.Len())<<1)
		level := byte(1)
		if c.values() == 0 {
			level = 0
		}
		b = append(b, level)
	} else {
		b = binary.AppendUvarint(b, uint64((c.Len()+7)/8)<<1|1)
		b = appendBits(b, c.defined)
	}
	binary.LittleEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	return b
}

// appendBits packs truth values, least significant bit first.
func appendBits(b []byte, v []bool) []byte {
	for i := 0; i < len(v); i += 8 {
		var x byte
		for j, set := range v[i:min(i+8, len(v))] {
			if set {
				x |= 1 << j
			}
		}
		b = append(b, x)
	}
	return b
}

// appendPacked appends dictionary indices: a column of one value as one run, any other
// bit-packed.
func appendPacked(b []byte, v []uint32, width int) []byte {
	same := true
	for _, x := range v {
		if x != v[0] {
			same = false
			break
		}
	}
	if same {
		b = binary.AppendUvarint(b, uint64(len(v))<<1)
		for n := 0; n < width; n += 8 {
			b = append(b, byte(v[0]>>n))
		}
		return b
	}
	b = binary.AppendUvarint(b, uint64((len(v)+7)/8)<<1|1)
	var acc uint64
	fill := 0
	for i := 0; i < (len(v)+7)&^7; i++ {
		if i < len(v) {
			acc |= uint64(v[i]) << fill
		}
		for fill += width; fill >= 8; fill -= 8 {
			b = append(b, byte(acc))
			acc >>= 8
		}
	}
	return b
}

func footer(b []byte, columns []*Column, chunks []chunk, rows int) []byte {
	t := thrift{b: b}
	t.begin()
	t.i32(1, 1)
	t.list(2, thriftStruct, len(columns)+1)
	t.begin()
	t.text(4, "schema")
	t.i32(5, int32(len(columns)))
	t.end()
	for _, c := range columns {
		t.begin()
		t.i32(1, physical[c.Type])
		t.i32(3, optional)
		t.text(4, c.Name)
		if c.Type == Text {
			t.i32(6, utf8)
		}
		t.end()
	}
	t.i64(3, int64(rows))
	t.list(4, thriftStruct, 1)
	t.begin()
	t.list(1, thriftStruct, len(columns))
	var total int64
	for i, c := range columns {
		total += chunks[i].plainSize
		chunkMeta(&t, c, &chunks[i])
	}
	t.i64(2, total)
	t.i64(3, int64(rows))
	t.end()
	t.text(6, "vedette")
	// Without a declared order readers may not use the statistics.
	t.list(7, thriftStruct, len(columns))
	for range columns {
		t.begin()
		t.open(1)
		t.end()
		t.end()
	}
	t.end()
	return t.b
}

func chunkMeta(t *thrift, c *Column, k *chunk) {
	t.begin()
	t.i64(2, k.dataAt)
	t.open(3)
	t.i32(1, physical[c.Type])
	t.list(2, thriftI32, 3)
	for _, e := range []int64{encodingPlain, encodingRLE, encodingDictionary} {
		t.b = binary.AppendVarint(t.b, e)
	}
	t.list(3, thriftBinary, 1)
	t.element(c.Name)
	t.i32(4, codecZstd)
	t.i64(5, int64(c.Len()))
	t.i64(6, k.plainSize)
	t.i64(7, k.size)
	t.i64(9, k.dataAt)
	if k.dictAt > 0 {
		t.i64(11, k.dictAt)
	}
	t.open(12)
	t.i64(3, int64(c.nulls))
	if lo, hi, ok := c.statistics(); ok {
		t.text(5, hi)
		t.text(6, lo)
	}
	t.end()
	t.end()
	t.end()
}

// statistics returns least and greatest value in plain encoding.
func (c *Column) statistics() (lo, hi string, ok bool) {
	if c.values() == 0 {
		return "", "", false
	}
	switch c.Type {
	case Int64:
		return string(binary.LittleEndian.AppendUint64(nil, uint64(c.minInt))),
			string(binary.LittleEndian.AppendUint64(nil, uint64(c.maxInt))), true
	case Int32:
		return string(binary.LittleEndian.AppendUint32(nil, uint32(c.minInt))),
			string(binary.LittleEndian.AppendUint32(nil, uint32(c.maxInt))), true
	case Text:
		return c.minText, c.maxText, len(c.minText) <= maxStatText && len(c.maxText) <= maxStatText
	}
	return "", "", false
}
