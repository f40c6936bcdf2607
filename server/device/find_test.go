package device_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/store"
)

// TestHealthIsFilteredAsItIsShown compares what Find selects by health with Health of
// every device, at times that lie around its thresholds.
func TestHealthIsFilteredAsItIsShown(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	db, err := store.Open(t.Context(), store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	s := device.New(device.Config{Store: db.Devices(), Clock: func() time.Time { return now }})
	health, _ := device.Fields.Find("healthStatus")
	words := []string{"Active", "Inactive", "ImpairedCommunication", "NoSensorData", "NoSensorDataImpairedCommunication", "Unknown", "active", "x"}
	week := 7 * 24 * time.Hour
	moment := rapid.SampledFrom([]time.Time{{}, now, now.Add(-time.Hour), now.Add(-25 * time.Hour), now.Add(-week), now.Add(-week - 1), now.Add(-week + 1)})
	round := 0
	rapid.Check(t, func(r *rapid.T) {
		round++
		tenant := ident.TenantID(fmt.Sprintf("%08x-0000-4000-8000-000000000000", round))
		var all []*device.Device
		for n := range 6 {
			d := &device.Device{ID: ident.DeviceID(fmt.Sprintf("%032x%08x", round, n)), Tenant: tenant, FirstSeen: moment.Draw(r, "first"),
				LastSeen: moment.Draw(r, "seen"), LastReport: moment.Draw(r, "report"), LastData: moment.Draw(r, "data"),
				Spool: device.Spool{Oldest: moment.Draw(r, "oldest")}}
			if err := db.Devices().Create(t.Context(), d); err != nil {
				t.Fatal(err)
			}
			all = append(all, d)
		}
		for range 6 {
			op := filter.Op(rapid.IntRange(0, int(filter.Contains)).Draw(r, "op"))
			v := filter.Value{Type: filter.String, S: rapid.SampledFrom(words).Draw(r, "word")}
			var where filter.Expr = filter.Compare{Field: health, Op: op, Value: v}
			if rapid.Bool().Draw(r, "not") {
				where = filter.Not{Term: where}
			}
			page, err := s.Find(t.Context(), tenant, device.Query{}, filter.Query{Where: where})
			if err != nil {
				t.Fatal(err)
			}
			got := map[ident.DeviceID]bool{}
			for _, d := range page.Items {
				got[d.ID] = true
			}
			for _, d := range all {
				want := filter.Match(where, func(string) any { return string(d.Health(now)) })
				if got[d.ID] != want {
					r.Fatalf("%+v: a device that is %s: %v, want %v", where, d.Health(now), got[d.ID], want)
				}
			}
		}
		_, err := s.Find(t.Context(), tenant, device.Query{}, filter.Query{Order: []filter.Order{{Field: health}}})
		if !errs.Is(err, errs.Invalid) {
			r.Fatalf("ordered by health: %v", err)
		}
	})
}
