package file

import (
	"context"
	"encoding/binary"
	"os"
	"strconv"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/hash"
)

// question is one program that waits for an answer of the kernel, which waits for ours.
type question struct {
	file     *os.File // as the kernel is about to run it
	pid      uint32   // who asks
	exec     bool     // to run it; else to open it
	asked    time.Time
	answered atomic.Bool
}

// maxPending bounds the questions that are looked at at once; beyond it programs run
// unasked, and are judged afterwards.
const maxPending = 1024

// read hands the kernel's questions out until the group is closed. It does nothing itself
// that could wait: a file system may not answer.
func (g *Guard) read() {
	buf := make([]byte, 64<<10)
	for {
		n, err := g.group.Read(buf)
		if err != nil {
			return // closed
		}
		for b := buf[:n]; len(b) >= int(unsafe.Sizeof(unix.FanotifyEventMetadata{})); {
			m := (*unix.FanotifyEventMetadata)(unsafe.Pointer(&b[0]))
			if m.Event_len < uint32(unsafe.Sizeof(*m)) || int(m.Event_len) > len(b) {
				break
			}
			if m.Fd >= 0 {
				g.ask(m)
			}
			b = b[m.Event_len:]
		}
	}
}

const permission = unix.FAN_OPEN_EXEC_PERM | unix.FAN_OPEN_PERM

func (g *Guard) ask(m *unix.FanotifyEventMetadata) {
	q := &question{
		file: os.NewFile(uintptr(m.Fd), ""), pid: uint32(m.Pid), exec: m.Mask&unix.FAN_OPEN_EXEC_PERM != 0, asked: time.Now(),
	}
	if m.Mask&permission == 0 {
		q.file.Close()
		return
	}
	g.asked.Add(1)
	g.mu.Lock()
	room := len(g.pending) < maxPending && !g.closed
	if room {
		g.pending[q] = struct{}{}
	}
	g.mu.Unlock()
	if int(m.Pid) == os.Getpid() || !room {
		if !room {
			g.late.Add(1)
		}
		g.answer(q, true)
		q.file.Close()
		return
	}
	if !g.begin(func() { g.judge(q) }) {
		g.answer(q, true)
		q.file.Close()
	}
}

// answer tells the kernel, once. It reports whether it was the first to.
func (g *Guard) answer(q *question, allow bool) bool {
	if q.answered.Swap(true) {
		return false
	}
	r := unix.FanotifyResponse{Fd: int32(q.file.Fd()), Response: unix.FAN_DENY}
	if allow {
		r.Response = unix.FAN_ALLOW
	}
	b := make([]byte, 8)
	binary.NativeEndian.PutUint32(b, uint32(r.Fd))
	binary.NativeEndian.PutUint32(b[4:], r.Response)
	_, _ = g.group.Write(b) // after Close the kernel has answered itself
	g.mu.Lock()
	delete(g.pending, q)
	g.mu.Unlock()
	return true
}

// judge answers a question and does what follows from the answer.
func (g *Guard) judge(q *question) {
	defer q.file.Close()
	confined := g.cfg.Confine.Active()
	if confined && !q.exec && !g.isKnown(q.file) {
		g.judgeOpen(q)
		return
	}
	id, sums, err := g.sums(q.file)
	if g.isOwn(id) || g.ctx.Err() != nil || err != nil && !confined {
		// Fail open: what runs is looked at again when the sensors report it.
		g.answer(q, true)
		return
	}
	var d Decision
	if err == nil {
		d = g.cfg.Decide(sums)
	}
	if confined && q.exec && !d.Action.blocks() && d.Action != Allow && !g.trusts(q.file, id, sums, q.pid) {
		g.refuse(q, &finding{id: id, sums: sums, file: q.file, path: pathOf(q.file), by: q.pid}, useExec)
		return
	}
	if !q.exec && !d.Action.blocks() {
		g.answer(q, true)
		g.release(id, q.file)
		return
	}
	// Who asks is there as long as it waits; afterwards its view of the files may be gone.
	var v *view
	if d.Action == Remediate {
		v = viewOf(q.pid)
		defer v.close()
	}
	first := g.answer(q, !d.Action.blocks())
	if first && d.Action.blocks() {
		g.denied.Add(1)
	}
	if d.Action > Allow {
		// Who was let go meanwhile runs it by now, or is about to.
		g.settle(&finding{decision: d, id: id, sums: sums, file: q.file, path: pathOf(q.file), by: q.pid, view: v, running: !first})
	}
}

// small is the size up to which a file does not wait for large ones to be read.
const small = 4 << 20

// sums reads at most a few files at once, small ones beside large ones.
func (g *Guard) sums(f *os.File) (hash.ID, hash.Sums, error) {
	id, err := statFile(f)
	if err != nil {
		return id, hash.Sums{}, err
	}
	if s, ok := g.cfg.Pool.Lookup(id); ok && !hash.Unstamped(f) {
		return id, s, nil
	}
	slots := g.reading
	if id.Size > small {
		slots = g.readingLarge
	}
	select {
	case slots <- struct{}{}:
	case <-g.ctx.Done():
		return hash.ID{}, hash.Sums{}, g.ctx.Err()
	}
	defer func() { <-slots }()
	return g.cfg.Pool.File(g.ctx, f)
}

func statFile(f *os.File) (hash.ID, error) {
	return hash.Stat("/proc/self/fd/" + strconv.Itoa(int(f.Fd())))
}

func (g *Guard) isOwn(id hash.ID) bool { return id.Dev == g.own.Dev && id.Ino == g.own.Ino }

func pathOf(f *os.File) string {
	p, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(int(f.Fd())))
	if err != nil {
		return ""
	}
	return p
}

// sweep lets go of programs that have waited too long, and shows the watchdog that it does.
func (g *Guard) sweep(ctx context.Context) {
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		g.mu.Lock()
		var overdue []*question
		for q := range g.pending {
			if time.Since(q.asked) > g.cfg.Patience {
				overdue = append(overdue, q)
			}
		}
		d := g.dog
		g.mu.Unlock()
		for _, q := range overdue {
			if g.answer(q, true) {
				g.late.Add(1)
			}
		}
		if d != nil && !g.behind() {
			d.beat()
		}
	}
}

// behind reports whether questions lie in the kernel that nobody reads.
func (g *Guard) behind() bool {
	c, err := g.group.SyscallConn()
	if err != nil {
		return false
	}
	n := 0
	err = c.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
	return err == nil && n > 32<<10
}
