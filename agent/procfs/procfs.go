// Package procfs reads what proc(5) says of processes.
package procfs

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tick is the grain of times in /proc/PID/stat: USER_HZ is 100 on every Linux we run on.
const tick = 10 * time.Millisecond

// PIDs lists the processes of a proc file system, "/proc" or another root's, in order.
func PIDs(proc string) ([]uint32, error) {
	dir, err := os.Open(proc)
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }() // it was only read
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var out []uint32
	for _, n := range names {
		if pid, err := strconv.ParseUint(n, 10, 32); err == nil && pid > 0 {
			out = append(out, uint32(pid))
		}
	}
	slices.Sort(out)
	return out, nil
}

// All lists the processes of /proc, as far as they can be listed: who looks for some of them
// finds the same as when they were gone.
func All() []uint32 {
	pids, err := PIDs("/proc")
	if err != nil {
		return nil
	}
	return pids
}

// Stat is what /proc/PID/stat says of a process.
type Stat struct {
	Comm     string // as the process named itself: anything, at most 15 bytes
	State    string // one letter
	PPID     uint32
	TTY      uint32        // number of the controlling terminal's device, 0 for none
	Used     time.Duration // processor time
	Threads  int
	Start    time.Duration // since the boot
	Resident int64         // bytes in memory
}

// ReadStat reads the stat of a process; false when it is gone.
func ReadStat(pid uint32) (Stat, bool) {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.FormatUint(uint64(pid), 10), "stat"))
	if err != nil {
		return Stat{}, false
	}
	return ParseStat(raw)
}

// ParseStat takes a line of /proc/PID/stat apart; false when it is none.
func ParseStat(raw []byte) (Stat, bool) {
	// The name is in parentheses and may hold anything, parentheses too.
	open, end := bytes.IndexByte(raw, '('), bytes.LastIndexByte(raw, ')')
	if open < 0 || end < open {
		return Stat{}, false
	}
	f := strings.Fields(string(raw[end+1:]))
	// Fields of proc(5), counted from the state, which is its third.
	const state, ppid, tty, utime, stime, threads, start, rss = 0, 1, 4, 11, 12, 17, 19, 21
	if len(f) <= rss {
		return Stat{}, false
	}
	ok := true
	number := func(i int) int64 {
		n, err := strconv.ParseInt(f[i], 10, 64)
		ok = ok && err == nil
		return n
	}
	s := Stat{
		Comm: string(raw[open+1 : end]), State: f[state], PPID: uint32(number(ppid)), TTY: uint32(number(tty)),
		Used: time.Duration(number(utime)+number(stime)) * tick, Threads: int(number(threads)),
		Start: time.Duration(number(start)) * tick, Resident: number(rss) * int64(os.Getpagesize()),
	}
	return s, ok
}

// Terminal names the controlling terminal below /dev, "" for none.
func (s Stat) Terminal() string {
	major, minor := s.TTY>>8&0xfff, s.TTY&0xff|s.TTY>>12&0xfff00
	switch {
	case s.TTY == 0:
		return ""
	case major == 136:
		return fmt.Sprintf("pts/%d", minor)
	case major == 4 && minor < 64:
		return fmt.Sprintf("tty%d", minor)
	case major == 4:
		return fmt.Sprintf("ttyS%d", minor-64)
	}
	return fmt.Sprintf("%d:%d", major, minor)
}

// interpreters are programs that run a file which they are given by name.
var interpreters = map[string]bool{
	"sh": true, "bash": true, "dash": true, "ash": true, "zsh": true, "ksh": true, "mksh": true, "fish": true, "csh": true, "tcsh": true,
	"busybox": true, "python": true, "perl": true, "ruby": true, "node": true, "nodejs": true, "php": true, "lua": true, "luajit": true,
	"tclsh": true, "expect": true, "awk": true, "gawk": true, "mawk": true, "java": true, "deno": true, "bun": true, "pwsh": true, "Rscript": true,
	"ld": true, "ld-linux": true, "ld-linux-x86-64": true, "ld-linux-aarch64": true, "ld-musl-x86_64": true, "ld-musl-aarch64": true,
}

// Interprets reports whether a program of that name runs what it is given, where an editor
// only has it open: python3.11 is python, ld-linux-x86-64.so.2 is ld-linux-x86-64. The name
// may end in " (deleted)", as that of /proc/PID/exe does.
func Interprets(name string) bool {
	name = strings.TrimSuffix(name, " (deleted)")
	name, _, _ = strings.Cut(name, ".so")
	return interpreters[name] || interpreters[strings.TrimRight(name, "0123456789.-")]
}
