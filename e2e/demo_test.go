package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/client"
)

// startDemo runs `vedetted demo` with few devices until the test ends, and returns its API
// and its data directory.
func startDemo(t testing.TB, args ...string) (*server, *process, string) {
	t.Helper()
	dir := t.TempDir()
	addr := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	p := start(t, bin("vedetted"), append([]string{"demo", "--data-dir", dir, "--listen", addr, "--devices", "60", "--density", "0.2", "--still"}, args...)...)
	begin := time.Now()
	for !strings.Contains(p.out.String(), "Ready.") {
		if !p.running() || time.Since(begin) > 4*time.Minute {
			t.Fatalf("the demonstration is not ready after %v:\n%s", time.Since(begin), p.out)
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Logf("the week took %v", time.Since(begin).Round(time.Second))
	profile, err := client.LoadProfile(filepath.Join(dir, "bootstrap.json"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(*profile)
	if err != nil {
		t.Fatal(err)
	}
	return &server{Client: c, dir: dir, addr: addr, profile: profile}, p, dir
}

// TestADemonstrationTellsItsStories runs the demonstration and looks for each of its five
// attacks where an analyst would: as alerts of the shipped detections and of indicators,
// joined to incidents over several devices, spread over the week, and answered.
func TestADemonstrationTellsItsStories(t *testing.T) {
	s, p, dir := startDemo(t, "--hostile")
	ctx := context.Background()
	alerts, err := client.All[client.Alert](ctx, s.Client, "/api/alerts", client.List{})
	if err != nil {
		t.Fatal(err)
	}
	titles := map[string][]string{}
	var first, last time.Time
	for _, a := range alerts {
		name, _, _ := strings.Cut(a.MachineName, ".")
		titles[name] = append(titles[name], a.Title)
		if first.IsZero() || a.Created.Before(first) {
			first = *a.Created
		}
		if a.Created.After(last) {
			last = *a.Created
		}
	}
	for device, want := range map[string][]string{
		"lt-mkeller": {"A shell talks to the network through /dev/tcp", "Several secrets were read", "wrote /home/m.keller/.ssh/authorized_keys"},
		"file-01":    {"Upload with curl", "erased /home/m.keller/.bash_history"},
		"vpn-01":     {"after many failed ones", "cat read /etc/shadow"},
		"file-02":    {"gives many files a further extension", "was run from shared memory"},
		"backup-01":  {"rewrites many documents"},
		"wiki-01":    {"The web server java started bash", "looks like a miner", "/etc/ld.so.preload"},
		"app-02":     {"looks like a miner"},
		"db-01":      {"Database dump at night", "Several secrets were read"},
		"build-01":   {"hands a shell to the network", "ran a program that is in no directory"},
		"app-03":     {"tried to load a kernel module", "Calls home from the poisoned package"},
	} {
		for _, w := range want {
			if !slices.ContainsFunc(titles[device], func(t string) bool { return strings.Contains(t, w) }) {
				t.Errorf("%s raised no alert %q: %q", device, w, titles[device])
			}
		}
	}
	if span := last.Sub(first); span < 5*24*time.Hour {
		t.Errorf("the alerts span %v", span)
	}
	var incidents struct {
		Value []struct {
			Name   string `json:"incidentName"`
			Status string
			Alerts []struct {
				Devices []struct{ DeviceDNSName string }
			}
		}
	}
	if err := s.Do(ctx, "GET", "/api/incidents", nil, &incidents); err != nil {
		t.Fatal(err)
	}
	several, resolved := 0, 0
	for _, i := range incidents.Value {
		if strings.Contains(i.Name, " devices") {
			several++
		}
		if i.Status == "Resolved" {
			resolved++
		}
	}
	if several < 3 || resolved < 3 {
		t.Errorf("%d incidents over several devices, %d resolved, of %+v", several, resolved, incidents.Value)
	}
	for _, status := range []string{"Isolate", "RestrictCodeExecution", "UnrestrictCodeExecution"} {
		as, err := client.All[client.Action](ctx, s.Client, "/api/machineactions", client.List{Filter: "type eq '" + status + "'"})
		if err != nil || len(as) == 0 || as[0].Status != "Succeeded" {
			t.Errorf("%s: %+v, %v", status, as, err)
		}
	}
	rows := s.hunt(t, `union DeviceProcessEvents, DeviceNetworkEvents, DeviceFileEvents, DeviceLogonEvents | summarize N = count(), D = dcount(DeviceId), First = min(Timestamp), Last = max(Timestamp)`).Results
	if len(rows) != 1 || rows[0]["N"].(float64) < 3000 || rows[0]["D"].(float64) < 60 {
		t.Errorf("telemetry: %v", rows)
	}
	if r := s.hunt(t, `VedetteTelemetryGaps | where EventsLost > 0`); len(r.Results) > 0 {
		t.Errorf("losses: %v", r.Results)
	}
	// The names that attack a page are there as they were.
	if !slices.ContainsFunc(alerts, func(a client.Alert) bool {
		return strings.Contains(a.Title, "<script>") || strings.Contains(a.Title, "onerror=")
	}) {
		t.Error("no alert has a hostile name")
	}
	vulnerable := 0
	for _, id := range []string{"CVE-2024-6387"} {
		var v struct{ Value []any }
		if err := s.Do(ctx, "GET", "/api/vulnerabilities/"+id+"/machineReferences", nil, &v); err != nil {
			t.Error(err)
		}
		vulnerable += len(v.Value)
	}
	if vulnerable == 0 {
		t.Error("no device has the flaw of sshd")
	}

	// It goes on where it was, and its devices answer.
	p.stop()
	again := start(t, bin("vedetted"), "demo", "--data-dir", dir, "--listen", s.addr, "--devices", "60", "--density", "0.2", "--hostile", "--still")
	await(t, "the demonstration is back", func() error {
		if !strings.Contains(again.out.String(), "Ready.") {
			return fmt.Errorf("it said %s", again.out)
		}
		return nil
	})
	var machines struct{ Value []client.Machine }
	if err := s.Do(ctx, "GET", "/api/machines?$filter=startswith(computerDnsName,'web-01')", nil, &machines); err != nil || len(machines.Value) != 1 {
		t.Fatalf("%+v, %v", machines, err)
	}
	a, err := s.Act(ctx, machines.Value[0].ID, "isolate", map[string]any{"Comment": "seen", "IsolationType": "Full"})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the device answers", func() error {
		a, err := s.Action(ctx, a.ID)
		if err == nil && a.Status != "Succeeded" {
			err = fmt.Errorf("the action is %s", a.Status)
		}
		return err
	})
	if _, err := os.Stat(filepath.Join(dir, "demo.json")); err != nil {
		t.Error(err)
	}
}

// TestEveryPageOfThePortal walks every page with a browser over a demonstration: by axe in light
// and dark; where VEDETTE_LOOK is set, for pictures of two widths in VEDETTE_SHOTS, on the whole
// demonstration of two hundred devices.
func TestEveryPageOfThePortal(t *testing.T) {
	var args []string
	look := os.Getenv("VEDETTE_LOOK") != ""
	if look {
		args = []string{"--seed", "1", "--devices", "200", "--density", "1"}
	}
	s, _, _ := startDemo(t, args...)
	if look {
		journey(t, "", "https://"+s.addr, s.profile, "look")
	}
	journey(t, "", "https://"+s.addr, s.profile, "axe")
	feed, broken := feeds(t)
	journey(t, "", "https://"+s.addr, s.profile, "forms", "FEED="+feed, "BROKEN="+broken, "PACKAGE=bash", "CVE=CVE-2099-40001")
	if out := s.metric(t, "vedette_portal_policy_reports_total"); out != 0 {
		t.Errorf("%v reports of a broken policy", out)
	}
	// The other site tries to frame the portal, which browsers report when they refuse it.
	journey(t, "", "https://"+s.addr, s.profile, "sites")
}

// feeds writes a feed of one vulnerability, of a package that the devices of the demonstration
// have, in the form in which OSV hands out its database, and one that breaks off.
func feeds(t *testing.T) (whole, broken string) {
	t.Helper()
	const record = `{"schema_version": "1.7.0", "id": "DEBIAN-CVE-2099-40001", "upstream": ["CVE-2099-40001"], "published": "2026-01-02T03:04:05Z", "modified": "2026-01-02T03:04:05Z",
 "summary": "A name that ends in a formula", "details": "=1+1 is computed where <img src=x onerror=window.__pwned=1> is shown.",
 "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
 "affected": [{"package": {"ecosystem": "Debian:12", "name": "bash"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.0-1"}]}]}]}`
	dir := t.TempDir()
	whole, broken = filepath.Join(dir, "osv-whole.json"), filepath.Join(dir, "osv-broken.json")
	must(t, os.WriteFile(whole, []byte("["+record+"]\n"), 0o600))
	must(t, os.WriteFile(broken, []byte("["+record+", {\"id\": \"DEBIAN-CVE-2099-40002\", \"affected\": [{\"package\": 7}]}, {\n"), 0o600))
	return whole, broken
}

// TestAnAnalystHuntsInThePortal has a browser hunt over a demonstration whose names attack
// the page, make a rule of a query and see it fire, make an indicator, and look at every page
// that shows such a name.
func TestAnAnalystHuntsInThePortal(t *testing.T) {
	s, _, _ := startDemo(t, "--hostile")
	journey(t, "", "https://"+s.addr, s.profile, "hunt")
	journey(t, "", "https://"+s.addr, s.profile, "hostile")
	if out := s.metric(t, "vedette_portal_policy_reports_total"); out != 0 {
		t.Errorf("%v reports of a broken policy", out)
	}
}
