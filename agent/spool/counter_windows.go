package spool

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

func mapFile(name string, size int) ([]byte, func() error, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, err
	}
	h, err := windows.CreateFileMapping(windows.Handle(f.Fd()), nil, windows.PAGE_READWRITE, 0, uint32(size), nil)
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	at, err := windows.MapViewOfFile(h, windows.FILE_MAP_WRITE, 0, 0, uintptr(size))
	if err != nil {
		return nil, nil, errors.Join(err, windows.CloseHandle(h), f.Close())
	}
	// The view is memory outside the heap; the detour avoids a uintptr conversion that
	// vet takes for a mistake.
	page := unsafe.Slice(*(**byte)(unsafe.Pointer(&at)), size)
	return page, func() error {
		return errors.Join(windows.FlushViewOfFile(at, uintptr(size)), windows.UnmapViewOfFile(at), windows.CloseHandle(h), f.Close())
	}, nil
}
