package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/client"
)

// BenchmarkBlockLatency measures, with 100,000 enforcing indicators on the device, how long
// it takes from posting a block of an address until the device's kernel refuses it. Run it
// with -benchtime 1x.
func BenchmarkBlockLatency(b *testing.B) {
	s := startServer(b)
	startAgent(b, s, "")
	s.onlyDevice(b)
	ctx := context.Background()
	block := func(address string) client.Indicator {
		return client.Indicator{Value: address, Type: "IpAddress", Action: "Block", Title: "latency", Description: "of blocking", Severity: "Low"}
	}
	for from := 0; from < loaded; from += 500 {
		batch := make([]client.Indicator, 500)
		for i := range batch {
			n := from + i
			batch[i] = block(fmt.Sprintf("198.%d.%d.%d", 18+n>>16, n>>8&255, n&255))
		}
		if err := s.Do(ctx, http.MethodPost, "/api/indicators/import", map[string]any{"Indicators": batch}, nil); err != nil {
			b.Fatal(err)
		}
	}
	refused := func(address string) error {
		c, err := net.DialTimeout("tcp", address+":9", time.Second)
		if err == nil {
			c.Close()
		}
		if !errors.Is(err, syscall.EPERM) {
			return fmt.Errorf("not refused: %v", err)
		}
		return nil
	}
	if err := s.Do(ctx, http.MethodPost, "/api/indicators", block("127.3.255.255"), nil); err != nil {
		b.Fatal(err)
	}
	await(b, "the loaded indicators on the device", func() error { return refused("127.3.255.255") })
	var effective []time.Duration
	for i := range latencyRuns {
		address := fmt.Sprintf("127.3.%d.%d", i>>8, i&255)
		start := time.Now()
		if err := s.Do(ctx, http.MethodPost, "/api/indicators", block(address), nil); err != nil {
			b.Fatal(err)
		}
		for refused(address) != nil {
			if time.Since(start) > patience {
				b.Fatalf("%s is not refused after %s", address, patience)
			}
			time.Sleep(time.Millisecond)
		}
		effective = append(effective, time.Since(start))
	}
	report(b, "posted_to_refused", effective)
}
