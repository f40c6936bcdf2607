package action_test

import (
	"fmt"
	"testing"

	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/ident"
)

// BenchmarkRequestMany asks 1,000 devices for the same in one request.
func BenchmarkRequestMany(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		f := setup(b)
		var ids []ident.DeviceID
		for n := range action.MaxBulk {
			id := ident.DeviceID(fmt.Sprintf("%040x", 0x1000+n))
			if err := f.store.Devices().Create(b.Context(), &device.Device{ID: id, Tenant: tenant, Name: fmt.Sprint("many", n), Incarnation: 1}); err != nil {
				b.Fatal(err)
			}
			ids = append(ids, id)
		}
		b.StartTimer()
		out, err := f.RequestMany(b.Context(), analyst, ids, action.Request{Kind: action.Isolate, Comment: "benchmark"})
		if err != nil || out[0].Err != nil {
			b.Fatal(err, out[0].Err)
		}
	}
}
