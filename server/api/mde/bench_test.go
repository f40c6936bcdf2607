package mde_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/mde"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/store"
)

const benchTenant = ident.TenantID("00000000-0000-4000-8000-000000000001")

// fleet is a store with many alerts and devices.
type fleet struct {
	alerts, devices int
	db              *store.Store
}

// openFleet fills a store; VEDETTE_BENCH_DIR keeps it for another run, VEDETTE_BENCH_ALERTS
// is the number of alerts, and VEDETTE_BENCH_DEVICES that of devices, else a tenth of it.
func openFleet(b *testing.B) *fleet {
	f := &fleet{alerts: 1_000_000}
	if n, err := strconv.Atoi(os.Getenv("VEDETTE_BENCH_ALERTS")); err == nil {
		f.alerts = n
	}
	f.devices = f.alerts / 10
	if n, err := strconv.Atoi(os.Getenv("VEDETTE_BENCH_DEVICES")); err == nil {
		f.devices = n
	}
	dir := os.Getenv("VEDETTE_BENCH_DIR")
	if dir == "" {
		dir = b.TempDir()
	}
	done := filepath.Join(dir, fmt.Sprint("filled-", f.alerts, "-", f.devices))
	_, missing := os.Stat(done)
	var err error
	if f.db, err = store.Open(b.Context(), store.Config{Dir: dir}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.db.Close() })
	if missing == nil {
		return f
	}
	began := time.Now()
	f.fill(b)
	b.Logf("filled with %d alerts and %d devices in %v", f.alerts, f.devices, time.Since(began).Round(time.Second))
	if err := os.WriteFile(done, nil, 0o600); err != nil {
		b.Fatal(err)
	}
	return f
}

func deviceID(n int) ident.DeviceID { return ident.DeviceID(fmt.Sprintf("%040x", n*2654435761)) }

func (f *fleet) fill(b *testing.B) {
	ctx := b.Context()
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	now := time.Now()
	for at := 0; at < f.devices; at += 500 {
		err := f.db.Atomic(ctx, func(ctx context.Context) error {
			for n := at; n < min(at+500, f.devices); n++ {
				seen := now.Add(-time.Duration(r.IntN(20*24)) * time.Hour)
				d := &device.Device{ID: deviceID(n), Tenant: benchTenant, Name: fmt.Sprintf("host%06d.example", n), FirstSeen: now.Add(-40 * 24 * time.Hour),
					LastSeen: seen, LastReport: seen, LastData: seen.Add(-time.Duration(r.IntN(48)) * time.Hour), Platform: pick("Linux", "Ubuntu", "Debian"),
					AgentVersion: pick("1.0.0", "1.1.0"), Value: device.Value(pick("Normal", "Low", "High")), Group: int64(r.IntN(20)),
					Exposure: pick("Low", "Medium", "High"), LastIP: fmt.Sprintf("10.%d.%d.%d", n>>16, n>>8&255, n&255),
					Tags: []string{pick("Executive", "Server", "Lab"), fmt.Sprint("rack-", n/50)}}
				d.Inventory.Version, d.Inventory.Build = pick("12", "13"), int64(r.IntN(5))
				d.Inventory.AadDeviceID = fmt.Sprintf("%08x-0000-4000-8000-000000000000", n)
				d.Inventory.Interfaces = []device.Interface{{Name: "eth0", Type: "Ethernet", Status: "Up", Addresses: []string{d.LastIP + "/8"}}}
				if err := f.db.Devices().Create(ctx, d); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	var batch []*alert.Alert
	for n := range f.alerts {
		created := now.Add(-time.Duration(f.alerts-n) * 3 * time.Second)
		d := r.IntN(f.devices)
		a := &alert.Alert{ID: alertID(n), Tenant: benchTenant, Device: deviceID(d), DeviceName: fmt.Sprintf("host%06d.example", d),
			Title: fmt.Sprint("Suspicious thing number ", n%300), Description: strings.Repeat("What was seen. ", 10), Category: pick("Malware", "Execution", "Discovery"),
			Severity: alert.Severity(pick("Informational", "Low", "Low", "Medium", "High")), Status: alert.Resolved, DetectionSource: pick("CustomerTI", "CustomDetection"),
			Incident: ident.IncidentID(n / 5), AssignedTo: pick("", "", "ann@example.org", "bob@example.org", fmt.Sprintf("user%d@example.org", n%1000)),
			Created: created, Updated: created.Add(time.Duration(r.IntN(1000)) * time.Minute), FirstEvent: created.Add(-time.Minute), LastEvent: created,
			Evidence: []alert.Evidence{{Type: "Process", FileName: "curl", CommandLine: "curl http://evil.example/" + fmt.Sprint(n)}, {Type: "Ip", IP: "203.0.113.7"}}}
		if n%20 == 0 {
			a.Status = alert.New
		}
		if batch = append(batch, a); len(batch) == 2000 || n == f.alerts-1 {
			if _, err := f.db.Alerts().CreateAlerts(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
			batch = nil
		}
	}
}

func alertID(n int) ident.AlertID { return ident.AlertID(fmt.Sprintf("da%018d_%d", n, n)) }

// everybody takes every caller for one with all permissions.
type everybody struct{}

func (everybody) Authenticate(context.Context, string, string) (*access.Principal, error) {
	p := access.System(benchTenant, "bench")
	for _, r := range access.Permissions() {
		p.Roles = append(p.Roles, string(r))
	}
	return p, nil
}

// BenchmarkLists measures the lists of the API over a million alerts and a hundred
// thousand devices, each query many times with other values. It reports the worst p99 of
// the filters that clients poll with and of the others, in milliseconds.
func BenchmarkLists(b *testing.B) {
	f := openFleet(b)
	m := mde.New(mde.Config{Alerts: alert.NewService(alert.Config{Store: f.db.Alerts()}), Devices: device.New(device.Config{Store: f.db.Devices()})})
	router, err := api.New(api.Config{Auth: everybody{}, Log: slog.New(slog.DiscardHandler)}, m.Routes())
	if err != nil {
		b.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 4))
	now := time.Now()
	ago := func(most time.Duration) string {
		return now.Add(-time.Duration(r.Int64N(int64(most)))).UTC().Format(time.RFC3339)
	}
	span := time.Duration(f.alerts) * 3 * time.Second
	a, d := func() int { return r.IntN(f.alerts) }, func() int { return r.IntN(f.devices) }
	word := func(words ...string) string { return words[r.IntN(len(words))] }
	type query struct {
		path string
		with func() string // the $filter
	}
	polled := []query{
		{"/api/alerts", func() string { return "" }},
		{"/api/alerts", func() string { return fmt.Sprintf("id eq '%s'", alertID(a())) }},
		{"/api/alerts", func() string { return fmt.Sprintf("id in ('%s','%s')", alertID(a()), alertID(a())) }},
		{"/api/alerts", func() string { return fmt.Sprintf("status eq '%s'", word("New", "InProgress", "Resolved")) }},
		{"/api/alerts", func() string { return "status ne 'Resolved'" }},
		{"/api/alerts", func() string { return fmt.Sprintf("severity eq '%s'", word("High", "Medium", "UnSpecified")) }},
		{"/api/alerts", func() string { return fmt.Sprintf("machineId eq '%s'", deviceID(d())) }},
		{"/api/alerts", func() string {
			return fmt.Sprintf("assignedTo eq '%s'", word("ann@example.org", "user5@example.org", "nobody"))
		}},
		{"/api/alerts", func() string { return fmt.Sprintf("incidentId eq %d", a()/5) }},
		{"/api/alerts", func() string { return "alertCreationTime gt " + ago(span) }},
		{"/api/alerts", func() string { return "alertCreationTime le " + ago(span) }},
		{"/api/alerts", func() string { return "lastUpdateTime ge " + ago(span) }},
		{"/api/alerts", func() string { return "lastUpdateTime ge " + ago(time.Hour) }},
		{"/api/alerts", func() string { return "status eq 'New' and severity eq 'High' and lastUpdateTime gt " + ago(span) }},
		{"/api/machines", func() string { return "" }},
		{"/api/machines", func() string { return fmt.Sprintf("id eq '%s'", deviceID(d())) }},
		{"/api/machines", func() string { return fmt.Sprintf("computerDnsName eq 'host%06d.example'", d()) }},
		{"/api/machines", func() string { return fmt.Sprintf("startswith(computerDnsName,'host%04d')", d()/100) }},
		{"/api/machines", func() string {
			return fmt.Sprintf("healthStatus eq '%s'", word("Active", "Inactive", "NoSensorData", "ImpairedCommunication", "Unknown"))
		}},
		{"/api/machines", func() string { return fmt.Sprintf("riskScore eq '%s'", word("High", "None", "Informational")) }},
		{"/api/machines", func() string {
			return fmt.Sprintf("machineTags/any(t: t eq '%s')", word("Executive", fmt.Sprint("rack-", d()/50)))
		}},
		{"/api/machines", func() string { return "lastSeen gt " + ago(20*24*time.Hour) }},
		{"/api/machines", func() string { return "lastSeen lt " + ago(20*24*time.Hour) }},
		{"/api/machines", func() string { return fmt.Sprintf("rbacGroupId eq %d", r.IntN(25)) }},
		{"/api/machines", func() string { return fmt.Sprintf("aadDeviceId eq %08x-0000-4000-8000-000000000000", d()) }},
	}
	others := []query{
		{"/api/alerts", func() string { return fmt.Sprintf("category eq '%s'", word("Malware", "Ransomware")) }},
		{"/api/alerts", func() string { return fmt.Sprintf("detectionSource eq '%s'", word("CustomerTI", "MTP")) }},
		{"/api/alerts", func() string { return fmt.Sprintf("contains(title,'%s')", word("number 7", "nowhere")) }},
		{"/api/alerts", func() string { return "firstEventTime lt " + ago(span) }},
		{"/api/alerts", func() string { return "lastEventTime ge " + ago(span) }},
		{"/api/alerts", func() string { return "investigationId eq 5" }},
		{"/api/alerts", func() string { return "year(alertCreationTime) eq 1999 and length(title) gt 3" }},
		{"/api/machines", func() string { return fmt.Sprintf("contains(computerDnsName,'%s')", word("99", "nowhere")) }},
		{"/api/machines", func() string { return fmt.Sprintf("osPlatform eq '%s'", word("Debian", "Windows10")) }},
		{"/api/machines", func() string { return fmt.Sprintf("version eq '%s'", word("12", "7")) }},
		{"/api/machines", func() string { return fmt.Sprintf("deviceValue eq '%s'", word("High", "None")) }},
		{"/api/machines", func() string { return fmt.Sprintf("exposureLevel eq '%s'", word("High", "None")) }},
		{"/api/machines", func() string { return "onboardingStatus ne 'Onboarded'" }},
		{"/api/machines", func() string { return fmt.Sprintf("lastIpAddress eq '10.0.%d.1'", r.IntN(256)) }},
		{"/api/machines", func() string { return "lastExternalIpAddress eq '203.0.113.1'" }},
		{"/api/machines", func() string { return fmt.Sprintf("ipAddresses/any(i: i/ipAddress eq '10.0.%d.7')", r.IntN(256)) }},
		{"/api/machines", func() string { return "machineTags/$count gt 9" }},
		{"/api/machines", func() string { return "agentVersion eq '0'" }},
		{"/api/machines", func() string { return "osBuild eq 77" }},
		{"/api/machines", func() string { return "firstSeen lt " + ago(60*24*time.Hour) }},
	}
	// spent is the processor time of this process: what a request takes when nobody else
	// wants the processor.
	spent := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	ask := func(path, where, rest string) (took, cpu time.Duration) {
		target := path + "?" + rest
		if where != "" {
			target += "&$filter=" + url.QueryEscape(where)
		}
		hr := httptest.NewRequest(http.MethodGet, target, nil)
		hr.Header.Set("Authorization", "Bearer x")
		w := httptest.NewRecorder()
		began, before := time.Now(), spent()
		router.ServeHTTP(w, hr)
		took, cpu = time.Since(began), spent()-before
		if w.Code != http.StatusOK {
			b.Fatalf("%s: %d %s", target, w.Code, w.Body)
		}
		return took, cpu
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	measure := func(name string, rounds int, rest string, qs []query) time.Duration {
		var worst time.Duration
		for _, q := range qs {
			var all, cpus []time.Duration
			var example string
			for range rounds {
				example = q.with()
				took, cpu := ask(q.path, example, rest)
				all, cpus = append(all, took), append(cpus, cpu)
			}
			slices.Sort(all)
			slices.Sort(cpus)
			p99 := all[len(all)*99/100]
			worst = max(worst, p99)
			b.Logf("%-7s p50 %8.2f ms  p99 %8.2f ms  processor p50 %8.2f ms  p99 %8.2f ms  %s?%s %s", name, ms(all[len(all)/2]), ms(p99),
				ms(cpus[len(cpus)/2]), ms(cpus[len(cpus)*99/100]), q.path, rest, example)
		}
		return worst
	}
	for b.Loop() {
		b.ReportMetric(ms(measure("polled", 60, "$top=100", polled)), "polled-p99-ms")
		b.ReportMetric(ms(measure("other", 10, "$top=100", others)), "other-p99-ms")
		both := []query{polled[0], polled[14]}
		measure("$count", 5, "$top=1&$count=true", append(both, polled[3], polled[18]))
		measure("10000", 5, "$top=10000", both)
	}
	b.ReportMetric(0, "ns/op")
}
