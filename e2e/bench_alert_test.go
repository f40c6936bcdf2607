package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/client"
)

// loaded is how many indicators are there before a latency is measured.
const loaded = 100_000

// latencyRuns is how many indicators are created and touched.
const latencyRuns = 200

// BenchmarkAlertLatency measures, with 100,000 indicators loaded, how long it takes from
// posting an indicator until the server matches it, and from the first system call of a
// connection attempt until the alert is in GET /api/alerts. Run it with -benchtime 1x.
func BenchmarkAlertLatency(b *testing.B) {
	s := startServer(b)
	startAgent(b, s, "")
	s.onlyDevice(b)
	ctx := context.Background()
	var def client.Definition
	if err := s.Do(ctx, http.MethodPost, "/V1.0/AlertDefinitions", client.Definition{Name: "latency", Title: "Latency",
		Severity: "Low", Description: "d", Category: "SuspiciousNetworkTraffic", Enabled: true}, &def); err != nil {
		b.Fatal(err)
	}
	bind := fmt.Sprintf("AlertDefinitions(%d)", def.ID)
	began := time.Now()
	for from := 0; from < loaded; from += 5000 {
		iocs := make([]client.IOC, 5000)
		for i := range iocs {
			n := from + i
			iocs[i] = client.IOC{Type: "IpAddress", Value: fmt.Sprintf("198.18.%d.%d", n>>8&255, n&255), Function: "Equals", Enabled: true, Bind: bind}
			if n >= 65536 {
				iocs[i].Type, iocs[i].Value = "Sha256", fmt.Sprintf("%064x", n)
			}
		}
		if err := s.Do(ctx, http.MethodPost, "/V1.0/IndicatorsOfCompromise/Actions.BulkUpload", map[string]any{"iocs": iocs}, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.Logf("%d indicators loaded through the API in %s", loaded, time.Since(began).Round(time.Millisecond))

	var created, alerted []time.Duration
	for i := range latencyRuns {
		addr := fmt.Sprintf("127.1.%d.%d", i>>8, i&255|1)
		if i&1 == 0 {
			addr = fmt.Sprintf("127.2.%d.%d", i>>8, i&255|1)
		}
		start := time.Now()
		// The answer comes after the matcher's overlay shows the indicator.
		if err := s.Do(ctx, http.MethodPost, "/V1.0/IndicatorsOfCompromise", client.IOC{Type: "IpAddress", Value: addr,
			Function: "Equals", Enabled: true, Bind: bind}, nil); err != nil {
			b.Fatal(err)
		}
		created = append(created, time.Since(start))
		start = time.Now()
		if c, err := net.Dial("tcp", addr+":9"); err == nil {
			c.Close()
		}
		await(b, "the alert for "+addr, func() error {
			alerts, err := client.All[client.Alert](ctx, s.Client, "/api/alerts", client.List{Top: 1, Expand: "evidence"})
			if err != nil {
				return err
			}
			for _, a := range alerts {
				for _, e := range a.Evidence {
					if e.IP != nil && *e.IP == addr {
						alerted = append(alerted, time.Since(start))
						return nil
					}
				}
			}
			return fmt.Errorf("not there")
		})
	}
	report(b, "created_to_effective", created)
	report(b, "attempt_to_alert", alerted)
}

// report prints the median, 95th percentile and maximum of a sample in milliseconds.
func report(b *testing.B, name string, sample []time.Duration) {
	slices.Sort(sample)
	at := func(p int) float64 { return float64(sample[(len(sample)-1)*p/100]) / 1e6 }
	b.ReportMetric(at(50), name+"_p50_ms")
	b.ReportMetric(at(95), name+"_p95_ms")
	b.ReportMetric(at(100), name+"_max_ms")
	b.ReportMetric(0, "ns/op")
}
