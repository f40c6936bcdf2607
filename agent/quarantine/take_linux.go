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
	"io/fs"
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
// and comes back with ErrNotThere beside the item. Taking a file again, which a process or
// another name has kept, gives the item that it has. An agent that is ended at any moment of
// it either leaves the file as it was, or has it in the vault: Open sees to that.
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
	id, err := fileID(fd, "")
	if err != nil {
		return Item{}, fmt.Errorf("quarantine: %s: %w", src.Path, err)
	}
	at := src.At
	if at == "" {
		at = src.Path
	}
	if item := v.holding(id, src.Expect); item != nil {
		return v.takeAgain(item, at, fd, &st)
	}
	if err := v.room(st.Size); err != nil {
		return Item{}, err
	}
	item := &Item{
		File: id, Taking: true, At: src.At,
		ID: newID(), State: Sealed, Path: src.Path, Size: st.Size, UID: st.Uid, GID: st.Gid, Mode: uint32(st.Mode & 0o7777),
		Modified: time.Unix(st.Mtim.Unix()).UTC(), Accessed: time.Unix(st.Atim.Unix()).UTC(),
		Taken: v.cfg.Now().UTC(), Why: why, Xattrs: readXattrs(fd),
	}
	if st.Nlink > 1 {
		item.OtherLinks = uint64(st.Nlink) - 1
	}
	if err := v.save(item); err != nil {
		return Item{}, err
	}
	v.cfg.Fault("noted")
	thaw(fd)
	harmless := unix.Fchmod(fd, 0) == nil // not on a file system that is read-only
	v.cfg.Fault("harmless")
	if err := v.sealFile(ctx, f, item, src.Expect); err != nil {
		if harmless {
			err = errors.Join(err, unix.Fchmod(fd, item.Mode))
		}
		return Item{}, errors.Join(err, v.forget(item.ID))
	}
	v.cfg.Fault("sealed")
	return v.finish(item, at, fd, &st, harmless)
}

// holding returns the item of a file that the vault holds with that content; nil for none.
// Who names no content has not looked at what it is now.
func (v *Vault) holding(id FileID, sha256 string) *Item {
	if id.Born == 0 || sha256 == "" {
		return nil
	}
	for _, i := range v.items {
		if i.File == id && i.SHA256 == sha256 && !i.Taking && i.State != Restored {
			return i
		}
	}
	return nil
}

// takeAgain removes the name of a file whose content the vault has.
func (v *Vault) takeAgain(item *Item, at string, fd int, st *unix.Stat_t) (Item, error) {
	_ = unix.Fchmod(fd, 0) // as it was left, unless somebody gave it permissions
	if item.State == Quarantined {
		return *item, unlink(at, st)
	}
	return v.finish(item, at, fd, st, false)
}

// finish removes the name of a file that was sealed.
func (v *Vault) finish(item *Item, at string, fd int, st *unix.Stat_t, harmless bool) (Item, error) {
	// The manifest of what is about to happen: afterwards there may be no room for it.
	after := *item
	after.State, after.Taking, after.At = Quarantined, false, ""
	raw, err := manifest(&after)
	if err != nil {
		return *item, err
	}
	tmp, err := v.prepare(raw)
	if err != nil && !item.Taking {
		return *item, err // the vault keeps what it had
	}
	if err != nil {
		return *item, errors.Join(err, v.giveUp(item, fd, harmless))
	}
	defer os.Remove(tmp) // gone already when all went well
	if err := unlink(at, st); err != nil {
		// What it is from now on: sealed, and where it was.
		item.Taking, item.At = false, ""
		return *item, errors.Join(err, v.save(item))
	}
	v.cfg.Fault("unlinked")
	item.State, item.Taking, item.At = Quarantined, false, ""
	if err := v.install(tmp, item.ID+itemSuffix); err != nil {
		return *item, fmt.Errorf("quarantine: %w", err)
	}
	v.cfg.Fault("taken")
	return *item, nil
}

// fileID returns the identity of a descriptor's file, or of the one that a path names when
// the descriptor is AT_FDCWD.
func fileID(fd int, path string) (FileID, error) {
	var st unix.Statx_t
	flags := unix.AT_SYMLINK_NOFOLLOW
	if path == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	if err := unix.Statx(fd, path, flags, unix.STATX_INO|unix.STATX_BTIME, &st); err != nil {
		return FileID{}, err
	}
	id := FileID{Dev: unix.Mkdev(st.Dev_major, st.Dev_minor), Ino: st.Ino}
	if st.Mask&unix.STATX_BTIME != 0 {
		id.Born = st.Btime.Sec*1e9 + int64(st.Btime.Nsec)
	}
	return id, nil
}

// recover brings to an end what an agent that was ended did with a file: one that is still
// in its place is as it was before, one that is not is in the vault if its content is.
func (v *Vault) recover(i *Item) error {
	for _, at := range []string{i.At, i.Path} {
		if at == "" {
			continue
		}
		if id, err := fileID(unix.AT_FDCWD, at); err == nil && id == i.File {
			return errors.Join(giveBackMode(at, i), v.remove(i.ID))
		}
	}
	if _, err := os.Stat(v.path(i.ID + sealedSuffix)); err != nil || i.SHA256 == "" {
		return v.remove(i.ID) // somebody else took it away before it was sealed
	}
	i.State, i.Taking, i.At = Quarantined, false, ""
	return v.save(i)
}

// giveBackMode gives a file its permissions back, if they were taken.
func giveBackMode(at string, i *Item) error {
	fd, err := unix.Open(at, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if id, err := fileID(fd, ""); err != nil || id != i.File || st.Mode&0o7777 != 0 {
		return err
	}
	return unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), i.Mode)
}

// forget removes what there is of an item that never came to be.
func (v *Vault) forget(id string) error {
	delete(v.items, id)
	var failed error
	for _, suffix := range []string{itemSuffix, sealedSuffix} { // content without a manifest is swept
		if err := os.Remove(v.path(id + suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = errors.Join(failed, fmt.Errorf("quarantine: %w", err))
		}
	}
	return failed
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
		return err
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
