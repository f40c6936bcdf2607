package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/client"
)

// million is how many indicators BenchmarkMillionIndicators loads: half of them IOCs of the custom
// threat-intelligence API, half indicators of the current one.
const million = 1_000_000

// BenchmarkMillionIndicators loads a million indicators into the real server through its API and
// measures what they take of its memory, how long calls take until what they brought is in
// force, alone and beside an import, and how long a restart takes. $VEDETTE_INDICATORS is another
// number. Run it with -benchtime 1x.
func BenchmarkMillionIndicators(b *testing.B) {
	total := million
	if v := os.Getenv("VEDETTE_INDICATORS"); v != "" {
		var err error
		if total, err = strconv.Atoi(v); err != nil {
			b.Fatal(err)
		}
	}
	s := startServer(b)
	ctx := context.Background()
	var def client.Definition
	if err := s.Do(ctx, http.MethodPost, "/V1.0/AlertDefinitions", client.Definition{Name: "million", Title: "Million",
		Severity: "Low", Description: "d", Category: "SuspiciousNetworkTraffic", Enabled: true}, &def); err != nil {
		b.Fatal(err)
	}
	empty := s.memory(b)
	next := 0
	took := func(what string, f func()) time.Duration {
		began := time.Now()
		f()
		d := time.Since(began)
		if d > 5*time.Second {
			b.Logf("%s took %v with %d loaded", what, d, next)
		}
		return d
	}
	bulk := func() time.Duration {
		iocs := make([]client.IOC, 5000)
		for i := range iocs {
			next++
			iocs[i] = client.IOC{Function: "Equals", Enabled: true, Bind: fmt.Sprintf("AlertDefinitions(%d)", def.ID)}
			iocs[i].Type, iocs[i].Value = observable(next)
		}
		return took("a bulk upload", func() {
			if err := s.Do(ctx, http.MethodPost, "/V1.0/IndicatorsOfCompromise/Actions.BulkUpload", map[string]any{"iocs": iocs}, nil); err != nil {
				b.Fatal(err)
			}
		})
	}
	imported := func() time.Duration {
		list := make([]client.Indicator, 500)
		for i := range list {
			next++
			list[i] = client.Indicator{Action: "Alert", Title: "Million", Description: "d", Severity: "Low", GenerateAlert: true}
			list[i].Type, list[i].Value = observable(next)
			if list[i].Type == "Sha256" {
				list[i].Type = "FileSha256"
			}
		}
		return took("an import", func() {
			if err := s.Do(ctx, http.MethodPost, "/api/indicators/import", map[string]any{"Indicators": list}, nil); err != nil {
				b.Fatal(err)
			}
		})
	}
	began := time.Now()
	for next < total/2 {
		bulk()
	}
	for next < total-50_000 {
		imported()
	}
	b.Logf("%d indicators loaded through the API in %v", next, time.Since(began).Round(time.Second))
	// The last ones are measured; the answer comes after the matcher shows what was sent.
	var uploads, imports, single, beside []time.Duration
	for range 8 {
		uploads = append(uploads, bulk())
	}
	for range 20 {
		imports = append(imports, imported())
	}
	one := func(n int) time.Duration {
		began := time.Now()
		if err := s.Do(ctx, http.MethodPost, "/api/indicators", client.Indicator{Type: "IpAddress", Value: fmt.Sprintf("198.18.%d.%d", n>>8, n&255),
			Action: "Alert", Title: "t", Description: "d", Severity: "Low"}, nil); err != nil {
			b.Fatal(err)
		}
		return time.Since(began)
	}
	for n := range 100 {
		single = append(single, one(n))
	}
	for n := range 20 {
		done := make(chan struct{})
		go func() { // the clients' counters are not shared: one upload at a time
			defer close(done)
			bulk()
		}()
		for range 3 {
			beside = append(beside, one(1000+3*n+len(beside)%3))
		}
		<-done
	}
	full := s.memory(b)
	b.Logf("server, empty: %v", empty)
	b.Logf("server, %d indicators just loaded: %v", next, full)
	s.kill()
	began = time.Now()
	s.start(b)
	ready := time.Since(began)
	await(b, "an indicator of before the restart", func() error {
		var x struct{ Value []client.Indicator }
		return s.Do(ctx, http.MethodGet, "/api/indicators?$top=1", nil, &x)
	})
	again := s.memory(b)
	b.Logf("server, after a restart of %v: %v", ready.Round(10*time.Millisecond), again)
	time.Sleep(time.Minute) // the collector gives back what loading took
	rested := s.memory(b)
	b.Logf("server, a minute later: %v", rested)
	report(b, "upload_5000", uploads)
	report(b, "import_500", imports)
	report(b, "single", single)
	report(b, "single_beside_upload", beside)
	b.ReportMetric(ready.Seconds(), "restart_s")
	b.ReportMetric(float64(again.heap>>20), "heap_MB")
	b.ReportMetric(float64(rested.resident>>20), "rss_MB")
}

// observable is the n-th value: an address, a name or two digests.
func observable(n int) (kind, value string) {
	switch n % 4 {
	case 0:
		return "IpAddress", fmt.Sprintf("45.%d.%d.%d", n>>16&255, n>>8&255, n&255)
	case 1:
		return "DomainName", fmt.Sprintf("host-%d.malware.example", n)
	}
	return "Sha256", fmt.Sprintf("%064x", n)
}

// memory is what a server takes, in bytes.
type memory struct{ resident, heap, inUse int64 }

func (m memory) String() string {
	return fmt.Sprintf("%d MB resident, %d MB of live and dead objects, %d MB of heap spans", m.resident>>20, m.heap>>20, m.inUse>>20)
}

func (s *server) memory(t testing.TB) memory {
	t.Helper()
	var m memory
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			m.resident = kb << 10
		}
	}
	m.heap, m.inUse = int64(s.metric(t, "go_memstats_heap_alloc_bytes")), int64(s.metric(t, "go_memstats_heap_inuse_bytes"))
	return m
}
