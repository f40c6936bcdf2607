package store_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/ident"
)

// TestRiskFollowsTheAlerts raises, resolves and opens alerts in any order and compares the
// risk of each device with its alerts.
func TestRiskFollowsTheAlerts(t *testing.T) {
	s := open(t, t.TempDir())
	const tenant = ident.TenantID("00000000-0000-4000-8000-000000000001")
	severities := []alert.Severity{alert.Informational, alert.Low, alert.Medium, alert.High}
	round := 0
	rapid.Check(t, func(r *rapid.T) {
		round++
		var ids [2]ident.DeviceID
		for i := range ids {
			ids[i] = ident.DeviceID(fmt.Sprintf("%040x", round*2+i))
			if err := s.Devices().Create(t.Context(), &device.Device{ID: ids[i], Tenant: tenant}); err != nil {
				t.Fatal(err)
			}
		}
		all := map[ident.AlertID]*alert.Alert{}
		for n := range rapid.IntRange(1, 12).Draw(r, "steps") {
			id := ident.AlertID(fmt.Sprintf("da%d_%d", round, rapid.IntRange(0, n).Draw(r, "alert")))
			severity := rapid.SampledFrom(severities).Draw(r, "severity")
			status := rapid.SampledFrom([]alert.Status{alert.New, alert.InProgress, alert.Resolved}).Draw(r, "status")
			if all[id] == nil {
				all[id] = &alert.Alert{ID: id, Tenant: tenant, Device: rapid.SampledFrom(ids[:]).Draw(r, "device"), Severity: severity,
					Status: status, Created: time.Unix(1, 0), Updated: time.Unix(1, 0)}
				if _, err := s.Alerts().CreateAlerts(t.Context(), []*alert.Alert{all[id]}); err != nil {
					t.Fatal(err)
				}
				continue
			}
			var err error
			all[id], err = s.Alerts().UpdateAlert(t.Context(), tenant, id, func(a *alert.Alert) error {
				a.Severity, a.Status = severity, status
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, id := range ids {
			want, worst := device.NoRisk, -1
			for _, a := range all {
				for rank, severity := range severities {
					if a.Device == id && a.Status != alert.Resolved && a.Severity == severity && rank > worst {
						want, worst = device.Risk(severity), rank
					}
				}
			}
			d, err := s.Devices().Get(t.Context(), tenant, id)
			if err != nil {
				t.Fatal(err)
			}
			if d.Risk != want {
				r.Fatalf("risk %s, want %s", d.Risk, want)
			}
		}
	})
}
