//go:build linux

package ebpf

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/schema/event"
)

type discard struct{ lost uint64 }

func (*discard) Emit(*event.Event)  {}
func (d *discard) Lost(g event.Gap) { d.lost += g.Count }
func cpuTime(b *testing.B) (d time.Duration) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkExecStorm has a shell start /bin/true over and over and reports what a process
// creation (fork, exec, exit) costs the agent and, inside the kernel, the programs; and what
// share of one core both take at 1,600 a second.
func BenchmarkExecStorm(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("needs root")
	}
	s := New(Config{RunStats: true})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	var sink discard
	go func() { done <- s.Run(ctx, &sink) }()
	select {
	case <-s.Ready():
	case err := <-done:
		b.Skip(err)
	}
	for end := time.Now().Add(deadline); s.Stats().Unhashed > 0; {
		if time.Now().After(end) {
			b.Fatalf("%d programs are still unhashed", s.Stats().Unhashed)
		}
		time.Sleep(10 * time.Millisecond)
	}
	loop := fmt.Sprintf("i=0; while [ $i -lt %d ]; do /bin/true; i=$((i+1)); done", b.N)
	before, kernel := cpuTime(b), s.Stats()
	b.ResetTimer()
	if err := exec.Command("/bin/sh", "-c", loop).Run(); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	agent := cpuTime(b) - before
	bpf := s.Stats().RunTime - kernel.RunTime
	stop()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	n := float64(b.N)
	b.ReportMetric(float64(agent.Nanoseconds())/n/1e3, "agent-µs/op")
	b.ReportMetric(float64(bpf.Nanoseconds())/n/1e3, "bpf-µs/op")
	b.ReportMetric(100*1600*float64((agent+bpf).Nanoseconds())/n/1e9, "%core@1600/s")
	b.ReportMetric(float64(sink.lost), "lost")
}
