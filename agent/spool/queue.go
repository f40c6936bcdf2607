package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/vedette-edr/vedette/journal"
)

// queue is a journal that is read once, in order, with acknowledgements in any order.
// Everything before floor is acknowledged or dropped.
type queue struct {
	j       *journal.Journal
	last    *record // newest batch found at open, its frame left out; nil for none
	damaged int     // places that could not be read, at open

	mu     sync.Mutex
	reader *journal.Reader
	floor  journal.Position
	out    []given // given out, oldest first
	token  uint64
	count  int           // records between floor and the end
	oldest time.Time     // of the record at floor, as far as it is known
	grown  chan struct{} // closed when a record was appended
	closed bool
}

// given is a record that is with the caller.
type given struct {
	token uint64
	end   journal.Position
	acked bool
}

func openQueue(dir string, segment int64, floor journal.Position) (*queue, error) {
	j, err := journal.Open(dir, journal.Options{SegmentSize: max(segment, 64<<10)})
	if err != nil {
		return nil, err
	}
	q := &queue{j: j, floor: floor, grown: make(chan struct{})}
	if err := q.survey(); err != nil {
		return nil, errors.Join(err, j.Close())
	}
	return q, nil
}

// survey reads what is there: the number of records behind the floor, and the newest.
func (q *queue) survey() error {
	r, err := q.j.Read(q.floor)
	if errors.Is(err, journal.ErrBeyond) {
		// The journal's files were lost; the state that survived it still counts on.
		q.damaged++
		q.floor = q.j.End()
		r, err = q.j.Read(q.floor)
	}
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		b, err := r.Next()
		var broken *journal.CorruptError
		switch {
		case errors.Is(err, io.EOF):
			q.reader, err = q.j.Read(q.floor)
			return err
		case errors.As(err, &broken):
			q.damaged++
			continue
		case err != nil:
			return err
		}
		q.count++
		if rec, err := parseRecord(b); err == nil {
			if q.oldest.IsZero() {
				q.oldest = rec.Created
			}
			rec.Frame = nil
			q.last = rec
		}
	}
}

func (q *queue) append(b []byte) error {
	if _, err := q.j.Append(b); err != nil {
		return err
	}
	q.mu.Lock()
	if q.count == 0 {
		q.oldest = time.Time{}
	}
	if rec, err := parseRecord(b); err == nil && q.oldest.IsZero() {
		q.oldest = rec.Created
	}
	q.count++
	close(q.grown)
	q.grown = make(chan struct{})
	q.mu.Unlock()
	return nil
}

// next returns a copy of the next record; it waits for one until ctx ends.
func (q *queue) next(ctx context.Context) (uint64, []byte, error) {
	for {
		q.mu.Lock()
		if q.closed {
			q.mu.Unlock()
			return 0, nil, ErrClosed
		}
		b, err := q.reader.Next()
		var broken *journal.CorruptError
		switch {
		case err == nil && q.reader.Position().Compare(q.floor) <= 0:
			q.mu.Unlock()
			continue // dropped meanwhile
		case err == nil:
			q.token++
			q.out = append(q.out, given{token: q.token, end: q.reader.Position()})
			token, b := q.token, append([]byte(nil), b...)
			q.mu.Unlock()
			return token, b, nil
		case errors.As(err, &broken):
			q.mu.Unlock()
			continue
		case !errors.Is(err, io.EOF):
			q.mu.Unlock()
			return 0, nil, fmt.Errorf("spool: read: %w", err)
		}
		grown := q.grown
		q.mu.Unlock()
		select {
		case <-grown:
		case <-ctx.Done():
			return 0, nil, ctx.Err()
		}
	}
}

// ack marks one record; the floor follows the oldest that are marked without a break.
func (q *queue) ack(token uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.out {
		if q.out[i].token == token {
			q.out[i].acked = true
		}
	}
	for len(q.out) > 0 && q.out[0].acked {
		if q.out[0].end.Compare(q.floor) > 0 {
			q.floor = q.out[0].end
			q.count--
			q.oldest = time.Time{}
		}
		q.out = q.out[1:]
	}
	if q.count == 0 {
		q.oldest = time.Time{}
	}
}

// rewind forgets what was given out and begins again at the floor.
func (q *queue) rewind() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	r, err := q.j.Read(q.floor)
	if err != nil {
		return // the floor is a position of this journal: only a closed one refuses it
	}
	q.reader.Close()
	q.reader, q.out = r, nil
}

func (q *queue) acked() journal.Position {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.floor
}

// pending returns the number of records behind the floor and when the oldest was made.
func (q *queue) pending() (int, time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.count > 0 && q.oldest.IsZero() {
		q.oldest = q.peek()
	}
	return max(q.count, 0), q.oldest
}

// peek reads when the record at the floor was made.
func (q *queue) peek() time.Time {
	r, err := q.j.Read(q.floor)
	if err != nil {
		return time.Time{}
	}
	defer r.Close()
	b, err := r.Next()
	if err != nil {
		return time.Time{}
	}
	rec, err := parseRecord(b)
	if err != nil {
		return time.Time{}
	}
	return rec.Created
}

func (q *queue) unacked() int64 { return q.j.SizeFrom(q.acked()) }
func (q *queue) size() int64    { return q.j.Size() }

// trim frees the room of what is acknowledged. The floor must be in the state on disk.
func (q *queue) trim() error { return q.j.Release(q.acked()) }

// dropSegment moves the floor to the end of the oldest segment that is behind it, and
// returns what was passed over: batches, their events, and when they were made.
func (q *queue) dropSegment() (events uint64, from, to time.Time, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	r, err := q.j.Read(q.floor)
	if err != nil {
		return 0, from, to, err
	}
	defer r.Close()
	var segment uint64
	for {
		b, err := r.Next()
		var broken *journal.CorruptError
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.As(err, &broken) {
			return events, from, to, err
		}
		at := r.Position()
		if segment == 0 {
			segment = at.Segment
		}
		if at.Segment != segment {
			break
		}
		q.floor = at
		if broken != nil {
			continue
		}
		q.count--
		if rec, err := parseRecord(b); err == nil {
			events += uint64(rec.Events)
			from, to = earliest(from, rec.Created), latest(to, rec.Created)
		}
	}
	q.oldest = time.Time{}
	for len(q.out) > 0 && q.out[0].end.Compare(q.floor) <= 0 {
		q.out = q.out[1:]
	}
	return events, from, to, nil
}

func (q *queue) close() error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return nil
	}
	q.closed = true
	close(q.grown)
	q.grown = make(chan struct{})
	q.reader.Close()
	q.mu.Unlock()
	return q.j.Close()
}
