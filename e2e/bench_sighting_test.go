package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vedette-edr/vedette/schema/event"
)

// sightingRows is how many rows BenchmarkSightings looks through, VEDETTE_ROWS or a million.
func sightingRows(b *testing.B) int {
	v := os.Getenv("VEDETTE_ROWS")
	if v == "" {
		return 1_000_000
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 10_000 || n%4000 != 0 {
		b.Fatalf("VEDETTE_ROWS is %q, not a multiple of 4000 from 12000", v)
	}
	return n
}

// sightingDevices is how many devices saw them.
const sightingDevices = 100

// Common things are in every tenth row of their kind, rare ones in a few rows of few devices.
const (
	commonFile, rareFile = 7, 1_000_000
	commonIP, rareIP     = "203.0.113.7", "203.0.113.250"
	commonName, rareName = "cdn7.example", "rare.example"
	commonUser, rareUser = "user7", "rarely"
)

// seenRows makes the rows from..to-1 of what all devices saw, spread over twenty days.
func seenRows(from, to, all int, now time.Time) []*event.Event {
	image := func(n int) event.File {
		return event.File{Name: fmt.Sprint("tool", n), Path: fmt.Sprint("/usr/bin/tool", n), SHA1: fmt.Sprintf("%040x", n), SHA256: fmt.Sprintf("%064x", n), MD5: fmt.Sprintf("%032x", n), Size: int64(n)}
	}
	parent := &event.Process{Key: 1, PID: 7, Start: now, CommandLine: "/bin/sh -c run", Image: image(3), Account: event.Account{Name: "svc"}}
	var out []*event.Event
	for k := from; k < to; k++ {
		e := &event.Event{Time: now.Add(-20 * 24 * time.Hour * time.Duration(all-k) / time.Duration(all)), Initiating: parent}
		rare := k%(all/4) == 2 || k%(all/4) == 5
		switch k % 10 {
		case 0, 1, 2, 3:
			n := k / 10 % 1000
			if n%10 == 0 {
				n = commonFile
			}
			if rare {
				n = rareFile
			}
			e.Table, e.Action = event.ProcessEvents, "ProcessCreated"
			e.Process = &event.Process{Key: uint64(k), PID: uint32(k%5000 + 2), Start: e.Time, CommandLine: fmt.Sprint("tool --id ", k), Image: image(n), Account: event.Account{Name: "svc"}}
		case 4, 5, 6, 7:
			ip, name := fmt.Sprintf("198.51.%d.%d", k/1000%200, k/10%250), fmt.Sprintf("cdn%d.example", k/10%1000)
			if k/10%10 == 0 {
				ip, name = commonIP, commonName
			}
			if rare {
				ip, name = rareIP, rareName
			}
			e.Table, e.Action = event.NetworkEvents, "ConnectionSuccess"
			e.Network = &event.Network{RemoteIP: ip, RemotePort: 443, RemoteURL: name, LocalIP: "192.0.2.1", LocalPort: 40000, Protocol: "Tcp"}
		case 8:
			f := image(k / 10 % 500)
			e.Table, e.Action, e.File = event.FileEvents, "FileCreated", &f
		default:
			user := fmt.Sprint("user", k/10%300)
			if k/10%10 == 0 {
				user = commonUser
			}
			if k < 100 {
				user = rareUser
			}
			e.Table, e.Action = event.LogonEvents, "LogonSuccess"
			e.Account, e.Logon = &event.Account{Name: user, Domain: "host"}, &event.Logon{Type: "Network", ID: uint64(k), RemoteIP: "192.0.2.9"}
		}
		out = append(out, e)
	}
	return out
}

// BenchmarkSightings asks a real server which devices saw a thing, over a million rows of a
// hundred devices that came in as from agents: common things that every device saw and rare
// ones, with the statistics, the machines and their number. It reports the slowest answer.
// Run it with -benchtime 1x.
func BenchmarkSightings(b *testing.B) {
	all := sightingRows(b)
	s := startServer(b)
	f := newFleet(b, s, sightingDevices, nil)
	ctx, now := context.Background(), time.Now()
	began := time.Now()
	var group errgroup.Group
	group.SetLimit(4)
	const chunk = 2000
	share := all / sightingDevices
	for i, d := range f.Devices() {
		group.Go(func() error {
			for at := i * share; at < (i+1)*share; at += chunk {
				if err := d.Push(ctx, seenRows(at, min(at+chunk, (i+1)*share), all, now)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	s.huntUntil(b, "every row", "union DeviceProcessEvents, DeviceNetworkEvents, DeviceFileEvents, DeviceLogonEvents | count", func(rows []map[string]any) bool {
		return rows[0]["Count"].(float64) >= float64(share*sightingDevices)
	})
	b.Logf("%d rows of %d devices came in within %v", share*sightingDevices, sightingDevices, time.Since(began).Round(time.Second))
	var slowest time.Duration
	for b.Loop() {
		for _, path := range []string{
			fmt.Sprintf("files/%040x/stats", commonFile), fmt.Sprintf("files/%064x/stats", commonFile), fmt.Sprintf("files/%040x/stats", rareFile),
			fmt.Sprintf("files/%040x", commonFile), fmt.Sprintf("files/%040x/machines", commonFile), fmt.Sprintf("files/%040x/machines/$count", rareFile),
			"ips/" + commonIP + "/stats", "ips/" + rareIP + "/stats", "ips/" + commonIP + "/machines", "ips/" + rareIP,
			"domains/" + commonName + "/stats", "domains/" + rareName + "/stats", "domains/" + commonName + "/machines", "domains/" + rareName,
			"users/" + commonUser, "users/" + commonUser + "/machines", "users/" + rareUser + "/machines", "users/" + rareUser + "/machines/$count",
		} {
			var took []time.Duration
			for range 10 {
				began := time.Now()
				var answer any
				if err := s.Do(ctx, http.MethodGet, "/api/"+path, nil, &answer); err != nil {
					b.Fatalf("%s: %v", path, err)
				}
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			p50, worst := took[len(took)/2], took[len(took)-1]
			slowest = max(slowest, worst)
			b.Logf("p50 %6.0f ms  max %6.0f ms  GET /api/%s", p50.Seconds()*1e3, worst.Seconds()*1e3, path)
		}
	}
	b.ReportMetric(slowest.Seconds()*1e3, "slowest-ms")
	b.ReportMetric(0, "ns/op")
}
