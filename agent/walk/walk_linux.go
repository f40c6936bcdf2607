package walk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/mount"
)

// ErrChanged is what Open returns for a name that leads to another file by now.
var ErrChanged = errors.New("walk: the file was replaced meanwhile")

// Config says where to go. Roots alone is required.
type Config struct {
	// Roots are absolute paths of directories, or files; a symbolic link in one is not
	// followed and makes it a problem.
	Roots []string
	// Skip keeps a directory from being entered, by its path; nil enters all.
	Skip func(path string) bool
	// Problem is told of what cannot be looked at; nil tells nobody. It is counted anyway.
	Problem func(path string, err error)
}

// Stats counts what was met.
type Stats struct {
	Files    int64 // regular files handed out
	Dirs     int64 // directories entered
	Others   int64 // links, pipes, sockets and devices, which are left alone
	Foreign  int64 // mounts that were not entered for their kind
	Problems int64 // directories and names that could not be looked at
}

// File is a regular file that the walk met. It is good until visit returns.
type File struct {
	Path string // as the agent's mount namespace names it; any bytes but NUL
	Stat unix.Stat_t
	dir  int
	name string
}

// Open opens the file for reading; the caller closes it. A name that leads to something
// else by now is ErrChanged. The file's access time stays, where the kernel lets it.
func (f *File) Open() (*os.File, error) {
	return openRegular(f.dir, f.name, f.Path, &f.Stat)
}

// OpenFile opens the regular file at an absolute path for reading, without following
// symbolic links. What is no regular file is ErrChanged.
func OpenFile(path string) (*os.File, error) {
	how := &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS}
	at, err := unix.Openat2(unix.AT_FDCWD, path, how)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(at)
	return reopen(at, path, nil)
}

func openRegular(dir int, name, path string, want *unix.Stat_t) (*os.File, error) {
	at, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(at)
	return reopen(at, path, want)
}

// reopen opens the regular file behind an O_PATH descriptor: opening what is none may have
// effects, or wait for ever.
func reopen(at int, path string, want *unix.Stat_t) (*os.File, error) {
	var st unix.Stat_t
	if err := unix.Fstat(at, &st); err != nil {
		return nil, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || want != nil && (st.Ino != want.Ino || st.Dev != want.Dev) {
		return nil, &os.PathError{Op: "open", Path: path, Err: ErrChanged}
	}
	const flags = unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NOCTTY | unix.O_NONBLOCK
	self := "/proc/self/fd/" + strconv.Itoa(at)
	fd, err := unix.Open(self, flags|unix.O_NOATIME, 0)
	if errors.Is(err, unix.EPERM) {
		fd, err = unix.Open(self, flags, 0)
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// maxDepth bounds how deep directories are followed, and with it the open descriptors.
const maxDepth = 200

// Walk goes through the roots in their order and calls visit with every regular file. It
// ends with ctx, or with the first error of visit, which it returns.
func Walk(ctx context.Context, c Config, visit func(*File) error) (Stats, error) {
	w := &walker{ctx: ctx, cfg: c, visit: visit, roots: map[id]bool{}}
	if err := w.look(); err != nil {
		return w.stats, err
	}
	for _, root := range c.Roots {
		if err := w.root(filepath.Clean(root)); err != nil {
			return w.stats, err
		}
	}
	return w.stats, nil
}

type id struct{ dev, ino uint64 }

type walker struct {
	ctx   context.Context
	cfg   Config
	visit func(*File) error
	stats Stats
	avoid map[string]bool // mount points that are not entered
	kinds map[string]bool // whether a device number is that of a local file system
	roots map[id]bool     // roots of mounts that were entered: one may be mounted twice
}

// look reads the mounts.
func (w *walker) look() error {
	mounts, err := Mounts()
	if err != nil {
		return err
	}
	w.avoid, w.kinds = map[string]bool{}, map[string]bool{}
	for _, m := range mounts {
		// The layers of a container's root are walked where they lie.
		local := m.Local() && (m.Type != "overlay" || !slices.ContainsFunc(mounts, func(o mount.Mount) bool { return o.Point == "/" && o.Device != m.Device && o.Type != "overlay" }))
		if !local {
			w.avoid[m.Point] = true
		}
		w.kinds[m.Device] = local
	}
	return nil
}

func (w *walker) problem(path string, err error) {
	w.stats.Problems++
	if w.cfg.Problem != nil {
		w.cfg.Problem(path, err)
	}
}

func (w *walker) root(path string) error {
	if w.avoid[path] {
		w.stats.Foreign++
		return nil
	}
	how := &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS}
	at, err := unix.Openat2(unix.AT_FDCWD, path, how)
	if err != nil {
		if !errors.Is(err, unix.ENOENT) {
			w.problem(path, err)
		}
		return nil
	}
	defer unix.Close(at)
	var st unix.Stat_t
	if err := unix.Fstat(at, &st); err != nil {
		w.problem(path, err)
		return nil
	}
	if st.Mode&unix.S_IFMT == unix.S_IFREG {
		dir, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			w.problem(path, err)
			return nil
		}
		defer unix.Close(dir)
		w.stats.Files++
		return w.visit(&File{Path: path, Stat: st, dir: dir, name: filepath.Base(path)})
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		w.stats.Others++
		return nil
	}
	if known, local := w.known(st.Dev); known && !local {
		w.stats.Foreign++
		return nil
	}
	dir, err := unix.Open("/proc/self/fd/"+strconv.Itoa(at), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		w.problem(path, err)
		return nil
	}
	w.roots[id{st.Dev, st.Ino}] = true
	return w.dir(dir, path, st.Dev, 0)
}

// known says whether the mounts tell of a device number, and whether it is local.
func (w *walker) known(dev uint64) (known, local bool) {
	local, known = w.kinds[fmt.Sprintf("%d:%d", unix.Major(dev), unix.Minor(dev))]
	return known, local
}

// dir goes through one directory, whose descriptor it closes.
func (w *walker) dir(fd int, path string, dev uint64, depth int) error {
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	w.stats.Dirs++
	for {
		names, err := f.Readdirnames(256)
		for _, name := range names {
			if err := w.ctx.Err(); err != nil {
				return err
			}
			if err := w.entry(fd, name, filepath.Join(path, name), dev, depth); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			w.problem(path, err)
			return nil
		}
	}
}

// entry looks at one name of a directory.
func (w *walker) entry(dir int, name, path string, dev uint64, depth int) error {
	if w.avoid[path] {
		w.stats.Foreign++
		return nil
	}
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT); err != nil {
		if !errors.Is(err, unix.ENOENT) { // gone since: nothing was missed
			w.problem(path, err)
		}
		return nil
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		w.stats.Files++
		return w.visit(&File{Path: path, Stat: st, dir: dir, name: name})
	case unix.S_IFDIR:
	default:
		w.stats.Others++
		return nil
	}
	if w.cfg.Skip != nil && w.cfg.Skip(path) {
		return nil
	}
	if depth >= maxDepth {
		w.problem(path, fmt.Errorf("walk: deeper than %d directories", maxDepth))
		return nil
	}
	if enter, err := w.crosses(dir, name, path, &st, dev); err != nil || !enter {
		return err
	}
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		if !errors.Is(err, unix.ENOENT) {
			w.problem(path, err)
		}
		return nil
	}
	return w.dir(fd, path, st.Dev, depth+1)
}

// crosses decides about a directory that may be the root of a mount.
func (w *walker) crosses(dir int, name, path string, st *unix.Stat_t, dev uint64) (enter bool, err error) {
	var sx unix.Statx_t
	if err := unix.Statx(dir, name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, unix.STATX_INO, &sx); err != nil {
		w.problem(path, err)
		return false, nil
	}
	if sx.Attributes&unix.STATX_ATTR_AUTOMOUNT != 0 {
		w.stats.Foreign++
		return false, nil
	}
	if sx.Attributes&unix.STATX_ATTR_MOUNT_ROOT == 0 && st.Dev == dev {
		return true, nil
	}
	known, local := w.known(st.Dev)
	if !known {
		// Mounted since, or a subvolume, which has a number of its own.
		if err := w.look(); err != nil {
			return false, err
		}
		if known, local = w.known(st.Dev); !known {
			local = !w.avoid[path]
		}
	}
	if !local {
		w.stats.Foreign++
		return false, nil
	}
	at := id{st.Dev, st.Ino}
	if sx.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0 {
		if w.roots[at] {
			return false, nil
		}
		w.roots[at] = true
	}
	return true, nil
}
