package file

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/hash"
	"github.com/vedette-edr/vedette/agent/quarantine"
	"github.com/vedette-edr/vedette/agent/sensor"
	"github.com/vedette-edr/vedette/schema/event"
)

// Config is what a Guard needs. Members marked so may be left out.
type Config struct {
	Pool   *hash.Pool // shared with the sensors
	Decide Decide
	// Active reports whether there is anything to decide about: while there is not, nothing
	// is marked.
	Active func() bool
	// Confine narrows what may run; nil for not at all.
	Confine Confinement
	// Refused is told of what the confinement kept from running, with the terminal of who
	// tried, below /dev, "" for none: who tried may have ended by then. nil tells nobody.
	Refused func(e *event.Event, terminal string)
	// Lookup describes a process, which may have begun a moment ago, and may wait for the
	// sensors to have told of it. nil leaves it out.
	Lookup func(pid uint32) *event.Process
	// Vault takes files of Remediate; nil leaves them in their place, blocked.
	Vault *quarantine.Vault
	// Warned is told of what was let run with a warning; nil tells nobody.
	Warned func(*event.Event)
	// Accept chooses the mounts whose file systems are marked; nil for all local ones.
	Accept func(Mount) bool
	// Watchdog makes the command that runs Watch in a process of its own; nil for this
	// program with the argument "watchdog".
	Watchdog func() *exec.Cmd
	Patience time.Duration // how long a program waits for its file to be read; 0 for 3 s
	Now      func() time.Time
}

// Guard judges what is run. Its methods may be called from any goroutine.
type Guard struct {
	cfg          Config
	own          hash.ID // of the agent's program; its times and size do not count
	group        *os.File
	fd           int               // the group's; used under marks only
	changed      chan struct{}     // of capacity 1: the rules changed
	apply        chan chan error   // who waits until the marks are as wanted
	seen         chan *event.Event // that Observe has to look at
	reading      chan struct{}     // one token for each small file that may be read at once
	readingLarge chan struct{}     // the same of large ones
	workers      sync.WaitGroup
	ctx          context.Context // of what is done for asked programs
	stop         context.CancelFunc
	told         told

	mu      sync.Mutex // guards what follows; nothing that may wait is done under it
	sink    sensor.Sink
	pending map[*question]struct{}
	dog     *dog
	noVault error // why a file could not be put into quarantine
	closed  bool

	marks    sync.Mutex        // guards what follows; taken before mu
	marked   map[string]uint64 // what is asked about, by file system
	known    map[hash.ID]bool  // blocked files that nobody may open
	failure  error             // why nothing is marked; nil when it is, or need not be
	unmarked error             // why some file system is not

	asked, denied, late, killed, quarantined atomic.Uint64
}

var _ sensor.Sensor = (*Guard)(nil)

// New finds out whether the kernel lets permission be asked for; nothing is marked yet.
// The caller closes it, or lets Run do so.
func New(cfg Config) (*Guard, error) {
	if cfg.Patience <= 0 {
		cfg.Patience = 3 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Accept == nil {
		cfg.Accept = func(Mount) bool { return true }
	}
	if cfg.Confine == nil {
		cfg.Confine = nobody{}
	}
	if cfg.Watchdog == nil {
		cfg.Watchdog = func() *exec.Cmd { return exec.Command("/proc/self/exe", "watchdog") }
	}
	fd, err := unix.FanotifyInit(unix.FAN_CLASS_CONTENT|unix.FAN_CLOEXEC|unix.FAN_NONBLOCK|unix.FAN_UNLIMITED_QUEUE|unix.FAN_UNLIMITED_MARKS,
		unix.O_RDONLY|unix.O_CLOEXEC|unix.O_LARGEFILE|unix.O_NOATIME)
	if err != nil {
		return nil, fmt.Errorf("file: %w", os.NewSyscallError("fanotify_init", err))
	}
	g := &Guard{
		cfg: cfg, fd: fd, group: os.NewFile(uintptr(fd), "fanotify"), changed: make(chan struct{}, 1), apply: make(chan chan error), seen: make(chan *event.Event, 4096),
		reading: make(chan struct{}, 4), readingLarge: make(chan struct{}, 2), pending: map[*question]struct{}{}, marked: map[string]uint64{}, known: map[hash.ID]bool{},
	}
	g.told.now = cfg.Now
	g.ctx, g.stop = context.WithCancel(context.Background())
	if g.own, err = hash.Stat("/proc/self/exe"); err != nil {
		return nil, errors.Join(fmt.Errorf("file: %w", err), g.Close())
	}
	return g, nil
}

// Close lets go of every program that waits and removes all marks.
func (g *Guard) Close() error {
	g.marks.Lock()
	defer g.marks.Unlock()
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return nil
	}
	g.closed = true
	d := g.dog
	g.dog = nil
	g.mu.Unlock()
	g.stop()
	err := g.group.Close() // the kernel answers what was not answered: allowed
	if d != nil {
		d.close()
	}
	return err
}

// Changed says that Decide answers otherwise than before.
func (g *Guard) Changed() {
	select {
	case g.changed <- struct{}{}:
	default:
	}
}

// Apply brings what is asked of the kernel to what is wanted now, and returns when that is
// done, with the reason why it cannot be. Run has to run.
func (g *Guard) Apply(ctx context.Context) error {
	done := make(chan error, 1)
	select {
	case g.apply <- done:
	case <-ctx.Done():
		return ctx.Err()
	case <-g.ctx.Done():
		return errClosed
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-g.ctx.Done():
		return errClosed
	}
}

// Unmarked is why some file system is not asked about: programs there are ended after they
// began. nil when there is none.
func (g *Guard) Unmarked() error {
	g.marks.Lock()
	defer g.marks.Unlock()
	return g.unmarked
}

var errClosed = errors.New("file: the agent is stopping")

// Stats returns the figures so far.
func (g *Guard) Stats() Stats {
	g.marks.Lock()
	defer g.marks.Unlock()
	return Stats{Asked: g.asked.Load(), Denied: g.denied.Load(), Late: g.late.Load(), Killed: g.killed.Load(),
		Quarantined: g.quarantined.Load(), Marked: len(g.marked)}
}

// Name returns "enforce:file", which is also the name of its only facility.
func (g *Guard) Name() string { return "enforce:file" }

// Facilities implements sensor.Sensor.
func (g *Guard) Facilities() []sensor.Facility {
	g.marks.Lock()
	defer g.marks.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	f := sensor.Facility{Name: "enforce:file", State: sensor.Working}
	switch {
	case g.closed:
		f.State, f.Detail = sensor.Missing, "the agent is stopping"
	case g.failure != nil:
		f.State, f.Detail = sensor.Degraded, "blocked programs are ended after they began, not kept from beginning: "+g.failure.Error()
		f.Remedy = "run the agent as root (CAP_SYS_ADMIN) on a kernel with fanotify permission events"
	case g.unmarked != nil:
		f.State, f.Detail = sensor.Degraded, "on some file systems blocked programs are ended after they began: "+g.unmarked.Error()
	case g.noVault != nil:
		f.State, f.Detail = sensor.Degraded, "a blocked file could not be put into quarantine: "+g.noVault.Error()
		f.Remedy = "make room in the agent's state directory"
	}
	return []sensor.Facility{f}
}

// look is how often mounts of other mount namespaces are looked for; those of the agent's
// own are marked as they come.
const look = 2 * time.Second

// Run implements sensor.Sensor: it judges until ctx ends and then closes the Guard.
func (g *Guard) Run(ctx context.Context, sink sensor.Sink) error {
	g.mu.Lock()
	g.sink = sink
	g.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(g.read)
	wg.Go(func() { g.sweep(ctx) })
	for range 2 {
		wg.Go(func() { g.observe(ctx) })
	}
	mounts := make(chan struct{}, 1)
	wg.Go(func() { watchMounts(ctx, mounts) })
	reviews := make(chan struct{}, 1)
	wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-reviews:
				g.review(ctx)
			}
		}
	})
	g.Changed()
	t := time.NewTicker(look)
	defer t.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-g.changed:
			g.mark()
			select {
			case reviews <- struct{}{}:
			default:
			}
		case <-mounts:
			g.mark()
		case done := <-g.apply:
			g.mark()
			g.marks.Lock()
			done <- g.failure
			g.marks.Unlock()
		case <-t.C:
			g.mark()
		}
	}
	err := g.Close()
	wg.Wait()
	g.workers.Wait()
	return err
}

// begin starts f among the workers, unless the Guard is closed.
func (g *Guard) begin(f func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.workers.Go(f)
	return true
}
