package duckdb

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/vedette-edr/vedette/journal"
	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/telemetry"
	"github.com/vedette-edr/vedette/server/telemetry/duckdb/parquet"
)

// maxCutRows bounds a segment as it is cut, and with it the memory that a cut takes.
const maxCutRows = 60_000

// trustedOffset is how far a device's clock may be off before its times are corrected.
const trustedOffset = 2 * time.Second

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
	var folded bool
	if err == nil {
		folded, err = s.manifest.apply(&change{add: c.done, position: &end, commits: commitsOf(taken), whole: s.dirtyStreams})
	}
	if err != nil {
		for _, g := range c.done {
			_ = os.Remove(s.path(g))
		}
		s.mu.Lock()
		s.pending = append(taken, s.pending...)
		s.mu.Unlock()
		return err
	}
	if folded {
		s.seenMu.Lock()
		for _, q := range s.seen {
			q.dirty = false
		}
		s.seenMu.Unlock()
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
func (s *Store) dirtyStreams() map[stream][]byte {
	s.seenMu.Lock()
	defer s.seenMu.Unlock()
	whole := map[stream][]byte{}
	for k, q := range s.seen {
		if q.dirty {
			whole[k] = q.encode()
		}
	}
	return whole
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

// cutter writes the segments of one cut.
type cutter struct {
	store *Store
	enc   *parquet.Encoder
	open  map[place]*sheet
	done  []*segment
	dirs  map[string]bool // to be synced
}

// sheet is a segment being filled.
type sheet struct {
	place
	shape   *tableShape
	columns []*parquet.Column
}

func (c *cutter) run(taken []*work) error {
	var err error
	if c.enc, err = parquet.NewEncoder(); err != nil {
		return err
	}
	for _, w := range taken {
		switch {
		case w.batch != nil:
			err = c.batch(w.batch)
		case w.rows != nil:
			err = c.rows(w.rows.tenant, w.rows.table, w.rows.rows)
		}
		if err != nil {
			return err
		}
	}
	for _, h := range c.open {
		if err := c.write(h); err != nil {
			return err
		}
	}
	for dir := range c.dirs {
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// sheet returns the segment being filled for a table, nil for a table that is not kept.
func (c *cutter) sheet(p place) (*sheet, error) {
	h := c.open[p]
	if h != nil && h.columns[0].Len() >= maxCutRows {
		delete(c.open, p)
		if err := c.write(h); err != nil {
			return nil, err
		}
		h = nil
	}
	if h == nil {
		shape := c.store.tables[p.table]
		if shape == nil {
			return nil, nil
		}
		h = &sheet{place: p, shape: shape, columns: shape.newColumns()}
		c.open[p] = h
	}
	return h, nil
}

func (c *cutter) batch(b *telemetry.Batch) error {
	offset := b.Offset
	if offset.Abs() <= trustedOffset {
		offset = 0
	}
	for i, e := range b.Events {
		h, err := c.sheet(place{b.Tenant, e.Table.String()})
		if err != nil {
			return err
		}
		if h == nil {
			c.store.hurt("an event of table " + e.Table.String() + ", which is no longer configured, was dropped")
			continue
		}
		o := &event.Origin{
			DeviceID: string(b.Device), DeviceName: b.DeviceName, ReportID: b.FirstReport + int64(i),
			Timestamp: sane(e.Time.Add(offset), b.Received), Ingested: b.Received,
		}
		for k := range h.shape.columns {
			column := &h.shape.columns[k]
			v := event.Value{}
			switch {
			case column.Name == colRaw && offset == 0:
			case column.Name == colRaw:
				v = event.At(sane(e.Time, b.Received))
			case column.read != nil:
				v = column.read(o, e)
			}
			column.put(h.columns[k], v)
		}
	}
	return c.rows(b.Tenant, telemetry.GapTable, gapRows(b, offset))
}

// sane returns t, or instead when t is no datetime that Kusto knows.
func sane(t, instead time.Time) time.Time {
	if y := t.UTC().Year(); y < 1 || y > 9999 || t.IsZero() {
		return instead
	}
	return t
}

func gapRows(b *telemetry.Batch, offset time.Duration) (rows []telemetry.Row) {
	for _, g := range b.Gaps {
		to := sane(g.To.Add(offset), b.Received)
		rows = append(rows, telemetry.Row{
			colTime: event.At(to), colIngest: event.At(b.Received),
			"DeviceId": event.Str(string(b.Device)), "DeviceName": event.Str(b.DeviceName),
			"Source": event.Str(g.Source), "Reason": event.Str(g.Reason),
			"EventsLost": event.Num(int64(min(g.Count, 1<<62))),
			"GapStart":   event.At(sane(g.From.Add(offset), to)), "GapEnd": event.At(to),
		})
	}
	return rows
}

func (c *cutter) rows(tenant ident.TenantID, table string, rows []telemetry.Row) error {
	for _, row := range rows {
		h, err := c.sheet(place{tenant, table})
		if err != nil {
			return err
		}
		if h == nil {
			c.store.hurt("a row of table " + table + ", which is not configured, was dropped")
			continue
		}
		for k := range h.shape.columns {
			column := &h.shape.columns[k]
			column.put(h.columns[k], row[column.Name])
		}
	}
	return nil
}

// write encodes a sheet into a file, which is durable when its directories are synced.
func (c *cutter) write(h *sheet) error {
	b, err := c.enc.Encode(nil, h.columns)
	if err != nil {
		return err
	}
	g := &segment{
		id: c.store.nextID.Add(1), tenant: h.tenant, table: h.table,
		rows: int64(h.columns[0].Len()), bytes: int64(len(b)), columns: h.shape.names,
	}
	g.minTime, g.maxTime = h.bounds(colTime)
	g.minIngest, g.maxIngest = h.bounds(colIngest)
	if err := writeSegment(c.store.path(g), b); err != nil {
		return err
	}
	c.done = append(c.done, g)
	for _, dir := range above(c.store.path(g)) {
		c.dirs[dir] = true
	}
	return nil
}

// bounds returns the range of a datetime column, all time when it has no values.
func (h *sheet) bounds(column string) (lo, hi int64) {
	if lo, hi, ok := h.columns[h.shape.index[column]].IntRange(); ok {
		return lo, hi
	}
	return 0, types.MaxDatetime
}

// writeSegment writes a file that workers, which run as nobody, may read. What keeps
// others out is the store's directory.
func writeSegment(path string, b []byte) (err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(path)
		}
	}()
	_, err = f.Write(b)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// above returns the directories of a segment's file, all of which may be new with it:
// table, tenant, segments.
func above(path string) []string {
	table := filepath.Dir(path)
	tenant := filepath.Dir(table)
	return []string{table, tenant, filepath.Dir(tenant)}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
