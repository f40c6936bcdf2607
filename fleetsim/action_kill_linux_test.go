package fleetsim_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/agent/link"
	"github.com/vedette-edr/vedette/fleetsim"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/wire"
)

const roleVar = "VEDETTE_FLEETSIM_ROLE"

// role tells a child process what it is, and where it ends itself.
type role struct {
	Server  bool // else the device
	Dir     string
	Address string
	CA      []byte
	Token   string
	Kill    string // the step at which it kills itself; "" for none
	After   int    // how often the step is passed before
	Seed    uint64
	Drain   bool // ask for nothing new
}

// runRole is the whole of a child process.
func runRole(arg string) {
	var r role
	if err := json.Unmarshal([]byte(arg), &r); err != nil {
		panic(err)
	}
	if r.Server {
		r.serve()
	}
	r.carryOut()
}

// suicide ends the process as kill -9 does, at the step that the role names.
func (r *role) suicide() func(point string) {
	var mu sync.Mutex
	left := r.After
	return func(point string) {
		mu.Lock()
		defer mu.Unlock()
		if point != r.Kill {
			return
		}
		if left--; left < 0 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
}

// childT lets what is made for tests run in a child process: whatever fails ends it.
type childT struct{ testing.TB }

func (childT) Helper()                   {}
func (childT) Cleanup(func())            {}
func (childT) Context() context.Context  { return context.Background() }
func (childT) Fatal(args ...any)         { panic(fmt.Sprint(args...)) }
func (childT) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }
func (childT) Error(args ...any)         { panic(fmt.Sprint(args...)) }

// serve is a server that asks its one device for random actions, and says which it accepted.
func (r *role) serve() {
	s := open(childT{}, r.Dir)
	s.address, s.fault = r.Address, r.suicide()
	s.up()
	fmt.Println("ready", s.token)
	rnd := rand.New(rand.NewPCG(r.Seed, 5))
	ctx := context.Background()
	approver := &access.Principal{Actor: ident.Actor{Kind: ident.ActorUser, ID: "lead", Name: "lead", Tenant: tenant}, Scope: access.Everything}
	kinds := []action.Kind{action.Isolate, action.Unisolate, action.RestrictCodeExecution, action.AllowCodeExecution, action.CollectPackage}
	for {
		time.Sleep(time.Duration(rnd.IntN(3)) * time.Millisecond)
		open, err := s.store.Actions().OpenActions(ctx, tenant, "")
		if err != nil {
			panic(err)
		}
		pending := 0
		for _, a := range open {
			switch {
			case a.State == action.Requested:
				_, err = s.actions.Approve(ctx, approver, a.ID, "go")
			case !r.Drain && rnd.IntN(20) == 0:
				_, err = s.actions.Cancel(ctx, analyst, a.ID, "never mind")
			}
			if err != nil && !errs.Is(err, errs.Conflict) {
				panic(err)
			}
			pending++
		}
		if err := s.dispatch.Sweep(ctx, tenant); err != nil {
			panic(err)
		}
		if r.Drain && pending == 0 {
			fmt.Println("drained all")
			select {}
		}
		ds, err := s.store.Devices().List(ctx, tenant, device.Query{})
		if err != nil {
			panic(err)
		}
		if len(ds) == 0 || r.Drain {
			continue
		}
		a, err := s.actions.Request(ctx, analyst, action.Request{Device: ds[0].ID, Kind: kinds[rnd.IntN(len(kinds))], Comment: "kill"})
		if err == nil {
			fmt.Println("asked", a.ID)
		} else if !errs.Is(err, errs.Conflict) {
			panic(err)
		}
	}
}

// carryOut is a device that notes on its disk what it truly does.
func (r *role) carryOut() {
	check := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	out, err := os.OpenFile(filepath.Join(r.Dir, "truth"), os.O_CREATE|os.O_APPEND|os.O_WRONLY|os.O_SYNC, 0o600)
	check(err)
	note := func(format string, args ...any) {
		_, err := io.WriteString(out, fmt.Sprintf(format, args...)+"\n")
		check(err)
	}
	die := r.suicide()
	f, err := fleetsim.New(fleetsim.Config{Server: "https://" + r.Address, CA: r.CA, Token: r.Token, Devices: 1, Seed: 1, Dir: r.Dir, Backoff: 5 * time.Millisecond,
		Fault: func(_ *fleetsim.Device, point, command string) {
			if point == "kept" {
				note("kept %s", command)
			}
			die(point)
		},
		Answer: func(_ context.Context, _ *fleetsim.Device, c *wire.Command) link.Result {
			note("begin %s", c.ID)
			// What becomes of it follows from its id: running it again does the same.
			if c.ID[0]%8 == 0 {
				note("end %s failed", c.ID)
				return link.Result{State: "failed", Detail: "no"}
			}
			note("effect %s %s", c.ID, c.Kind)
			note("end %s verified", c.ID)
			return link.Result{State: "verified"}
		}})
	check(err)
	for f.Enrol(context.Background()) != nil {
		time.Sleep(5 * time.Millisecond)
	}
	check(f.Start(context.Background()))
	select {}
}

// process is a child that may die.
type process struct {
	cmd   *exec.Cmd
	lines chan string
	ended chan struct{}
}

func spawn(t *testing.T, r role) *process {
	t.Helper()
	arg, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(os.Args[0]), lines: make(chan string, 10_000), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), roleVar+"="+string(arg))
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for sc := bufio.NewScanner(out); sc.Scan(); {
			p.lines <- sc.Text()
		}
		_ = p.cmd.Wait() // killed
		close(p.lines)
		close(p.ended)
	}()
	t.Cleanup(p.kill)
	return p
}

func (p *process) kill() {
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	<-p.ended
}

// said returns the rest of the next line that begins with word.
func (p *process) said(t *testing.T, word string, each func(line string)) string {
	t.Helper()
	limit := time.After(60 * time.Second)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				t.Fatalf("a child ended before it said %q", word)
			}
			if rest, found := strings.CutPrefix(line, word+" "); found {
				return rest
			}
			each(line)
		case <-limit:
			t.Fatalf("a child does not say %q", word)
		}
	}
}

// TestActionsSurviveKillsAtEveryStep kills server and device with -9 at each step that an
// action takes on either, one after the other over the same disks. No action that the server
// accepted is lost, none runs again once its result was kept, and each ended as the device
// truly did.
func TestActionsSurviveKillsAtEveryStep(t *testing.T) {
	seed := chaosSeed(t)
	rnd := rand.New(rand.NewPCG(seed, 6))
	s := start(t) // makes the certificate authority and finds an address
	s.down()
	if _, err := s.actions.CreatePolicy(t.Context(), analyst, action.Policy{Name: "two", Enabled: true, Kinds: []action.Kind{action.CollectPackage}}); err != nil {
		t.Fatal(err)
	}
	if err := s.store.Close(); err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(s.ca.File())
	if err != nil {
		t.Fatal(err)
	}
	server := role{Server: true, Dir: s.dir, Address: s.address}
	dev := role{Dir: t.TempDir(), Address: s.address, CA: pem}
	asked := map[ident.ActionID]bool{}
	each := func(line string) {
		if id, ok := strings.CutPrefix(line, "asked "); ok {
			asked[ident.ActionID(id)] = true
		}
	}
	leg := func(serverKill, deviceKill string) {
		server.Kill, dev.Kill, server.After, dev.After = serverKill, deviceKill, rnd.IntN(6), rnd.IntN(6)
		server.Seed, server.Drain = rnd.Uint64(), serverKill+deviceKill == ""
		sp := spawn(t, server)
		dev.Token = sp.said(t, "ready", each)
		dp := spawn(t, dev)
		victim := sp
		if deviceKill != "" {
			victim = dp
		}
		if server.Drain {
			sp.said(t, "drained", each)
		} else {
			select {
			case <-victim.ended:
			case <-time.After(60 * time.Second):
				t.Fatalf("no step %q of the server, %q of the device", serverKill, deviceKill)
			}
			if w := victim.cmd.ProcessState.Sys().(syscall.WaitStatus); !w.Signaled() || w.Signal() != syscall.SIGKILL {
				t.Fatalf("at %q, %q a child ended by itself: %v", serverKill, deviceKill, victim.cmd.ProcessState)
			}
		}
		sp.kill()
		dp.kill()
		for line := range sp.lines {
			each(line)
		}
	}
	type pair struct{ server, device string }
	var legs []pair
	for _, p := range action.Faults() {
		legs = append(legs, pair{server: p})
	}
	for _, p := range link.Faults() {
		legs = append(legs, pair{device: p})
	}
	rnd.Shuffle(len(legs), func(i, j int) { legs[i], legs[j] = legs[j], legs[i] })
	for _, l := range legs {
		leg(l.server, l.device)
	}
	leg("", "")

	again := open(t, s.dir)
	page, err := again.store.Actions().Actions(t.Context(), tenant, filter.Query{Top: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	there := map[ident.ActionID]bool{}
	for _, a := range page.Items {
		there[a.ID] = true
	}
	for id := range asked {
		if !there[id] {
			t.Errorf("the accepted action %s is lost", id)
		}
	}
	b := readTruth(t, filepath.Join(dev.Dir, "truth"), string(page.Items[0].Device))
	states := b.compare(t, page.Items, len(page.Items))
	t.Logf("seed %d: %d kills, %d actions accepted, %d in the store: %v", seed, len(legs), len(asked), len(page.Items), states)
}

// readTruth reads what the device noted.
func readTruth(t *testing.T, file, id string) *body {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b := &body{limits: map[string]map[string]bool{id: {}}, effects: map[string]int{}, ends: map[string]string{}}
	kept := map[string]bool{}
	for line := range strings.Lines(string(raw)) {
		w := strings.Fields(line)
		switch w[0] {
		case "begin":
			if kept[w[1]] {
				t.Errorf("the command %s ran again after its result was kept", w[1])
			}
		case "kept":
			kept[w[1]] = true
		case "end":
			b.ends[w[1]] = w[2]
		case "effect":
			b.effects[w[1]]++
			switch w[2] {
			case "unisolate":
				b.limits[id]["isolate"] = false
			case "unrestrictcodeexecution":
				b.limits[id]["restrictcodeexecution"] = false
			default:
				b.limits[id][w[2]] = true
			}
		}
	}
	return b
}
