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
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/telemetry"
)

// Published limits of one request (advanced hunting API).
const (
	maxRows    = 100_000
	maxBytes   = 124 << 20
	maxElapsed = 200 * time.Second
	maxText    = 1 << 20
)

// maxTables bounds the tables of one result, as of fork.
const maxTables = 50

// maxDetail bounds a query's text in its audit record, in bytes.
const maxDetail = 4000

// Config is what a Service works with.
type Config struct {
	Store    telemetry.Querier
	Audit    audit.Log
	Devices  Devices          // nil: a caller who does not see every device sees none
	Clock    func() time.Time // nil for time.Now
	External Opener           // of the files that queries name by address; nil refuses them
	State    telemetry.State  // tables that are not stored; nil for none
	Quota    Quota            // of each tenant
	Usage    Usage            // what was used of the quotas; nil begins anew with the server
	Scratch  string           // directory for rows that wait to be read; "" for the system's
	// Unaudited is told of a hunt whose audit record could not be kept; nil for nobody.
	Unaudited func(audit.Entry, error)
	// Uncounted is told when what a query used of its quota could not be kept, or not be
	// read; nil for nobody.
	Uncounted func(error)
}

// Service runs queries. It is safe for concurrent use.
type Service struct {
	store   telemetry.Querier
	audit   audit.Log
	scope   Devices
	now     func() time.Time
	files   Opener
	state   telemetry.State
	ledger  *ledger
	scratch string

	unaudited func(audit.Entry, error)
}

// New returns the service.
func New(c Config) *Service {
	s := &Service{store: c.Store, audit: c.Audit, scope: c.Devices, now: c.Clock, files: c.External, state: c.State, scratch: c.Scratch, unaudited: c.Unaudited}
	if s.now == nil {
		s.now = time.Now
	}
	if s.audit == nil {
		s.audit = audit.Discard
	}
	s.ledger = newLedger(c.Quota, c.Usage, s.now, c.Uncounted)
	return s
}

// Run answers one query for the caller of ctx. What is wrong with the text is errs.Invalid
// with one line for each error, which names line and column; so is, in the published
// words, a result that is too large or a query that takes too much. One that takes too
// long is errs.Timeout, a quota that is used up errs.Limited. The caller closes the result.
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
	if metered(caller) {
		if err := s.ledger.check(ctx, caller.Tenant); err != nil {
			return nil, errs.Wrap(op, err)
		}
	}
	start := s.now()
	within, err := s.within(ctx, caller)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	q, out, err := s.run(ctx, caller, within, r, start)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	if q.Render != nil {
		out.Render, out.Properties = q.Render.Kind, q.Render.Props
	}
	looked := window(q.Root)
	for _, n := range q.More {
		w := window(n)
		looked.Min, looked.Max = min(looked.Min, w.Min), max(looked.Max, w.Max)
	}
	if out.Completeness, err = s.completeness(ctx, caller, within, looked); err != nil {
		return nil, errors.Join(errs.Wrap(op, err), out.Close())
	}
	out.Stats.Elapsed = s.now().Sub(start)
	return out, nil
}

// metered reports whether quotas are for a caller: what the server asks of itself must
// not fail because people hunt.
func metered(p *access.Principal) bool { return p.Actor.Kind != ident.ActorSystem }

// run compiles and runs text in the tenant of p, whose permission and scope were decided
// before, and records it once it was worth running.
func (s *Service) run(ctx context.Context, p *access.Principal, within *within, r Request, now time.Time) (*kql.Query, *Result, error) {
	const op = "hunt.run"
	text := r.Query
	if !r.At.IsZero() {
		now = r.At
	}
	probes := &probes{service: s, principal: p, within: within}
	q, err := compile(op, text, kql.Options{Now: event.Ticks(now), Principal: p.Name, Probe: func(n plan.Node) ([][]types.Value, error) {
		return probes.ask(ctx, n)
	}})
	if probes.err != nil {
		// The text is not to blame, whatever the compiler made of it.
		return nil, nil, tooMuch(op, probes.err)
	}
	if err != nil {
		return nil, nil, err
	}
	if len(q.More) >= maxTables {
		return nil, nil, errs.New(op, errs.Invalid, errs.BadRequest, "the query has %d tables for an answer, at most %d are allowed", len(q.More)+1, maxTables)
	}
	within.restrict(q.Root)
	for _, n := range q.More {
		within.restrict(n)
	}
	r.restrict(q.Root)
	for _, n := range q.More {
		r.restrict(n)
	}
	if r.Ingested != (Span{}) {
		r.Ingested.restrict(q.Root)
		for _, n := range q.More {
			r.Ingested.restrict(n)
		}
	}
	out, err := s.answer(ctx, p, within, q)
	if err != nil {
		s.record(ctx, p, text, audit.Failed)
		return nil, nil, tooMuch(op, err)
	}
	s.record(ctx, p, text, audit.Done)
	return q, out, nil
}

// answer runs the parts of a query within the limits of the whole.
func (s *Service) answer(ctx context.Context, p *access.Principal, within *within, q *kql.Query) (out *Result, err error) {
	out = &Result{}
	defer func() {
		if err != nil {
			err = errors.Join(err, out.Close())
		}
	}()
	left := telemetry.Limits{Rows: maxRows, Bytes: maxBytes, Time: maxElapsed}
	for i, root := range append([]plan.Node{q.Root}, q.More...) {
		columns := root.Columns()
		if i == 0 {
			columns = q.Columns
		}
		t := newTableOf(columns, s.scratch)
		if i == 0 {
			out.Table = t
		} else {
			out.More = append(out.More, t)
		}
		if left.Rows <= 0 || left.Bytes <= 0 || left.Time <= 0 {
			return out, errs.New("hunt.answer", errs.Limited, "", "The tables of the query together are more than one query may answer.")
		}
		used, err := s.query(ctx, p, within, root, left, t.Rows.Add)
		out.Stats.add(used)
		if err != nil {
			return out, err
		}
		left.Rows -= used.Rows
		left.Bytes -= used.Bytes
		left.Time -= used.Elapsed
	}
	return out, nil
}

// query has the store run a plan, and charges the caller with what it took however it ends.
func (s *Service) query(ctx context.Context, p *access.Principal, within *within, root plan.Node, l telemetry.Limits, sink telemetry.Sink) (telemetry.Stats, error) {
	q := &telemetry.Query{Tenant: p.Tenant, Plan: root, Limits: l, External: within.give(s.external()), State: s.state}
	if metered(p) {
		q.Caller = string(p.Actor.Kind) + ":" + p.Actor.ID
	}
	used, err := s.store.Query(ctx, q, sink)
	if metered(p) {
		s.ledger.charge(ctx, p.Tenant, used.Running)
	}
	return used, err
}

// restrict keeps every scan of a plan to the request's span. A table without a Timestamp
// tells how things are, not what happened: it is left whole.
func (r *Request) restrict(root plan.Node) {
	if r.From.IsZero() && r.To.IsZero() {
		return
	}
	span := plan.AllTime()
	if !r.From.IsZero() {
		span.Min = types.FromTime(r.From)
	}
	if !r.To.IsZero() {
		span.Max = types.FromTime(r.To)
	}
	plan.RestrictScans(root, func(scan *plan.Scan) plan.Expr {
		t, ok := schema.Lookup(scan.Base)
		if !ok || scan.External != nil {
			return nil
		}
		if _, ok := t.Column(happened); !ok {
			return nil
		}
		at := scan.Read(happened, types.Datetime)
		scan.Ranges = append(scan.Ranges, plan.ColumnRange{Source: happened, TimeRange: span})
		within := plan.NewCall("and", types.Bool,
			plan.NewCall(">=", types.Bool, at, &plan.Const{V: types.NewDatetime(span.Min)}),
			plan.NewCall("<=", types.Bool, at, &plan.Const{V: types.NewDatetime(span.Max)}))
		if scan.Pred == nil {
			return within
		}
		return plan.NewCall("and", types.Bool, scan.Pred, within)
	})
}

// happened is the column of a table of events that says when they happened.
const happened = "Timestamp"

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
	if err := admissible(op, text); err != nil {
		return nil, err
	}
	q, err := kql.Compile(text, Catalog(), opt)
	if err != nil {
		return nil, errs.New(op, errs.Invalid, errs.BadRequest, "%s", err)
	}
	return q, nil
}

// admissible refuses what is not worth compiling.
func admissible(op, text string) error {
	switch {
	case strings.TrimSpace(text) == "":
		return errs.New(op, errs.Invalid, errs.BadRequest, "the query is empty")
	case len(text) > maxText:
		return errs.New(op, errs.Invalid, errs.BadRequest, "the query has %d bytes, at most %d are allowed", len(text), maxText)
	case !utf8.ValidString(text):
		return errs.New(op, errs.Invalid, errs.BadRequest, "the query is not UTF-8")
	}
	return nil
}

// Limits of one question that a query asks while it is compiled.
const (
	probeRows = 50_000
	probeTime = 60 * time.Second
)

// probes answers what bag_unpack and pivot make columns of, from the caller's own rows.
type probes struct {
	service   *Service
	principal *access.Principal
	within    *within
	err       error // of the first question that was not answered
}

func (b *probes) ask(ctx context.Context, n plan.Node) ([][]types.Value, error) {
	if b.err != nil {
		return nil, b.err
	}
	n = plan.Optimize(n)
	b.within.restrict(n)
	var rows [][]types.Value
	_, err := b.service.query(ctx, b.principal, b.within, n, telemetry.Limits{Rows: probeRows, Bytes: maxBytes, Time: probeTime},
		func(row []types.Value) error {
			rows = append(rows, append([]types.Value(nil), row...))
			return nil
		})
	if err != nil {
		b.err = err
		return nil, err
	}
	return rows, nil
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
		if s, ok := n.(*plan.Scan); ok && s.External == nil {
			r := s.Time("Timestamp")
			w.Min, w.Max = min(w.Min, r.Min), max(w.Max, r.Max)
		}
	})
	return w
}

// completeness lists the gaps that overlap the window, a range of Timestamp.
func (s *Service) completeness(ctx context.Context, p *access.Principal, within *within, window plan.TimeRange) (Completeness, error) {
	return s.gaps(ctx, p.Tenant, within, window)
}

// gaps lists those of some devices that overlap the window.
func (s *Service) gaps(ctx context.Context, tenant ident.TenantID, of *within, window plan.TimeRange) (Completeness, error) {
	const op = "hunt.gaps"
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
	of.restrict(q.Root)
	r, err := telemetry.Collect(ctx, s.store, &telemetry.Query{Tenant: tenant, Plan: q.Root, External: of.give(nil)})
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

// restrict keeps every scan of a plan to what came in within the span. What else restricts
// a scan goes on to hold.
func (s Span) restrict(root plan.Node) {
	r := plan.TimeRange{Min: types.FromTime(s.From), Max: types.FromTime(s.To) - 1}
	plan.RestrictScans(root, func(scan *plan.Scan) plan.Expr {
		if scan.External != nil {
			return nil
		}
		at := scan.Read(ingestion, types.Datetime)
		scan.Ranges = append(scan.Ranges, plan.ColumnRange{Source: ingestion, TimeRange: r})
		within := plan.NewCall("and", types.Bool,
			plan.NewCall(">=", types.Bool, at, &plan.Const{V: types.NewDatetime(r.Min)}),
			plan.NewCall("<=", types.Bool, at, &plan.Const{V: types.NewDatetime(r.Max)}))
		if scan.Pred == nil {
			return within
		}
		return plan.NewCall("and", types.Bool, scan.Pred, within)
	})
}

// ingestion is the column of every table that says when a row came in.
const ingestion = "IngestionTime"
