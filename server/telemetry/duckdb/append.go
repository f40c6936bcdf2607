package duckdb

import (
	"context"
	"sync"
	"time"

	"github.com/vedette-edr/vedette/journal"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/telemetry"
)

// work is one journal record on its way into segments: a batch, rows, or nothing.
type work struct {
	end   journal.Position // behind its record
	size  int64
	batch *telemetry.Batch
	rows  *rowsRecord
}

// maxRaw is the longest batch in bytes.
const maxRaw = 12 << 20

func streamOf(b *telemetry.Batch) stream { return stream{b.Tenant, b.Device, b.Incarnation} }

// Append implements telemetry.Appender.
func (s *Store) Append(ctx context.Context, b *telemetry.Batch) (telemetry.Ack, error) {
	const op = "duckdb.Append"
	if err := s.checkBatch(b); err != nil {
		return 0, err
	}
	k, hash := streamOf(b), shortHash(b.Hash)
	landed, ack, err := s.claim(ctx, k, b.Sequence, hash)
	if err != nil || ack == telemetry.Duplicate {
		return ack, err
	}
	err = s.commit(ctx, op, encodeBatch(b), &work{batch: b})
	s.seenMu.Lock()
	q := s.stream(k)
	if err == nil {
		q.add(b.Sequence, hash)
	}
	delete(q.flying, b.Sequence)
	s.seenMu.Unlock()
	close(landed)
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	s.counts.Committed += uint64(len(b.Events))
	s.mu.Unlock()
	return telemetry.Committed, nil
}

func (s *Store) checkBatch(b *telemetry.Batch) error {
	const op = "duckdb.Append"
	if t, ok := ident.ParseTenantID(string(b.Tenant)); !ok || t != b.Tenant {
		return errs.New(op, errs.Invalid, errs.BatchMalformed, "tenant is not an id")
	}
	if d, ok := ident.ParseDeviceID(string(b.Device)); !ok || d != b.Device {
		return errs.New(op, errs.Invalid, errs.BatchMalformed, "device is not an id")
	}
	if len(b.Raw) > maxRaw {
		return errs.New(op, errs.Invalid, errs.BatchMalformed, "the batch is %d bytes long, %d are allowed", len(b.Raw), maxRaw)
	}
	if b.Sequence == 0 {
		return errs.New(op, errs.Invalid, errs.BatchMalformed, "sequence is 0")
	}
	for i, e := range b.Events {
		if e == nil || s.tables[e.Table.String()] == nil {
			return errs.New(op, errs.Invalid, errs.BatchMalformed, "event %d belongs to no table of this store", i)
		}
	}
	return nil
}

// claim decides what a sequence is. A fresh one is the caller's to commit: it must close
// the channel after the outcome is noted. While another commits it, claim waits.
func (s *Store) claim(ctx context.Context, k stream, seq, hash uint64) (chan struct{}, telemetry.Ack, error) {
	const op = "duckdb.Append"
	for {
		s.seenMu.Lock()
		q := s.stream(k)
		wait := q.flying[seq]
		v := q.lookup(seq, hash)
		if wait == nil && v == fresh {
			if q.flying == nil {
				q.flying = map[uint64]chan struct{}{}
			}
			landed := make(chan struct{})
			q.flying[seq] = landed
			s.seenMu.Unlock()
			return landed, 0, nil
		}
		s.seenMu.Unlock()
		switch {
		case wait != nil:
			select {
			case <-wait:
			case <-ctx.Done():
				return nil, 0, &errs.E{Op: op, Kind: errs.Timeout, Detail: "another copy of the batch is being committed", Err: ctx.Err()}
			}
		case v == conflict:
			s.count(func(c *telemetry.Status) { c.Conflicts++ })
			return nil, 0, errs.New(op, errs.Conflict, errs.DeviceCloned,
				"sequence %d of device %s was committed with other content: another copy of the device speaks with its identity", seq, k.device)
		case v == closed:
			return nil, 0, errs.New(op, errs.Invalid, errs.BatchMalformed,
				"sequence %d of device %s was left out too long ago", seq, k.device)
		default:
			s.count(func(c *telemetry.Status) { c.Duplicates++ })
			return nil, telemetry.Duplicate, nil
		}
	}
}

func (s *Store) count(f func(*telemetry.Status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.counts)
}

// AppendRows implements telemetry.Appender.
func (s *Store) AppendRows(ctx context.Context, tenant ident.TenantID, table string, rows []telemetry.Row) error {
	const op = "duckdb.AppendRows"
	if t, ok := ident.ParseTenantID(string(tenant)); !ok || t != tenant {
		return errs.New(op, errs.Invalid, "", "tenant is not an id")
	}
	shape := s.tables[table]
	if shape == nil {
		return errs.New(op, errs.Invalid, "", "no table is called %q", table)
	}
	for i, row := range rows {
		if err := shape.check(row); err != nil {
			return errs.New(op, errs.Invalid, "", "row %d: %v", i, err)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	record := encodeRows(tenant, table, rows)
	if len(record) > maxRaw {
		return errs.New(op, errs.Invalid, "", "the rows are %d bytes long, %d are allowed", len(record), maxRaw)
	}
	// Decoded again, so that the caller may go on using its rows.
	rec, err := decodeRows(record)
	if err != nil {
		return errs.Wrap(op, err)
	}
	return s.commit(ctx, op, record, &work{rows: rec})
}

// commit journals a record and queues its work. The order of the two lets the cutter know
// when everything before a journal position is queued: see takePending.
func (s *Store) commit(ctx context.Context, op string, record []byte, w *work) error {
	w.size = int64(len(record))
	flight, err := s.enter(ctx, op, w.size)
	if err != nil {
		return err
	}
	defer flight.Done()
	w.end, err = s.journal.Append(record)
	s.report(partAppend, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.backlog -= w.size
		s.drained.Broadcast()
		return storeFull(op, err, "the store cannot write to its disk")
	}
	s.pending = append(s.pending, w)
	return nil
}

// enter waits for room among what is not cut yet and joins the current flight.
func (s *Store) enter(ctx context.Context, op string, size int64) (*sync.WaitGroup, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trouble[partSpace] != "" {
		return nil, storeFull(op, nil, s.trouble[partSpace])
	}
	if s.backlog > 0 && s.backlog+size > s.cfg.MaxPending {
		s.wake()
		// Bounded, so that a device is told to come back rather than left hanging.
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		defer context.AfterFunc(ctx, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.drained.Broadcast()
		})()
		for s.backlog > 0 && s.backlog+size > s.cfg.MaxPending {
			if ctx.Err() != nil {
				return nil, storeFull(op, ctx.Err(), "the store is behind with writing segments")
			}
			s.drained.Wait()
		}
	}
	s.backlog += size
	s.flight.Add(1)
	return s.flight, nil
}

// wake asks for a cut now.
func (s *Store) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}
