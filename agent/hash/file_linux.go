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

	"golang.org/x/sys/unix"
)

// File returns the identity and the digests of an open file, from the cache where they are
// known. It reads in the caller's goroutine, without moving the file's offset, and gives up
// with ctx. The file behind the descriptor counts, whatever its name leads to by now; one
// that changes while it is read is ErrChanged.
func (p *Pool) File(ctx context.Context, f *os.File) (ID, Sums, error) {
	fd := int(f.Fd())
	id, err := regular(fd)
	if err != nil {
		return ID{}, Sums{}, err
	}
	unstamped := Unstamped(f)
	if s, ok := p.Lookup(id); ok && !unstamped {
		return id, s, nil
	}
	if id.Size > p.cfg.MaxSize {
		p.tooLarge.Add(1)
		return id, Sums{}, ErrTooLarge
	}
	sums, err := readOpen(ctx, fd, id)
	switch {
	case err == nil:
		p.read.Add(1)
		p.bytes.Add(uint64(id.Size))
		if !unstamped && p.settled(id) {
			p.cache.put(id, sums)
		}
	case errors.Is(err, ErrChanged):
		p.changed.Add(1)
	default:
		p.failed.Add(1)
	}
	return id, sums, err
}

// Unstamped reports whether a file is on a file system that does not note the time of a write
// by way of a shared mapping: there a file's identity says nothing of its content. That is
// so where files are in memory alone. What cannot be found out is taken for it.
func Unstamped(f *os.File) bool {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return true
	}
	const ramfs = 0x858458f6 // RAMFS_MAGIC (linux/magic.h)
	switch uint32(st.Type) {
	case unix.TMPFS_MAGIC, ramfs, unix.HUGETLBFS_MAGIC:
		return true
	}
	return false
}

// regular returns the identity of a regular file.
func regular(fd int) (ID, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return ID{}, os.NewSyscallError("fstat", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return ID{}, &fs.PathError{Op: "hash", Path: "descriptor", Err: fs.ErrInvalid}
	}
	return identity(&st), nil
}

func readOpen(ctx context.Context, fd int, id ID) (Sums, error) {
	h1, h2, h5 := sha1.New(), sha256.New(), md5.New()
	buf := make([]byte, min(id.Size+1, 256<<10))
	for at := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return Sums{}, err
		}
		n, err := unix.Pread(fd, buf, at)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return Sums{}, os.NewSyscallError("pread", err)
		}
		if n == 0 {
			break
		}
		if at += int64(n); at > id.Size {
			return Sums{}, ErrChanged
		}
		h1.Write(buf[:n])
		h2.Write(buf[:n])
		h5.Write(buf[:n])
	}
	if again, err := regular(fd); err != nil || again != id {
		return Sums{}, errors.Join(ErrChanged, err)
	}
	return Sums{
		SHA1: hex.EncodeToString(h1.Sum(nil)), SHA256: hex.EncodeToString(h2.Sum(nil)), MD5: hex.EncodeToString(h5.Sum(nil)),
	}, nil
}

// Known returns the files that were read lately and whose digests match.
func (p *Pool) Known(match func(Sums) bool) []ID { return p.cache.matching(match) }

// Large is as File, for files of any size: those beyond the pool's limit are read, and not
// remembered.
func (p *Pool) Large(ctx context.Context, f *os.File) (ID, Sums, error) {
	id, sums, err := p.File(ctx, f)
	if !errors.Is(err, ErrTooLarge) {
		return id, sums, err
	}
	sums, err = readOpen(ctx, int(f.Fd()), id)
	return id, sums, err
}

// LookupFile returns the digests of an open file if they are known.
func (p *Pool) LookupFile(f *os.File) (Sums, bool) {
	id, err := regular(int(f.Fd()))
	if err != nil {
		return Sums{}, false
	}
	return p.Lookup(id)
}
