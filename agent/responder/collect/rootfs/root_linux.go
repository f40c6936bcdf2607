package rootfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/mount"
)

// Links says what becomes of symbolic links on the way to a file.
type Links int

// What becomes of links.
const (
	// NoLinks refuses a path that leads over a link: for what users of the device own.
	NoLinks Links = iota
	// FollowLinks follows them below the root: for what only the system's owner may write.
	FollowLinks
)

// Errors of files that are not read.
var (
	ErrNotRegular = errors.New("not a regular file")
	ErrRemote     = errors.New("on a file system of a network or an automount point, which is not entered")
)

// Bounds of a directory.
const maxEntries = 100_000

// Root is a directory below which files are read. It is safe for concurrent use.
type Root struct {
	fd     int
	name   string
	mounts []mount.Mount
	skip   []string // mount points that are not entered, as paths below the root
}

// Open opens a root; "/" is the device's own. The caller closes it.
func Open(name string) (*Root, error) {
	fd, err := unix.Open(name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	r := &Root{fd: fd, name: path.Clean(name)}
	if raw, err := os.ReadFile("/proc/self/mountinfo"); err == nil {
		r.mounts = below(mount.Parse(raw), r.name)
	}
	// What was mounted last at a point is what is there: an automount point that was
	// touched has something over it.
	last := map[string]mount.Mount{}
	for _, m := range r.mounts {
		last[m.Point] = m
	}
	for point, m := range last {
		if m.Remote() {
			r.skip = append(r.skip, strings.TrimPrefix(point, "/"))
		}
	}
	return r, nil
}

// Close closes the root.
func (r *Root) Close() { unix.Close(r.fd) }

// Name is the root's own path.
func (r *Root) Name() string { return r.name }

// Mounts are the file systems that are mounted at or below the root.
func (r *Root) Mounts() []mount.Mount { return r.mounts }

// entered reports whether a path below the root may be gone to.
func (r *Root) entered(p string) bool {
	for _, s := range r.skip {
		if p == s || strings.HasPrefix(p, s+"/") {
			return false
		}
	}
	return true
}

// rel brings a path into the form that openat2 gets.
func rel(p string) string {
	p = strings.TrimPrefix(path.Clean("/"+p), "/")
	if p == "" {
		return "."
	}
	return p
}

func (r *Root) openat(p string, links Links, flags uint64) (int, error) {
	p = rel(p)
	if !r.entered(p) {
		return -1, &fs.PathError{Op: "open", Path: "/" + p, Err: ErrRemote}
	}
	how := &unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	if links == NoLinks {
		how.Resolve |= unix.RESOLVE_NO_SYMLINKS
		if flags&unix.O_PATH != 0 {
			how.Flags |= unix.O_NOFOLLOW
		}
	}
	for try := 0; ; try++ {
		fd, err := unix.Openat2(r.fd, p, how)
		switch {
		case err == nil:
			return fd, nil
		case (errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR)) && try < 20:
			continue // something was renamed meanwhile
		case errors.Is(err, unix.EPERM) && how.Flags&unix.O_NOATIME != 0:
			how.Flags &^= unix.O_NOATIME // another's file, and no privilege
			continue
		}
		return -1, &fs.PathError{Op: "open", Path: "/" + p, Err: err}
	}
}

// Open opens a regular file for reading, whose time of access does not change by it.
func (r *Root) Open(p string, links Links) (*os.File, Stat, error) {
	// Looked at before it is opened: opening a device has effects, opening a pipe waits.
	at, err := r.openat(p, links, unix.O_PATH)
	if err != nil {
		return nil, Stat{}, err
	}
	defer unix.Close(at)
	return openAt(at, "/"+rel(p))
}

// openAt opens for reading what at, opened with O_PATH, is.
func openAt(at int, name string) (*os.File, Stat, error) {
	st, err := statAt(at, "")
	if err != nil {
		return nil, Stat{}, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, st, &fs.PathError{Op: "open", Path: name, Err: ErrNotRegular}
	}
	fd, err := reopen(at, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
	if err != nil {
		return nil, st, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	// It is regular: reading it is not waiting, and the poller has nothing to do with it.
	_ = unix.SetNonblock(fd, false)
	return os.NewFile(uintptr(fd), name), st, nil
}

// reopen opens what an O_PATH descriptor is, without changing its time of access.
func reopen(at int, flags int) (int, error) {
	name := "/proc/self/fd/" + strconv.Itoa(at)
	fd, err := unix.Open(name, flags|unix.O_NOATIME|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.EPERM) {
		fd, err = unix.Open(name, flags|unix.O_CLOEXEC, 0)
	}
	return fd, err
}

// Read returns a regular file's first bytes, at most n, and whether there were more.
func (r *Root) Read(p string, links Links, n int64) ([]byte, bool, error) {
	f, _, err := r.Open(p, links)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, n+1))
	if int64(len(b)) > n {
		return b[:n], true, err
	}
	return b, false, err
}

// Text returns a small file of the system's owner as text, "" when it cannot be read.
func (r *Root) Text(p string) string {
	b, _, _ := r.Read(p, FollowLinks, 1<<20)
	return strings.TrimRight(string(b), "\n\x00")
}

// Lstat describes what a path names, not what a link there leads to.
func (r *Root) Lstat(p string, links Links) (Stat, error) {
	p = rel(p)
	dir, base := path.Split(p)
	at, err := r.openat(dir, links, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return Stat{}, err
	}
	defer unix.Close(at)
	if !r.entered(p) {
		return Stat{}, &fs.PathError{Op: "stat", Path: "/" + p, Err: ErrRemote}
	}
	st, err := statAt(at, base)
	if err != nil {
		return st, &fs.PathError{Op: "stat", Path: "/" + p, Err: err}
	}
	return st, nil
}

// Readlink returns where a link leads, as it stands there.
func (r *Root) Readlink(p string, links Links) (string, error) {
	p = rel(p)
	dir, base := path.Split(p)
	at, err := r.openat(dir, links, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return "", err
	}
	defer unix.Close(at)
	return readlinkAt(at, base)
}

func readlinkAt(at int, base string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(at, base, buf)
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: base, Err: err}
	}
	return string(buf[:n]), nil
}

// ReadDir returns the names in a directory, sorted, and whether there were more than are
// read of any directory.
func (r *Root) ReadDir(p string, links Links) ([]string, bool, error) {
	at, err := r.openat(p, links, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return nil, false, err
	}
	defer unix.Close(at)
	return namesAt(at, "/"+rel(p))
}

func namesAt(at int, name string) ([]string, bool, error) {
	fd, err := reopen(at, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, false, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	d := os.NewFile(uintptr(fd), name)
	defer d.Close()
	names, err := d.Readdirnames(maxEntries + 1)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	more := len(names) > maxEntries
	if more {
		names = names[:maxEntries]
	}
	slices.Sort(names)
	return names, more, err
}

// Glob returns the paths that fit a pattern of path.Match, with ** for any number of
// directories at its end. What cannot be read is left out; links within the pattern's
// directories are treated as links says.
func (r *Root) Glob(pattern string, links Links) []string {
	pattern = rel(pattern)
	deep := strings.HasSuffix(pattern, "/**")
	pattern = strings.TrimSuffix(pattern, "/**")
	found := []string{""}
	for part := range strings.SplitSeq(pattern, "/") {
		var next []string
		for _, dir := range found {
			if !strings.ContainsAny(part, `*?[\`) {
				next = append(next, path.Join(dir, part))
				continue
			}
			names, _, err := r.ReadDir(dir, links)
			if err != nil {
				continue
			}
			for _, n := range names {
				if ok, err := path.Match(part, n); ok && err == nil {
					next = append(next, path.Join(dir, n))
				}
			}
		}
		found = next
	}
	var out []string
	for _, p := range found {
		if !deep {
			if _, err := r.Lstat(p, links); err == nil {
				out = append(out, p)
			}
			continue
		}
		_ = r.Walk(p, links, 16, func(f Found) error { // what cannot be read is left out
			if f.Stat.Mode&unix.S_IFMT != unix.S_IFDIR {
				out = append(out, f.Path)
			}
			return nil
		})
	}
	return out
}

// Stat is what is known of a file without opening it.
type Stat struct {
	Mode                             uint32 // type and permissions as in stat(2)
	Size                             int64
	UID, GID                         uint32
	Links                            uint32
	Dev, Ino                         uint64
	Accessed, Changed, Modified      time.Time
	Born                             time.Time // zero where the file system does not know
	Blocks                           int64     // of 512 bytes
	MountID                          uint64
	Automount, Immutable, AppendOnly bool
}

// IsDir reports whether it is a directory.
func (s Stat) IsDir() bool { return s.Mode&unix.S_IFMT == unix.S_IFDIR }

// IsRegular reports whether it is a regular file.
func (s Stat) IsRegular() bool { return s.Mode&unix.S_IFMT == unix.S_IFREG }

// IsLink reports whether it is a symbolic link.
func (s Stat) IsLink() bool { return s.Mode&unix.S_IFMT == unix.S_IFLNK }

// Type is the letter of ls for the file's type.
func (s Stat) Type() string {
	switch s.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return "file"
	case unix.S_IFDIR:
		return "directory"
	case unix.S_IFLNK:
		return "link"
	case unix.S_IFIFO:
		return "pipe"
	case unix.S_IFSOCK:
		return "socket"
	case unix.S_IFCHR:
		return "character device"
	case unix.S_IFBLK:
		return "block device"
	}
	return "unknown"
}

// Perm is the permissions in octal.
func (s Stat) Perm() string { return fmt.Sprintf("%04o", s.Mode&0o7777) }

func statAt(at int, base string) (Stat, error) {
	var x unix.Statx_t
	flags := unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT
	if base == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	if err := unix.Statx(at, base, flags, unix.STATX_BASIC_STATS|unix.STATX_BTIME|unix.STATX_MNT_ID, &x); err != nil {
		return Stat{}, err
	}
	when := func(t unix.StatxTimestamp) time.Time { return time.Unix(t.Sec, int64(t.Nsec)).UTC() }
	s := Stat{
		Mode: uint32(x.Mode), Size: int64(x.Size), UID: x.Uid, GID: x.Gid, Links: x.Nlink, Ino: x.Ino, Blocks: int64(x.Blocks), MountID: x.Mnt_id,
		Dev:      unix.Mkdev(x.Dev_major, x.Dev_minor),
		Accessed: when(x.Atime), Changed: when(x.Ctime), Modified: when(x.Mtime),
		Automount: x.Attributes&unix.STATX_ATTR_AUTOMOUNT != 0, Immutable: x.Attributes&unix.STATX_ATTR_IMMUTABLE != 0,
		AppendOnly: x.Attributes&unix.STATX_ATTR_APPEND != 0,
	}
	if x.Mask&unix.STATX_BTIME != 0 {
		s.Born = when(x.Btime)
	}
	return s, nil
}
