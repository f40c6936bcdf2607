package duckdb

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/telemetry"
	"github.com/vedette-edr/vedette/server/telemetry/duckdb/frame"
)

// statement is a query in SQL, once it is known which files there are.
type statement struct {
	tenant  ident.TenantID
	caller  string
	limits  telemetry.Limits
	columns []types.Type
	sql     func(*snapshot) (string, error)
	// snap is what the statement reads; nil for the segments as they are when it runs.
	snap *snapshot
}

// execute runs a statement on the segments as they are now.
func (s *Store) execute(ctx context.Context, st *statement, sink telemetry.Sink) (telemetry.Stats, error) {
	const op = "duckdb.Query"
	var stats telemetry.Stats
	if t, ok := ident.ParseTenantID(string(st.tenant)); !ok || t != st.tenant {
		return stats, errs.New(op, errs.Invalid, "", "tenant is not an id")
	}
	limits := s.pool.cfg.bounded(st.limits)
	begin := time.Now()
	// Waiting for a worker counts.
	ctx, cancel := context.WithTimeoutCause(ctx, limits.Time, errs.New(op, errs.Timeout, "", textTimeout))
	defer cancel()
	for {
		again, err := s.attempt(ctx, st, limits, &stats, sink)
		if !again {
			stats.Elapsed = time.Since(begin)
			return stats, err
		}
	}
}

// attempt runs a statement in one worker. It is to be tried again when the worker turns
// out to have died while it waited for work, by the kernel's hand perhaps.
func (s *Store) attempt(ctx context.Context, st *statement, l telemetry.Limits, stats *telemetry.Stats, sink telemetry.Sink) (again bool, err error) {
	w, err := s.pool.get(ctx, party{st.tenant, st.caller})
	if err != nil {
		return false, poolError("duckdb.Query", err)
	}
	idled := w.served > 0
	snap := st.snap.as(w.data)
	if snap == nil {
		snap = s.snapshot(st.tenant, w.data)
		defer s.release(snap)
	}
	text, err := st.sql(snap)
	if err != nil {
		s.pool.put(w)
		return false, err
	}
	q := &frame.Request{SQL: text, Columns: st.columns, Rows: l.Rows, Bytes: l.Bytes}
	begin := time.Now()
	used, err := w.run(ctx, q, l, func(row []types.Value) error {
		stats.Rows++
		return sink(row)
	})
	if err != nil {
		s.pool.discard(w)
	} else {
		s.pool.put(w)
	}
	stats.Running += time.Since(begin)
	stats.Tables, stats.Bytes = snap.stats, used.bytes
	stats.CPUUser, stats.CPUKernel, stats.Memory = used.user, used.kernel, used.memory
	return idled && stats.Rows == 0 && errors.Is(err, errDied), err
}

func poolError(op string, err error) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &errs.E{Op: op, Kind: errs.Timeout, Detail: textTimeout, Err: err}
	case errors.Is(err, errCrowded):
		return &errs.E{Op: op, Kind: errs.Limited, Code: errs.TooManyRequests, Detail: "Too many of your queries are waiting to be run. Try again when some of them are done.", Retry: 10 * time.Second, Err: err}
	case errors.Is(err, errPoolClosed):
		return &errs.E{Op: op, Kind: errs.Unavailable, Detail: "The store is closing.", Err: err}
	}
	return &errs.E{Op: op, Kind: errs.Unavailable, Code: errs.ServiceDegraded, Detail: textBroken, Retry: 5 * time.Second, Err: err}
}

// timeRange bounds a datetime in ticks, both ends included.
type timeRange struct{ lo, hi int64 }

func (r timeRange) meets(lo, hi int64) bool { return lo <= r.hi && r.lo <= hi }

// snapshot is one tenant's segments at one instant. Their files stay on disk until it is
// released.
type snapshot struct {
	gen    uint64
	prefix string // the tenant's directory as the worker sees it
	files  map[string][]*segment
	stats  []telemetry.TableStats // of what was asked for
}

func (s *Store) snapshot(t ident.TenantID, prefix string) *snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gen++
	s.readers[s.gen] = struct{}{}
	n := &snapshot{gen: s.gen, prefix: prefix, files: map[string][]*segment{}}
	for p, list := range s.files {
		if p.tenant == t {
			n.files[p.table] = list
		}
	}
	return n
}

// as is the snapshot for a worker that sees the tenant's directory as prefix; nil of nil.
func (n *snapshot) as(prefix string) *snapshot {
	if n == nil {
		return nil
	}
	return &snapshot{gen: n.gen, prefix: prefix, files: n.files}
}

// unread is a copy whose statistics nobody looks at.
func (n *snapshot) unread() *snapshot { return n.as("") }

func (s *Store) release(n *snapshot) {
	s.mu.Lock()
	delete(s.readers, n.gen)
	s.mu.Unlock()
	s.sweep()
}

// list returns the segments of a table that may hold rows of the two ranges.
func (n *snapshot) list(table string, times, ingest timeRange) (list []*segment) {
	st := telemetry.TableStats{Table: table}
	for _, g := range n.files[table] {
		if times.meets(g.minTime, g.maxTime) && ingest.meets(g.minIngest, g.maxIngest) {
			list = append(list, g)
			st.Files++
			st.Rows += g.rows
			st.Bytes += g.bytes
		}
	}
	n.stats = append(n.stats, st)
	return list
}

// paths returns where the worker finds segments.
func (n *snapshot) paths(list []*segment) []string {
	var paths []string
	for _, g := range list {
		paths = append(paths, n.prefix+"/"+g.name())
	}
	return paths
}

// sweep unlinks discarded files that no running query can have in its list.
func (s *Store) sweep() {
	s.mu.Lock()
	oldest := s.gen + 1
	for gen := range s.readers {
		oldest = min(oldest, gen)
	}
	var gone []string
	left := s.trash[:0]
	for _, d := range s.trash {
		if d.gen < oldest {
			gone = append(gone, d.path)
		} else {
			left = append(left, d)
		}
	}
	s.trash = left
	s.mu.Unlock()
	for _, path := range gone {
		// What cannot be removed now is an orphan for the next start.
		_ = os.Remove(path)
	}
}
