// Package behavior runs rules of package detection on every batch before it is committed:
// the shipped ones, those of a directory, those a tenant imported, and its continuous
// custom detection rules. It is a detect.Detector.
//
// Rules come in groups, each of which its owner replaces as a whole; a batch meets those
// that its tenant had when it came in. What rules remember is kept per tenant, bounded,
// and written to a file now and then (Run), so that it survives a restart; what came in
// after the last writing is examined again from the telemetry store (Replay). The
// invariant: whatever is examined again raises the alerts of the first time or fewer.
//
// Start at Detector.Match.
package behavior

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/vedette-edr/vedette/detection"
	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/detect"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/telemetry"
)

// Group names whose rules a group of them is.
type Group string

// The groups.
const (
	Library Group = "library" // rule files: shipped, of the directory, imported
	Custom  Group = "custom"  // continuous custom detection rules
)

// Rule is a rule to run, and what makes its alerts differ from those of a rule file.
type Rule struct {
	*detection.Compiled
	// Admits reports whether the rule may speak of a device; nil for every one. Its error is
	// that of Match: the batch comes again.
	Admits func(ctx context.Context, device ident.DeviceID) (bool, error)
	// Finish completes an alert of the rule; nil for one that needs nothing.
	Finish func(*alert.Alert, *detection.Finding)
}

// Config is what a Detector is made of.
type Config struct {
	Dir  string           // where memories are kept; "" keeps them nowhere
	Keys int              // that the rules of one tenant remember; 0 for detection.DefaultKeys
	Now  func() time.Time // nil for time.Now
}

// Detector runs the rules. It is safe for concurrent use.
type Detector struct {
	cfg      Config
	counters detection.Counters

	mu      sync.RWMutex
	shared  []Rule // the library of tenants that have none of their own
	tenants map[ident.TenantID]*tenant
}

var _ detect.Detector = (*Detector)(nil)

// tenant is the rules of one tenant and their memory.
type tenant struct {
	groups map[Group][]Rule
	set    *detection.Set
	rules  map[string]Rule // those with something of their own, by id
	state  *detection.State
}

// skew is the clock difference up to which a device's time is taken as it is.
const skew = 2 * time.Second

// New returns a Detector that runs the rules of shared for every tenant whose library was
// not replaced.
func New(c Config, shared []Rule) *Detector {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Detector{cfg: c, shared: slices.Clone(shared), tenants: map[ident.TenantID]*tenant{}}
}

// Replace puts rules in the place of a tenant's group; the next batch meets them.
func (d *Detector) Replace(id ident.TenantID, g Group, rules []Rule) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.tenant(id)
	t.groups[g] = slices.Clone(rules)
	t.build(&d.counters)
}

// tenant returns a tenant, which is made when it is not there; d.mu is held for writing.
func (d *Detector) tenant(id ident.TenantID) *tenant {
	t := d.tenants[id]
	if t == nil {
		t = &tenant{groups: map[Group][]Rule{Library: d.shared}, state: d.restore(id)}
		t.build(&d.counters)
		d.tenants[id] = t
	}
	return t
}

func (t *tenant) build(counters *detection.Counters) {
	var list []*detection.Compiled
	rules := map[string]Rule{}
	for _, g := range []Group{Library, Custom} {
		for _, r := range t.groups[g] {
			list = append(list, r.Compiled)
			if r.Finish != nil || r.Admits != nil {
				rules[r.ID] = r
			}
		}
	}
	t.set, t.rules = detection.NewSet(list, counters), rules
}

// running is what a batch meets: it stays as it is while rules are replaced.
func (d *Detector) running(id ident.TenantID) tenant {
	d.mu.RLock()
	t := d.tenants[id]
	if t != nil {
		defer d.mu.RUnlock()
		return *t
	}
	d.mu.RUnlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	return *d.tenant(id)
}

// Match returns the alerts that b raises.
func (d *Detector) Match(ctx context.Context, b *telemetry.Batch) ([]*alert.Alert, error) {
	return d.match(ctx, d.running(b.Tenant), b.Tenant, records(b))
}

func (d *Detector) match(ctx context.Context, t tenant, id ident.TenantID, rs iter.Seq[*detection.Record]) ([]*alert.Alert, error) {
	var out []*alert.Alert
	now := d.cfg.Now()
	var failed error
	err := t.set.Match(t.state, rs, func(f *detection.Finding) {
		a := detect.Alert(id, f, f.Rule.ID, now)
		own := t.rules[f.Rule.ID]
		if own.Admits != nil {
			ok, err := own.Admits(ctx, a.Device)
			if failed = errors.Join(failed, err); !ok || err != nil {
				return
			}
		}
		if own.Finish != nil {
			own.Finish(a, f)
		}
		out = append(out, a)
	})
	return out, errs.Wrap("behavior.Match", errors.Join(err, failed))
}

// records are the events of a batch, each valid until the next is asked for.
func records(b *telemetry.Batch) iter.Seq[*detection.Record] {
	return func(yield func(*detection.Record) bool) {
		offset := b.Offset
		if offset <= skew && offset >= -skew {
			offset = 0
		}
		o := event.Origin{DeviceID: string(b.Device), DeviceName: b.DeviceName, Ingested: b.Received}
		var r detection.Record
		for i, e := range b.Events {
			o.ReportID, o.Timestamp = b.FirstReport+int64(i), e.Time.Add(offset)
			r = detection.FromEvent(o, e)
			if !yield(&r) {
				return
			}
		}
	}
}

// Stats are figures since the Detector was made.
type Stats struct {
	Events, Probes, Matches, Findings, Repeated, Failed uint64
	Evicted                                             uint64 // keys forgotten for want of room
	Keys                                                int    // remembered now, of all tenants
}

// Stats returns the figures for metrics.
func (d *Detector) Stats() Stats {
	c := &d.counters
	s := Stats{Events: c.Events.Load(), Probes: c.Probes.Load(), Matches: c.Matches.Load(), Findings: c.Findings.Load(),
		Repeated: c.Repeated.Load(), Failed: c.Failed.Load()}
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, t := range d.tenants {
		st := t.state.Stats()
		s.Keys, s.Evicted = s.Keys+st.Keys, s.Evicted+st.Evicted
	}
	return s
}
