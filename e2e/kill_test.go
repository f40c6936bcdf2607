package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// kills is how often the tests below kill: $VEDETTE_KILLS, or 5.
func kills(t *testing.T) int {
	v := os.Getenv("VEDETTE_KILLS")
	if v == "" {
		return 5
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		t.Fatalf("VEDETTE_KILLS=%q is no number of kills", v)
	}
	return n
}

// TestServerKilledInMidIngest kills the server at random instants while devices send, and
// expects every event they emitted exactly once in the store.
func TestServerKilledInMidIngest(t *testing.T) {
	s := startServer(t)
	f := startFleet(t, s, 4, nil)
	marker := unique("kill")
	emitted := map[string]int{}
	var mu sync.Mutex
	var stop atomic.Bool
	var wg sync.WaitGroup
	for _, d := range f.Devices() {
		wg.Go(func() {
			n := 0
			for ; !stop.Load(); n += 20 {
				d.Emit(d.Numbered(marker, n, 20)...)
				time.Sleep(25 * time.Millisecond)
			}
			mu.Lock()
			emitted[d.Name()] = n
			mu.Unlock()
		})
	}
	defer stop.Store(true)
	acknowledged := func() (n uint64) {
		for _, d := range f.Devices() {
			n += d.Status().Pushed
		}
		return n
	}
	for i := range kills(t) {
		if i%3 == 2 {
			// In the middle of the recovery from the kill before.
			p := start(t, bin("vedetted"), "serve", "--data-dir", s.dir, "--listen", s.addr, "--rate-limit", "off")
			time.Sleep(rand.N(800 * time.Millisecond))
			p.kill()
		}
		if i > 0 {
			s.start(t)
		}
		before := acknowledged()
		await(t, "acknowledgements", func() error {
			if n := acknowledged(); n < before+20 {
				return fmt.Errorf("%d of 20", n-before)
			}
			return nil
		})
		time.Sleep(rand.N(700 * time.Millisecond))
		s.kill()
	}
	s.start(t)
	stop.Store(true)
	wg.Wait()
	awaitEmptySpools(t, f)
	s.expectOnce(t, f, marker, emitted)
	if state := s.part(t, "telemetry"); state.State != "ok" {
		t.Errorf("after the kills the telemetry store is %+v", state)
	}
	t.Logf("%v events of %d devices over %d kills", emitted, len(f.Devices()), kills(t))
}

// execution is one process that a test started.
type execution struct {
	n          int
	begun, end time.Time
}

// stormUntil starts numbered processes as "marker n" until stop, and notes when.
func stormUntil(marker string, stop *atomic.Bool) (wait func() []execution) {
	var mu sync.Mutex
	var all []execution
	var next atomic.Int64
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return func() []execution { return nil }
	}
	attr := &syscall.ProcAttr{Files: []uintptr{null.Fd(), null.Fd(), null.Fd()}, Env: []string{}}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for !stop.Load() {
				e := execution{n: int(next.Add(1) - 1), begun: time.Now()}
				pid, err := syscall.ForkExec("/bin/true", []string{marker, fmt.Sprint(e.n)}, attr)
				if err != nil {
					continue
				}
				var status syscall.WaitStatus
				for {
					if _, err := syscall.Wait4(pid, &status, 0, nil); err != syscall.EINTR {
						break
					}
				}
				e.end = time.Now()
				mu.Lock()
				all = append(all, e)
				mu.Unlock()
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	return func() []execution {
		wg.Wait()
		null.Close()
		return all
	}
}

// gap is a row of the loss ledger.
type gap struct {
	from, to       time.Time
	lost           int
	source, reason string
}

func (s *server) gaps(t testing.TB) []gap {
	t.Helper()
	var out []gap
	for _, r := range s.hunt(t, "VedetteTelemetryGaps").Results {
		g := gap{lost: int(r["EventsLost"].(float64)), source: fmt.Sprint(r["Source"]), reason: fmt.Sprint(r["Reason"])}
		for name, to := range map[string]*time.Time{"GapStart": &g.from, "GapEnd": &g.to} {
			var err error
			if *to, err = time.Parse(time.RFC3339Nano, fmt.Sprint(r[name])); err != nil {
				t.Fatal(err)
			}
		}
		out = append(out, g)
	}
	return out
}

// expectAccounted waits until each execution is a row, or its time lies in a gap of the
// loss ledger, and expects none twice. It returns how many there are, and the gaps.
func (s *server) expectAccounted(t testing.TB, marker string, all []execution) (int, []gap) {
	t.Helper()
	rows := map[int]int{}
	var gaps []gap
	await(t, "each execution as a row or in a gap", func() error {
		clear(rows)
		// Several queries, because an answer has 10,000 rows at most.
		for part := range 8 {
			q := fmt.Sprintf(`DeviceProcessEvents | where ActionType == "ProcessCreated" and ProcessCommandLine startswith "%s "
				| extend n = toint(split(ProcessCommandLine, " ")[1]) | where n %% 8 == %d | summarize rows = count() by n`, marker, part)
			for _, r := range s.hunt(t, q).Results {
				rows[int(r["n"].(float64))] += int(r["rows"].(float64))
			}
		}
		gaps = s.gaps(t)
		silent := slices.DeleteFunc(slices.Clone(all), func(e execution) bool {
			return rows[e.n] > 0 || slices.ContainsFunc(gaps, func(g gap) bool { return !e.end.Before(g.from) && !e.begun.After(g.to) })
		})
		if len(silent) > 0 {
			return fmt.Errorf("%d of %d executions are lost in silence, the first at %s; %d rows; gaps %v", len(silent), len(all),
				silent[0].begun.UTC().Format(time.RFC3339Nano), len(rows), gaps)
		}
		return nil
	})
	for n, c := range rows {
		if c > 1 {
			t.Errorf("execution %d is there %d times", n, c)
		}
	}
	return len(rows), gaps
}

// TestAgentKilledInMidStorm kills the agent while processes start, and expects each of
// them as one row, or its time in a gap of the loss ledger.
func TestAgentKilledInMidStorm(t *testing.T) {
	s := startServer(t)
	a := startAgent(t, s, "")
	s.onlyDevice(t)
	marker := unique("storm")
	var stop atomic.Bool
	wait := stormUntil(marker, &stop)
	defer wait()
	defer stop.Store(true)
	life := func() { time.Sleep(4*time.Second + rand.N(time.Second)) }
	for range kills(t) {
		life()
		a.kill()
		time.Sleep(rand.N(300 * time.Millisecond))
		a.restart(t)
	}
	life()
	stop.Store(true)
	all := wait()
	begun, end := all[0].begun, time.Now()

	rows, gaps := s.expectAccounted(t, marker, all)
	// The ledger tells little if it calls everything a gap.
	var blind time.Duration // of gaps by the kills
	gaps = slices.DeleteFunc(gaps, func(g gap) bool { return strings.HasPrefix(g.source, "kernel:") })
	slices.SortFunc(gaps, func(a, b gap) int { return a.from.Compare(b.from) })
	for at, i := begun, 0; i < len(gaps); i++ {
		if gaps[i].to.After(at) {
			from := gaps[i].from
			if from.Before(at) {
				from = at
			}
			blind += gaps[i].to.Sub(from)
			at = gaps[i].to
		}
	}
	if span := end.Sub(begun); blind > span*95/100 || rows < len(all)/5 {
		t.Errorf("of %v the ledger calls %v gaps; %d of %d executions were found", span, blind, rows, len(all))
	}
	t.Logf("%d executions over %d kills: %d rows, gaps for %v of %v", len(all), kills(t), rows, blind.Round(time.Millisecond), end.Sub(begun).Round(time.Millisecond))
}

// TestServerDownForAWhile stops the server under a running agent, which says so in words,
// keeps what it sees, and loses none of it.
func TestServerDownForAWhile(t *testing.T) {
	s := startServer(t)
	a := startAgent(t, s, "")
	s.onlyDevice(t)
	s.stop()
	marker := unique("down")
	var stop atomic.Bool
	wait := stormUntil(marker, &stop)
	defer stop.Store(true)
	await(t, "the agent's status to say it", func() error {
		out := command(t, bin("vedette-agent"), "status", "--state-dir", a.state)
		for _, want := range []string{"the server cannot be reached", "everything is kept on this device", "batches waiting"} {
			if !strings.Contains(out, want) {
				return fmt.Errorf("no %q in:\n%s", want, out)
			}
		}
		if strings.Contains(out, " 0 batches waiting") {
			return fmt.Errorf("nothing waits:\n%s", out)
		}
		return nil
	})
	stop.Store(true)
	all := wait()
	s.start(t)
	_, gaps := s.expectAccounted(t, marker, all)
	for _, g := range gaps {
		// A machine that is too busy fills the kernel's ring, whether the server is there or not.
		if !strings.HasPrefix(g.source, "kernel:") {
			t.Errorf("a gap: %v", g)
		}
	}
	await(t, "the agent's status to be calm again", func() error {
		if out := command(t, bin("vedette-agent"), "status", "--state-dir", a.state); !strings.Contains(out, "last contact") || strings.Contains(out, "cannot be reached") {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
}
