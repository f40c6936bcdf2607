package hunt

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/kql"
	"github.com/vedette-edr/vedette/kql/plan"
	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/schema"
	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/telemetry"
)

// Published limits of one request (advanced hunting API).
const (
	maxRows    = 100_000
	maxBytes   = 124 << 20
	maxElapsed = 200 * time.Second
	maxText    = 1 << 20
)

// maxDetail bounds a query's text in its audit record, in bytes.
const maxDetail = 4000

// Config is what a Service works with.
type Config struct {
	Store      telemetry.Querier
	Audit      audit.Log
	Clock      func() time.Time // nil for time.Now
	Concurrent int              // queries running at once; 0 for 8
	External   Opener           // of the files that queries name by address; nil refuses them
	// Unaudited is told of a hunt whose audit record could not be kept; nil for nobody.
	Unaudited func(audit.Entry, error)
}

// Service runs queries. It is safe for concurrent use.
type Service struct {
	store telemetry.Querier
	audit audit.Log
	now   func() time.Time
	slots chan struct{}
	files Opener

	unaudited func(audit.Entry, error)
}

// New returns the service.
func New(c Config) *Service {
	s := &Service{store: c.Store, audit: c.Audit, now: c.Clock, files: c.External, unaudited: c.Unaudited}
	if s.now == nil {
		s.now = time.Now
	}
	if s.audit == nil {
		s.audit = audit.Discard
	}
	n := c.Concurrent
	if n <= 0 {
		n = 8
	}
	s.slots = make(chan struct{}, n)
	return s
}

// Run answers one query for the caller of ctx. What is wrong with the text is errs.Invalid
// with one line for each error, which names line and column; so is, in the published
// words, a result that is too large or a query that takes too much. One that takes too
// long is errs.Timeout, a quota that is used up errs.Limited.
func (s *Service) Run(ctx context.Context, r Request) (*Result, error) {
	const op = "hunt.Run"
	caller, err := access.FromContext(ctx)
	if err != nil {
		return nil, err
	}
	if err := caller.Require(op, access.AdvancedQueryRead, access.AdvancedHuntRead, access.ThreatHuntingRead); err != nil {
		s.record(ctx, caller, r.Query, audit.Denied)
		return nil, err
	}
	start := s.now()
	q, rows, err := s.runSpan(ctx, caller, r, start)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	out := &Result{Rows: rows.Rows, Stats: Stats{
		Elapsed: s.now().Sub(start), CPU: rows.Stats.CPUUser + rows.Stats.CPUKernel,
		Memory: rows.Stats.Memory, Bytes: rows.Stats.Bytes,
	}}
	for _, c := range q.Columns {
		out.Columns = append(out.Columns, Column{Name: c.Name, Type: c.Type, JSON: c.JSONString})
	}
	if q.Render != nil {
		out.Render, out.Properties = q.Render.Kind, q.Render.Props
	}
	out.Completeness, err = s.completeness(ctx, caller, window(q.Root))
	return out, errs.Wrap(op, err)
}

// run compiles and runs text in the tenant of p, whose permission was decided before, and
// records it once it was worth running.
func (s *Service) run(ctx context.Context, p *access.Principal, text string, now time.Time) (*kql.Query, *telemetry.Result, error) {
	return s.runSpan(ctx, p, Request{Query: text}, now)
}

// runSpan is run over a span of time.
func (s *Service) runSpan(ctx context.Context, p *access.Principal, r Request, now time.Time) (*kql.Query, *telemetry.Result, error) {
	const op = "hunt.run"
	text := r.Query
	q, err := compile(op, text, kql.Options{Now: event.Ticks(now), Principal: p.Name, Probe: s.probe(ctx, p)})
	if err != nil {
		return nil, nil, err
	}
	r.restrict(q.Root)
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return nil, nil, errs.Wrap(op, ctx.Err())
	}
	rows, err := telemetry.Collect(ctx, s.store, &telemetry.Query{
		Tenant:   p.Tenant,
		Plan:     q.Root,
		Limits:   telemetry.Limits{Rows: maxRows, Bytes: maxBytes, Time: maxElapsed},
		External: s.external(),
	})
	if err != nil {
		s.record(ctx, p, text, audit.Failed)
		return nil, nil, tooMuch(op, err)
	}
	s.record(ctx, p, text, audit.Done)
	return q, rows, nil
}

// restrict keeps every scan of a plan to the request's span. A table without a Timestamp
// tells how things are, not what happened: it is left whole.
func (r *Request) restrict(root plan.Node) {
	if r.From.IsZero() && r.To.IsZero() {
		return
	}
	plan.RestrictScans(root, func(s *plan.Scan) plan.Expr {
		t, ok := schema.Lookup(s.Base)
		if !ok {
			return nil
		}
		if _, ok := t.Column("Timestamp"); !ok {
			return nil
		}
		var out plan.Expr
		add := func(op string, at time.Time) {
			if at.IsZero() {
				return
			}
			e := plan.NewCall(op, types.Bool, s.Read("Timestamp", types.Datetime), &plan.Const{V: types.NewDatetime(event.Ticks(at))})
			if out == nil {
				out = e
			} else {
				out = plan.NewCall("and", types.Bool, out, e)
			}
		}
		add(">=", r.From)
		add("<=", r.To)
		return out
	})
}

// tooMuch turns the store's refusal of one query's size or appetite into the published
// 400: asking again later helps nobody. A limit that says when to come back is a quota
// and stays one.
func tooMuch(op string, err error) error {
	var e *errs.E
	if errors.As(err, &e) && e.Kind == errs.Limited && e.Code == "" && e.Retry == 0 {
		return &errs.E{Op: op, Kind: errs.Invalid, Code: errs.BadRequest, Detail: e.Detail, Err: err}
	}
	return errs.Wrap(op, err)
}

// compile turns text into a plan, or its errors into one that a person can act on.
func compile(op, text string, opt kql.Options) (*kql.Query, error) {
	switch {
	case strings.TrimSpace(text) == "":
		return nil, errs.New(op, errs.Invalid, errs.BadRequest, "the query is empty")
	case len(text) > maxText:
		return nil, errs.New(op, errs.Invalid, errs.BadRequest, "the query has %d bytes, at most %d are allowed", len(text), maxText)
	case !utf8.ValidString(text):
		return nil, errs.New(op, errs.Invalid, errs.BadRequest, "the query is not UTF-8")
	}
	q, err := kql.Compile(text, Catalog(), opt)
	if err != nil {
		return nil, errs.New(op, errs.Invalid, errs.BadRequest, "%s", err)
	}
	return q, nil
}

// Limits of one question that a query asks while it is compiled.
const (
	probeRows = 50_000
	probeTime = 60 * time.Second
)

// probe answers what bag_unpack and pivot make columns of, from the caller's own rows.
func (s *Service) probe(ctx context.Context, p *access.Principal) func(plan.Node) ([][]types.Value, error) {
	return func(n plan.Node) ([][]types.Value, error) {
		select {
		case s.slots <- struct{}{}:
			defer func() { <-s.slots }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		r, err := telemetry.Collect(ctx, s.store, &telemetry.Query{Tenant: p.Tenant, Plan: plan.Optimize(n),
			Limits: telemetry.Limits{Rows: probeRows, Bytes: maxBytes, Time: probeTime}, External: s.external()})
		if err != nil {
			return nil, err
		}
		return r.Rows, nil
	}
}

func (s *Service) record(ctx context.Context, p *access.Principal, text string, o audit.Outcome) {
	e := audit.Entry{Tenant: p.Tenant, Actor: p.Actor, Verb: "hunt.run", Detail: text, Outcome: o}
	if len(e.Detail) > maxDetail {
		e.Detail = e.Detail[:maxDetail] + "…"
	}
	e.Detail = strings.ToValidUTF8(e.Detail, "\uFFFD")
	// The rows were read whether or not the record could be kept: refusing hunts would blind
	// whoever mends the store.
	if err := s.audit.Record(context.WithoutCancel(ctx), e); err != nil && s.unaudited != nil {
		s.unaudited(e, err)
	}
}

// window returns the range of Timestamp that a plan looks at in all of its scans together;
// Min above Max when it looks at none.
func window(root plan.Node) plan.TimeRange {
	w := plan.TimeRange{Min: types.MaxDatetime, Max: 0}
	plan.Walk(root, func(n plan.Node) {
		if s, ok := n.(*plan.Scan); ok {
			r := s.Time("Timestamp")
			w.Min, w.Max = min(w.Min, r.Min), max(w.Max, r.Max)
		}
	})
	return w
}

// completeness lists the gaps that overlap the window, a range of Timestamp.
func (s *Service) completeness(ctx context.Context, p *access.Principal, window plan.TimeRange) (Completeness, error) {
	const op = "hunt.completeness"
	if window.Min > window.Max {
		return Completeness{Complete: true}, nil
	}
	q, err := compile(op, fmt.Sprintf(`VedetteTelemetryGaps
		| where GapEnd >= datetime(%s) and GapStart <= datetime(%s)
		| top %d by GapEnd desc
		| project DeviceId, Source, Reason, EventsLost, GapStart, GapEnd`,
		types.FormatDatetime(window.Min), types.FormatDatetime(window.Max), MaxGaps+1), kql.Options{Now: event.Ticks(s.now())})
	if err != nil {
		return Completeness{}, errs.Wrap(op, err)
	}
	r, err := telemetry.Collect(ctx, s.store, &telemetry.Query{Tenant: p.Tenant, Plan: q.Root})
	if err != nil {
		return Completeness{}, errs.Wrap(op, err)
	}
	c := Completeness{Complete: len(r.Rows) == 0, More: len(r.Rows) > MaxGaps}
	for i, row := range r.Rows {
		if i == MaxGaps {
			break
		}
		c.Gaps = append(c.Gaps, Gap{Device: row[0].S, Source: row[1].S, Reason: row[2].S, Lost: row[3].I,
			From: event.FromTicks(row[4].I), To: event.FromTicks(row[5].I)})
	}
	return c, nil
}
