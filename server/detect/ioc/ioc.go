// Package ioc is the matcher of indicators: it compares every event with all that a
// tenant has declared bad, IOCs of the custom TI API and indicators of the current one,
// and raises their alerts. It is the indicator.Sink that changes become visible in, and
// the detect.Detector that batches go through.
//
// It does not block anything and holds no texts of the current API's indicators: it looks
// those up when one is hit.
//
// The invariant: after Apply returned, every later Match sees the change, and neither
// ever waits for a rebuild: a tenant's rows are an immutable sorted base under a small
// overlay (see set) that is merged in the background.
//
// Start at Matcher.Match, then search.event for what is compared with what.
package ioc

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/detect"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/indicator"
	"github.com/vedette-edr/vedette/server/telemetry"
)

// DefaultWindow is how long further sightings belong to the alert that the first raised.
const DefaultWindow = 10 * time.Minute

// maxHits bounds how many rows one event may hit; Stats.Capped counts the rest.
const maxHits = 64

// Indicators is where the texts of a hit indicator of the current API come from; an
// indicator.IndicatorStore is one.
type Indicators interface {
	// Indicator returns one, or errs.NotFound.
	Indicator(ctx context.Context, tenant ident.TenantID, id ident.IndicatorID) (*indicator.Indicator, error)
}

// Groups says which device group a device is in, for indicators that are scoped to some.
type Groups interface {
	// DeviceGroup returns the id of the group, in decimal as indicators name it; "" for a
	// device that is not known.
	DeviceGroup(ctx context.Context, tenant ident.TenantID, device ident.DeviceID) (string, error)
}

// NoGroups is the Groups of an installation that has none.
type NoGroups struct{}

// DeviceGroup returns no group.
func (NoGroups) DeviceGroup(context.Context, ident.TenantID, ident.DeviceID) (string, error) {
	return "", nil
}

// Config is what a Matcher is made of.
type Config struct {
	Indicators Indicators
	Groups     Groups           // nil for NoGroups
	Tallies    Tallies          // nil: sightings are not kept
	Now        func() time.Time // nil for time.Now
	Window     time.Duration    // 0 for DefaultWindow
}

// Matcher matches batches against the indicators of their tenant. Its methods are safe
// for concurrent use.
//
// One alert stands for one row (indicator or IOC) seen in the doing of one process on one
// device within one window, so that a process that keeps calling home, or the attempt and
// the outcome of one connection, raise one alert. Its id is derived from the row, the
// device in its incarnation, the process, and the number of the window by the device's
// clock: whatever is sent again, in whatever order, before or after a restart, gives an
// id that the alert store already has. Memory only smooths this: the window is counted
// from the first sighting, and sightings after it are not raised again and again. After a
// restart a sighting may for that reason raise a second alert when it falls into the next
// window; none is ever missed. Processes beyond the first maxProcesses that a device names
// for one row within a window, real or made up, share one alert.
type Matcher struct {
	indicators Indicators
	groups     Groups
	now        func() time.Time
	hash       *hasher
	recent     *recent
	tally      *tally

	mu        sync.RWMutex
	tenants   map[ident.TenantID]*tenant
	reclaimed time.Time
	merges    sync.WaitGroup

	stats struct{ events, hits, suppressed, capped, flooded, merges atomic.Uint64 }
}

// tenant is one tenant's set, and the one that replaces it while a Reset is under way.
type tenant struct {
	live *set
	next *set
}

var (
	_ detect.Detector = (*Matcher)(nil)
	_ indicator.Sink  = (*Matcher)(nil)
)

// New returns a Matcher without any indicator.
func New(c Config) *Matcher {
	if c.Groups == nil {
		c.Groups = NoGroups{}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Window <= 0 {
		c.Window = DefaultWindow
	}
	return &Matcher{
		indicators: c.Indicators, groups: c.Groups, now: c.Now,
		hash: newHasher(), recent: newRecent(c.Window), tally: newTally(c.Tallies),
		tenants: map[ident.TenantID]*tenant{},
	}
}

// Close waits for merges that run in the background.
func (m *Matcher) Close() { m.merges.Wait() }

// Apply makes a page of changes visible; see indicator.Sink. It waits only when changes
// come faster than merges can take them in, as at the first load.
func (m *Matcher) Apply(ctx context.Context, id ident.TenantID, p *indicator.Page) error {
	s := m.target(id, p.Reset)
	s.apply(p.Changes, m.now().Unix())
	m.startMerge(s, false)
	if full := s.crowded(); full != nil {
		select {
		case <-full:
			m.startMerge(s, false)
		case <-ctx.Done():
			return errs.Wrap("ioc.Apply", ctx.Err())
		}
	}
	if !p.More {
		m.mu.Lock()
		defer m.mu.Unlock()
		if t := m.tenants[id]; t.next != nil {
			t.live, t.next = t.next, nil
		}
	}
	return nil
}

// target returns the set that changes go to. A Reset fills a new set beside the live one,
// so that nothing goes unmatched meanwhile.
func (m *Matcher) target(id ident.TenantID, reset bool) *set {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.tenants[id]
	if t == nil {
		t = &tenant{live: newSet(m.hash)}
		m.tenants[id] = t
	}
	if reset {
		t.next = newSet(m.hash)
	}
	if t.next != nil {
		return t.next
	}
	return t.live
}

func (m *Matcher) startMerge(s *set, force bool) {
	if !s.freeze(force) {
		return
	}
	m.merges.Go(func() {
		s.merge(m.now().Unix())
		m.stats.merges.Add(1)
	})
}

// reclaimEvery keeps rows that expire one after the other from causing a merge each.
const reclaimEvery = time.Minute

// Reclaim begins merges that give up rows which have expired, at most one in a minute. It
// is called every now and then; no such row matches before either.
func (m *Matcher) Reclaim() {
	now := m.now()
	m.mu.Lock()
	if now.Sub(m.reclaimed) < reclaimEvery {
		m.mu.Unlock()
		return
	}
	m.reclaimed = now
	var sets []*set
	for _, t := range m.tenants {
		sets = append(sets, t.live)
	}
	m.mu.Unlock()
	for _, s := range sets {
		if s.stale(now.Unix()) {
			m.startMerge(s, true)
		}
	}
}

func (m *Matcher) live(id ident.TenantID) *set {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if t := m.tenants[id]; t != nil {
		return t.live
	}
	return nil
}

// Match returns the alerts of b. An error means that the texts of a hit indicator could
// not be read now.
func (m *Matcher) Match(ctx context.Context, b *telemetry.Batch) ([]*alert.Alert, error) {
	s := m.live(b.Tenant)
	if s == nil {
		return nil, nil
	}
	now := m.now()
	group := ""
	if s.scoped() {
		var err error
		if group, err = m.groups.DeviceGroup(ctx, b.Tenant, b.Device); err != nil {
			return nil, errs.Wrap("ioc.Match", err)
		}
	}
	var out []*alert.Alert
	for _, h := range m.hits(s, b, group, now) {
		a, err := m.alert(ctx, b, h, now)
		if err != nil {
			return out, errs.Wrap("ioc.Match", err)
		}
		if a != nil {
			out = append(out, a)
		}
	}
	m.stats.events.Add(uint64(len(b.Events)))
	m.stats.hits.Add(uint64(len(out)))
	return out, nil
}

// hit is a finding that raises an alert.
type hit struct {
	finding
	definition *indicator.Definition // nil for an indicator of the current API
	key        uint64                // of the process that the alert is about; 0 for all that are too many
	flood      bool                  // the alert stands for all further processes
}

// hits looks all events of b up under one hold of the set, counts what they hit, and
// returns what raises an alert.
func (m *Matcher) hits(s *set, b *telemetry.Batch, group string, now time.Time) []hit {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []hit
	first := 0 // in out, of the event at hand
	k := deviceKey{b.Device, b.Incarnation}
	look := search{set: s, now: now.Unix(), group: group}
	count := m.tally.begin(b)
	look.found = func(f finding) {
		w := f.value.ref.row()
		if slices.ContainsFunc(out[first:], func(h hit) bool { return h.value.ref.row() == w }) {
			return
		}
		h := hit{finding: f}
		if !w.indicator() {
			if h.definition = s.defs[f.value.def]; h.definition == nil || !h.definition.Enabled {
				return
			}
		}
		if len(out)-first >= maxHits {
			m.stats.capped.Add(1)
			return
		}
		out = append(out, h)
	}
	for i, e := range b.Events {
		first = len(out)
		look.event(i, e)
		at := e.Time.UnixNano()
		kept := out[:first]
		for _, h := range out[first:] {
			raises := !h.value.ref.quiet() && m.raises(k, &h, origin{at, b.Sequence, i})
			count.add(&h, e, raises)
			if raises {
				kept = append(kept, h)
			}
		}
		out = kept
	}
	count.end()
	return out
}

// raises reports whether a hit raises an alert, and settles what its alert is about.
func (m *Matcher) raises(k deviceKey, h *hit, o origin) bool {
	h.key = processKey(h.process)
	yes, flood := m.recent.raises(k, sighting{h.value.ref.row(), h.key}, o)
	if flood {
		h.key, h.flood = 0, true
		m.stats.flooded.Add(1)
	}
	if !yes {
		m.stats.suppressed.Add(1)
	}
	return yes
}

// Stats counts since the Matcher was made.
type Stats struct {
	Rows       int    // indicators and IOCs held, of all tenants; superseded ones count until merged
	Waiting    int    // of these, not yet merged
	Events     uint64 // examined
	Hits       uint64 // alerts raised
	Suppressed uint64 // sightings that belong to an alert raised before
	Capped     uint64 // rows that an event hit beyond the first 64
	Flooded    uint64 // sightings of processes beyond those that raise alerts of their own
	Uncounted  uint64 // sightings that Tallies has not: there was no room until it took the others
	Merges     uint64
}

// Stats returns the figures for metrics.
func (m *Matcher) Stats() Stats {
	st := Stats{
		Events: m.stats.events.Load(), Hits: m.stats.hits.Load(), Suppressed: m.stats.suppressed.Load(),
		Capped: m.stats.capped.Load(), Merges: m.stats.merges.Load(),
		Flooded: m.stats.flooded.Load(), Uncounted: m.tally.uncounted.Load(),
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, t := range m.tenants {
		rows, waiting := t.live.count()
		st.Rows, st.Waiting = st.Rows+rows, st.Waiting+waiting
	}
	return st
}
