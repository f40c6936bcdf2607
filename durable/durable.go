// Package durable replaces files so that a crash, of the process or of the machine, leaves
// either the old content or the new, and so that what was reported as written stays written.
package durable

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Write gives the file name the content data and exactly the mode, and returns once that is
// on the disk. A name that somebody has open keeps its old content for them.
func Write(name string, data []byte, mode fs.FileMode) error {
	return WriteTo(name, mode, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// WriteTo is Write with what fill writes. When fill fails nothing is replaced. Only one
// writer at a time may replace a name: what is written first is kept beside it, with ".new"
// appended, where the next writer overwrites what a crash left behind.
func WriteTo(name string, mode fs.FileMode, fill func(io.Writer) error) error {
	tmp := name + ".new"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	err = f.Chmod(mode) // of a file that was left behind, and whatever the umask is
	w := bufio.NewWriter(f)
	if err == nil {
		err = fill(w)
	}
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(tmp, name)
	}
	if err != nil {
		return errors.Join(err, missing(os.Remove(tmp)))
	}
	return SyncDir(filepath.Dir(name))
}

// Remove removes a file, and returns once that is on the disk. One that is not there is fine.
func Remove(name string) error {
	if err := missing(os.Remove(name)); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(name))
}

// missing lets pass that there was nothing to remove.
func missing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
