package collect

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/agent/process"
	"github.com/vedette-edr/vedette/agent/procfs"
	"github.com/vedette-edr/vedette/agent/responder/collect/archive"
	"github.com/vedette-edr/vedette/agent/responder/collect/rootfs"
)

// Bounds of what is read of one process.
const (
	maxMaps    = 2 << 20 // bytes of maps
	maxArgs    = 128 << 10
	maxHandles = 20_000 // descriptors
)

// pids are the processes of the root's /proc, in order.
func (d *device) pids() ([]uint32, error) { return procfs.PIDs(d.path("proc")) }

// procStat is what proc_pid_stat(5) and proc_pid_status(5) say.
type procStat struct {
	procfs.Stat
	status map[string]string
}

func (d *device) procStat(pid uint32) (procStat, bool) {
	base := "proc/" + itoa(pid)
	stat, ok := procfs.ParseStat(d.read(base+"/stat", 4096))
	if !ok {
		return procStat{}, false
	}
	s := procStat{stat, map[string]string{}}
	for line := range strings.Lines(string(d.read(base+"/status", 64<<10))) {
		if name, value, ok := strings.Cut(line, ":"); ok {
			s.status[name] = strings.TrimSpace(value)
		}
	}
	return s, true
}

func (s procStat) id(name string, i int) string {
	f := strings.Fields(s.status[name])
	if i >= len(f) {
		return ""
	}
	return f[i]
}

// bootTime is when the device was started.
func (d *device) bootTime() time.Time {
	for line := range strings.Lines(string(d.read("proc/stat", 1<<20))) {
		if v, ok := strings.CutPrefix(line, "btime "); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
			return time.Unix(n, 0).UTC()
		}
	}
	return time.Time{}
}

// processes lists what runs.
func (d *device) processes(t *Task) error {
	pids, err := d.pids()
	if err != nil {
		return err
	}
	tab, err := t.Table("Processes.csv", "ProcessId", "ParentProcessId", "Name", "State", "StartTime", "UserName", "UserId", "EffectiveUserId", "GroupId",
		"LoginUserId", "AuditSession", "Terminal", "Threads", "ResidentKiB", "Executable", "ExecutableState", "ExecutableSize", "SHA1", "SHA256", "MD5",
		"CommandLine", "WorkingDirectory", "RootDirectory", "Cgroup", "EffectiveCapabilities", "Seccomp", "NoNewPrivileges", "TracerProcessId", "Namespaces", "KernelThread")
	if err != nil {
		return err
	}
	defer tab.end()
	boot := d.bootTime()
	for _, pid := range pids {
		if err := t.ctx.Err(); err != nil {
			return err
		}
		s, ok := d.procStat(pid)
		if !ok {
			continue // it ended
		}
		base := "proc/" + itoa(pid)
		exe, state, size, sums := d.executable(t, pid)
		uid, _ := strconv.ParseUint(s.id("Uid", 0), 10, 32)
		rss, _, _ := strings.Cut(s.status["VmRSS"], " ")
		kernel := ""
		if exe == "" && (pid == 2 || s.PPID == 2 || s.status["Kthread"] == "1") {
			kernel = "1"
		}
		link := func(name string) string { v, _ := os.Readlink(d.path(base + "/" + name)); return v }
		if err := tab.Row(itoa(pid), itoa(s.PPID), s.Comm, s.State, when(boot.Add(s.Start)), d.user(uint32(uid)), s.id("Uid", 0), s.id("Uid", 1), s.id("Gid", 0),
			unset(d.line(base+"/loginuid")), unset(d.line(base+"/sessionid")), s.Terminal(), itoa(s.Threads), rss, exe, state, size, sums[0], sums[1], sums[2],
			process.JoinArgs(d.read(base+"/cmdline", maxArgs)), link("cwd"), link("root"), strings.TrimSpace(string(d.read(base+"/cgroup", 16<<10))),
			s.status["CapEff"], s.status["Seccomp"], s.status["NoNewPrivs"], s.status["TracerPid"], d.namespaces(base), kernel); err != nil {
			return err
		}
	}
	return tab.Close()
}

func unset(id string) string {
	if id == "4294967295" {
		return ""
	}
	return id
}

// namespaces are those of a process that are not init's.
func (d *device) namespaces(base string) string {
	var out []string
	for _, ns := range []string{"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"} {
		own, err := os.Readlink(d.path(base + "/ns/" + ns))
		if err != nil {
			continue
		}
		if first, err := os.Readlink(d.path("proc/1/ns/" + ns)); err == nil && first != own {
			out = append(out, own)
		}
	}
	return strings.Join(out, " ")
}

// executable describes the file that a process runs, whatever its name leads to by now.
func (d *device) executable(t *Task, pid uint32) (name, state, size string, sums [3]string) {
	link := d.path("proc/" + itoa(pid) + "/exe")
	name, err := os.Readlink(link)
	if err != nil {
		return "", "", "", sums
	}
	state = "present"
	switch {
	case strings.HasPrefix(name, "/memfd:"):
		state = "memory"
	case strings.HasSuffix(name, " (deleted)"):
		state = "deleted"
	}
	f, err := os.Open(link)
	if err != nil {
		return name, state + ", " + code(err), "", sums
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil {
		size = itoa(st.Size())
	}
	s, why := d.digest(t, f)
	if why != "" {
		state += ", no digest: " + why
	}
	return name, state, size, [3]string{s.SHA1, s.SHA256, s.MD5}
}

// harmless are environment variables whose values say how a process came to be, and hold
// no secret; of all others only the names are told.
var harmless = []string{"LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "SSH_CONNECTION", "SSH_TTY", "SUDO_USER", "SUDO_UID", "HISTFILE", "HISTSIZE", "PWD", "SHELL", "USER", "container", "INVOCATION_ID"}

// environments lists the names of environment variables.
func (d *device) environments(t *Task) error {
	pids, err := d.pids()
	if err != nil {
		return err
	}
	tab, err := t.Table("EnvironmentNames.csv", "ProcessId", "Name", "Value")
	if err != nil {
		return err
	}
	defer tab.end()
	for _, pid := range pids {
		if err := t.ctx.Err(); err != nil {
			return err
		}
		for v := range bytes.SplitSeq(d.read("proc/"+itoa(pid)+"/environ", maxArgs), []byte{0}) {
			if len(v) == 0 {
				continue
			}
			name, value, ok := strings.Cut(string(v), "=")
			if !ok {
				name, value = "(no name)", "" // a process may put anything there
			} else if !slices.Contains(harmless, name) {
				value = ""
			}
			if err := tab.Row(itoa(pid), name, value); err != nil {
				return err
			}
		}
	}
	return tab.Close()
}

// handles lists the open descriptors of every process.
func (d *device) handles(t *Task) error {
	pids, err := d.pids()
	if err != nil {
		return err
	}
	tab, err := t.Table("Handles.csv", "ProcessId", "ProcessName", "Descriptor", "Type", "Target", "Flags", "Position", "Mode")
	if err != nil {
		return err
	}
	defer tab.end()
	for _, pid := range pids {
		s, ok := d.procStat(pid)
		if !ok {
			continue
		}
		fds, more := d.descriptors(pid)
		if more {
			tab.Cut("process %d: only the first %d descriptors", pid, maxHandles)
		}
		for _, fd := range fds {
			if err := t.ctx.Err(); err != nil {
				return err
			}
			base := fmt.Sprintf("proc/%d/fd/%d", pid, fd)
			target, err := os.Readlink(d.path(base))
			if err != nil {
				continue
			}
			info := map[string]string{}
			for line := range strings.Lines(string(d.read(fmt.Sprintf("proc/%d/fdinfo/%d", pid, fd), 1024))) {
				name, value, _ := strings.Cut(line, ":")
				info[name] = strings.TrimSpace(value)
			}
			mode := ""
			if st, err := os.Lstat(d.path(base)); err == nil {
				mode = st.Mode().Perm().String()[1:3]
			}
			if err := tab.Row(itoa(pid), s.Comm, itoa(fd), handleType(target), target, info["flags"], info["pos"], mode); err != nil {
				return err
			}
		}
	}
	return tab.Close()
}

func handleType(target string) string {
	switch kind, rest, ok := strings.Cut(target, ":"); {
	case strings.HasPrefix(target, "/memfd:"):
		return "memory"
	case strings.HasPrefix(target, "/dev/"):
		return "device"
	case strings.HasPrefix(target, "/"):
		return "file"
	case ok && kind == "anon_inode":
		return strings.Trim(rest, "[]")
	case ok:
		return kind
	}
	return "other"
}

func (d *device) descriptors(pid uint32) (fds []int, more bool) {
	dir, err := os.Open(d.path("proc/" + itoa(pid) + "/fd"))
	if err != nil {
		return nil, false
	}
	defer dir.Close()
	names, err := dir.Readdirnames(maxHandles + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, false
	}
	for _, n := range names {
		if fd, err := strconv.Atoi(n); err == nil {
			fds = append(fds, fd)
		}
	}
	slices.Sort(fds)
	if len(fds) > maxHandles {
		return fds[:maxHandles], true
	}
	return fds, false
}

// maps copies the address spaces, and lists what is executable there without a file.
func (d *device) maps(t *Task) error {
	pids, err := d.pids()
	if err != nil {
		return err
	}
	tab, err := t.Table("ExecutableMemory.csv", "ProcessId", "ProcessName", "Range", "Permissions", "Mapping", "Why")
	if err != nil {
		return err
	}
	defer tab.end()
	for _, pid := range pids {
		if err := t.ctx.Err(); err != nil {
			return err
		}
		name := "proc/" + itoa(pid) + "/maps"
		raw := d.read(name, maxMaps+1)
		if len(raw) == 0 {
			continue // a kernel thread, or gone
		}
		f, err := t.Create("Maps/"+itoa(pid)+".txt", archive.Info{Source: "/" + name})
		if err != nil {
			return err
		}
		if len(raw) > maxMaps {
			raw = raw[:maxMaps]
			f.Cut("only the first %d bytes", maxMaps)
			t.Note(nil, "/%s: only the first %d bytes", name, maxMaps)
		}
		_, err = f.Write(raw)
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
		s, _ := d.procStat(pid)
		for line := range strings.Lines(string(raw)) {
			span, perms, mapping, why := executableMemory(line)
			if why == "" {
				continue
			}
			if err := tab.Row(itoa(pid), s.Comm, span, perms, mapping, why); err != nil {
				return err
			}
		}
	}
	return tab.Close()
}

// executableMemory says why a line of maps is worth a look, "" when it is not.
func executableMemory(line string) (span, perms, mapping, why string) {
	f := strings.Fields(line)
	if len(f) < 5 || len(f[1]) < 4 || f[1][2] != 'x' {
		return "", "", "", ""
	}
	if len(f) > 5 {
		mapping = strings.Join(f[5:], " ")
	}
	switch {
	case mapping == "[vdso]" || mapping == "[vsyscall]" || mapping == "[uprobes]":
		return "", "", "", ""
	case mapping == "" || strings.HasPrefix(mapping, "["):
		why = "no file"
	case strings.HasPrefix(mapping, "/memfd:"), strings.HasPrefix(mapping, "/dev/shm/"), strings.HasPrefix(mapping, "/SYSV"):
		why = "memory as a file"
	case strings.HasSuffix(mapping, " (deleted)"):
		why = "the file is deleted"
	case f[1][1] == 'w':
		why = "writable"
	default:
		return "", "", "", ""
	}
	if f[1][1] == 'w' && why != "writable" {
		why += ", writable"
	}
	return f[0], f[1], mapping, why
}

// kernelModules lists what was loaded into the kernel.
func (d *device) kernelModules(t *Task) error {
	raw := d.read("proc/modules", 4<<20)
	names, _ := os.ReadDir(d.path("sys/module")) // modules that hide from one list may be in the other
	if raw == nil && names == nil {
		return ErrAbsent
	}
	tab, err := t.Table("KernelModules.csv", "Name", "Bytes", "References", "UsedBy", "State", "Address", "Taint", "Version", "SourceVersion", "Listed")
	if err != nil {
		return err
	}
	defer tab.end()
	seen := map[string]bool{}
	row := func(name, size, refs, by, state, address, listed string) error {
		base := "sys/module/" + name + "/"
		return tab.Row(name, size, refs, by, state, address, d.line(base+"taint"), d.line(base+"version"), d.line(base+"srcversion"), listed)
	}
	for line := range strings.Lines(string(raw)) {
		f := strings.Fields(line)
		if len(f) < 6 {
			continue
		}
		seen[f[0]] = true
		listed := "proc and sysfs"
		if _, err := os.Stat(d.path("sys/module/" + path.Base(f[0]))); err != nil {
			listed = "proc only"
		}
		if err := row(f[0], f[1], f[2], strings.Trim(f[3], "-,"), f[4], f[5], listed); err != nil {
			return err
		}
	}
	for _, n := range names {
		// A part of the kernel itself has no initstate.
		state := d.line("sys/module/" + n.Name() + "/initstate")
		if state == "" || seen[n.Name()] {
			continue
		}
		if err := row(n.Name(), d.line("sys/module/"+n.Name()+"/coresize"), d.line("sys/module/"+n.Name()+"/refcnt"), "", state, "", "sysfs only"); err != nil {
			return err
		}
	}
	if err := tab.Close(); err != nil {
		return err
	}
	return t.Text("KernelTaint.txt", "/proc/sys/kernel/tainted", taint(d.line("proc/sys/kernel/tainted")))
}

// taints are the bits of tainted (kernel documentation, tainted-kernels).
var taints = []string{"proprietary module (P)", "module was force loaded (F)", "kernel on an out of specification system (S)", "module was force unloaded (R)",
	"machine check exception (M)", "bad page (B)", "taint requested by userspace (U)", "kernel died recently (D)", "ACPI table overridden (A)", "warning issued (W)",
	"staging driver (C)", "workaround for a firmware bug (I)", "externally built module (O)", "unsigned module (E)", "soft lockup (L)", "live patched (K)",
	"auxiliary taint (X)", "struct randomization (T)", "in-kernel test (N)", "mutating debug operation (J)"}

func taint(text string) string {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return "not known\n"
	}
	out := text + "\n"
	for i, name := range taints {
		if n>>i&1 == 1 {
			out += name + "\n"
		}
	}
	return out
}

// tracing copies who has put probes into the kernel and into programs, where the kernel
// shows it already: nothing is mounted for it.
func (d *device) tracing(t *Task, r *rootfs.Root) error {
	found := false
	for _, name := range []string{"sys/kernel/tracing/kprobe_events", "sys/kernel/tracing/uprobe_events", "sys/kernel/tracing/dynamic_events",
		"sys/kernel/tracing/enabled_functions", "sys/kernel/tracing/touched_functions", "sys/kernel/debug/kprobes/list", "proc/sys/kernel/ftrace_enabled"} {
		b, more, err := r.Read(name, rootfs.NoLinks, 4<<20)
		if err != nil {
			continue
		}
		found = true
		if more {
			t.Note(nil, "/%s: only the first 4 MiB", name)
		}
		if err := t.Text(name, "/"+name, string(b)); err != nil {
			return err
		}
	}
	if !found {
		return ErrAbsent
	}
	return nil
}
