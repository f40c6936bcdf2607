package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/fleetsim"
)

// metric returns the value of one line of /metrics, such as name{label="x"}; 0 when it is
// not there.
func (s *server) metric(t testing.TB, line string) float64 {
	t.Helper()
	resp, err := s.httpClient(t).Get("https://" + s.addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("/metrics: %s %v", resp.Status, err)
	}
	for l := range strings.Lines(string(raw)) {
		var v float64
		if rest, ok := strings.CutPrefix(l, line+" "); ok {
			if _, err := fmt.Sscan(rest, &v); err == nil {
				return v
			}
		}
	}
	return 0
}

func (s *server) refusedBatches(t testing.TB, outcome string) float64 {
	return s.metric(t, fmt.Sprintf(`vedette_ingest_batches_total{outcome="%s"}`, outcome))
}

// TestBatchesThatAreRefused sends a malformed and a foreign batch by hand, and then lets
// an agent's spool hold a foreign one: it is set aside and its events are counted.
func TestBatchesThatAreRefused(t *testing.T) {
	s := startServer(t)
	f := newFleet(t, s, 3, nil)
	a, b, c := f.Devices()[0], f.Devices()[1], f.Devices()[2]
	ctx := context.Background()
	frame, err := a.Frame(a.Execs(5))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Send(ctx, frame); fleetsim.Refusal(err) != "BatchForeign" {
		t.Errorf("another device's batch: %v", err)
	}
	spoiled := bytes.Clone(frame)
	spoiled[len(spoiled)/2] ^= 0x10
	if _, err := a.Send(ctx, spoiled); fleetsim.Refusal(err) != "BatchMalformed" {
		t.Errorf("a spoiled batch: %v", err)
	}
	for _, outcome := range []string{"foreign", "malformed"} {
		if n := s.refusedBatches(t, outcome); n != 1 {
			t.Errorf("%s batches counted: %v", outcome, n)
		}
	}
	if _, err := a.Send(ctx, frame); err != nil {
		t.Errorf("the good batch is not taken afterwards: %v", err)
	}

	// A spool whose batches carry another device's name, as after copying files by hand.
	s.stop()
	if err := c.Start(ctx); err != nil {
		t.Fatal(err)
	}
	c.Emit(c.Numbered(unique("foreign"), 0, 10)...)
	await(t, "a batch on disk", func() error {
		if st := c.Spool(); st.Spooled != 10 {
			return fmt.Errorf("%+v", st)
		}
		return nil
	})
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(b.Dir(), "spool"), os.DirFS(filepath.Join(c.Dir(), "spool"))); err != nil {
		t.Fatal(err)
	}
	rename(t, filepath.Join(b.Dir(), "spool", "state.json"), b.ID())
	s.start(t)
	victim := f.Again(b)
	if err := victim.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { victim.Close() })
	rows := s.huntUntil(t, "the loss in the ledger", fmt.Sprintf(`VedetteTelemetryGaps | where DeviceId == "%s" and Source == "link"
		| summarize Lost = sum(EventsLost), Reason = take_any(Reason)`, b.ID()), func(rows []map[string]any) bool {
		return len(rows) == 1 && rows[0]["Lost"] == float64(10)
	})
	if reason := fmt.Sprint(rows[0]["Reason"]); !strings.Contains(reason, "BatchForeign") {
		t.Errorf("the reason of the loss is %q", reason)
	}
	if kept := glob(filepath.Join(b.Dir(), "spool", "aside", "*.frame")); len(kept) == 0 {
		t.Error("the refused batch is not set aside")
	}
}

// rename gives the state of a spool to another device.
func rename(t *testing.T, file, device string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var state map[string]any
	if err := json.Unmarshal(raw, &state); err != nil {
		t.Fatal(err)
	}
	state["device"] = device
	if err := os.WriteFile(file, []byte(mustJSON(t, state)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestAClonedDeviceIsFoundOutAndShown lets two copies of a device speak, and looks for
// what a user sees of it.
func TestAClonedDeviceIsFoundOutAndShown(t *testing.T) {
	s := startServer(t)
	f := newFleet(t, s, 1, nil)
	d := f.Devices()[0]
	twin := d.Copy()
	t.Cleanup(func() { twin.Close() })
	ctx := context.Background()
	if err := d.Push(ctx, d.Execs(3)); err != nil {
		t.Fatal(err)
	}
	for _, copied := range []*fleetsim.Device{twin, d} {
		if err := copied.Push(ctx, copied.Execs(4)); fleetsim.Refusal(err) != "DeviceCloned" {
			t.Errorf("a copy is answered %v", err)
		}
	}
	if n := s.refusedBatches(t, "cloned"); n < 1 {
		t.Errorf("cloned batches counted: %v", n)
	}
	h, err := s.Health(ctx, d.ID())
	if err != nil {
		t.Fatal(err)
	}
	if h.Cloned == nil || len(h.Problems) == 0 || !strings.Contains(h.Problems[0], "Two copies") {
		t.Errorf("the device's health: %+v", h)
	}
	if out := s.cli(t, "device", "health", d.ID()); !strings.Contains(out, "Two copies") {
		t.Errorf("vedette device health prints:\n%s", out)
	}
	var m struct{ IsPotentialDuplication bool }
	if err := s.Do(ctx, "GET", "/api/machines/"+d.ID(), nil, &m); err != nil || !m.IsPotentialDuplication {
		t.Errorf("the machine's isPotentialDuplication is %v, %v", m, err)
	}
	// An agent with the copied identity enrols again by itself, without a token.
	again := f.Again(d)
	t.Cleanup(func() { again.Close() })
	if err := again.Start(ctx); err != nil {
		t.Fatal(err)
	}
	marker := unique("again")
	again.Emit(again.Numbered(marker, 0, 10)...)
	s.huntUntil(t, "events of the new enrolment", fmt.Sprintf(`DeviceProcessEvents | where ProcessCommandLine startswith "%s "`, marker),
		func(rows []map[string]any) bool { return len(rows) == 10 })
	if st := again.Status(); st.Incarnation != 2 {
		t.Errorf("it speaks as enrolment %d", st.Incarnation)
	}
}

// TestAClockTwoDaysOff expects times within seconds of now from devices whose clocks are
// wrong, their own readings beside them, and words about it.
func TestAClockTwoDaysOff(t *testing.T) {
	s := startServer(t)
	for name, skew := range map[string]time.Duration{"behind": -48 * time.Hour, "ahead": 48 * time.Hour} {
		f := startFleet(t, s, 1, func(c *fleetsim.Config) { c.Skew, c.Prefix = skew, name })
		d := f.Devices()[0]
		marker := unique(name)
		begun := time.Now()
		d.Emit(d.Numbered(marker, 0, 5)...)
		rows := s.huntUntil(t, "the events of the device "+name, fmt.Sprintf(`DeviceProcessEvents | where Timestamp between (ago(5m) .. now() + 5m)
			| where ProcessCommandLine startswith "%s " | project Timestamp, RawTimestamp`, marker), func(rows []map[string]any) bool { return len(rows) == 5 })
		for _, r := range rows {
			corrected, err1 := time.Parse(time.RFC3339Nano, fmt.Sprint(r["Timestamp"]))
			raw, err2 := time.Parse(time.RFC3339Nano, fmt.Sprint(r["RawTimestamp"]))
			if err1 != nil || err2 != nil || corrected.Sub(begun).Abs() > 5*time.Second || raw.Sub(begun.Add(skew)).Abs() > 5*time.Second {
				t.Errorf("%s: Timestamp %v, RawTimestamp %v at %v; %v %v", name, r["Timestamp"], r["RawTimestamp"], begun, err1, err2)
			}
		}
		await(t, "the device's health to say it", func() error {
			h, err := s.Health(context.Background(), d.ID())
			if err != nil {
				return err
			}
			if !h.ClockWrong || math.Abs(h.ClockOffset+skew.Seconds()) > 3 || len(h.Problems) == 0 || !strings.Contains(h.Problems[0], name) {
				return fmt.Errorf("%+v", h)
			}
			return nil
		})
		if out := s.cli(t, "device", "health", d.ID()); !strings.Contains(out, "48h0m") {
			t.Errorf("vedette device health prints:\n%s", out)
		}
	}
}
