package remediate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/hash"
	"github.com/vedette-edr/vedette/agent/procfs"
	"github.com/vedette-edr/vedette/agent/walk"
)

// instance is one place of the file, open.
type instance struct {
	file *os.File
	path string // as those who use it name it
	at   string // where this process finds it; "" for path
	id   inode
	stat unix.Stat_t
	sums hash.Sums
}

// Bounds of a search.
const (
	maxInstances = 2000
	maxUnknown   = 256 << 20 // bytes of a file that is read although its size is not known
)

// Limits bound a search.
type Limits struct {
	Time  time.Duration // 0 for two minutes
	Bytes int64         // read; 0 for 16 GiB
}

// hunt is one search for a target.
type hunt struct {
	r      *Remediator
	ctx    context.Context
	target Target
	sizes  []int64
	found  []*instance
	names  map[string]bool    // paths that were met
	judged map[inode]*verdict // files that were read
	search Search
}

type verdict struct {
	sums  hash.Sums
	match bool
}

func (h *hunt) close() {
	for _, i := range h.found {
		i.file.Close()
	}
}

// find looks for the target everywhere. What it found is held open until close.
func (r *Remediator) find(ctx context.Context, t Target) *hunt {
	h := &hunt{r: r, ctx: ctx, target: t, names: map[string]bool{}, judged: map[inode]*verdict{}, search: Search{Complete: true}}
	if t.Size > 0 {
		h.sizes = append(h.sizes, t.Size)
	}
	for _, id := range r.cfg.Pool.Known(t.matches) {
		h.learn(id.Size)
	}
	h.processes()
	for _, p := range t.Paths {
		h.path(p, named)
	}
	if t.Near {
		return h
	}
	if r.cfg.Images != nil {
		for _, p := range r.cfg.Images() {
			h.path(p, running)
		}
	}
	h.walk()
	return h
}

func (h *hunt) learn(size int64) {
	if size > 0 && !slices.Contains(h.sizes, size) {
		h.sizes = append(h.sizes, size)
	}
}

// processes looks at what runs.
func (h *hunt) processes() {
	for _, pid := range procfs.All() {
		if h.ctx.Err() != nil {
			return
		}
		for _, i := range images(pid) {
			if v := h.judged[i.id]; v != nil && !v.match {
				continue
			}
			f, err := os.Open(i.open)
			if err != nil {
				continue
			}
			if !h.judge(f, running) {
				f.Close()
				continue
			}
			// The name is the one of the process's own mount namespace.
			at := ""
			for _, c := range []string{i.path, procDir(pid) + "/root" + i.path} {
				var st unix.Stat_t
				if unix.Lstat(c, &st) == nil && inodeOf(&st) == i.id {
					at = c
					break
				}
			}
			h.keep(f, i.path, at)
		}
	}
}

// path looks at one place where the file may be.
func (h *hunt) path(p string, why reason) {
	p = filepath.Clean(p)
	if h.names[p] {
		return
	}
	f, err := walk.OpenFile(p)
	if errors.Is(err, unix.ELOOP) { // what the name leads to is what was run
		if real, rerr := filepath.EvalSymlinks(p); rerr == nil && !h.names[real] {
			p = real
			f, err = walk.OpenFile(p)
		}
	}
	if err != nil {
		return
	}
	if !h.judge(f, why) {
		f.Close()
		return
	}
	h.keep(f, p, "")
}

// reason says how a file was met, and with it what is read of it.
type reason int

const (
	searched reason = iota // among all others
	running                // it is executed: read whatever its size, while that is not known
	named                  // somebody saw the target there: read in any case
)

// judge reads f, if it can be the one, and reports whether it is.
func (h *hunt) judge(f *os.File, why reason) bool {
	var st unix.Stat_t
	if unix.Fstat(int(f.Fd()), &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return false
	}
	if v := h.judged[inodeOf(&st)]; v != nil {
		return v.match
	}
	if st.Size == 0 || why != named && !h.target.size(st.Size, h.sizes) {
		return false
	}
	if len(h.sizes) == 0 && st.Size > maxUnknown && why == searched {
		return false
	}
	h.search.Read++
	h.search.Bytes += st.Size
	_, sums, err := h.r.cfg.Pool.Large(h.ctx, f)
	if err != nil {
		return false
	}
	v := &verdict{sums: sums, match: h.target.matches(sums)}
	h.judged[inodeOf(&st)] = v
	if v.match {
		h.learn(st.Size)
	}
	return v.match
}

// keep notes a place; it takes f over.
func (h *hunt) keep(f *os.File, path, at string) {
	var st unix.Stat_t
	if unix.Fstat(int(f.Fd()), &st) != nil || h.names[path] || len(h.found) >= maxInstances {
		if len(h.found) >= maxInstances {
			h.search.Complete, h.search.Detail = false, fmt.Sprintf("more than %d places", maxInstances)
		}
		f.Close()
		return
	}
	h.names[path] = true
	if at == path {
		at = ""
	}
	h.found = append(h.found, &instance{file: f, path: path, at: at, id: inodeOf(&st), stat: st, sums: h.judged[inodeOf(&st)].sums})
}

// usual are the places where programs lie that no package brought.
var usual = []string{"/tmp", "/var/tmp", "/dev/shm", "/run", "/home", "/root", "/opt", "/usr/local", "/srv", "/var/www", "/var/lib", "/var/cache", "/etc", "/mnt", "/media"}

var errBudget = errors.New("bound")

// walk looks through the file systems: all of them by size when it is known, else the usual
// places by content.
func (h *hunt) walk() {
	limits := h.r.cfg.Limits
	roots := h.r.cfg.Roots
	h.search.BySize = len(h.sizes) > 0
	if roots == nil {
		if roots = usual; h.search.BySize {
			roots = []string{"/"}
		}
	}
	until := h.r.cfg.Now().Add(limits.Time)
	incomplete := func(format string, args ...any) {
		h.search.Complete = false
		if h.search.Detail == "" {
			h.search.Detail = fmt.Sprintf(format, args...)
		}
	}
	stats, err := walk.Walk(h.ctx, walk.Config{
		Roots: roots,
		Skip:  func(p string) bool { return h.r.ours(p) },
		Problem: func(p string, err error) {
			if !errors.Is(err, fs.ErrNotExist) {
				incomplete("%s: %v", strings.ToValidUTF8(p, "�"), err)
			}
		},
	}, func(f *walk.File) error {
		if h.search.Bytes > limits.Bytes || h.r.cfg.Now().After(until) {
			return errBudget
		}
		if h.names[f.Path] || f.Stat.Size == 0 || !h.target.size(f.Stat.Size, h.sizes) {
			return nil
		}
		if v := h.judged[inodeOf(&f.Stat)]; v != nil && !v.match {
			return nil
		}
		if len(h.sizes) == 0 && f.Stat.Size > maxUnknown {
			incomplete("files larger than %d MiB were not read, because the size is not known", maxUnknown>>20)
			return nil
		}
		open, err := f.Open()
		switch {
		case errors.Is(err, walk.ErrChanged), errors.Is(err, fs.ErrNotExist):
			return nil // gone, or another by now: it is not the one that was met
		case err != nil:
			incomplete("%v", err)
			return nil
		case h.judge(open, searched):
			h.keep(open, f.Path, "")
			return nil
		}
		return open.Close()
	})
	h.search.Files = stats.Files
	switch {
	case errors.Is(err, errBudget):
		incomplete("the search was ended after %v or %d GiB", limits.Time, limits.Bytes>>30)
	case err != nil:
		incomplete("the search was ended: %v", err)
	}
	if !h.search.BySize && h.r.cfg.Roots == nil {
		incomplete("the size is not known: only the usual places were looked through")
	}
}
