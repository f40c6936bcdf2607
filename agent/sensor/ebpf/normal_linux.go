package ebpf

import (
	"fmt"
	"path"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/hash"
	"github.com/vedette-edr/vedette/agent/process"
	"github.com/vedette-edr/vedette/agent/sensor"
	"github.com/vedette-edr/vedette/schema/event"
)

// normaliser turns the kernel's records into events. Records come from one goroutine,
// hashes from the pool's workers; mu is what they meet at. Lock order: normaliser.mu,
// then the table's.
type normaliser struct {
	cfg   Config
	clock *clock
	table *process.Table
	pool  *hash.Pool
	sink  sensor.Sink

	mu      sync.Mutex
	pending map[uint64]*pending // by Process.Key
	waiting int                 // waits of events for them
	names   *names
	texts   texts
	ended   [256]string // AdditionalFields of an end by exit code, once asked for

	// Not under mu, so that figures can be had while the sink takes its time.
	emitted, malformed, excluded, undecoded atomic.Uint64
	unhashed                                atomic.Int64
}

func newNormaliser(cfg Config, c *clock, sink sensor.Sink) *normaliser {
	return &normaliser{
		cfg: cfg, clock: c, table: cfg.Table, pool: cfg.Pool, sink: sink,
		pending: make(map[uint64]*pending), names: newNames(),
	}
}

// record takes one record of the ring. b is only read, and not kept.
func (n *normaliser) record(b []byte) {
	h, _ := view[bpfHeader](b)
	n.mu.Lock()
	defer n.mu.Unlock()
	ok := false
	if h != nil {
		switch bpfEventType(h.Type) {
		case bpfEventTypeEVENT_EXEC:
			ok = n.exec(b)
		case bpfEventTypeEVENT_FORK:
			ok = n.fork(b)
		case bpfEventTypeEVENT_EXIT:
			ok = n.exit(b)
		case bpfEventTypeEVENT_CONNECT, bpfEventTypeEVENT_CONNECTED, bpfEventTypeEVENT_CONNECT_FAILED,
			bpfEventTypeEVENT_ACCEPT, bpfEventTypeEVENT_LISTEN:
			ok = n.socket(b)
		case bpfEventTypeEVENT_DNS:
			ok = n.dns(b)
		case bpfEventTypeEVENT_CREATE, bpfEventTypeEVENT_MODIFY, bpfEventTypeEVENT_RENAME, bpfEventTypeEVENT_DELETE,
			bpfEventTypeEVENT_READ:
			ok = n.file(b)
		case bpfEventTypeEVENT_PTRACE:
			ok = n.ptrace(b)
		case bpfEventTypeEVENT_MEMFD:
			ok = n.memfd(b)
		case bpfEventTypeEVENT_WX:
			ok = n.writableCode(b)
		case bpfEventTypeEVENT_MODULE:
			ok = n.module(b)
		case bpfEventTypeEVENT_IOURING:
			ok = n.ioUring(b)
		}
	}
	if !ok {
		n.malformed.Add(1)
	}
}

func (n *normaliser) ref(w *bpfWho) process.Ref {
	return process.Ref{
		PID: w.Pid, Start: int64(w.Start), StartTime: n.clock.wall(w.Start),
		PPID: w.Ppid, ParentStart: int64(w.ParentStart),
		UID: w.Euid, Caps: w.Caps, Session: unset(w.Session), Comm: n.texts.comm(&w.Comm),
	}
}

// unset turns the audit system's "never set" into the schema's 0.
func unset(v uint32) uint32 {
	if v == ^uint32(0) {
		return 0
	}
	return v
}

// begin makes the event that every record becomes: when, where, by whom.
func (n *normaliser) begin(h *bpfHeader, table event.Table, action string) *event.Event {
	return &event.Event{
		Table: table, Action: action, Time: n.clock.wall(h.Time), Boot: int64(h.Time),
		Initiating: n.table.Find(n.ref(&h.Who)),
	}
}

func (n *normaliser) fork(b []byte) bool {
	e, _ := view[bpfForkEvent](b)
	if e == nil {
		return false
	}
	by := n.ref(&e.Header.Who)
	child := by
	child.PID, child.Start, child.StartTime = e.Child, int64(e.ChildStart), n.clock.wall(e.ChildStart)
	child.PPID, child.ParentStart = e.Parent, int64(e.ParentStart)
	p := n.table.Fork(by, child)
	if creator := n.table.Lookup(by.PID); creator != nil {
		if pend := n.pending[creator.Key]; pend != nil {
			if c := n.await(p); c != nil {
				pend.children = append(pend.children, p.Key)
				c.deadline = pend.deadline
			}
		}
	}
	return true
}

// terminated is the ActionType of a process's end.
const terminated = "ProcessTerminated"

func (n *normaliser) exit(b []byte) bool {
	e, _ := view[bpfExitEvent](b)
	if e == nil {
		return false
	}
	p := n.table.Exit(n.ref(&e.Header.Who))
	if n.cfg.OmitExit {
		return true
	}
	n.emit(&event.Event{
		Table: event.DeviceEvents, Action: terminated,
		Time: n.clock.wall(e.Header.Time), Boot: int64(e.Header.Time),
		Initiating: p, Process: p, Additional: n.status(unix.WaitStatus(e.Code)),
	})
	return true
}

// status tells how a process ended, as AdditionalFields.
func (n *normaliser) status(s unix.WaitStatus) string {
	var f fields
	if s.Signaled() {
		f.str("Signal", unix.SignalName(s.Signal()))
		return f.String()
	}
	text := &n.ended[s.ExitStatus()&0xff]
	if *text == "" {
		f.num("ExitCode", uint64(s.ExitStatus()))
		*text = f.String()
	}
	return *text
}

func (n *normaliser) exec(b []byte) bool {
	e, rest := view[bpfExecEvent](b)
	if e == nil {
		return false
	}
	s, ok := sections(rest, e.ExeLen, e.CwdLen, e.FileLen, e.ArgsLen)
	if !ok {
		return false
	}
	cut := e.Header.Flags&flagPathCut != 0
	exe := n.texts.walked(s[0], cut)
	r := n.ref(&e.Header.Who)
	img := process.Image{
		File:        event.File{Name: process.Text(base(exe)), Path: process.Text(exe), Size: e.Size},
		CommandLine: process.JoinArgs(s[3]),
		WorkingDir:  process.Text(n.texts.walked(s[1], cut)),
		At:          int64(e.Header.Time),
	}
	id := hash.ID{
		Dev: unix.Mkdev(e.Dev>>20, e.Dev&(1<<20-1)), Ino: e.Ino,
		MTime: int64(e.Mtime), CTime: int64(e.Ctime), Size: e.Size,
	}
	sums, known := n.pool.Lookup(id)
	img.File.SHA1, img.File.SHA256, img.File.MD5 = sums.SHA1, sums.SHA256, sums.MD5
	p, initiator := n.table.Exec(r, img)

	var f fields
	memfd := strings.HasPrefix(exe, "/memfd:")
	if memfd || e.Nlink == 0 {
		f.yes("Fileless")
	}
	if memfd {
		f.str("MemoryFile", process.Text(strings.TrimPrefix(exe, "/memfd:")))
	}
	if asked := n.texts.of(cBytes(s[2])); asked != exe && path.Base(asked) != base(exe) && !memfd {
		if !path.IsAbs(asked) {
			asked = path.Join(img.WorkingDir, asked)
		}
		f.str("ExecutedPath", process.Text(asked))
	}
	if e.ArgsTotal > e.ArgsLen {
		f.yes("CommandLineTruncated")
		f.num("CommandLineBytes", uint64(e.ArgsTotal))
	}
	if uid := e.Header.Who.Loginuid; uid != ^uint32(0) && uid != e.Header.Who.Euid {
		f.num("LoginUid", uint64(uid))
	}
	if e.Header.Who.Uid != e.Header.Who.Euid {
		f.num("RealUid", uint64(e.Header.Who.Uid))
	}
	if e.Mode&unix.S_ISUID != 0 {
		f.yes("SetUid")
	}
	ev := &event.Event{
		Table: event.ProcessEvents, Action: "ProcessCreated", Time: n.clock.wall(e.Header.Time),
		Boot: int64(e.Header.Time), Initiating: initiator, Process: p, Additional: f.String(),
	}
	if !known {
		key := p.Key
		err := hash.ErrBusy
		if n.await(p) != nil {
			err = n.pool.Submit(id, candidates(r, exe, cut || memfd), func(s hash.Sums, err error) { n.hashed(key, s, err) })
		}
		if err != nil {
			n.settle(key, hash.Sums{}, err)
			ev.Additional = more(ev.Additional, "HashUnavailable", reason(err))
		}
	}
	n.emit(ev)
	return true
}

// candidates are the places where the image of r may be found: through the process itself
// while it lives, else by its path, as its parent sees it and as we see it.
func candidates(r process.Ref, exe string, nameless bool) []string {
	list := []string{procExe(r.PID)}
	if nameless {
		return list
	}
	if r.PPID > 1 {
		list = append(list, fmt.Sprintf("/proc/%d/root%s", r.PPID, exe))
	}
	return append(list, exe)
}

func procExe(pid uint32) string { return fmt.Sprintf("/proc/%d/exe", pid) }
