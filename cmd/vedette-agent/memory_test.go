package main

import "testing"

// A limit that the live heap reaches would keep the collector at work without end.
func TestMemoryLimitLeavesRoom(t *testing.T) {
	if got := memoryLimit(12 << 20); got != memoryGoal {
		t.Errorf("an agent at rest may use %d bytes, want the goal, %d", got, memoryGoal)
	}
	for _, live := range []uint64{0, 20 << 20, 34 << 20, 200 << 20, 1 << 30} {
		if got := memoryLimit(live); uint64(got) < live+live/2 {
			t.Errorf("%d MiB live, a limit of %d MiB", live>>20, got>>20)
		}
	}
}
