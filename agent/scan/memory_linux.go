package scan

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Bounds of what is read of the memory of processes.
const (
	maxMemory    = 256 << 20 // bytes of one process
	maxMemorySum = 8 << 30   // bytes of all
	maxCopied    = 32 << 20  // bytes of one process that YARA rules are asked about
)

// region is a part of a process's memory.
type region struct{ from, to uint64 }

// regions lists the memory that is a process's own: what it wrote, not what it mapped of
// files. code says that only what it may execute is meant.
func regions(pid uint32, code bool) ([]region, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []region
	sc := bufio.NewScanner(io.LimitReader(f, 16<<20))
	for sc.Scan() {
		// address perms offset dev inode path
		w := strings.Fields(sc.Text())
		if len(w) < 5 || len(w[1]) < 3 || w[1][0] != 'r' {
			continue
		}
		// Special areas are the kernel's; [vvar] cannot be read.
		if len(w) > 5 && (strings.HasPrefix(w[5], "[v") || strings.HasPrefix(w[5], "/dev/")) {
			continue
		}
		own := w[1][1] == 'w' || w[4] == "0"
		if !own || code && w[1][2] != 'x' {
			continue
		}
		a, b, ok := strings.Cut(w[0], "-")
		from, err1 := strconv.ParseUint(a, 16, 64)
		to, err2 := strconv.ParseUint(b, 16, 64)
		if ok && err1 == nil && err2 == nil && to > from {
			out = append(out, region{from, to})
		}
	}
	return out, sc.Err()
}

// memory looks for the EICAR test file in a process, whatever stands around it.
func (s *Scanner) memory(ctx context.Context, p *pacer, pid uint32) (found bool, read int64, err error) {
	rs, err := regions(pid, false)
	if err != nil {
		return false, 0, err
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return false, 0, err
	}
	defer mem.Close()
	const piece = 1 << 20
	buf := make([]byte, piece+len(eicar))
	for _, r := range rs {
		kept := 0
		for at := r.from; at < r.to; {
			if err := p.wait(ctx); err != nil {
				return found, read, err
			}
			if read > maxMemory {
				return found, read, errBounds
			}
			n, err := unix.Pread(int(mem.Fd()), buf[kept:kept+int(min(piece, r.to-at))], int64(at))
			if err != nil || n <= 0 {
				if errors.Is(err, unix.ESRCH) {
					return found, read, err
				}
				// A page that cannot be read does not hide those behind it.
				kept, at = 0, at+min(piece, r.to-at)
				continue
			}
			read += int64(n)
			at += uint64(n)
			total := kept + n
			if bytes.Contains(buf[:total], eicar) {
				return true, read, nil
			}
			// It may go on in the next piece.
			kept = min(len(eicar)-1, total)
			copy(buf, buf[total-kept:total])
		}
	}
	return false, read, nil
}

// copied returns a file in memory with what a process may execute and did not map of a
// file, nil when there is nothing. The caller closes it.
func copied(pid uint32) (*os.File, error) {
	rs, err := regions(pid, true)
	if err != nil || len(rs) == 0 {
		return nil, err
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return nil, err
	}
	defer mem.Close()
	fd, err := unix.MemfdCreate("vedette-scan", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	out := os.NewFile(uintptr(fd), "memory")
	left := int64(maxCopied)
	for _, r := range rs {
		n, err := io.Copy(out, io.NewSectionReader(mem, int64(r.from), min(int64(r.to-r.from), left)))
		if left -= n; left <= 0 || err != nil && !errors.Is(err, unix.EIO) && !errors.Is(err, unix.EFAULT) {
			break
		}
	}
	return out, nil
}
