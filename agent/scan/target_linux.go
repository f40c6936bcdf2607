package scan

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/process"
	"github.com/vedette-edr/vedette/agent/procfs"
	"github.com/vedette-edr/vedette/agent/walk"
)

// temporary are the directories that everybody may write to.
var temporary = []string{"/tmp", "/var/tmp", "/dev/shm", "/run/shm", "/run/user"}

// downloads are the directories below a home where what came from outside lies.
var downloads = []string{"Downloads", "Desktop", "Téléchargements", "Descargas", "Scaricati", ".local/bin", "bin", ".config/autostart", ".cache/mozilla", ".ssh"}

// files goes through the places of the job's kind.
func (r *run) files() error {
	roots := r.s.cfg.Roots
	if roots == nil && r.job.Kind == Full {
		roots = []string{"/"}
		r.total = inodes()
	}
	if roots == nil {
		for _, t := range temporary {
			if real, err := filepath.EvalSymlinks(t); err == nil {
				roots = append(roots, real)
			}
		}
		if r.s.cfg.Homes != nil {
			for _, h := range r.s.cfg.Homes() {
				for _, d := range downloads {
					roots = append(roots, filepath.Join(h, d))
				}
			}
		}
	}
	if r.s.cfg.Autoruns != nil {
		for _, p := range r.s.cfg.Autoruns() {
			if err := r.path(p); err != nil {
				return err
			}
		}
	}
	stats, err := walk.Walk(r.ctx, walk.Config{
		Roots: roots, Skip: r.s.skipped,
		Problem: func(p string, err error) {
			if !errors.Is(err, fs.ErrNotExist) {
				r.unread(p, err)
			}
		},
	}, func(f *walk.File) error {
		if err := r.pace.wait(r.ctx); err != nil {
			return err
		}
		if f.Stat.Size == 0 || f.Stat.Nlink > 1 && r.seen[inodeOf(&f.Stat)] {
			r.rep.Files++
			return nil
		}
		open, err := f.Open()
		switch {
		case errors.Is(err, walk.ErrChanged), errors.Is(err, fs.ErrNotExist):
			return nil // what stands there now is met, or was
		case err != nil:
			r.unread(f.Path, err)
			return nil
		}
		return r.file(open, f.Path, 0)
	})
	r.rep.Foreign = stats.Foreign
	return err
}

// inodes is about how many files there are on the local file systems.
func inodes() (n int64) {
	mounts, err := walk.Mounts()
	if err != nil {
		return 0
	}
	seen := map[string]bool{}
	for _, m := range mounts {
		if !m.Local() || seen[m.Device] {
			continue
		}
		seen[m.Device] = true
		var sf unix.Statfs_t
		if unix.Statfs(m.Point, &sf) == nil && sf.Files > sf.Ffree {
			n += int64(sf.Files - sf.Ffree)
		}
	}
	return n
}

// processes lists all but the agent.
func processes() []uint32 {
	var own unix.Stat_t
	_ = unix.Stat("/proc/self/exe", &own) // a zero inode is nobody's
	var out []uint32
	for _, pid := range procfs.All() {
		if int(pid) == os.Getpid() {
			continue
		}
		var st unix.Stat_t
		if unix.Stat(fmt.Sprintf("/proc/%d/exe", pid), &st) != nil || inodeOf(&st) == inodeOf(&own) {
			continue // a thread of the kernel, or the watchdog
		}
		out = append(out, pid)
	}
	return out
}

// processes looks at what runs: images, libraries, memory.
func (r *run) processes() error {
	for _, pid := range r.s.cfg.Processes() {
		if err := r.pace.wait(r.ctx); err != nil {
			return err
		}
		base := fmt.Sprintf("/proc/%d", pid)
		exe, err := os.Readlink(base + "/exe")
		if err != nil {
			continue
		}
		exe = strings.TrimSuffix(exe, " (deleted)")
		if f, err := os.Open(base + "/exe"); err == nil {
			if err := r.file(f, exe, pid); err != nil {
				return err
			}
		}
		if err := r.libraries(pid, base); err != nil {
			return err
		}
		if r.rep.Memory > maxMemorySum {
			r.rep.problem(fmt.Sprintf("the memory of further processes was not looked at: %d GiB were", maxMemorySum>>30))
			r.rep.Unread++
			continue
		}
		found, n, err := r.s.memory(r.ctx, r.pace, pid)
		r.rep.Memory += n
		r.rep.Processes++
		if r.ctx.Err() != nil {
			return r.ctx.Err()
		}
		if errors.Is(err, errBounds) {
			r.rep.problem(fmt.Sprintf("of process %d the first %d MiB of memory were looked at", pid, maxMemory>>20))
		} else if err != nil && !gone(err) {
			r.unread(fmt.Sprintf("memory of process %d (%s)", pid, process.Text(exe)), err)
		}
		seen := &Seen{Object: &Object{Path: exe, PID: pid, Memory: true}}
		if found {
			seen.Findings = append(seen.Findings, Finding{Engine: EngineSignature, Threat: eicarThreat})
		}
		if r.yara != nil {
			if f, err := copied(pid); err == nil && f != nil {
				seen.Object.File = f
				if err := unix.Fstat(int(f.Fd()), &seen.Object.Stat); err != nil {
					return err
				}
				if err := r.more(seen); err != nil {
					return err
				}
				continue
			}
		}
		r.conclude(seen)
	}
	return nil
}

// gone reports whether an error says that the process has ended.
func gone(err error) bool {
	return errors.Is(err, unix.ESRCH) || errors.Is(err, fs.ErrNotExist)
}

// libraries looks at what a process has mapped as code.
func (r *run) libraries(pid uint32, base string) error {
	raw, err := os.ReadFile(base + "/maps")
	if err != nil {
		return nil // it has ended
	}
	for line := range bytes.Lines(raw) {
		f := strings.SplitN(strings.TrimRight(string(line), "\n"), " ", 6)
		if len(f) < 6 || len(f[1]) < 3 || f[1][2] != 'x' || f[4] == "0" {
			continue
		}
		at := base + "/map_files/" + f[0]
		var st unix.Stat_t
		if unix.Stat(at, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || r.seen[inodeOf(&st)] {
			continue
		}
		open, err := os.Open(at)
		if err != nil {
			continue
		}
		path := strings.TrimSuffix(strings.ReplaceAll(strings.TrimLeft(f[5], " "), `\012`, "\n"), " (deleted)")
		if err := r.file(open, path, pid); err != nil {
			return err
		}
	}
	return nil
}

// tarOf packs content.
func tarOf(content []byte) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if w.WriteHeader(&tar.Header{Name: "proof", Size: int64(len(content)), Mode: 0o600, Typeflag: tar.TypeReg}) != nil {
		return nil
	}
	if _, err := w.Write(content); err != nil || w.Close() != nil {
		return nil
	}
	return b.Bytes()
}
