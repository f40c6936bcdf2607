package parquet

import "encoding/binary"

// thrift writes the compact protocol, as far as Parquet's metadata needs it.
type thrift struct {
	b    []byte
	last []int16 // id of the last field of each open struct
}

// The compact protocol's type codes.
const (
	thriftTrue   = 1
	thriftI32    = 5
	thriftI64    = 6
	thriftBinary = 8
	thriftList   = 9
	thriftStruct = 12
)

func (t *thrift) begin() { t.last = append(t.last, 0) }

func (t *thrift) end() {
	t.b = append(t.b, 0)
	t.last = t.last[:len(t.last)-1]
}

func (t *thrift) field(id int16, code byte) {
	last := &t.last[len(t.last)-1]
	if d := id - *last; d > 0 && d < 16 {
		t.b = append(t.b, byte(d)<<4|code)
	} else {
		t.b = append(t.b, code)
		t.b = binary.AppendVarint(t.b, int64(id))
	}
	*last = id
}

func (t *thrift) i32(id int16, v int32) {
	t.field(id, thriftI32)
	t.b = binary.AppendVarint(t.b, int64(v))
}

func (t *thrift) i64(id int16, v int64) {
	t.field(id, thriftI64)
	t.b = binary.AppendVarint(t.b, v)
}

func (t *thrift) text(id int16, s string) {
	t.field(id, thriftBinary)
	t.element(s)
}

// element writes a string that is an element of a list.
func (t *thrift) element(s string) {
	t.b = binary.AppendUvarint(t.b, uint64(len(s)))
	t.b = append(t.b, s...)
}

// list begins a list of n elements of one type; the caller writes the elements.
func (t *thrift) list(id int16, code byte, n int) {
	t.field(id, thriftList)
	if n < 15 {
		t.b = append(t.b, byte(n)<<4|code)
		return
	}
	t.b = append(t.b, 0xf0|code)
	t.b = binary.AppendUvarint(t.b, uint64(n))
}

// open begins a struct that is the value of a field.
func (t *thrift) open(id int16) {
	t.field(id, thriftStruct)
	t.begin()
}
