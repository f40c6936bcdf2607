package file

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/hash"
	"github.com/vedette-edr/vedette/agent/process"
	"github.com/vedette-edr/vedette/agent/procfs"
	"github.com/vedette-edr/vedette/agent/quarantine"
	"github.com/vedette-edr/vedette/schema/event"
)

// finding is a file about which something is wanted, and how it was met.
type finding struct {
	decision Decision
	id       hash.ID
	sums     hash.Sums
	file     *os.File // the caller's
	path     string   // as those who use it name it
	by       uint32   // who wanted to run or open it, or runs it
	view     *view    // of by; nil for the agent's own
	running  bool     // it is run by by
	terminal string   // of by, as it was when that was sure to be there
}

// The names under which the published product reports what an indicator blocks, with and
// without an alert; queries look for them.
const (
	threat       = "EUS:Win32/CustomEnterpriseBlock!cl"
	silentThreat = "EUS:Win32/CustomEnterpriseNoAlertBlock!cl"
)

// additional is the AdditionalFields of an event. The first six are published ones.
type additional struct {
	ThreatName                string
	Action                    string // Blocked, Quarantined, Killed, Audited, Warned
	WasExecutingWhileDetected bool
	WasRemediated             bool
	ReportSource              string
	IsAudit                   bool   `json:",omitempty"`
	IndicatorID               int64  `json:"IndicatorId"`
	QuarantineID              string `json:"QuarantineId,omitempty"`
	Killed                    int    `json:",omitempty"` // processes
	Problem                   string `json:",omitempty"`
	Repeated                  uint64 `json:",omitempty"`
}

// settle does what a finding calls for beyond the answer that was given, and reports it.
func (g *Guard) settle(f *finding) {
	more := additional{ThreatName: threat, ReportSource: "Indicator", IndicatorID: f.decision.ID, WasExecutingWhileDetected: f.running}
	if f.decision.Silent {
		more.ThreatName = silentThreat
	}
	var by *event.Process
	if g.cfg.Lookup != nil && f.by != 0 {
		by = g.cfg.Lookup(f.by)
	}
	ev := &event.Event{
		Table: event.DeviceEvents, Action: "AntivirusDetection", Time: g.cfg.Now().UTC(), Boot: bootNow(), Initiating: by,
		File: &event.File{Name: filepath.Base(f.path), Path: process.Text(f.path), SHA1: f.sums.SHA1, SHA256: f.sums.SHA256, MD5: f.sums.MD5, Size: f.id.Size},
	}
	ev.File.Name = process.Text(ev.File.Name)
	var problem error
	switch f.decision.Action {
	case Audit:
		more.Action, more.IsAudit = "Audited", true
	case Warn:
		ev.Action, more.Action = "SmartScreenAppWarning", "Warned"
	case Block:
		more.Action = "Blocked"
		g.forbid(f.id, f.file)
		if f.running {
			more.Action = "Killed"
			if g.end(f.by, f) {
				more.Killed, more.WasRemediated = 1, true
			}
		}
	case Remediate:
		more.Action = "Blocked"
		g.forbid(f.id, f.file)
		if f.running && g.end(f.by, f) {
			more.Killed++
		}
		more.Killed += g.endAll(g.ctx, f.id, f.sums)
		var item quarantine.Item
		if item, problem = g.quarantine(f); item.ID != "" {
			more.QuarantineID = item.ID
		}
		if problem == nil {
			more.Action, more.WasRemediated = "Quarantined", true
		} else if errors.Is(problem, quarantine.ErrNotThere) {
			problem = nil // another finding was faster, or its owner was
		}
	}
	if problem != nil {
		more.Problem = problem.Error()
	}
	var tell bool
	if tell, more.Repeated = g.told.tell(toldKey{f.sums.SHA256, f.by, ev.Action + more.Action, f.decision.ID}); !tell {
		return
	}
	j, _ := json.Marshal(more) // of plain values: cannot fail
	ev.Additional = string(j)
	g.mu.Lock()
	sink := g.sink
	g.mu.Unlock()
	if sink != nil {
		sink.Emit(ev)
	}
	if f.decision.Action == Warn && g.cfg.Warned != nil {
		g.cfg.Warned(ev)
	}
}

var errNoVault = errors.New("this agent has no quarantine")

func (g *Guard) quarantine(f *finding) (quarantine.Item, error) {
	if g.cfg.Vault == nil {
		return quarantine.Item{}, errNoVault
	}
	at := f.path
	if f.view != nil {
		// Of a program in a chroot the path is as the agent sees it.
		if got, err := hash.Stat(f.view.path(f.path)); err == nil && got.Ino == f.id.Ino {
			at = f.view.path(f.path)
		}
	}
	item, err := g.cfg.Vault.Take(context.Background(), quarantine.Source{File: f.file, Path: f.path, At: at, Expect: f.sums.SHA256},
		quarantine.Reason{Indicator: f.decision.ID, Note: "an indicator asks for it to be blocked and remediated"})
	if err == nil {
		g.quarantined.Add(1)
	}
	g.mu.Lock()
	if g.noVault = err; errors.Is(err, quarantine.ErrNotThere) || errors.Is(err, quarantine.ErrUnexpected) {
		g.noVault = nil
	}
	g.mu.Unlock()
	return item, err
}

// view is the files as a process sees them.
type view struct{ root *os.File }

// viewOf returns nil when the process is gone.
func viewOf(pid uint32) *view {
	fd, err := unix.Open("/proc/"+strconv.FormatUint(uint64(pid), 10)+"/root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	return &view{os.NewFile(uintptr(fd), "root")}
}

func (v *view) path(p string) string {
	return "/proc/self/fd/" + strconv.Itoa(int(v.root.Fd())) + p
}

func (v *view) close() {
	if v != nil {
		v.root.Close()
	}
}

// end kills a process if it still is what was judged: it runs the file, or, for a script,
// has it among its arguments.
func (g *Guard) end(pid uint32, f *finding) bool {
	if int(pid) == os.Getpid() || pid <= 1 {
		return false
	}
	p, err := unix.PidfdOpen(int(pid), 0)
	if err != nil {
		return false
	}
	defer unix.Close(p)
	// From here on the number means this process, or nothing.
	if !runs(pid, f.id) && !slices.ContainsFunc(scriptsOf(pid), func(s script) bool {
		defer s.file.Close()
		return s.id == f.id
	}) {
		return false
	}
	if unix.PidfdSendSignal(p, unix.SIGKILL, nil, 0) != nil {
		return false
	}
	g.killed.Add(1)
	return true
}

// runs reports whether a process executes a file.
func runs(pid uint32, id hash.ID) bool {
	got, err := hash.Stat("/proc/" + strconv.FormatUint(uint64(pid), 10) + "/exe")
	return err == nil && got.Dev == id.Dev && got.Ino == id.Ino
}

// endAll kills every process that executes a file.
func (g *Guard) endAll(ctx context.Context, id hash.ID, sums hash.Sums) int {
	n := 0
	for _, pid := range procfs.All() {
		if ctx.Err() != nil {
			return n
		}
		if runs(pid, id) && g.end(pid, &finding{id: id, sums: sums}) {
			n++
		}
	}
	return n
}

func bootNow() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0
	}
	return ts.Nano()
}

// told remembers what was reported, so that a loop which tries again and again makes a row
// now and then and not one each time.
type told struct {
	now func() time.Time
	mu  sync.Mutex
	at  map[toldKey]*toldAt
}

type toldKey struct {
	sha256    string
	by        uint32
	what      string
	indicator int64
}

type toldAt struct {
	at       time.Time
	repeated uint64
}

const (
	toldWindow = 10 * time.Second
	maxTold    = 4096
)

// tell reports whether to, and how often it was not since it last was.
func (t *told) tell(k toldKey) (yes bool, repeated uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if l := t.at[k]; l != nil && now.Sub(l.at) < toldWindow {
		l.repeated++
		return false, 0
	} else if l != nil {
		repeated = l.repeated
	}
	if t.at == nil || len(t.at) >= maxTold {
		t.at = map[toldKey]*toldAt{}
	}
	t.at[k] = &toldAt{at: now}
	return true, repeated
}
