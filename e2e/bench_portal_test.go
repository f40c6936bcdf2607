package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/client"
	"github.com/vedette-edr/vedette/schema/event"
)

// What BenchmarkPortal shows a browser.
const (
	timelineEvents  = 1_000_000
	timelineBatch   = 2000
	timelineSpan    = 6 * 24 * time.Hour
	incidentDevices = 100
)

// BenchmarkPortal holds the portal to its budgets: the first page, rows of a hunt, the timeline
// of a device with a million events, the graph of an incident with 500 things. VEDETTE_EVENTS
// is another number of events; VEDETTE_BENCH_DIR is a directory that keeps what was filled in
// for another run. Run it with -benchtime 1x.
func BenchmarkPortal(b *testing.B) {
	events := timelineEvents
	if n, err := strconv.Atoi(os.Getenv("VEDETTE_EVENTS")); err == nil {
		events = n
	}
	s := &server{dir: os.Getenv("VEDETTE_BENCH_DIR"), addr: fmt.Sprintf("127.0.0.1:%d", freePort(b))}
	if s.dir == "" {
		s.dir = b.TempDir()
	}
	s.start(b)
	what := &benched{}
	kept := filepath.Join(s.dir, "benched.json")
	if raw, err := os.ReadFile(kept); err == nil {
		if err := json.Unmarshal(raw, what); err != nil {
			b.Fatal(err)
		}
	} else {
		begin := time.Now()
		what.Device = loadTimeline(b, s, events)
		b.Logf("%d events of one device took %v", events, time.Since(begin).Round(time.Second))
		what.Incident = loadIncident(b, s)
		raw, err := json.Marshal(what)
		if err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(kept, raw, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	journey(b, "", "https://"+s.addr, s.profile, "budget", "TIMES=1", "HUNTS=1", "DEVICE="+what.Device, fmt.Sprint("INCIDENT=", what.Incident))
	b.ReportMetric(0, "ns/op")
}

// benched is what BenchmarkPortal loaded into a server.
type benched struct {
	Device   string `json:"device"`
	Incident int64  `json:"incident"`
}

// loadTimeline gives a device a number of events over the last days and returns its id once
// they can be hunted.
func loadTimeline(b testing.TB, s *server, events int) string {
	first := time.Now().Add(-timelineSpan)
	return loadEvents(b, s, events, func(n int, e *event.Event) {
		e.Time = first.Add(timelineSpan / time.Duration(events) * time.Duration(n))
	})
}

// loadEvents gives a device a number of executions, each as set leaves it, and returns its id
// once they can be hunted. set gives each its time, no earlier than that of the one before.
func loadEvents(t testing.TB, s *server, events int, set func(n int, e *event.Event)) string {
	t.Helper()
	d := newFleet(t, s, 1, nil).Devices()[0]
	for done := 0; done < events; done += timelineBatch {
		batch := d.Execs(min(timelineBatch, events-done))
		began := batch[0].Time
		for i, e := range batch {
			set(done+i, e)
		}
		// Processes began as long before the batch as they did.
		moved := map[*event.Process]bool{}
		for _, e := range batch {
			for _, p := range []*event.Process{e.Initiating, e.Process} {
				if p != nil && !moved[p] {
					moved[p] = true
					p.Start, p.Parent.Start = batch[0].Time.Add(p.Start.Sub(began)), batch[0].Time.Add(p.Parent.Start.Sub(began))
				}
			}
		}
		if err := d.Push(context.Background(), batch); err != nil {
			t.Fatal(err)
		}
	}
	s.huntUntil(t, "the events", fmt.Sprintf(`DeviceProcessEvents | where DeviceId == "%s" | summarize N = count()`, d.ID()), func(rows []map[string]any) bool {
		return len(rows) == 1 && rows[0]["N"].(float64) >= float64(events)
	})
	return d.ID()
}

// loadIncident lets many devices talk to one bad address, by three programs each, and
// returns the incident that they are in.
func loadIncident(b *testing.B, s *server) int64 {
	const bad = "203.0.113.77"
	ctx := context.Background()
	if err := s.Do(ctx, "POST", "/api/indicators", map[string]any{"indicatorType": "IpAddress", "indicatorValue": bad, "action": "Audit",
		"generateAlert": true, "severity": "High", "title": "Known bad address", "description": "It is bad.", "recommendedActions": "None."}, nil); err != nil {
		b.Fatal(err)
	}
	f := newFleet(b, s, incidentDevices, nil)
	for i, d := range f.Devices() {
		var events []*event.Event
		for n := range 3 {
			e := d.Connect(bad, 443)
			p := *e.Initiating
			p.Key, p.PID = uint64(1000*i+n+1), uint32(4000+n)
			p.Image.Name, p.Image.Path = fmt.Sprintf("tool-%d", n), fmt.Sprintf("/opt/tools/tool-%d", n)
			p.CommandLine = fmt.Sprintf("%s --device %d", p.Image.Path, i)
			p.Account = event.Account{Name: fmt.Sprintf("user%d", i), Domain: "corp.example", SID: fmt.Sprint(2000 + i)}
			e.Initiating = &p
			events = append(events, e)
		}
		if err := d.Push(ctx, events); err != nil {
			b.Fatal(err)
		}
	}
	var id int64
	await(b, "the incident", func() error {
		alerts, err := client.All[client.Alert](ctx, s.Client, "/api/alerts", client.List{})
		if err != nil || len(alerts) < incidentDevices {
			return fmt.Errorf("%d alerts, %v", len(alerts), err)
		}
		count := map[int64]int{}
		for _, a := range alerts {
			if a.IncidentID != nil {
				count[*a.IncidentID]++
			}
		}
		for i, n := range count {
			if n > count[id] {
				id = i
			}
		}
		if count[id] < incidentDevices {
			return fmt.Errorf("the largest incident has %d alerts: %v", count[id], count)
		}
		return nil
	})
	return id
}
