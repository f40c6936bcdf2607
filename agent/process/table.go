package process

import (
	"encoding/binary"
	"hash/fnv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/schema/event"
)

// Config bounds a Table and says where its facts come from. The zero value works.
type Config struct {
	BootID   string           // makes keys unique across reboots; "" reads the kernel's
	MaxLive  int              // living processes kept; 0 means 65536
	MaxEnded int              // ended processes kept; 0 means 8192
	Linger   time.Duration    // how long an ended process is kept at most; 0 means 30 s
	MaxText  int              // bytes of command lines and paths kept; 0 means 4 MiB
	Accounts *Accounts        // nil means NewAccounts("/etc/passwd", …)
	Now      func() time.Time // nil means time.Now
}

// Table knows the processes of the device. Its methods may be called from any goroutine.
type Table struct {
	cfg  Config
	boot uint64

	mu    sync.RWMutex
	live  map[uint32]*entry
	order line // living, oldest first: who goes when the table is full
	ended line // by time of end
	text  int  // bytes of text in live
	stats Stats
}

// Stats counts what a Table did.
type Stats struct {
	Live    int    // processes in the table that have not ended
	Ended   int    // processes in the table that have
	Evicted uint64 // living processes thrown out because the table was full
	Dropped uint64 // ended processes thrown out before their time
	Adopted uint64 // processes met in an event without their birth having been seen
	Clipped uint64 // processes whose texts were cut because there were too many of them
}

type entry struct {
	pid     uint32
	start   int64 // boot time ns; with a grain of 10 ms when it came from /proc
	uid     uint32
	proc    *event.Process
	creator *event.Process // who forked it, until it execs
	endedAt time.Time
	before  *entry // in order or ended
	after   *entry
	text    int // its part of Table.text
}

// line is entries in a row, linked through themselves: thousands come and go each second.
type line struct {
	first, last *entry
	len         int
}

// push puts e, which is in no line, at the end.
func (l *line) push(e *entry) {
	e.before, e.after = l.last, nil
	if l.last != nil {
		l.last.after = e
	} else {
		l.first = e
	}
	l.last = e
	l.len++
}

// remove takes e out of l, in which it is.
func (l *line) remove(e *entry) {
	if e.before != nil {
		e.before.after = e.after
	} else {
		l.first = e.after
	}
	if e.after != nil {
		e.after.before = e.before
	} else {
		l.last = e.before
	}
	e.before, e.after = nil, nil
	l.len--
}

// tick is the grain of the start time in /proc: USER_HZ is 100 on every Linux we run on.
const tick = int64(10 * time.Millisecond)

// New returns an empty table.
func New(cfg Config) *Table {
	if cfg.BootID == "" {
		cfg.BootID = bootID()
	}
	if cfg.MaxLive <= 0 {
		cfg.MaxLive = 65536
	}
	if cfg.MaxEnded <= 0 {
		cfg.MaxEnded = 8192
	}
	if cfg.Linger <= 0 {
		cfg.Linger = 30 * time.Second
	}
	if cfg.MaxText <= 0 {
		cfg.MaxText = 4 << 20
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Accounts == nil {
		cfg.Accounts = NewAccounts("/etc/passwd", cfg.Now)
	}
	h := fnv.New64a()
	h.Write([]byte(cfg.BootID))
	return &Table{cfg: cfg, boot: h.Sum64(), live: make(map[uint32]*entry)}
}

// Ref names a process and says what is known of it without the table: it is what an event
// carries about its actor.
type Ref struct {
	PID         uint32
	Start       int64     // boot time ns
	StartTime   time.Time // the same on the wall clock
	PPID        uint32
	ParentStart int64
	UID         uint32 // effective
	Old         bool   // written down earlier: UID and Caps may have changed since
	Caps        uint64 // effective
	Session     uint32 // audit session id, 0 when unset
	Comm        string
}

// Image is what an exec put into a process.
type Image struct {
	File        event.File
	CommandLine string
	WorkingDir  string
	At          int64 // boot time ns of the exec
}

// Lookup returns the process that has pid now, or had it last and ended a short while ago;
// nil when there is none.
func (t *Table) Lookup(pid uint32) *event.Process {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if e := t.live[pid]; e != nil {
		return e.proc
	}
	return nil
}

// Find returns the process that r names. One that the table does not know is adopted:
// described as well as r and /proc can.
func (t *Table) Find(r Ref) *event.Process {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.find(r).proc
}

func (t *Table) find(r Ref) *entry {
	if e := t.live[r.PID]; e != nil && sameStart(e.start, r.Start) {
		if e.uid != r.UID && !r.Old {
			t.change(e, r)
		}
		return e
	}
	p := t.describe(r)
	running := readProc(r, p)
	t.stats.Adopted++
	e := t.put(r, p)
	if !running {
		t.end(e) // its exit was reported before, if at all
	}
	return e
}

// end moves e to the processes that ended.
func (t *Table) end(e *entry) {
	if e.endedAt.IsZero() {
		t.order.remove(e)
		e.endedAt = t.cfg.Now()
		t.ended.push(e)
	}
}

// change notes that a process took on another user without an exec, as a login daemon does.
func (t *Table) change(e *entry, r Ref) {
	p := *e.proc
	p.Account = t.cfg.Accounts.Lookup(r.UID)
	p.Elevation, p.Integrity = elevation(r.UID), integrity(r.UID, r.Caps)
	p.Session = r.Session
	e.proc, e.uid = &p, r.UID
}

// Fork records that by created child, which runs the same image until it execs.
func (t *Table) Fork(by, child Ref) *event.Process {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire()
	creator := t.find(by).proc
	p := *creator
	p.PID, p.Start = child.PID, child.StartTime
	p.Key = t.key(child.PID, child.Start, 0)
	p.Parent = parentOf(creator)
	if child.PPID != by.PID {
		p.Parent = t.parent(child)
	}
	e := t.put(child, &p)
	e.creator = creator
	return e.proc
}

// Exec records that the process r runs img now. It returns the process as it is from here
// on, and who is to be called its initiator: the process that forked it, or, when this is
// not its first exec, the image that it ran before.
func (t *Table) Exec(r Ref, img Image) (now, initiator *event.Process) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.live[r.PID]
	known := e != nil && sameStart(e.start, r.Start)
	p := t.describe(r)
	p.Key = t.key(r.PID, r.Start, img.At)
	p.Image, p.CommandLine, p.WorkingDir = img.File, img.CommandLine, img.WorkingDir
	switch {
	case known:
		p.Start, p.Parent = e.proc.Start, e.proc.Parent
		initiator = e.proc
		if e.creator != nil {
			initiator = t.newest(e.creator)
		}
		e.creator, e.uid = nil, r.UID
		t.hold(e, p)
		return p, initiator
	case r.PPID != 0:
		initiator = t.find(Ref{Old: true, PID: r.PPID, Start: r.ParentStart, StartTime: r.StartTime.Add(time.Duration(r.ParentStart - r.Start))}).proc
	}
	t.stats.Adopted++
	t.put(r, p)
	return p, initiator
}

// newest returns p as the table knows it now: its hashes may have come since.
func (t *Table) newest(p *event.Process) *event.Process {
	if e := t.live[p.PID]; e != nil && e.proc.Key == p.Key {
		return e.proc
	}
	return p
}

// Exit records that the process r ended; it stays to be looked up for a while.
func (t *Table) Exit(r Ref) *event.Process {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire()
	e := t.find(r)
	t.end(e)
	return e.proc
}

// SetImage says what is known by now of the image that the process pid with the given key
// runs. It does nothing when the process has another image meanwhile.
func (t *Table) SetImage(pid uint32, key uint64, img event.File) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.live[pid]; e != nil && e.proc.Key == key {
		p := *e.proc
		p.Image = img
		t.hold(e, &p)
	}
}

// Images returns the paths of the programs of the table, each once, those that have ended
// included.
func (t *Table) Images() []string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	seen := map[string]bool{}
	var out []string
	add := func(e *entry) {
		if p := e.proc.Image.Path; strings.HasPrefix(p, "/") && !seen[p] {
			seen[p] = true
			out = append(out, p)
		}
	}
	for _, e := range t.live {
		add(e)
	}
	for e := t.ended.first; e != nil; e = e.after {
		add(e)
	}
	return out
}

// Stats returns what the table did so far.
func (t *Table) Stats() Stats {
	t.mu.RLock()
	defer t.mu.RUnlock()
	s := t.stats
	s.Live, s.Ended = t.order.len, t.ended.len
	return s
}

// put makes p the process of r.PID and keeps the table in its bounds.
func (t *Table) put(r Ref, p *event.Process) *entry {
	if old := t.live[r.PID]; old != nil {
		t.unlink(old)
	}
	for t.order.len >= t.cfg.MaxLive {
		t.unlink(t.order.first)
		t.stats.Evicted++
	}
	e := &entry{pid: r.PID, start: r.Start, uid: r.UID}
	t.hold(e, p)
	t.order.push(e)
	t.live[r.PID] = e
	return e
}

// clipped is how much of a command line is kept when the texts are too many.
const clipped = 256

// hold makes p what is kept of e. Command lines are chosen by anybody and as many as there
// are processes: beyond Config.MaxText only their beginning is kept, for the events that p
// causes later. The event that is made of p now has all of it.
func (t *Table) hold(e *entry, p *event.Process) {
	t.text -= e.text
	e.text = textOf(p)
	if t.text+e.text > t.cfg.MaxText {
		q := *p
		q.CommandLine, q.WorkingDir, q.Image.Path = clip(p.CommandLine), clip(p.WorkingDir), clip(p.Image.Path)
		if n := textOf(&q); n < e.text {
			p, e.text = &q, n
			t.stats.Clipped++
		}
	}
	t.text += e.text
	e.proc = p
}

func textOf(p *event.Process) int { return len(p.CommandLine) + len(p.WorkingDir) + len(p.Image.Path) }

func clip(s string) string {
	if len(s) <= clipped {
		return s
	}
	n := clipped
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	// A copy, or it would keep all of s alive.
	return strings.Clone(s[:n]) + "…"
}

func (t *Table) unlink(e *entry) {
	if e.endedAt.IsZero() {
		t.order.remove(e)
	} else {
		t.ended.remove(e)
	}
	delete(t.live, e.pid)
	t.text -= e.text
}

// expire forgets ended processes that are too old or too many.
func (t *Table) expire() {
	limit := t.cfg.Now().Add(-t.cfg.Linger)
	for e := t.ended.first; e != nil; e = t.ended.first {
		late := e.endedAt.Before(limit)
		if !late && t.ended.len <= t.cfg.MaxEnded {
			return
		}
		if !late {
			t.stats.Dropped++
		}
		t.unlink(e)
	}
}

// describe makes a process of what r alone says.
func (t *Table) describe(r Ref) *event.Process {
	return &event.Process{
		Key:       t.key(r.PID, r.Start, 0),
		PID:       r.PID,
		Start:     r.StartTime,
		Image:     event.File{Name: r.Comm, Size: -1},
		Account:   t.cfg.Accounts.Lookup(r.UID),
		Session:   r.Session,
		Elevation: elevation(r.UID),
		Integrity: integrity(r.UID, r.Caps),
		Parent:    t.parent(r),
	}
}

func (t *Table) parent(r Ref) event.Parent {
	if r.PPID == 0 {
		return event.Parent{}
	}
	if e := t.live[r.PPID]; e != nil && (r.ParentStart == 0 || sameStart(e.start, r.ParentStart)) {
		return parentOf(e.proc)
	}
	p := event.Parent{PID: r.PPID}
	if r.ParentStart != 0 && !r.StartTime.IsZero() {
		p.Start = r.StartTime.Add(time.Duration(r.ParentStart - r.Start))
	}
	return p
}

func parentOf(p *event.Process) event.Parent {
	return event.Parent{PID: p.PID, FileName: p.Image.Name, Start: p.Start}
}

// key hashes what makes a process unique on the device. exec is the boot time of its last
// exec, 0 for one that was found running or has only been forked.
func (t *Table) key(pid uint32, start, exec int64) uint64 {
	var b [28]byte
	binary.LittleEndian.PutUint64(b[0:], t.boot)
	binary.LittleEndian.PutUint32(b[8:], pid)
	binary.LittleEndian.PutUint64(b[12:], uint64(start/tick))
	binary.LittleEndian.PutUint64(b[20:], uint64(exec))
	h := fnv.New64a()
	h.Write(b[:])
	// 0 means no key, and the column is read as a signed number by some clients.
	return max(h.Sum64()>>1, 1)
}

// sameStart compares start times of which one may come from /proc, cut to whole ticks.
func sameStart(a, b int64) bool { return a == b || a/tick == b/tick }

func elevation(uid uint32) string {
	if uid == 0 {
		return "TokenElevationTypeFull"
	}
	return "TokenElevationTypeDefault"
}

func integrity(uid uint32, caps uint64) string {
	switch {
	case uid == 0:
		return "System"
	case caps != 0:
		return "High"
	}
	return "Medium"
}
