// Package mount reads what is mounted, as /proc/PID/mountinfo has it, and knows which file
// systems are the kernel's own state and which are somebody else's.
package mount

import (
	"strconv"
	"strings"
)

// Mount is a mounted file system (proc_pid_mountinfo(5)).
type Mount struct {
	ID, Parent int
	Device     string // MAJOR:MINOR
	Root       string // what of the file system is mounted
	Point      string // where, in the mount namespace that was read
	Options    string
	Type       string
	Source     string
	Super      string // options of the file system
}

// Remote reports whether the files of m are on another machine, in another process, or
// mounted by a touch: whoever asks about them may wait for ever, or be answered by anybody.
func (m Mount) Remote() bool {
	switch m.Type {
	case "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "gfs2", "ocfs2", "ncpfs", "coda", "orangefs",
		"beegfs", "davfs", "autofs", "virtiofs", "vboxsf", "vmhgfs", "prl_fs", "fuse", "fuseblk":
		return true
	}
	return strings.HasPrefix(m.Type, "fuse.")
}

// Kernel reports whether m holds the kernel's own state and no files. devtmpfs is not among
// them: anything can be put there.
func (m Mount) Kernel() bool {
	switch m.Type {
	case "proc", "sysfs", "devpts", "cgroup", "cgroup2", "pstore", "bpf", "tracefs", "debugfs", "securityfs", "configfs", "efivarfs",
		"mqueue", "hugetlbfs", "binfmt_misc", "fusectl", "functionfs", "rpc_pipefs", "nsfs", "selinuxfs", "nfsd":
		return true
	}
	return false
}

// Local reports whether the files of m are the device's own, and answered for by its kernel.
func (m Mount) Local() bool { return !m.Remote() && !m.Kernel() }

// Parse reads the lines of a mountinfo, in their order: of several mounts at one point the
// last hides the others. Lines that are none are left out.
func Parse(raw []byte) []Mount {
	var out []Mount
	for line := range strings.SplitSeq(string(raw), "\n") {
		left, right, ok := strings.Cut(line, " - ")
		f, g := strings.Fields(left), strings.Fields(right)
		if !ok || len(f) < 6 || len(g) < 2 {
			continue
		}
		m := Mount{Device: f[2], Root: unescape(f[3]), Point: unescape(f[4]), Options: f[5], Type: g[0], Source: unescape(g[1]), Super: strings.Join(g[2:], " ")}
		var err1, err2 error
		m.ID, err1 = strconv.Atoi(f[0])
		m.Parent, err2 = strconv.Atoi(f[1])
		if err1 != nil || err2 != nil {
			continue
		}
		out = append(out, m)
	}
	return out
}

// unescape undoes the octal escapes of blanks and backslashes.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
