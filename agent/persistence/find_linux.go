package persistence

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Home is the home directory of somebody.
type Home struct{ User, Dir string }

// Finder looks below Root, "/" for the machine's own.
type Finder struct {
	Root  string
	Homes []Home // of the people of the machine, as paths below Root
}

// Bounds of what is read.
const (
	maxSource = 1 << 20 // bytes of one file
	maxFiles  = 20_000
)

func (f *Finder) abs(rel string) string {
	if f.Root == "" {
		return "/" + rel
	}
	return filepath.Join(f.Root, rel)
}

// Find returns the entries that name one of paths. What cannot be read has no entries, and
// is told in the error beside those that were found.
func (f *Finder) Find(ctx context.Context, paths []string) ([]Entry, error) {
	var out []Entry
	err := f.each(ctx, func(s source, path, home string, text []byte) {
		for _, p := range paths {
			if e, ok := s.entry(path, home, text, p); ok {
				out = append(out, e)
			}
		}
	})
	return out, err
}

// Named returns the absolute paths that the entries of the machine name, each once.
func (f *Finder) Named(ctx context.Context) ([]string, error) {
	seen := map[string]bool{}
	err := f.each(ctx, func(s source, path, home string, text []byte) {
		if s.shell {
			seen[path] = true // the script itself is run
		}
		for line := range bytes.Lines(text) {
			l := strings.TrimRight(string(line), "\r\n")
			if comment(l) || s.line != nil && !s.line(l) {
				continue
			}
			for _, w := range strings.FieldsFunc(l, func(r rune) bool { return strings.ContainsRune(" \t\"'`;|&()<>={}:,!", r) }) {
				w = strings.TrimLeft(w, "-@+!") // what systemd lets stand before a program
				for _, h := range []string{"~/", "$HOME/", "%h/"} {
					if rest, ok := strings.CutPrefix(w, h); ok && home != "" {
						w = filepath.Join(home, rest)
					}
				}
				if filepath.IsAbs(w) && len(w) > 1 && len(seen) < maxFiles {
					seen[filepath.Clean(w)] = true
				}
			}
		}
	})
	out := make([]string, 0, len(seen))
	for p := range seen {
		out = append(out, p)
	}
	slices.Sort(out)
	return out, err
}

// each calls do with every file in which entries may be.
func (f *Finder) each(ctx context.Context, do func(s source, path, home string, text []byte)) error {
	var all []error
	n := 0
	seen := map[string]bool{}
	visit := func(s source, base, home string) {
		names, err := filepath.Glob(filepath.Join(globEscape(base), s.glob))
		if err != nil {
			all = append(all, err)
		}
		for _, name := range names {
			if n++; n > maxFiles || ctx.Err() != nil {
				return
			}
			// One place may have several names: /lib is a link to /usr/lib, rc.local to rc.d.
			if real, err := filepath.EvalSymlinks(name); err == nil && home == "" {
				name = real
			}
			if seen[name] {
				continue
			}
			seen[name] = true
			text, err := readSource(name, home)
			if err != nil {
				if !errors.Is(err, os.ErrNotExist) && !errors.Is(err, errNoFile) {
					all = append(all, err)
				}
				continue
			}
			do(s, name, home, text)
		}
	}
	for _, s := range system {
		visit(s, f.abs(""), "")
	}
	for _, h := range f.Homes {
		for _, s := range personal {
			visit(s, f.abs(h.Dir), f.abs(h.Dir))
		}
	}
	if n > maxFiles {
		all = append(all, errors.New("persistence: too many places to look at all"))
	}
	return errors.Join(append(all, ctx.Err())...)
}

func globEscape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

// entry is what the file path says of target.
func (s source) entry(path, home string, text []byte, target string) (Entry, bool) {
	e := Entry{Kind: s.kind, Path: path, Names: target, whole: s.whole, home: home, shell: s.shell}
	ways := spellings(target, home)
	n := 0
	for line := range bytes.Lines(text) {
		n++
		l := strings.TrimRight(string(line), "\r\n")
		if comment(l) || s.line != nil && !s.line(l) {
			continue
		}
		if slices.ContainsFunc(ways, func(w string) bool { return mentions(l, w) }) {
			e.Lines = append(e.Lines, n)
		}
	}
	return e, len(e.Lines) > 0
}

var errNoFile = errors.New("persistence: not a regular file")

// openSource opens a file in which entries are, for reading. Below a home no link may lead
// out of it.
func openSource(path, home string) (*os.File, error) {
	how := &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_MAGICLINKS}
	dir, name := unix.AT_FDCWD, path
	if home != "" {
		fd, err := unix.Openat2(unix.AT_FDCWD, home, &unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_MAGICLINKS})
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: home, Err: err}
		}
		defer unix.Close(fd)
		rel, err := filepath.Rel(home, path)
		if err != nil {
			return nil, err
		}
		dir, name, how.Resolve = fd, rel, how.Resolve|unix.RESOLVE_BENEATH
	}
	at, err := unix.Openat2(dir, name, how)
	if err != nil {
		if errors.Is(err, unix.EXDEV) || errors.Is(err, unix.ELOOP) {
			err = errNoFile
		}
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(at)
	var st unix.Stat_t
	if err := unix.Fstat(at, &st); err != nil {
		return nil, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, &os.PathError{Op: "open", Path: path, Err: errNoFile}
	}
	return os.Open(procFD(at))
}

func readSource(path, home string) ([]byte, error) {
	f, err := openSource(path, home)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSource+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxSource {
		return nil, &os.PathError{Op: "read", Path: path, Err: errors.New("larger than what is looked through")}
	}
	return b, nil
}
