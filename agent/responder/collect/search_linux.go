package collect

import (
	"cmp"
	"container/heap"
	"errors"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/responder/collect/rootfs"
)

// Bounds of searches over directories.
const (
	maxTempFiles  = 50_000
	maxTempDigest = 64 << 20 // bytes of a file that is digested
	maxSearched   = 3_000_000
	maxRecent     = 20_000
	recentDays    = 14
	maxDepth      = 40
)

// temporaries lists what lies where everybody may write, with digests.
func (d *device) temporaries(t *Task, r *rootfs.Root) error {
	type dir struct{ user, path string }
	dirs := []dir{{"", "tmp"}, {"", "var/tmp"}, {"", "dev/shm"}, {"", "run/shm"}, {"", "var/crash"}}
	for _, p := range r.Glob("run/user/*", rootfs.NoLinks) {
		dirs = append(dirs, dir{path.Base(p), p})
	}
	for _, h := range d.homes(t, r) {
		for _, p := range []string{"tmp", ".tmp", ".cache/tmp", "Downloads"} {
			dirs = append(dirs, dir{h.user, h.dir + "/" + p})
		}
	}
	found := false
	seen := map[uint64]bool{}
	for _, v := range dirs {
		st, err := r.Lstat(v.path, rootfs.NoLinks)
		if err != nil || !st.IsDir() || seen[st.Ino^st.Dev<<40] {
			continue
		}
		seen[st.Ino^st.Dev<<40] = true
		found = true
		if err := d.temporary(t, r, v.path, v.user); err != nil {
			return err
		}
	}
	if !found {
		return ErrAbsent
	}
	return nil
}

func (d *device) temporary(t *Task, r *rootfs.Root, dir, user string) error {
	name := strings.ReplaceAll(dir, "/", "_") + ".csv"
	if user != "" {
		name = user + "_" + name
	}
	tab, err := t.Table(name, slices.Concat(fileColumns, []string{"SHA1", "SHA256", "MD5"})...)
	if err != nil {
		return err
	}
	defer tab.end()
	err = r.Walk(dir, rootfs.NoLinks, maxDepth, func(f rootfs.Found) error {
		if err := t.ctx.Err(); err != nil {
			return err
		}
		if tab.Rows() >= maxTempFiles {
			tab.Cut("/%s: only the first %d files", dir, maxTempFiles)
			return rootfs.ErrStop
		}
		return tab.Row(slices.Concat(d.fileCells(f.Path, f.Stat, linkOf(f)), d.digests(t, f, maxTempDigest))...)
	})
	if err != nil {
		if full(err) {
			return err
		}
		d.missed(t, dir, err)
	}
	return tab.Close()
}

func linkOf(f rootfs.Found) string {
	if !f.Stat.IsLink() {
		return ""
	}
	to, err := f.Readlink()
	if err != nil {
		return "(" + code(err) + ")"
	}
	return to
}

// digests are the cells of a file's digests; those that were not taken say why.
func (d *device) digests(t *Task, f rootfs.Found, most int64) []string {
	none := func(why string) []string { return []string{"", "(" + why + ")", ""} }
	switch {
	case !f.Stat.IsRegular():
		return []string{"", "", ""}
	case f.Stat.Size > most:
		return none("too large")
	}
	in, _, err := f.Open()
	if err != nil {
		return none(code(err))
	}
	defer in.Close()
	s, why := d.digest(t, in)
	if why != "" {
		return none(why)
	}
	return []string{s.SHA1, s.SHA256, s.MD5}
}

// recentFile is a file that came to be lately.
type recentFile struct {
	at   time.Time // it was created, or where that is not known changed
	path string
	st   rootfs.Stat
}

// newest keeps the newest files: the oldest of them is at the top.
type newest []recentFile

// Len implements heap.Interface.
func (n newest) Len() int { return len(n) }

// Less implements heap.Interface.
func (n newest) Less(i, j int) bool { return n[i].at.Before(n[j].at) }

// Swap implements heap.Interface.
func (n newest) Swap(i, j int) { n[i], n[j] = n[j], n[i] }

// Push implements heap.Interface.
func (n *newest) Push(v any) { *n = append(*n, v.(recentFile)) }

// Pop implements heap.Interface.
func (n *newest) Pop() any {
	old := *n
	v := old[len(old)-1]
	*n = old[:len(old)-1]
	return v
}

// recent searches the device's own file systems for what was created lately, and for
// programs that run with more rights than those who start them.
func (d *device) recent(t *Task, r *rootfs.Root) error {
	after := d.Now().Add(-recentDays * 24 * time.Hour)
	var keep newest
	searched, left := 0, 0
	special, err := t.Table("SetuidFiles.csv", slices.Concat(fileColumns, []string{"Capabilities"})...)
	if err != nil {
		return err
	}
	defer special.end()
	excluded := d.unsearched(r)
	err = r.Walk("", rootfs.NoLinks, maxDepth, func(f rootfs.Found) error {
		if searched++; searched%256 == 0 {
			if err := t.ctx.Err(); err != nil {
				return err
			}
			if searched > maxSearched {
				t.Note(nil, "only the first %d files were looked at", maxSearched)
				return rootfs.ErrStop
			}
		}
		if f.Stat.IsDir() && excluded[f.Path] {
			return skip(f)
		}
		if !f.Stat.IsRegular() {
			return nil
		}
		capable := ""
		if f.Stat.Mode&0o111 != 0 && f.Stat.Size > 0 && f.Capabilities() {
			capable = "1"
		}
		if f.Stat.Mode&(unix.S_ISUID|unix.S_ISGID) != 0 && f.Stat.Mode&0o111 != 0 || capable != "" {
			if err := special.Row(slices.Concat(d.fileCells(f.Path, f.Stat, ""), []string{capable})...); err != nil {
				return err
			}
		}
		at := f.Stat.Born
		if at.IsZero() {
			at = f.Stat.Changed
		}
		if at.Before(after) {
			return nil
		}
		heap.Push(&keep, recentFile{at, f.Path, f.Stat})
		if len(keep) > maxRecent {
			heap.Pop(&keep)
			left++
		}
		return nil
	})
	var stopped error
	if err != nil && full(err) {
		stopped = err // what was found until then is told
	} else if err != nil {
		t.Note(err, "not everything could be looked at")
	}
	slices.SortStableFunc(keep, func(a, b recentFile) int { return b.at.Compare(a.at) })
	return errors.Join(stopped, special.Close(), d.recentTable(t, r, keep, left, stopped == nil))
}

// recentTable writes what was found, with digests of what may be run while there is time.
func (d *device) recentTable(t *Task, r *rootfs.Root, list []recentFile, left int, digest bool) error {
	tab, err := t.Table("RecentlyCreated.csv", slices.Concat(fileColumns, []string{"SHA256"})...)
	if err != nil {
		return err
	}
	defer tab.end()
	if left > 0 {
		tab.Cut("only the newest %d; %d older ones are left out", maxRecent, left)
	}
	for _, v := range list {
		sum := ""
		if digest && v.st.Mode&0o111 != 0 && v.st.Size <= maxTempDigest && t.ctx.Err() == nil {
			if f, _, err := r.Open(v.path, rootfs.NoLinks); err == nil {
				s, _ := d.digest(t, f)
				f.Close()
				sum = s.SHA256
			}
		}
		if err := tab.Row(slices.Concat(d.fileCells(v.path, v.st, ""), []string{sum})...); err != nil {
			return err
		}
	}
	return tab.Close()
}

// unsearched are directories that hold no files of the device's own: the kernel's state,
// what the agent keeps, and layers of containers that are mounted elsewhere as well.
func (d *device) unsearched(r *rootfs.Root) map[string]bool {
	out := map[string]bool{"proc": true, "sys": true}
	for _, m := range r.Mounts() {
		if m.Kernel() || m.Type == "devtmpfs" || m.Type == "overlay" && m.Point != "/" || m.Type == "squashfs" {
			out[strings.TrimPrefix(m.Point, "/")] = true
		}
	}
	for _, e := range d.Exclude {
		if p, ok := strings.CutPrefix(path.Clean(e), strings.TrimSuffix(d.Root, "/")+"/"); ok {
			out[p] = true
		}
	}
	return out
}

// traces lists what the agent saw being run and made: also what is gone by now.
func (d *device) traces(t *Task) error {
	if d.Recent == nil {
		return ErrAbsent
	}
	list := d.Recent()
	tab, err := t.Table("RecentlySeen.csv", "Time", "Action", "Path", "SHA256", "ProcessId", "CommandLine", "UserName", "ThereNow")
	if err != nil {
		return err
	}
	defer tab.end()
	for _, v := range slices.Backward(list) {
		there := "no"
		if _, err := os.Lstat(d.path(v.Path)); err == nil {
			there = "yes"
		}
		if err := tab.Row(when(v.Time), v.Action, v.Path, v.SHA256, itoa(v.PID), v.Command, v.Account, there); err != nil {
			return err
		}
	}
	return tab.Close()
}

// prefetch lists the programs of the system by when they were read last, which on file
// systems that note it is when they were run.
func (d *device) prefetch(t *Task, r *rootfs.Root) error {
	type program struct {
		path string
		st   rootfs.Stat
	}
	var list []program
	for _, dir := range []string{"bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin", "opt/*/bin"} {
		for _, p := range r.Glob(dir, rootfs.NoLinks) {
			err := r.Walk(p, rootfs.NoLinks, 1, func(f rootfs.Found) error {
				if f.Stat.IsRegular() && f.Stat.Mode&0o111 != 0 {
					list = append(list, program{f.Path, f.Stat})
				}
				return t.ctx.Err()
			})
			if err != nil && full(err) {
				return err
			}
		}
	}
	slices.SortStableFunc(list, func(a, b program) int {
		return cmp.Or(b.st.Accessed.Compare(a.st.Accessed), cmp.Compare(a.path, b.path))
	})
	tab, err := t.Table("ProgramsByLastAccess.csv", fileColumns...)
	if err != nil {
		return err
	}
	defer tab.end()
	for _, v := range list {
		if err := tab.Row(d.fileCells(v.path, v.st, "")...); err != nil {
			return err
		}
	}
	return tab.Close()
}
