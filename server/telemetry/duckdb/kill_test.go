package duckdb

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"
)

// The victim's devices, and the events of each batch.
const (
	killDevices = 8
	killEvents  = 20
)

// killConfig merges all the time: to its clock every segment is days old.
func killConfig(dir string) Config {
	cfg := testConfig(dir)
	cfg.Clock = func() time.Time { return time.Now().Add(48 * time.Hour) }
	cfg.CutEvery = 20 * time.Millisecond
	cfg.MergeEvery = 100 * time.Millisecond
	return cfg
}

// ingestForever is the victim: it appends for each device from the given sequence on, and
// says on its standard output what was acknowledged.
func ingestForever(dir, from string) {
	var next []uint64
	if err := json.Unmarshal([]byte(from), &next); err != nil {
		panic(err)
	}
	s, err := Open(killConfig(dir))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var mu sync.Mutex
	for device := range killDevices {
		go func() {
			for seq := next[device]; ; seq++ {
				// The second one is a device that did not hear the acknowledgement.
				for range 2 {
					if _, err := s.Append(context.Background(), makeBatch(tenantA, device, seq, killEvents)); err != nil {
						fmt.Fprintln(os.Stderr, err)
						os.Exit(1)
					}
				}
				mu.Lock()
				fmt.Printf("%d %d\n", device, seq)
				mu.Unlock()
			}
		}()
	}
	select {}
}

// TestKill kills an ingesting process at random instants, and counts afterwards: every
// acknowledged event must be there exactly once. VEDETTE_KILLS sets how often.
func TestKill(t *testing.T) {
	kills := 10
	if n, err := strconv.Atoi(os.Getenv("VEDETTE_KILLS")); err == nil {
		kills = n
	}
	dir := t.TempDir()
	acked := make([]uint64, killDevices)
	for round := range kills {
		next := make([]uint64, killDevices)
		for i := range next {
			next[i] = acked[i] + 1
		}
		from, _ := json.Marshal(next)
		cmd := exec.Command(os.Args[0], "ingest", dir, string(from))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var once sync.Once
		time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
		heard := 0
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			var device int
			var seq uint64
			if n, err := fmt.Sscanf(lines.Text(), "%d %d", &device, &seq); n == 2 && err == nil {
				acked[device] = seq
				heard++
			}
			// Counted from the first acknowledgement, so that each life does something.
			once.Do(func() {
				time.AfterFunc(time.Duration(rand.IntN(500))*time.Millisecond, func() { _ = cmd.Process.Kill() })
			})
		}
		_ = cmd.Wait()
		if heard == 0 {
			t.Fatalf("life %d acknowledged nothing", round)
		}
	}
	cfg := testConfig(dir)
	s := openStore(t, cfg)
	cutAll(t, s)
	if d := s.Status().Degraded; d != "" {
		t.Errorf("degraded: %s", d)
	}
	rows := ask(t, s, tenantA, "DeviceProcessEvents", "string long long",
		`SELECT DeviceId, count(*), count(DISTINCT ProcessCommandLine) FROM %s GROUP BY 1`)
	total := int64(0)
	for _, row := range rows {
		id, count, distinct := row[0].S, row[1].I, row[2].I
		if count != distinct {
			t.Errorf("device %s: %d events, %d of them distinct: some are doubled", id, count, distinct)
		}
		total += count
	}
	lost := 0
	kept := map[string]int64{}
	for _, row := range ask(t, s, tenantA, "DeviceProcessEvents", "string long",
		`SELECT regexp_extract(ProcessCommandLine, 'cmd ([0-9]+ [0-9]+) ', 1), count(*) FROM %s GROUP BY 1`) {
		kept[row[0].S] = row[1].I
	}
	ackedEvents := int64(0)
	for device, last := range acked {
		for seq := uint64(1); seq <= last; seq++ {
			ackedEvents += killEvents
			if kept[fmt.Sprintf("%d %d", device, seq)] != killEvents {
				lost++
			}
		}
	}
	if lost > 0 {
		t.Errorf("%d acknowledged batches are not whole", lost)
	}
	t.Logf("%d kills, %d events acknowledged, %d kept, %d segments", kills, ackedEvents, total, s.Status().Segments)
}
