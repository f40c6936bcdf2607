package duckdb

import (
	"context"
	"os"
	"time"

	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/telemetry"
	"github.com/vedette-edr/vedette/server/telemetry/duckdb/frame"
)

// timeRange bounds a datetime in ticks, both ends included.
type timeRange struct{ lo, hi int64 }

func (r timeRange) meets(lo, hi int64) bool { return lo <= r.hi && r.lo <= hi }

var allTime = timeRange{0, types.MaxDatetime}

// read is a table that a statement reads, with what its rows' times must meet.
type read struct {
	table        string
	time, ingest timeRange
}

// statement is a query in SQL, once it is known which files there are.
type statement struct {
	tenant  ident.TenantID
	limits  telemetry.Limits
	reads   []read
	columns []types.Type
	// sql is given the files of each of reads, as paths below the given prefix.
	sql func(files [][]string) (string, error)
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
	w, err := s.pool.get(ctx, st.tenant)
	if err != nil {
		return stats, poolError(op, err)
	}
	snapshot, release := s.snapshot(st)
	defer release()
	files := make([][]string, len(snapshot))
	for i, list := range snapshot {
		t := telemetry.TableStats{Table: st.reads[i].table, Files: len(list)}
		for _, g := range list {
			files[i] = append(files[i], w.data+"/"+g.name())
			t.Rows += g.rows
			t.Bytes += g.bytes
		}
		stats.Tables = append(stats.Tables, t)
	}
	text, err := st.sql(files)
	if err != nil {
		s.pool.put(w)
		return stats, err
	}
	q := &frame.Request{SQL: text, Columns: st.columns, Rows: limits.Rows, Bytes: limits.Bytes}
	used, err := w.run(ctx, q, limits, func(row []types.Value) error {
		stats.Rows++
		return sink(row)
	})
	if err != nil {
		s.pool.discard(w)
	} else {
		s.pool.put(w)
	}
	stats.Elapsed = time.Since(begin)
	stats.CPUUser, stats.CPUKernel, stats.Memory = used.user, used.kernel, used.memory
	stats.Bytes = used.bytes
	return stats, err
}

func poolError(op string, err error) error {
	switch err {
	case context.Canceled, context.DeadlineExceeded:
		return &errs.E{Op: op, Kind: errs.Timeout, Detail: textTimeout, Err: err}
	case errPoolClosed:
		return &errs.E{Op: op, Kind: errs.Unavailable, Detail: "The store is closing.", Err: err}
	}
	return &errs.E{Op: op, Kind: errs.Unavailable, Code: errs.ServiceDegraded, Detail: textBroken, Retry: 5 * time.Second, Err: err}
}

// snapshot returns the files that each read needs. They stay on disk until release.
func (s *Store) snapshot(st *statement) (lists [][]*segment, release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range st.reads {
		var list []*segment
		for _, g := range s.files[place{st.tenant, r.table}] {
			if r.time.meets(g.minTime, g.maxTime) && r.ingest.meets(g.minIngest, g.maxIngest) {
				list = append(list, g)
			}
		}
		lists = append(lists, list)
	}
	s.gen++
	gen := s.gen
	s.readers[gen] = struct{}{}
	return lists, func() {
		s.mu.Lock()
		delete(s.readers, gen)
		s.mu.Unlock()
		s.sweep()
	}
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
