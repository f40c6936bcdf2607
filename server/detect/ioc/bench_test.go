package ioc

import (
	"context"
	"crypto/sha1"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/indicator"
	"github.com/vedette-edr/vedette/server/telemetry"
)

// load fills a rig with n IOCs of all types, in pages as at the start of a server.
func load(t testing.TB, n int) *rig {
	r := newRig(t)
	const page = 10_000
	for from := 0; from < n; from += page {
		p := &indicator.Page{More: from+page < n}
		for i := from; i < min(n, from+page); i++ {
			p.Changes = append(p.Changes, indicator.Change{Noun: indicator.AnIOC, ID: int64(i + 1), IOC: nth(i)})
		}
		if err := r.m.Apply(context.Background(), acme, p); err != nil {
			t.Fatal(err)
		}
	}
	r.m.Close()
	return r
}

func nth(i int) *indicator.IOC {
	c := &indicator.IOC{Definition: 1, Function: indicator.Equals, Enabled: true}
	switch i % 4 {
	case 0:
		c.Type, c.Value = indicator.IPAddress, fmt.Sprintf("45.%d.%d.%d", i>>16&255, i>>8&255, i&255)
	case 1:
		c.Type, c.Value = indicator.Domain, fmt.Sprintf("host-%d.malware.test", i)
	default:
		c.Type, c.Value = indicator.SHA1, fmt.Sprintf("%x", sha1.Sum([]byte{byte(i), byte(i >> 8), byte(i >> 16)}))
	}
	return c
}

// events is a batch of 500 as devices send them: few processes, no hits.
func events() *telemetry.Batch {
	b := &telemetry.Batch{Tenant: acme, Device: "d", Sequence: 1}
	for i := range 500 {
		p := curl(uint64(i / 10))
		switch i % 3 {
		case 0:
			b.Events = append(b.Events, connect("ConnectionSuccess", fmt.Sprintf("203.0.113.%d", i%250), fmt.Sprintf("www%d.example.test", i), p, start))
		case 1:
			b.Events = append(b.Events, &event.Event{Action: "ProcessCreated", Time: start, Process: curl(uint64(i)), Initiating: p})
		case 2:
			b.Events = append(b.Events, &event.Event{Action: "DnsQueryResponse", Time: start, Initiating: p, Additional: fmt.Sprintf(`{"DnsQueryType":"A","DnsQueryString":"www%d.example.test","DnsQueryResult":"[]"}`, i)})
		}
	}
	return b
}

// BenchmarkMatch is the cost of examining one event that hits nothing.
func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprintf("loaded=%d", n), func(b *testing.B) {
			r := load(b, n)
			batch := events()
			b.ReportAllocs()
			b.ResetTimer()
			for b.Loop() {
				if as := r.match(batch); len(as) != 0 {
					b.Fatalf("%d hits", len(as))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(batch.Events)), "ns/event")
		})
	}
}

// BenchmarkInsert is the time from Apply to a hit, with rows loaded.
func BenchmarkInsert(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprintf("loaded=%d", n), func(b *testing.B) {
			r := load(b, n)
			p := curl(1)
			var worst time.Duration
			i := 0
			for b.Loop() {
				i++
				began := time.Now()
				r.ioc(int64(n+i), indicator.IPAddress, indicator.Equals, fmt.Sprintf("46.%d.%d.%d", i>>16&255, i>>8&255, i&255))
				p.Key = uint64(i)
				if len(r.match(r.batch(connect("a", fmt.Sprintf("46.%d.%d.%d", i>>16&255, i>>8&255, i&255), "", p, start)))) != 1 {
					b.Fatal("not visible")
				}
				worst = max(worst, time.Since(began))
			}
			b.ReportMetric(float64(worst.Microseconds()), "µs-worst")
		})
	}
}

// TestMemoryOfAMillion loads a million IOCs and checks what they take, against the budget
// of 300 MB.
func TestMemoryOfAMillion(t *testing.T) {
	if testing.Short() {
		t.Skip("loads a million rows")
	}
	const n = 1_000_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	r := load(t, n)
	took := time.Since(began)
	runtime.GC()
	runtime.ReadMemStats(&after)
	used := after.HeapAlloc - before.HeapAlloc
	t.Logf("%d rows: loaded in %v with %d merges, %d MB, %d bytes a row", n, took.Round(time.Millisecond), r.m.Stats().Merges, used>>20, used/n)
	if used > 200<<20 {
		t.Errorf("%d MB for %d rows", used>>20, n)
	}
	hit := r.match(r.batch(connect("a", "", "host-999997.malware.test", curl(1), start)))
	if sources(hit) != "ioc/999998" {
		t.Errorf("hit %q", sources(hit))
	}
	runtime.KeepAlive(r)
}
