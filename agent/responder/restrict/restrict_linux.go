package restrict

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/enforce/file"
	"github.com/vedette-edr/vedette/agent/enforce/fileless"
	"github.com/vedette-edr/vedette/agent/enforce/trust"
	"github.com/vedette-edr/vedette/agent/hash"
)

// Config is what a Restrictor needs.
type Config struct {
	StateDir string
	Pool     *hash.Pool // shared with the sensors
	// Root is where the files of the device are, "" for /. What is run elsewhere is not
	// trusted but for its digest.
	Root string
	// Ended is told of each program that was ended because no file system has it; nil tells
	// nobody.
	Ended func(fileless.Ended)
	// Cgroup narrows that to the processes below a cgroup, as fileless.Config has it.
	Cgroup string
	// Now is the wall clock; nil means time.Now.
	Now func() time.Time
}

// Restrictor knows whether execution is restricted, and to what. It is safe for concurrent
// use.
type Restrictor struct {
	cfg   Config
	state string // path of the state file
	known *trust.Database

	grounds atomic.Pointer[grounds] // nil while nothing is restricted
	looked  atomic.Int64            // when the packages were looked at last, ns since the epoch

	mu      sync.Mutex // guards what follows, and changes of grounds
	problem error      // why what the state file says is not in force
	stopper *fileless.Stopper
	memory  error // why programs in memory are ended only once they are reported
}

var _ file.Confinement = (*Restrictor)(nil)

// grounds is what is trusted. It is immutable.
type grounds struct {
	saved
	hashes map[string]bool
	floor  map[string]string // SHA-256 by path
}

func groundsOf(s saved) *grounds {
	g := &grounds{saved: s, hashes: map[string]bool{}, floor: map[string]string{}}
	for _, h := range s.Params.Hashes {
		g.hashes[h] = true
	}
	for _, e := range s.Floor {
		g.floor[e.Path] = e.SHA256
	}
	return g
}

// New returns a Restrictor with what the state file says in force, if the packages of the
// device can be read: a device that could run nothing is worse than one that runs everything.
func New(cfg Config) *Restrictor {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Root == "" {
		cfg.Root = "/"
	}
	r := &Restrictor{cfg: cfg, state: filepath.Join(cfg.StateDir, "restrict.json"), known: trust.New(cfg.Root)}
	s, err := load(r.state)
	if err == nil && s != nil {
		if _, err = r.known.Refresh(); err == nil {
			r.grounds.Store(groundsOf(*s))
			r.stop()
		}
	}
	r.problem = err
	return r
}

// stop begins to end programs that no file system has. Without it they are ended when the
// sensors report them. r.mu is held, or nobody else has r yet.
func (r *Restrictor) stop() {
	if r.stopper == nil {
		r.stopper, r.memory = fileless.Start(fileless.Config{Cgroup: r.cfg.Cgroup, Ended: r.cfg.Ended})
	}
}

func (r *Restrictor) letGo() {
	if r.stopper != nil {
		r.stopper.Close()
		r.stopper = nil
	}
	r.memory = nil
}

// Close ends what is done for the restriction, which stays.
func (r *Restrictor) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.letGo()
}

// Memory is why programs that no file system has are ended only after they began; nil when
// they are before, or when nothing is restricted.
func (r *Restrictor) Memory() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.memory
}

// Active implements file.Confinement.
func (r *Restrictor) Active() bool { return r.grounds.Load() != nil }

// Since is when the restriction began; zero for none.
func (r *Restrictor) Since() time.Time {
	if g := r.grounds.Load(); g != nil {
		return g.saved.Since
	}
	return time.Time{}
}

// Problem is why the restriction that the state file says is not in force; nil when it is,
// or when there is none.
func (r *Restrictor) Problem() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.problem
}

// refreshEvery bounds how often the packages are looked at because something is not trusted.
const refreshEvery = 2 * time.Second

// Trusts implements file.Confinement.
func (r *Restrictor) Trusts(s file.Subject) bool {
	g := r.grounds.Load()
	if g == nil {
		return true
	}
	if s.Sums.SHA256 != "" && (g.hashes[s.Sums.SHA256] || g.hashes[s.Sums.SHA1]) {
		return true
	}
	name, ok := r.below(s.Path)
	if !ok {
		return false
	}
	if s.Sums.SHA256 != "" {
		if r.known.Has(name, s.Sums) || g.floor[name] == s.Sums.SHA256 {
			return true
		}
		// A package may have come since.
		now := r.cfg.Now().UnixNano()
		if last := r.looked.Load(); (now-last > int64(refreshEvery) || now < last) && r.looked.CompareAndSwap(last, now) {
			if news, err := r.known.Refresh(); err == nil && news && r.known.Has(name, s.Sums) {
				return true
			}
		}
	}
	if slices.ContainsFunc(g.Params.Directories, func(d string) bool { return strings.HasPrefix(name, d+"/") }) {
		// The name is as the process's own mounts have it: that must be the listed place.
		return r.really(s)
	}
	return r.ofInstallation(name, s)
}

// below returns a path as it is below the root.
func (r *Restrictor) below(path string) (string, bool) {
	if !filepath.IsAbs(path) || strings.HasSuffix(path, " (deleted)") {
		return "", false
	}
	if r.cfg.Root == "/" {
		return path, true
	}
	name, ok := strings.CutPrefix(path, r.cfg.Root)
	return name, ok && strings.HasPrefix(name, "/")
}

// really reports whether the path of a file leads to it for the agent too.
func (r *Restrictor) really(s file.Subject) bool {
	var st unix.Stat_t
	return unix.Lstat(s.Path, &st) == nil && st.Dev == s.ID.Dev && st.Ino == s.ID.Ino
}

// scriptDirs are where package managers keep the scripts of packages, which are in no list.
var scriptDirs = []string{"/var/lib/dpkg/info/", "/var/lib/dpkg/tmp.ci/"}

// ofInstallation reports whether a file is a script of a package that a package manager
// runs: root's alone, and in its place or run by it.
func (r *Restrictor) ofInstallation(name string, s file.Subject) bool {
	in := slices.ContainsFunc(scriptDirs, func(d string) bool { return strings.HasPrefix(name, d) })
	if !in && !(strings.HasPrefix(name, "/var/tmp/rpm-tmp.") && byPackageManager(s.By)) {
		return false
	}
	return r.really(s) && guarded(s.File)
}

// guarded reports whether nobody but root can write a file.
func guarded(f *os.File) bool {
	var st unix.Stat_t
	const others = 0o022
	return unix.Fstat(int(f.Fd()), &st) == nil && st.Uid == 0 && st.Mode&others == 0
}

// packageManagers run scripts of packages from files that they make.
var packageManagers = []string{"rpm", "dnf", "dnf5", "dnf-3", "microdnf", "yum", "zypper", "packagekitd"}

// byPackageManager reports whether a process is, or was started by, rpm or what is built
// on its library, which may be a program of Python's.
func byPackageManager(pid uint32) bool {
	for range 2 {
		base := "/proc/" + strconv.FormatUint(uint64(pid), 10)
		exe, err := os.Readlink(base + "/exe")
		if err != nil {
			return false
		}
		if slices.Contains(packageManagers, filepath.Base(exe)) && strings.HasPrefix(exe, "/usr/") {
			return true
		}
		if strings.HasPrefix(filepath.Base(exe), "python") {
			raw, err := os.ReadFile(base + "/cmdline")
			args := bytes.Split(raw, []byte{0})
			if err == nil && len(args) > 1 && slices.Contains(packageManagers, filepath.Base(string(args[1]))) && strings.HasPrefix(string(args[1]), "/usr/") {
				return true
			}
		}
		if pid = parent(base); pid <= 1 {
			return false
		}
	}
	return false
}

func parent(base string) uint32 {
	raw, err := os.ReadFile(base + "/status")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(raw) {
		if v, ok := bytes.CutPrefix(line, []byte("PPid:")); ok {
			n, err := strconv.ParseUint(string(bytes.TrimSpace(v)), 10, 32)
			if err == nil {
				return uint32(n)
			}
		}
	}
	return 0
}

var errNothingKnown = errors.New("nothing could be trusted on this device")

// restrict brings the restriction into force, or changes what it trusts.
func (r *Restrictor) restrict(ctx context.Context, p Params) error {
	p, err := p.normal()
	if err != nil {
		return err
	}
	if _, err := r.known.Refresh(); err != nil {
		return fmt.Errorf("%w: %w", errNothingKnown, err)
	}
	s := saved{Since: r.cfg.Now().UTC(), Params: p}
	if s.Floor, err = r.measure(ctx); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if g := r.grounds.Load(); g != nil {
		s.Since, s.Floor = g.saved.Since, g.saved.Floor // what came since is not of the floor
	}
	// Written first: an agent that is killed in between restricts when it starts again.
	if err := store(r.state, s); err != nil {
		return err
	}
	r.grounds.Store(groundsOf(s))
	r.problem = nil
	r.stop()
	return nil
}

// lift ends the restriction. Lifting what is not restricted is no error.
func (r *Restrictor) lift() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.grounds.Store(nil)
	r.problem = nil
	r.letGo()
	r.known.Forget()
	return remove(r.state)
}
