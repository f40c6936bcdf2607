package walk

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// foreign are file systems that are not gone into: their files are the kernel's own, or
// their server may be anybody, or not answer.
var foreign = map[string]bool{
	"proc": true, "sysfs": true, "devpts": true, "cgroup": true, "cgroup2": true, "securityfs": true, "debugfs": true, "tracefs": true,
	"bpf": true, "pstore": true, "mqueue": true, "configfs": true, "efivarfs": true, "binfmt_misc": true, "nsfs": true, "selinuxfs": true,
	"rpc_pipefs": true, "nfsd": true, "fusectl": true, "hugetlbfs": true, "functionfs": true,
	"nfs": true, "nfs4": true, "cifs": true, "smb3": true, "smbfs": true, "9p": true, "ceph": true, "afs": true, "fuse": true, "fuseblk": true,
	"virtiofs": true, "autofs": true, "glusterfs": true, "lustre": true, "gfs2": true, "ocfs2": true, "orangefs": true, "coda": true,
	"davfs": true, "beegfs": true, "vboxsf": true, "vmhgfs": true, "prl_fs": true,
}

// Mount is a mounted file system of the agent's mount namespace.
type Mount struct {
	Device string // MAJOR:MINOR
	Type   string
	Path   string
}

// Local reports whether the files of the mount are the device's own to walk through.
func (m Mount) Local() bool { return !foreign[m.Type] && !strings.HasPrefix(m.Type, "fuse.") }

// Mounts lists the mounts of the agent's mount namespace; of several at one path the last
// one counts, which hides the others.
func Mounts() ([]Mount, error) {
	raw, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("walk: %w", err)
	}
	return parseMounts(raw), nil
}

// parseMounts reads the lines of proc_pid_mountinfo(5).
func parseMounts(raw []byte) []Mount {
	at := map[string]int{}
	var out []Mount
	for line := range bytes.Lines(raw) {
		before, after, ok := strings.Cut(string(line), " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 5 || len(g) < 1 {
			continue
		}
		m := Mount{Device: f[2], Type: g[0], Path: unescape(f[4])}
		if i, ok := at[m.Path]; ok {
			out[i] = m
			continue
		}
		at[m.Path] = len(out)
		out = append(out, m)
	}
	return out
}

// unescape undoes the octal escapes of mountinfo.
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
