//go:build !linux

package store

// warmable returns how many bytes of a file may be read into the kernel's cache.
func warmable() int64 { return 0 }
