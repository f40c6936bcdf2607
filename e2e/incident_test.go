package e2e

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/vedette-edr/vedette/client"
)

// TestAlertsMakeAnIncident touches two indicators several times on a watched host: the
// detections of each make one alert, the alerts one incident; a web hook is told; the
// process tree leads to the test; a suppression rule keeps a third one out of it all.
func TestAlertsMakeAnIncident(t *testing.T) {
	var mu sync.Mutex
	var told []string
	hook := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		told = append(told, r.URL.Path+" "+string(body))
	}))
	defer hook.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: hook.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &server{dir: t.TempDir(), addr: fmt.Sprintf("127.0.0.1:%d", freePort(t)), flags: []string{"--webhook-network", "127.0.0.0/8", "--webhook-ca", ca}}
	s.start(t)
	startAgent(t, s, "")
	s.onlyDevice(t)
	ctx := context.Background()

	for i, severity := range []string{"Low", "High", "Medium"} {
		title := fmt.Sprintf("Contact %d", i)
		var def client.Definition
		if err := s.Do(ctx, http.MethodPost, "/V1.0/AlertDefinitions", client.Definition{Name: title, Title: title, Severity: severity,
			Description: "d", Category: "SuspiciousNetworkTraffic", Enabled: true}, &def); err != nil {
			t.Fatal(err)
		}
		for n := range 2 {
			if err := s.Do(ctx, http.MethodPost, "/V1.0/IndicatorsOfCompromise", client.IOC{Type: "IpAddress", Value: fmt.Sprintf("127.9.%d.%d", i, n+1),
				Function: "Equals", Enabled: true, Bind: fmt.Sprintf("AlertDefinitions(%d)", def.ID)}, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.cli(t, "subscription", "create", hook.URL+"/flow")
	s.cli(t, "notification", "create", "team", "--subject", "Alert", "--severity", "High", "--url", hook.URL+"/rule")
	s.cli(t, "notification", "test", "1")
	s.cli(t, "suppression", "create", "drill", "--when", "title equals Contact 2", "--action", "Hide")

	touch := func(i, n int) {
		if c, err := net.Dial("tcp", fmt.Sprintf("127.9.%d.%d:9", i, n)); err == nil {
			c.Close()
		}
	}
	for i := range 3 {
		touch(i, 1)
		touch(i, 2)
	}
	alerts := map[string]client.Alert{}
	await(t, "the alerts with both addresses", func() error {
		all, err := client.All[client.Alert](ctx, s.Client, "/api/alerts", client.List{Expand: "evidence"})
		if err != nil {
			return err
		}
		addresses := map[string]map[string]bool{}
		for _, a := range all {
			alerts[a.Title] = a
			if addresses[a.Title] == nil {
				addresses[a.Title] = map[string]bool{}
			}
			for _, e := range a.Evidence {
				if e.IP != nil {
					addresses[a.Title][*e.IP] = true
				}
			}
		}
		for i := range 3 {
			if title := fmt.Sprintf("Contact %d", i); len(addresses[title]) != 2 {
				return fmt.Errorf("%s tells of %v", title, addresses[title])
			}
		}
		open := 0
		for _, a := range all {
			if a.Status == "New" {
				open++
			}
		}
		if open != 2 {
			t.Fatalf("%d open alerts, want one for each of two titles", open)
		}
		return nil
	})
	if a := alerts["Contact 2"]; a.Status != "Resolved" || a.IncidentID != nil {
		t.Errorf("the suppressed alert: %s in incident %v", a.Status, a.IncidentID)
	}
	incidents, err := client.All[client.Incident](ctx, s.Client, "/api/incidents", client.List{})
	if err != nil || len(incidents) != 1 || len(incidents[0].Alerts) != 2 || incidents[0].Severity != "High" || incidents[0].Status != "Active" {
		t.Fatalf("incidents %+v, %v", incidents, err)
	}
	await(t, "the web hooks", func() error {
		mu.Lock()
		defer mu.Unlock()
		flow, rule := 0, 0
		for _, m := range told {
			switch {
			case strings.HasPrefix(m, "/flow ") && strings.Contains(m, alerts["Contact 0"].ID) || strings.HasPrefix(m, "/flow ") && strings.Contains(m, alerts["Contact 1"].ID):
				flow++
			case strings.HasPrefix(m, "/rule ") && strings.Contains(m, alerts["Contact 1"].ID):
				rule++
			case strings.HasPrefix(m, "/rule ") && strings.Contains(m, "Test of the notification rule"):
			default:
				return fmt.Errorf("told %s", m)
			}
		}
		if flow != 2 || rule != 1 {
			return fmt.Errorf("told %q", told)
		}
		return nil
	})
	await(t, "rows of evidence that was merged", func() error {
		r, err := s.Hunt(ctx, fmt.Sprintf("AlertEvidence | where AlertId == '%s' and EntityType == 'Ip' | distinct RemoteIP", alerts["Contact 1"].ID))
		if err == nil && len(r.Results) != 2 {
			err = fmt.Errorf("%v", r.Results)
		}
		return err
	})
	var tree client.ProcessTree
	if err := json.Unmarshal([]byte(s.cli(t, "-o", "json", "alert", "tree", alerts["Contact 1"].ID)), &tree); err != nil {
		t.Fatal(err)
	}
	marked := false
	for _, p := range tree.Processes {
		marked = marked || p.InAlert && p.ProcessID == int64(os.Getpid())
	}
	if !marked || len(tree.Processes) < 2 {
		t.Errorf("the tree does not lead to this process %d: %+v", os.Getpid(), tree.Processes)
	}
	if out := s.cli(t, "incident", "update", fmt.Sprint(incidents[0].ID), "--status", "Resolved", "--classification", "InformationalExpectedActivity",
		"--determination", "SecurityTesting", "--comment", "a drill", "--name", "Drill"); !strings.Contains(out, "Drill") || strings.Contains(out, "  New  ") {
		t.Errorf("resolved:\n%s", out)
	}
	if out := s.cli(t, "alert", "history", alerts["Contact 0"].ID); !strings.Contains(out, "Resolved") || !strings.Contains(out, "SecurityTesting") {
		t.Errorf("history:\n%s", out)
	}
	if out := s.cli(t, "suppression", "list"); !strings.Contains(out, "title equals Contact 2") {
		t.Errorf("suppressions:\n%s", out)
	}
}
