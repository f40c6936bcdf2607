package spool_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/mounttest"

	"github.com/vedette-edr/vedette/agent/spool"
	"github.com/vedette-edr/vedette/schema/event"
)

const childVar = "VEDETTE_SPOOL_CHILD"

func TestMain(m *testing.M) {
	if v := os.Getenv(childVar); v != "" {
		emitForEver(v)
	}
	os.Exit(m.Run())
}

// emitForEver emits numbered events until it is killed, and says on standard output how
// many it has emitted, and how many of them the spool called kept.
func emitForEver(arg string) {
	run, dir, _ := strings.Cut(arg, ":")
	r, err := strconv.Atoi(run)
	if err != nil {
		panic(err)
	}
	s, err := spool.Open(config(dir))
	if err != nil {
		panic(err)
	}
	for i := uint64(0); ; i++ {
		s.Emit(numbered(r, i, ""))
		fmt.Printf("%d %d\n", i+1, s.Stats().Spooled)
		if i%7 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

func TestKilledTenTimesNothingThatWasKeptIsLostAndTheRestIsCounted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	const runs = 10
	rnd := rand.New(rand.NewPCG(1, 2))
	emitted, kept := make([]uint64, runs), make([]uint64, runs)
	for run := range runs {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d:%s", childVar, run, dir))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		life := time.Duration(rnd.IntN(500)) * time.Millisecond
		for sc := bufio.NewScanner(out); sc.Scan(); {
			if emitted[run] == 0 { // it has begun, however long that took
				time.AfterFunc(life, func() { _ = cmd.Process.Signal(syscall.SIGKILL) })
			}
			var e, k uint64
			if n, _ := fmt.Sscanf(sc.Text(), "%d %d", &e, &k); n == 2 {
				emitted[run], kept[run] = e, k
			}
		}
		_ = cmd.Wait() // killed
		if emitted[run] == 0 {
			t.Fatalf("run %d emitted nothing", run)
		}
	}
	s := open(t, config(dir))
	before := s.Stats().Batches
	s.Lost(event.Gap{Source: "last", Reason: "to see the ones before on disk"})
	eventually(t, "the last gaps on disk", func() bool { return s.Stats().Batches > before })
	d := drain(t, s, true)
	delivered := make([]uint64, runs)
	for _, m := range d.marks {
		if m.N != delivered[m.Run] {
			t.Fatalf("run %d: event %d where %d should be", m.Run, m.N, delivered[m.Run])
		}
		delivered[m.Run]++
	}
	var all, got uint64
	for run := range runs {
		if delivered[run] < kept[run] {
			t.Errorf("run %d: %d events were kept, %d delivered", run, kept[run], delivered[run])
		}
		all += emitted[run]
		got += delivered[run]
	}
	lost := d.lost("spool", "ended before")
	// Each run may have emitted one event more than it had time to say.
	if got+lost < all || got+lost > all+runs {
		t.Errorf("%d delivered and %d counted as lost of %d to %d", got, lost, all, all+runs)
	}
	if n := len(d.gaps); n < runs {
		t.Errorf("%d gaps for %d deaths", n, runs)
	}
	t.Logf("emitted %d, delivered %d, counted as lost %d", all, got, lost)
}

func TestAFullDiskIsSaidAndOvercome(t *testing.T) {
	dir := mounttest.Tmpfs(t, "size=600k")
	s := open(t, config(filepath.Join(dir, "spool")))
	ballast := filepath.Join(dir, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	f.Close()
	var n uint64
	eventually(t, "the spool says it is degraded", func() bool {
		s.Emit(numbered(0, n, strings.Repeat(strconv.FormatUint(n*7919, 10), 20)))
		n++
		return s.Stats().Degraded != ""
	})
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all on disk", func() bool { st := s.Stats(); return st.Spooled == n && st.Degraded == "" })
	if d := drain(t, s, true); uint64(len(d.marks)) != n || len(d.gaps) != 0 {
		t.Errorf("%d of %d delivered, gaps %v", len(d.marks), n, d.gaps)
	}
}

func TestTheQueueInMemoryIsBoundedInBytes(t *testing.T) {
	dir := mounttest.Tmpfs(t, "size=600k")
	c := config(filepath.Join(dir, "spool"))
	c.QueueBytes = 1 << 20
	s := open(t, c)
	ballast := filepath.Join(dir, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	f.Close()
	eventually(t, "the spool says it is degraded", func() bool {
		s.Emit(numbered(0, 0, "x"))
		return s.Stats().Degraded != ""
	})
	for i := range 1000 {
		s.Emit(&event.Event{Table: event.ProcessEvents, Action: "ProcessCreated", Time: time.Now(), Process: &event.Process{
			Key: uint64(i + 1), PID: 1, CommandLine: strings.Repeat("a", 32<<10)}, Additional: "{}"})
	}
	if dropped := s.Stats().Dropped; dropped < 1000-32 || dropped > 1000 {
		t.Errorf("%d of 1000 dropped at 32 KiB each and 1 MiB in all", dropped)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all on disk", func() bool { st := s.Stats(); return st.Spooled+st.Dropped == st.Emitted && st.Degraded == "" })
	dropped := s.Stats().Dropped
	s.Emit(numbered(0, 1, "x"))
	eventually(t, "the queue has room again", func() bool { st := s.Stats(); return st.Dropped == dropped && st.Spooled+dropped == st.Emitted })
	var counted uint64
	for _, g := range drain(t, s, true).gaps {
		counted += g.Count
	}
	if counted != dropped {
		t.Errorf("gaps count %d of %d dropped", counted, dropped)
	}
}
