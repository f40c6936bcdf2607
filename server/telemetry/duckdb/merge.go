package duckdb

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/durable"
	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/telemetry"
	"github.com/vedette-edr/vedette/server/telemetry/duckdb/frame"
)

// levels are the spans of ingestion time that segments are merged by. A segment of level
// n holds rows of one span of levels[n-1]; level 0 is as cut.
var levels = []time.Duration{time.Minute, time.Hour, 24 * time.Hour}

// mergeLimits bound one merge. Its memory is the worker's.
var mergeLimits = telemetry.Limits{Rows: 1, Bytes: 64, Time: 10 * time.Minute, CPU: time.Hour}

// Bounds of one merge; what is left is merged the next time, or stays. A merge sorts in
// memory: rows, and bytes as they are compressed, have to fit a worker many times over.
const (
	maxMergeFiles = 1000
	maxMergeRows  = 500_000
	maxMergeBytes = 32 << 20
)

func (s *Store) mergeLoop(ctx context.Context) {
	tick := time.NewTicker(s.cfg.MergeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			err := s.maintain(ctx)
			if ctx.Err() == nil {
				s.report(partMerge, err)
			}
		}
	}
}

// maintain does retention and every merge that is due.
func (s *Store) maintain(ctx context.Context) error {
	now := event.Ticks(s.clock())
	if err := s.retire(now); err != nil {
		return err
	}
	var failed error
	skip := map[place]bool{}
	for ctx.Err() == nil {
		list, level := s.dueMerge(now, skip)
		if list == nil {
			break
		}
		if err := s.merge(ctx, list, level); err != nil {
			failed = fmt.Errorf("merge %d segments of %s: %w", len(list), list[0].table, err)
			// The other tables are merged all the same.
			skip[place{list[0].tenant, list[0].table}] = true
		}
	}
	return failed
}

// retireStep is how much ingestion time one pass drops at most. A clock that is set years
// ahead by mistake then costs the oldest hours until somebody sees it, not everything; a
// server that was off for a month catches up within hours.
const retireStep = time.Hour

// retire drops the segments whose newest row is older than the retention, oldest first.
func (s *Store) retire(now int64) error {
	s.manifestMu.Lock()
	defer s.manifestMu.Unlock()
	s.mu.Lock()
	cutoff := now - tickDuration(s.cfg.Retention)
	oldest := cutoff
	for _, list := range s.files {
		for _, g := range list {
			oldest = min(oldest, g.maxIngest)
		}
	}
	cutoff = min(cutoff, oldest+tickDuration(retireStep))
	var old []*segment
	for _, list := range s.files {
		old = append(old, expired(list, cutoff)...)
	}
	s.mu.Unlock()
	if len(old) == 0 {
		return nil
	}
	if err := s.manifest.apply(&change{drop: old}); err != nil {
		return err
	}
	s.publish(nil, old)
	s.sweep()
	return nil
}

// dueMerge picks the segments of one finished span, at the widest level that is due.
func (s *Store) dueMerge(now int64, skip map[place]bool) ([]*segment, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for level := len(levels); level >= 1; level-- {
		width := tickDuration(levels[level-1])
		// A batch may be stamped well before it is cut: leave a span open a little longer.
		grace := min(width/4, tickDuration(5*time.Minute))
		for p, list := range s.files {
			if skip[p] {
				continue
			}
			spans := map[int64][]*segment{}
			for _, g := range list {
				k := g.minIngest / width
				if g.level < level && (k+1)*width+grace <= now {
					spans[k] = append(spans[k], g)
				}
			}
			for _, group := range spans {
				if run := mergeable(group); run != nil {
					return run, level
				}
			}
		}
	}
	return nil, 0
}

// mergeable returns segments of group, oldest first, that one merge can take; nil when no
// two of them follow each other so.
func mergeable(group []*segment) []*segment {
	slices.SortFunc(group, func(a, b *segment) int { return cmp.Compare(a.id, b.id) })
	for from := 0; from+1 < len(group); from++ {
		var rows, bytes int64
		n := 0
		for _, g := range group[from:] {
			rows, bytes = rows+g.rows, bytes+g.bytes
			if rows > maxMergeRows || bytes > maxMergeBytes || n == maxMergeFiles {
				break
			}
			n++
		}
		if n > 1 {
			return group[from : from+n]
		}
	}
	return nil
}

// merge makes one segment of several, in a worker of its own.
func (s *Store) merge(ctx context.Context, list []*segment, level int) error {
	g := &segment{id: s.nextID.Add(1), tenant: list[0].tenant, table: list[0].table, level: level}
	for i, o := range list {
		if i == 0 {
			g.minTime, g.maxTime, g.minIngest, g.maxIngest = o.minTime, o.maxTime, o.minIngest, o.maxIngest
		}
		g.rows += o.rows
		g.columns = joinColumns(g.columns, o.columns)
		g.minTime, g.maxTime = min(g.minTime, o.minTime), max(g.maxTime, o.maxTime)
		g.minIngest, g.maxIngest = min(g.minIngest, o.minIngest), max(g.maxIngest, o.maxIngest)
	}
	out, err := s.sort(ctx, g, list)
	defer os.RemoveAll(filepath.Dir(out))
	if err != nil {
		return err
	}
	if err := s.adopt(out, g); err != nil {
		_ = os.Remove(s.path(g))
		return err
	}
	s.manifestMu.Lock()
	defer s.manifestMu.Unlock()
	// Retention may have dropped some of them meanwhile: they would come back.
	if !s.published(list) {
		return os.Remove(s.path(g))
	}
	if err := s.manifest.apply(&change{add: []*segment{g}, drop: list}); err != nil {
		_ = os.Remove(s.path(g))
		return err
	}
	s.publish([]*segment{g}, list)
	s.sweep()
	return nil
}

func (s *Store) published(list []*segment) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.files[place{list[0].tenant, list[0].table}]
	for _, g := range list {
		if !slices.Contains(now, g) {
			return false
		}
	}
	return true
}

// sort has a worker write the rows of list, ordered, and returns the file, whose
// directory is the caller's to remove.
func (s *Store) sort(ctx context.Context, g *segment, list []*segment) (string, error) {
	dir, err := filepath.Abs(filepath.Join(s.scratch(), fmt.Sprintf("merge-%d", g.id)))
	if err != nil {
		return "", err
	}
	out := filepath.Join(dir, "merged.parquet")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return out, err
	}
	if isRoot() {
		if err := os.Chown(dir, s.pool.cfg.UID, s.pool.cfg.GID); err != nil {
			return out, err
		}
	}
	w, err := s.pool.start(g.tenant, dir)
	if err != nil {
		return out, err
	}
	defer w.kill()
	var files []string
	for _, o := range list {
		files = append(files, quote(w.data+"/"+o.name()))
	}
	order := colTime
	if shape := s.tables[g.table]; shape != nil {
		if _, ok := shape.index["DeviceId"]; ok {
			order = "DeviceId, " + colTime
		}
	}
	text := fmt.Sprintf("COPY (SELECT *%s FROM read_parquet([%s], union_by_name=true) ORDER BY %s) TO %s (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20480)",
		s.filled(g.table, list), strings.Join(files, ","), order, quote(w.outDir+"/merged.parquet"))
	limits := mergeLimits
	limits.Memory = s.pool.cfg.Memory
	q := &frame.Request{SQL: text, Columns: []types.Type{types.Long}, Rows: limits.Rows, Bytes: limits.Bytes}
	written := int64(-1)
	_, err = w.run(ctx, q, limits, func(row []types.Value) error {
		written = row[0].I
		return nil
	})
	if err == nil && written != g.rows {
		err = fmt.Errorf("%d of %d rows were written", written, g.rows)
	}
	return out, err
}

// filled writes the columns of text that some of the segments lack as empty, so that no
// segment has a text that is NULL.
func (s *Store) filled(table string, list []*segment) string {
	shape := s.tables[table]
	if shape == nil {
		return ""
	}
	var some []string
	for _, c := range shape.columns {
		have := 0
		for _, g := range list {
			if slices.Contains(strings.Fields(g.columns), c.Name) {
				have++
			}
		}
		if c.Type == types.String && have > 0 && have < len(list) {
			some = append(some, fmt.Sprintf(`coalesce("%s", '') AS "%s"`, c.Name, c.Name)) // names are plain: see shapes
		}
	}
	if len(some) == 0 {
		return ""
	}
	return " REPLACE (" + strings.Join(some, ", ") + ")"
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// adopt makes a worker's file durable and moves it to its place.
func (s *Store) adopt(out string, g *segment) error {
	// Opened without following a link: the file was written by an untrusted process.
	f, err := openPlain(out)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file", out)
	}
	g.bytes = st.Size()
	if isRoot() {
		if err := f.Chown(os.Geteuid(), os.Getegid()); err != nil {
			return err
		}
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	path := s.path(g)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.Rename(out, path); err != nil {
		return err
	}
	for _, dir := range above(path) {
		if err := durable.SyncDir(dir); err != nil {
			return err
		}
	}
	return nil
}
