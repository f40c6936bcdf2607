package live

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Published bounds of file commands, in bytes, and our own of lists.
const (
	maxGet     = 3 << 30
	maxHashed  = 30 << 30
	maxShown   = 16 << 20 // by cat
	maxEntries = 100_000
	maxDepth   = 128
)

func (s *session) changeFolder(l *line) error {
	if err := l.only(0, 1); err != nil {
		return err
	}
	name := "/"
	if len(l.args) == 1 {
		name = l.args[0]
	}
	f, err := s.here().at(name, unix.O_PATH|unix.O_DIRECTORY, 0, 0)
	if err != nil {
		return err
	}
	s.mu.Lock()
	// The one before stays open for what runs in it; a session has few.
	s.cwd = &folder{f}
	s.mu.Unlock()
	return nil
}

// until stops a copy when its context ends.
type until struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (u *until) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.r.Read(p)
}

func (s *space) cat(ctx context.Context, l *line, w io.Writer) error {
	if err := l.only(1, 1); err != nil {
		return err
	}
	lines := 0
	if v, ok := l.flags["lines"]; ok {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return errors.New("-lines is a number above 0")
		}
		lines = n
	}
	f, _, err := s.here().regular(l.args[0], 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	out := &clean{w: w}
	from := io.Reader(&until{ctx, io.LimitReader(f, maxShown)})
	if lines > 0 {
		from = &firstLines{r: from, left: lines}
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{out}, struct{ io.Reader }{from}, make([]byte, 16<<10))
	if err == nil && n == maxShown {
		_, err = fmt.Fprintf(w, "\n… (the first %d bytes; getfile brings all of it)\n", n)
	}
	return err
}

// firstLines ends after some lines.
type firstLines struct {
	r    io.Reader
	left int
}

// Read implements io.Reader.
func (f *firstLines) Read(p []byte) (int, error) {
	if f.left == 0 {
		return 0, io.EOF
	}
	n, err := f.r.Read(p)
	for i, c := range p[:n] {
		if c == '\n' {
			if f.left--; f.left == 0 {
				return i + 1, nil
			}
		}
	}
	return n, err
}

// list is the command dir.
func (s *space) list(ctx context.Context, l *line, w io.Writer) error {
	if err := l.only(0, 1); err != nil {
		return err
	}
	name := "."
	if len(l.args) == 1 {
		name = l.args[0]
	}
	h, st, err := s.here().find(name, 0)
	if err != nil {
		return err
	}
	defer func() { _ = h.Close() }() // it was only opened
	t := &table{columns: []string{"mode", "type", "owner", "group", "size", "modified", "name"}}
	where := nameOf(int(h.Fd()))
	shown := func(base string) string {
		if l.has("full_path") {
			return path.Join(where, base)
		}
		return base
	}
	if kindOf(st) != "directory" {
		s.entry(t, st, shown(""), "")
		return t.write(w, l.json)
	}
	d, err := reopen(h)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }() // it was only read
	for {
		names, err := d.Readdirnames(1000)
		for _, n := range names {
			if len(t.rows) >= maxEntries {
				return fmt.Errorf("%s has more than %d entries; see findfile", visible(where), maxEntries)
			}
			var st unix.Stat_t
			if err := unix.Fstatat(int(d.Fd()), n, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
				continue // it went meanwhile
			}
			target := ""
			if kindOf(&st) == "link" {
				buf := make([]byte, 4096)
				if k, err := unix.Readlinkat(int(d.Fd()), n, buf); err == nil {
					target = string(buf[:k])
				}
			}
			s.entry(t, &st, shown(n), target)
		}
		if errors.Is(err, io.EOF) {
			return t.write(w, l.json)
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

func (s *space) entry(t *table, st *unix.Stat_t, name, target string) {
	if target != "" && !strings.Contains(name, " -> ") {
		name += " -> " + target
	}
	t.add(modeOf(st), kindOf(st), s.live.userName(st.Uid), int64(st.Gid), st.Size, time.Unix(st.Mtim.Unix()).UTC(), name)
}

func modeOf(st *unix.Stat_t) string { return "0" + strconv.FormatUint(uint64(st.Mode&0o7777), 8) }

func (l *Live) userName(id uint32) string {
	if u, ok := l.people.DB().ByUID(id); ok {
		return u.Name
	}
	return strconv.FormatUint(uint64(id), 10)
}

func (s *space) fileInfo(ctx context.Context, l *line, w io.Writer) error {
	if err := l.only(1, 1); err != nil {
		return err
	}
	h, st, err := s.here().find(l.args[0], 0)
	if err != nil {
		return err
	}
	defer func() { _ = h.Close() }() // it was only opened
	t := &table{columns: []string{"path", "type", "size", "mode", "owner", "group", "links", "modified", "changed", "accessed", "sha1", "sha256", "md5", "note"}}
	var sums [3]string
	note := ""
	switch {
	case kindOf(st) != "file":
		note = "only regular files have hashes"
	case st.Size > maxHashed:
		note = "larger than 30 GB: not hashed"
	default:
		f, err := reopen(h)
		if err != nil {
			return err
		}
		sums, err = digest(ctx, f)
		_ = f.Close() // it was only read
		if err != nil {
			return err
		}
	}
	t.add(nameOf(int(h.Fd())), kindOf(st), st.Size, modeOf(st), s.live.userName(st.Uid), int64(st.Gid), int64(st.Nlink),
		time.Unix(st.Mtim.Unix()).UTC(), time.Unix(st.Ctim.Unix()).UTC(), time.Unix(st.Atim.Unix()).UTC(), sums[0], sums[1], sums[2], note)
	if l.json {
		return t.write(w, true)
	}
	// One thing reads better from top to bottom.
	for i, c := range t.columns {
		if _, err := fmt.Fprintf(w, "%-9s %s\n", c, visible(cell(t.rows[0][i]))); err != nil {
			return err
		}
	}
	return nil
}

// digest returns SHA-1, SHA-256 and MD5 of a file.
func digest(ctx context.Context, f *os.File) (out [3]string, err error) {
	a, b, c := sha1.New(), sha256.New(), md5.New()
	if _, err := io.Copy(io.MultiWriter(a, b, c), &until{ctx, f}); err != nil {
		return out, err
	}
	return [3]string{hex.EncodeToString(a.Sum(nil)), hex.EncodeToString(b.Sum(nil)), hex.EncodeToString(c.Sum(nil))}, nil
}

// unreal are file systems that findfile stays out of: what is there are no files, or it
// may take for ever to be read.
var unreal = map[int64]bool{
	unix.PROC_SUPER_MAGIC: true, unix.SYSFS_MAGIC: true, unix.CGROUP_SUPER_MAGIC: true, unix.CGROUP2_SUPER_MAGIC: true,
	unix.DEBUGFS_MAGIC: true, unix.TRACEFS_MAGIC: true, unix.BPF_FS_MAGIC: true, unix.DEVPTS_SUPER_MAGIC: true,
	unix.NFS_SUPER_MAGIC: true, unix.AFS_SUPER_MAGIC: true, unix.FUSE_SUPER_MAGIC: true, unix.AUTOFS_SUPER_MAGIC: true,
}

func (s *space) findFile(ctx context.Context, l *line, w io.Writer) error {
	if err := l.only(1, 1); err != nil {
		return err
	}
	pattern := l.args[0]
	if _, err := path.Match(pattern, ""); err != nil {
		return fmt.Errorf("%q is no pattern of names", visible(pattern))
	}
	root := "/"
	if p, ok := l.flags["path"]; ok {
		root = p
	}
	h, err := s.here().at(root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0, 0)
	if err != nil {
		return err
	}
	f := &finder{ctx: ctx, pattern: pattern, table: &table{columns: []string{"type", "size", "modified", "path"}}}
	err = f.walk(h, nameOf(int(h.Fd())), 0)
	if err == nil || errors.Is(err, errMany) {
		err = errors.Join(f.table.write(w, l.json), err)
	}
	if err == nil && f.unread > 0 && !l.json {
		_, err = fmt.Fprintf(w, "(%d directories could not be read)\n", f.unread)
	}
	return err
}

var errMany = fmt.Errorf("there are more than %d such files", maxEntries)

type finder struct {
	ctx     context.Context
	pattern string
	table   *table
	unread  int
}

// walk looks through d, which it closes, and what is below it. It follows no links.
func (f *finder) walk(d *os.File, where string, depth int) error {
	defer func() { _ = d.Close() }() // it was only read
	var sf unix.Statfs_t
	if err := unix.Fstatfs(int(d.Fd()), &sf); err != nil || unreal[int64(sf.Type)] || depth > maxDepth {
		return nil
	}
	for {
		names, err := d.Readdirnames(1000)
		for _, n := range names {
			if err := f.look(d, where, n, depth); err != nil {
				return err
			}
		}
		if err := f.ctx.Err(); err != nil {
			return context.Cause(f.ctx)
		}
		if err != nil || len(names) == 0 {
			if err != nil && !errors.Is(err, io.EOF) {
				f.unread++
			}
			return nil
		}
	}
}

// lstatAt looks at a name in an open directory.
func lstatAt(d *os.File, n string) (st unix.Stat_t, there bool) {
	there = unix.Fstatat(int(d.Fd()), n, &st, unix.AT_SYMLINK_NOFOLLOW) == nil
	return st, there
}

func (f *finder) look(d *os.File, where, n string, depth int) error {
	st, there := lstatAt(d, n)
	if !there {
		return nil // it went meanwhile
	}
	if ok, err := path.Match(f.pattern, n); ok && err == nil || n == f.pattern {
		if len(f.table.rows) >= maxEntries {
			return errMany
		}
		f.table.add(kindOf(&st), st.Size, time.Unix(st.Mtim.Unix()).UTC(), path.Join(where, n))
	}
	if kindOf(&st) != "directory" {
		return nil
	}
	fd, err := unix.Openat(int(d.Fd()), n, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err == nil {
		return f.walk(os.NewFile(uintptr(fd), n), path.Join(where, n), depth+1)
	}
	f.unread++
	return nil
}

// getFile brings a file to whoever asked.
func (s *session) getFile(j *job, l *line) error {
	if err := l.only(1, 1); err != nil {
		return err
	}
	f, err := s.gettable(l.args[0])
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	return s.bring(j, path.Base(l.args[0]), f)
}

// gettable opens a file that may be brought up.
func (s *space) gettable(name string) (*os.File, error) {
	f, st, err := s.here().regular(name, 0)
	if err != nil {
		return nil, err
	}
	if st.Size > maxGet {
		_ = f.Close() // it was only opened
		return nil, fmt.Errorf("%s has %d bytes; at most %d can be brought", visible(name), st.Size, int64(maxGet))
	}
	return f, nil
}

func (s *space) putFile(ctx context.Context, l *line, w io.Writer) error {
	if err := l.only(1, 1); err != nil {
		return err
	}
	name := l.args[0]
	if err := plainName(name); err != nil {
		return err
	}
	where, err := s.put(ctx, name, l.has("overwrite"), l.has("keep"))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "put %s\n", visible(where))
	return err
}

// put fetches a file of the library into the working directory: whole, or not at all.
func (s *space) put(ctx context.Context, name string, overwrite, keep bool) (string, error) {
	dir := s.here()
	if _, st, err := s.peek(dir, name); err == nil {
		if !overwrite {
			return "", fmt.Errorf("%s is there already; -overwrite replaces it", visible(name))
		}
		if kindOf(st) != "file" {
			return "", fmt.Errorf("%s is a %s: it is not replaced", visible(name), kindOf(st))
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	tmp := "." + name[:min(len(name), 200)] + "." + s.id[:8] + ".part"
	f, err := dir.at(tmp, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o700, strict)
	if err != nil {
		return "", err
	}
	fail := func(err error) (string, error) {
		_ = f.Close() // it is given up
		return "", errors.Join(err, unix.Unlinkat(int(dir.dir.Fd()), tmp, 0))
	}
	if err := s.live.conf.Server.Fetch(ctx, s.id, name, f); err != nil {
		return fail(err)
	}
	if err := errors.Join(f.Chmod(0o700), f.Sync()); err != nil {
		return fail(err)
	}
	flags := uint(unix.RENAME_NOREPLACE)
	if overwrite {
		flags = 0
	}
	if err := unix.Renameat2(int(dir.dir.Fd()), tmp, int(dir.dir.Fd()), name, flags); err != nil {
		return fail(fmt.Errorf("%s: %w", visible(name), err))
	}
	where := nameOf(int(f.Fd()))
	id, err := inodeOf(int(f.Fd()), "")
	if err == nil && !keep {
		err = s.live.notePut(put{Path: where, inode: id})
	}
	return where, errors.Join(err, f.Close())
}

// peek says what a name in the folder is, without following it.
func (s *space) peek(dir *folder, name string) (string, *unix.Stat_t, error) {
	var st unix.Stat_t
	err := unix.Fstatat(int(dir.dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW)
	return name, &st, err
}
