package hunt

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"

	"github.com/vedette-edr/vedette/kql/types"
)

// spill is how many bytes of encoded rows are kept in memory; more go to a file.
const spill = 4 << 20

// Rows are the rows of a result. A great many of them lie in a file without a name, so
// that results which wait for slow readers cost no memory. They can be read any number of
// times, by one reader at a time.
type Rows struct {
	columns []types.Type
	dir     string
	n       int
	last    []byte   // encoded, behind what is in file
	file    *os.File // nil while everything is in memory
	size    int64    // of file
}

// NewRows returns rows of these types; dir is where a file of them may be, "" for the
// system's own place.
func NewRows(columns []types.Type, dir string) *Rows { return &Rows{columns: columns, dir: dir} }

// Len is the number of rows.
func (r *Rows) Len() int { return r.n }

// Add adds a row, of which it keeps nothing.
func (r *Rows) Add(row []types.Value) error {
	if len(row) != len(r.columns) {
		return fmt.Errorf("a row of %d cells for %d columns", len(row), len(r.columns))
	}
	for _, v := range row {
		r.last = appendValue(r.last, v)
	}
	r.n++
	if len(r.last) < spill {
		return nil
	}
	if r.file == nil {
		f, err := os.CreateTemp(r.dir, "hunt-")
		if err != nil {
			return err
		}
		if err := os.Remove(f.Name()); err != nil {
			return errors.Join(err, f.Close())
		}
		r.file = f
	}
	n, err := r.file.WriteAt(r.last, r.size)
	r.size += int64(n)
	r.last = r.last[:0]
	return err
}

// Close frees what the rows take; they are not to be read any more.
func (r *Rows) Close() error {
	r.last, r.n = nil, 0
	if r.file == nil {
		return nil
	}
	f := r.file
	r.file = nil
	return f.Close()
}

// All yields the rows in order, each valid until the next one, and an error at most once,
// as the last.
func (r *Rows) All() iter.Seq2[[]types.Value, error] {
	return func(yield func([]types.Value, error) bool) {
		in := &source{rest: r.last}
		if r.file != nil {
			in.file = bufio.NewReaderSize(io.NewSectionReader(r.file, 0, r.size), 64<<10)
		}
		row := make([]types.Value, len(r.columns))
		for range r.n {
			for i, t := range r.columns {
				var err error
				if row[i], err = in.value(t); err != nil {
					yield(nil, fmt.Errorf("rows of a result: %w", err))
					return
				}
			}
			if !yield(row, nil) {
				return
			}
		}
	}
}

// appendValue encodes a cell: whether it is null, then what its type keeps.
func appendValue(b []byte, v types.Value) []byte {
	if v.Null {
		return append(b, 0)
	}
	b = append(b, 1)
	switch v.Type {
	case types.Bool, types.Int, types.Long, types.Datetime, types.Timespan:
		return binary.AppendVarint(b, v.I)
	case types.Real:
		return binary.LittleEndian.AppendUint64(b, math.Float64bits(v.F))
	case types.Dynamic:
		s := types.MarshalDynamic(v.D)
		return append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	return append(binary.AppendUvarint(b, uint64(len(v.S))), v.S...)
}

// source reads the file first and then what is in memory.
type source struct {
	file *bufio.Reader // nil once it is read
	rest []byte
	text []byte
}

// ReadByte implements io.ByteReader.
func (s *source) ReadByte() (byte, error) {
	if s.file != nil {
		c, err := s.file.ReadByte()
		if err != io.EOF {
			return c, err
		}
		s.file = nil
	}
	if len(s.rest) == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	c := s.rest[0]
	s.rest = s.rest[1:]
	return c, nil
}

// take reads n bytes, which are valid until the next call. Rows are written whole, so
// that none begins in the file and ends in memory.
func (s *source) take(n uint64) ([]byte, error) {
	if s.file == nil {
		if n > uint64(len(s.rest)) {
			return nil, io.ErrUnexpectedEOF
		}
		b := s.rest[:n]
		s.rest = s.rest[n:]
		return b, nil
	}
	if uint64(cap(s.text)) < n {
		s.text = make([]byte, n)
	}
	b := s.text[:n]
	_, err := io.ReadFull(s.file, b)
	return b, err
}

func (s *source) value(t types.Type) (types.Value, error) {
	tag, err := s.ReadByte()
	if err != nil || tag == 0 {
		return types.Null(t), err
	}
	v := types.Value{Type: t}
	switch t {
	case types.Bool, types.Int, types.Long, types.Datetime, types.Timespan:
		v.I, err = binary.ReadVarint(s)
		return v, err
	case types.Real:
		b, err := s.take(8)
		if err == nil {
			v.F = math.Float64frombits(binary.LittleEndian.Uint64(b))
		}
		return v, err
	}
	n, err := binary.ReadUvarint(s)
	if err != nil {
		return v, err
	}
	b, err := s.take(n)
	if err != nil {
		return v, err
	}
	if t == types.Dynamic {
		return types.ParseDynamic(string(b)), nil
	}
	v.S = string(b)
	return v, nil
}
