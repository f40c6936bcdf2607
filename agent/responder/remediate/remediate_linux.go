package remediate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/hash"
	"github.com/vedette-edr/vedette/agent/inventory/software"
	"github.com/vedette-edr/vedette/agent/persistence"
	"github.com/vedette-edr/vedette/agent/quarantine"
)

// Config is what a Remediator needs. Members marked so may be left out.
type Config struct {
	Dir   string // of the ledger; made if need be, mode 0700
	Vault *quarantine.Vault
	Pool  *hash.Pool // shared with the sensors
	// Own are directories and files of the agent, which are never touched.
	Own []string
	// Owners says which files belong to packages: software.Collector.Owners.
	Owners func(ctx context.Context, paths []string) (map[string]software.Owner, error)
	// Persistence looks for what starts a file by itself; nil looks for nothing.
	Persistence func() *persistence.Finder
	// Images are paths of programs that ran lately; nil for none.
	Images func() []string
	// Blocked says which indicator has files with these digests blocked; nil for none.
	Blocked func(hash.Sums) (indicator int64, blocked bool)
	Roots   []string // that are searched; nil for the device
	Limits  Limits
	Now     func() time.Time  // nil for time.Now
	Fault   func(step string) // called at each step of a removal, for tests; nil for nothing
}

// Remediator takes files out of use and gives them back. Its methods may be called from
// any goroutine; one works at a time.
type Remediator struct {
	cfg    Config
	ledger ledger
	mu     sync.Mutex
}

// New returns a Remediator.
func New(cfg Config) (*Remediator, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Fault == nil {
		cfg.Fault = func(string) {}
	}
	if cfg.Limits.Time <= 0 {
		cfg.Limits.Time = 2 * time.Minute
	}
	if cfg.Limits.Bytes <= 0 {
		cfg.Limits.Bytes = 16 << 30
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("remediate: %w", err)
	}
	return &Remediator{cfg: cfg, ledger: ledger{cfg.Dir}}, nil
}

func (r *Remediator) ours(path string) bool {
	for _, o := range r.cfg.Own {
		if path == o || strings.HasPrefix(path, strings.TrimSuffix(o, "/")+"/") {
			return true
		}
	}
	return false
}

// vital are what a machine does not start or cannot be entered without.
var vital = []string{
	"/boot/", "/efi/", "/proc/", "/sys/", "/lib/modules/", "/usr/lib/modules/", "/lib/firmware/", "/usr/lib/firmware/",
	"/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow", "/etc/sudoers", "/etc/fstab", "/etc/hosts", "/etc/hostname",
	"/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/machine-id", "/etc/ssh/", "/etc/pam.d/",
	"/sbin/init", "/usr/sbin/init", "/var/lib/dpkg/", "/var/lib/rpm/", "/usr/lib/sysimage/rpm/",
}

// protected says why each of the files stays, by its place in files: nil where it need not.
// all is why none of them may be taken: one is what a package shipped, and the others are
// copies of it.
func (r *Remediator) protected(ctx context.Context, files []*instance) (why []error, all error) {
	why = make([]error, len(files))
	var self, first unix.Stat_t
	_ = unix.Stat("/proc/self/exe", &self) // a zero inode is nobody's
	_ = unix.Stat("/proc/1/exe", &first)
	paths := make([]string, len(files))
	for i, f := range files {
		paths[i] = f.path
	}
	var owners map[string]software.Owner
	var unread error
	if r.cfg.Owners != nil {
		owners, unread = r.cfg.Owners(ctx, paths)
	}
	for i, f := range files {
		switch owner, owned := owners[f.path]; {
		case f.id == inodeOf(&self) && self.Ino != 0 || r.ours(f.path):
			why[i] = errors.New("it is the agent's own")
			all = errors.New("it is a file of this agent")
		case f.id == inodeOf(&first) && first.Ino != 0:
			why[i] = errors.New("it is the first process of the machine")
			all = why[i]
		case owned && f.at == "" && owner.Genuine(f.sums.MD5, f.sums.SHA256):
			why[i] = fmt.Errorf("it belongs to the package %s", owner.Package)
			all = fmt.Errorf("%s is a file of the package %s as it was shipped", f.path, owner.Package)
		case owned && f.at == "":
			why[i] = fmt.Errorf("it stands in the place of a file of the package %s, which has to be installed again to replace it", owner.Package)
		case isVital(f.path):
			why[i] = errors.New("the machine needs it to start or to be entered")
		case unread != nil && system(f.path):
			why[i] = fmt.Errorf("it lies among the system's files, and the packages' database cannot be read: %w", unread)
		}
	}
	return why, all
}

func isVital(path string) bool {
	for _, v := range vital {
		if path == v || strings.HasSuffix(v, "/") && strings.HasPrefix(path, v) {
			return true
		}
	}
	return strings.HasPrefix(filepath.Base(path), "ld-linux") || strings.HasPrefix(filepath.Base(path), "ld-musl")
}

// system reports whether packages put their files there.
func system(path string) bool {
	for _, d := range []string{"/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/", "/etc/"} {
		if strings.HasPrefix(path, d) && !strings.HasPrefix(path, "/usr/local/") {
			return true
		}
	}
	return false
}
