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

	"golang.org/x/net/dns/dnsmessage"

	"github.com/vedette-edr/vedette/client"
)

// BenchmarkBlockLatency measures, with 100,000 enforcing indicators of addresses, domains
// and files on the device, how long it takes from posting a block of an address, a domain
// or a file until the device's kernel refuses it. Run it with -benchtime 1x.
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
			switch n % 3 {
			case 0:
				batch[i] = block(fmt.Sprintf("198.%d.%d.%d", 18+n>>16, n>>8&255, n&255))
			case 1:
				batch[i] = block("")
				batch[i].Type, batch[i].Value = "DomainName", fmt.Sprintf("loaded%d.example", n)
			default:
				batch[i] = block("")
				batch[i].Type, batch[i].Value = "FileSha256", fmt.Sprintf("%064x", n+1)
			}
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

	// Each refusal is tried in the way that a program would meet it.
	measure := func(name string, prepare func(i int) (client.Indicator, func() bool)) {
		var all []time.Duration
		for i := range latencyRuns / 4 {
			ind, refused := prepare(i)
			start := time.Now()
			if err := s.Do(ctx, http.MethodPost, "/api/indicators", ind, nil); err != nil {
				b.Fatal(err)
			}
			for !refused() {
				if time.Since(start) > patience {
					b.Fatalf("%s is not refused after %s", ind.Value, patience)
				}
				time.Sleep(time.Millisecond)
			}
			all = append(all, time.Since(start))
		}
		report(b, name, all)
	}
	dns, err := net.ListenPacket("udp", "127.4.4.4:53")
	if err != nil {
		b.Fatal(err)
	}
	defer dns.Close() // it never answers: what is measured is whether the question is sent
	measure("domain_posted_to_refused", func(i int) (client.Indicator, func() bool) {
		ind := block("")
		ind.Type, ind.Value = "DomainName", fmt.Sprintf("%s.test", unique("d"))
		q := dnsmessage.Message{Header: dnsmessage.Header{ID: uint16(i), RecursionDesired: true}, Questions: []dnsmessage.Question{
			{Name: dnsmessage.MustNewName("www." + ind.Value + "."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}}
		raw, err := q.Pack()
		if err != nil {
			b.Fatal(err)
		}
		c, err := net.Dial("udp", "127.4.4.4:53")
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { c.Close() })
		return ind, func() bool {
			_, err := c.Write(raw)
			return errors.Is(err, syscall.EPERM)
		}
	})
	dir := b.TempDir()
	measure("file_posted_to_refused", func(int) (client.Indicator, func() bool) {
		path, sum := uniqueProgram(b, dir, "true")
		ind := block("")
		ind.Type, ind.Value = "FileSha256", sum
		return ind, func() bool { return refusedToRun(path) == nil }
	})
}
