package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/vedette-edr/vedette/durable"
)

// files is the directory of a journal; tests replace it to make the disk fail.
type files interface {
	List() ([]string, error)
	Create(name string) (file, error) // must not exist
	Open(name string) (file, error)   // to read
	Edit(name string) (file, error)   // to read, cut and sync
	Remove(name string) error
	SyncDir() error
}

// file is one segment's file.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Size() (int64, error)
	Truncate(size int64) error
	Sync() error
}

// errGone is returned by Open for a file that is not there.
var errGone = fs.ErrNotExist

// fileError wraps an error of the file system; one that says the disk is full is ErrFull too.
func fileError(op string, err error) error {
	if isFull(err) && !errors.Is(err, ErrFull) {
		return fmt.Errorf("%w: %s: %w", ErrFull, op, err)
	}
	return fmt.Errorf("journal: %s: %w", op, err)
}

type osDir string

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// lockWait is how long Open waits for the lock. A process that was killed while it started
// another one leaves the lock to that one until it has become its new program.
const lockWait = 5 * time.Second

// openDir makes dir and takes the lock that keeps other processes out.
func openDir(dir string, wait time.Duration) (files, func() error, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("journal: %w", err)
	}
	if err := durable.SyncDir(filepath.Dir(dir)); err != nil {
		return nil, nil, fmt.Errorf("journal: sync parent of %s: %w", dir, err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("journal: %w", err)
	}
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		err := lockFile(f)
		if err == nil {
			break
		}
		if time.Since(begin) >= wait {
			_ = f.Close()
			return nil, nil, fmt.Errorf("%w: %s: %w", ErrLocked, dir, err)
		}
	}
	return osDir(dir), f.Close, nil
}

func (d osDir) List() ([]string, error) {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (d osDir) open(name string, flag int) (file, error) {
	f, err := os.OpenFile(filepath.Join(string(d), name), flag, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (d osDir) Create(name string) (file, error) {
	return d.open(name, os.O_CREATE|os.O_EXCL|os.O_RDWR)
}
func (d osDir) Open(name string) (file, error) { return d.open(name, os.O_RDONLY) }
func (d osDir) Edit(name string) (file, error) { return d.open(name, os.O_RDWR) }
func (d osDir) Remove(name string) error       { return os.Remove(filepath.Join(string(d), name)) }
func (d osDir) SyncDir() error                 { return durable.SyncDir(string(d)) }
