package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/passwd"
	"github.com/vedette-edr/vedette/agent/quarantine"
	"github.com/vedette-edr/vedette/agent/responder"
	"github.com/vedette-edr/vedette/agent/responder/remediate"
	"github.com/vedette-edr/vedette/durable"
	"github.com/vedette-edr/vedette/wire/wirepb"
)

// Stream is the stream of one session; see link.LiveStream.
type Stream interface {
	Send(m *wirepb.LiveUp) error
	Receive() (*wirepb.LiveDown, error)
	Close()
}

// Verdict is what is known of a file.
type Verdict struct {
	Verdict string   `json:"verdict"` // Malicious, Suspicious, Clean, Unknown
	Reasons []string `json:"reasons,omitempty"`
}

// Config is what live response needs. Members marked so may be left out.
type Config struct {
	Server   responder.Server
	Open     func(ctx context.Context, session string) (Stream, error)
	StateDir string // of the agent: what must not be touched, and where sessions keep files
	Instance string // names control groups
	Log      *slog.Logger

	Vault      *quarantine.Vault     // nil: nothing is put into quarantine
	Remediator *remediate.Remediator // works on Vault; nil the same
	// Owned says which package a file belongs to, "" for none; nil knows no packages.
	Owned func(ctx context.Context, path string) (string, error)
	// Judge says what is known of a file; nil knows nothing.
	Judge func(ctx context.Context, f *os.File) (Verdict, error)
	// Do carries out a command of another kind for the session, such as a scan; nil cannot.
	Do func(ctx context.Context, c responder.Command) responder.Result
}

// Live carries out live response.
type Live struct {
	conf Config
	dir  string

	mu   sync.Mutex // of the record of files that were put
	boot string

	people *passwd.Cache // of the device
}

// New ends what an agent that was killed has left of its sessions, and removes files that
// were put on the device before it was started anew.
func New(c Config) (*Live, error) {
	l := &Live{conf: c, people: passwd.NewCache("/"), dir: filepath.Join(c.StateDir, "live")}
	if raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
		l.boot = strings.TrimSpace(string(raw))
	}
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return nil, fmt.Errorf("live: %w", err)
	}
	if err := sweepGroups(c.Instance); err != nil {
		c.Log.Error("ending what a live response session has left", "err", err)
	}
	if err := os.RemoveAll(filepath.Join(l.dir, "session")); err != nil {
		return nil, fmt.Errorf("live: %w", err)
	}
	return l, l.sweepPut()
}

// Leave ends every session with what it has started, removes its control groups, and the
// files that were put on the device, whichever start of it they were put in.
func (l *Live) Leave() error {
	if err := sweepGroups(l.conf.Instance); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	left, err := l.removePut(func(put) bool { return true })
	if err == nil && left > 0 {
		err = fmt.Errorf("live: %d files that were put on the device cannot be removed", left)
	}
	return err
}

// Handlers returns what carries out the commands livesession and liveresponse.
func (l *Live) Handlers() []responder.Handler { return []responder.Handler{&sessions{l}, &batches{l}} }

// space makes the place where a session keeps its files, and its control group.
func (l *Live) space(id string) (*space, error) {
	dir := filepath.Join(l.dir, "session", id)
	if err := os.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("live: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("live: %w", err)
	}
	g, err := newGroup(l.conf.Instance, id)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	home, err := openFolder("/")
	if err != nil {
		return nil, errors.Join(err, g.destroy(), os.RemoveAll(dir))
	}
	return &space{live: l, id: id, dir: dir, group: g, cwd: home}, nil
}

// space is what the commands of one session share.
type space struct {
	live  *Live
	id    string // of the command that the session is
	dir   string // for its files, gone with it
	group *group

	mu   sync.Mutex
	cwd  *folder
	runs int
	done []remedy // what remediate did
}

// here returns the working directory. It is the session's own: nobody closes it.
func (s *space) here() *folder {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cwd
}

// end kills what the session has started and removes its files.
func (s *space) end() error {
	err := s.group.destroy()
	s.here().close()
	return errors.Join(err, os.RemoveAll(s.dir))
}

// put is a file of the library that was put on the device and goes at its next start.
type put struct {
	Path string `json:"path"`
	Boot string `json:"boot"`
	inode
}

// inode tells one file from another. Numbers are given again; times of birth are not.
type inode struct {
	Dev  uint64 `json:"dev"`
	Ino  uint64 `json:"ino"`
	Born int64  `json:"born"` // Unix nanoseconds; 0 where the file system does not say
}

// inodeOf returns the inode of a descriptor, or of a path when the descriptor is AT_FDCWD.
func inodeOf(fd int, path string) (inode, error) {
	var st unix.Statx_t
	flags := unix.AT_SYMLINK_NOFOLLOW
	if path == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	if err := unix.Statx(fd, path, flags, unix.STATX_INO|unix.STATX_BTIME, &st); err != nil {
		return inode{}, err
	}
	id := inode{Dev: unix.Mkdev(st.Dev_major, st.Dev_minor), Ino: st.Ino}
	if st.Mask&unix.STATX_BTIME != 0 {
		id.Born = st.Btime.Sec*1e9 + int64(st.Btime.Nsec)
	}
	return id, nil
}

func (l *Live) putFile() string { return filepath.Join(l.dir, "put.json") }

func (l *Live) loadPut() ([]put, error) {
	raw, err := os.ReadFile(l.putFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var all []put
	if err == nil {
		err = json.Unmarshal(raw, &all)
	}
	return all, err
}

func (l *Live) savePut(all []put) error {
	raw, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return durable.Write(l.putFile(), raw, 0o600)
}

// notePut remembers a file that goes at the next start of the device.
func (l *Live) notePut(p put) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	all, err := l.loadPut()
	if err != nil {
		return err
	}
	p.Boot = l.boot
	return l.savePut(append(all, p))
}

// sweepPut removes the files that were put before the device's present start.
func (l *Live) sweepPut() error {
	_, err := l.removePut(func(p put) bool { return p.Boot != l.boot })
	return err
}

// removePut removes the files that were put and that are wanted gone, where they still are
// what was put, and returns how many of these it could not.
func (l *Live) removePut(unwanted func(put) bool) (stay int, err error) {
	all, err := l.loadPut()
	if err != nil {
		l.conf.Log.Error("files of live response", "err", err)
		return 0, nil
	}
	var left []put
	for _, p := range all {
		switch id, err := inodeOf(unix.AT_FDCWD, p.Path); {
		case !unwanted(p):
			left = append(left, p)
		case err == nil && id == p.inode:
			if err := os.Remove(p.Path); err != nil {
				l.conf.Log.Error("removing a file that live response has put", "path", p.Path, "err", err)
				left = append(left, p)
				stay++
			}
		}
	}
	if len(left) == len(all) {
		return stay, nil
	}
	return stay, l.savePut(left)
}
