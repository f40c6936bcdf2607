package collect

import (
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

func freeSpace(dir string) (int64, error) {
	var sf unix.Statfs_t
	if err := unix.Statfs(dir, &sf); err != nil {
		return 0, err
	}
	return int64(sf.Bavail) * sf.Bsize, nil
}

// Classes of I/O priority (ioprio_set(2)).
const (
	ioprioThread = 1
	bestEffort   = 2 << 13
	lowest       = 7
)

// yieldOthers gives the calling thread, and the programs that it starts, the lowest
// priority that is still served. It is a wish: what the kernel refuses stays as it was.
func yieldOthers() {
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 19)
	_, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, ioprioThread, 0, bestEffort|lowest)
}

func errnoName(no syscall.Errno) string {
	if name := unix.ErrnoName(no); name != "" {
		return name
	}
	return "errno:" + strconv.Itoa(int(no))
}

// Commands of syslog(2).
const (
	syslogReadAll = 3
	syslogSize    = 10
)

// kernelMessages reads the kernel's messages, which are not taken away by it.
func kernelMessages() ([]byte, error) {
	n, err := unix.Klogctl(syslogSize, nil)
	if err != nil {
		return nil, err
	}
	b := make([]byte, max(n, 1))
	if n, err = unix.Klogctl(syslogReadAll, b); err != nil {
		return nil, err
	}
	return b[:n], nil
}
