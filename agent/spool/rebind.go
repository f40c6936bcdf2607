package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/vedette-edr/vedette/journal"
	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/wire"
)

// rebinding asks the flusher to rebind.
type rebinding struct {
	device      string
	incarnation uint64
	done        chan error
}

// Rebind goes on under another device or incarnation, after the agent enrolled again.
// Batches that were given out before are given out again, made anew.
func (s *Spool) Rebind(device string, incarnation uint64) error {
	r := rebinding{device: device, incarnation: incarnation, done: make(chan error, 1)}
	select {
	case s.rebinds <- r:
		return <-r.done
	case <-s.done:
		return ErrClosed
	}
}

// serve does what Rebind asks.
func (s *Spool) serve(r rebinding) {
	old := s.conf
	s.conf.Device, s.conf.Incarnation = r.device, r.incarnation
	var err error
	if s.state.Device != r.device || s.state.Incarnation != r.incarnation {
		err = s.rebind()
	}
	if err != nil && s.state.Incarnation == old.Incarnation {
		s.conf = old
	}
	r.done <- err
}

// rebind makes the batches of a former device or incarnation anew under the present one,
// with sequences and report ids from 1: the server takes a batch from no one else than
// who it says it is from. The new journal counts only once the state names it, so that a
// crash on the way begins again from the old one.
func (s *Spool) rebind() error {
	next := s.state
	next.Device, next.Incarnation = s.conf.Device, s.conf.Incarnation
	next.Generation, next.NextSequence, next.NextReport = s.state.Generation+1, 1, 1
	dir := s.telemetryDir(next.Generation)
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("spool: rebind: %w", err)
	}
	to, err := openQueue(dir, s.conf.Limit/segments, journal.Position{})
	if err != nil {
		return err
	}
	if err := s.copyTo(to, &next); err != nil {
		return errors.Join(fmt.Errorf("spool: rebind: %w", err), to.close())
	}
	old := s.telemetry
	s.mu.Lock()
	s.telemetry, s.state = to, next
	s.state.Gaps, s.state.GapsSequence = append([]event.Gap(nil), s.gaps...), next.NextSequence
	s.mu.Unlock()
	if err := s.saveState(); err != nil {
		return errors.Join(err, old.close())
	}
	return errors.Join(old.close(), s.removeOthers())
}

func (s *Spool) copyTo(to *queue, next *state) error {
	s.telemetry.rewind()
	left, _ := s.telemetry.pending()
	for range left {
		_, b, err := s.telemetry.next(context.Background())
		if err != nil {
			return err
		}
		r, err := parseRecord(b)
		if err != nil {
			s.Lost(event.Gap{Source: "spool", Reason: "a batch on disk is not readable", From: s.conf.Clock(), To: s.conf.Clock()})
			continue
		}
		batch, err := wire.DecodeBatch(r.Frame, wire.Limits{})
		if err != nil {
			s.Lost(event.Gap{Source: "spool", Reason: "a batch on disk is not readable", Count: uint64(r.Events), From: r.Created, To: r.Created})
			continue
		}
		h := batch.Header
		h.Device, h.Incarnation, h.Sequence, h.FirstReport = next.Device, next.Incarnation, next.NextSequence, next.NextReport
		if r.Frame, err = s.encoder.EncodeBatch(h, batch.Events, batch.Gaps); err != nil {
			return err
		}
		r.Sequence, r.FirstReport = h.Sequence, h.FirstReport
		if err := to.append(r.encode()); err != nil {
			return err
		}
		next.NextSequence++
		next.NextReport += int64(r.Events)
	}
	return nil
}

// removeOthers removes the journals of other generations.
func (s *Spool) removeOthers() error {
	dirs, err := filepath.Glob(filepath.Join(s.conf.Dir, "telemetry-*"))
	if err != nil {
		return err
	}
	for _, d := range dirs {
		if d != s.telemetryDir(s.state.Generation) {
			err = errors.Join(err, os.RemoveAll(d))
		}
	}
	return err
}
