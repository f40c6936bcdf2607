package duckdb

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/vedette-edr/vedette/journal"
)

func (s *Store) cutLoop(ctx context.Context) {
	tick := time.NewTicker(s.cfg.CutEvery)
	defer tick.Stop()
	for {
		s.checkSpace()
		s.probe()
		s.report(partCut, s.cut())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-s.kick:
		}
	}
}

// checkSpace refuses intake while the disk is nearly full: what is in the journal must
// still fit in segments, or nothing could ever be released.
func (s *Store) checkSpace() {
	free, err := freeSpace(s.cfg.Dir)
	if err == nil && free < s.cfg.Reserve {
		err = fmt.Errorf("%d MiB free, %d MiB are kept in reserve", free>>20, s.cfg.Reserve>>20)
	}
	s.report(partSpace, err)
}

// probe writes to the journal after a failure, so that health is seen to return even
// while nobody sends.
func (s *Store) probe() {
	s.mu.Lock()
	failing := s.trouble[partAppend] != "" && s.trouble[partSpace] == ""
	s.mu.Unlock()
	if failing {
		_ = s.commit(context.Background(), "duckdb.probe", []byte{recordProbe}, &work{})
	}
}

// takePending takes everything that is queued with a position up to the journal's end
// as it is now, and returns that position: nothing before it is left elsewhere.
func (s *Store) takePending() ([]*work, journal.Position) {
	end := s.journal.End()
	s.mu.Lock()
	flight := s.flight
	s.flight = new(sync.WaitGroup)
	s.mu.Unlock()
	// Who is behind end in the journal joined a flight before end was read.
	flight.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	var taken, left []*work
	for _, w := range s.pending {
		if w.end.Compare(end) <= 0 {
			taken = append(taken, w)
		} else {
			left = append(left, w)
		}
	}
	s.pending = left
	slices.SortFunc(taken, func(a, b *work) int { return a.end.Compare(b.end) })
	return taken, end
}

// cut turns what is pending into published segments. On an error it stays pending.
func (s *Store) cut() error {
	s.manifestMu.Lock()
	defer s.manifestMu.Unlock()
	taken, end := s.takePending()
	if len(taken) == 0 {
		return nil
	}
	c := &cutter{store: s, open: map[place]*sheet{}, dirs: map[string]bool{}}
	err := c.run(taken)
	var encoded map[stream][]byte
	if err == nil {
		err = s.manifest.apply(&change{add: c.done, position: &end, commits: commitsOf(taken), whole: func() map[stream][]byte {
			encoded = s.dirtyStreams()
			return encoded
		}})
	}
	if err != nil {
		s.soil(encoded)
		for _, g := range c.done {
			_ = os.Remove(s.path(g))
		}
		s.mu.Lock()
		s.pending = append(taken, s.pending...)
		s.mu.Unlock()
		return err
	}
	s.publish(c.done, nil)
	s.mu.Lock()
	for _, w := range taken {
		s.backlog -= w.size
	}
	s.drained.Broadcast()
	s.mu.Unlock()
	return s.journal.Release(end)
}

// dirtyStreams encodes what changed since the last fold. It may name sequences that are
// still in the journal alone; replay does not ask the manifest about those.
// They are clean from then on, not from the commit: what comes in between is for the next
// fold, which would otherwise pass over it.
func (s *Store) dirtyStreams() map[stream][]byte {
	s.seenMu.Lock()
	defer s.seenMu.Unlock()
	whole := map[stream][]byte{}
	for k, q := range s.seen {
		if q.dirty {
			whole[k] = q.encode()
			q.dirty = false
		}
	}
	return whole
}

// soil takes back what dirtyStreams did, because its result was not stored.
func (s *Store) soil(encoded map[stream][]byte) {
	s.seenMu.Lock()
	defer s.seenMu.Unlock()
	for k := range encoded {
		s.stream(k).dirty = true
	}
}

func commitsOf(taken []*work) (commits []commit) {
	for _, w := range taken {
		if w.batch != nil {
			commits = append(commits, commit{streamOf(w.batch), w.batch.Sequence, shortHash(w.batch.Hash)})
		}
	}
	return commits
}

// publish makes segments visible to queries, and others invisible.
func (s *Store) publish(add, drop []*segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gone := map[int64]bool{}
	touched := map[place]bool{}
	for _, g := range drop {
		gone[g.id] = true
		touched[place{g.tenant, g.table}] = true
		s.trash = append(s.trash, discarded{s.path(g), s.gen})
	}
	for p := range touched {
		s.files[p] = slices.DeleteFunc(slices.Clone(s.files[p]), func(g *segment) bool { return gone[g.id] })
	}
	for _, g := range add {
		p := place{g.tenant, g.table}
		s.files[p] = append(slices.Clone(s.files[p]), g)
	}
}
