package quarantine

import (
	"bufio"
	"context"
	"crypto/rand"
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

	"github.com/vedette-edr/vedette/agent/walk"
)

// Restore gives an item back at path, "" for where it was, with its owner, permissions,
// attributes and times. It never overwrites: something at path is fs.ErrExist. A path that
// leads through somebody's link is walk.ErrLink. Where the
// file system takes an attribute no more, the file is given back without it and the error
// says so beside the path. The vault keeps its copy until Remove.
func (v *Vault) Restore(ctx context.Context, id, path string) (restored string, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	item := v.items[id]
	if item == nil {
		return "", ErrUnknown
	}
	if path == "" {
		path = item.Path
	}
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("quarantine: restore to %q: an absolute path is needed", path)
	}
	src, err := os.Open(v.path(id + sealedSuffix))
	if err != nil {
		return "", fmt.Errorf("quarantine: %w", err)
	}
	defer src.Close()
	dir, err := walk.OpenDir(filepath.Dir(path))
	if err != nil {
		return "", fmt.Errorf("quarantine: %w", err)
	}
	defer dir.Close()
	// Under another name until it is whole, which nobody may open.
	name := ".vedette-restore-" + rand.Text()
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return "", fmt.Errorf("quarantine: %w", &os.PathError{Op: "create", Path: filepath.Join(filepath.Dir(path), name), Err: err})
	}
	tmp := os.NewFile(uintptr(fd), name)
	defer func() { _ = unix.Unlinkat(int(dir.Fd()), name, 0) }() // gone already when all went well
	defer tmp.Close()
	h := sha256.New()
	if err := unseal(io.MultiWriter(tmp, h, until{ctx}), bufio.NewReaderSize(src, 1<<20), v.master, id); err != nil {
		return "", fmt.Errorf("quarantine: %s: %w", item.Path, err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != item.SHA256 {
		return "", ErrDamaged
	}
	lacking := dress(int(tmp.Fd()), item)
	if err := tmp.Sync(); err != nil {
		return "", fmt.Errorf("quarantine: %w", err)
	}
	if err := unix.Renameat2(int(dir.Fd()), name, int(dir.Fd()), filepath.Base(path), unix.RENAME_NOREPLACE); err != nil {
		return "", fmt.Errorf("quarantine: %w", &os.LinkError{Op: "restore", Old: item.ID, New: path, Err: err})
	}
	item.State, item.RestoredAt, item.RestoredTo = Restored, v.cfg.Now().UTC(), path
	return path, errors.Join(lacking, v.save(item))
}

// until ends a copy with ctx.
type until struct{ ctx context.Context }

func (u until) Write(b []byte) (int, error) { return len(b), u.ctx.Err() }

// dress gives a file what item says of it. The owner comes first: changing it takes
// capabilities and setuid away.
func dress(fd int, item *Item) error {
	var all []error
	note := func(what string, err error) {
		if err != nil {
			all = append(all, fmt.Errorf("quarantine: %s was not restored: %w", what, err))
		}
	}
	note("the owner", unix.Fchown(fd, int(item.UID), int(item.GID)))
	for name, value := range item.Xattrs {
		note("the attribute "+name, unix.Fsetxattr(fd, name, value, 0))
	}
	note("the mode", unix.Fchmod(fd, item.Mode))
	ts := []unix.Timespec{timespec(item.Accessed), timespec(item.Modified)}
	note("the times", unix.UtimesNanoAt(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), ts, 0))
	return errors.Join(all...)
}

func timespec(t time.Time) unix.Timespec { return unix.NsecToTimespec(t.UnixNano()) }
