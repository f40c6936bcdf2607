package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// run commits group after group until the journal is closed and nothing waits.
func (j *Journal) run() {
	defer close(j.finished)
	for {
		j.mu.Lock()
		for j.open == nil && !j.closed {
			j.wake.Wait()
		}
		g := j.open
		j.open = nil
		j.wake.Broadcast()
		j.mu.Unlock()
		if g == nil {
			return
		}
		g.pos, g.err = j.commit(g.buf)
		close(g.done)
	}
}

// commit writes frames to the active segment and syncs them. When anything fails, the
// segment is never written again: what the failed write left behind is cut off or, if
// even that fails, lies behind the end that the next segment's header states.
func (j *Journal) commit(frames []byte) (Position, error) {
	if j.active != nil && j.active.end+int64(len(frames)) > j.opts.SegmentSize {
		j.retire()
	}
	fresh := j.active == nil
	if fresh {
		if err := j.begin(); err != nil {
			return Position{}, err
		}
	}
	at := j.active.end
	sealFrames(frames, j.active.salt, at)
	_, err := j.file.WriteAt(frames, at)
	if err == nil {
		err = j.file.Sync()
	}
	if err == nil && fresh {
		err = j.fs.SyncDir()
	}
	if err != nil {
		j.abandon(fresh)
		return Position{}, fileError("append", err)
	}
	j.mu.Lock()
	j.active.end = at + int64(len(frames))
	if fresh {
		j.segs = append(j.segs, j.active)
	}
	j.mu.Unlock()
	return Position{j.active.number, at}, nil
}

// begin creates the next segment and writes its header, unsynced.
func (j *Journal) begin() error {
	var salt [8]byte
	if _, err := io.ReadFull(j.opts.Rand, salt[:]); err != nil {
		return fmt.Errorf("journal: salt: %w", err)
	}
	s := &segment{number: j.next, salt: binary.LittleEndian.Uint64(salt[:]), end: headerSize}
	j.next++
	var prev Position
	if n := len(j.segs); n > 0 {
		prev = Position{j.segs[n-1].number, j.segs[n-1].end}
	}
	f, err := j.fs.Create(s.name())
	if err != nil {
		return fileError("create segment", err)
	}
	j.active, j.file = s, f
	if _, err := f.WriteAt(encodeHeader(s, prev), 0); err != nil {
		j.abandon(true)
		return fileError("write segment header", err)
	}
	return nil
}

// retire closes the active segment, whose every byte is synced.
func (j *Journal) retire() {
	// Nothing was written since the last sync, so closing has nothing to lose.
	_ = j.file.Close()
	j.active, j.file = nil, nil
}

// abandon gives up the active segment after a failure, best effort: correctness rests on
// the chain of segment headers, and only room is won here.
func (j *Journal) abandon(fresh bool) {
	if !fresh {
		_ = j.file.Truncate(j.active.end)
	}
	_ = j.file.Close()
	if fresh {
		j.mu.Lock()
		j.junk = append(j.junk, j.active.name())
		_ = j.sweep()
		j.mu.Unlock()
	}
	j.active, j.file = nil, nil
}

// sweep unlinks the segments of failed commits.
func (j *Journal) sweep() error {
	for len(j.junk) > 0 {
		if err := j.fs.Remove(j.junk[0]); err != nil && !errors.Is(err, errGone) {
			return fileError("unlink failed segment", err)
		}
		j.junk = j.junk[1:]
		j.undone = true
	}
	return nil
}
