package live_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/blob"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/library"
	"github.com/vedette-edr/vedette/server/live"
	"github.com/vedette-edr/vedette/server/store"
)

const tenant ident.TenantID = "0a0a0a0a-0000-4000-8000-000000000001"

func person(name string, rights ...access.Right) *access.Principal {
	return &access.Principal{Actor: ident.Actor{Kind: ident.ActorUser, ID: name, Name: name, Tenant: tenant}, Scopes: []string{"Machine.LiveResponse"},
		Rights: rights, Scope: access.Everything}
}

var (
	looker = person("looker", access.LiveResponseBasic)
	doer   = person("doer", access.LiveResponseBasic, access.LiveResponseAdvanced)
)

type fixture struct {
	*live.Service
	t     *testing.T
	store *store.Store
	log   *audit.Chain
	conf  live.Config
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func setup(t *testing.T, devices int, change func(*live.Config)) *fixture {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{Dir: t.TempDir()})
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	for i := range devices {
		must(t, s.Devices().Create(t.Context(), &device.Device{ID: dev(i), Tenant: tenant, Name: fmt.Sprint("host", i), Incarnation: 1, LastSeen: time.Now()}))
	}
	blobs, err := blob.Open(t.TempDir())
	must(t, err)
	f := &fixture{t: t, store: s, log: audit.New(s.Audit(), s.Key().Derive("audit"), nil)}
	f.conf = live.Config{Store: s.Live(), Devices: s.Devices(), Blobs: blobs, Audit: f.log, Nudge: func(ident.DeviceID) {}, Dir: t.TempDir(),
		Library: library.New(library.Config{Store: s.Library(), Blobs: blobs}), Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	if change != nil {
		change(&f.conf)
	}
	f.Service, err = live.New(t.Context(), f.conf)
	must(t, err)
	t.Cleanup(f.Close)
	return f
}

func dev(i int) ident.DeviceID { return ident.DeviceID(fmt.Sprintf("%040x", i+1)) }

func (f *fixture) device(i int) *device.Device {
	f.t.Helper()
	d, err := f.store.Devices().Get(context.Background(), tenant, dev(i))
	must(f.t, err)
	return d
}

// wire is a device's stream in memory.
type wire struct {
	up   chan live.Up
	down chan live.Down
	done chan struct{}
	once sync.Once
}

func newWire() *wire {
	return &wire{up: make(chan live.Up), down: make(chan live.Down, 100), done: make(chan struct{})}
}

func (w *wire) Send(d live.Down) error {
	select {
	case w.down <- d:
		return nil
	case <-w.done:
		return io.ErrClosedPipe
	}
}

func (w *wire) Receive() (live.Up, error) {
	select {
	case u := <-w.up:
		return u, nil
	case <-w.done:
		return live.Up{}, io.EOF
	}
}

func (w *wire) Close() { w.once.Do(func() { close(w.done) }) }

// obey is a device that answers every line with itself until it is told to close.
func (w *wire) obey() {
	for {
		select {
		case <-w.done:
			return
		case d := <-w.down:
			switch {
			case d.Close:
				w.Close()
			case d.Line != "":
				for _, u := range []live.Up{{Run: d.Run, Output: []byte("did " + d.Line + "\n")}, {Run: d.Run, End: &live.End{Status: "completed"}}} {
					select {
					case w.up <- u:
					case <-w.done:
						return
					}
				}
			}
		}
	}
}

// console is a person's side in memory.
type console struct {
	events chan live.Event
	inputs chan live.Input
}

func newConsole() *console {
	return &console{events: make(chan live.Event, 100), inputs: make(chan live.Input)}
}

func (c *console) Send(ctx context.Context, e live.Event) error {
	select {
	case c.events <- e:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *console) Receive(ctx context.Context) (live.Input, error) {
	select {
	case in, ok := <-c.inputs:
		if !ok {
			return in, io.EOF
		}
		return in, nil
	case <-ctx.Done():
		return live.Input{}, ctx.Err()
	}
}

// until returns the next event of a type.
func (c *console) until(t *testing.T, kind string) live.Event {
	t.Helper()
	limit := time.After(20 * time.Second)
	for {
		select {
		case e := <-c.events:
			if e.Type == kind {
				return e
			}
		case <-limit:
			t.Fatalf("no %s within 20 s", kind)
		}
	}
}

// join opens a session with both sides there.
func (f *fixture) join(by *access.Principal, i int) (*live.Session, *console, *wire) {
	f.t.Helper()
	n, ticket, err := f.Open(context.Background(), by, live.Request{Device: dev(i)})
	must(f.t, err)
	d := f.device(i)
	pending, err := f.Pending(context.Background(), d, nil)
	must(f.t, err)
	if len(pending) != 1 || pending[0].ID != n.ID || pending[0].Kind != "livesession" || !strings.Contains(string(pending[0].Params), string(n.Level)) {
		f.t.Fatalf("the device is told %+v", pending)
	}
	w, c := newWire(), newConsole()
	go w.obey()
	go func() { _ = f.Serve(context.Background(), d, n.ID, w) }()
	seat, err := f.Redeem(n.ID, ticket)
	must(f.t, err)
	go func() { _ = seat.Take(context.Background(), c) }()
	c.until(f.t, "ready")
	return n, c, w
}

func (f *fixture) ended(id ident.ActionID) *live.Session {
	f.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; {
		n, err := f.Get(context.Background(), tenant, id)
		must(f.t, err)
		if n.State == live.Ended {
			return n
		}
		if time.Now().After(end) {
			f.t.Fatalf("the session is %s", n.State)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestWhatIsTypedIsRecordedAndShown(t *testing.T) {
	f := setup(t, 1, nil)
	n, c, _ := f.join(doer, 0)
	c.inputs <- live.Input{Type: "run", Line: "dir /tmp", Columns: 91, Rows: 37}
	if e := c.until(t, "output"); string(e.Data) != "did dir /tmp\n" {
		t.Errorf("%q", e.Data)
	}
	if e := c.until(t, "end"); e.Status != "completed" || e.Run != 1 {
		t.Errorf("%+v", e)
	}
	c.inputs <- live.Input{Type: "close"}
	c.until(t, "closed")
	got := f.ended(n.ID)
	if got.Reason != "closed by doer" || got.Commands != 1 || got.Started.IsZero() {
		t.Errorf("%+v", got)
	}
	_, file, err := f.Transcript(t.Context(), tenant, n.ID)
	must(t, err)
	raw, err := io.ReadAll(file)
	must(t, errors.Join(err, file.Close()))
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	for _, l := range lines {
		if !json.Valid([]byte(l)) {
			t.Errorf("the transcript has %q", l)
		}
	}
	// A recording is played on a terminal of the size that the console had.
	if size, shown := strings.Index(string(raw), `"r","91x37"`), strings.Index(string(raw), `"o","\u003e dir`); size < 0 || shown < size {
		t.Errorf("the transcript has no size before what is shown: %s", raw)
	}
	if !strings.Contains(string(raw), `"o","did dir /tmp\n"`) {
		t.Errorf("the transcript: %s", raw)
	}
	f.Close()
	records, err := f.store.Audit().AuditRecords(t.Context(), tenant, 0, 100)
	must(t, err)
	verbs := ""
	for _, r := range records {
		verbs += r.Verb + " " + r.Detail + "\n"
	}
	for _, want := range []string{"live.open", "live.command device " + string(dev(0)) + ", command 1: dir /tmp", "live.close"} {
		if !strings.Contains(verbs, want) {
			t.Errorf("the audit log says nothing of %q:\n%s", want, verbs)
		}
	}
}

// Half a command is another command, and half of what was typed is something else.
func TestNothingIsCutSilently(t *testing.T) {
	f := setup(t, 1, nil)
	n, ticket, err := f.Open(t.Context(), doer, live.Request{Device: dev(0)})
	must(t, err)
	w, c := newWire(), newConsole()
	defer w.Close()
	go func() { _ = f.Serve(context.Background(), f.device(0), n.ID, w) }()
	seat, err := f.Redeem(n.ID, ticket)
	must(t, err)
	go func() { _ = seat.Take(context.Background(), c) }()
	c.until(t, "ready")
	c.inputs <- live.Input{Type: "run", Line: "delete /tmp/" + strings.Repeat("x", 9000)}
	if e := c.until(t, "end"); e.Status != "denied" || !strings.Contains(e.Error, "8192") {
		t.Errorf("a long line: %+v", e)
	}
	c.inputs <- live.Input{Type: "run", Line: "dir /tmp"}
	typed := []byte(strings.Repeat("0123456789", 10_000))
	c.inputs <- live.Input{Type: "input", Run: 2, Data: typed}
	var got []byte
	for len(got) < len(typed) {
		select {
		case d := <-w.down:
			if strings.HasPrefix(d.Line, "delete") {
				t.Errorf("the device was told %.40q", d.Line)
			}
			got = append(got, d.Input...)
		case <-time.After(20 * time.Second):
			t.Fatalf("%d bytes of %d", len(got), len(typed))
		}
	}
	if !bytes.Equal(got, typed) {
		t.Error("what was typed is not what arrived")
	}
}

// Whose right is taken away is out, before the next command and soon without one.
func TestARightThatIsTakenAwayEndsTheSession(t *testing.T) {
	for name, change := range map[string]struct {
		now  func(p access.Principal) (*access.Principal, error)
		want string
	}{
		"gone": {func(access.Principal) (*access.Principal, error) {
			return nil, errs.New("x", errs.Unauthenticated, errs.Unauthorized, "gone")
		}, "no longer sign in"},
		"right": {func(p access.Principal) (*access.Principal, error) {
			p.Rights = []access.Right{access.LiveResponseBasic}
			return &p, nil
		}, "withdrawn"},
		"scope": {func(p access.Principal) (*access.Principal, error) { p.Scope = access.Scope{}; return &p, nil }, "no longer see"},
	} {
		for _, typed := range []bool{true, false} {
			t.Run(fmt.Sprint(name, typed), func(t *testing.T) {
				var taken atomic.Bool
				f := setup(t, 1, func(c *live.Config) {
					if !typed {
						c.Recheck = 10 * time.Millisecond
					}
					c.Renew = func(_ context.Context, by *access.Principal, _ time.Time) (*access.Principal, error) {
						if !taken.Load() {
							return by, nil
						}
						return change.now(*by)
					}
				})
				n, c, _ := f.join(doer, 0)
				c.inputs <- live.Input{Type: "run", Line: "dir /tmp"}
				c.until(t, "end")
				taken.Store(true)
				if typed {
					c.inputs <- live.Input{Type: "run", Line: "dir /root"}
				}
				if got := f.ended(n.ID); !strings.Contains(got.Reason, change.want) || got.Commands != 1 {
					t.Errorf("%q after %d commands", got.Reason, got.Commands)
				}
			})
		}
	}
}

func TestRightsDecideTheLevel(t *testing.T) {
	f := setup(t, 3, nil)
	if _, _, err := f.Open(t.Context(), person("nobody"), live.Request{Device: dev(0)}); !errs.Is(err, errs.Denied) {
		t.Errorf("without a right: %v", err)
	}
	if _, _, err := f.Open(t.Context(), looker, live.Request{Device: dev(0), Level: "advanced"}); !errs.Is(err, errs.Denied) {
		t.Errorf("more than the right gives: %v", err)
	}
	n, c, w := f.join(looker, 0)
	if n.Level != "basic" {
		t.Errorf("level %s", n.Level)
	}
	for _, line := range []string{"shell", "run x.sh", "RUN x", "library", "remediate file /x"} {
		c.inputs <- live.Input{Type: "run", Line: line}
		if e := c.until(t, "end"); e.Status != "denied" {
			t.Errorf("%s: %+v", line, e)
		}
	}
	select {
	case d := <-w.down:
		if d.Line != "" {
			t.Errorf("the device was told %q", d.Line)
		}
	default:
	}
	if n, _, _ := f.join(doer, 1); n.Level != "advanced" {
		t.Errorf("level %s", n.Level)
	}
	app := &access.Principal{Actor: ident.Actor{Kind: ident.ActorApp, ID: "app", Name: "app", Tenant: tenant}, Roles: []string{"Machine.LiveResponse"}, Scope: access.Everything}
	if n, _, _ := f.join(app, 2); n.Level != "advanced" {
		t.Errorf("level %s", n.Level)
	}
}

func TestWhatAskingWouldGive(t *testing.T) {
	f := setup(t, 2, func(c *live.Config) {
		c.Barred = func(_ context.Context, d *device.Device) (string, error) {
			if d.ID == dev(1) {
				return "its group has no live response", nil
			}
			return "", nil
		}
	})
	ask := func(by *access.Principal, i int) *live.Outlook {
		t.Helper()
		o, err := f.Ask(t.Context(), by, dev(i))
		must(t, err)
		return o
	}
	if o := ask(looker, 0); o.Level != "basic" || o.Reason != "" || o.Open != nil {
		t.Errorf("of who may look: %+v", o)
	}
	n, _, _ := f.join(doer, 0)
	if o := ask(looker, 0); o.Open == nil || o.Open.ID != n.ID {
		t.Errorf("while there is one: %+v", o)
	}
	o := ask(doer, 1)
	if _, _, err := f.Open(t.Context(), doer, live.Request{Device: dev(1)}); o.Level != "advanced" || o.Open != nil || !strings.Contains(fmt.Sprint(err), o.Reason) || o.Reason == "" {
		t.Errorf("of a device without: %+v, and opening says %v", o, err)
	}
	if _, err := f.Ask(t.Context(), doer, dev(7)); !errs.Is(err, errs.NotFound) {
		t.Errorf("of no device: %v", err)
	}
}

func TestTicketsAreGoodOnce(t *testing.T) {
	now := time.Now()
	var mu sync.Mutex
	f := setup(t, 3, func(c *live.Config) {
		c.Clock = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	})
	n, ticket, err := f.Open(t.Context(), doer, live.Request{Device: dev(0)})
	must(t, err)
	for _, bad := range []string{"", "00", strings.Repeat("0", 64), ticket[1:], ticket + "00", "zz"} {
		if _, err := f.Redeem(n.ID, bad); !errs.Is(err, errs.Unauthenticated) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	_, err = f.Redeem(n.ID, ticket)
	must(t, err)
	if _, err := f.Redeem(n.ID, ticket); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("twice: %v", err)
	}
	other, ticket, err := f.Open(t.Context(), doer, live.Request{Device: dev(1)})
	must(t, err)
	if _, err := f.Redeem(n.ID, ticket); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("for another session: %v", err)
	}
	if _, err := f.Redeem(other.ID, ticket); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("after it was tried on another session: %v", err)
	}
	third, ticket, err := f.Open(t.Context(), doer, live.Request{Device: dev(2)})
	must(t, err)
	mu.Lock()
	now = now.Add(61 * time.Second)
	mu.Unlock()
	if _, err := f.Redeem(third.ID, ticket); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("late: %v", err)
	}
}

func TestLimits(t *testing.T) {
	f := setup(t, 6, func(c *live.Config) { c.PerCaller, c.PerTenant = 2, 3 })
	f.join(doer, 0)
	f.join(doer, 1)
	if _, _, err := f.Open(t.Context(), doer, live.Request{Device: dev(2)}); !errs.Is(err, errs.Limited) {
		t.Errorf("a third of one caller: %v", err)
	}
	f.join(looker, 2)
	if _, _, err := f.Open(t.Context(), person("third", access.LiveResponseBasic), live.Request{Device: dev(3)}); !errs.Is(err, errs.Limited) {
		t.Errorf("a fourth of the tenant: %v", err)
	}
	var e *errs.E
	f = setup(t, 1, nil)
	f.join(doer, 0)
	if _, _, err := f.Open(t.Context(), looker, live.Request{Device: dev(0)}); !errors.As(err, &e) || e.Code != errs.ActiveRequestAlreadyExists {
		t.Errorf("a second with one device: %v", err)
	}
}

func TestASessionEndsByItself(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*live.Config)
		do     func(*console, *wire)
		reason string
	}{
		"the console closes":     {nil, func(c *console, _ *wire) { close(c.inputs) }, "the console closed"},
		"the device goes":        {nil, func(_ *console, w *wire) { w.Close() }, "the device ended the session"},
		"nobody says anything":   {func(c *live.Config) { c.Idle = 50 * time.Millisecond }, func(*console, *wire) {}, "nothing happened"},
		"the device overdoes it": {nil, func(_ *console, w *wire) { w.up <- live.Up{Run: 1, Output: make([]byte, 1<<20)} }, "more at once"},
	} {
		t.Run(name, func(t *testing.T) {
			f := setup(t, 1, c.change)
			n, con, w := f.join(doer, 0)
			c.do(con, w)
			if got := f.ended(n.ID); !strings.Contains(got.Reason, c.reason) {
				t.Errorf("it ended because %q", got.Reason)
			}
		})
	}
	t.Run("the device never comes", func(t *testing.T) {
		f := setup(t, 1, func(c *live.Config) { c.Connect = 20 * time.Millisecond })
		n, _, err := f.Open(t.Context(), doer, live.Request{Device: dev(0)})
		must(t, err)
		if got := f.ended(n.ID); got.Reason != "the device did not answer" {
			t.Errorf("it ended because %q", got.Reason)
		}
		if pending, err := f.Pending(t.Context(), f.device(0), nil); err != nil || len(pending) != 0 {
			t.Errorf("the device is still told %v, %v", pending, err)
		}
	})
}

func TestAConsoleThatIsNotReadHoldsTheDeviceUp(t *testing.T) {
	f := setup(t, 1, nil)
	n, c, w := f.join(doer, 0)
	c.inputs <- live.Input{Type: "run", Line: "dir"}
	c.until(t, "end")
	taken := 0
	for stuck := false; !stuck; {
		select {
		case w.up <- live.Up{Run: 1, Output: []byte("more")}:
			taken++
		case <-time.After(300 * time.Millisecond):
			stuck = true
		}
	}
	if taken > cap(c.events)+2 {
		t.Errorf("%d messages were taken for a console that reads none", taken)
	}
	if _, err := f.End(t.Context(), doer, n.ID); err != nil { // and it ends all the same
		t.Fatal(err)
	}
}

func TestSessionsOfAServerThatWasKilledAreEnded(t *testing.T) {
	f := setup(t, 1, nil)
	n, c, _ := f.join(doer, 0)
	c.inputs <- live.Input{Type: "run", Line: "dir"}
	c.until(t, "end")
	next, err := live.New(t.Context(), f.conf) // as after a kill: the first one never closed
	must(t, err)
	got, err := next.Get(t.Context(), tenant, n.ID)
	must(t, err)
	if got.State != live.Ended || got.Transcript == "" || got.Reason != "the server was started anew" {
		t.Errorf("%+v", got)
	}
}

func TestFilesOfSessions(t *testing.T) {
	f := setup(t, 2, nil)
	n, c, _ := f.join(doer, 0)
	d, other := f.device(0), f.device(1)
	lib := f.conf.Library.(*library.Service)
	_, err := lib.Put(t.Context(), doer, library.Upload{Name: "tool", Content: strings.NewReader("x")})
	must(t, err)
	if _, err := f.Grants(t.Context(), d, n.ID, "tool"); !errs.Is(err, errs.NotFound) {
		t.Errorf("a file that no command names: %v", err)
	}
	c.inputs <- live.Input{Type: "run", Line: "putfile tool"}
	c.until(t, "end")
	if _, err := f.Grants(t.Context(), d, n.ID, "tool"); err != nil {
		t.Error(err)
	}
	if _, err := f.Grants(t.Context(), other, n.ID, "tool"); !errs.Is(err, errs.NotFound) {
		t.Errorf("for another device: %v", err)
	}
	if _, err := f.Expects(t.Context(), d, n.ID, 1, "../x", "00"); !errs.Is(err, errs.Invalid) {
		t.Errorf("a path: %v", err)
	}
	if _, err := f.Expects(t.Context(), other, n.ID, 1, "x", "00"); !errs.Is(err, errs.NotFound) {
		t.Errorf("of another device: %v", err)
	}
	must(t, f.Keep(t.Context(), d, n.ID, 1, "x", strings.NewReader("content")))
	e, file, err := f.File(t.Context(), tenant, n.ID, 1)
	must(t, err)
	raw, err := io.ReadAll(file)
	must(t, errors.Join(err, file.Close()))
	if string(raw) != "content" || e.Name != "x" {
		t.Errorf("%q of %+v", raw, e)
	}
	if _, err := f.End(t.Context(), doer, n.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Expects(t.Context(), d, n.ID, 2, "y", "00"); !errs.Is(err, errs.Conflict) {
		t.Errorf("after its end: %v", err)
	}
	must(t, f.Result(t.Context(), d, action.Result{ID: n.ID, State: "verified", Detail: "3 commands"}))
	got, err := f.Get(t.Context(), tenant, n.ID)
	must(t, err)
	if got.Outcome != "verified: 3 commands" {
		t.Errorf("outcome %q", got.Outcome)
	}
	page, err := f.List(t.Context(), tenant, filter.Query{Top: 10})
	must(t, err)
	if len(page.Items) != 1 {
		t.Errorf("%d sessions", len(page.Items))
	}
}
