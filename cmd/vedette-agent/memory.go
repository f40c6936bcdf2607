package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// memoryGoal is when the collector works harder: what the agent holds is bounded, what it
// leaves behind in a storm of long command lines need not lie about.
const memoryGoal = 34 << 20

// boundMemory keeps the runtime's soft limit at memoryGoal, and above what is live where an
// agent must hold more (a device with very many indicators): a limit at or below the live
// heap would have the collector run without end. It returns with ctx.
func boundMemory(ctx context.Context) {
	debug.SetMemoryLimit(memoryGoal)
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			metrics.Read(live)
			debug.SetMemoryLimit(memoryLimit(live[0].Value.Uint64()))
		}
	}
}

// memoryLimit is the limit for a live heap, in bytes: half again for what is left behind
// between two collections, and the runtime's own structures.
func memoryLimit(live uint64) int64 {
	const runtimeOwn = 10 << 20
	return max(memoryGoal, int64(live+live/2+runtimeOwn))
}
