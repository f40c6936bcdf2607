package tvm_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/vulnerability"
)

// The fleet of BenchmarkFleet: products in three versions each, of which every tenth has
// flaws in the older two.
const (
	benchProducts = 2000
	flawedEvery   = 10
	flawsEach     = 5
)

func benchNumber(b *testing.B, name string, otherwise int) int {
	b.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		b.Fatalf("%s is %q, not a number", name, text)
	}
	return n
}

func benchDevice(n int) ident.DeviceID {
	return ident.DeviceID(fmt.Sprintf("b%039x", uint64(n)*2654435761))
}

func benchSoftware(product, version int) *vulnerability.Software {
	name := fmt.Sprint("package", product)
	return &vulnerability.Software{ID: fmt.Sprintf("deb-_-debian:12-_-%s-_-1.%d-1", name, version), Product: "debian-_-" + name, Vendor: "debian", Name: name,
		Version: fmt.Sprintf("1.%d-1", version), Kind: "deb", Ecosystem: "debian:12", Lookup: name, LookupVersion: fmt.Sprintf("1.%d-1", version)}
}

// stock gives each of the devices packages, most of them those that all have, and makes the flaws.
func (s *site) stock(b *testing.B, devices, packages int) {
	b.Helper()
	ctx, r := context.Background(), rand.New(rand.NewPCG(1, 2))
	v := s.db.Vulnerabilities()
	for at := 0; at < devices; at += 200 {
		check(b, s.db.Atomic(ctx, func(ctx context.Context) error {
			for n := at; n < min(at+200, devices); n++ {
				d := &device.Device{ID: benchDevice(n), Tenant: tenant, Name: fmt.Sprintf("host%06d.example", n), Incarnation: 1, FirstSeen: s.now, LastSeen: s.now,
					Platform: "Linux", Value: device.Normal, Group: int64(n % 20)}
				if err := s.db.Devices().Create(ctx, d); err != nil {
					return err
				}
				c := vulnerability.SoftwareChange{Digest: "00", At: s.now}
				for k := range packages {
					p := k
					if k%5 == 4 {
						p = packages + r.IntN(benchProducts-packages)
					}
					c.Put = append(c.Put, vulnerability.PutSoftware{Key: fmt.Sprint(k), Software: benchSoftware(p, (n+p)%3), Paths: []string{"/usr/bin/x"}})
				}
				if _, err := v.PutSoftware(ctx, tenant, d.ID, c); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	tracker := map[string]any{}
	for p := 0; p < benchProducts; p += flawedEvery {
		flaws := map[string]any{}
		for f := range flawsEach {
			flaws[fmt.Sprintf("CVE-2099-%05d", p*10+f)] = map[string]any{"description": "Made up.", "releases": map[string]any{
				"bookworm": map[string]any{"status": "resolved", "fixed_version": "1.2-1", "urgency": []string{"low", "medium", "high"}[f%3]}}}
		}
		tracker[fmt.Sprint("package", p)] = flaws
	}
	text, err := json.Marshal(tracker)
	check(b, err)
	began := time.Now()
	f := s.ask("all", "POST", "/api/vedette/feeds?file=test.json", string(text), 202)
	for state := any(""); state != "ready"; time.Sleep(100 * time.Millisecond) {
		if state = s.ask("all", "GET", "/api/vedette/feeds/"+f["id"].(string), "", 200)["state"]; state == "failed" {
			b.Fatal("the feed was not read")
		}
	}
	b.Logf("a feed of %d flaws in %v", benchProducts/flawedEvery*flawsEach, time.Since(began).Round(time.Second))
}

// BenchmarkFleet measures the lists of vulnerability management and their exports over
// 100,000 devices with 50 packages each (VEDETTE_BENCH_DEVICES, VEDETTE_BENCH_PACKAGES);
// VEDETTE_BENCH_DIR keeps what was filled in for another run.
func BenchmarkFleet(b *testing.B) {
	devices, packages := benchNumber(b, "VEDETTE_BENCH_DEVICES", 100_000), min(benchNumber(b, "VEDETTE_BENCH_PACKAGES", 50), benchProducts/2)
	dir := os.Getenv("VEDETTE_BENCH_DIR")
	if dir == "" {
		dir = b.TempDir()
	}
	done := filepath.Join(dir, fmt.Sprint("filled-", devices, "-", packages))
	s := newSiteIn(b, dir)
	if _, err := os.Stat(done); err != nil {
		began := time.Now()
		s.stock(b, devices, packages)
		b.Logf("%d devices with %d packages each, in %v", devices, packages, time.Since(began).Round(time.Second))
		check(b, os.WriteFile(done, nil, 0o600))
	}
	one := string(benchDevice(devices / 2))
	get := func(path string) (time.Duration, int) {
		hr := httptest.NewRequest(http.MethodGet, "/api/"+path, nil)
		hr.Header.Set("Authorization", "Bearer all")
		w := httptest.NewRecorder()
		began := time.Now()
		s.ServeHTTP(w, hr)
		if w.Code != http.StatusOK {
			b.Fatalf("%s: %d %.300s", path, w.Code, w.Body)
		}
		return time.Since(began), w.Body.Len()
	}
	var worst time.Duration
	for b.Loop() {
		for _, path := range []string{
			"Software?$top=100", "Software?$top=100&$filter=name%20eq%20'package10'", "Software?$top=100&$filter=exposedMachines%20gt%20100", "Software/debian-_-package10",
			"Software/debian-_-package10/distributions", "Software/debian-_-package10/machineReferences?$top=100", "Software/debian-_-package10/vulnerabilities",
			"vulnerabilities?$top=100", "vulnerabilities?$top=100&$filter=severity%20eq%20'High'", "vulnerabilities?$top=100&$filter=exposedMachines%20gt%20100",
			"vulnerabilities/CVE-2099-00100", "vulnerabilities/CVE-2099-00100/machineReferences?$top=100", "vulnerabilities/machinesVulnerabilities?$top=100",
			"vulnerabilities/machinesVulnerabilities?$top=100&$filter=machineId%20eq%20'" + one + "'", "vulnerabilities/machinesVulnerabilities?$top=100&$filter=cveId%20eq%20'CVE-2099-00100'",
			"vulnerabilities/machinesVulnerabilities?$top=100&$filter=severity%20eq%20'Critical'",
			"recommendations?$top=100", "recommendations/va-_-debian-_-package10", "recommendations/va-_-debian-_-package10/machineReferences?$top=100",
			"machines/" + one + "/software", "machines/" + one + "/vulnerabilities", "machines/" + one + "/recommendations",
			"exposureScore", "exposureScore/ByMachineGroups", "configurationScore", "deviceavinfo?$top=20",
			"machines/SoftwareInventoryByMachine?pageSize=10000", "machines/SoftwareVulnerabilitiesByMachine?pageSize=10000", "machines/SoftwareInventoryExport",
		} {
			var took []time.Duration
			size := 0
			for range 3 {
				var t time.Duration
				t, size = get(path)
				took = append(took, t)
				if t > 20*time.Second {
					break
				}
			}
			b.Logf("first %8.0f ms  least %8.0f ms  %9d bytes  GET /api/%s", took[0].Seconds()*1e3, slices.Min(took).Seconds()*1e3, size, path)
			if path != "machines/SoftwareInventoryExport" {
				worst = max(worst, slices.Min(took))
			}
		}
		began := time.Now()
		d, err := s.devices.Get(context.Background(), tenant, benchDevice(1))
		check(b, err)
		for n := range 20 {
			s.report(d.ID, "software", pkg("deb", "package10", fmt.Sprintf("1.%d-1", n%3), "package10", fmt.Sprintf("1.%d-1", n%3), "debian:12"))
		}
		b.ReportMetric(float64(time.Since(began).Milliseconds())/20, "report-ms")
	}
	b.ReportMetric(worst.Seconds()*1e3, "slowest-ms")
	b.ReportMetric(0, "ns/op")
}
