package restrict

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// floor names what must run whatever becomes of the packages' databases: what starts the
// device, what lets people in, what installs packages.
var floor = []string{
	"/sbin/init", "/lib/systemd/systemd", "/usr/lib/systemd/systemd", "/lib/systemd/systemd-*", "/usr/lib/systemd/systemd-*",
	"/bin/sh", "/bin/bash", "/bin/dash", "/bin/mount", "/bin/umount", "/bin/systemctl", "/sbin/modprobe", "/sbin/fsck*", "/sbin/agetty", "/bin/login",
	"/usr/sbin/sshd", "/usr/lib/openssh/*", "/usr/libexec/openssh/*", "/usr/bin/sudo", "/usr/bin/su", "/bin/su",
	"/usr/bin/dpkg*", "/usr/bin/apt", "/usr/bin/apt-get", "/usr/lib/apt/methods/*", "/usr/bin/rpm", "/usr/bin/dnf*", "/usr/bin/yum", "/usr/bin/microdnf", "/usr/bin/zypper",
}

// measure returns the files of the floor that no package explains as they are. Those that
// somebody but root can write are not of the floor.
func (r *Restrictor) measure(ctx context.Context) ([]essential, error) {
	names := map[string]bool{}
	for _, pattern := range floor {
		found, _ := filepath.Glob(filepath.Join(r.cfg.Root, pattern)) // a malformed pattern is its only error
		for _, f := range found {
			names[f] = true
		}
	}
	if r.cfg.Root == "/" {
		for _, f := range loaded(1) {
			names[f] = true
		}
	}
	var out []essential
	seen := map[string]bool{}
	for f := range names {
		e, ok, err := r.essential(ctx, f)
		if err != nil {
			return nil, err
		}
		if ok && !seen[e.Path] {
			seen[e.Path] = true
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b essential) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

func (r *Restrictor) essential(ctx context.Context, name string) (e essential, ok bool, err error) {
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		return e, false, nil // a link that leads nowhere: nobody runs it
	}
	st, err := os.Stat(real)
	if err != nil || !st.Mode().IsRegular() {
		return e, false, nil
	}
	f, err := os.Open(real)
	if errors.Is(err, fs.ErrNotExist) {
		return e, false, nil
	}
	if err != nil {
		return e, false, err
	}
	defer f.Close()
	if !guarded(f) {
		return e, false, nil
	}
	_, sums, err := r.cfg.Pool.File(ctx, f)
	if ctx.Err() != nil {
		return e, false, ctx.Err()
	}
	path, below := r.below(real)
	if err != nil || !below || r.known.Has(path, sums) {
		return e, false, nil
	}
	return essential{Path: path, SHA256: sums.SHA256}, true, nil
}

// loaded returns the files that a process runs: its program and its libraries.
func loaded(pid int) []string {
	raw, err := os.ReadFile("/proc/1/maps")
	if pid != 1 || err != nil {
		return nil
	}
	var out []string
	for line := range bytes.Lines(raw) {
		f := bytes.Fields(line)
		if len(f) == 6 && bytes.Contains(f[1], []byte("x")) && f[5][0] == '/' {
			out = append(out, string(f[5]))
		}
	}
	return out
}
