// Package blob keeps files by the hash of what is in them, below one directory.
//
// It knows nothing of names, tenants and quotas: whoever keeps a blob remembers its sum and
// asks for it again. One content may have several users, so none of them removes it; the
// owner of the directory sweeps away what nobody knows any more. The invariant: a file
// under its sum is whole and on the disk. Start at Dir.
package blob

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"github.com/vedette-edr/vedette/durable"
	"github.com/vedette-edr/vedette/server/errs"
)

// Dir is a directory of blobs. It is safe for concurrent use.
type Dir struct {
	path string
	mu   sync.Mutex // held while a blob gets its name or loses it, so that none is removed that was just put
}

// Open makes the directory where it is missing, and clears away what a crash left half
// written.
func Open(path string) (*Dir, error) {
	tmp := filepath.Join(path, "tmp")
	if err := os.RemoveAll(tmp); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		return nil, err
	}
	return &Dir{path: path}, nil
}

var sumForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

func (d *Dir) name(sum string) string { return filepath.Join(d.path, sum[:2], sum) }

// Put keeps what r yields, at most most bytes, and returns its SHA-256 in hexadecimal and
// its its size. More is errs.Invalid. Keeping the same content again changes nothing. The Content
// of a part of this directory is taken over without copying it.
func (d *Dir) Put(r io.Reader, most int64) (sum string, size int64, err error) {
	const op = "blob.Put"
	if c, ok := r.(*Content); ok && c.part.dir.path == d.path {
		return c.part.adopt(most)
	}
	f, err := os.CreateTemp(filepath.Join(d.path, "tmp"), "")
	if err != nil {
		return "", 0, errs.Wrap(op, err)
	}
	defer func() {
		_ = os.Remove(f.Name()) // it was renamed, or is not wanted
		_ = f.Close()
	}()
	h := sha256.New()
	size, err = io.Copy(io.MultiWriter(f, h), io.LimitReader(r, most+1))
	if err != nil {
		return "", 0, failed(op, err)
	}
	if size > most {
		return "", 0, errs.New(op, errs.Invalid, errs.InvalidInput, "the file is larger than %d bytes", most)
	}
	sum = hex.EncodeToString(h.Sum(nil))
	if err := f.Sync(); err != nil {
		return "", 0, failed(op, err)
	}
	return sum, size, d.give(op, f.Name(), sum)
}

// give gives a file, which is on the disk, the name of its content.
func (d *Dir) give(op, file, sum string) error {
	if err := os.MkdirAll(filepath.Dir(d.name(sum)), 0o700); err != nil {
		return failed(op, err)
	}
	d.mu.Lock()
	// Now it is new to Sweep, however long it took to come.
	err := os.Chtimes(file, time.Time{}, time.Now())
	if err == nil {
		err = os.Rename(file, d.name(sum))
	}
	d.mu.Unlock()
	if err != nil {
		return failed(op, err)
	}
	return failed(op, durable.SyncDir(filepath.Dir(d.name(sum))))
}

// Open returns the content of a blob, which the caller closes; errs.NotFound when there is
// none.
func (d *Dir) Open(sum string) (*os.File, error) {
	if !sumForm.MatchString(sum) {
		return nil, errs.New("blob.Open", errs.NotFound, errs.ResourceNotFound, "there is no such file")
	}
	f, err := os.Open(d.name(sum))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errs.New("blob.Open", errs.NotFound, errs.ResourceNotFound, "there is no such file")
	}
	return f, err
}

// Sweep removes the blobs that were put before a time and that used, which is asked once
// for each, does not know. The time must be so far back that whoever put a blob then has
// said so to whom used asks: putting a content again makes it new.
func (d *Dir) Sweep(before time.Time, used func(sum string) bool) (removed int, err error) {
	const op = "blob.Sweep"
	folders, err := os.ReadDir(d.path)
	if err != nil {
		return 0, errs.Wrap(op, err)
	}
	for _, folder := range folders {
		if !folder.IsDir() || len(folder.Name()) != 2 {
			continue
		}
		blobs, err := os.ReadDir(filepath.Join(d.path, folder.Name()))
		if err != nil {
			return removed, errs.Wrap(op, err)
		}
		for _, b := range blobs {
			if !sumForm.MatchString(b.Name()) || used(b.Name()) {
				continue
			}
			gone, err := d.removeOld(b.Name(), before)
			if err != nil {
				return removed, errs.Wrap(op, err)
			}
			if gone {
				removed++
			}
		}
	}
	return removed, nil
}

// removeOld removes a blob unless it was put again since.
func (d *Dir) removeOld(sum string, before time.Time) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	info, err := os.Stat(d.name(sum))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil || !info.ModTime().Before(before) {
		return false, err
	}
	return true, os.Remove(d.name(sum))
}
