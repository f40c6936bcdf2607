package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/client"
)

// TestBlockedAddressIsRefusedOnTheDevice blocks an address through the published API and
// connects to it with curl: until it is refused and the device acknowledged, across a
// restart of the agent, and after the indicator is deleted.
func TestBlockedAddressIsRefusedOnTheDevice(t *testing.T) {
	l, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 150+rand.IntN(40), rand.IntN(256), 1+rand.IntN(254)))
	if err != nil {
		t.Fatal(err)
	}
	site := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") })}
	go site.Serve(l)
	t.Cleanup(func() { site.Close() })
	host, _, _ := net.SplitHostPort(l.Addr().String())
	curl := func() error {
		out, err := exec.Command("curl", "-sS", "--max-time", "10", "http://"+l.Addr().String()+"/").CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}

	s := startServer(t)
	a := startAgent(t, s, "")
	s.onlyDevice(t)
	if err := curl(); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	var made struct{ ID string }
	began := time.Now()
	if err := s.Do(ctx, http.MethodPost, "/api/indicators", map[string]any{"indicatorValue": host, "indicatorType": "IpAddress",
		"action": "Block", "title": "e2e", "description": "d", "severity": "High", "generateAlert": true}, &made); err != nil {
		t.Fatal(err)
	}
	await(t, "the block", func() error {
		if curl() == nil {
			return fmt.Errorf("curl still reaches %s", host)
		}
		return nil
	})
	t.Logf("refused on the device %s after POST began", time.Since(began).Round(time.Millisecond))
	await(t, "the device's acknowledgement", func() error {
		var c struct {
			Revision, Devices, UpToDate int64
			EnforcingByType             map[string]int
		}
		if err := s.Do(ctx, http.MethodGet, "/api/vedette/indicators/coverage", nil, &c); err != nil {
			return err
		}
		if c.Devices != 1 || c.UpToDate != 1 || c.EnforcingByType["IpAddress"] != 1 || c.EnforcingByType["FileSha256"] != 1 {
			return fmt.Errorf("coverage %+v", c)
		}
		return nil
	})
	t.Logf("acknowledged %s after POST began", time.Since(began).Round(time.Millisecond))
	s.huntUntil(t, "what was refused", `DeviceEvents | where ActionType == "ExploitGuardNetworkProtectionBlocked" and RemoteIP == "`+host+`"
		| project InitiatingProcessFileName, InitiatingProcessCommandLine, Id = tostring(AdditionalFields.IndicatorId)`, func(rows []map[string]any) bool {
		return len(rows) > 0 && rows[0]["InitiatingProcessFileName"] == "curl" && rows[0]["Id"] == made.ID
	})

	await(t, "the block in the indicator's statistics", func() error {
		var x client.IndicatorStats
		if err := s.Do(ctx, http.MethodGet, "/api/indicators/"+made.ID+"/stats", nil, &x); err != nil {
			return err
		}
		if x.Blocks == 0 || x.Matches < x.Blocks || x.Alerts == 0 || x.Devices != 1 || x.LastMatch == nil || x.LastMatch.Before(began) {
			return fmt.Errorf("%+v", x)
		}
		return nil
	})

	a.kill()
	await(t, "that nothing is blocked without an agent", curl)
	a.restart(t)
	if curl() == nil {
		t.Error("the restarted agent does not block")
	}
	if err := s.Do(ctx, http.MethodDelete, "/api/indicators/"+made.ID, nil, nil); err != nil {
		t.Fatal(err)
	}
	await(t, "the end of the block", curl)
}
