package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/indicator"
	"github.com/vedette-edr/vedette/server/store"
)

// BenchmarkFeed is how long reading all indicators at a start takes.
func BenchmarkFeed(b *testing.B) {
	s, err := store.Open(b.Context(), store.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	const tenant, total = ident.TenantID("aaaaaaaa-0000-4000-8000-000000000001"), 200_000
	th := s.Threats()
	d := &indicator.Definition{Name: "d", Severity: indicator.Low, Category: "Malware", Enabled: true}
	if _, err := th.CreateDefinitions(b.Context(), tenant, indicator.DefaultQuota, []*indicator.Definition{d}); err != nil {
		b.Fatal(err)
	}
	for n := 0; n < total/2; n += 5000 {
		var list []*indicator.IOC
		for i := range 5000 {
			list = append(list, &indicator.IOC{Definition: d.ID, Type: indicator.Domain, Value: fmt.Sprintf("h%d.example", n+i), Function: indicator.Equals, Enabled: true})
		}
		if _, err := th.CreateIOCs(b.Context(), tenant, indicator.DefaultQuota, list); err != nil {
			b.Fatal(err)
		}
	}
	for n := 0; n < total/2; n += 500 {
		keys := make([]indicator.Key, 500)
		for i := range keys {
			keys[i].Value = fmt.Sprintf("h%d.example", n+i)
		}
		if _, err := th.PutIndicators(b.Context(), tenant, indicator.DefaultQuota, keys, func(n int, _ *indicator.Indicator) (*indicator.Indicator, error) {
			return &indicator.Indicator{Type: indicator.Domain, Value: keys[n].Value, Action: indicator.Block, Title: "t", Description: "d"}, nil
		}); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	for b.Loop() {
		began, rows := time.Now(), 0
		for since, more := indicator.Revision(0), true; more; {
			p, err := th.Changes(b.Context(), tenant, since, 10_000)
			if err != nil {
				b.Fatal(err)
			}
			since, more, rows = p.Revision, p.More, rows+len(p.Changes)
		}
		b.ReportMetric(float64(rows)/time.Since(began).Seconds(), "rows/s")
	}
}
