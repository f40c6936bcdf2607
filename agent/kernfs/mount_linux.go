package kernfs

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Mount is a file system, found or made.
type Mount struct {
	Path string // where its root can be opened by name, until Close
	fd   int    // -1 when the file system was found mounted
}

// Close gives a private mount up. What was opened below it, and what was attached to it,
// stays. It may be called on nil.
func (m *Mount) Close() {
	if m != nil && m.fd >= 0 {
		unix.Close(m.fd)
		m.fd = -1
	}
}

// Trace returns tracefs.
func Trace() (*Mount, error) {
	return find("tracefs", unix.TRACEFS_MAGIC, "/sys/kernel/tracing", "/sys/kernel/debug/tracing")
}

// Cgroup returns the root of the cgroup2 hierarchy; on a machine with hybrid cgroups that
// one, whatever else is mounted at /sys/fs/cgroup.
func Cgroup() (*Mount, error) {
	return find("cgroup2", unix.CGROUP2_SUPER_MAGIC, "/sys/fs/cgroup", "/sys/fs/cgroup/unified")
}

// find returns a mounted file system of the given kind at one of the usual places, else a
// mount of it that hangs nowhere.
func find(kind string, magic int64, usual ...string) (*Mount, error) {
	for _, p := range usual {
		var sf unix.Statfs_t
		if unix.Statfs(p, &sf) == nil && int64(sf.Type) == magic {
			return &Mount{Path: p, fd: -1}, nil
		}
	}
	fs, err := unix.Fsopen(kind, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("%s is not mounted, and opening it: %w", kind, err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return nil, fmt.Errorf("%s is not mounted, and creating it: %w", kind, err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("%s is not mounted, and mounting it: %w", kind, err)
	}
	return &Mount{Path: fmt.Sprintf("/proc/self/fd/%d", fd), fd: fd}, nil
}

// Initial reports whether the process is in the machine's own namespace of a kind, pid or
// cgroup. The inode numbers of these are the same on every kernel (linux/proc_ns.h).
func Initial(kind string) bool {
	numbers := map[string]string{"pid": "[4026531836]", "cgroup": "[4026531835]"}
	l, err := os.Readlink("/proc/self/ns/" + kind)
	return err != nil || strings.HasSuffix(l, numbers[kind])
}
