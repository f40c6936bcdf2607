package walk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrLink is what OpenDir returns for a path that leads through a link which somebody else
// than root could have put there.
var ErrLink = errors.New("walk: the path leads through a link that is not root's")

// OpenDir opens a directory to make files in. Links on the way are followed only where they
// and the directories that they are in belong to root alone, as /bin does: what a user can
// turn elsewhere would have root write there.
func OpenDir(path string) (*os.File, error) {
	dir, err := openDir(path)
	if !errors.Is(err, unix.ELOOP) {
		return dir, err
	}
	at := "/"
	for _, name := range strings.Split(strings.Trim(filepath.Clean(path), "/"), "/") {
		next := filepath.Join(at, name)
		var link, in unix.Stat_t
		if err := unix.Lstat(next, &link); err != nil {
			return nil, &os.PathError{Op: "stat", Path: next, Err: err}
		}
		if link.Mode&unix.S_IFMT == unix.S_IFLNK {
			if err := unix.Lstat(at, &in); err != nil {
				return nil, &os.PathError{Op: "stat", Path: at, Err: err}
			}
			if link.Uid != 0 || in.Uid != 0 || in.Mode&0o022 != 0 {
				return nil, fmt.Errorf("%s: %w", next, ErrLink)
			}
			if next, err = filepath.EvalSymlinks(next); err != nil {
				return nil, err
			}
		}
		at = next
	}
	return openDir(at)
}

// openDir follows no link.
func openDir(path string) (*os.File, error) {
	fd, err := unix.Openat2(unix.AT_FDCWD, path, &unix.OpenHow{
		Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}
