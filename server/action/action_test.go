package action_test

import (
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/bus"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/store"
)

const (
	tenant ident.TenantID = "0a0a0a0a-0000-4000-8000-000000000001"
	host   ident.DeviceID = "0000000000000000000000000000000000000001"
	own    ident.DeviceID = "0000000000000000000000000000000000000002"
)

var analyst = &access.Principal{Actor: ident.Actor{Kind: ident.ActorUser, ID: "u", Name: "ana@example", Tenant: tenant}, Scope: access.Everything}

// nudges counts what was nudged.
type nudges struct {
	mu   sync.Mutex
	list []ident.DeviceID
}

func (n *nudges) Nudge(d ident.DeviceID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, d)
}

type fixture struct {
	*action.Service
	dispatch *action.Dispatcher
	store    *store.Store
	device   *device.Device
	changed  *bus.Subscription[action.Changed]
	nudges   nudges
	waiting  waiting
	stop     []ident.ActionID // what pending was told to stop last
	log      *audit.Chain
	now      time.Time
}

func setup(t testing.TB) *fixture {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	f := &fixture{store: s, now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), log: audit.New(s.Audit(), s.Key().Derive("audit"), nil)}
	for _, id := range []ident.DeviceID{host, own} {
		f.device = &device.Device{ID: id, Tenant: tenant, Name: "host" + string(id[39:]), Incarnation: 1, LastSeen: f.now}
		if err := s.Devices().Create(t.Context(), f.device); err != nil {
			t.Fatal(err)
		}
	}
	f.device = f.load(t)
	topic := new(bus.Topic[action.Changed])
	f.changed = topic.Subscribe(100)
	c := action.Config{
		Store: s.Actions(), Devices: s.Devices(), Nudger: &f.nudges, Audit: f.log, Changed: topic, Atomic: s.Atomic,
		Policies: s.Actions(), Waiting: &f.waiting, Envelopes: envelopes{},
		Self: func(d *device.Device) bool { return d.ID == own }, Clock: func() time.Time { return f.now },
	}
	f.Service, f.dispatch = action.NewService(c), action.NewDispatcher(c)
	return f
}

func (f *fixture) load(t testing.TB) *device.Device {
	t.Helper()
	d, err := f.store.Devices().Get(t.Context(), tenant, host)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (f *fixture) request(t *testing.T, k action.Kind) *action.Action {
	t.Helper()
	f.now = f.now.Add(time.Second)
	a, err := f.Request(t.Context(), analyst, action.Request{Device: host, Kind: k, Comment: "because", Source: "PublicApi"})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (f *fixture) pending(t *testing.T, have ...ident.ActionID) []ident.ActionID {
	t.Helper()
	work, err := f.dispatch.Pending(t.Context(), f.device, have)
	if err != nil {
		t.Fatal(err)
	}
	f.stop = work.Stop
	var ids []ident.ActionID
	for _, c := range work.Commands {
		ids = append(ids, c.ID)
	}
	return ids
}

func (f *fixture) result(t *testing.T, a *action.Action, state string) {
	t.Helper()
	f.now = f.now.Add(time.Second)
	err := f.dispatch.Result(t.Context(), f.device, action.Result{ID: a.ID, State: state, Detail: "it is " + state, Evidence: json.RawMessage(`{"probe":true}`)})
	if err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) want(t *testing.T, a *action.Action, s action.State, status action.Status) *action.Action {
	t.Helper()
	got, err := f.Get(t.Context(), tenant, a.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got.State != s || got.State.Status() != status {
		t.Errorf("%s is %s (%s), want %s (%s)", a.Kind, got.State, got.State.Status(), s, status)
	}
	return got
}

func (f *fixture) sweep(t *testing.T, after time.Duration) {
	t.Helper()
	f.now = f.now.Add(after)
	if err := f.dispatch.Sweep(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
}

func TestTheWholeWay(t *testing.T) {
	f := setup(t)
	iso := f.request(t, action.Isolate)
	if !slices.Equal(f.nudges.list, []ident.DeviceID{host}) {
		t.Errorf("nudged %v", f.nudges.list)
	}
	f.want(t, iso, action.Approved, action.Pending)
	work, err := f.dispatch.Pending(t.Context(), f.device, nil)
	if err != nil || len(work.Commands) != 1 {
		t.Fatalf("%v, %v", work, err)
	}
	c := work.Commands[0]
	if c.Kind != "isolate" || c.Incarnation != 1 || c.Device != host || string(c.Params) != `{"isolationType":"Full"}` ||
		!c.Issued.Equal(iso.Created) || c.Expires.Sub(c.Issued) != 72*time.Hour {
		t.Errorf("command %+v", c)
	}
	f.want(t, iso, action.Delivered, action.InProgress)
	if !slices.Equal(f.pending(t), []ident.ActionID{iso.ID}) {
		t.Error("a command that the device did not confirm is not handed out again")
	}
	if got := f.pending(t, iso.ID); len(got) != 0 {
		t.Errorf("a command that the device has is handed out again: %v", got)
	}
	f.result(t, iso, "applied")
	f.want(t, iso, action.Applied, action.InProgress)
	f.result(t, iso, "verified")
	before := f.want(t, iso, action.Verified, action.Succeeded)
	f.result(t, iso, "verified")
	f.result(t, iso, "failed")
	if after := f.want(t, iso, action.Verified, action.Succeeded); len(after.Steps) != len(before.Steps) {
		t.Errorf("saying it again added steps: %+v", after.Steps[len(before.Steps):])
	}
	if last := before.Steps[len(before.Steps)-1]; string(last.Evidence) != `{"probe":true}` || last.Actor != "host1" {
		t.Errorf("last step %+v", last)
	}

	undo := f.request(t, action.Unisolate)
	f.pending(t)
	f.result(t, undo, "verified")
	f.want(t, undo, action.Verified, action.Succeeded)
	f.want(t, iso, action.Reverted, action.Succeeded)
	f.request(t, action.Isolate) // a later one may follow
	if n := len(f.changed.Events()); n != 10 {
		t.Errorf("%d events of 10 movements", n)
	}
	if head, err := f.log.Verify(t.Context(), tenant, audit.Head{}); err != nil || head.Seq != 6 {
		t.Errorf("audit head %d, %v: want 3 requests and 3 results", head.Seq, err)
	}
}

func TestRequestIsChecked(t *testing.T) {
	f := setup(t)
	ask := func(r action.Request) error {
		_, err := f.Request(t.Context(), analyst, r)
		return err
	}
	code := func(err error) errs.Code {
		var e *errs.E
		if errors.As(err, &e) {
			return e.Code
		}
		return ""
	}
	for name, c := range map[string]struct {
		r    action.Request
		kind errs.Kind
		code errs.Code
	}{
		"no comment":     {action.Request{Device: host, Kind: action.Isolate, Comment: " "}, errs.Invalid, errs.MissingRequiredParameter},
		"selective":      {action.Request{Device: host, Kind: action.Isolate, Comment: "x", Scope: "selective"}, errs.Unsupported, errs.OSPlatformNotSupported},
		"scope":          {action.Request{Device: host, Kind: action.Isolate, Comment: "x", Scope: "Half"}, errs.Invalid, errs.InvalidInput},
		"unmanaged":      {action.Request{Device: host, Kind: action.Isolate, Comment: "x", Scope: "UnManagedDevice"}, errs.Unsupported, errs.InvalidInput},
		"kind":           {action.Request{Device: host, Kind: "Explode", Comment: "x"}, errs.Unsupported, errs.InvalidInput},
		"unknown device": {action.Request{Device: "0000000000000000000000000000000000000009", Kind: action.Isolate, Comment: "x"}, errs.NotFound, errs.ResourceNotFound},
		"life":           {action.Request{Device: host, Kind: action.Isolate, Comment: "x", Life: 365 * 24 * time.Hour}, errs.Invalid, errs.InvalidInput},
		"own machine":    {action.Request{Device: own, Kind: action.Isolate, Comment: "x"}, errs.Denied, errs.ForceSelfMissing},
	} {
		if err := ask(c.r); !errs.Is(err, c.kind) || code(err) != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	forced, err := f.Request(t.Context(), analyst, action.Request{Device: own, Kind: action.Isolate, Comment: "x", ForceSelf: true})
	if err != nil {
		t.Fatalf("forced: %v", err)
	}
	// The device refuses by itself too: what was forced must reach it.
	var params struct{ ForceSelf bool }
	if err := json.Unmarshal(forced.Params, &params); err != nil || !params.ForceSelf {
		t.Errorf("the device is told %s, %v", forced.Params, err)
	}
	if err := ask(action.Request{Device: host, Kind: action.Isolate, Comment: "x", Scope: "full"}); err != nil {
		t.Fatal(err)
	}
	err = ask(action.Request{Device: host, Kind: action.Isolate, Comment: "x"})
	var e *errs.E
	if !errs.Is(err, errs.Conflict) || code(err) != errs.ActiveRequestAlreadyExists || !errors.As(err, &e) || e.Detail != "Action is already in progress" {
		t.Errorf("second one: %v", err)
	}
	stranger := &access.Principal{Actor: ident.Actor{Tenant: "other"}, Scope: access.Everything}
	if _, err := f.Request(t.Context(), stranger, action.Request{Device: host, Kind: action.Unisolate, Comment: "x"}); !errs.Is(err, errs.NotFound) {
		t.Errorf("across tenants: %v", err)
	}
	records, err := f.log.Records(t.Context(), tenant, 0, 100)
	if err != nil || len(records) != 4 {
		t.Errorf("%d audit records, %v: want what the device cannot do, the refusal of the own machine and two requests", len(records), err)
	}
}

func TestCancel(t *testing.T) {
	f := setup(t)
	a := f.request(t, action.Isolate)
	if _, err := f.Cancel(t.Context(), analyst, a.ID, ""); !errs.Is(err, errs.Invalid) {
		t.Errorf("without a comment: %v", err)
	}
	got, err := f.Cancel(t.Context(), analyst, a.ID, "never mind")
	if err != nil || got.Cancel.By != "ana@example" || got.Cancel.Comment != "never mind" || !got.Cancel.At.Equal(f.now) {
		t.Fatalf("%+v, %v", got, err)
	}
	f.want(t, a, action.Cancelled, action.StCancel)
	if ids := f.pending(t); len(ids) != 0 {
		t.Errorf("a cancelled action is handed out: %v", ids)
	}
	if _, err := f.Cancel(t.Context(), analyst, a.ID, "again"); !errs.Is(err, errs.Conflict) {
		t.Errorf("cancelled again: %v", err)
	}
}

// TestCancelOfADeliveredAction follows each way that one can end: the truth is what the
// device says.
func TestCancelOfADeliveredAction(t *testing.T) {
	ask := func(t *testing.T, f *fixture, a *action.Action) {
		t.Helper()
		nudged := len(f.nudges.list)
		got, err := f.Cancel(t.Context(), analyst, a.ID, "never mind")
		if err != nil || got.Cancel.By != "ana@example" || len(f.nudges.list) != nudged+1 {
			t.Fatalf("%+v, %v, %d nudges", got, err, len(f.nudges.list)-nudged)
		}
		f.want(t, a, action.Delivered, action.InProgress)
	}
	t.Run("the device never got it", func(t *testing.T) {
		f := setup(t)
		a := f.request(t, action.Isolate)
		f.pending(t)
		ask(t, f, a)
		if ids := f.pending(t); len(ids) != 0 || len(f.stop) != 0 {
			t.Errorf("handed out %v, to be stopped %v", ids, f.stop)
		}
		f.want(t, a, action.Cancelled, action.StCancel)
		f.result(t, a, "verified") // a call that was long on the way had lied
		f.want(t, a, action.Verified, action.Succeeded)
	})
	t.Run("the device stops", func(t *testing.T) {
		f := setup(t)
		a := f.request(t, action.RunAntiVirusScan)
		f.pending(t, a.ID)
		ask(t, f, a)
		for range 2 { // until the device has said what happened
			if ids := f.pending(t, a.ID); len(ids) != 0 || !slices.Equal(f.stop, []ident.ActionID{a.ID}) {
				t.Errorf("handed out %v, to be stopped %v", ids, f.stop)
			}
		}
		f.result(t, a, "cancelled")
		f.want(t, a, action.Cancelled, action.StCancel)
		f.pending(t, a.ID)
		if len(f.stop) != 0 {
			t.Errorf("to be stopped still: %v", f.stop)
		}
	})
	t.Run("it is too late", func(t *testing.T) {
		f := setup(t)
		a := f.request(t, action.Isolate)
		f.pending(t, a.ID)
		ask(t, f, a)
		f.result(t, a, "applied")
		f.want(t, a, action.Applied, action.InProgress)
		if _, err := f.Cancel(t.Context(), analyst, a.ID, "again"); !errs.Is(err, errs.Conflict) {
			t.Errorf("cancelled though it is applied: %v", err)
		}
		f.result(t, a, "verified")
		f.want(t, a, action.Verified, action.Succeeded)
	})
	t.Run("nobody asked", func(t *testing.T) {
		f := setup(t)
		a := f.request(t, action.Isolate)
		f.pending(t, a.ID)
		f.result(t, a, "cancelled")
		f.want(t, a, action.Failed, action.StFailed)
	})
}

func TestProgress(t *testing.T) {
	f := setup(t)
	a := f.request(t, action.RunAntiVirusScan)
	f.pending(t)
	say := func(d *device.Device, p action.Progress) error {
		f.now = f.now.Add(time.Second)
		return f.dispatch.Progress(t.Context(), d, a.ID, p)
	}
	other := *f.device
	other.ID = own
	if err := say(&other, action.Progress{}); !errs.Is(err, errs.NotFound) {
		t.Errorf("of another device: %v", err)
	}
	for name, p := range map[string]action.Progress{
		"percentage": {Percent: 101}, "less than unknown": {Percent: -2}, "detail": {Detail: "\xff"},
		"numbers": {Numbers: json.RawMessage("[1]")}, "broken numbers": {Numbers: json.RawMessage("{")},
	} {
		if err := say(f.device, p); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := say(f.device, action.Progress{Percent: 40, Detail: "/usr", Numbers: json.RawMessage(`{"files":7}`)}); err != nil {
		t.Fatal(err)
	}
	got := f.want(t, a, action.Delivered, action.InProgress)
	if p := got.Progress; p == nil || p.Percent != 40 || p.Detail != "/usr" || string(p.Numbers) != `{"files":7}` || !p.At.Equal(f.now) {
		t.Errorf("progress %+v", p)
	}
	// What works on is not silent.
	for range 4 {
		f.sweep(t, 10*time.Minute)
		f.want(t, a, action.Delivered, action.InProgress)
		if err := say(f.device, action.Progress{Percent: -1}); err != nil {
			t.Fatal(err)
		}
	}
	f.result(t, a, "verified")
	if err := say(f.device, action.Progress{Percent: 50}); err != nil {
		t.Errorf("what comes late: %v", err)
	}
	if got := f.want(t, a, action.Verified, action.Succeeded); got.Progress.Percent != -1 {
		t.Errorf("what came late counts: %+v", got.Progress)
	}
}

func TestTimers(t *testing.T) {
	t.Run("never fetched", func(t *testing.T) {
		f := setup(t)
		a := f.request(t, action.Isolate)
		f.sweep(t, 72*time.Hour-time.Minute)
		f.want(t, a, action.Approved, action.Pending)
		f.sweep(t, time.Hour)
		f.want(t, a, action.Expired, action.TimeOut)
		if ids := f.pending(t); len(ids) != 0 {
			t.Errorf("handed out after its end: %v", ids)
		}
	})
	t.Run("not handed out between expiry and sweep", func(t *testing.T) {
		f := setup(t)
		f.request(t, action.Isolate)
		f.now = f.now.Add(73 * time.Hour)
		if ids := f.pending(t); len(ids) != 0 {
			t.Errorf("handed out: %v", ids)
		}
	})
	t.Run("taken and silent, then heard of", func(t *testing.T) {
		f := setup(t)
		a := f.request(t, action.Isolate)
		f.pending(t)
		f.sweep(t, time.Hour)
		f.want(t, a, action.Delivered, action.InProgress) // the device may never have got it: it is still offered
		f.pending(t, a.ID)
		f.sweep(t, 14*time.Minute)
		f.want(t, a, action.Delivered, action.InProgress)
		f.sweep(t, 2*time.Minute)
		f.want(t, a, action.Unknown, action.TimeOut)
		f.request(t, action.Isolate)
		f.result(t, a, "applied") // ended, and another is open: it stays unknown
		f.want(t, a, action.Unknown, action.TimeOut)
		f.result(t, a, "verified")
		f.want(t, a, action.Verified, action.Succeeded)
	})
	t.Run("applied and never proven", func(t *testing.T) {
		f := setup(t)
		a := f.request(t, action.Isolate)
		f.pending(t)
		f.result(t, a, "applied")
		f.sweep(t, 2*time.Hour)
		f.want(t, a, action.Unknown, action.TimeOut)
	})
	t.Run("enrolled again", func(t *testing.T) {
		f := setup(t)
		iso := f.request(t, action.Isolate)
		f.pending(t, iso.ID)
		undo := f.request(t, action.Unisolate)
		if _, err := f.store.Devices().Update(t.Context(), tenant, host, func(d *device.Device) error { d.Incarnation++; return nil }); err != nil {
			t.Fatal(err)
		}
		f.device = f.load(t)
		if ids := f.pending(t); len(ids) != 0 {
			t.Errorf("the new incarnation gets the old one's actions: %v", ids)
		}
		f.sweep(t, time.Second)
		f.want(t, iso, action.Unknown, action.TimeOut)
		f.want(t, undo, action.Expired, action.TimeOut)
		err := f.dispatch.Result(t.Context(), f.device, action.Result{ID: iso.ID, State: "verified"})
		if !errs.Is(err, errs.NotFound) {
			t.Errorf("a result of another incarnation: %v", err)
		}
	})
}

func TestResultIsChecked(t *testing.T) {
	f := setup(t)
	a := f.request(t, action.Isolate)
	other := *f.device
	other.ID = own
	for name, c := range map[string]struct {
		d    *device.Device
		r    action.Result
		kind errs.Kind
	}{
		"another device":  {&other, action.Result{ID: a.ID, State: "verified"}, errs.NotFound},
		"unknown command": {f.device, action.Result{ID: "00000000-0000-4000-8000-000000000000", State: "verified"}, errs.NotFound},
		"state":           {f.device, action.Result{ID: a.ID, State: "reverted"}, errs.Invalid},
		"evidence":        {f.device, action.Result{ID: a.ID, State: "verified", Evidence: json.RawMessage("{")}, errs.Invalid},
		"detail":          {f.device, action.Result{ID: a.ID, State: "verified", Detail: "\xff"}, errs.Invalid},
	} {
		if err := f.dispatch.Result(t.Context(), c.d, c.r); !errs.Is(err, c.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f.want(t, a, action.Approved, action.Pending)
	f.result(t, a, "refused")
	if got := f.want(t, a, action.Failed, action.StFailed); got.Error != "it is refused" {
		t.Errorf("error %q", got.Error)
	}
}

// TestHandOutAgainstCancel lets both race: an action is either cancelled and not handed
// out, or handed out and its device is asked to stop. Never both, never neither.
func TestHandOutAgainstCancel(t *testing.T) {
	f := setup(t)
	for range 20 {
		a := f.request(t, action.Isolate)
		var wg sync.WaitGroup
		var handed action.Work
		var cancelled *action.Action
		wg.Go(func() { handed, _ = f.dispatch.Pending(t.Context(), f.device, nil) })
		wg.Go(func() { cancelled, _ = f.Cancel(t.Context(), analyst, a.ID, "x") })
		wg.Wait()
		if cancelled == nil {
			t.Fatal("not cancelled")
		}
		if len(handed.Commands) == 1 {
			f.want(t, a, action.Delivered, action.InProgress)
			if f.pending(t, a.ID); !slices.Equal(f.stop, []ident.ActionID{a.ID}) {
				t.Fatalf("to be stopped: %v", f.stop)
			}
			f.result(t, a, "cancelled")
		}
		f.want(t, a, action.Cancelled, action.StCancel)
	}
}
