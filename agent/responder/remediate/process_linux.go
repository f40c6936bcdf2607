package remediate

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/procfs"
)

// inode names a file for as long as somebody has it open.
type inode struct{ dev, ino uint64 }

func inodeOf(st *unix.Stat_t) inode { return inode{st.Dev, st.Ino} }

// image is a file that a process executes or has mapped as code.
type image struct {
	pid  uint32
	via  string // image, library
	id   inode
	size int64
	open string // where this process can open it
	path string // as the kernel names it there
}

func procDir(pid uint32) string { return "/proc/" + strconv.FormatUint(uint64(pid), 10) }

// maxMaps bounds what is read of one process's mappings.
const maxMaps = 8 << 20

// images lists what a process executes: its program, and what it has mapped as code.
func images(pid uint32) []image {
	base := procDir(pid)
	var out []image
	seen := map[inode]bool{}
	add := func(via, open, path string) {
		var st unix.Stat_t
		if unix.Stat(open, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || seen[inodeOf(&st)] {
			return
		}
		seen[inodeOf(&st)] = true
		out = append(out, image{pid: pid, via: via, id: inodeOf(&st), size: st.Size, open: open, path: strings.TrimSuffix(path, " (deleted)")})
	}
	if exe, err := os.Readlink(base + "/exe"); err == nil {
		add("image", base+"/exe", exe)
	} else {
		return nil // a thread of the kernel, or it has ended
	}
	f, err := os.Open(base + "/maps")
	if err != nil {
		return out
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxMaps))
	if err != nil {
		return out
	}
	for line := range bytes.Lines(raw) {
		// address perms offset dev inode path
		f := strings.SplitN(strings.TrimRight(string(line), "\n"), " ", 6)
		if len(f) < 6 || len(f[1]) < 3 || f[1][2] != 'x' || f[4] == "0" {
			continue
		}
		add("library", base+"/map_files/"+f[0], unescapeMap(strings.TrimLeft(f[5], " ")))
	}
	return out
}

// unescapeMap undoes what the kernel does to line feeds in the names of mappings.
func unescapeMap(s string) string { return strings.ReplaceAll(s, `\012`, "\n") }

// maxArguments bounds what is looked at of a command line.
const maxArguments = 16

// script reports whether a process was given one of the files as an argument, as
// interpreters are.
func script(pid uint32, files map[inode]bool) bool {
	base := procDir(pid)
	f, err := os.Open(base + "/cmdline")
	if err != nil {
		return false
	}
	raw, err := io.ReadAll(io.LimitReader(f, 64<<10))
	f.Close()
	if err != nil {
		return false
	}
	exe, err := os.Readlink(base + "/exe")
	if err != nil || !procfs.Interprets(filepath.Base(exe)) {
		return false
	}
	cwd, err := os.Readlink(base + "/cwd")
	if err != nil {
		return false
	}
	root, err := unix.Open(base+"/root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(root)
	for i, a := range bytes.Split(bytes.TrimSuffix(raw, []byte{0}), []byte{0}) {
		if i == 0 || len(a) == 0 || a[0] == '-' {
			continue
		}
		if i > maxArguments {
			break
		}
		path := string(a)
		if !filepath.IsAbs(path) {
			path = filepath.Join(cwd, path)
		}
		at, err := unix.Openat2(root, path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
		if err != nil {
			continue
		}
		var st unix.Stat_t
		err = unix.Fstat(at, &st)
		unix.Close(at)
		if err == nil && files[inodeOf(&st)] {
			return true
		}
	}
	return false
}

// runner is a process that runs one of the files, held so that its number means nothing
// else.
type runner struct {
	pid   uint32
	pidfd int
	name  string
	via   string
}

// runners returns the processes that run one of the files. The caller closes them.
func runners(files map[inode]bool) []runner {
	var out []runner
	for _, pid := range procfs.All() {
		fd, err := unix.PidfdOpen(int(pid), 0)
		if err != nil {
			continue
		}
		// Looked at once the descriptor is held: it is this process that is judged.
		via := ""
		for _, i := range images(pid) {
			if files[i.id] {
				via = i.via
				break
			}
		}
		if via == "" && script(pid, files) {
			via = "script"
		}
		if via == "" || unix.PidfdSendSignal(fd, 0, nil, 0) != nil {
			unix.Close(fd)
			continue
		}
		name := ""
		if b, err := os.ReadFile(procDir(pid) + "/comm"); err == nil {
			name = strings.ToValidUTF8(strings.TrimSpace(string(b)), "�")
		}
		out = append(out, runner{pid: pid, pidfd: fd, name: name, via: via})
	}
	return out
}

func (r *runner) signal(s unix.Signal) error { return unix.PidfdSendSignal(r.pidfd, s, nil, 0) }

func (r *runner) close() { unix.Close(r.pidfd) }

// gone waits until the process has ended.
func (r *runner) gone(patience time.Duration) bool {
	p := []unix.PollFd{{Fd: int32(r.pidfd), Events: unix.POLLIN}}
	for until := time.Now().Add(patience); ; {
		n, err := unix.Poll(p, int(max(0, time.Until(until).Milliseconds())))
		if err == unix.EINTR {
			continue
		}
		return err == nil && n > 0
	}
}
