package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/client"
)

// TestIndicatorsOverTime follows indicators of the current API on a real host: one asks for the
// past, one is counted across a restart of the server, one expires.
func TestIndicatorsOverTime(t *testing.T) {
	s := startServer(t)
	startAgent(t, s, "")
	s.onlyDevice(t)
	ctx := context.Background()
	touch := func(addr string) {
		if c, err := net.Dial("tcp", addr+":9"); err == nil {
			c.Close()
		}
	}
	post := func(in map[string]any) string {
		t.Helper()
		in["indicatorType"], in["description"], in["severity"] = "IpAddress", "d", "Low"
		if in["action"] == nil {
			in["action"], in["generateAlert"] = "Audit", true
		}
		var made struct{ ID string }
		if err := s.Do(ctx, http.MethodPost, "/api/indicators", in, &made); err != nil {
			t.Fatal(err)
		}
		return made.ID
	}
	alerts := func(title string) []client.Alert {
		t.Helper()
		all, err := client.All[client.Alert](ctx, s.Client, "/api/alerts", client.List{})
		if err != nil {
			t.Fatal(err)
		}
		var out []client.Alert
		for _, a := range all {
			if a.Title == title {
				out = append(out, a)
			}
		}
		return out
	}
	stats := func(id string) (x client.IndicatorStats) {
		t.Helper()
		if err := json.Unmarshal([]byte(s.cli(t, "indicator", "stats", id, "-o", "json")), &x); err != nil {
			t.Fatal(err)
		}
		return x
	}

	// The past.
	touch("127.88.1.1")
	s.huntUntil(t, "the connection", `DeviceNetworkEvents | where RemoteIP == "127.88.1.1"`, func(rows []map[string]any) bool { return len(rows) > 0 })
	post(map[string]any{"indicatorValue": "127.88.1.0/24", "title": "in the past", "historicalDetection": true})
	await(t, "the alert of the past", func() error {
		if found := alerts("in the past"); len(found) != 1 || !strings.Contains(found[0].Description, "past telemetry") {
			return fmt.Errorf("%+v", found)
		}
		return nil
	})

	// Counted, durably.
	id := post(map[string]any{"indicatorValue": "127.88.2.2", "title": "counted"})
	touch("127.88.2.2")
	var before client.IndicatorStats
	await(t, "a sighting", func() error {
		if before = stats(id); before.Matches == 0 || before.Devices != 1 || before.Alerts != 1 || before.Blocks != 0 {
			return fmt.Errorf("%+v", before)
		}
		return nil
	})
	s.stop()
	s.start(t)
	if after := stats(id); after.Matches < before.Matches || after.Devices != 1 || !after.FirstMatch.Equal(*before.FirstMatch) {
		t.Errorf("before the restart %+v, after it %+v", before, after)
	}

	// An allowed range within which one address is audited.
	post(map[string]any{"indicatorValue": "127.88.3.0/24", "title": "allowed", "action": "Allowed"})
	post(map[string]any{"indicatorValue": "127.88.3.3", "title": "within what is allowed"})
	// Until its expiry and not after.
	end := time.Now().Add(5 * time.Second).Truncate(time.Second)
	short := post(map[string]any{"indicatorValue": "127.88.4.4", "title": "short", "expirationTime": end.UTC().Format(time.RFC3339)})
	touch("127.88.3.3")
	touch("127.88.4.4")
	await(t, "the alert before the expiry", func() error {
		if n := len(alerts("short")); n != 1 {
			return fmt.Errorf("%d alerts", n)
		}
		return nil
	})
	await(t, "the expiry", func() error {
		err := s.Do(ctx, http.MethodGet, "/api/indicators/"+short, nil, nil)
		var answer *client.Error
		if notFound := errors.As(err, &answer) && answer.Status == http.StatusNotFound; !notFound && !time.Now().Before(end.Add(time.Second)) {
			t.Fatalf("a second after its end: %v", err)
		} else if notFound && time.Now().Before(end) {
			t.Fatal("it is gone before its end")
		} else if !notFound {
			return fmt.Errorf("still there")
		}
		return nil
	})
	await(t, "the history", func() error {
		var x struct{ Value []client.Indicator }
		if err := s.Do(ctx, http.MethodGet, "/api/vedette/indicators/expired", nil, &x); err != nil {
			return err
		}
		if len(x.Value) != 1 || x.Value[0].ID != short {
			return fmt.Errorf("%+v", x.Value)
		}
		return nil
	})
	if out := s.cli(t, "indicator", "list", "--expired"); !strings.Contains(out, "127.88.4.4") {
		t.Errorf("the command shows %s", out)
	}
	if found := alerts("within what is allowed"); len(found) != 0 {
		t.Errorf("an allowed address raised %+v", found)
	}
}
