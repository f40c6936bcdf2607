package indicator_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/indicator"
	"github.com/vedette-edr/vedette/server/store"
)

const (
	acme  = ident.TenantID("7e7c4e3e-1b8e-4a6e-9f1e-0c6b1a5d2f10")
	other = ident.TenantID("2d2e7a1c-77e5-4a8b-a9ba-3c9c2f3f9c11")
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// mirror is a Sink that keeps what it is shown, as a matcher would, and checks the order.
type mirror struct {
	t  *testing.T
	mu sync.Mutex

	revision map[ident.TenantID]indicator.Revision
	rows     map[string]indicator.Change
}

func newMirror(t *testing.T) *mirror {
	return &mirror{t: t, revision: map[ident.TenantID]indicator.Revision{}, rows: map[string]indicator.Change{}}
}

func (m *mirror) Apply(_ context.Context, tenant ident.TenantID, p *indicator.Page) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p.Reset {
		clear(m.rows)
		m.revision[tenant] = 0
	}
	for _, c := range p.Changes {
		if c.Revision <= m.revision[tenant] || c.Revision > p.Revision {
			m.t.Errorf("revision %d on a page that follows %d and ends at %d", c.Revision, m.revision[tenant], p.Revision)
		}
		key := fmt.Sprintf("%s/%d/%d", tenant, c.Noun, c.ID)
		if c.Deleted() {
			delete(m.rows, key)
		} else {
			m.rows[key] = c
		}
	}
	m.revision[tenant] = p.Revision
	return nil
}

func (m *mirror) has(tenant ident.TenantID, noun indicator.Noun, id int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.rows[fmt.Sprintf("%s/%d/%d", tenant, noun, id)]
	return ok
}

// fixture is a Service on a real store.
type fixture struct {
	*indicator.Service
	store *store.Store
	sink  *mirror
}

func newFixture(t *testing.T, q indicator.Quota) *fixture {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{Dir: t.TempDir(), Clock: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	f := &fixture{store: s, sink: newMirror(t)}
	f.Service = f.serve(f.sink, q)
	return f
}

func (f *fixture) serve(sink indicator.Sink, q indicator.Quota) *indicator.Service {
	th := f.store.Threats()
	return indicator.New(indicator.Config{
		Definitions: th, IOCs: th, Indicators: th, Tallies: th, Expiry: th, Feed: th, Sink: sink, Quota: q,
		Now: func() time.Time { return now },
	})
}

// as returns a context of an application with one permission.
func as(tenant ident.TenantID, app string, role access.Permission) context.Context {
	return access.WithPrincipal(context.Background(), &access.Principal{
		Actor: ident.Actor{Kind: ident.ActorApp, ID: app, Name: "App " + app, Tenant: tenant},
		Roles: []string{string(role)}, Scope: access.Everything,
	})
}

func all(tenant ident.TenantID) context.Context { return as(tenant, "admin", access.TIReadWrite) }
func own(app string) context.Context            { return as(acme, app, access.TIReadWriteOwn) }

func aDefinition() *indicator.Definition {
	return &indicator.Definition{Name: "n", Title: "t", Severity: "high", Category: "malware", Enabled: true}
}

func anIOC(d ident.DefinitionID, value string) *indicator.IOC {
	return &indicator.IOC{Type: indicator.Domain, Value: value, Definition: d, Enabled: true}
}

func anIndicator(value string) *indicator.Indicator {
	return &indicator.Indicator{Type: indicator.Domain, Value: value, Action: indicator.Block, Title: "t", Description: "d"}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (f *fixture) define(ctx context.Context, t *testing.T) ident.DefinitionID {
	t.Helper()
	d := aDefinition()
	if err := f.CreateDefinitions(ctx, []*indicator.Definition{d}); err != nil {
		t.Fatal(err)
	}
	return d.ID
}

func (f *fixture) bind(ctx context.Context, t *testing.T, d ident.DefinitionID, value string) indicator.IOCID {
	t.Helper()
	i := anIOC(d, value)
	if err := f.CreateIOCs(ctx, []*indicator.IOC{i}); err != nil {
		t.Fatal(err)
	}
	return i.ID
}

func wantKind(t *testing.T, what string, err error, k errs.Kind) {
	t.Helper()
	if !errs.Is(err, k) {
		t.Errorf("%s: %v, want %v", what, err, k)
	}
}

func TestEveryChangeIsShownBeforeItIsAcknowledged(t *testing.T) {
	f := newFixture(t, indicator.Quota{})
	ctx := all(acme)
	d := f.define(ctx, t)
	i := f.bind(ctx, t, d, "evil.test")
	if !f.sink.has(acme, indicator.ADefinition, int64(d)) || !f.sink.has(acme, indicator.AnIOC, int64(i)) {
		t.Fatal("created, and the sink does not show it")
	}
	if _, err := f.UpdateIOC(ctx, i, func(i *indicator.IOC) error { i.Value = "worse.test"; return nil }); err != nil {
		t.Fatal(err)
	}
	if got := f.sink.rows[fmt.Sprintf("%s/%d/%d", acme, indicator.AnIOC, i)].IOC.Value; got != "worse.test" {
		t.Errorf("updated, and the sink shows %q", got)
	}
	if err := f.DeleteDefinition(ctx, d); err != nil {
		t.Fatal(err)
	}
	if len(f.sink.rows) != 0 {
		t.Errorf("deleted with its IOCs, and the sink shows %v", f.sink.rows)
	}
	wantKind(t, "the IOC of a deleted definition", second(f.IOC(ctx, i)), errs.NotFound)
	p := must[*indicator.Indicator](t)(f.Put(ctx, anIndicator("evil.test")))
	if !f.sink.has(acme, indicator.AnIndicator, int64(p.ID)) {
		t.Error("an indicator is not shown")
	}
}

func second[T any](_ T, err error) error { return err }

func TestConcurrentWritersAndALateSinkAgree(t *testing.T) {
	f := newFixture(t, indicator.Quota{})
	ctx := all(acme)
	d := f.define(ctx, t)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for n := range 20 {
				i := anIOC(d, fmt.Sprintf("h%d-%d.test", w, n))
				if err := f.CreateIOCs(ctx, []*indicator.IOC{i}); err != nil {
					t.Error(err)
					return
				}
				if !f.sink.has(acme, indicator.AnIOC, int64(i.ID)) {
					t.Errorf("%s acknowledged before it was shown", i.Value)
				}
				if n%3 == 0 {
					if err := f.DeleteIOC(ctx, i.ID); err != nil {
						t.Error(err)
					}
					if f.sink.has(acme, indicator.AnIOC, int64(i.ID)) {
						t.Errorf("%s deleted and still shown", i.Value)
					}
				}
			}
		})
	}
	wg.Wait()
	late := newMirror(t)
	again := f.serve(late, indicator.Quota{})
	if err := again.Load(context.Background()); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(f.sink.rows, late.rows, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("shown as it happened, loaded afterwards:\n%s", d)
	}
	if got, want := again.Revision(acme), f.Revision(acme); got != want {
		t.Errorf("revision %d, want %d", got, want)
	}
}

// stubborn is a mirror that refuses pages while it is told to.
type stubborn struct {
	*mirror
	refuse bool
}

func (s *stubborn) Apply(ctx context.Context, tenant ident.TenantID, p *indicator.Page) error {
	if s.refuse {
		return errors.New("refused")
	}
	return s.mirror.Apply(ctx, tenant, p)
}

func TestAFailingSinkCatchesUp(t *testing.T) {
	f := newFixture(t, indicator.Quota{})
	sink := &stubborn{mirror: newMirror(t)}
	f.Service = f.serve(sink, indicator.Quota{})
	ctx := all(acme)
	d := f.define(ctx, t)
	sink.refuse = true
	lost := anIOC(d, "evil.test")
	wantKind(t, "a sink that refuses", f.CreateIOCs(ctx, []*indicator.IOC{lost}), errs.Unavailable)
	must[*indicator.IOC](t)(f.IOC(ctx, lost.ID))
	sink.refuse = false
	next := f.bind(ctx, t, d, "next.test")
	if !sink.has(acme, indicator.AnIOC, int64(lost.ID)) || !sink.has(acme, indicator.AnIOC, int64(next)) {
		t.Error("the next change does not carry the one before it")
	}

	gone, cancel := context.WithCancel(ctx)
	cancel()
	i := anIOC(d, "cancelled.test")
	if err := f.CreateIOCs(gone, []*indicator.IOC{i}); err != nil {
		t.Errorf("a caller that went away after the request was read: %v", err)
	}
	if !sink.has(acme, indicator.AnIOC, int64(i.ID)) {
		t.Error("its change is stored and not shown")
	}
}

func TestOwnScope(t *testing.T) {
	f := newFixture(t, indicator.Quota{})
	a, b, admin := own("a"), own("b"), all(acme)
	da, db := f.define(a, t), f.define(b, t)
	ia := f.bind(a, t, da, "a.test")
	pa := must[*indicator.Indicator](t)(f.Put(a, anIndicator("p.test")))

	wantKind(t, "read another's definition", second(f.Definition(b, da)), errs.NotFound)
	wantKind(t, "read another's IOC", second(f.IOC(b, ia)), errs.NotFound)
	wantKind(t, "read another's indicator", second(f.Indicator(b, pa.ID)), errs.NotFound)
	wantKind(t, "change another's definition", second(f.UpdateDefinition(b, da, func(*indicator.Definition) error { return nil })), errs.NotFound)
	wantKind(t, "change another's IOC", second(f.UpdateIOC(b, ia, func(*indicator.IOC) error { return nil })), errs.NotFound)
	wantKind(t, "delete another's definition", f.DeleteDefinition(b, da), errs.NotFound)
	wantKind(t, "delete another's IOC", f.DeleteIOC(b, ia), errs.NotFound)
	wantKind(t, "delete the IOCs of another's definition", f.DeleteIOCsOf(b, da), errs.NotFound)
	wantKind(t, "delete another's indicator", f.DeleteIndicators(b, []ident.IndicatorID{pa.ID}), errs.NotFound)
	wantKind(t, "bind to another's definition", f.CreateIOCs(b, []*indicator.IOC{anIOC(da, "b.test")}), errs.Invalid)
	wantKind(t, "overwrite another's indicator", second(f.Put(b, anIndicator("P.test"))), errs.Denied)
	ib := f.bind(b, t, db, "b.test")
	wantKind(t, "rebind to another's definition", second(f.UpdateIOC(b, ib, func(i *indicator.IOC) error { i.Definition = da; return nil })), errs.Invalid)

	list := func(ctx context.Context) (ids []ident.DefinitionID) {
		for _, d := range must[filter.Page[*indicator.Definition]](t)(f.Definitions(ctx, filter.Query{})).Items {
			ids = append(ids, d.ID)
		}
		return ids
	}
	if got := list(b); !slices.Equal(got, []ident.DefinitionID{db}) {
		t.Errorf("b sees definitions %v", got)
	}
	if got := list(admin); len(got) != 2 {
		t.Errorf("the whole tenant's permission sees %v", got)
	}
	if err := f.DeleteAllDefinitions(b); err != nil {
		t.Fatal(err)
	}
	if got := list(admin); !slices.Equal(got, []ident.DefinitionID{da}) {
		t.Errorf("after b deleted all of its own: %v", got)
	}
	if err := f.DeleteAllIOCs(b); err != nil {
		t.Fatal(err)
	}
	must[*indicator.IOC](t)(f.IOC(a, ia))

	wantKind(t, "no permission", second(f.Definitions(as(acme, "x", access.AlertRead), filter.Query{})), errs.Denied)
	wantKind(t, "nobody", second(f.Definitions(context.Background(), filter.Query{})), errs.Unauthenticated)
	wantKind(t, "another tenant", second(f.Definition(all(other), da)), errs.NotFound)
	delegated := access.WithPrincipal(context.Background(), &access.Principal{
		Actor: ident.Actor{Kind: ident.ActorUser, ID: "u", Name: "user@acme.test", Tenant: acme}, Scopes: []string{"Ti.ReadWrite"},
		Rights: []access.Right{access.Remediate}, Scope: access.Everything,
	})
	must[*indicator.Definition](t)(f.Definition(delegated, da))
}

func TestStampsAreTheServicesOwn(t *testing.T) {
	f := newFixture(t, indicator.Quota{})
	a := own("a")
	d := aDefinition()
	d.ID, d.Stamps = 77, indicator.Stamps{CreatedBy: "forged", Modified: now}
	if err := f.CreateDefinitions(a, []*indicator.Definition{d}); err != nil {
		t.Fatal(err)
	}
	want := indicator.Stamps{Created: now, CreatedBy: "a", CreatedByName: "App a"}
	got := must[*indicator.Definition](t)(f.Definition(a, d.ID))
	if diff := cmp.Diff(want, got.Stamps); diff != "" || d.ID == 77 {
		t.Errorf("id %d\n%s", d.ID, diff)
	}
	got = must[*indicator.Definition](t)(f.UpdateDefinition(all(acme), d.ID, func(d *indicator.Definition) error {
		d.ID, d.Stamps, d.Title = 78, indicator.Stamps{CreatedBy: "forged"}, "new"
		return nil
	}))
	want.Modified, want.ModifiedBy = now, "App admin"
	if diff := cmp.Diff(want, got.Stamps); diff != "" || got.ID != d.ID || got.Title != "new" {
		t.Errorf("%+v\n%s", got, diff)
	}
	refused := errors.New("refused")
	if _, err := f.UpdateDefinition(a, d.ID, func(d *indicator.Definition) error { d.Title = "lost"; return refused }); !errors.Is(err, refused) {
		t.Errorf("error of the change: %v", err)
	}
	if got := must[*indicator.Definition](t)(f.Definition(a, d.ID)); got.Title != "new" {
		t.Errorf("a refused change was kept: %q", got.Title)
	}
}

func TestBulkIsAtomicAndBounded(t *testing.T) {
	f := newFixture(t, indicator.Quota{Definitions: 3, IOCs: 5, Patterns: 1, Indicators: 2})
	ctx := all(acme)
	d := f.define(ctx, t)
	count := func() int {
		return len(must[filter.Page[*indicator.IOC]](t)(f.IOCs(ctx, filter.Query{})).Items)
	}
	err := f.CreateIOCs(ctx, []*indicator.IOC{anIOC(d, "a.test"), anIOC(d, "b..test")})
	if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "iocs[1]") {
		t.Errorf("one malformed of two: %v", err)
	}
	wantKind(t, "one bound to nothing", f.CreateIOCs(ctx, []*indicator.IOC{anIOC(d, "a.test"), anIOC(99, "b.test")}), errs.Invalid)
	wantKind(t, "nothing", f.CreateIOCs(ctx, nil), errs.Invalid)
	many := make([]*indicator.IOC, indicator.MaxBulk+1)
	for n := range many {
		many[n] = anIOC(d, "a.test")
	}
	wantKind(t, "too many", f.CreateIOCs(ctx, many), errs.Invalid)
	wantKind(t, "more than the quota", f.CreateIOCs(ctx, many[:6]), errs.Exhausted)
	if n := count(); n != 0 {
		t.Errorf("%d IOCs kept of uploads that failed", n)
	}
	for n := range many[:5] {
		many[n] = anIOC(d, fmt.Sprintf("a%d.test", n))
	}
	if err := f.CreateIOCs(ctx, many[:5]); err != nil {
		t.Error(err)
	}
	wantKind(t, "one more than the quota", f.CreateIOCs(ctx, []*indicator.IOC{anIOC(d, "z.test")}), errs.Exhausted)

	if err := f.DeleteAllIOCs(ctx); err != nil {
		t.Fatal(err)
	}
	pattern := func() *indicator.IOC {
		i := anIOC(d, "evil")
		i.Function = indicator.Contains
		return i
	}
	if err := f.CreateIOCs(ctx, []*indicator.IOC{pattern()}); err != nil {
		t.Error(err)
	}
	wantKind(t, "one pattern more than its own quota", f.CreateIOCs(ctx, []*indicator.IOC{pattern()}), errs.Exhausted)
	i := f.bind(ctx, t, d, "plain.test")
	wantKind(t, "one made a pattern", second(f.UpdateIOC(ctx, i, func(i *indicator.IOC) error { i.Function = indicator.EndWith; return nil })), errs.Exhausted)

	if err := f.CreateDefinitions(ctx, []*indicator.Definition{aDefinition(), aDefinition()}); err != nil {
		t.Error(err)
	}
	wantKind(t, "one definition more", f.CreateDefinitions(ctx, []*indicator.Definition{aDefinition()}), errs.Exhausted)

	past := anIndicator("expired.test")
	past.Expires = now.Add(-time.Second)
	for _, p := range []*indicator.Indicator{past, anIndicator("one.test"), anIndicator("two.test")} {
		must[*indicator.Indicator](t)(f.Put(ctx, p))
	}
	wantKind(t, "one active indicator more", second(f.Put(ctx, anIndicator("three.test"))), errs.Exhausted)
	must[*indicator.Indicator](t)(f.Put(ctx, anIndicator("two.test")))
}

func TestIndicatorsAreUpsertedByValue(t *testing.T) {
	f := newFixture(t, indicator.Quota{})
	ctx := all(acme)
	in := anIndicator("Evil.test.")
	in.Application = "first"
	first := must[*indicator.Indicator](t)(f.Put(ctx, in))
	in = anIndicator("evil.TEST")
	in.Title, in.Application = "again", "second"
	again := must[*indicator.Indicator](t)(f.Put(ctx, in))
	if again.ID != first.ID || again.Title != "again" || again.Application != "first" || again.Modified.IsZero() {
		t.Errorf("the same value: %+v", again)
	}
	in = anIndicator("moved.test")
	in.ID = first.ID
	if moved := must[*indicator.Indicator](t)(f.Put(ctx, in)); moved.ID != first.ID || moved.Value != "moved.test" {
		t.Errorf("the same id: %+v", moved)
	}
	in = anIndicator("new.test")
	in.ID = 4711
	if fresh := must[*indicator.Indicator](t)(f.Put(ctx, in)); fresh.ID == 4711 || fresh.ID == first.ID {
		t.Errorf("an id from elsewhere: %+v", fresh)
	}

	results := must[[]indicator.Imported](t)(f.Import(ctx, []*indicator.Indicator{anIndicator("i1.test"), anIndicator("bad..test"), anIndicator("I1.test"), anIndicator("i2.test")}))
	var ids []ident.IndicatorID
	for n, r := range results {
		if failed := r.Err != nil; failed != (n == 1) {
			t.Errorf("import %d: %v", n, r.Err)
		}
		ids = append(ids, r.Indicator.ID)
	}
	if ids[0] == 0 || ids[0] != ids[2] || ids[3] == ids[0] {
		t.Errorf("ids of an import with one value twice: %v", ids)
	}
	wantKind(t, "an empty import", second(f.Import(ctx, nil)), errs.Invalid)
	wantKind(t, "an import too large", second(f.Import(ctx, make([]*indicator.Indicator, indicator.MaxImport+1))), errs.Invalid)
	wantKind(t, "a deletion with one unknown", f.DeleteIndicators(ctx, []ident.IndicatorID{ids[0], 9999}), errs.NotFound)
	must[*indicator.Indicator](t)(f.Indicator(ctx, ids[0]))
	if err := f.DeleteIndicators(ctx, []ident.IndicatorID{ids[0], ids[3]}); err != nil {
		t.Error(err)
	}
}

func TestEnforcingIsADifference(t *testing.T) {
	f := newFixture(t, indicator.Quota{})
	ctx := all(acme)
	f.bind(ctx, t, f.define(ctx, t), "ioc.test")
	put := func(value string, a indicator.Action, expires time.Time) ident.IndicatorID {
		i := anIndicator(value)
		i.Action, i.Expires, i.GenerateAlert = a, expires, true
		return must[*indicator.Indicator](t)(f.Put(ctx, i)).ID
	}
	get := func(since indicator.Revision) (*indicator.Enforcement, string) {
		e := must[*indicator.Enforcement](t)(f.Enforcing(ctx, acme, since))
		var out []string
		for _, x := range e.Entries {
			if x.Indicator == nil {
				out = append(out, fmt.Sprintf("-%d", x.ID))
			} else {
				out = append(out, x.Indicator.Value)
			}
		}
		return e, strings.Join(out, " ")
	}
	block := put("block.test", indicator.Block, time.Time{})
	put("alert.test", indicator.Alert, time.Time{})
	put("allowed.test", indicator.Allowed, now.Add(time.Hour))
	put("expired.test", indicator.Block, now.Add(-time.Hour))
	e, got := get(0)
	if !e.Full || got != "block.test allowed.test" || e.Revision != f.Revision(acme) {
		t.Errorf("everything: %q, full %v, revision %d", got, e.Full, e.Revision)
	}
	put("block.test", indicator.Alert, time.Time{})
	late := put("late.test", indicator.Warn, time.Time{})
	e2, got := get(e.Revision)
	if e2.Full || got != fmt.Sprintf("-%d late.test", block) {
		t.Errorf("the difference: %q, full %v", got, e2.Full)
	}
	if err := f.DeleteIndicators(ctx, []ident.IndicatorID{late}); err != nil {
		t.Fatal(err)
	}
	if e3, got := get(e2.Revision); e3.Full || got != fmt.Sprintf("-%d", late) {
		t.Errorf("after a deletion: %q", got)
	}
	if e4, got := get(f.Revision(acme)); got != "" || e4.Revision != f.Revision(acme) {
		t.Errorf("nothing new: %q, revision %d", got, e4.Revision)
	}
}

func TestWhatHasExpiredIsNeitherListedNorInForce(t *testing.T) {
	f := newFixture(t, indicator.Quota{Indicators: 2})
	put := func(value string, expires time.Time) *indicator.Indicator {
		t.Helper()
		i, err := f.Put(own("one"), &indicator.Indicator{Type: indicator.Domain, Value: value, Action: indicator.Block, Title: "t", Description: "d", Expires: expires})
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	past, future := put("past.example", now), put("future.example", now.Add(time.Second))
	listed := func(what string, of func(context.Context, filter.Query) (filter.Page[*indicator.Indicator], error), ctx context.Context, want ...*indicator.Indicator) {
		t.Helper()
		page, err := of(ctx, filter.Query{Count: true})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, page.Items, cmpopts.EquateEmpty()); d != "" || page.Total != int64(len(want)) {
			t.Errorf("%s: %d\n%s", what, page.Total, d)
		}
	}
	for _, when := range []string{"before", "after"} {
		listed("in force "+when+" the sweep", f.Indicators, all(acme), future)
		if _, err := f.Indicator(all(acme), past.ID); !errs.Is(err, errs.NotFound) {
			t.Errorf("%s the sweep: %v", when, err)
		}
		if err := f.Expire(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if f.sink.has(acme, indicator.AnIndicator, int64(past.ID)) || !f.sink.has(acme, indicator.AnIndicator, int64(future.ID)) {
		t.Error("the sink does not show what is in force")
	}
	listed("expired", f.Expired, own("one"), past)
	listed("expired, to another application", f.Expired, own("two"))
	listed("expired, to another tenant", f.Expired, all(other))
	e, err := f.Enforcing(t.Context(), acme, 0)
	if err != nil || len(e.Entries) != 1 || e.Entries[0].ID != future.ID {
		t.Errorf("devices get %+v, %v", e, err)
	}
	if again := put("past.example", time.Time{}); again.ID == past.ID {
		t.Error("the id came again")
	}
}
