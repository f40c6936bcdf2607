package fleetsim_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/agent/link"
	"github.com/vedette-edr/vedette/agent/responder"
	"github.com/vedette-edr/vedette/fleetsim"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/wire"
)

// chaosActions is how many actions the chaos run makes: $VEDETTE_CHAOS, or 300.
func chaosActions(t testing.TB) int {
	v := os.Getenv("VEDETTE_CHAOS")
	if v == "" {
		return 300
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		t.Fatalf("VEDETTE_CHAOS=%q is no number of actions", v)
	}
	return n
}

// chaosSeed is $VEDETTE_SEED, or 1.
func chaosSeed(t testing.TB) uint64 {
	v := os.Getenv("VEDETTE_SEED")
	if v == "" {
		return 1
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		t.Fatalf("VEDETTE_SEED=%q is no number", v)
	}
	return n
}

// body is what simulated devices truly are, beside what anybody says of them.
type body struct {
	mu      sync.Mutex
	limits  map[string]map[string]bool // device → isolate, restrictcodeexecution
	effects map[string]int             // command → how often it took effect
	ends    map[string]string          // command → what its handler said last
}

// act is the handler of all kinds: what becomes of a command follows from its id, so that a
// command that runs again after a crash does the same.
func (b *body) act(ctx context.Context, d *fleetsim.Device, c *wire.Command) link.Result {
	h := fnv.New64a()
	fmt.Fprint(h, c.ID)
	r := rand.New(rand.NewPCG(h.Sum64(), 1))
	if r.IntN(4) == 0 { // takes its time, and can be stopped meanwhile
		d.Progress(c.ID, responder.Progress{Percent: r.IntN(100)})
		select {
		case <-ctx.Done():
			return b.end(c, link.Result{State: "failed", Detail: "stopped"})
		case <-time.After(time.Duration(r.IntN(60)) * time.Millisecond):
		}
	}
	switch r.IntN(12) {
	case 0:
		return b.end(c, link.Result{State: "failed", Detail: "the kernel said no"})
	case 1:
		return b.end(c, link.Result{State: "refused", Detail: "it is a bad idea"})
	}
	b.mu.Lock()
	if b.limits[d.ID()] == nil {
		b.limits[d.ID()] = map[string]bool{}
	}
	switch c.Kind {
	case "isolate", "restrictcodeexecution":
		b.limits[d.ID()][c.Kind] = true
	case "unisolate":
		b.limits[d.ID()]["isolate"] = false
	case "unrestrictcodeexecution":
		b.limits[d.ID()]["restrictcodeexecution"] = false
	}
	b.effects[c.ID]++
	b.mu.Unlock()
	if r.IntN(12) == 0 {
		return b.end(c, link.Result{State: "applied", Detail: "the probe found nothing out"})
	}
	return b.end(c, link.Result{State: "verified", Evidence: []byte(`{"probe":true}`)})
}

func (b *body) end(c *wire.Command, r link.Result) link.Result {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ends[c.ID] = r.State
	return r
}

// lossy breaks calls off: before the server has them, or after it has done what they ask.
type lossy struct {
	mu   sync.Mutex
	rand *rand.Rand
}

func (l *lossy) between(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		n := l.rand.IntN(100)
		l.mu.Unlock()
		switch {
		case n < 3:
			panic(http.ErrAbortHandler)
		case n < 6 && r.URL.Path != "/vedette.wire.v1.Agent/Watch":
			next.ServeHTTP(&deaf{header: http.Header{}}, r)
			panic(http.ErrAbortHandler)
		}
		next.ServeHTTP(w, r)
	})
}

// deaf takes an answer that nobody hears.
type deaf struct{ header http.Header }

func (d *deaf) Header() http.Header         { return d.header }
func (d *deaf) Write(b []byte) (int, error) { return len(b), nil }
func (d *deaf) WriteHeader(int)             {}

// TestChaos asks simulated devices for random actions, while calls break off, agents and the
// server stop and come back, actions are cancelled, approved, rejected and undone. In the
// end every device is what the server's record says of it, and every action ended as its
// device did.
func TestChaos(t *testing.T) {
	want := chaosActions(t)
	seed := chaosSeed(t)
	rnd := rand.New(rand.NewPCG(seed, 2))
	s := start(t)
	s.down()
	s.between = (&lossy{rand: rand.New(rand.NewPCG(seed, 3))}).between
	s.heartbeat = time.Second
	s.up()
	b := &body{limits: map[string]map[string]bool{}, effects: map[string]int{}, ends: map[string]string{}}
	f := s.fleet(12, func(c *fleetsim.Config) { c.Answer, c.Backoff, c.Seed = b.act, 5*time.Millisecond, seed })
	for _, d := range f.Devices() {
		for n := 0; ; n++ {
			err := d.Enrol(t.Context())
			if err == nil {
				break
			}
			if n > 20 {
				t.Fatal(err)
			}
		}
		if err := d.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.actions.CreatePolicy(t.Context(), analyst, action.Policy{Name: "two", Enabled: true, Kinds: []action.Kind{action.CollectPackage}})
	must(err)
	approver := &access.Principal{Actor: ident.Actor{Kind: ident.ActorUser, ID: "lead", Name: "lead", Tenant: tenant}, Scope: access.Everything}
	kinds := []action.Kind{action.Isolate, action.Unisolate, action.RestrictCodeExecution, action.AllowCodeExecution, action.RunAntiVirusScan, action.CollectPackage}
	var made []ident.ActionID
	one := func() ident.ActionID { return made[max(0, len(made)-1-rnd.IntN(20))] }
	// waiting is an action that waits for approval, "" for none.
	waiting := func() ident.ActionID {
		open, err := s.store.Actions().OpenActions(t.Context(), tenant, "")
		must(err)
		for _, a := range open {
			if a.State == action.Requested {
				return a.ID
			}
		}
		return one()
	}
	counts := map[string]int{}
	progress, last := time.Now(), 0
	for len(made) < want {
		if len(made) > last {
			progress, last = time.Now(), len(made)
		} else if time.Since(progress) > 20*time.Second {
			open, err := s.store.Actions().OpenActions(t.Context(), tenant, "")
			must(err)
			for _, a := range open {
				t.Errorf("%s of %s is stuck: %+v", a.Kind, a.Device, a.Steps)
			}
			for _, d := range f.Devices() {
				t.Logf("%s: %+v", d.ID(), d.Status())
			}
			t.FailNow()
		}
		switch n := rnd.IntN(1000); {
		case n < 780 || len(made) == 0:
			d := f.Devices()[rnd.IntN(len(f.Devices()))]
			a, err := s.actions.Request(t.Context(), analyst, action.Request{Device: ident.DeviceID(d.ID()), Kind: kinds[rnd.IntN(len(kinds))], Comment: "chaos"})
			if errs.Is(err, errs.Conflict) { // one of the kind is open
				time.Sleep(time.Duration(rnd.IntN(3)) * time.Millisecond)
				continue
			}
			must(err)
			made = append(made, a.ID)
		case n < 860:
			_, err := s.actions.Cancel(t.Context(), analyst, one(), "never mind")
			count(t, counts, "cancel", err)
		case n < 920:
			_, err := s.actions.Approve(t.Context(), approver, waiting(), "go")
			count(t, counts, "approve", err)
		case n < 940:
			_, err := s.actions.Reject(t.Context(), approver, waiting(), "no")
			count(t, counts, "reject", err)
		case n < 965:
			a, err := s.actions.Undo(t.Context(), analyst, one(), "undo", "")
			count(t, counts, "undo", err)
			if err == nil {
				made = append(made, a.ID)
			}
		case n < 970:
			must(s.later.Sweep(t.Context(), tenant)) // gives up what the device may still do
		case n < 997:
			d := f.Devices()[rnd.IntN(len(f.Devices()))]
			must(d.Close())
			must(d.Start(t.Context()))
			counts["agent stopped"]++
		default:
			s.down()
			s.up()
			counts["server stopped"]++
		}
	}
	all := func() []*action.Action {
		var out []*action.Action
		for {
			page, err := s.actions.List(t.Context(), tenant, filter.Query{Top: 5000, Skip: len(out)})
			must(err)
			out = append(out, page.Items...)
			if !page.More {
				return out
			}
		}
	}
	eventually(t, "every action has an end", func() bool {
		open := 0
		for _, a := range all() {
			switch a.State {
			case action.Requested: // nobody else will
				_, err := s.actions.Reject(t.Context(), approver, a.ID, "the end")
				must(err)
			case action.Approved, action.Delivered:
				open++
			}
		}
		return open == 0
	})
	for _, d := range f.Devices() {
		must(d.Close())
	}
	actions := all()
	states := b.compare(t, actions, len(made))
	t.Logf("seed %d: %d actions ended as %v; %v", seed, len(actions), states, counts)
}

// count notes what a call said; what is refused because of an action's state is no failure.
func count(t *testing.T, counts map[string]int, what string, err error) {
	t.Helper()
	switch {
	case err == nil:
		counts[what]++
	case !errs.Is(err, errs.Conflict) && !errs.Is(err, errs.Unsupported) && !errs.Is(err, errs.Denied):
		t.Fatalf("%s: %v", what, err)
	}
}

// compare holds the server's record against what the devices did and are.
func (b *body) compare(t *testing.T, actions []*action.Action, made int) map[action.State]int {
	t.Helper()
	if len(actions) != made {
		t.Errorf("%d actions were accepted, the server has %d", made, len(actions))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	slices.SortFunc(actions, func(x, y *action.Action) int { return x.Created.Compare(y.Created) })
	states := map[action.State]int{}
	record := map[string]map[string]bool{}
	for _, a := range actions {
		states[a.State]++
		id := string(a.ID)
		said := map[string]action.State{"verified": action.Verified, "applied": action.Applied, "failed": action.Failed, "refused": action.Failed, "": action.Cancelled}[b.ends[id]]
		ok := a.State == said || a.State == action.Reverted && said == action.Verified || a.State == action.Unknown && said == action.Applied ||
			a.State == action.Cancelled && b.effects[id] == 0
		if !ok {
			t.Errorf("%s %s: the device said %q and did it %d times, the server says %s: %+v", a.Kind, id, b.ends[id], b.effects[id], a.State, a.Steps)
		}
		if record[string(a.Device)] == nil {
			record[string(a.Device)] = map[string]bool{}
		}
		switch a.State {
		case action.Verified, action.Reverted, action.Applied, action.Unknown:
		default:
			continue
		}
		switch a.Kind {
		case action.Isolate:
			record[string(a.Device)]["isolate"] = true
		case action.Unisolate:
			record[string(a.Device)]["isolate"] = false
		case action.RestrictCodeExecution:
			record[string(a.Device)]["restrictcodeexecution"] = true
		case action.AllowCodeExecution:
			record[string(a.Device)]["restrictcodeexecution"] = false
		}
	}
	for d, limits := range record {
		for _, what := range []string{"isolate", "restrictcodeexecution"} {
			if limits[what] != b.limits[d][what] {
				t.Errorf("%s: %s is %v on the device, %v by the server's record", d, what, b.limits[d][what], limits[what])
			}
		}
	}
	return states
}
