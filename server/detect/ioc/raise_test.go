package ioc

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/store"
	"github.com/vedette-edr/vedette/server/telemetry"
)

// BenchmarkRaise is how many alerts a second are matched beside a million IOCs, kept
// durably and announced, with what was seen counted and written too: batches in each of
// which every event hits another row, from many devices at once.
func BenchmarkRaise(b *testing.B) {
	r := load(b, 1_000_000)
	db, err := store.Open(b.Context(), store.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	r.m.tally = newTally(db.Threats())
	alerts := alert.NewService(alert.Config{Store: db.Alerts()})
	const per = 50
	var n atomic.Int64
	b.SetParallelism(8)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			k := n.Add(1)
			x := &telemetry.Batch{Tenant: acme, DeviceName: "host.test", Incarnation: 1, Sequence: uint64(k), FirstReport: k * per, Received: start}
			x.Device = ident.DeviceID(fmt.Sprint("d", k%100))
			for i := range per {
				host := (int(k)*per + i) % 250_000 // every fourth row is a name
				x.Events = append(x.Events, connect("ConnectionSuccess", "", fmt.Sprintf("host-%d.malware.test", 4*host+1), curl(uint64(k)), start))
			}
			found, err := r.m.Match(b.Context(), x)
			if err != nil || len(found) != per {
				b.Errorf("%d alerts: %v", len(found), err)
				return
			}
			if made, err := alerts.Raise(b.Context(), found); err != nil || len(made) != per {
				b.Errorf("%d alerts kept: %v", len(made), err)
				return
			}
		}
	})
	if err := r.m.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	b.ReportMetric(float64(n.Load()*per)/b.Elapsed().Seconds(), "alerts/s")
}
