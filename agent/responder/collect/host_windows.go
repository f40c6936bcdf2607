package collect

import (
	"strconv"
	"syscall"

	"golang.org/x/sys/windows"
)

func freeSpace(dir string) (int64, error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	err = windows.GetDiskFreeSpaceEx(name, &free, nil, nil)
	return int64(free), err
}

// backgroundBegin lowers CPU, I/O and memory priority of the calling thread.
const backgroundBegin = 0x00010000 // THREAD_MODE_BACKGROUND_BEGIN

// yieldOthers gives the calling thread the lowest priority that is still served. It is a
// wish.
func yieldOthers() {
	proc := windows.NewLazySystemDLL("kernel32.dll").NewProc("SetThreadPriority")
	_, _, _ = proc.Call(uintptr(windows.CurrentThread()), backgroundBegin)
}

func errnoName(no syscall.Errno) string { return strconv.Itoa(int(no)) }
