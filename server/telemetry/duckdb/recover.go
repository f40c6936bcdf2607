package duckdb

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/vedette-edr/vedette/durable"
	"github.com/vedette-edr/vedette/journal"
)

// recover brings the store to the state that its journal and manifest tell.
func (s *Store) recover() error {
	if err := os.MkdirAll(s.cfg.Dir, 0o700); err != nil {
		return err
	}
	// The journal's lock keeps a second process out of everything below.
	var err error
	if s.journal, err = journal.Open(filepath.Join(s.cfg.Dir, "journal"), journal.Options{}); err != nil {
		return err
	}
	if r := s.journal.Recovery(); r.Missing > 0 {
		s.damage = fmt.Sprintf("%d segments of the journal are missing", r.Missing)
	}
	if err := durable.SyncDir(filepath.Dir(s.cfg.Dir)); err != nil {
		return err
	}
	path := filepath.Join(s.cfg.Dir, "manifest.db")
	if err := s.checkManifest(path); err != nil {
		return err
	}
	if s.manifest, err = openManifest(path); err != nil {
		return err
	}
	s.nextID.Store(s.manifest.maxID)
	all, err := s.manifest.segments()
	if err != nil {
		return err
	}
	for _, g := range all {
		p := place{g.tenant, g.table}
		s.files[p] = append(s.files[p], g)
	}
	if err := s.removeOrphans(all); err != nil {
		return err
	}
	if s.seen, err = s.manifest.streams(); err != nil {
		return err
	}
	return s.replay()
}

// checkManifest refuses to begin a new manifest beside segments of an old one, which
// would all be orphans.
func (s *Store) checkManifest(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	found, err := filepath.Glob(filepath.Join(s.cfg.Dir, "segments", "*", "*", "*.parquet"))
	if err == nil && len(found) > 0 {
		err = fmt.Errorf("%s is missing beside %d segments: restore it, or move the segments away", path, len(found))
	}
	return err
}

// removeOrphans removes files that a crash left between writing and publishing, or
// between unpublishing and unlinking.
func (s *Store) removeOrphans(all []*segment) error {
	known := map[string]bool{}
	for _, g := range all {
		known[s.path(g)] = true
	}
	if err := os.RemoveAll(s.scratch()); err != nil {
		return err
	}
	if err := os.MkdirAll(s.scratch(), 0o700); err != nil {
		return err
	}
	root := filepath.Join(s.cfg.Dir, "segments")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	if err := durable.SyncDir(s.cfg.Dir); err != nil {
		return err
	}
	found, err := filepath.Glob(filepath.Join(root, "*", "*", "*"))
	if err != nil {
		return err
	}
	for _, path := range found {
		if !known[path] {
			if err := os.Remove(path); err != nil {
				return err
			}
			s.nextID.Store(max(s.nextID.Load(), idOf(path)))
		}
		delete(known, path)
	}
	for path := range known {
		s.damage = "segment " + filepath.Base(path) + " is missing"
	}
	return nil
}

// idOf returns the id that a segment's path was made of, 0 for another file.
func idOf(path string) (id int64) {
	_, _ = fmt.Sscanf(filepath.Base(path), "%d.parquet", &id)
	return id
}

// scratch holds files that are being written.
func (s *Store) scratch() string { return filepath.Join(s.cfg.Dir, "scratch") }

// replay queues what the journal holds behind the manifest's position.
func (s *Store) replay() error {
	from, err := s.manifest.position()
	if err != nil {
		return err
	}
	r, err := s.journal.Read(from)
	lost := errors.Is(err, journal.ErrBeyond)
	if lost {
		// The journal was taken away or put back to an older state. What it holds may be
		// in segments already, and from now on its positions mean something else.
		s.damage = fmt.Sprintf("the journal ends at %v, before what the manifest has of it (%v)", s.journal.End(), from)
		if err := s.manifest.apply(&change{position: &journal.Position{}}); err != nil {
			return err
		}
		r, err = s.journal.Read(journal.Position{})
	}
	if err != nil {
		return err
	}
	defer r.Close()
	type key struct {
		stream
		sequence uint64
	}
	// A batch whose append failed may have survived beside its successful repetition.
	replayed := map[key]bool{}
	for {
		b, err := r.Next()
		var broken *journal.CorruptError
		switch {
		case errors.As(err, &broken):
			s.damage = broken.Error()
			continue
		case err != nil:
			if r.Position().Compare(s.journal.End()) < 0 {
				return err
			}
			return nil
		}
		w, err := s.decodeWork(b)
		if err != nil {
			// Kept for people: it was acknowledged, and cannot become rows.
			name := filepath.Join(s.cfg.Dir, "unreadable-"+r.Position().String())
			s.damage = fmt.Sprintf("the journal's record before %v: %v", r.Position(), err)
			if err := os.WriteFile(name, b, 0o600); err != nil {
				return err
			}
			continue
		}
		w.end = r.Position()
		if w.batch != nil {
			k := key{streamOf(w.batch), w.batch.Sequence}
			q := s.stream(k.stream)
			if replayed[k] || lost && q.lookup(k.sequence, shortHash(w.batch.Hash)) != fresh {
				continue
			}
			replayed[k] = true
			q.add(w.batch.Sequence, shortHash(w.batch.Hash))
		}
		s.pending = append(s.pending, w)
		s.backlog += w.size
	}
}

func (s *Store) decodeWork(b []byte) (*work, error) {
	if len(b) == 0 {
		return nil, errRecord
	}
	w := &work{size: int64(len(b))}
	switch b[0] {
	case recordBatch:
		batch, err := decodeBatch(b)
		if err != nil {
			return nil, err
		}
		if batch.Events, batch.Gaps, err = s.cfg.Decode(batch.Raw); err != nil {
			return nil, err
		}
		w.batch = batch
	case recordRows:
		rows, err := decodeRows(b)
		if err != nil {
			return nil, err
		}
		w.rows = rows
	case recordProbe:
	default:
		return nil, fmt.Errorf("%w: kind %d", errRecord, b[0])
	}
	return w, nil
}
