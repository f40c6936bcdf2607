package store

import "golang.org/x/sys/unix"

// warmable returns how many bytes of a file may be read into the kernel's cache: a quarter
// of the memory.
func warmable() int64 {
	var s unix.Sysinfo_t
	if unix.Sysinfo(&s) != nil {
		return 0
	}
	return int64(s.Totalram*uint64(s.Unit)) / 4
}
