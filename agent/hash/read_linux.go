package hash

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Stat returns the identity of the file at name.
func Stat(name string) (ID, error) {
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil {
		return ID{}, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return identity(&st), nil
}

func identity(st *unix.Stat_t) ID {
	return ID{Dev: st.Dev, Ino: st.Ino, MTime: st.Mtim.Nano(), CTime: st.Ctim.Nano(), Size: st.Size}
}

// readFile digests the file at name if it is id, before and after. It calls progress after
// each piece.
func readFile(ctx context.Context, name string, id ID, buf []byte, progress func()) (Sums, int64, error) {
	fd, err := openSame(name, id)
	if err != nil {
		return Sums{}, 0, err
	}
	defer unix.Close(fd)
	h1, h2, h5 := sha1.New(), sha256.New(), md5.New()
	var total int64
	for {
		if err := ctx.Err(); err != nil {
			return Sums{}, 0, err
		}
		n, err := unix.Read(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return Sums{}, 0, &fs.PathError{Op: "read", Path: name, Err: os.NewSyscallError("read", err)}
		}
		if n == 0 {
			break
		}
		total += int64(n)
		if total > id.Size {
			return Sums{}, 0, &fs.PathError{Op: "read", Path: name, Err: ErrChanged}
		}
		h1.Write(buf[:n])
		h2.Write(buf[:n])
		h5.Write(buf[:n])
		progress()
		if total == id.Size {
			break // same() finds out below whether there is more by now
		}
	}
	if total != id.Size {
		return Sums{}, 0, &fs.PathError{Op: "read", Path: name, Err: ErrChanged}
	}
	if err := same(fd, id); err != nil {
		return Sums{}, 0, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return Sums{
		SHA1:   hex.EncodeToString(h1.Sum(nil)),
		SHA256: hex.EncodeToString(h2.Sum(nil)),
		MD5:    hex.EncodeToString(h5.Sum(nil)),
	}, total, nil
}

// openSame opens the file at name if it is id. It looks before it opens, because opening
// what is no regular file may have effects.
func openSame(name string, id ID) (int, error) {
	at, err := unix.Open(name, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENOTDIR) {
			err = ErrChanged
		}
		return -1, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(at)
	if err := same(at, id); err != nil {
		return -1, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	fd, err := unix.Open("/proc/self/fd/"+strconv.Itoa(at), unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return fd, nil
}

// same reports whether fd is the regular file id. On overlayfs and btrfs stat(2) answers
// with other device (and inode) numbers than the kernel's own inode has, which is what a
// sensor reports; there the change time, which nobody can set, stands for them.
func same(fd int, id ID) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return ErrChanged
	}
	got := identity(&st)
	if got == id {
		return nil
	}
	var sf unix.Statfs_t
	if err := unix.Fstatfs(fd, &sf); err != nil {
		return err
	}
	switch int64(sf.Type) {
	case unix.BTRFS_SUPER_MAGIC:
		got.Dev = id.Dev
	case unix.OVERLAYFS_SUPER_MAGIC:
		got.Dev, got.Ino = id.Dev, id.Ino
	}
	if got != id {
		return ErrChanged
	}
	return nil
}
