package file

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/hash"
	"github.com/vedette-edr/vedette/agent/process"
	"github.com/vedette-edr/vedette/agent/procfs"
	"github.com/vedette-edr/vedette/schema/event"
)

// Confinement narrows what may run to what is trusted, while it is active: what Decide
// neither blocks nor allows has to be. Its methods are called from many goroutines and do
// not wait for anybody.
type Confinement interface {
	Active() bool
	// Trusts reports whether a file may be run, loaded or interpreted.
	Trusts(Subject) bool
}

// Subject is a file that somebody wants to run.
type Subject struct {
	File *os.File // the caller's
	Path string   // as the kernel tells it to this process; hostile
	ID   hash.ID
	Sums hash.Sums // zero of a file that could not be read whole
	By   uint32    // who wants to
}

// nobody confines nothing.
type nobody struct{}

func (nobody) Active() bool        { return false }
func (nobody) Trusts(Subject) bool { return true }

// use is what somebody wants with a file that is not trusted.
type use string

// The uses.
const (
	useExec    use = "Executed"
	useLibrary use = "Loaded"
	useScript  use = "Interpreted"
)

// trusts judges a file that is to be run.
func (g *Guard) trusts(f *os.File, id hash.ID, sums hash.Sums, by uint32) bool {
	return g.isOwn(id) || g.cfg.Confine.Trusts(Subject{File: f, Path: pathOf(f), ID: id, Sums: sums, By: by})
}

// judgeOpen answers whether a file may be opened while execution is confined. Most are
// data; a file is asked for its trust only when it is about to become code: a program or
// library that the dynamic loader opens, a script that an interpreter opens.
func (g *Guard) judgeOpen(q *question) {
	kind, is := g.becomesCode(q)
	if !is {
		g.answer(q, true)
		return
	}
	id, sums, _ := g.sums(q.file) // what cannot be read whole is trusted by its place, or not
	if g.ctx.Err() != nil {
		g.answer(q, true)
		return
	}
	if g.trusts(q.file, id, sums, q.pid) || g.cfg.Decide(sums).Action == Allow {
		g.answer(q, true)
		return
	}
	g.refuse(q, &finding{id: id, sums: sums, file: q.file, path: pathOf(q.file), by: q.pid}, kind)
}

// refuse denies what is not trusted, ends who was let go meanwhile, and reports it.
func (g *Guard) refuse(q *question, f *finding, kind use) {
	f.terminal = terminalOf(f.by) // a shell's child ends as soon as it is answered
	if g.answer(q, false) {
		g.denied.Add(1)
	} else {
		f.running = true
	}
	if kind == useScript && filepath.Ext(f.path) == ".pyc" {
		return // Python reads its source instead, which is judged
	}
	g.report(f, kind)
}

// confined is the AdditionalFields of what was kept from running.
type confined struct {
	Policy   string // what confines
	Use      string
	Killed   bool   `json:",omitempty"`
	Repeated uint64 `json:",omitempty"`
}

// report ends a process that runs what is not trusted, tells its user, and reports it under
// the names by which the published product reports what application control blocks.
func (g *Guard) report(f *finding, kind use) {
	if f.running {
		f.terminal = terminalOf(f.by) // it is ended below
	}
	more := confined{Policy: "RestrictCodeExecution", Use: string(kind)}
	var by *event.Process
	if g.cfg.Lookup != nil && f.by != 0 {
		by = g.cfg.Lookup(f.by)
	}
	if f.running {
		more.Killed = g.end(f.by, f)
	}
	e := &event.Event{
		Table: event.DeviceEvents, Action: "AppControlExecutableBlocked", Time: g.cfg.Now().UTC(), Boot: bootNow(), Initiating: by,
		File: &event.File{Name: process.Text(filepath.Base(f.path)), Path: process.Text(f.path), SHA1: f.sums.SHA1, SHA256: f.sums.SHA256, MD5: f.sums.MD5, Size: f.id.Size},
	}
	if kind == useScript {
		e.Action = "AppControlScriptBlocked"
	}
	var tell bool
	if tell, more.Repeated = g.told.tell(toldKey{e.File.Path, f.by, e.Action, 0}); !tell {
		return
	}
	j, _ := json.Marshal(more) // of plain values: cannot fail
	e.Additional = string(j)
	g.mu.Lock()
	sink := g.sink
	g.mu.Unlock()
	if sink != nil {
		sink.Emit(e)
	}
	if g.cfg.Refused != nil {
		g.cfg.Refused(e, f.terminal)
	}
}

// terminalOf is the terminal that controls a process, "" for none.
func terminalOf(pid uint32) string {
	s, ok := procfs.ReadStat(pid)
	if !ok {
		return ""
	}
	return s.Terminal()
}

var elfMagic = []byte("\x7fELF")

// becomesCode reports whether an open file is about to be code of who opens it.
func (g *Guard) becomesCode(q *question) (use, bool) {
	head := make([]byte, 4)
	n, err := unix.Pread(int(q.file.Fd()), head, 0)
	if err != nil || n == 0 {
		return "", false
	}
	head = head[:n]
	base := "/proc/" + strconv.FormatUint(uint64(q.pid), 10)
	if bytes.Equal(head, elfMagic) {
		// Most are libraries that are known: that is found out faster than who opens them.
		if id, err := statFile(q.file); err == nil && !hash.Unstamped(q.file) {
			if sums, ok := g.cfg.Pool.Lookup(id); ok && g.trusts(q.file, id, sums, q.pid) {
				return "", false
			}
		}
		return useLibrary, loading(base)
	}
	exe, err := os.Readlink(base + "/exe")
	if err != nil {
		return "", false
	}
	name := strings.TrimSuffix(filepath.Base(exe), " (deleted)")
	if !procfs.Interprets(name) {
		return "", false
	}
	if bytes.HasPrefix(head, []byte("#!")) || scriptExtensions[strings.ToLower(filepath.Ext(pathOf(q.file)))] {
		return useScript, true
	}
	// A program that is about to be run is opened by the loader, which is named like an
	// interpreter; what else it reads is its cache.
	id, err := statFile(q.file)
	return useScript, err == nil && isOperand(q.pid, name, id)
}

// scriptExtensions are those of files that interpreters run when they are not told to by
// name: modules, libraries of scripts, archives of classes.
var scriptExtensions = map[string]bool{
	".sh": true, ".bash": true, ".zsh": true, ".ksh": true, ".csh": true, ".fish": true, ".py": true, ".pyc": true, ".pyw": true, ".pyz": true,
	".pl": true, ".pm": true, ".ph": true, ".rb": true, ".js": true, ".mjs": true, ".cjs": true, ".ts": true, ".node": true, ".php": true, ".phar": true,
	".lua": true, ".tcl": true, ".exp": true, ".awk": true, ".jar": true, ".war": true, ".class": true, ".jmod": true, ".ps1": true, ".psm1": true, ".r": true,
}

// loading reports whether some thread of a process waits for a file that the dynamic loader
// opens: its next instruction is the loader's own. A program that copies a library opens
// it from elsewhere.
func loading(base string) bool {
	maps, err := readSome(base+"/maps", 4<<20)
	if err != nil {
		return false
	}
	type span struct{ from, to uint64 }
	var loader []span
	musl := false
	for line := range bytes.Lines(maps) {
		f := bytes.Fields(line)
		if len(f) < 6 || !bytes.Contains(f[1], []byte("x")) {
			continue
		}
		name := filepath.Base(string(f[5]))
		if !strings.HasPrefix(name, "ld-") && !strings.HasPrefix(name, "ld.so") {
			continue
		}
		musl = musl || strings.HasPrefix(name, "ld-musl")
		from, to, ok := strings.Cut(string(f[0]), "-")
		a, err1 := strconv.ParseUint(from, 16, 64)
		b, err2 := strconv.ParseUint(to, 16, 64)
		if ok && err1 == nil && err2 == nil {
			loader = append(loader, span{a, b})
		}
	}
	if len(loader) == 0 {
		return false
	}
	if musl {
		// The C library itself: whatever is opened is opened from there. While the program's own
		// file is all that runs besides, it is loading.
		exe, err := os.Readlink(base + "/exe")
		return err == nil && strings.HasPrefix(filepath.Base(exe), "ld-musl")
	}
	threads, _ := filepath.Glob(base + "/task/[0-9]*/syscall") // a malformed pattern is its only error
	for _, t := range threads[:min(len(threads), 4096)] {
		raw, err := readSome(t, 1<<10)
		if err != nil {
			continue
		}
		f := strings.Fields(string(raw))
		if len(f) < 3 { // running
			continue
		}
		pc, err := strconv.ParseUint(strings.TrimPrefix(f[len(f)-1], "0x"), 16, 64)
		if err == nil && slices.ContainsFunc(loader, func(s span) bool { return pc >= s.from && pc < s.to }) {
			return true
		}
	}
	return false
}

func readSome(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most))
}

// isOperand reports whether a file is what an interpreter was told to run.
func isOperand(pid uint32, interpreter string, id hash.ID) bool {
	base := "/proc/" + strconv.FormatUint(uint64(pid), 10)
	raw, err := readSome(base+"/cmdline", maxCommand)
	if err != nil || len(raw) == 0 {
		return false
	}
	var args []string
	for a := range bytes.SplitSeq(bytes.TrimSuffix(raw, []byte{0}), []byte{0}) {
		args = append(args, string(a))
	}
	for _, name := range operands(interpreter, args) {
		if got, ok := statAs(base, name); ok && got.Dev == id.Dev && got.Ino == id.Ino {
			return true
		}
	}
	return false
}

// statAs tells the file that a process names so, without opening it.
func statAs(base, name string) (hash.ID, bool) {
	if !filepath.IsAbs(name) {
		cwd, err := os.Readlink(base + "/cwd")
		if err != nil {
			return hash.ID{}, false
		}
		name = filepath.Join(cwd, name)
	}
	root, err := unix.Open(base+"/root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return hash.ID{}, false
	}
	defer unix.Close(root)
	at, err := unix.Openat2(root, name, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
	if err != nil {
		return hash.ID{}, false
	}
	defer unix.Close(at)
	var st unix.Stat_t
	if unix.Fstat(at, &st) != nil {
		return hash.ID{}, false
	}
	return hash.ID{Dev: st.Dev, Ino: st.Ino}, true
}
