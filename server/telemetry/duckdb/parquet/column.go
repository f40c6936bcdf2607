package parquet

import (
	"encoding/binary"
	"math"
)

// Type is the physical type of a column.
type Type uint8

// The types of column.
const (
	Text  Type = iota + 1 // UTF-8
	Int64                 // also ticks
	Int32
	Bool
	Double
)

// maxDictionary bounds the distinct texts of a column that are kept in a dictionary.
const maxDictionary = 1 << 15

// Column collects the cells of one column. Every row adds exactly one cell.
type Column struct {
	Name string
	Type Type

	defined []bool
	nulls   int
	bools   []bool
	fixed   []byte // plain encoding of Int64, Int32 and Double

	dict     map[string]uint32 // nil once there were too many
	dictData []byte            // plain encoding of the dictionary
	indices  []uint32
	plain    []byte // plain encoding of texts, once dict is nil
	texts    int

	minInt, maxInt   int64
	minText, maxText string
}

// NewColumn returns an empty column.
func NewColumn(name string, t Type) *Column {
	c := &Column{Name: name, Type: t}
	if t == Text {
		c.dict = map[string]uint32{}
	}
	return c
}

// Len returns the number of cells.
func (c *Column) Len() int { return len(c.defined) }

// IntRange returns the least and greatest integer, and false when there is none.
func (c *Column) IntRange() (lo, hi int64, ok bool) {
	return c.minInt, c.maxInt, (c.Type == Int64 || c.Type == Int32) && c.values() > 0
}

// Null adds a null.
func (c *Column) Null() {
	c.defined = append(c.defined, false)
	c.nulls++
}

// Int adds an integer to an Int64 or Int32 column, which must be in its range.
func (c *Column) Int(v int64) {
	if c.values() == 0 {
		c.minInt, c.maxInt = v, v
	}
	c.minInt, c.maxInt = min(c.minInt, v), max(c.maxInt, v)
	c.defined = append(c.defined, true)
	if c.Type == Int32 {
		c.fixed = binary.LittleEndian.AppendUint32(c.fixed, uint32(int32(v)))
		return
	}
	c.fixed = binary.LittleEndian.AppendUint64(c.fixed, uint64(v))
}

// Float adds a number to a Double column.
func (c *Column) Float(v float64) {
	c.defined = append(c.defined, true)
	c.fixed = binary.LittleEndian.AppendUint64(c.fixed, math.Float64bits(v))
}

// Flag adds a truth value to a Bool column.
func (c *Column) Flag(v bool) {
	c.defined = append(c.defined, true)
	c.bools = append(c.bools, v)
}

// Str adds a text, which must be valid UTF-8, to a Text column.
func (c *Column) Str(s string) {
	if c.texts == 0 {
		c.minText, c.maxText = s, s
	} else if s < c.minText {
		c.minText = s
	} else if s > c.maxText {
		c.maxText = s
	}
	c.texts++
	c.defined = append(c.defined, true)
	if c.dict == nil {
		c.plain = appendText(c.plain, s)
		return
	}
	i, ok := c.dict[s]
	if !ok {
		if len(c.dict) == maxDictionary {
			c.spill()
			c.plain = appendText(c.plain, s)
			return
		}
		i = uint32(len(c.dict))
		c.dict[s] = i
		c.dictData = appendText(c.dictData, s)
	}
	c.indices = append(c.indices, i)
}

// spill turns the dictionary-encoded texts into plain ones.
func (c *Column) spill() {
	entry := make([][]byte, 0, len(c.dict))
	for p := 0; p < len(c.dictData); {
		n := 4 + int(binary.LittleEndian.Uint32(c.dictData[p:]))
		entry = append(entry, c.dictData[p:p+n])
		p += n
	}
	for _, i := range c.indices {
		c.plain = append(c.plain, entry[i]...)
	}
	c.dict, c.dictData, c.indices = nil, nil, nil
}

func appendText(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(s))), s...)
}

func (c *Column) values() int { return len(c.defined) - c.nulls }
