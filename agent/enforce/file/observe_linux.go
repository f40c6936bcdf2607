package file

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/hash"
	"github.com/vedette-edr/vedette/agent/procfs"
	"github.com/vedette-edr/vedette/schema/event"
)

// Observe looks at an event of the sensors: a process that runs what the kernel did not ask
// about is judged after the fact. It returns at once.
func (g *Guard) Observe(e *event.Event) {
	if e.Table != event.ProcessEvents || e.Action != "ProcessCreated" || e.Process == nil {
		return
	}
	confined := g.cfg.Confine.Active()
	if !confined && !g.cfg.Active() {
		return
	}
	p := e.Process
	d := g.cfg.Decide(hash.Sums{SHA1: p.Image.SHA1, SHA256: p.Image.SHA256, MD5: p.Image.MD5})
	if !confined && !d.Action.blocks() && !procfs.Interprets(p.Image.Name) {
		return
	}
	select {
	case g.seen <- e:
	default: // a storm; what is blocked for good is met again
	}
}

func (g *Guard) observe(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-g.seen:
			g.inspect(e.Process.PID)
		}
	}
}

// inspect judges what a process runs, and the script that it was given.
func (g *Guard) inspect(pid uint32) {
	g.image(pid, Block)
	for _, s := range scriptsOf(pid) {
		g.script(pid, s)
	}
}

// image judges what a process executes, if what is wanted is at least least.
func (g *Guard) image(pid uint32, least Action) {
	f, err := os.Open("/proc/" + strconv.FormatUint(uint64(pid), 10) + "/exe")
	if err != nil {
		return // it has ended, or is a thread of the kernel
	}
	defer f.Close()
	id, sums, err := g.sums(f)
	if g.isOwn(id) || g.ctx.Err() != nil {
		return
	}
	var d Decision
	if err == nil {
		d = g.cfg.Decide(sums)
	}
	if d.Action < least {
		// What the kernel did not ask about: a file system that is not marked, or not yet, or
		// that no mark reaches, as memory is.
		if least == Block && d.Action != Allow && g.cfg.Confine.Active() && !g.trusts(f, id, sums, pid) {
			g.report(&finding{id: id, sums: sums, file: f, path: strings.TrimSuffix(pathOf(f), " (deleted)"), by: pid, running: true}, useExec)
		}
		return
	}
	v := viewOf(pid)
	defer v.close()
	path := strings.TrimSuffix(pathOf(f), " (deleted)")
	g.settle(&finding{decision: d, id: id, sums: sums, file: f, path: path, by: pid, view: v, running: true})
}

func (g *Guard) script(pid uint32, s script) {
	defer s.file.Close()
	id, sums, err := g.sums(s.file)
	if err != nil {
		return
	}
	d := g.cfg.Decide(sums)
	if d.Action == None && g.cfg.Confine.Active() && isOperand(pid, exeName(pid), s.id) && !g.trusts(s.file, s.id, sums, pid) {
		g.report(&finding{id: s.id, sums: sums, file: s.file, path: s.path, by: pid, running: true}, useScript)
		return
	}
	if d.Action <= Allow {
		return
	}
	v := viewOf(pid)
	defer v.close()
	g.settle(&finding{decision: d, id: id, sums: sums, file: s.file, path: s.path, by: pid, view: v, running: d.Action.blocks()})
}

func exeName(pid uint32) string {
	exe, err := os.Readlink("/proc/" + strconv.FormatUint(uint64(pid), 10) + "/exe")
	if err != nil {
		return ""
	}
	return filepath.Base(exe)
}

// review looks through what runs for files that are to be remediated: first those whose
// digests are known, which is done at once, then the others, small files first.
func (g *Guard) review(ctx context.Context) {
	if !g.cfg.Active() {
		return
	}
	seen := map[hash.ID]bool{}
	type running struct {
		pid  uint32
		size int64
	}
	var unread []running
	for _, pid := range procfs.All() {
		id, err := hash.Stat("/proc/" + strconv.FormatUint(uint64(pid), 10) + "/exe")
		if err != nil || seen[id] {
			continue
		}
		seen[id] = true
		if sums, ok := g.cfg.Pool.Lookup(id); !ok {
			unread = append(unread, running{pid, id.Size})
		} else if g.cfg.Decide(sums).Action == Remediate {
			g.image(pid, Remediate)
		}
	}
	slices.SortFunc(unread, func(a, b running) int { return cmp.Compare(a.size, b.size) })
	for _, r := range unread {
		if ctx.Err() != nil {
			return
		}
		g.image(r.pid, Remediate)
	}
}

// script is a file that a process was given as an argument.
type script struct {
	file *os.File
	id   hash.ID
	path string // as the process names it, absolute
}

// Bounds of what is looked at of one process.
const (
	maxArguments = 16
	maxScripts   = 4
	maxCommand   = 64 << 10
)

// scriptsOf returns the regular files among the first arguments of an interpreter. The
// caller closes them.
func scriptsOf(pid uint32) (out []script) {
	base := "/proc/" + strconv.FormatUint(uint64(pid), 10)
	exe, err := os.Readlink(base + "/exe")
	if err != nil || !procfs.Interprets(filepath.Base(exe)) {
		return nil
	}
	f, err := os.Open(base + "/cmdline")
	if err != nil {
		return nil
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxCommand))
	f.Close()
	if err != nil {
		return nil
	}
	args := bytes.Split(bytes.TrimSuffix(raw, []byte{0}), []byte{0})
	cwd, err := os.Readlink(base + "/cwd")
	if err != nil {
		return nil
	}
	for i, a := range args {
		if i == 0 || len(a) == 0 || a[0] == '-' {
			continue
		}
		if i > maxArguments || len(out) == maxScripts {
			break
		}
		path := string(a)
		if !filepath.IsAbs(path) {
			path = filepath.Join(cwd, path)
		}
		// RESOLVE_IN_ROOT: as the process sees it, links to absolute names too.
		root, err := unix.Open(base+"/root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return out
		}
		at, err := unix.Openat2(root, path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
		unix.Close(root)
		if err != nil {
			continue
		}
		// Opened only when it is a file: opening others may have effects.
		var st unix.Stat_t
		if unix.Fstat(at, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
			unix.Close(at)
			continue
		}
		s, err := os.Open("/proc/self/fd/" + strconv.Itoa(at))
		unix.Close(at)
		if err != nil {
			continue
		}
		id, err := statFile(s)
		if err != nil {
			s.Close()
			continue
		}
		out = append(out, script{s, id, path})
	}
	return out
}
