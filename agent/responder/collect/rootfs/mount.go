package rootfs

import (
	"slices"
	"strconv"
	"strings"
)

// Mount is a mounted file system, as /proc/PID/mountinfo has it (proc_pid_mountinfo(5)).
type Mount struct {
	ID, Parent int
	Device     string // major:minor
	Root       string // of the file system, what is mounted
	Point      string // where, as a path below the root that it was asked for
	Options    string
	Type       string
	Source     string
	Super      string // options of the file system
}

// remote are file systems whose files are elsewhere, or a process's own, which may hang,
// and the one by which others are mounted on touch.
var remote = []string{"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "gfs2", "ocfs2", "ncpfs", "coda", "orangefs", "beegfs", "autofs", "virtiofs"}

// Remote reports whether files of m may hang or be mounted when they are looked at.
func (m Mount) Remote() bool {
	return slices.Contains(remote, m.Type) || m.Type == "fuse" || m.Type == "fuseblk" || strings.HasPrefix(m.Type, "fuse.")
}

// pseudo are file systems of the kernel's own state.
var pseudo = []string{"proc", "sysfs", "devtmpfs", "devpts", "cgroup", "cgroup2", "pstore", "bpf", "tracefs", "debugfs", "securityfs", "configfs", "efivarfs",
	"mqueue", "hugetlbfs", "binfmt_misc", "fusectl", "rpc_pipefs", "nsfs", "selinuxfs", "nfsd"}

// Pseudo reports whether m holds the kernel's state and no files.
func (m Mount) Pseudo() bool { return slices.Contains(pseudo, m.Type) }

// parseMounts returns the mounts at or below a root.
func parseMounts(raw []byte, root string) []Mount {
	var out []Mount
	for line := range strings.SplitSeq(string(raw), "\n") {
		left, right, ok := strings.Cut(line, " - ")
		f, g := strings.Fields(left), strings.Fields(right)
		if !ok || len(f) < 6 || len(g) < 2 {
			continue
		}
		point := unescape(f[4])
		switch {
		case root == "/":
		case point == root:
			point = "/"
		case strings.HasPrefix(point, root+"/"):
			point = point[len(root):]
		default:
			continue
		}
		m := Mount{Device: f[2], Root: unescape(f[3]), Point: point, Options: f[5], Type: g[0], Source: unescape(g[1])}
		m.ID, _ = strconv.Atoi(f[0])
		m.Parent, _ = strconv.Atoi(f[1])
		if len(g) > 2 {
			m.Super = strings.Join(g[2:], " ")
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
