// Package journal is a crash-safe, append-only log of records in segment files: the
// agent's spool and the server's intake both stand on it.
//
// Append returns nil only after its records are on stable storage; many callers share
// one fsync. After a crash at any instant every acknowledged record is read back once,
// unchanged and in order. A record whose Append failed, or never returned, may be there
// or not. Damage to acknowledged records is never passed over in silence: readers get a
// *CorruptError where it lies and go on behind it.
//
// It is not a queue: who reads keeps its own Position, and says with Release what is no
// longer needed. It keeps no bound on its size: see Size. Start with Journal; the format
// is described in frame.go and segment.go.
package journal

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrFull says that the file system has no room. Nothing of the call was kept, and
	// later calls succeed once there is room again.
	ErrFull = errors.New("journal: no space left")
	// ErrClosed says that the journal was closed.
	ErrClosed = errors.New("journal: closed")
	// ErrTooLarge says that a record is longer than Options.MaxRecord.
	ErrTooLarge = errors.New("journal: record too large")
	// ErrBeyond says that a position lies behind the end of the journal: it belongs to
	// another journal, or this one lost its files.
	ErrBeyond = errors.New("journal: position beyond the end")
	// ErrLocked says that another process has the journal open.
	ErrLocked = errors.New("journal: in use by another process")
)

// Position is a place between two records. Positions grow as records are appended, over
// restarts too; the zero Position is before every record.
type Position struct {
	Segment uint64
	Offset  int64
}

// Compare returns -1, 0 or +1 as p is before, at or behind q.
func (p Position) Compare(q Position) int {
	switch {
	case p.Segment < q.Segment, p.Segment == q.Segment && p.Offset < q.Offset:
		return -1
	case p == q:
		return 0
	}
	return 1
}

// String renders p as segment:offset.
func (p Position) String() string { return fmt.Sprintf("%d:%d", p.Segment, p.Offset) }

// Options tune a journal. The zero value is fit for use.
type Options struct {
	// SegmentSize is the size in bytes at which a new segment file is begun, and so the
	// granularity of Release; 0 means 16 MiB.
	SegmentSize int64
	// MaxRecord is the largest record in bytes; 0 means 16 MiB.
	MaxRecord int
	// Rand gives segments their salt; nil means crypto/rand.
	Rand io.Reader

	fs       files
	lockWait time.Duration
}

// Recovery is what Open found amiss.
type Recovery struct {
	// Torn counts the bytes at the end that were dropped because no sync had covered
	// them: they were never acknowledged, unless the disk lied.
	Torn int64
	// Missing counts segments that later ones refer to and that are not there.
	Missing int
}

// Journal is an open journal. All methods may be called by many goroutines.
type Journal struct {
	fs       files
	opts     Options
	recovery Recovery
	unlock   func() error
	finished chan struct{} // closed when the committer has returned

	mu     sync.Mutex
	wake   *sync.Cond // a group was filled or taken, or the journal closed
	open   *group     // being filled; nil when no one waits
	closed bool
	segs   []*segment // oldest first; only those that hold records
	undone bool       // an unlink may not have reached the disk yet
	junk   []string   // segments of failed commits, to be unlinked

	// Owned by the committer goroutine.
	active *segment // the one written to, nil before the first commit and after a failure
	file   file     // of active
	next   uint64   // number of the next segment
}

// group is what one fsync acknowledges.
type group struct {
	buf  []byte
	pos  Position // of buf[0], once committed
	err  error
	done chan struct{}
}

// maxGroup bounds the bytes that wait for one fsync. A single call may exceed it.
const maxGroup = 4 << 20

// Open opens the journal in dir, which it creates when it is missing, and drops what a
// crash left half written at its end. Only one process may have a journal open; another
// one's Open fails with ErrLocked after a few seconds.
func Open(dir string, o Options) (*Journal, error) {
	if o.SegmentSize <= 0 {
		o.SegmentSize = 16 << 20
	}
	if o.MaxRecord <= 0 {
		o.MaxRecord = 16 << 20
	}
	if o.MaxRecord > maxFrame {
		return nil, fmt.Errorf("journal: MaxRecord %d exceeds %d", o.MaxRecord, maxFrame)
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	unlock := func() error { return nil }
	if o.fs == nil {
		var err error
		if o.fs, unlock, err = openDir(dir, cmp.Or(o.lockWait, lockWait)); err != nil {
			return nil, err
		}
	}
	segs, rec, next, err := recoverSegments(o.fs)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("journal: recover %s: %w", dir, err), unlock())
	}
	j := &Journal{fs: o.fs, opts: o, recovery: rec, unlock: unlock, segs: segs, next: next,
		finished: make(chan struct{})}
	j.wake = sync.NewCond(&j.mu)
	go j.run()
	return j, nil
}

// Recovery returns what Open found amiss.
func (j *Journal) Recovery() Recovery { return j.recovery }

// Append keeps the records, in order and next to each other, and returns the position
// behind the last one after all are on stable storage. On an error none is acknowledged.
// The records are copied before Append returns; an empty record is a record.
func (j *Journal) Append(records ...[]byte) (Position, error) {
	size := 0
	for _, r := range records {
		if len(r) > j.opts.MaxRecord {
			return Position{}, fmt.Errorf("%w: %d bytes", ErrTooLarge, len(r))
		}
		size += frameSize(len(r))
	}
	if size == 0 {
		return j.End(), nil
	}
	if size > maxFrame {
		return Position{}, fmt.Errorf("%w: %d bytes in one call", ErrTooLarge, size)
	}
	j.mu.Lock()
	for !j.closed && j.open != nil && len(j.open.buf)+size > maxGroup {
		j.wake.Wait()
	}
	if j.closed {
		j.mu.Unlock()
		return Position{}, ErrClosed
	}
	if j.open == nil {
		j.open = &group{done: make(chan struct{})}
		j.wake.Broadcast()
	}
	g := j.open
	for _, r := range records {
		g.buf = appendFrame(g.buf, r)
	}
	end := int64(len(g.buf))
	j.mu.Unlock()

	<-g.done
	if g.err != nil {
		return Position{}, g.err
	}
	return Position{g.pos.Segment, g.pos.Offset + end}, nil
}

// First returns the position of the oldest record kept.
func (j *Journal) First() Position {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.segs) == 0 {
		return Position{}
	}
	return Position{j.segs[0].number, headerSize}
}

// End returns the position behind the newest acknowledged record.
func (j *Journal) End() Position {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.endLocked()
}

func (j *Journal) endLocked() Position {
	if len(j.segs) == 0 {
		return Position{}
	}
	last := j.segs[len(j.segs)-1]
	return Position{last.number, last.end}
}

// Size returns the bytes of all segments kept.
func (j *Journal) Size() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	var n int64
	for _, s := range j.segs {
		n += s.end
	}
	return n
}

// SizeFrom returns the bytes between p and the end.
func (j *Journal) SizeFrom(p Position) int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	var n int64
	for _, s := range j.segs {
		switch {
		case s.number > p.Segment:
			n += s.end - headerSize
		case s.number == p.Segment:
			n += max(0, s.end-max(p.Offset, headerSize))
		}
	}
	return n
}

// Release unlinks the segments that lie wholly before p. The newest segment always
// stays, because it carries the count of segments over a restart.
func (j *Journal) Release(p Position) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return ErrClosed
	}
	for len(j.segs) > 1 {
		s := j.segs[0]
		if (Position{s.number, s.end}).Compare(p) > 0 {
			break
		}
		// One sync each: were two unlinks to reach the disk out of order, the older
		// segment would come back without its successor. Likewise a failed segment can
		// be told from a good one only while its successor is there.
		if err := j.sweep(); err != nil {
			return err
		}
		if err := j.settle(); err != nil {
			return err
		}
		if err := j.fs.Remove(s.name()); err != nil && !errors.Is(err, errGone) {
			return fileError("release", err)
		}
		j.segs = slices.Delete(j.segs, 0, 1)
		j.undone = true
	}
	return j.settle()
}

// settle brings unlinks to the disk.
func (j *Journal) settle() error {
	if !j.undone {
		return nil
	}
	if err := j.fs.SyncDir(); err != nil {
		return fileError("release", err)
	}
	j.undone = false
	return nil
}

// Close commits what waits and closes the files. Appends that come later fail with
// ErrClosed; readers of this journal must not be used any more.
func (j *Journal) Close() error {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return ErrClosed
	}
	j.closed = true
	j.wake.Broadcast()
	j.mu.Unlock()
	<-j.finished
	if j.file != nil {
		j.retire()
	}
	return j.unlock()
}
