package behavior

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/vedette-edr/vedette/detection"
	"github.com/vedette-edr/vedette/durable"
	"github.com/vedette-edr/vedette/server/ident"
)

// saveEvery is how often memories are written when they changed.
const saveEvery = 5 * time.Second

// overlap is how long an event may be on its way through Match when a memory is written.
const overlap = time.Minute

func (d *Detector) file(id ident.TenantID) string {
	return filepath.Join(d.cfg.Dir, string(id)+".state")
}

// restore reads the memory of a tenant; one that is missing or damaged is an empty one,
// which Replay fills again.
func (d *Detector) restore(id ident.TenantID) *detection.State {
	s := detection.NewState(d.cfg.Keys)
	if d.cfg.Dir == "" {
		return s
	}
	f, err := os.Open(d.file(id))
	if err != nil {
		return s
	}
	defer f.Close()
	if _, err := s.Restore(bufio.NewReader(f)); err != nil {
		return detection.NewState(d.cfg.Keys)
	}
	return s
}

// Position is the instant of ingestion up to which a tenant's memory on disk knows
// everything; the zero time when there is none.
func (d *Detector) Position(id ident.TenantID) time.Time {
	f, err := os.Open(d.file(id))
	if err != nil {
		return time.Time{}
	}
	defer f.Close()
	at, err := detection.NewState(0).Restore(bufio.NewReader(f))
	if err != nil {
		return time.Time{}
	}
	return at
}

// Run writes memories that changed until ctx ends, and once more then. failed is told of
// one that could not be written; it is tried again.
func (d *Detector) Run(ctx context.Context, failed func(error)) error {
	if d.cfg.Dir == "" {
		return nil
	}
	t := time.NewTicker(saveEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			if err := d.Save(); err != nil {
				failed(err)
			}
			return nil
		case <-t.C:
			if err := d.Save(); err != nil {
				failed(err)
			}
		}
	}
}

// Save writes the memories that changed since they were written last.
func (d *Detector) Save() error {
	d.mu.RLock()
	states := make(map[ident.TenantID]*detection.State, len(d.tenants))
	for id, t := range d.tenants {
		states[id] = t.state
	}
	d.mu.RUnlock()
	var all error
	for id, s := range states {
		now := d.cfg.Now()
		s.Expire(now)
		if s.Dirty() {
			all = errors.Join(all, d.save(id, s, now.Add(-overlap)))
		}
	}
	return all
}

// save writes a file beside the old one and puts it in its place, so that a crash leaves
// one of the two whole.
func (d *Detector) save(id ident.TenantID, s *detection.State, position time.Time) error {
	if err := os.MkdirAll(d.cfg.Dir, 0o700); err != nil {
		return err
	}
	err := durable.WriteTo(d.file(id), 0o600, func(w io.Writer) error { return s.Save(w, position) })
	if err != nil {
		return fmt.Errorf("what rules remember of tenant %s: %w", id, err)
	}
	return nil
}
