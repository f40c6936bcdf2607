package process

import (
	"bytes"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/agent/procfs"
	"github.com/vedette-edr/vedette/schema/event"
)

// procLimit bounds what is read of one file under /proc.
const procLimit = 128 << 10

func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
}

// Snapshot puts the processes of /proc into the table, except those that it knows already,
// and returns them. boot is the wall-clock instant of the boot, to which start times count.
// Processes that end while it reads are left out.
func (t *Table) Snapshot(boot time.Time) ([]*event.Process, error) {
	pids, err := procfs.PIDs("/proc")
	if err != nil {
		return nil, err
	}
	var refs []Ref
	for _, pid := range pids {
		if r, ok := readRef(pid, boot); ok {
			refs = append(refs, r)
		}
	}
	// Parents first, so that a child finds its parent's name.
	byPID := make(map[uint32]Ref, len(refs))
	for _, r := range refs {
		byPID[r.PID] = r
	}
	var found []*event.Process
	done := make(map[uint32]bool, len(refs))
	var add func(r Ref, depth int)
	add = func(r Ref, depth int) {
		if done[r.PID] || depth > 4096 {
			return
		}
		done[r.PID] = true
		if parent, ok := byPID[r.PPID]; ok {
			add(parent, depth+1)
			r.ParentStart = parent.Start
		}
		if p := t.load(r); p != nil {
			found = append(found, p)
		}
	}
	for _, r := range refs {
		add(r, 0)
	}
	return found, nil
}

// load adds one process from /proc, unless an event told of it meanwhile.
func (t *Table) load(r Ref) *event.Process {
	t.mu.RLock()
	e := t.live[r.PID]
	t.mu.RUnlock()
	if e != nil {
		return nil
	}
	var read event.Process
	readProc(r, &read)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.live[r.PID] != nil {
		return nil
	}
	p := t.describe(r)
	if read.Image.Path != "" {
		p.Image = read.Image
	}
	p.CommandLine, p.WorkingDir = read.CommandLine, read.WorkingDir
	return t.put(r, p).proc
}

// readRef reads /proc/PID/stat and /proc/PID/status.
func readRef(pid uint32, boot time.Time) (Ref, bool) {
	base := "/proc/" + strconv.FormatUint(uint64(pid), 10)
	stat, ok := procfs.ReadStat(pid)
	if !ok {
		return Ref{}, false
	}
	r := Ref{PID: pid, PPID: stat.PPID, Comm: Text(stat.Comm), Start: stat.Start.Nanoseconds()}
	r.StartTime = boot.Add(time.Duration(r.Start))
	status, err := readBounded(base + "/status")
	if err != nil {
		return Ref{}, false
	}
	for line := range strings.Lines(string(status)) {
		key, rest, _ := strings.Cut(line, ":")
		v := strings.Fields(rest)
		switch {
		case key == "Uid" && len(v) >= 2:
			n, _ := strconv.ParseUint(v[1], 10, 32)
			r.UID = uint32(n)
		case key == "CapEff" && len(v) == 1:
			r.Caps, _ = strconv.ParseUint(v[0], 16, 64)
		}
	}
	if b, err := readBounded(base + "/sessionid"); err == nil {
		if n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32); err == nil && n != 1<<32-1 {
			r.Session = uint32(n)
		}
	}
	return r, true
}

// readProc fills in of p what /proc says of the running process r: image, arguments and
// directory. It reports false, and changes nothing, when r does not run any more.
func readProc(r Ref, p *event.Process) bool {
	base := "/proc/" + strconv.FormatUint(uint64(r.PID), 10)
	var got event.Process
	if exe, err := os.Readlink(base + "/exe"); err == nil {
		exe = strings.TrimSuffix(exe, " (deleted)")
		got.Image = event.File{Name: Text(path.Base(exe)), Path: Text(exe), Size: -1}
		if fi, err := os.Stat(base + "/exe"); err == nil {
			got.Image.Size = fi.Size()
		}
	}
	if b, err := readBounded(base + "/cmdline"); err == nil && len(b) > 0 {
		got.CommandLine = JoinArgs(b)
	}
	if cwd, err := os.Readlink(base + "/cwd"); err == nil {
		got.WorkingDir = Text(cwd)
	}
	again, ok := readRef(r.PID, time.Time{})
	if !ok || !sameStart(again.Start, r.Start) {
		return false
	}
	if got.Image.Path == "" {
		return true // a kernel thread
	}
	p.Image, p.CommandLine, p.WorkingDir = got.Image, got.CommandLine, got.WorkingDir
	if p.Parent.PID == 0 {
		p.Parent.PID = again.PPID
	}
	return true
}

// SplitArgs splits the kernel's form of an argument list: each ended by a NUL.
func SplitArgs(b []byte) []string {
	b = bytes.TrimSuffix(b, []byte{0})
	if len(b) == 0 {
		return nil
	}
	return strings.Split(string(b), "\x00")
}

func readBounded(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, procLimit))
}
