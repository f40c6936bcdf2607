package detection

import (
	"crypto/sha256"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vedette-edr/vedette/kql/eval"
	"github.com/vedette-edr/vedette/kql/funcs"
	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/schema/event"
)

// Finding is what a rule found. It belongs to whoever is told of it.
type Finding struct {
	Rule *Compiled
	// Key and Window name what was found: a finding of the same rule, key and window is the
	// same one again. Window counts the rule's deduplication windows by the device's clock.
	Key         string
	Window      uint64
	Device      string // of the event that completed it, as are the next three
	DeviceName  string
	Report      int64
	Table       string
	First, Last time.Time // of the events that led to it
	Raw         time.Time // of the event that completed it, by the device's own clock
	Events      int
	Title       string // with columns in place
	Description string
	Columns     map[string]string // that the texts show, and those that Compile was given
	Entities    []Entity          // each once
}

// Set is rules with an index over them. It is immutable and safe for concurrent use.
type Set struct {
	rules  []*Compiled
	probes map[string][]probeOf // by table
	free   chan *instance
	stats  *Counters
}

// Counters count since they were made, across the Sets that share them.
type Counters struct {
	Events   atomic.Uint64 // examined
	Probes   atomic.Uint64 // queries that an event was put to
	Matches  atomic.Uint64 // rows that came out
	Findings atomic.Uint64
	Repeated atomic.Uint64 // findings that belong to one raised before
	Failed   atomic.Uint64 // events that a query could not be run on
}

// probeOf is one step of one rule.
type probeOf struct {
	rule *Compiled
	step int
}

// NewSet returns a set of rules, which count in counters (nil for nobody).
func NewSet(rules []*Compiled, counters *Counters) *Set {
	if counters == nil {
		counters = &Counters{}
	}
	s := &Set{rules: slices.Clone(rules), probes: map[string][]probeOf{}, free: make(chan *instance, runtime.GOMAXPROCS(0)), stats: counters}
	for _, c := range rules {
		// The last step first, so that one event is not two steps of the same sequence.
		for i := len(c.steps) - 1; i >= 0; i-- {
			t := c.steps[i].table
			s.probes[t] = append(s.probes[t], probeOf{c, i})
		}
	}
	for range cap(s.free) {
		s.free <- nil
	}
	return s
}

// Rules returns the rules of the set.
func (s *Set) Rules() []*Compiled { return slices.Clone(s.rules) }

// instance is the set compiled for one goroutine.
type instance struct {
	tables map[string]*table
}

// table is the probes of one table, and the columns that they read together.
type table struct {
	probes   []*probe
	byAction map[string][]*probe // as far as asked for
	columns  []column
	record   *Record // the event at hand, and what is known of it
	cells    []types.Value
	loaded   []bool
	folded   []string
	hasFold  []bool
}

type probe struct {
	probeOf
	stream *eval.Stream
	cols   []int // of the stream's columns, in table.columns
	load   func(i int) types.Value
}

// maxActions bounds the actions that byAction remembers; devices make them up.
const maxActions = 1000

func (s *Set) open() (*instance, error) {
	in := &instance{tables: map[string]*table{}}
	for name, list := range s.probes {
		t := &table{byAction: map[string][]*probe{}}
		for _, p := range list {
			st := &p.rule.steps[p.step]
			stream, err := st.query.Open(st.columns)
			if err != nil {
				return nil, fmt.Errorf("rule %s: %w", p.rule.Name, err)
			}
			made := &probe{probeOf: p, stream: stream}
			for _, c := range stream.Scan().Cols {
				made.cols = append(made.cols, t.column(c.Source, c.Type))
			}
			made.load = func(i int) types.Value { return *t.cell(made.cols[i]) }
			stream.FoldWith(func(i int) string { return t.fold(made.cols[i]) })
			t.probes = append(t.probes, made)
		}
		n := len(t.columns)
		t.cells, t.loaded, t.folded, t.hasFold = make([]types.Value, n), make([]bool, n), make([]string, n), make([]bool, n)
		in.tables[name] = t
	}
	return in, nil
}

func (t *table) column(name string, typ types.Type) int {
	if i := slices.IndexFunc(t.columns, func(c column) bool { return c.name == name && c.typ == typ }); i >= 0 {
		return i
	}
	t.columns = append(t.columns, newColumn(name, typ))
	return len(t.columns) - 1
}

// take makes r the event at hand.
func (t *table) take(r *Record) {
	t.record = r
	clear(t.loaded)
	clear(t.hasFold)
}

// cell returns a column of the event at hand, which is read once for all rules.
func (t *table) cell(k int) *types.Value {
	if !t.loaded[k] {
		t.cells[k], t.loaded[k] = t.record.cell(&t.columns[k]), true
	}
	return &t.cells[k]
}

// fold returns the text of a column as operators without regard to case compare it.
func (t *table) fold(k int) string {
	if !t.hasFold[k] {
		t.folded[k], t.hasFold[k] = funcs.Fold(t.cell(k).S), true
	}
	return t.folded[k]
}

// fitting returns the probes that may match an action.
func (t *table) fitting(action string) []*probe {
	if ps, ok := t.byAction[action]; ok {
		return ps
	}
	if len(t.byAction) >= maxActions {
		clear(t.byAction)
	}
	var ps []*probe
	for _, p := range t.probes {
		if a := p.rule.steps[p.step].actions; a == nil || slices.Contains(a, action) {
			ps = append(ps, p)
		}
	}
	t.byAction[strings.Clone(action)] = ps
	return ps
}

// Match examines records in their order and tells found of each finding. The rules'
// memory is st. An error means that a rule cannot run, which Compile would have found.
func (s *Set) Match(st *State, records iter.Seq[*Record], found func(*Finding)) error {
	in := <-s.free
	defer func() { s.free <- in }()
	if in == nil {
		made, err := s.open()
		if err != nil {
			return err
		}
		in = made
	}
	m := matching{set: s, state: st, found: found}
	for r := range records {
		s.stats.Events.Add(1)
		if t := in.tables[r.Table]; t != nil {
			m.record(t, r)
		}
	}
	return nil
}

// matching is one Match.
type matching struct {
	set   *Set
	state *State
	found func(*Finding)
	keys  []string // of the rows that one query made of the event at hand
}

func (m *matching) record(t *table, r *Record) {
	ps := t.fitting(r.Action)
	if len(ps) == 0 {
		return
	}
	t.take(r)
	now := types.NewDatetime(event.Ticks(r.Ingested))
	var p *probe
	emit := func(row []types.Value) {
		m.set.stats.Matches.Add(1)
		m.matched(p, r, row)
	}
	probes := uint64(0)
	for _, p = range ps {
		// A later step of what has not begun anywhere is nothing to look for.
		if p.step > 0 && !m.state.begun(p.rule) {
			continue
		}
		probes++
		m.keys = m.keys[:0]
		if err := p.stream.Push(now, p.load, emit); err != nil {
			m.set.stats.Failed.Add(1)
		}
	}
	m.set.stats.Probes.Add(probes)
}

// matched takes a row that came out of a step's query. Its columns are, in order, the
// key's, and for the last step those of deduplication, the distinct one, and the texts'.
func (m *matching) matched(p *probe, r *Record, row []types.Value) {
	c := p.rule
	h := hit{At: r.At, Device: r.Device, Report: r.Report}
	f := &Finding{
		Rule: c, Device: r.Device, DeviceName: r.DeviceName, Report: r.Report, Table: r.Table,
		First: r.At, Last: r.At, Raw: r.Raw, Events: 1, Window: uint64(max(r.Raw.UnixNano(), 0)) / uint64(c.dedupFor),
	}
	nkey := len(c.by)
	last := p.step == len(c.steps)-1
	if c.by == nil {
		nkey = len(c.dedup)
		f.Key = keyOf([]types.Value{types.NewString(r.Device)}, row[:nkey])
	} else {
		f.Key = keyOf(nil, row[:nkey])
	}
	// An event that a query makes several rows of is one event for each of their keys.
	if slices.Contains(m.keys, f.Key) {
		return
	}
	m.keys = append(m.keys, f.Key)
	row = row[nkey:]
	if last && c.distinct != "" {
		h.Value, row = clip(row[0].Text(), 256), row[1:]
	}
	if !m.remember(p, r, f, h) {
		return
	}
	f.Title, f.Description = c.Title, c.Description
	if len(c.texts) > 0 {
		f.Columns = make(map[string]string, len(c.texts))
		for i, name := range c.texts {
			f.Columns[name] = row[i].Text()
		}
		cell := func(name string) (string, bool) { v, ok := f.Columns[name]; return v, ok }
		f.Title, f.Description = Fill(c.Title, cell), Fill(c.Description, cell)
	}
	m.set.stats.Findings.Add(1)
	m.found(f)
}

// remember puts the event into the rule's memory, and reports whether there is something
// to tell, which it completes f with.
func (m *matching) remember(p *probe, r *Record, f *Finding, h hit) bool {
	c, st := p.rule, &p.rule.steps[p.step]
	m.state.mu.Lock()
	defer m.state.mu.Unlock()
	// Old events may come now: what they began is kept as if it were new.
	used := r.Ingested
	if used.IsZero() {
		used = r.At
	}
	// A later step of a sequence that did not begin is nothing to remember.
	if p.step > 0 && !m.state.has(c, f.Key) {
		return false
	}
	e := m.state.use(c, f.Key, used)
	switch {
	case c.Threshold != nil:
		if !e.threshold(c, h) {
			return false
		}
		hits := e.Slots[0].Hits
		f.First, f.Last, f.Events = hits[0].At, hits[len(hits)-1].At, len(hits)
		f.Entities = st.ents.Of(r)
	case c.Sequence != nil:
		ch := e.sequence(c, p.step, h, func() []Entity { return st.ents.Of(r) })
		if ch == nil {
			return false
		}
		f.First, f.Last, f.Events, f.Entities = ch.Start, ch.End, ch.Events, unique(ch.Entities)
	default:
		f.Entities = st.ents.Of(r)
	}
	if !e.raises(h, c.dedupFor) {
		m.set.stats.Repeated.Add(1)
		return false
	}
	return true
}

func unique(list []Entity) []Entity {
	var out []Entity
	for _, e := range list {
		if !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	return out
}

// keyOf renders values unambiguously, and shortens what is long.
func keyOf(lists ...[]types.Value) string {
	var b strings.Builder
	for _, list := range lists {
		for _, v := range list {
			k := types.Key(v)
			b.WriteString(strconv.Itoa(len(k)))
			b.WriteByte(':')
			b.WriteString(k)
		}
	}
	if b.Len() <= 256 {
		return b.String()
	}
	sum := sha256.Sum256([]byte(b.String()))
	return fmt.Sprintf("#%x", sum)
}

// clip shortens s to n characters.
func clip(s string, n int) string {
	for i := range s {
		if n--; n < 0 {
			return s[:i] + "…"
		}
	}
	return s
}

// oneLine keeps text of a device from breaking an alert's title into several.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
