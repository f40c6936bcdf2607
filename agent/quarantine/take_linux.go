package quarantine

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Source is a file to take.
type Source struct {
	// File is the file itself, opened in any way (O_PATH is enough). It stays the caller's.
	File *os.File
	// Path is where its users find it; it goes into the manifest.
	Path string
	// At is where this process finds it, when that is another name (below /proc/PID/root
	// for a file of another mount namespace); "" for Path.
	At string
	// Expect is the SHA-256 in lower-case hexadecimal that the file must have; "" for any.
	Expect string
}

// ErrUnexpected is what Take returns for a file whose content is not the expected one.
var ErrUnexpected = errors.New("quarantine: the file has another content by now")

// Take seals the file and removes it from its place. At once it loses all permissions, so
// that nobody can open or run it anew meanwhile; they are given back when it cannot be
// sealed. A file whose name is gone, or is another file's by now, is sealed all the same
// and comes back with ErrNotThere beside the item.
func (v *Vault) Take(ctx context.Context, src Source, why Reason) (Item, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f, err := reopen(src.File)
	if err != nil {
		return Item{}, fmt.Errorf("quarantine: %s: %w", src.Path, err)
	}
	defer f.Close()
	fd := int(f.Fd())
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return Item{}, fmt.Errorf("quarantine: %s: %w", src.Path, err)
	}
	if err := v.room(st.Size); err != nil {
		return Item{}, err
	}
	item := &Item{
		ID: newID(), State: Sealed, Path: src.Path, Size: st.Size, UID: st.Uid, GID: st.Gid, Mode: uint32(st.Mode & 0o7777),
		Modified: time.Unix(st.Mtim.Unix()).UTC(), Accessed: time.Unix(st.Atim.Unix()).UTC(),
		Taken: v.cfg.Now().UTC(), Why: why, Xattrs: readXattrs(fd),
	}
	if st.Nlink > 1 {
		item.OtherLinks = uint64(st.Nlink) - 1
	}
	thaw(fd)
	harmless := unix.Fchmod(fd, 0) == nil // not on a file system that is read-only
	if err := v.sealFile(ctx, f, item, src.Expect); err != nil {
		if harmless {
			err = errors.Join(err, unix.Fchmod(fd, item.Mode))
		}
		return Item{}, err
	}
	at := src.At
	if at == "" {
		at = src.Path
	}
	// The manifest of what is about to happen: afterwards there may be no room for it.
	after := *item
	after.State = Quarantined
	raw, err := manifest(&after)
	if err != nil {
		return *item, err
	}
	tmp, err := v.prepare(raw)
	if err != nil {
		return *item, errors.Join(err, v.giveUp(item, fd, harmless))
	}
	defer os.Remove(tmp) // gone already when all went well
	if err := unlink(at, &st); err != nil {
		return *item, err
	}
	item.State = Quarantined
	if err := v.install(tmp, item.ID+itemSuffix); err != nil {
		return *item, fmt.Errorf("quarantine: %w", err)
	}
	return *item, nil
}

// giveUp leaves a file that was sealed in its place, as it was.
func (v *Vault) giveUp(item *Item, fd int, harmless bool) error {
	err := v.remove(item.ID)
	if harmless {
		err = errors.Join(err, unix.Fchmod(fd, item.Mode))
	}
	item.ID = ""
	return err
}

// reopen opens a descriptor's own file for reading, whatever its name is now.
func reopen(f *os.File) (*os.File, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, ErrNotAFile
	}
	fd, err := unix.Open("/proc/self/fd/"+strconv.Itoa(int(f.Fd())), unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// sealFile brings content and manifest of item onto the disk.
func (v *Vault) sealFile(ctx context.Context, f *os.File, item *Item, expect string) error {
	tmp, err := os.CreateTemp(v.cfg.Dir, tmpPrefix)
	if err != nil {
		return fmt.Errorf("quarantine: %w", err)
	}
	defer os.Remove(tmp.Name()) // gone already when all went well
	h1, h2, h5 := sha1.New(), sha256.New(), md5.New()
	err = seal(tmp, io.TeeReader(f, io.MultiWriter(h1, h2, h5)), v.master, item.ID, proceed(ctx, item.Size))
	if err == nil {
		err = tmp.Sync()
	}
	var size int64
	if st, serr := tmp.Stat(); serr == nil {
		size = st.Size()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return fmt.Errorf("quarantine: %s: %w", item.Path, err)
	}
	item.SHA1, item.SHA256, item.MD5 = hex.EncodeToString(h1.Sum(nil)), hex.EncodeToString(h2.Sum(nil)), hex.EncodeToString(h5.Sum(nil))
	if expect != "" && item.SHA256 != expect {
		return ErrUnexpected
	}
	if err := v.install(tmp.Name(), item.ID+sealedSuffix); err != nil {
		return fmt.Errorf("quarantine: %w", err)
	}
	if err := v.save(item); err != nil {
		return errors.Join(err, os.Remove(v.path(item.ID+sealedSuffix)))
	}
	v.items[item.ID] = item
	v.used += size
	return nil
}

// unlink removes the name if it is still that of the file st.
func unlink(path string, st *unix.Stat_t) error {
	dir, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return errors.Join(ErrNotThere, err)
	}
	defer unix.Close(dir)
	name := filepath.Base(path)
	var now unix.Stat_t
	if err := unix.Fstatat(dir, name, &now, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return errors.Join(ErrNotThere, err)
	}
	if now.Ino != st.Ino || now.Dev != st.Dev {
		return ErrNotThere
	}
	if err := unix.Unlinkat(dir, name, 0); err != nil {
		return fmt.Errorf("quarantine: %s: %w", path, err)
	}
	return nil
}

// Flags of FS_IOC_GETFLAGS (linux/fs.h) that keep a file from being changed or removed.
const frozen = unix.STATX_ATTR_IMMUTABLE | unix.STATX_ATTR_APPEND

// thaw takes immutable and append-only off a file, where it has them; a failure shows when
// it cannot be removed.
func thaw(fd int) {
	flags, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS)
	if err == nil && flags&frozen != 0 {
		_ = unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, flags&^frozen)
	}
}

// Bounds of the extended attributes that a manifest keeps; the kernel's own are 64 KiB for
// each value and for all names.
const (
	maxXattrs     = 64
	maxXattrBytes = 256 << 10
)

func readXattrs(fd int) map[string][]byte {
	names := make([]byte, 64<<10)
	n, err := unix.Flistxattr(fd, names)
	if err != nil || n == 0 {
		return nil
	}
	out := map[string][]byte{}
	total := 0
	value := make([]byte, 64<<10)
	for rest := names[:n]; len(rest) > 0 && len(out) < maxXattrs; {
		end := 0
		for end < len(rest) && rest[end] != 0 {
			end++
		}
		name := string(rest[:end])
		rest = rest[min(end+1, len(rest)):]
		k, err := unix.Fgetxattr(fd, name, value)
		if err != nil || total+k > maxXattrBytes {
			continue
		}
		total += k
		out[name] = append([]byte(nil), value[:k]...)
	}
	return out
}
