package live

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"

	"golang.org/x/sys/unix"
)

// folder is a working directory. Paths are looked up from its descriptor, once each: what
// is judged is what is opened, whatever the name leads to a moment later.
type folder struct{ dir *os.File } // O_PATH

func openFolder(name string) (*folder, error) {
	fd, err := unix.Open(name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return &folder{os.NewFile(uintptr(fd), name)}, nil
}

func (f *folder) close() { _ = f.dir.Close() } // it holds nothing

// name is where the folder is now.
func (f *folder) name() string { return nameOf(int(f.dir.Fd())) }

// in is a name for the folder itself, whatever became of its path: of processes that are
// started in it.
func (f *folder) in() string { return "/proc/self/fd/" + strconv.Itoa(int(f.dir.Fd())) }

// nameOf is the path of what a descriptor stands for.
func nameOf(fd int) string {
	s, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return "?"
	}
	return s
}

// strict is for what changes things: no symbolic link is followed anywhere on the way.
const strict = unix.RESOLVE_NO_SYMLINKS

// at opens a path below or beside the folder. Links of /proc that lead to open files of
// processes are never followed.
func (f *folder) at(name string, flags int, mode uint32, resolve uint64) (*os.File, error) {
	if name == "" {
		return nil, errors.New("the path is empty")
	}
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: resolve | unix.RESOLVE_NO_MAGICLINKS}
	if flags&(unix.O_CREAT|unix.O_TMPFILE) != 0 {
		how.Mode = uint64(mode)
	}
	fd, err := unix.Openat2(int(f.dir.Fd()), name, &how)
	for errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) {
		fd, err = unix.Openat2(int(f.dir.Fd()), name, &how)
	}
	if err != nil {
		if errors.Is(err, unix.ELOOP) && resolve&strict != 0 {
			return nil, fmt.Errorf("%s: there is a symbolic link on the way: name the file itself", visible(name))
		}
		return nil, fmt.Errorf("%s: %w", visible(name), err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// find returns a handle (O_PATH) on what a path names, and what it is. Opening a device or
// a FIFO could do something; this does nothing.
func (f *folder) find(name string, resolve uint64) (*os.File, *unix.Stat_t, error) {
	h, err := f.at(name, unix.O_PATH, 0, resolve)
	if err != nil {
		return nil, nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(h.Fd()), &st); err != nil {
		_ = h.Close() // it was only opened
		return nil, nil, fmt.Errorf("%s: %w", visible(name), err)
	}
	return h, &st, nil
}

// regular opens a regular file for reading. Everything else is refused by what it is.
func (f *folder) regular(name string, resolve uint64) (*os.File, *unix.Stat_t, error) {
	h, st, err := f.find(name, resolve)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = h.Close() }() // it was only opened
	if k := kindOf(st); k != "file" {
		return nil, nil, fmt.Errorf("%s is a %s and not a regular file", visible(name), k)
	}
	file, err := reopen(h)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", visible(name), err)
	}
	return file, st, nil
}

// reopen opens what a handle stands for, for reading.
func reopen(h *os.File) (*os.File, error) {
	fd, err := unix.Open("/proc/self/fd/"+strconv.Itoa(int(h.Fd())), unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), h.Name()), nil
}

// kindOf says what st is, for people.
func kindOf(st *unix.Stat_t) string {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return "file"
	case unix.S_IFDIR:
		return "directory"
	case unix.S_IFLNK:
		return "link"
	case unix.S_IFIFO:
		return "FIFO"
	case unix.S_IFSOCK:
		return "socket"
	case unix.S_IFCHR:
		return "character device"
	case unix.S_IFBLK:
		return "block device"
	}
	return "thing of no known kind"
}

// plainName refuses what is no name in a directory.
func plainName(name string) error {
	if name == "" || name == "." || name == ".." || name != path.Base(name) || len(name) > 255 {
		return fmt.Errorf("%q is no name of a file", visible(name))
	}
	return nil
}
