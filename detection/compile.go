package detection

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/kql"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/schema/catalog"
	"github.com/vedette-edr/vedette/schema/event"
)

// Compiled is a sound rule, ready to run. It is immutable.
type Compiled struct {
	Rule
	// Hash names what decides whether the rule finds something: two rules with one hash
	// remember the same things.
	Hash string

	steps    []step
	by       []string // key of a threshold or sequence, nil for a rule of single events
	within   time.Duration
	dedup    []string
	dedupFor time.Duration
	distinct string
	texts    []string // columns that title and description show, then extra
	extra    []string // further columns that findings carry
}

// step is one query of a rule: one for every kind but a sequence.
type step struct {
	query   *kql.StreamQuery
	table   string   // physical
	actions []string // that an event must have one of; nil for any
	count   int      // events
	columns []string // that the engine reads of its rows: by, dedup, distinct, texts
	ents    Entities
}

// defaultWindow is how long further findings belong to the first.
const defaultWindow = time.Hour

// Compile makes r fit to run. The error is of type Problems: everything that is wrong
// with its queries and the columns it names, and, with a, with its texts and ATT&CK ids.
// Without a only what keeps it from running is looked at. Findings carry the columns of
// extra.
func Compile(r *Rule, a *Attack, extra ...string) (*Compiled, error) {
	var ps Problems
	if a != nil {
		ps = r.check(a)
	}
	r.Entities.check(&ps)
	c := &Compiled{Rule: *r, dedup: r.Deduplicate.By, dedupFor: time.Duration(r.Deduplicate.Within), extra: extra}
	if c.dedupFor == 0 {
		c.dedupFor = defaultWindow
	}
	if c.dedupFor > 7*24*time.Hour {
		ps.add("deduplicate.within", "is more than 168h")
	}
	c.kind(&ps)
	c.columns(&ps)
	if err := ps.or(); err != nil {
		return nil, err
	}
	body, _ := json.Marshal([]any{r.Query, r.Threshold, r.Sequence, r.Deduplicate}) // plain data: cannot fail
	sum := sha256.Sum256(body)
	c.Hash = hex.EncodeToString(sum[:8])
	return c, nil
}

// kind compiles the queries of whichever kind the rule is.
func (c *Compiled) kind(ps *Problems) {
	kinds := 0
	if c.Query != "" {
		kinds++
		c.add(ps, "query", c.Query, 1)
	}
	if t := c.Threshold; t != nil {
		kinds++
		c.add(ps, "threshold.query", t.Query, t.Count)
		c.by, c.within, c.distinct = t.By, time.Duration(t.Within), t.Distinct
		if t.Count < 2 {
			ps.add("threshold.count", "%d is less than 2", t.Count)
		}
		c.window(ps, "threshold")
	}
	if s := c.Sequence; s != nil {
		kinds++
		c.by, c.within = s.By, time.Duration(s.Within)
		if len(s.Steps) < 2 || len(s.Steps) > maxSteps {
			ps.add("sequence.steps", "there are %d steps, not 2 to %d", len(s.Steps), maxSteps)
		}
		for i, st := range s.Steps {
			c.add(ps, fmt.Sprintf("sequence.steps[%d].query", i), st.Query, max(st.Count, 1))
		}
		c.window(ps, "sequence")
	}
	if kinds != 1 {
		ps.add("query, threshold, sequence", "a rule has exactly one of them; this one has %d", kinds)
	}
}

func (c *Compiled) window(ps *Problems, place string) {
	if c.within <= 0 || c.within > maxSpan {
		ps.add(place+".within", "%v is not between 0 and %v", c.within, maxSpan)
	}
	if len(c.by) == 0 || len(c.by) > maxBy {
		ps.add(place+".by", "names %d columns, not 1 to %d", len(c.by), maxBy)
	}
	if c.Deduplicate.By != nil {
		ps.add("deduplicate.by", "is for rules of single events: a %s has its own key", place)
	}
	if c.Deduplicate.Within == 0 {
		c.dedupFor = max(c.within, defaultWindow)
	}
}

func (c *Compiled) add(ps *Problems, place, text string, count int) {
	if count > maxCount {
		ps.add(place, "counts to %d, at most %d are remembered", count, maxCount)
		count = maxCount
	}
	q, err := kql.CompileStream(text, catalog.Tables(), kql.Options{})
	if err != nil {
		var list kql.Errors
		if !errors.As(err, &list) {
			ps.add(place, "%s", err)
			return
		}
		for _, e := range list {
			ps.add(place, "%s", e)
		}
		return
	}
	scan, filters := q.Base()
	if !streamed(scan.Base) {
		ps.add(place, "%s is no table of events as they arrive: those are %s", scan.Table, strings.Join(streamTables(), ", "))
		return
	}
	c.steps = append(c.steps, step{query: q, table: scan.Base, count: max(count, 1), actions: actions(scan, filters)})
}

func streamTables() []string {
	var out []string
	for t := event.TableUnknown + 1; t.Valid(); t++ {
		out = append(out, t.String())
	}
	return out
}

func streamed(table string) bool { return slices.Contains(streamTables(), table) }

// placeholder is a column in a text, {{Column}}.
var placeholder = regexp.MustCompile(`\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}`)

// columns settles which columns the engine reads of each step's rows.
func (c *Compiled) columns(ps *Problems) {
	if len(c.steps) == 0 {
		return
	}
	for _, text := range []string{c.Title, c.Description} {
		for _, name := range Placeholders(text) {
			if !slices.Contains(c.texts, name) {
				c.texts = append(c.texts, name)
			}
		}
	}
	c.texts = append(c.texts, c.extra...)
	last := len(c.steps) - 1
	const actor = "InitiatingProcessUniqueId"
	if _, has := c.steps[last].query.Column(actor); c.by == nil && c.dedup == nil && has {
		c.dedup = []string{actor}
	}
	for i := range c.steps {
		s := &c.steps[i]
		s.columns = []string{} // nil would be all
		if s.ents = c.Entities; s.ents.empty() {
			s.ents = DefaultEntities(s.table)
		}
		need := func(place string, names ...string) {
			for _, n := range names {
				if _, ok := s.query.Column(n); !ok {
					ps.add(place, "the query's result has no column %q", n)
				}
				s.columns = append(s.columns, n)
			}
		}
		need("by", c.by...)
		if i == last {
			need("deduplicate.by", c.dedup...)
			if c.distinct != "" {
				need("threshold.distinct", c.distinct)
			}
			need("title, description", c.texts...)
		}
	}
}

// actions returns the ActionTypes that the filters allow, nil when they allow any. A
// filter that this does not understand allows all: it is an index, not the decision.
func actions(scan *plan.Scan, filters []plan.Expr) []string {
	id := 0
	for _, col := range scan.Cols {
		if col.Source == "ActionType" {
			id = col.ID
		}
	}
	var out []string
	for _, e := range filters {
		call, ok := e.(*plan.Call)
		if !ok || len(call.Args) < 2 || (call.Fn.Name != "==" && call.Fn.Name != "in") {
			continue
		}
		col, ok := call.Args[0].(*plan.Col)
		if !ok || col.ID != id {
			continue
		}
		list := []string{}
		for _, a := range call.Args[1:] {
			k, ok := a.(*plan.Const)
			if !ok || k.V.Type != types.String {
				list = nil
				break
			}
			list = append(list, k.V.S)
		}
		if list == nil {
			continue
		}
		if out == nil {
			out = list
			continue
		}
		out = slices.DeleteFunc(out, func(s string) bool { return !slices.Contains(list, s) })
	}
	return out
}

// Query is one query of a compiled rule, as a backtest asks the store for its events.
type Query struct {
	Table   string
	Scan    *plan.Scan // of all columns of the table
	Filters []plan.Expr
}

// Queries returns the rule's queries, in order; they belong to the caller.
func (c *Compiled) Queries() []Query {
	var out []Query
	for i := range c.steps {
		s, f := c.steps[i].query.Base()
		out = append(out, Query{Table: c.steps[i].table, Scan: s, Filters: f})
	}
	return out
}

// Span is how far back the rule remembers: nothing older can be part of a finding.
func (c *Compiled) Span() time.Duration { return max(c.within, c.dedupFor) }

// Stateful reports whether a finding takes more than one event.
func (c *Compiled) Stateful() bool { return c.by != nil }

// Placeholders returns the columns that a text shows, each once.
func Placeholders(text string) []string {
	var out []string
	for _, m := range placeholder.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(out, m[1]) {
			out = append(out, m[1])
		}
	}
	return out
}

// Fill puts columns in their places in a text: those of which cell knows something.
func Fill(text string, cell func(column string) (string, bool)) string {
	return placeholder.ReplaceAllStringFunc(text, func(m string) string {
		if v, ok := cell(placeholder.FindStringSubmatch(m)[1]); ok {
			return oneLine(clip(v, 200))
		}
		return m
	})
}
