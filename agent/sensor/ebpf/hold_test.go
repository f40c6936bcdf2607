//go:build linux

package ebpf

import (
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/vedette-edr/vedette/agent/hash"
	"github.com/vedette-edr/vedette/agent/process"
	"github.com/vedette-edr/vedette/schema/event"
)

type tally struct{ n atomic.Int64 }

func (t *tally) Emit(*event.Event) { t.n.Add(1) }
func (t *tally) Lost(event.Gap)    {}

func TestWhatWaitsForHashesIsBoundedAndDelivered(t *testing.T) {
	const execs = 3 * maxPending
	pool := hash.NewPool(hash.Config{Workers: 1, Queue: 2 * execs})
	t.Cleanup(pool.Close)
	hold, held := make(chan struct{}), make(chan struct{})
	if err := pool.Submit(hash.ID{}, nil, func(hash.Sums, error) { close(held); <-hold }); err != nil {
		t.Fatal(err)
	}
	<-held
	out := new(tally)
	cfg := Config{Now: time.Now, Pool: pool, Table: process.New(process.Config{MaxLive: 100})}
	n := newNormaliser(cfg, newClock(time.Now), out)
	b := make([]byte, unsafe.Sizeof(bpfExecEvent{}))
	e := (*bpfExecEvent)(unsafe.Pointer(&b[0]))
	e.Header.Type = uint32(bpfEventTypeEVENT_EXEC)
	for i := range uint32(execs) {
		e.Header.Who.Pid, e.Header.Who.Start, e.Header.Time = 1<<23+i, uint64(i), uint64(i)
		e.Ino = uint64(i) + 1
		n.record(b)
	}
	n.mu.Lock()
	if len(n.pending) > maxPending || n.waiting > maxWaiting {
		t.Errorf("%d processes pending, %d waits", len(n.pending), n.waiting)
	}
	n.mu.Unlock()
	if got := out.n.Load(); got != execs-maxWaiting {
		t.Errorf("%d events went on at once, want %d", got, execs-maxWaiting)
	}
	close(hold)
	for end := time.Now().Add(deadline); n.anyWaiting(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("events are held for ever")
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if got := out.n.Load(); got != execs || n.waiting != 0 {
		t.Errorf("%d events delivered of %d; %d waits left", got, execs, n.waiting)
	}
}
