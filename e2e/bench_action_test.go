package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/client"
	"github.com/vedette-edr/vedette/fleetsim"
)

// dropRuns is how often BenchmarkActionToDrop isolates.
const dropRuns = 200

// proxied lets this process speak to a server in a network namespace: the same port on
// this host's loopback leads there.
func proxied(t testing.TB, s *server, port int) {
	t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := dial(s.ns, fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				in.Close()
				continue
			}
			go func() { _, _ = io.Copy(out, in); out.Close() }()
			go func() { _, _ = io.Copy(in, out); in.Close() }()
		}
	}()
	p := *s.profile
	for _, u := range []*string{&p.APIURL, &p.TokenURL} {
		parsed, err := url.Parse(*u)
		if err != nil {
			t.Fatal(err)
		}
		parsed.Host = fmt.Sprintf("127.0.0.1:%d", port)
		*u = parsed.String()
	}
	if s.Client, err = client.New(p); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkActionToDrop measures how long it takes from the call of the API that isolates
// a device until its kernel drops what a program of the device sends to another host. Run
// it with -benchtime 1x.
func BenchmarkActionToDrop(b *testing.B) {
	n := newNetwork(b)
	port := freePort(b)
	s := &server{dir: b.TempDir(), addr: fmt.Sprintf("%s:%d", serverV4, port), ns: n.server}
	s.process = start(b, "ip", "netns", "exec", n.server, bin("vedetted"), "serve", "--data-dir", s.dir, "--listen", fmt.Sprintf(":%d", port), "--rate-limit", "off")
	s.awaitProfile(b)
	proxied(b, s, port)
	startAgent(b, s, n.device)
	device := s.onlyDevice(b)
	ctx := context.Background()

	var c net.Conn
	if err := within(n.device, func() (err error) {
		c, err = net.Dial("udp", otherV4+":9")
		return err
	}); err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	dropped := func() bool {
		_, err := c.Write([]byte("x"))
		return errors.Is(err, syscall.EPERM)
	}
	ended := func(id string) {
		await(b, "the action's end", func() error {
			a, err := s.Action(ctx, id)
			if err != nil {
				return err
			}
			if a.Status != "Succeeded" {
				return fmt.Errorf("it is %s: %v", a.Status, a.Trouble)
			}
			return nil
		})
	}
	var all, proven []time.Duration
	for range dropRuns {
		if dropped() {
			b.Fatal("dropped before it was asked for")
		}
		var act *client.Action
		var failed error
		var wg sync.WaitGroup
		begin := time.Now()
		wg.Go(func() {
			act, failed = s.Act(ctx, device.ID, "isolate", map[string]any{"Comment": "benchmark", "IsolationType": "Full"})
		})
		for !dropped() {
			if time.Since(begin) > patience {
				b.Fatalf("nothing is dropped after %s", patience)
			}
			time.Sleep(200 * time.Microsecond)
		}
		all = append(all, time.Since(begin))
		wg.Wait()
		if failed != nil {
			b.Fatal(failed)
		}
		ended(act.ID)
		proven = append(proven, time.Since(begin))
		un, err := s.Act(ctx, device.ID, "unisolate", map[string]any{"Comment": "benchmark"})
		if err != nil {
			b.Fatal(err)
		}
		ended(un.ID)
	}
	report(b, "called_to_dropped", all)
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)*99/100])/1e6, "called_to_dropped_p99_ms")
	report(b, "called_to_verified", proven)
}

// fleetSize is how many devices BenchmarkIsolateFleet isolates at once.
const fleetSize = 1000

// BenchmarkIsolateFleet measures how long it takes from one request that isolates 1,000
// connected devices until every device has carried it out, and until the server knows that
// each has. What the devices keep is in memory: a thousand have a thousand disks, not one.
// Run it with -benchtime 1x.
func BenchmarkIsolateFleet(b *testing.B) {
	s := startServer(b)
	disk := smallDisk(b, 1024)
	f := newFleet(b, s, fleetSize, func(c *fleetsim.Config) { c.Dir = disk })
	ctx := context.Background()
	if err := f.Start(ctx); err != nil {
		b.Fatal(err)
	}
	await(b, "every device to watch", func() error {
		n := 0
		for _, d := range f.Devices() {
			if d.Status().Watching {
				n++
			}
		}
		if n < fleetSize {
			return fmt.Errorf("%d of %d", n, fleetSize)
		}
		return nil
	})
	time.Sleep(5 * time.Second) // the first heartbeats are over
	var ids []string
	for _, d := range f.Devices() {
		ids = append(ids, d.ID())
	}
	count := func(filter string) int {
		raw, _, err := s.Raw(ctx, http.MethodGet, "/api/machineactions/$count?$filter="+url.QueryEscape(filter), nil)
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		if _, err := fmt.Sscan(string(raw), &n); err != nil {
			b.Fatalf("%q: %v", raw, err)
		}
		return n
	}
	begin := time.Now()
	answer, err := s.Bulk(ctx, "Isolate", map[string]any{"Comment": "benchmark", "MachineIds": ids, "ForceSelf": true})
	answered := time.Since(begin)
	if err != nil || answer.Accepted != fleetSize {
		b.Fatalf("%d of %d accepted, %v", answer.Accepted, answer.Machines, err)
	}
	for _, d := range f.Devices() {
		for len(d.Commands()) == 0 {
			if time.Since(begin) > patience {
				b.Fatalf("%s is not isolated after %s", d.Name(), patience)
			}
			time.Sleep(time.Millisecond)
		}
	}
	isolated := time.Since(begin)
	await(b, "the server to know", func() error {
		if n := count("status eq 'Succeeded' and type eq 'Isolate'"); n < fleetSize {
			return fmt.Errorf("%d of %d", n, fleetSize)
		}
		return nil
	})
	known := time.Since(begin)
	b.ReportMetric(answered.Seconds(), "request_s")
	b.ReportMetric(isolated.Seconds(), "isolated_s")
	b.ReportMetric(known.Seconds(), "verified_s")
	b.ReportMetric(0, "ns/op")
}
