//go:build unix

package spool

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

func mapFile(name string, size int) ([]byte, func() error, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	// A hole would turn a full disk into SIGBUS at the first write to the page.
	st, err := f.Stat()
	if err == nil && st.Size() < int64(size) {
		_, err = f.WriteAt(make([]byte, int64(size)-st.Size()), st.Size())
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return nil, nil, err
	}
	page, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, err
	}
	return page, func() error {
		return errors.Join(unix.Msync(page, unix.MS_SYNC), unix.Munmap(page))
	}, nil
}
