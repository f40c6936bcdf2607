package hunt

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// Stretch is what of a device's timeline is asked for.
type Stretch struct {
	From, To time.Time
	// Near is the time whose events are kept where there are more than Most.
	Near time.Time
	Most int // events; at least 1
}

// Timeline is the events of a device in their order, each with the table that it is from in
// the column TimelineTable. It belongs to the caller, who closes it.
type Timeline struct {
	Table
	Cut          bool // there are more events than were asked for
	Completeness Completeness
}

// TimelineTable is the column of a timeline that names the table an event is from.
const TimelineTable = "Table"

// Close frees the rows.
func (t *Timeline) Close() error { return t.Rows.Close() }

// Timeline returns what happened on a device in a stretch of time, and what is known to be
// missing of it. Permission is decided by the caller, before.
func (s *Service) Timeline(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, at Stretch) (*Timeline, error) {
	const op = "hunt.Timeline"
	id, err := literal(op, device)
	if err != nil {
		return nil, err
	}
	if at.Most < 1 || !at.From.Before(at.To) {
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "a timeline has a beginning before its end, and one event at least")
	}
	who := access.System(tenant, part)
	// One more than asked for tells whether there are more; the one that is farthest from Near
	// is the one that is not wanted.
	q, rows, err := s.run(ctx, who, nil, Request{Query: fmt.Sprintf(`union withsource = %[1]s %[2]s
		| where DeviceId == %[3]s and Timestamp between (%[4]s .. %[5]s)
		| extend TimelineDistance = iff(Timestamp < %[6]s, %[6]s - Timestamp, Timestamp - %[6]s)
		| top %[7]d by TimelineDistance asc, ReportId asc
		| sort by Timestamp asc, ReportId asc`,
		TimelineTable, strings.Join(eventTables(), ", "), id, datetime(at.From), datetime(at.To), datetime(at.Near), at.Most+1)}, s.now())
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	out := &Timeline{}
	if err := out.take(q.Columns, rows, at.Most, s.scratch); err != nil {
		return nil, errs.Wrap(op, err)
	}
	// What is missing of no known device may be missing of this one.
	of := &within{devices: []string{string(device), ""}}
	if out.Completeness, err = s.gaps(ctx, tenant, of, plan.TimeRange{Min: types.FromTime(at.From), Max: types.FromTime(at.To)}); err != nil {
		_ = out.Close() // what is wrong is told already
		return nil, errs.Wrap(op, err)
	}
	return out, nil
}

// take copies the rows that were asked for, without the column that chose them, and closes
// what they came in.
func (t *Timeline) take(columns []plan.Column, from *Result, most int, scratch string) (err error) {
	defer func() {
		if e := from.Close(); err == nil {
			err = e
		}
		if err != nil && t.Rows != nil {
			_ = t.Rows.Close() // what is wrong is told already
		}
	}()
	distance := slices.IndexFunc(columns, func(c plan.Column) bool { return c.Name == "TimelineDistance" })
	farthest, reach := -1, int64(-1)
	if t.Cut = from.Rows.Len() > most; t.Cut {
		n := 0
		for r, err := range from.Rows.All() {
			if err != nil {
				return err
			}
			if d := r[distance].I; d > reach {
				farthest, reach = n, d
			}
			n++
		}
	}
	t.Table = newTableOf(slices.Delete(slices.Clone(columns), distance, distance+1), scratch)
	n := 0
	for r, err := range from.Rows.All() {
		if err != nil {
			return err
		}
		if n != farthest {
			if err := t.Rows.Add(slices.Delete(slices.Clone(r), distance, distance+1)); err != nil {
				return err
			}
		}
		n++
	}
	return nil
}
