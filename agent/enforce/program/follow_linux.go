package program

import (
	"bytes"
	"context"
	"errors"
	"os"
	"structs"
	"time"

	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/process"
	"github.com/vedette-edr/vedette/agent/sensor"
	"github.com/vedette-edr/vedette/schema/event"
)

// Reporter turns what a program says into events. T is the program's record.
type Reporter[T any] struct {
	Sink   sensor.Sink
	Source string        // of the gaps that it reports: the facility
	Settle time.Duration // how long a record waits, so that who caused it is known by then
	Most   int           // records that wait; beyond it the oldest goes at once
	Take   func([]byte) (*T, bool)
	Emit   func(*T)
	Lost   func() uint64 // records for which the kernel had no room, since ever
	Now    func() time.Time

	waiting []held[T] // in the order of their release
	lost    uint64    // reported so far
	since   time.Time
}

type held[T any] struct {
	record *T
	at     time.Time
}

// lossEvery is how often losses are reported.
const lossEvery = time.Minute

// Follow reads the ring until ctx ends and detach has stopped the programs, and all that
// they had written by then.
func (r *Reporter[T]) Follow(ctx context.Context, ring *ringbuf.Reader, detach func()) error {
	r.since = r.Now()
	// What the kernel noted until then is still read: the read after it says ErrFlushed. A
	// deadline would not do, it waits for the read that it is to end.
	stop := context.AfterFunc(ctx, func() {
		detach()
		_ = ring.Flush() // fails once the ring is closed, when nothing waits any more
	})
	defer stop()
	var rec ringbuf.Record
	var next time.Time
	for done := false; !done; {
		if now := time.Now(); !now.Before(next) {
			r.losses()
			next = now.Add(lossEvery)
		}
		due := next
		if len(r.waiting) > 0 && r.waiting[0].at.Before(due) {
			due = r.waiting[0].at
		}
		ring.SetDeadline(due)
		err := ring.ReadInto(&rec)
		switch {
		case err == nil:
			r.take(rec.RawSample)
		case errors.Is(err, ringbuf.ErrClosed), errors.Is(err, ringbuf.ErrFlushed):
			done = true
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		}
		r.release(time.Now())
	}
	r.release(time.Now().Add(r.Settle))
	r.losses()
	return nil
}

func (r *Reporter[T]) take(b []byte) {
	x, ok := r.Take(b)
	if !ok {
		return
	}
	if len(r.waiting) >= r.Most {
		r.pop()
	}
	r.waiting = append(r.waiting, held[T]{x, time.Now().Add(r.Settle)})
}

func (r *Reporter[T]) release(now time.Time) {
	for len(r.waiting) > 0 && !now.Before(r.waiting[0].at) {
		r.pop()
	}
}

func (r *Reporter[T]) pop() {
	x := r.waiting[0].record
	r.waiting[0].record = nil
	r.waiting = r.waiting[1:]
	r.Emit(x)
}

// losses reports the records that the kernel could not hand over since it was last called.
func (r *Reporter[T]) losses() {
	now := r.Now()
	if n := r.Lost(); n > r.lost {
		r.Sink.Lost(event.Gap{Source: r.Source, Reason: "the kernel's ring buffer was full", Count: n - r.lost, From: r.since, To: now})
		r.lost = n
	}
	r.since = now
}

// Who is struct who of the programs: the process behind a record.
type Who struct {
	_           structs.HostLayout
	Start       uint64
	ParentStart uint64
	Cgroup      uint64
	Caps        uint64
	Pid         uint32
	Tid         uint32
	Ppid        uint32
	Uid         uint32
	Euid        uint32
	Gid         uint32
	Loginuid    uint32
	Session     uint32
	Comm        [16]int8
}

// Ref is what a table of processes finds w by; ok is false when w is nobody.
func (w *Who) Ref(wall func(boot uint64) time.Time) (ref process.Ref, ok bool) {
	if w.Pid == 0 {
		return ref, false
	}
	comm := make([]byte, len(w.Comm))
	for i, x := range w.Comm {
		comm[i] = byte(x)
	}
	comm, _, _ = bytes.Cut(comm, []byte{0})
	ref = process.Ref{
		PID: w.Pid, Start: int64(w.Start), StartTime: wall(w.Start), PPID: w.Ppid, ParentStart: int64(w.ParentStart),
		UID: w.Euid, Caps: w.Caps, Comm: process.Text(string(comm)), Old: true,
	}
	if w.Session != ^uint32(0) {
		ref.Session = w.Session
	}
	return ref, true
}

// BootNow is the time since boot in nanoseconds, 0 where the kernel does not tell.
func BootNow() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0
	}
	return ts.Nano()
}

// Wall returns what turns times since boot into times of the clock now.
func Wall(now func() time.Time) func(boot uint64) time.Time {
	boot := now().Add(-time.Duration(BootNow()))
	return func(ns uint64) time.Time { return boot.Add(time.Duration(ns)).UTC() }
}
