package custom

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/vedette-edr/vedette/detection"
	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/detect"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/hunt"
	"github.com/vedette-edr/vedette/server/ident"
)

// settle is how long after its slot a run begins: what came in before the slot can be
// hunted then, and the window of a run never moves.
const settle = 3 * time.Second

// tick is how often due rules are looked for.
const tick = time.Second

// Hunter runs a query for the principal of the context.
type Hunter interface {
	Run(ctx context.Context, r hunt.Request) (*hunt.Result, error)
}

// Raiser keeps the alerts that a run found and returns the new ones; those that are known
// are passed over.
type Raiser interface {
	Raise(ctx context.Context, alerts []*alert.Alert) ([]*alert.Alert, error)
}

// Devices finds the device of a result that names it and does not give its id.
type Devices interface {
	FindByName(ctx context.Context, tenant ident.TenantID, name string) ([]*device.Device, error)
}

// RunnerConfig is what a Runner needs.
type RunnerConfig struct {
	Store      Store
	Hunter     Hunter // with a budget of its own: runs must not keep people from hunting
	Alerts     Raiser
	Devices    Devices
	Clock      func() time.Time   // nil for time.Now
	Concurrent int                // runs at a time; 0 for 2
	Failed     func(*Rule, error) // told of runs that ended badly; nil for nobody
}

// Runner runs scheduled rules when they are due.
type Runner struct {
	cfg   RunnerConfig
	slots chan struct{}

	mu      sync.Mutex
	running map[ruleKey]bool
}

type ruleKey struct {
	tenant ident.TenantID
	id     int64
}

// NewRunner returns a Runner; Run has to be running for anything to happen.
func NewRunner(c RunnerConfig) *Runner {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Concurrent <= 0 {
		c.Concurrent = 2
	}
	if c.Failed == nil {
		c.Failed = func(*Rule, error) {}
	}
	return &Runner{cfg: c, slots: make(chan struct{}, c.Concurrent), running: map[ruleKey]bool{}}
}

// Run runs rules until ctx ends, and waits for those that are running then.
func (r *Runner) Run(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		due, err := r.cfg.Store.DueRules(ctx, r.cfg.Clock().Add(-settle), 10*cap(r.slots))
		if err != nil && ctx.Err() == nil {
			r.cfg.Failed(nil, err)
		}
		for _, rule := range due {
			if !r.take(rule) {
				continue
			}
			all.Go(func() {
				defer r.leave(rule)
				if err := r.RunOnce(ctx, rule); err != nil && ctx.Err() == nil {
					r.cfg.Failed(rule, err)
				}
			})
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// take claims a rule when there is room for one more run.
func (r *Runner) take(rule *Rule) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := ruleKey{rule.Tenant, rule.ID}
	if r.running[k] {
		return false
	}
	select {
	case r.slots <- struct{}{}:
		r.running[k] = true
		return true
	default:
		return false
	}
}

func (r *Runner) leave(rule *Rule) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.running, ruleKey{rule.Tenant, rule.ID})
	<-r.slots
}

// window is what the run of the slot at looks at: what came in within the published span,
// and since the last run that ended well when that is longer ago.
func (rule *Rule) window(at time.Time) hunt.Span {
	if rule.Until.IsZero() {
		return hunt.Span{From: at.Add(-FirstLookback), To: at}
	}
	from := at.Add(-rule.Period.Lookback())
	if rule.Until.Before(from) {
		from = rule.Until
	}
	if oldest := at.Add(-FirstLookback); from.Before(oldest) {
		from = oldest
	}
	return hunt.Span{From: from, To: at}
}

// RunOnce runs the slot that rule is due for and keeps its outcome. A crash at any instant
// leaves the slot due: it is run again, over the same window, and raises what is missing.
func (r *Runner) RunOnce(ctx context.Context, rule *Rule) error {
	slot := rule.Next
	run, failed := r.run(ctx, rule, slot)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	run.At, run.Ended = slot, r.cfg.Clock().UTC()
	_, err := r.cfg.Store.UpdateRule(ctx, rule.Tenant, rule.ID, func(now *Rule) error {
		now.Last = run
		if run.Status != Failed && now.Queried.Equal(rule.Queried) {
			now.Until = slot
		}
		// Somebody may have changed the rule meanwhile, so that another slot is due.
		if now.Enabled && now.Next.Equal(slot) {
			now.Next = now.after(slot, run.Ended)
		}
		return nil
	})
	if errs.Is(err, errs.NotFound) {
		err = nil // deleted while it ran
	}
	return errors.Join(failed, err)
}

// run runs a query and raises its alerts. The error is for the log; the Run says what an
// analyst needs.
func (r *Runner) run(ctx context.Context, rule *Rule, slot time.Time) (Run, error) {
	by := access.System(rule.Tenant, "custom detection rule")
	by.Roles, by.Scope = []string{string(access.AdvancedHuntRead)}, rule.Sees
	ctx = access.WithPrincipal(ctx, by)
	res, err := r.cfg.Hunter.Run(ctx, hunt.Request{Query: rule.Query, Ingested: rule.window(slot), At: slot})
	if err != nil {
		return failure(err), err
	}
	defer func() { _ = res.Close() }()
	out := Run{Status: Completed, Rows: res.Rows.Len()}
	found, broken, err := r.alerts(ctx, rule, res)
	if err != nil {
		return failure(err), err
	}
	if broken > 0 {
		out.Status, out.Code = Partial, "partialRowsFailed"
		out.Reason = fmt.Sprintf("%d rows have no Timestamp or say nobody whom they are about", broken)
	}
	// Alerts of earlier runs come again with every window that overlaps: only new ones count.
	for len(found) > 0 && out.Alerts < MaxAlerts {
		n := min(len(found), MaxAlerts-out.Alerts)
		made, err := r.cfg.Alerts.Raise(ctx, found[:n])
		if err != nil {
			out.Status, out.Code, out.Reason = Failed, "alertCreationFailed", reason(err)
			return out, err
		}
		out.Alerts, found = out.Alerts+len(made), found[n:]
	}
	if len(found) > 0 {
		out.Status, out.Code = Partial, "queryExceededResultSize"
		out.Reason = fmt.Sprintf("the run raised %d alerts, which is the most: up to %d further results wait for the next run", out.Alerts, len(found))
	}
	return out, nil
}

// failure is the outcome of a run whose query did not answer.
func failure(err error) Run {
	code := "queryExecutionFailed"
	switch errs.KindOf(err) {
	case errs.Timeout:
		code = "queryTimeout"
	case errs.Limited, errs.Unavailable:
		code = "queryExecutionThrottling"
	case errs.Invalid:
		code = "queryLimitsExceeded"
	}
	return Run{Status: Failed, Code: code, Reason: reason(err)}
}

// reason is what of an error people may see.
func reason(err error) string {
	var e *errs.E
	if errors.As(err, &e) && e.Detail != "" {
		return e.Detail
	}
	return "an internal error occurred; the server's log has it"
}

// entities are the columns of any result that name what an alert is about.
var entities = detection.Entities{
	Process: []string{"ProcessId", "InitiatingProcessId"}, IP: []string{"RemoteIP"}, URL: []string{"RemoteUrl"},
	User: []string{"AccountName", "InitiatingProcessAccountName"},
}

// alerts makes the alerts of a result, oldest first, and counts the rows that cannot be any.
func (r *Runner) alerts(ctx context.Context, rule *Rule, res *hunt.Result) (out []*alert.Alert, broken int, err error) {
	now := r.cfg.Clock()
	seen := map[ident.AlertID]bool{}
	names := map[string]device.Device{}
	for row, err := range res.Rows.All() {
		if err != nil {
			return nil, 0, err
		}
		cells := map[string]types.Value{}
		for i, c := range res.Columns {
			cells[c.Name] = row[i]
		}
		rec := detection.FromRow("", cells)
		if rec.At.IsZero() {
			broken++
			continue
		}
		if rec.Device == "" && rec.DeviceName != "" {
			d, ok := names[rec.DeviceName]
			if !ok {
				list, err := r.cfg.Devices.FindByName(ctx, rule.Tenant, rec.DeviceName)
				if err != nil {
					return nil, 0, err
				}
				if len(list) == 1 {
					d = *list[0]
				}
				names[rec.DeviceName] = d
			}
			rec.Device = string(d.ID)
		}
		who := identity(cells)
		if rec.Device == "" && who == "" {
			broken++
			continue
		}
		a := rule.alert(&rec, cells, fmt.Sprintf("%d/%d/%s", rec.Report, cells["Timestamp"].I, who), now)
		if !seen[a.ID] {
			seen[a.ID] = true
			out = append(out, a)
		}
	}
	slices.SortStableFunc(out, func(a, b *alert.Alert) int { return a.FirstEvent.Compare(b.FirstEvent) })
	return out, broken, nil
}

// identity is whom a row is about beside its device.
func identity(cells map[string]types.Value) string {
	for _, name := range identities[2:] {
		if v, ok := cells[name]; ok && v.Text() != "" {
			return v.Text()
		}
	}
	return ""
}

// alert makes the alert of one row; event tells its event from others of the device.
func (rule *Rule) alert(rec *detection.Record, cells map[string]types.Value, event string, now time.Time) *alert.Alert {
	about := entities
	if _, ok := cells["ProcessId"]; !ok {
		about.File = []string{"FolderPath"}
	}
	list := about.Of(rec)
	cell := func(name string) (string, bool) { v, ok := cells[name]; return v.Text(), ok }
	id := ident.DeviceID(rec.Device)
	a := &alert.Alert{
		ID:     alert.NewCustomID(rule.DetectorID, id, event),
		Tenant: rule.Tenant, Device: id, DeviceName: rec.DeviceName,
		Title: detection.Fill(rule.Alert.Title, cell), Description: detection.Fill(rule.Alert.Description, cell),
		Created: now.UTC(), Updated: now.UTC(), FirstEvent: rec.At, LastEvent: rec.At,
		Evidence: detect.Evidence(list, rec.At), User: detect.User(list), Source: alert.Source{ReportID: rec.Report},
		Status: alert.New,
	}
	rule.finish(a, cell)
	return a
}

// finish puts into an alert what the rule says of all of them.
func (rule *Rule) finish(a *alert.Alert, cell func(string) (string, bool)) {
	a.Recommended, a.Category, a.Severity = rule.Alert.Recommended, rule.Alert.Category, alert.Severity(rule.Alert.Severity)
	a.Techniques = slices.Clone(rule.Alert.Techniques)
	a.DetectionSource, a.DetectorID, a.Source.Rule = detect.SourceCustom, rule.DetectorID, sourceOf(rule.ID)
	put := func(m *map[string]string, name, column string) {
		if v, ok := cell(column); ok {
			if *m == nil {
				*m = map[string]string{}
			}
			(*m)[name] = v
		}
	}
	for name, column := range rule.Alert.Details {
		put(&a.Details, name, column)
	}
	for _, re := range rule.Responses {
		put(&a.Targets, re.Target, re.Target)
	}
}
