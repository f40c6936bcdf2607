package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/client"
)

// TestCustomThreatIntelligenceGuide walks the end-to-end guide of the custom
// threat-intelligence API with plain HTTP, as its scripts do, and touches the indicator's
// address with curl.
func TestCustomThreatIntelligenceGuide(t *testing.T) {
	s := startServer(t)
	startAgent(t, s, "")
	device := s.onlyDevice(t)
	hc := s.httpClient(t)

	resp, err := hc.PostForm(s.profile.TokenURL, url.Values{"grant_type": {"client_credentials"},
		"client_id": {s.profile.ClientID}, "client_secret": {s.profile.ClientSecret}, "resource": {"https://graph.microsoft.com"}})
	if err != nil {
		t.Fatal(err)
	}
	var token struct {
		AccessToken string `json:"access_token"`
	}
	decode(t, resp, http.StatusOK, &token)

	post := func(path, body string, out any) {
		t.Helper()
		req, err := http.NewRequest(http.MethodPost, s.profile.APIURL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token.AccessToken)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "application/json")
		resp, err := hc.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		decode(t, resp, http.StatusCreated, out)
	}
	var definition, ioc struct{ Id int64 }
	post("/V1.0/AlertDefinitions", `{"Name":"e2e","Severity":"Medium","InternalDescription":"of the test","Title":"Test alert of the guide",
		"UxDescription":"A device touched the address of the guide","RecommendedAction":"Look at the process","Category":"SuspiciousNetworkTraffic","Enabled":"true"}`, &definition)
	post("/V1.0/IndicatorsOfCompromise", fmt.Sprintf(`{"Type":"IpAddress","Value":"127.0.0.77","DetectionFunction":"Equals","Enabled":"true",
		"AlertDefinition@odata.bind":"AlertDefinitions(%d)"}`, definition.Id), &ioc)

	began := time.Now()
	attempt := exec.Command("curl", "-s", "--max-time", "5", "http://127.0.0.77:9/")
	if attempt.Run() == nil {
		t.Fatal("somebody answered on 127.0.0.77:9; the attempt should have been refused")
	}
	var alert client.Alert
	await(t, "the alert", func() error {
		alerts, err := client.All[client.Alert](context.Background(), s.Client, "/api/alerts", client.List{Expand: "evidence"})
		if err != nil {
			return err
		}
		if len(alerts) == 0 {
			return fmt.Errorf("no alert yet")
		}
		alert = alerts[0]
		return nil
	})
	t.Logf("the alert was visible %s after curl began", time.Since(began).Round(time.Millisecond))

	if alert.MachineID != device.ID || alert.MachineName != device.Name {
		t.Errorf("alert on %s (%s), want %s (%s)", alert.MachineID, alert.MachineName, device.ID, device.Name)
	}
	for _, c := range []struct{ what, got, want string }{
		{"title", alert.Title, "Test alert of the guide"},
		{"description", alert.Description, "A device touched the address of the guide"},
		{"recommendedAction", alert.Recommended, "Look at the process"},
		{"severity", alert.Severity, "Medium"},
		{"category", alert.Category, "SuspiciousNetworkTraffic"},
		{"detectionSource", alert.DetectionSource, "CustomerTI"},
		{"status", alert.Status, "New"},
	} {
		if c.got != c.want {
			t.Errorf("%s = %q, want %q", c.what, c.got, c.want)
		}
	}
	var sawProcess, sawIP bool
	for _, e := range alert.Evidence {
		switch e.Type {
		case "Process":
			sawProcess = e.FileName != nil && *e.FileName == "curl" && e.CommandLine != nil &&
				strings.Contains(*e.CommandLine, "http://127.0.0.77:9/") && e.ProcessID != nil && *e.ProcessID == int64(attempt.Process.Pid)
		case "Ip":
			sawIP = e.IP != nil && *e.IP == "127.0.0.77"
		}
	}
	if !sawProcess || !sawIP {
		t.Errorf("evidence lacks the process (%v) or the address (%v): %s", sawProcess, sawIP, mustJSON(t, alert.Evidence))
	}
	if table := s.cli(t, "alert", "list"); !strings.Contains(table, "Test alert of the guide") || !strings.Contains(table, "curl") {
		t.Errorf("vedette alert list printed:\n%s", table)
	}
	s.huntUntil(t, "the attempt in DeviceNetworkEvents",
		`DeviceNetworkEvents | where Timestamp > ago(5m) and RemoteIP == "127.0.0.77" and ActionType == "ConnectionAttempt" | where InitiatingProcessFileName == "curl"`,
		func(rows []map[string]any) bool { return len(rows) == 1 })
	s.huntUntil(t, "the alert in AlertInfo and AlertEvidence",
		`AlertInfo | join kind=inner AlertEvidence on AlertId | where EntityType == "Ip" | project AlertId, Title, RemoteIP`,
		func(rows []map[string]any) bool {
			return len(rows) == 1 && rows[0]["AlertId"] == alert.ID && rows[0]["RemoteIP"] == "127.0.0.77"
		})

	s.huntUntil(t, "the alert under the names of 2019 and 2020",
		`AlertEvents | where EventTime > ago(1h) | where RemoteIP == "127.0.0.77" | project AlertId, Category | union (DeviceAlertEvents | where isnotempty(RemoteIP) | project AlertId, Category)`,
		func(rows []map[string]any) bool {
			return len(rows) == 2 && rows[0]["AlertId"] == alert.ID && rows[0]["Category"] == "SuspiciousNetworkTraffic" && rows[1]["Category"] == rows[0]["Category"]
		})

	// A second attempt after the indicator is gone raises nothing; the first alert stays.
	if err := s.Do(context.Background(), http.MethodDelete, fmt.Sprintf("/V1.0/IndicatorsOfCompromise(%d)", ioc.Id), nil, nil); err != nil {
		t.Fatal(err)
	}
	marker := unique("vedette-marker-")
	exec.Command("curl", "-s", "--max-time", "5", "-A", marker, "http://127.0.0.77:9/").Run()
	s.huntUntil(t, "the second attempt",
		fmt.Sprintf(`DeviceNetworkEvents | where RemoteIP == "127.0.0.77" and InitiatingProcessCommandLine has "%s" and ActionType == "ConnectionAttempt"`, marker),
		func(rows []map[string]any) bool { return len(rows) == 1 })
	alerts, err := client.All[client.Alert](context.Background(), s.Client, "/api/alerts", client.List{})
	if err != nil || len(alerts) != 1 {
		t.Errorf("%d alerts after the indicator was deleted (%v), want the first alone", len(alerts), err)
	}
}

// decode reads an answer that must have the given status.
func decode(t testing.TB, resp *http.Response, status int, out any) {
	t.Helper()
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != status {
		t.Fatalf("%s %s answered %s, want %d:\n%s", resp.Request.Method, resp.Request.URL, resp.Status, status, raw)
	}
	if out != nil {
		if err := json.NewDecoder(bytes.NewReader(raw)).Decode(out); err != nil {
			t.Fatalf("%v in %s", err, raw)
		}
	}
}
