package journal

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strconv"
	"strings"
)

// A segment file begins with a header and is followed by frames:
//
//	0   8 bytes  magic
//	8   u64      number of the segment
//	16  u64      number of the segment before it, 0 for none
//	24  u64      that segment's end: what lies behind it there was never acknowledged
//	32  u32      CRC32C of the segment's salt and the bytes above
//	36  4 zeros
//
// The salt is in the file's name, so that a damaged header costs no records. Segments
// that no header refers to are left over from a failed write.
const headerSize = 40

const magic = "VEDJRNL1"

// segment is one file of the journal.
type segment struct {
	number uint64
	salt   uint64
	end    int64 // behind the last acknowledged byte
}

func (s *segment) name() string { return fmt.Sprintf("%016x-%016x.seg", s.number, s.salt) }

// parseName reports false for files that are not segments.
func parseName(name string) (*segment, bool) {
	base, ok := strings.CutSuffix(name, ".seg")
	number, salt, cut := strings.Cut(base, "-")
	if !ok || !cut || len(number) != 16 || len(salt) != 16 {
		return nil, false
	}
	n, err1 := strconv.ParseUint(number, 16, 64)
	v, err2 := strconv.ParseUint(salt, 16, 64)
	s := &segment{number: n, salt: v, end: headerSize}
	return s, err1 == nil && err2 == nil && n > 0 && s.name() == name
}

func encodeHeader(s *segment, prev Position) []byte {
	b := make([]byte, headerSize)
	copy(b, magic)
	binary.LittleEndian.PutUint64(b[8:], s.number)
	binary.LittleEndian.PutUint64(b[16:], prev.Segment)
	binary.LittleEndian.PutUint64(b[24:], uint64(prev.Offset))
	binary.LittleEndian.PutUint32(b[32:], headerSum(b, s.salt))
	return b
}

func headerSum(b []byte, salt uint64) uint32 {
	var s [8]byte
	binary.LittleEndian.PutUint64(s[:], salt)
	return crc32.Update(crc32.Checksum(s[:], castagnoli), castagnoli, b[:32])
}

// parseHeader returns where the segment before s ends; it reports false for a header
// that is damaged or not there.
func parseHeader(b []byte, s *segment) (prev Position, ok bool) {
	if len(b) < headerSize || string(b[:8]) != magic ||
		binary.LittleEndian.Uint32(b[32:]) != headerSum(b, s.salt) ||
		binary.LittleEndian.Uint64(b[8:]) != s.number {
		return Position{}, false
	}
	prev = Position{binary.LittleEndian.Uint64(b[16:]), int64(binary.LittleEndian.Uint64(b[24:]))}
	return prev, prev.Segment < s.number && prev.Offset >= 0
}

// recoverSegments lists the segments that hold acknowledged records, with their ends.
// It walks the chain of headers from the newest segment to the oldest.
func recoverSegments(fs files) (segs []*segment, rec Recovery, next uint64, err error) {
	names, err := fs.List()
	if err != nil {
		return nil, rec, 0, err
	}
	var found []*segment
	for _, name := range names {
		if s, ok := parseName(name); ok {
			found = append(found, s)
		}
	}
	slices.SortFunc(found, func(a, b *segment) int { return cmp.Compare(a.number, b.number) })
	next = 1
	if n := len(found); n > 0 {
		if next = found[n-1].number + 1; next == 0 {
			return nil, rec, 0, fmt.Errorf("segment numbers used up by %s", found[n-1].name())
		}
	}
	var known *Position // end of the segment looked for, as its successor states it
	for i := len(found) - 1; i >= 0; i-- {
		s := found[i]
		if i > 0 && found[i-1].number == s.number {
			return nil, rec, 0, fmt.Errorf("two segments with one number: %s and %s", found[i-1].name(), s.name())
		}
		if known != nil && known.Segment < s.number {
			// Its successor names an older one: what it holds was never acknowledged.
			rec.Torn += fileSize(fs, s)
			if err := fs.Remove(s.name()); err != nil {
				return nil, rec, 0, err
			}
			continue
		}
		if known != nil && known.Segment > s.number {
			rec.Missing++
			known = nil
		}
		prev, headed, err := recoverSegment(fs, s, known, &rec)
		if err != nil {
			return nil, rec, 0, fmt.Errorf("%s: %w", s.name(), err)
		}
		if s.end <= headerSize {
			if err := fs.Remove(s.name()); err != nil {
				return nil, rec, 0, err
			}
			continue
		}
		segs = append(segs, s)
		known = nil
		if headed {
			known = &prev
			if prev.Segment == 0 {
				known = &Position{}
			}
		}
	}
	slices.Reverse(segs)
	return segs, rec, next, fs.SyncDir()
}

func fileSize(fs files, s *segment) int64 {
	f, err := fs.Open(s.name())
	if err != nil {
		return 0
	}
	defer f.Close()
	n, err := f.Size()
	if err != nil {
		return 0
	}
	return n
}

// recoverSegment sets s.end: as the successor states it or, for the newest segment,
// behind the last frame that is whole, and cuts the file there. It returns the header.
func recoverSegment(fs files, s *segment, known *Position, rec *Recovery) (Position, bool, error) {
	f, err := fs.Edit(s.name())
	if err != nil {
		return Position{}, false, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return Position{}, false, err
	}
	b := make([]byte, min(size, headerSize))
	if _, err := f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return Position{}, false, err
	}
	prev, headed := parseHeader(b, s)
	if known != nil && known.Offset >= headerSize {
		// A file shorter than that has lost acknowledged records; readers report it.
		s.end = known.Offset
		rec.Torn += max(0, size-s.end)
		return prev, headed, nil
	}
	end, err := scanEnd(f, s, size)
	if err != nil {
		return Position{}, false, err
	}
	s.end = end
	if size > end {
		rec.Torn += size - end
		if end > headerSize {
			if err := f.Truncate(end); err != nil {
				return Position{}, false, err
			}
		}
	}
	// What was read may still be in the page cache alone, if the crash was of the
	// process: later commits rely on it being on the disk.
	return prev, headed, f.Sync()
}

// scanEnd finds the end of the newest segment: whole frames up to the first break, and
// behind a break only from a commit that began behind it, for then all before that
// commit had been synced and the break is damage, which stays for readers to report.
func scanEnd(f file, s *segment, size int64) (int64, error) {
	c := cursor{f: f, salt: s.salt, at: headerSize, end: size}
	end := int64(headerSize)
	broken := int64(-1)
	for {
		_, h, err := c.frame()
		switch {
		case errors.Is(err, io.EOF):
			return end, nil
		case errors.Is(err, errBroken):
			if broken < 0 {
				broken = c.at
			}
			if err := c.seek(); err != nil {
				if errors.Is(err, io.EOF) {
					return end, nil
				}
				return 0, err
			}
			continue
		case err != nil:
			return 0, err
		}
		if broken >= 0 && h.commit <= broken {
			continue
		}
		broken = -1
		end = c.at
	}
}
