package rootfs

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Found is one file that Walk came by.
type Found struct {
	Path string // below the root, without a slash at the beginning
	Stat Stat

	dir  int    // the directory it is in, while Walk's callee runs
	base string // its name there
}

// Open opens the file that was found, if it is a regular one and still there.
func (f Found) Open() (*os.File, Stat, error) {
	at, err := unix.Openat(f.dir, f.base, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, Stat{}, &fs.PathError{Op: "open", Path: "/" + f.Path, Err: err}
	}
	defer unix.Close(at)
	return openAt(at, "/"+f.Path)
}

// Readlink returns where the link that was found leads.
func (f Found) Readlink() (string, error) { return readlinkAt(f.dir, f.base) }

// Capabilities reports whether the file has capabilities of its own (capabilities(7)).
func (f Found) Capabilities() bool {
	at, err := unix.Openat(f.dir, f.base, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOATIME|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(at)
	n, err := unix.Fgetxattr(at, "security.capability", nil)
	return err == nil && n > 0
}

// ErrStop ends a Walk without being its error.
var ErrStop = errors.New("stop")

// Walk calls each for everything below a directory, and not for the directory itself, in
// an order by names, directories before what is in them. Links are not followed; only for
// the first directory links decides. each may return fs.SkipDir for a directory. File
// systems of a network and automount points are passed over. Directories that cannot be
// read are passed over too; the first such error is returned at the end.
func (r *Root) Walk(dir string, links Links, depth int, each func(Found) error) error {
	dir = rel(dir)
	at, err := r.openat(dir, links, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(at)
	if dir == "." {
		dir = ""
	}
	w := walk{root: r, each: each}
	if err := w.dir(at, dir, depth); err != nil && !errors.Is(err, ErrStop) {
		return err
	}
	return w.first
}

type walk struct {
	root  *Root
	each  func(Found) error
	first error
}

func (w *walk) miss(err error) {
	if w.first == nil && !errors.Is(err, fs.ErrNotExist) {
		w.first = err
	}
}

// errMore is that a directory has more entries than are read.
var errMore = errors.New("more entries than are read of a directory")

func (w *walk) dir(at int, name string, depth int) error {
	names, more, err := namesAt(at, "/"+name)
	if err != nil {
		w.miss(err)
	}
	if more {
		w.miss(&fs.PathError{Op: "read", Path: "/" + name, Err: errMore})
	}
	for _, base := range names {
		p := base
		if name != "" {
			p = name + "/" + base
		}
		if !w.root.entered(p) {
			continue
		}
		st, err := statAt(at, base)
		if err != nil {
			w.miss(&fs.PathError{Op: "stat", Path: "/" + p, Err: err})
			continue
		}
		err = w.each(Found{Path: p, Stat: st, dir: at, base: base})
		if errors.Is(err, fs.SkipDir) {
			continue
		}
		if err != nil {
			return err
		}
		if !st.IsDir() || st.Automount {
			continue
		}
		if depth <= 1 {
			w.miss(&fs.PathError{Op: "read", Path: "/" + p, Err: errDeep})
			continue
		}
		if err := w.sub(at, base, p, depth-1); err != nil {
			return err
		}
	}
	return nil
}

// errDeep is that a directory lies deeper than is gone.
var errDeep = errors.New("deeper than is gone")

func (w *walk) sub(at int, base, p string, depth int) error {
	fd, err := unix.Openat(at, base, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		w.miss(&fs.PathError{Op: "open", Path: "/" + p, Err: err})
		return nil
	}
	defer unix.Close(fd)
	return w.dir(fd, p, depth)
}
