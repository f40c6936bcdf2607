package duckdb

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// isRoot reports whether files can be given to the user that workers become.
func isRoot() bool { return os.Geteuid() == 0 }

// boxes returns the sandbox to try: namespaces as root, or as the root of a user namespace
// that is nobody outside of it.
func boxes(cfg *WorkerConfig) []box {
	const own = syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS | syscall.CLONE_NEWPID
	if isRoot() {
		return []box{{&syscall.SysProcAttr{Cloneflags: own}, cfg.UID, cfg.GID}}
	}
	return []box{{attr: &syscall.SysProcAttr{
		Cloneflags:  own | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}},
	}}}
}

// workerNice is how far workers stand back behind what serves devices.
const workerNice = 5

// startLocked starts cmd with no_new_privs and behind the server in priority.
func startLocked(cmd *exec.Cmd) error {
	result := make(chan error)
	go func() {
		// no_new_privs belongs to a thread and cannot be taken back. The child inherits
		// it from this one, which ends with the goroutine because it stays locked.
		runtime.LockOSThread()
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			result <- fmt.Errorf("no_new_privs: %w", err)
			return
		}
		// Belongs to the thread too, and passes to the child. The system call answers 20
		// minus the nice value. Whoever is behind already stays there: coming forward
		// takes a right that the server may not have.
		if raw, err := unix.Getpriority(unix.PRIO_PROCESS, 0); err != nil || 20-raw < workerNice {
			if err := unix.Setpriority(unix.PRIO_PROCESS, 0, workerNice); err != nil {
				result <- fmt.Errorf("priority: %w", err)
				return
			}
		}
		result <- cmd.Start()
	}()
	return <-result
}

// clockTick is the unit of /proc/pid/stat's times: USER_HZ, 100 on every Linux.
const clockTick = 10 * time.Millisecond

// readUsage reads a process's CPU times and resident memory.
func readUsage(pid int) (usage, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return usage{}, err
	}
	// The name in parentheses may hold anything; the fields after it are 3, 4, 5, …
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(f) < 22 {
		return usage{}, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(f))
	}
	n := func(field int) int64 {
		v, _ := strconv.ParseInt(string(f[field-3]), 10, 64)
		return v
	}
	return usage{
		user: time.Duration(n(14)) * clockTick, kernel: time.Duration(n(15)) * clockTick,
		memory: n(24) * int64(os.Getpagesize()),
	}, nil
}

// freeSpace returns the bytes that can still be written below dir.
func freeSpace(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * st.Bsize, nil
}

// openPlain opens a file to read, unless it is a link.
func openPlain(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
}
