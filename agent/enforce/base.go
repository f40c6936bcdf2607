package enforce

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sort"
)

// A base is a complete set in one file:
//
//	magic      8 bytes
//	device     40 bytes, zeros for none
//	revision   8 bytes
//	counts     4 bytes for each kind
//	for each kind: records sorted by their bytes, the key first; then their positions
//	           in that order, 4 bytes each, sorted by id
//	checksum   32 bytes, SHA-256 of all before
//
// Numbers are big-endian.
const (
	magic      = "VDENFRC2"
	deviceSize = 40
	headSize   = len(magic) + deviceSize + 8 + 4*int(kinds)
)

// maxEntries bounds a set. The widest records make a base of 49 MB.
const maxEntries = 1 << 20

type base struct {
	device   string
	revision uint64
	sections [kinds]section
	data     []byte       // what the sections lie in; nil for the empty base
	release  func() error // unmaps data; nil when it is not mapped
}

func (b *base) close() error {
	if b == nil || b.release == nil {
		return nil
	}
	release := b.release
	b.release, b.data, b.sections = nil, nil, [kinds]section{}
	return release()
}

func (b *base) len() int {
	n := 0
	for i := range b.sections {
		n += b.sections[i].n
	}
	return n
}

// section is the records of one kind.
type section struct {
	kind    kind
	n       int
	records []byte
	byID    []byte
}

func (s *section) record(i int) []byte {
	w := recordSize(s.kind)
	return s.records[i*w : (i+1)*w]
}

func (s *section) key(i int) []byte { return s.record(i)[:keySize[s.kind]] }

func (s *section) entry(i int) entry { return readEntry(s.kind, s.record(i)) }

// first is the position of the first record whose key is not less.
func (s *section) first(key string) int {
	return sort.Search(s.n, func(i int) bool { return string(s.key(i)) >= key })
}

// position returns that of the record that is at place i by id. What is not in the
// section, which no checksum lets pass, is its last record.
func (s *section) position(i int) int {
	return min(int(binary.BigEndian.Uint32(s.byID[4*i:])), s.n-1)
}

// locate returns the position of the record with an id.
func (s *section) locate(id int64) (int, bool) {
	at := func(i int) int64 { return recordID(s.kind, s.record(s.position(i))) }
	i := sort.Search(s.n, func(i int) bool { return at(i) >= id })
	if i == s.n || at(i) != id {
		return 0, false
	}
	return s.position(i), true
}

// image builds the file of a set of records, which come as they are, kind by kind.
func image(device string, revision uint64, records [kinds][]byte) ([]byte, error) {
	size, total := headSize+sha256.Size, 0
	var counts [kinds]int
	for k := range kinds {
		counts[k] = len(records[k]) / recordSize(k)
		total += counts[k]
		size += len(records[k]) + 4*counts[k]
	}
	if total > maxEntries {
		return nil, fmt.Errorf("enforce: a set of %d indicators; at most %d are kept", total, maxEntries)
	}
	out := make([]byte, 0, size)
	out = append(out, magic...)
	out = append(out, make([]byte, deviceSize)...)
	copy(out[len(magic):], device)
	out = binary.BigEndian.AppendUint64(out, revision)
	for _, n := range counts {
		out = binary.BigEndian.AppendUint32(out, uint32(n))
	}
	order := make([]uint32, 0, slices.Max(counts[:]))
	for k := range kinds {
		w := recordSize(k)
		order = order[:0]
		for i := range counts[k] {
			order = append(order, uint32(i))
		}
		in := func(i uint32) []byte { return records[k][int(i)*w : (int(i)+1)*w] }
		slices.SortFunc(order, func(a, b uint32) int { return bytes.Compare(in(a), in(b)) })
		start := len(out)
		for i, from := range order {
			out = append(out, in(from)...)
			order[i] = uint32(i)
		}
		sorted := out[start:]
		id := func(i uint32) int64 { return recordID(k, sorted[int(i)*w:(int(i)+1)*w]) }
		slices.SortFunc(order, func(a, b uint32) int {
			switch x, y := id(a), id(b); {
			case x < y:
				return -1
			case x > y:
				return 1
			}
			return 0
		})
		for i, p := range order {
			if i > 0 && id(order[i-1]) == id(p) {
				return nil, fmt.Errorf("enforce: two indicators of the set have the id %d", id(p))
			}
			out = binary.BigEndian.AppendUint32(out, p)
		}
	}
	sum := sha256.Sum256(out)
	return append(out, sum[:]...), nil
}

var errImage = errors.New("enforce: the kept set is damaged")

// read returns the base in the bytes of a file, which it goes on using.
func read(data []byte) (*base, error) {
	if len(data) < headSize+sha256.Size || string(data[:len(magic)]) != magic {
		return nil, errImage
	}
	body, sum := data[:len(data)-sha256.Size], data[len(data)-sha256.Size:]
	if got := sha256.Sum256(body); !bytes.Equal(got[:], sum) {
		return nil, errImage
	}
	device, _, _ := bytes.Cut(body[len(magic):len(magic)+deviceSize], []byte{0})
	b := &base{device: string(device), revision: binary.BigEndian.Uint64(body[len(magic)+deviceSize:]), data: data}
	counts, rest := body[headSize-4*int(kinds):headSize], body[headSize:]
	for k := range kinds {
		n := int(binary.BigEndian.Uint32(counts[4*k:]))
		size := n * recordSize(k)
		if n > maxEntries || len(rest) < size+4*n {
			return nil, errImage
		}
		b.sections[k] = section{kind: k, n: n, records: rest[:size], byID: rest[size : size+4*n]}
		rest = rest[size+4*n:]
	}
	if len(rest) != 0 {
		return nil, errImage
	}
	return b, nil
}
