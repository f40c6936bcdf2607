package scan

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Gate is where a scan can be held and let go on.
type Gate struct {
	mu   sync.Mutex
	shut chan struct{} // nil while it is open; closed when it opens
}

// Pause holds the scan at the gate. It reports false when it was held already.
func (g *Gate) Pause() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut != nil {
		return false
	}
	g.shut = make(chan struct{})
	return true
}

// Resume lets the scan go on. It reports false when it was not held.
func (g *Gate) Resume() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut == nil {
		return false
	}
	close(g.shut)
	g.shut = nil
	return true
}

// Paused reports whether the gate is shut.
func (g *Gate) Paused() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shut != nil
}

func (g *Gate) pass(ctx context.Context) (held bool, err error) {
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut == nil {
		return false, ctx.Err()
	}
	select {
	case <-shut:
		return true, ctx.Err()
	case <-ctx.Done():
		return true, ctx.Err()
	}
}

// pacer keeps the processor time of one thread, and what others spend for it, below a
// share of one processor. It belongs to the goroutine that is locked to the thread.
type pacer struct {
	gate  *Gate
	share float64 // of one processor

	begin time.Time     // of the account
	cpu   time.Duration // of the thread at begin
	extra time.Duration // spent by others since begin
	total time.Duration // of processor time before begin
	start time.Time     // of all
	held  time.Duration // at the gate, which does not count
	say   func()        // called now and then
}

// account is how long one balance lasts: what was saved up long ago is not spent at once.
const account = 2 * time.Second

func newPacer(percent int, gate *Gate, say func()) *pacer {
	p := &pacer{gate: gate, share: float64(percent) / 100, start: time.Now(), say: say}
	p.begin, p.cpu = p.start, threadTime()
	return p
}

func threadTime() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// spent adds processor time that somebody else spent for the scan.
func (p *pacer) spent(d time.Duration) { p.extra += d }

// wait sleeps as long as the share demands, and at a shut gate. It fails when ctx ends.
func (p *pacer) wait(ctx context.Context) error {
	p.say()
	before := time.Now()
	held, err := p.gate.pass(ctx)
	if held {
		p.held += time.Since(before)
		p.settle()
	}
	if err != nil {
		return err
	}
	used := threadTime() - p.cpu + p.extra
	due := time.Duration(float64(used)/p.share) - time.Since(p.begin)
	if due < time.Millisecond {
		if time.Since(p.begin) > account {
			p.settle()
		}
		return nil
	}
	t := time.NewTimer(due)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			p.settle()
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (p *pacer) settle() {
	now := threadTime()
	p.total += now - p.cpu + p.extra
	p.begin, p.cpu, p.extra = time.Now(), now, 0
}

// used returns the processor time of all, and the share of one processor that it was.
func (p *pacer) used() (time.Duration, float64) {
	p.settle()
	wall := time.Since(p.start) - p.held
	if wall <= 0 {
		return p.total, 0
	}
	return p.total, float64(p.total) / float64(wall)
}

// humble makes the thread the last to get processor and disk. What of it does not work on
// this kernel changes nothing about the pace. SCHED_IDLE is not for a thread that may hold
// what others of the program wait for.
func humble() {
	const (
		ioprioWho  = 1 // a process
		ioprioIdle = 3 << 13
	)
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 19)
	_, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, ioprioWho, 0, ioprioIdle)
}
