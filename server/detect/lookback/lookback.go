// Package lookback looks for indicators that ask for historical detection in the telemetry
// of the past, and raises an alert for each device that they were seen on.
//
// It does not match the stream, which is package ioc's affair. The invariant: what was
// asked for is looked for once, also when the server ends in the middle: an alert's id
// follows from the indicator and the device, so that what is done again doubles nothing.
//
// Start at Runner.Run.
package lookback

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/detection"
	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/detect"
	"github.com/vedette-edr/vedette/server/detect/backtest"
	"github.com/vedette-edr/vedette/server/detect/ioc"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/hunt"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/indicator"
)

// Span is how far back is looked.
const Span = 30 * 24 * time.Hour

// Bounds of the work at a time.
const (
	atOnce  = 100 // indicators read
	raising = 100 // alerts kept in one call
	idle    = 2 * time.Second
	retry   = 30 * time.Second
)

// Hunter runs a query for the principal of the context.
type Hunter interface {
	Run(ctx context.Context, r hunt.Request) (*hunt.Result, error)
}

// Raiser keeps alerts; those that are known are passed over.
type Raiser interface {
	Raise(ctx context.Context, alerts []*alert.Alert) ([]*alert.Alert, error)
}

// Config is what a Runner needs.
type Config struct {
	Store  indicator.LookbackStore
	Hunter Hunter // with a budget of its own
	Alerts Raiser
	Groups ioc.Groups
	Clock  func() time.Time                // nil for time.Now
	Failed func(indicator.Lookback, error) // told of what is tried again, or cannot be done; nil for nobody
}

// Runner works on what was asked for, one indicator after the other.
type Runner struct{ cfg Config }

// New returns a Runner; Run has to be running for anything to happen.
func New(c Config) *Runner {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Failed == nil {
		c.Failed = func(indicator.Lookback, error) {}
	}
	if c.Groups == nil {
		c.Groups = ioc.NoGroups{}
	}
	return &Runner{c}
}

// Run works until ctx ends.
func (r *Runner) Run(ctx context.Context) error {
	for {
		wait := idle
		if done, err := r.Work(ctx); err != nil {
			wait = retry
		} else if done {
			wait = 0
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// Work does what is waiting and reports whether there was anything. An error is of what
// will be tried again.
func (r *Runner) Work(ctx context.Context) (bool, error) {
	list, err := r.cfg.Store.Lookbacks(ctx, atOnce)
	if err != nil {
		if ctx.Err() == nil {
			r.cfg.Failed(indicator.Lookback{}, err)
		}
		return false, err
	}
	for _, l := range list {
		err := r.look(ctx, l)
		if err != nil && ctx.Err() == nil {
			r.cfg.Failed(l, err)
		}
		// What is wrong with a query stays wrong; anything else may pass.
		if err != nil && !errs.Is(err, errs.Unsupported) && !errs.Is(err, errs.Invalid) {
			return true, err
		}
		if err := r.cfg.Store.LookedBack(ctx, l); err != nil {
			return true, err
		}
	}
	return len(list) > 0, nil
}

// look looks for one indicator and raises its alerts.
func (r *Runner) look(ctx context.Context, l indicator.Lookback) error {
	const op = "lookback.look"
	i := l.Indicator
	now := r.cfg.Clock()
	if i == nil || !i.Alerts() || !i.Expires.IsZero() && !i.Expires.After(now) {
		return nil
	}
	query, err := backtest.Indicator{Type: string(i.Type), Value: i.Value}.Query()
	if err != nil {
		return errs.Wrap(op, err)
	}
	// Up to when it was asked for: what came later the stream has seen.
	query += fmt.Sprintf(" | where Timestamp between (datetime(%s) .. datetime(%s)) | summarize Matches = count(), Last = max(Timestamp), arg_min(Timestamp, *) by DeviceId",
		types.FormatDatetime(event.Ticks(l.Asked.Add(-Span))), types.FormatDatetime(event.Ticks(l.Asked)))
	by := access.System(l.Tenant, "historical detection")
	by.Roles = []string{string(access.AdvancedQueryRead)}
	res, err := r.cfg.Hunter.Run(access.WithPrincipal(ctx, by), hunt.Request{Query: query})
	if err != nil {
		return errs.Wrap(op, err)
	}
	defer func() { _ = res.Close() }()
	var found []*alert.Alert
	for row, err := range res.Rows.All() {
		if err != nil {
			return errs.Wrap(op, err)
		}
		cells := map[string]types.Value{}
		for n, c := range res.Columns {
			cells[c.Name] = row[n]
		}
		a, err := r.alert(ctx, l, cells, now)
		if err != nil {
			return errs.Wrap(op, err)
		}
		if a != nil {
			found = append(found, a)
		}
	}
	for some := range slices.Chunk(found, raising) {
		if _, err := r.cfg.Alerts.Raise(ctx, some); err != nil {
			return errs.Wrap(op, err)
		}
	}
	return nil
}

// alert is the alert of one device; nil when the indicator is not for it.
func (r *Runner) alert(ctx context.Context, l indicator.Lookback, cells map[string]types.Value, now time.Time) (*alert.Alert, error) {
	i, rec := l.Indicator, detection.FromRow("", cells)
	device := ident.DeviceID(rec.Device)
	if len(i.Groups)+len(i.GroupIDs) > 0 {
		group, err := r.cfg.Groups.DeviceGroup(ctx, l.Tenant, device)
		if err != nil || !slices.Contains(i.GroupIDs, group) {
			return nil, err
		}
	}
	last := rec.At
	if v := cells["Last"]; !v.Null {
		last = event.FromTicks(v.I)
	}
	mapping := detection.DefaultEntities("")
	entities := mapping.Of(&rec)
	note := fmt.Sprintf("Found in past telemetry: %d events before the indicator was created, the last at %s.", cells["Matches"].I, last.UTC().Format(time.RFC3339))
	return &alert.Alert{
		ID:     alert.NewID(fmt.Sprintf("%s/%d/lookback/%s", ioc.RuleIndicator, i.ID, i.Value), device, 0, 0, 0),
		Tenant: l.Tenant, Device: device, DeviceName: rec.DeviceName, Title: i.Title,
		Description: strings.TrimSpace(i.Description + "\n\n" + note), Recommended: i.Recommended,
		Severity: alert.Severity(i.Severity), Category: ioc.Category, Status: alert.New,
		DetectionSource: ioc.Source, DetectorID: ioc.DetectorID, Techniques: slices.Clone(i.Techniques),
		Source:  alert.Source{Rule: ioc.RuleIndicator, Indicator: i.ID.String(), ReportID: rec.Report},
		Created: now.UTC(), Updated: now.UTC(), FirstEvent: rec.At.UTC(), LastEvent: last.UTC(),
		Evidence: detect.Evidence(entities, rec.At.UTC()), User: detect.User(entities),
	}, nil
}
