package hunt

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// Place is where an event is in the timeline of its device, which is newest first: by when
// it happened, then by its report, then by when it came in. No two events of a device are at
// one place: reports are unique within a batch, whatever the device writes into it, and no
// two batches of a device come in at once.
type Place struct {
	Time     time.Time
	Report   int64
	Ingested time.Time
}

// View is which events of a device somebody looks through.
type View struct {
	Device ident.DeviceID
	// From and To bound when the events happened, From included and To not.
	From, To time.Time
	Tables   []string // of events; none are all
	Search   string   // found in any of the columns that people look into; "" finds all
	// Marked keeps the events that happened at these times with these reports; none keep all.
	Marked []Mark
}

// Mark names an event as people's notes do.
type Mark struct {
	Time   time.Time
	Report int64
}

// Section is a part of a view: what is behind one place, up to and with another.
type Section struct {
	After *Place // older than this; nil for the newest on
	Until *Place // not older than this; nil for the oldest
	Most  int    // events, 1 to MaxSection; of more the newest are answered
}

// Bounds of what is asked of a view at once.
const (
	MaxSection = 5000
	MaxBins    = 2000
	maxMarks   = 1000
	maxSearch  = 400 // bytes
	// maxLandmarks bounds an outline: of a view with more, landmarks are further apart.
	maxLandmarks = 20_000
)

// Events is a section's events, newest first, each with its table in the column
// TimelineTable. It belongs to the caller, who closes it.
type Events struct {
	Table
	Cut bool // the section has more events than were asked for
}

// Close frees the rows.
func (e *Events) Close() error { return e.Rows.Close() }

// Outline is what is known of a view without its events: enough to go to any of them.
type Outline struct {
	Total int64 // events
	// Every is how many events are from one landmark to the next.
	Every int
	// Landmarks are the places of the Every-th event, of the one as many behind it and so on.
	// Events that come in late are between two of them, which are then further apart.
	Landmarks []Place
	// Step is the width of a bin, and Bins how many events happened in each from the one
	// that begins at First on.
	First        time.Time
	Step         time.Duration
	Bins         []int64
	Completeness Completeness
}

// browsed is what is answered of an event, and looked is where a search looks.
const browsed = TimelineTable + `, Timestamp, ActionType, FileName, FolderPath, SHA1, ProcessId, ProcessCommandLine, AccountDomain, AccountName, RemoteIP, RemotePort, RemoteUrl, Protocol, LocalPort, LogonType, InitiatingProcessFileName, InitiatingProcessCommandLine, InitiatingProcessId, InitiatingProcessParentFileName, InitiatingProcessAccountName, InitiatingProcessAccountDomain, InitiatingProcessSHA1, AdditionalFields, ReportId, IngestionTime`

var looked = []string{"ActionType", "FileName", "FolderPath", "ProcessCommandLine", "RemoteIP", "RemoteUrl", "AccountName", "InitiatingProcessFileName", "InitiatingProcessCommandLine", "SHA1"}

// newestFirst is the order of places.
const newestFirst = "Timestamp desc, ReportId desc, IngestionTime desc"

func eventTables() []string {
	var tables []string
	for t := event.TableUnknown + 1; t.Valid(); t++ {
		tables = append(tables, t.String())
	}
	return tables
}

// text is the query of every event of a view. Whatever its members hold, they are literals.
func (v *View) text(op string) (string, error) {
	id, err := literal(op, v.Device)
	if err != nil {
		return "", err
	}
	wrong := func(format string, args ...any) (string, error) {
		return "", errs.New(op, errs.Invalid, errs.InvalidInput, format, args...)
	}
	all := eventTables()
	if v.From.IsZero() || !v.From.Before(v.To) {
		return wrong("from: it is a time, and one before to")
	}
	// Every table is part of it, whatever is chosen: so every column is there.
	lines := []string{"union withsource = " + TimelineTable + " " + strings.Join(all, ", "),
		fmt.Sprintf("where DeviceId == %s and Timestamp >= %s and Timestamp < %s", id, datetime(v.From), datetime(v.To))}
	if len(v.Tables) > 0 {
		var names []string
		for _, t := range v.Tables {
			if !slices.Contains(all, t) {
				return wrong("tables: %q is no table of events of devices", t)
			}
			names = append(names, types.NewString(t).Literal())
		}
		lines = append(lines, fmt.Sprintf("where %s in (%s)", TimelineTable, strings.Join(names, ", ")))
	}
	if len(v.Search) > maxSearch {
		return wrong("search: it has %d bytes, at most %d are allowed", len(v.Search), maxSearch)
	}
	if v.Search != "" {
		var any []string
		for _, c := range looked {
			any = append(any, c+" contains "+types.NewString(v.Search).Literal())
		}
		lines = append(lines, "where "+strings.Join(any, " or "))
	}
	if len(v.Marked) > maxMarks {
		return wrong("marked: there are %d events, at most %d are allowed", len(v.Marked), maxMarks)
	}
	if len(v.Marked) > 0 {
		var times, reports []string
		for _, m := range v.Marked {
			times, reports = append(times, datetime(m.Time)), append(reports, types.NewLong(m.Report).Literal())
		}
		lines = append(lines, fmt.Sprintf("where Timestamp in (%s) and ReportId in (%s)", strings.Join(times, ", "), strings.Join(reports, ", ")))
	}
	return strings.Join(lines, "\n| "), nil
}

func datetime(t time.Time) string { return types.NewDatetime(types.FromTime(t)).Literal() }

// beyond is the predicate of what is on one side of a place: op is "<" for what is older and
// ">" for what is newer, last the same with or without the place itself. That the time is
// not on the other side stands there alone, too: by that the store passes over files.
func (p *Place) beyond(op, last string) string {
	t, r := datetime(p.Time), types.NewLong(p.Report).Literal()
	return fmt.Sprintf("Timestamp %[1]s= %[2]s and (Timestamp %[1]s %[2]s or ReportId %[1]s %[3]s or (ReportId == %[3]s and IngestionTime %[4]s %[5]s))",
		op, t, r, last, datetime(p.Ingested))
}

// browse returns a function that runs texts about a device for the caller of ctx, who is
// recorded with them. It takes nothing off the quotas, which are the hunting APIs': somebody
// who scrolls must not keep the others from hunting.
func (s *Service) browse(ctx context.Context, op string, d ident.DeviceID) (func(text string) (*Result, error), error) {
	caller, err := access.FromContext(ctx)
	if err != nil {
		return nil, err
	}
	if err := caller.Require(op, access.AdvancedQueryRead, access.AdvancedHuntRead, access.ThreatHuntingRead); err != nil {
		return nil, err
	}
	within, err := s.within(ctx, caller)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	if within != nil && !slices.Contains(within.devices, string(d)) {
		return nil, errs.New(op, errs.NotFound, errs.ResourceNotFound, "Machine was not found")
	}
	free := *s
	free.ledger = newLedger(Quota{Hour: -1, Day: -1}, nil, s.now, nil)
	return func(text string) (*Result, error) {
		_, out, err := free.run(ctx, caller, within, Request{Query: text}, s.now())
		return out, errs.Wrap(op, err)
	}, nil
}

// Section returns events of a view, for the caller of ctx. What is wrong with what is asked
// is errs.Invalid and names the member.
func (s *Service) Section(ctx context.Context, v View, at Section) (*Events, error) {
	const op = "hunt.Section"
	text, err := v.text(op)
	if err != nil {
		return nil, err
	}
	if at.Most < 1 || at.Most > MaxSection {
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "top: it is a number from 1 to %d", MaxSection)
	}
	if at.After != nil {
		text += "\n| where " + at.After.beyond("<", "<")
	}
	if at.Until != nil {
		text += "\n| where " + at.Until.beyond(">", ">=")
	}
	text += fmt.Sprintf("\n| top %d by %s\n| project %s", at.Most+1, newestFirst, browsed)
	run, err := s.browse(ctx, op, v.Device)
	if err != nil {
		return nil, err
	}
	found, err := run(text)
	if err != nil {
		return nil, err
	}
	if found.Rows.Len() <= at.Most {
		return &Events{Table: found.Table}, nil
	}
	defer func() { _ = found.Close() }()
	out := &Events{Cut: true, Table: Table{Columns: found.Columns, Rows: NewRows(found.Rows.columns, s.scratch)}}
	for row, err := range found.Rows.All() {
		if err == nil && out.Rows.Len() < at.Most {
			err = out.Rows.Add(row)
		}
		if err != nil {
			return nil, errs.Wrap(op, err)
		}
	}
	return out, nil
}

// Outline returns how many events a view has, when they happened by so many bins, and
// landmarks every so many events, for the caller of ctx.
func (s *Service) Outline(ctx context.Context, v View, every, bins int) (*Outline, error) {
	const op = "hunt.Outline"
	text, err := v.text(op)
	if err != nil {
		return nil, err
	}
	if every < 1 || every > MaxSection {
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "every: it is a number from 1 to %d", MaxSection)
	}
	if bins < 1 || bins > MaxBins {
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "bins: it is a number from 1 to %d", MaxBins)
	}
	caller, err := access.FromContext(ctx)
	if err != nil {
		return nil, err
	}
	run, err := s.browse(ctx, op, v.Device)
	if err != nil {
		return nil, err
	}
	out := &Outline{Every: every, First: v.From, Step: max(v.To.Sub(v.From)/time.Duration(bins), time.Microsecond).Truncate(tick) + tick}
	out.Bins = make([]int64, (v.To.Sub(v.From)+out.Step-1)/out.Step)
	first, step := types.FromTime(v.From), int64(out.Step/tick)
	err = each(run, fmt.Sprintf("%s\n| summarize N = count() by Bin = bin_at(Timestamp, %s, %s)", text, types.NewTimespan(step).Literal(), datetime(v.From)), func(row []types.Value) {
		if i := (row[0].I - first) / step; i >= 0 && i < int64(len(out.Bins)) {
			out.Bins[i] += row[1].I
			out.Total += row[1].I
		}
	})
	if err != nil {
		return nil, err
	}
	if least := int(out.Total/maxLandmarks) + 1; out.Every < least {
		out.Every = least
	}
	if out.Total >= int64(out.Every) {
		err = each(run, fmt.Sprintf("%s\n| project Timestamp, ReportId, IngestionTime\n| sort by %s\n| extend N = row_number()\n| where N %% %d == 0\n| project Timestamp, ReportId, IngestionTime", text, newestFirst, out.Every), func(row []types.Value) {
			out.Landmarks = append(out.Landmarks, Place{event.FromTicks(row[0].I), row[1].I, event.FromTicks(row[2].I)})
		})
		if err != nil {
			return nil, err
		}
	}
	// What is missing of no known device may be missing of this one.
	of := &within{devices: []string{string(v.Device), ""}}
	out.Completeness, err = s.gaps(ctx, caller.Tenant, of, plan.TimeRange{Min: first, Max: types.FromTime(v.To)})
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	return out, nil
}

// tick is what times are exact to.
const tick = 100 * time.Nanosecond

// each runs a text and passes its rows to take.
func each(run func(string) (*Result, error), text string, take func(row []types.Value)) error {
	found, err := run(text)
	if err != nil {
		return err
	}
	defer func() { _ = found.Close() }()
	for row, err := range found.Rows.All() {
		if err != nil {
			return err
		}
		take(row)
	}
	return nil
}
