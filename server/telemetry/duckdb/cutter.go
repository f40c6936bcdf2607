package duckdb

import (
	"os"
	"path/filepath"
	"time"

	"github.com/vedette-edr/vedette/durable"
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
		if err := durable.SyncDir(dir); err != nil {
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
