package fleetsim_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/fleetsim"
	"github.com/vedette-edr/vedette/schema/event"
)

const childVar = "VEDETTE_FLEETSIM_CHILD"

func TestMain(m *testing.M) {
	if v := os.Getenv(childVar); v != "" {
		runDevice(v)
	}
	if v := os.Getenv(roleVar); v != "" {
		runRole(v)
	}
	os.Exit(m.Run())
}

// child tells a child process which device it is.
type child struct {
	Run    int
	Server string
	CA     []byte
	Dir    string
}

type mark struct {
	Run int    `json:"run"`
	N   uint64 `json:"n"`
}

// runDevice is the whole agent side of one device, which emits numbered events until it
// is killed, and says how many, and how many its spool kept.
func runDevice(arg string) {
	check := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	var c child
	check(json.Unmarshal([]byte(arg), &c))
	f, err := fleetsim.New(fleetsim.Config{Server: c.Server, CA: c.CA, Devices: 1, Seed: 1, Dir: c.Dir})
	check(err)
	check(f.Enrol(context.Background()))
	check(f.Start(context.Background()))
	d := f.Devices()[0]
	for n := uint64(0); ; n++ {
		b, err := json.Marshal(mark{c.Run, n})
		check(err)
		d.Emit(&event.Event{Table: event.DeviceEvents, Action: "Numbered", Time: d.Now(), Additional: string(b)})
		fmt.Println(n+1, d.Spool().Spooled)
		if n%10 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

func TestAnAgentKilledTenTimesLosesNothingThatItKeptAndDoublesNothing(t *testing.T) {
	s := start(t)
	f := s.enrolled(1, nil)
	d := f.Devices()[0]
	pem, err := os.ReadFile(s.ca.File())
	if err != nil {
		t.Fatal(err)
	}
	const runs = 10
	rnd := rand.New(rand.NewPCG(3, 4))
	emitted, kept := make([]uint64, runs), make([]uint64, runs)
	for run := range runs {
		arg, err := json.Marshal(child{Run: run, Server: "https://" + s.address, CA: pem, Dir: f.Dir()})
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childVar+"="+string(arg))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		sc := bufio.NewScanner(out)
		if sc.Scan() {
			time.AfterFunc(time.Duration(100+rnd.IntN(400))*time.Millisecond, func() { _ = cmd.Process.Signal(syscall.SIGKILL) })
		}
		for sc.Scan() {
			var e, k uint64
			if n, _ := fmt.Sscan(sc.Text(), &e, &k); n == 2 {
				emitted[run], kept[run] = e, k
			}
		}
		_ = cmd.Wait() // killed
	}
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.Emit(&event.Event{Table: event.DeviceEvents, Action: "Last", Time: d.Now()})
	eventually(t, "the last event", func() bool {
		all := s.memory.events(d.ID())
		return len(all) > 0 && all[len(all)-1].Action == "Last" && d.Spool().Batches == 0
	})
	arrived := make([]uint64, runs)
	for _, e := range s.memory.events(d.ID()) {
		if e.Action == "Last" {
			continue
		}
		var m mark
		if err := json.Unmarshal([]byte(e.Additional), &m); err != nil {
			t.Fatal(err)
		}
		if m.N != arrived[m.Run] {
			t.Fatalf("run %d: event %d where %d should be", m.Run, m.N, arrived[m.Run])
		}
		arrived[m.Run]++
	}
	var lost, all, got uint64
	for _, b := range s.memory.batches(d.ID()) {
		for _, g := range b.Gaps {
			lost += g.Count
		}
	}
	for run := range runs {
		if arrived[run] < kept[run] {
			t.Errorf("run %d: %d events were kept, %d arrived", run, kept[run], arrived[run])
		}
		all, got = all+emitted[run], got+arrived[run]
	}
	// Each run may have emitted one event more than it had time to say.
	if got+lost < all || got+lost > all+runs {
		t.Errorf("%d arrived and %d are counted as lost of %d to %d", got, lost, all, all+runs)
	}
	t.Logf("emitted %d, arrived %d, counted as lost %d", all, got, lost)
}
