package account

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/passwd"
	"github.com/vedette-edr/vedette/agent/sensor"
	"github.com/vedette-edr/vedette/schema/event"
)

// Config is what a Sensor needs. The zero value of every field works.
type Config struct {
	// Root is the root of the file system that is watched; "" means /.
	Root string
	// Host is the Domain of local accounts; "" means the kernel's host name.
	Host string
	// Writer says who last wrote a file, by its absolute path, if that is known: inotify
	// does not tell. May be nil; may return nil.
	Writer func(path string) *event.Process
	// Quiet is how long files must be quiet before they are compared; 0 means 300 ms.
	Quiet time.Duration
	// Now is the wall clock; nil means time.Now.
	Now func() time.Time
}

var native = binary.NativeEndian

// settle is how long after the first change account files are read, however many follow.
const settle = 20 * time.Millisecond

// maxWait bounds how long a stream of changes can put off the comparison.
const maxWait = 10 // times Quiet

// Sensor watches accounts, services and tasks. It implements sensor.Sensor.
type Sensor struct {
	cfg  Config
	seed maphash.Seed

	mu         sync.Mutex
	facilities []sensor.Facility
}

var _ sensor.Sensor = (*Sensor)(nil)

// New returns a sensor; nothing is read before Run.
func New(cfg Config) *Sensor {
	if cfg.Root == "" {
		cfg.Root = "/"
	}
	if real, err := filepath.EvalSymlinks(cfg.Root); err == nil {
		cfg.Root = real
	}
	if cfg.Host == "" {
		cfg.Host, _ = os.Hostname()
	}
	if cfg.Quiet == 0 {
		cfg.Quiet = 300 * time.Millisecond
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Sensor{cfg: cfg, seed: maphash.MakeSeed()}
}

// Name returns "account".
func (s *Sensor) Name() string { return "account" }

// Facilities reports the account files and the unit directories.
func (s *Sensor) Facilities() []sensor.Facility {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]sensor.Facility(nil), s.facilities...)
}

// Run takes the present state as the base and reports what changes until ctx ends.
func (s *Sensor) Run(ctx context.Context, sink sensor.Sink) error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return fmt.Errorf("inotify: %w", err)
	}
	in := os.NewFile(uintptr(fd), "inotify")
	defer in.Close()
	stop := context.AfterFunc(ctx, func() { _ = in.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()

	w := &watcher{s: s, fd: fd, sink: sink, scanner: scanner{root: s.cfg.Root}, roles: map[int32]role{}}
	// Watched first and read second: a change in between is then seen twice, not missed.
	w.watchAccounts()
	w.identity, err = w.readIdentity()
	if err != nil {
		w.accounts = err
	}
	w.base()
	return w.loop(ctx, in)
}

// watcher is the state of one Run.
type watcher struct {
	s        *Sensor
	fd       int
	sink     sensor.Sink
	scanner  scanner
	identity identity
	units    map[string]unit
	accounts error // why accounts are not read
	unwatch  error // why a directory is not watched
	roles    map[int32]role
}

// role is what is looked for in a watched directory.
type role uint8

const (
	files  role = 1 << iota // any entry
	parent                  // directories that appear
	etc                     // the account files
)

const mask = unix.IN_CLOSE_WRITE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_CREATE | unix.IN_DELETE |
	unix.IN_DELETE_SELF | unix.IN_MOVE_SELF

// watch adds a directory, or the nearest parent that is there, where it will appear.
func (w *watcher) watch(dir string, r role) {
	for {
		wd, err := unix.InotifyAddWatch(w.fd, dir, mask|unix.IN_ONLYDIR|unix.IN_MASK_ADD)
		if err == nil {
			w.roles[int32(wd)] |= r
			return
		}
		up := filepath.Dir(dir)
		if !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOTDIR) || up == dir || len(up) < len(w.s.cfg.Root) {
			w.unwatch = fmt.Errorf("watch %s: %w", dir, err)
			return
		}
		dir, r = up, parent
	}
}

func (w *watcher) watchAccounts() { w.watch(filepath.Join(w.s.cfg.Root, "etc"), etc) }

// base scans until the directories that a scan looked into were all watched before it.
func (w *watcher) base() {
	watched := map[string]bool{}
	for {
		c := w.scanner.scan()
		grown := false
		for _, d := range c.dirs {
			if !watched[d] {
				watched[d], grown = true, true
				w.watch(d, files)
			}
		}
		if !grown {
			w.units = c.units
			w.report(c)
			return
		}
	}
}

func (w *watcher) report(c *scan) {
	acc := sensor.Facility{Name: "account:files", State: sensor.Working}
	if w.accounts != nil {
		acc.State, acc.Detail = sensor.Missing, w.accounts.Error()
	} else if w.identity.shadow == nil {
		acc.State, acc.Detail = sensor.Degraded, "shadow cannot be read: password changes are not seen"
		acc.Remedy = "run the agent as root"
	}
	svc := sensor.Facility{Name: "account:units", State: sensor.Working}
	switch {
	case w.unwatch != nil:
		svc.State, svc.Detail = sensor.Degraded, w.unwatch.Error()
		svc.Remedy = "raise fs.inotify.max_user_watches"
	case c.cut:
		svc.State, svc.Detail = sensor.Degraded, fmt.Sprintf("more than %d unit files: the rest is not seen", maxUnits)
	}
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	w.s.facilities = []sensor.Facility{acc, svc}
}

// loop compares whenever something was changed and has been quiet for a while.
func (w *watcher) loop(ctx context.Context, in *os.File) error {
	stopped := func() bool { return ctx.Err() != nil }
	buf := make([]byte, 64<<10)
	var first time.Time   // of the changes not yet compared
	var touched time.Time // when an account file changed that was not read since
	for {
		deadline := time.Time{}
		if !first.IsZero() {
			deadline = time.Now().Add(w.s.cfg.Quiet)
			if last := first.Add(maxWait * w.s.cfg.Quiet); last.Before(deadline) {
				deadline = last
			}
		}
		if due := touched.Add(settle); !touched.IsZero() && due.Before(deadline) {
			deadline = due
		}
		_ = in.SetReadDeadline(deadline)
		if stopped() {
			return nil
		}
		n, err := in.Read(buf)
		switch {
		case stopped():
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded) && !touched.IsZero():
			touched = time.Time{}
			w.compareAccounts()
		case errors.Is(err, os.ErrDeadlineExceeded):
			first = time.Time{}
			w.compare()
		case err != nil:
			return fmt.Errorf("inotify: %w", err)
		default:
			found, accounts := w.relevant(buf[:n])
			if found && first.IsZero() {
				first = time.Now()
			}
			if accounts && touched.IsZero() {
				touched = time.Now()
			}
		}
	}
}

// relevant reports whether any of the events may have changed what is compared, and
// whether it was the accounts.
func (w *watcher) relevant(b []byte) (found, accounts bool) {
	for len(b) >= unix.SizeofInotifyEvent {
		wd, m := int32(native.Uint32(b)), native.Uint32(b[4:])
		size := unix.SizeofInotifyEvent + int(native.Uint32(b[12:]))
		if size > len(b) {
			return true, true
		}
		name := unix.ByteSliceToString(b[unix.SizeofInotifyEvent:size])
		r := w.roles[wd]
		switch {
		case m&unix.IN_Q_OVERFLOW != 0:
			found = true
		case m&unix.IN_IGNORED != 0:
			delete(w.roles, wd) // the directory is gone; its number will not come again
		case r&files != 0,
			r&parent != 0 && m&unix.IN_ISDIR != 0,
			r&etc != 0 && name == "crontab":
			found = true
		case r&etc != 0 && (name == "passwd" || name == "group" || name == "shadow"):
			found, accounts = true, true
		case m&(unix.IN_DELETE_SELF|unix.IN_MOVE_SELF) != 0:
			found = true
		}
		b = b[size:]
	}
	return found, accounts
}

func (w *watcher) compare() {
	w.watchAccounts()
	w.compareAccounts()
	old := w.units
	w.unwatch = nil
	w.base()
	w.emit(diffUnits(old, w.units))
}

// compareAccounts also runs soon after each change: an account that is made, used and
// removed at once must not be missed because it was gone when all was quiet.
func (w *watcher) compareAccounts() {
	now, err := w.readIdentity()
	switch {
	case err != nil:
		// An editor may have moved the file away for a moment: nobody was deleted yet.
		w.accounts = err
	case w.accounts != nil && w.identity.db == nil:
		w.accounts, w.identity = nil, now
	default:
		w.accounts = nil
		w.emit(diffIdentity(w.identity, now, w.s.cfg.Host))
		w.identity = now
	}
}

func (w *watcher) readIdentity() (identity, error) {
	db, err := passwd.Read(w.s.cfg.Root)
	if err != nil {
		return identity{}, err
	}
	id := identity{db: db}
	f, err := os.Open(filepath.Join(w.s.cfg.Root, "etc/shadow"))
	if err != nil {
		return id, nil
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 16<<20))
	if err == nil {
		id.shadow = parseShadow(text, w.s.seed)
	}
	return id, nil
}

func (w *watcher) emit(changes []change) {
	for _, c := range changes {
		path := filepath.Join("/", c.path)
		e := &event.Event{
			Table: event.DeviceEvents, Action: c.action, Time: w.s.cfg.Now().UTC(), Account: c.account,
			File: c.file, Additional: object(c.fields),
		}
		if e.File == nil {
			e.File = &event.File{Size: -1}
		}
		e.File.Path, e.File.Name = strings.ToValidUTF8(path, "\uFFFD"), strings.ToValidUTF8(filepath.Base(path), "\uFFFD")
		if w.s.cfg.Writer != nil {
			e.Initiating = w.s.cfg.Writer(filepath.Join(w.s.cfg.Root, c.path))
		}
		var ts unix.Timespec
		if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) == nil {
			e.Boot = ts.Nano()
		}
		w.sink.Emit(e)
	}
}
