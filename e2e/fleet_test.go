package e2e

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/vedette-edr/vedette/fleetsim"
)

// newFleet enrols simulated devices; change may be nil.
func newFleet(t testing.TB, s *server, devices int, change func(*fleetsim.Config)) *fleetsim.Fleet {
	t.Helper()
	ca, err := os.ReadFile(s.profile.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	c := fleetsim.Config{Server: "https://" + s.addr, CA: ca, Token: s.profile.EnrollmentToken, Devices: devices,
		Seed: 1, Dir: t.TempDir(), Prefix: unique("f")}
	if change != nil {
		change(&c)
	}
	f, err := fleetsim.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Enrol(context.Background()); err != nil {
		t.Fatal(err)
	}
	return f
}

// startFleet is newFleet with every device running the agent's own spool and link.
func startFleet(t testing.TB, s *server, devices int, change func(*fleetsim.Config)) *fleetsim.Fleet {
	t.Helper()
	f := newFleet(t, s, devices, change)
	if err := f.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	return f
}

// awaitEmptySpools waits until the server has acknowledged everything.
func awaitEmptySpools(t testing.TB, f *fleetsim.Fleet) {
	t.Helper()
	for _, d := range f.Devices() {
		await(t, "an empty spool", func() error {
			if st := d.Spool(); st.Batches > 0 || st.Spooled+st.Dropped < st.Emitted {
				return fmt.Errorf("%s: %+v; %s", d.Name(), st, d.Status().Problem)
			}
			return nil
		})
	}
}

// expectOnce expects each of the numbered executions 0 to n-1 of a marker exactly once, on
// every device of the fleet, and no loss in the ledger.
func (s *server) expectOnce(t testing.TB, f *fleetsim.Fleet, marker string, emitted map[string]int) {
	t.Helper()
	query := fmt.Sprintf(`DeviceProcessEvents | where ProcessCommandLine startswith "%s " | summarize n = count() by DeviceName, ProcessCommandLine
		| summarize Distinct = count(), Total = sum(n) by DeviceName`, marker)
	want := len(emitted)
	s.huntUntil(t, "every event", query, func(rows []map[string]any) bool {
		total, all := 0.0, 0
		for _, r := range rows {
			total += r["Total"].(float64)
		}
		for _, n := range emitted {
			all += n
		}
		return len(rows) == want && total >= float64(all)
	})
	for _, r := range s.hunt(t, query).Results {
		if n := float64(emitted[r["DeviceName"].(string)]); r["Distinct"] != n || r["Total"] != n {
			t.Errorf("%v emitted %v events; the store holds %v, %v of them distinct", r["DeviceName"], n, r["Total"], r["Distinct"])
		}
	}
	if r := s.hunt(t, `VedetteTelemetryGaps | where EventsLost > 0`); len(r.Results) > 0 {
		t.Errorf("losses: %v", r.Results)
	}
}
