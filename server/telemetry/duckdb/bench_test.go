package duckdb

import (
	"context"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// BenchmarkIngest appends decoded batches of 500 events from many devices at once, cuts
// included, and reports the events acknowledged per second of wall clock and per second
// of CPU, user and kernel time of the whole process together.
func BenchmarkIngest(b *testing.B) {
	const devices, events = 64, 500
	cfg := testConfig(b.TempDir())
	cfg.CutEvery = 500 * time.Millisecond
	s := openStore(b, cfg)
	// What a batch holds is made beforehand: decoding is not the store's.
	var templates []func(seq uint64) error
	for device := range devices {
		batch := makeBatch(tenantA, device, 1, events)
		templates = append(templates, func(seq uint64) error {
			c := *batch
			c.Sequence = seq
			_, err := s.Append(context.Background(), &c)
			return err
		})
	}
	before := cpuTime()
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	var wg sync.WaitGroup
	for _, send := range templates {
		wg.Go(func() {
			for seq := uint64(1); left.Add(-1) >= 0; seq++ {
				if err := send(seq); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	wall := b.Elapsed()
	cutAll(b, s)
	cpu := cpuTime() - before
	b.ReportMetric(float64(b.N*events)/wall.Seconds(), "events/s")
	b.ReportMetric(float64(b.N*events)/cpu.Seconds(), "events/cpu-s")
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
