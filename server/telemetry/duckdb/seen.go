package duckdb

import (
	"encoding/binary"
	"slices"
	"sort"

	"github.com/vedette-edr/vedette/server/ident"
)

// hashWindow is how many of a device's newest sequences keep their hash. A sequence that
// was committed longer ago is a duplicate whatever its hash is now: a clone of the device
// is told from the device for as long as it is not further behind than this.
const hashWindow = 512

// maxSpans bounds the memory that a device which leaves out sequences can take. When it
// is exceeded, the lowest sequences left out can no longer be committed.
const maxSpans = 256

// stream names one device's run of sequences.
type stream struct {
	tenant      ident.TenantID
	device      ident.DeviceID
	incarnation uint64
}

// verdict is what is known of a sequence.
type verdict uint8

const (
	fresh     verdict = iota // never committed
	duplicate                // committed, as far as known with the same hash
	conflict                 // committed with another hash
	closed                   // left out so long ago that it cannot be told
)

// span is a closed range of committed sequences.
type span struct{ lo, hi uint64 }

// seen is what one stream has committed. The zero value is an empty stream.
type seen struct {
	spans  []span // sorted, never adjacent
	floor  uint64 // sequences up to here that are in no span are closed
	hashes [hashWindow]uint64
	// flying holds the sequences being committed now: to be waited for.
	flying map[uint64]chan struct{}
	dirty  bool // changed since it was last stored whole
}

// shortHash is the part of a batch's hash that is kept.
func shortHash(h [32]byte) uint64 { return binary.LittleEndian.Uint64(h[:8]) }

func (s *seen) find(seq uint64) (int, bool) {
	i := sort.Search(len(s.spans), func(i int) bool { return s.spans[i].hi >= seq })
	return i, i < len(s.spans) && s.spans[i].lo <= seq
}

func (s *seen) newest() uint64 {
	if len(s.spans) == 0 {
		return 0
	}
	return s.spans[len(s.spans)-1].hi
}

func (s *seen) lookup(seq, hash uint64) verdict {
	_, ok := s.find(seq)
	switch {
	case !ok && seq <= s.floor:
		return closed
	case !ok:
		return fresh
	case s.newest()-seq < hashWindow && s.hashes[seq%hashWindow] != hash:
		return conflict
	}
	return duplicate
}

// add notes a commit.
func (s *seen) add(seq, hash uint64) {
	i, ok := s.find(seq)
	if ok {
		return
	}
	s.dirty = true
	left := i > 0 && s.spans[i-1].hi+1 == seq
	right := i < len(s.spans) && s.spans[i].lo == seq+1
	switch {
	case left && right:
		s.spans[i-1].hi = s.spans[i].hi
		s.spans = slices.Delete(s.spans, i, i+1)
	case left:
		s.spans[i-1].hi = seq
	case right:
		s.spans[i].lo = seq
	default:
		s.spans = slices.Insert(s.spans, i, span{seq, seq})
	}
	if len(s.spans) > maxSpans {
		s.floor = s.spans[1].lo - 1
		s.spans = slices.Delete(s.spans, 0, 1)
	}
	if s.newest()-seq < hashWindow {
		s.hashes[seq%hashWindow] = hash
	}
}

// encode renders s for the manifest.
func (s *seen) encode() []byte {
	b := binary.AppendUvarint(nil, s.floor)
	b = binary.AppendUvarint(b, uint64(len(s.spans)))
	for _, p := range s.spans {
		b = binary.AppendUvarint(b, p.lo)
		b = binary.AppendUvarint(b, p.hi-p.lo)
	}
	kept := min(s.newest(), hashWindow)
	for seq := s.newest(); kept > 0; seq, kept = seq-1, kept-1 {
		b = binary.LittleEndian.AppendUint64(b, s.hashes[seq%hashWindow])
	}
	return b
}

// decodeSeen is the inverse of encode.
func decodeSeen(b []byte) (*seen, error) {
	d := &decoder{b: b}
	s := &seen{floor: d.uvarint()}
	for range d.count() {
		lo := d.uvarint()
		s.spans = append(s.spans, span{lo, lo + d.uvarint()})
	}
	kept := min(s.newest(), hashWindow)
	for seq := s.newest(); kept > 0 && !d.bad; seq, kept = seq-1, kept-1 {
		if t := d.take(8); t != nil {
			s.hashes[seq%hashWindow] = binary.LittleEndian.Uint64(t)
		}
	}
	if d.bad {
		return nil, errRecord
	}
	return s, nil
}
