package persistence

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Taker takes a file out of circulation and gives it back: the quarantine.
type Taker interface {
	// Take returns the id under which the file at path is kept from now on.
	Take(ctx context.Context, f *os.File, path string) (id string, err error)
	// Give puts it back where it was.
	Give(ctx context.Context, id string) error
}

// ErrCompound is why a line is left: it is part of a longer command that would break.
var ErrCompound = errors.New("the line is part of a longer command")

func procFD(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// Detach takes away what e says, and returns how to undo it. keep is told of the change
// before it is made, so that it can be undone even if nothing else is heard of it; its error
// keeps everything as it is.
func Detach(ctx context.Context, e Entry, t Taker, keep func(Change) error) (Change, error) {
	c := Change{Kind: e.Kind, Path: e.Path, Names: e.Names, Home: e.home, Whole: e.whole}
	var err error
	if e.whole {
		err = c.takeFile(ctx, e, t, keep)
	} else {
		err = c.takeLines(e, keep)
	}
	if err != nil {
		return c, fmt.Errorf("persistence: %s: %w", e.Path, err)
	}
	return c, nil
}

// takeFile takes the whole file, and the links by which it is enabled.
func (c *Change) takeFile(ctx context.Context, e Entry, t Taker, keep func(Change) error) error {
	f, err := openSource(e.Path, e.home)
	if err != nil {
		return err
	}
	defer f.Close()
	if e.Kind == Systemd {
		if c.Links, err = enabling(e.Path); err != nil {
			return err
		}
	}
	if err := keep(*c); err != nil {
		return err
	}
	if c.Item, err = t.Take(ctx, f, e.Path); err != nil {
		return err
	}
	for _, l := range c.Links {
		if err := os.Remove(l.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// enabling returns the links by which a unit is wanted: enabled units are links in the
// directories of what wants them.
func enabling(unit string) (out []Link, err error) {
	for _, dir := range []string{"wants", "requires", "upholds"} {
		links, err := filepath.Glob(filepath.Join(globEscape(filepath.Dir(unit)), "*."+dir, globEscape(filepath.Base(unit))))
		if err != nil {
			return nil, err
		}
		for _, l := range links {
			if target, err := os.Readlink(l); err == nil { // what is no link is nothing of ours
				out = append(out, Link{Path: l, Target: target})
			}
		}
	}
	return out, nil
}

// takeLines takes lines out of a file that stays.
func (c *Change) takeLines(e Entry, keep func(Change) error) error {
	text, err := readSource(e.Path, e.home)
	if err != nil {
		return err
	}
	c.Before = sum(text)
	lines := slices.Collect(bytes.Lines(text))
	var out []byte
	for i, l := range lines {
		if !slices.Contains(e.Lines, i+1) {
			out = append(out, l...)
			continue
		}
		taken := Line{Number: i + 1, Text: bytes.Clone(l)}
		switch {
		case e.Kind == Preload:
			taken.Now = without(l, e.Names)
		case e.shell:
			if compound(lines, i) {
				return fmt.Errorf("line %d: %w", i+1, ErrCompound)
			}
			taken.Now = []byte(":\n")
		}
		out = append(out, taken.Now...)
		c.Lines = append(c.Lines, taken)
	}
	c.After = sum(out)
	if err := keep(*c); err != nil {
		return err
	}
	return replace(e.Path, e.home, text, out)
}

// without takes a name out of a line of ld.so.preload, whose names are apart by white
// space and colons.
func without(line []byte, name string) []byte {
	var keep []string
	for _, w := range strings.FieldsFunc(string(line), func(r rune) bool { return r == ' ' || r == '\t' || r == ':' || r == '\n' }) {
		if w != name {
			keep = append(keep, w)
		}
	}
	if len(keep) == 0 {
		return nil
	}
	return []byte(strings.Join(keep, " ") + "\n")
}

// compound reports whether line i of a shell script is part of what others begin or end.
func compound(lines [][]byte, i int) bool {
	l := strings.TrimSpace(string(lines[i]))
	if strings.HasSuffix(l, "\\") || strings.HasSuffix(l, "|") || strings.HasSuffix(l, "&&") || strings.HasSuffix(l, "(") || strings.Contains(l, "<<") {
		return true
	}
	if i > 0 {
		before := strings.TrimSpace(string(lines[i-1]))
		if strings.HasSuffix(before, "\\") || strings.HasSuffix(before, "|") || strings.HasSuffix(before, "&&") {
			return true
		}
	}
	opened := 0
	for _, w := range strings.FieldsFunc(l, func(r rune) bool { return r == ' ' || r == '\t' || r == ';' }) {
		switch w {
		case "if", "for", "while", "until", "case", "select", "{", "(":
			opened++
		case "fi", "done", "esac", "}", ")":
			if opened--; opened < 0 {
				return true
			}
		case "then", "do", "else", "elif":
			if opened == 0 {
				return true
			}
		}
	}
	return opened != 0 || strings.HasSuffix(l, ";;") || strings.Count(l, `"`)%2 != 0 || strings.Count(l, "'")%2 != 0
}

// Attach undoes c. What was changed by others since is kept: lines come back at about
// their place, and the error, ErrTouched, says so beside the success.
func Attach(ctx context.Context, c Change, t Taker) error {
	if c.Whole {
		if c.Item != "" {
			if err := t.Give(ctx, c.Item); err != nil {
				return fmt.Errorf("persistence: %s: %w", c.Path, err)
			}
		}
		for _, l := range c.Links {
			if err := os.Symlink(l.Target, l.Path); err != nil && !errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("persistence: %w", err)
			}
		}
		return nil
	}
	text, err := readSource(c.Path, c.Home)
	if err != nil {
		return fmt.Errorf("persistence: %s: %w", c.Path, err)
	}
	if sum(text) == c.Before {
		return nil // it is there already
	}
	touched := sum(text) != c.After
	lines := slices.Collect(bytes.Lines(text))
	gone := 0 // lines before that were not put back yet
	for _, l := range c.Lines {
		at := min(l.Number-1, len(lines))
		if len(l.Now) > 0 {
			if at < len(lines) && bytes.Equal(lines[at], l.Now) {
				lines[at] = l.Text
				continue
			}
			touched = true
		}
		lines = slices.Insert(lines, at, l.Text)
		gone++
	}
	out := bytes.Join(lines, nil)
	if !touched && sum(out) != c.Before {
		return fmt.Errorf("persistence: %s: what was kept of it does not make up what it was", c.Path)
	}
	if err := replace(c.Path, c.Home, text, out); err != nil {
		return fmt.Errorf("persistence: %s: %w", c.Path, err)
	}
	if touched {
		return fmt.Errorf("persistence: %s: %w", c.Path, ErrTouched)
	}
	return nil
}

// ErrTouched says that a file was changed by others, so that it is not byte for byte what
// it was.
var ErrTouched = errors.New("it was changed since by somebody else; the lines were put in again")

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// replace gives the file path other content, if it still has the one that was read. The
// file that stands there then has the same owner, mode, times of access and attributes.
func replace(path, home string, was, now []byte) error {
	f, err := openSource(path, home)
	if err != nil {
		return err
	}
	defer f.Close()
	again := make([]byte, len(was)+1)
	if n, _ := f.ReadAt(again, 0); !bytes.Equal(again[:n], was) {
		return errors.New("it changes while it is looked at")
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	// Where links led to, by name; from here on no link is followed.
	real, err := os.Readlink(procFD(int(f.Fd())))
	if err != nil {
		return err
	}
	dir, err := unix.Openat2(unix.AT_FDCWD, filepath.Dir(real), &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS})
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	name := filepath.Base(real)
	var at unix.Stat_t
	if err := unix.Fstatat(dir, name, &at, unix.AT_SYMLINK_NOFOLLOW); err != nil || at.Ino != st.Ino || at.Dev != st.Dev {
		return errors.Join(errors.New("it was replaced meanwhile"), err)
	}
	tmp := ".vedette-" + rand.Text()
	fd, err := unix.Openat(dir, tmp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	out := os.NewFile(uintptr(fd), tmp)
	defer out.Close()
	defer func() { _ = unix.Unlinkat(dir, tmp, 0) }() // gone already when all went well
	if _, err := out.Write(now); err != nil {
		return err
	}
	if err := dress(int(f.Fd()), fd, &st); err != nil {
		return err
	}
	if err := out.Sync(); err != nil {
		return err
	}
	thaw(int(f.Fd()))
	return unix.Renameat(dir, tmp, dir, name)
}

// dress gives one file owner, attributes and mode of another.
func dress(from, to int, st *unix.Stat_t) error {
	if err := unix.Fchown(to, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	names := make([]byte, 64<<10)
	n, err := unix.Flistxattr(from, names)
	if err != nil && !errors.Is(err, unix.ENOTSUP) {
		return err
	}
	value := make([]byte, 64<<10)
	for name := range bytes.SplitSeq(names[:max(n, 0)], []byte{0}) {
		if len(name) == 0 {
			continue
		}
		if n, err := unix.Fgetxattr(from, string(name), value); err == nil {
			if err := unix.Fsetxattr(to, string(name), value[:n], 0); err != nil {
				return fmt.Errorf("attribute %s: %w", name, err)
			}
		}
	}
	return unix.Fchmod(to, st.Mode&0o7777)
}

// thaw takes immutable and append-only off a file; a failure shows when it cannot be
// replaced.
func thaw(fd int) {
	const frozen = unix.STATX_ATTR_IMMUTABLE | unix.STATX_ATTR_APPEND
	flags, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS)
	if err == nil && flags&frozen != 0 {
		_ = unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, flags&^frozen)
	}
}
