package journal

import (
	"errors"
	"fmt"
	"io"
	"sort"
)

// CorruptError reports acknowledged bytes that cannot be read back: [From, To) of one
// segment. The number of records lost there is unknown.
type CorruptError struct {
	Segment  uint64
	From, To int64
}

// Error names the place.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("journal: segment %d is damaged from byte %d to %d", e.Segment, e.From, e.To)
}

// Reader reads acknowledged records in order. It is for one goroutine; any number of
// readers may follow a journal that is being appended to.
type Reader struct {
	j   *Journal
	pos Position
	cur cursor
}

// Read returns a reader that begins at from, which must be a position that this journal
// gave out, or zero; what was released before it is skipped. A position behind the end
// is ErrBeyond. The caller closes the reader.
func (j *Journal) Read(from Position) (*Reader, error) {
	if end := j.End(); from.Compare(end) > 0 {
		return nil, fmt.Errorf("%w: %v, the end is %v", ErrBeyond, from, end)
	}
	return &Reader{j: j, pos: from}, nil
}

// Position returns the place behind the last record or damage that Next returned.
func (r *Reader) Position() Position { return r.pos }

// Next returns the next record, which is valid until the next call. It returns io.EOF
// at the end of what is acknowledged so far, after which it may be called again, and a
// *CorruptError once for each damaged place, behind which the following call goes on.
func (r *Reader) Next() ([]byte, error) {
	for {
		s, end, newest, ok := r.j.segment(r.pos.Segment)
		if !ok {
			return nil, io.EOF
		}
		if s.number > r.pos.Segment {
			r.drop()
			r.pos = Position{s.number, headerSize}
		}
		r.pos.Offset = max(r.pos.Offset, headerSize)
		if r.pos.Offset >= end {
			if newest {
				return nil, io.EOF
			}
			// Not kept open: some systems cannot unlink an open file.
			r.drop()
			r.pos = Position{s.number + 1, 0}
			continue
		}
		return r.frame(s, end)
	}
}

func (r *Reader) frame(s *segment, end int64) ([]byte, error) {
	if r.cur.f == nil {
		f, err := r.j.fs.Open(s.name())
		if errors.Is(err, errGone) {
			r.pos.Offset = end
			return nil, &CorruptError{s.number, headerSize, end}
		}
		if err != nil {
			return nil, fileError("read", err)
		}
		r.cur = cursor{f: f, salt: s.salt, at: r.pos.Offset}
	}
	r.cur.end = end
	b, _, err := r.cur.frame()
	if errors.Is(err, errBroken) {
		from := r.cur.at
		if err := r.cur.seek(); err != nil && !errors.Is(err, io.EOF) {
			return nil, fileError("read", err)
		}
		r.pos.Offset = r.cur.at
		return nil, &CorruptError{s.number, from, r.cur.at}
	}
	if err != nil {
		return nil, fileError("read", err)
	}
	r.pos.Offset = r.cur.at
	return b, nil
}

func (r *Reader) drop() {
	if r.cur.f != nil {
		_ = r.cur.f.Close()
	}
	r.cur = cursor{}
}

// Close frees the file that is being read.
func (r *Reader) Close() { r.drop() }

// segment returns the segment with that number, or the next one that there is, with its
// acknowledged end and whether it is the newest.
func (j *Journal) segment(number uint64) (s *segment, end int64, newest, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	i := sort.Search(len(j.segs), func(i int) bool { return j.segs[i].number >= number })
	if i == len(j.segs) {
		return nil, 0, false, false
	}
	return j.segs[i], j.segs[i].end, i == len(j.segs)-1, true
}

// errBroken says that no whole frame begins at a place.
var errBroken = errors.New("journal: broken frame")

// cursor walks the frames of one file.
type cursor struct {
	f    file
	salt uint64
	at   int64 // of the next frame
	end  int64 // behind the last byte to look at

	buf  []byte
	base int64 // offset in the file of buf[0]
}

const readAhead = 256 << 10

// peek returns n bytes at c.at, fewer where the file ends.
func (c *cursor) peek(n int) ([]byte, error) {
	n = int(min(int64(n), c.end-c.at))
	lo := c.at - c.base
	if lo >= 0 && lo+int64(n) <= int64(len(c.buf)) {
		return c.buf[lo : lo+int64(n)], nil
	}
	want := int(min(max(int64(n), readAhead), c.end-c.at))
	if cap(c.buf) < want {
		c.buf = make([]byte, want)
	}
	c.buf = c.buf[:want]
	got, err := c.f.ReadAt(c.buf, c.at)
	if err != nil && !errors.Is(err, io.EOF) {
		c.buf = c.buf[:0]
		return nil, err
	}
	c.buf, c.base = c.buf[:got], c.at
	return c.buf[:min(n, got)], nil
}

// frame returns the record at c.at and steps behind it; io.EOF at c.end.
func (c *cursor) frame() ([]byte, head, error) {
	if c.at >= c.end {
		return nil, head{}, io.EOF
	}
	b, err := c.peek(frameHead)
	if err != nil {
		return nil, head{}, err
	}
	h, ok := parseHead(b, c.salt, c.at)
	if !ok || int64(frameSize(h.length)) > c.end-c.at {
		return nil, head{}, errBroken
	}
	if b, err = c.peek(frameSize(h.length)); err != nil {
		return nil, head{}, err
	}
	r, ok := h.record(b)
	if !ok {
		return nil, head{}, errBroken
	}
	c.at += int64(frameSize(h.length))
	return r, h, nil
}

// seek moves c.at from a broken frame to the next whole one, or to c.end with io.EOF.
func (c *cursor) seek() error {
	for c.at += 8; c.at < c.end; c.at += 8 {
		at := c.at
		_, _, err := c.frame()
		c.at = at
		if !errors.Is(err, errBroken) {
			return err
		}
	}
	c.at = c.end
	return io.EOF
}
