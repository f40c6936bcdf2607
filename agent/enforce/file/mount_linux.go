package file

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/hash"
	"github.com/vedette-edr/vedette/agent/mount"
	"github.com/vedette-edr/vedette/agent/procfs"
)

// Mount is a mounted file system as some mount namespace has it.
type Mount struct {
	mount.Mount
	At string // where this process finds it
}

// mounts lists the mounts of every mount namespace that a process is in.
func mounts() []Mount {
	var out []Mount
	seen := map[string]bool{}
	read := func(pid, root string) {
		ns, err := os.Readlink("/proc/" + pid + "/ns/mnt")
		if err != nil || seen[ns] {
			return
		}
		raw, err := os.ReadFile("/proc/" + pid + "/mountinfo")
		if err != nil {
			return
		}
		seen[ns] = true
		for _, m := range mount.Parse(raw) {
			// Asking about files that somebody else answers for could hold up whoever runs a program.
			if m.Local() {
				out = append(out, Mount{m, root + m.Point})
			}
		}
	}
	read("self", "")
	for _, pid := range procfs.All() {
		n := strconv.FormatUint(uint64(pid), 10)
		read(n, "/proc/"+n+"/root")
	}
	return out
}

// mark brings the marks to what is mounted while there are rules, and takes all away while
// there are none. Only Run calls it.
func (g *Guard) mark() {
	confined := g.cfg.Confine.Active()
	if !confined && !g.cfg.Active() {
		g.unmark()
		return
	}
	wanted := uint64(unix.FAN_OPEN_EXEC_PERM)
	if confined {
		wanted = permission
	}
	// Who would let everything go if this process hung comes first.
	err := g.exempt()
	if err == nil {
		err = g.watched()
	}
	if err != nil {
		g.marks.Lock()
		g.failure = err
		g.marks.Unlock()
		return
	}
	all := mounts()
	g.marks.Lock()
	defer g.marks.Unlock()
	if g.isClosed() {
		return
	}
	there := map[string]bool{}
	var failed error
	for _, m := range all {
		if !g.cfg.Accept(m) {
			continue
		}
		there[m.Device] = true
		was := g.marked[m.Device]
		if was == wanted {
			continue
		}
		if err := g.markFS(m, unix.FAN_MARK_ADD, wanted); err == nil {
			if more := was &^ wanted; more != 0 {
				// Asking about opens costs every reader time: it ends with the confinement.
				err = g.markFS(m, unix.FAN_MARK_REMOVE, more)
				failed = errors.Join(failed, err)
			}
			g.marked[m.Device] = wanted
		} else if !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) && !errors.Is(err, errOther) {
			failed = errors.Join(failed, fmt.Errorf("%s (%s): %w", m.Point, m.Type, err))
		}
	}
	for d := range g.marked {
		if !there[d] {
			delete(g.marked, d) // the kernel forgot the mark with the file system
		}
	}
	g.failure, g.unmarked = nil, failed
	if len(g.marked) == 0 {
		g.failure, g.unmarked = errors.Join(failed, errors.New("no file system could be marked")), nil
	}
}

func (g *Guard) isClosed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed
}

func (g *Guard) unmark() {
	g.marks.Lock()
	if !g.isClosed() && len(g.marked)+len(g.known) > 0 {
		_ = unix.FanotifyMark(g.fd, unix.FAN_MARK_FLUSH|unix.FAN_MARK_FILESYSTEM, 0, unix.AT_FDCWD, "/")
		_ = unix.FanotifyMark(g.fd, unix.FAN_MARK_FLUSH, 0, unix.AT_FDCWD, "/")
	}
	clear(g.marked)
	clear(g.known)
	g.failure, g.unmarked = nil, nil
	g.marks.Unlock()
	g.mu.Lock()
	d := g.dog
	g.dog = nil
	g.mu.Unlock()
	if d != nil {
		d.close()
	}
}

// exempt has the kernel never ask about the agent's own program. Between clone and execve
// of a child the Go runtime cannot stop this process's threads: an agent that had to answer
// itself then could wait for its own answer.
func (g *Guard) exempt() error {
	g.marks.Lock()
	defer g.marks.Unlock()
	if g.isClosed() {
		return nil
	}
	err := unix.FanotifyMark(g.fd, unix.FAN_MARK_ADD|unix.FAN_MARK_IGNORED_MASK|unix.FAN_MARK_IGNORED_SURV_MODIFY,
		permission, unix.AT_FDCWD, "/proc/self/exe")
	if err != nil {
		return fmt.Errorf("leaving out the agent itself: %w", err)
	}
	return nil
}

// watched makes sure that there is a watchdog.
func (g *Guard) watched() error {
	g.mu.Lock()
	old := g.dog
	g.mu.Unlock()
	if old != nil && !old.ended() {
		return nil
	}
	d, err := unleash(g.cfg.Watchdog())
	if err != nil {
		return fmt.Errorf("the watchdog: %w", err)
	}
	g.mu.Lock()
	closed := g.closed
	if !closed {
		g.dog = d
	}
	g.mu.Unlock()
	if closed {
		d.close()
	}
	if old != nil {
		old.close()
	}
	return nil
}

var errOther = errors.New("another file system is mounted over it")

func (g *Guard) markFS(m Mount, how uint, mask uint64) error {
	fd, err := unix.Open(m.At, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	// The files of btrfs have other numbers than its mounts.
	if got := fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)); got != m.Device && m.Type != "btrfs" {
		return errOther
	}
	return unix.FanotifyMark(g.fd, how|unix.FAN_MARK_FILESYSTEM, mask,
		unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd))
}

// maxKnown bounds the files that are kept from being opened; the kernel keeps each inode.
const maxKnown = 4096

// forbid has the kernel ask before anybody opens a file that is blocked.
func (g *Guard) forbid(id hash.ID, f *os.File) {
	g.marks.Lock()
	defer g.marks.Unlock()
	if g.isClosed() || len(g.known) >= maxKnown || len(g.marked) == 0 {
		return
	}
	if unix.FanotifyMark(g.fd, unix.FAN_MARK_ADD, permission, unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(int(f.Fd()))) == nil {
		g.known[hash.ID{Dev: id.Dev, Ino: id.Ino}] = true
	}
}

// isKnown reports whether nobody may open a file because it is blocked.
func (g *Guard) isKnown(f *os.File) bool {
	id, err := statFile(f)
	g.marks.Lock()
	defer g.marks.Unlock()
	return err == nil && g.known[hash.ID{Dev: id.Dev, Ino: id.Ino}]
}

// release takes back what forbid did: the file is another by now, or allowed.
func (g *Guard) release(id hash.ID, f *os.File) {
	g.marks.Lock()
	defer g.marks.Unlock()
	if !g.isClosed() {
		_ = unix.FanotifyMark(g.fd, unix.FAN_MARK_REMOVE, permission, unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(int(f.Fd())))
		delete(g.known, hash.ID{Dev: id.Dev, Ino: id.Ino})
	}
}

// watchMounts says when something was mounted or unmounted in the agent's own namespace.
func watchMounts(ctx context.Context, changed chan<- struct{}) {
	fd, err := unix.Open("/proc/self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return // they are looked for now and then all the same
	}
	defer unix.Close(fd)
	for ctx.Err() == nil {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLPRI}}
		n, err := unix.Poll(p, int(time.Second/time.Millisecond/2))
		if n > 0 && err == nil && p[0].Revents&(unix.POLLPRI|unix.POLLERR) != 0 {
			select {
			case changed <- struct{}{}:
			default:
			}
		}
	}
}
