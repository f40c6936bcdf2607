package trust

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Where dpkg keeps what it knows (dpkg(1), dpkg-divert(1), deb-md5sums(5)).
const (
	dpkgStatus     = "var/lib/dpkg/status"
	dpkgInfo       = "var/lib/dpkg/info"
	dpkgParts      = "var/lib/dpkg/status.d" // of images without a package manager
	dpkgDiversions = "var/lib/dpkg/diversions"
)

// maxLine bounds a line of dpkg's files.
const maxLine = 1 << 20

// diversion is a file that is put elsewhere when any package but one brings it.
type diversion struct{ to, but string }

func (l *loader) dpkg() error {
	away, err := l.diversions()
	if err != nil {
		return err
	}
	if err := l.conffiles(); err != nil {
		return err
	}
	for _, dir := range []string{dpkgInfo, dpkgParts} {
		lists, _ := filepath.Glob(filepath.Join(l.root, dir, "*.md5sums")) // a malformed pattern is its only error
		for _, file := range lists {
			pkg, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".md5sums"), ":")
			err := lines(file, func(line string) error {
				digest, name, ok := strings.Cut(line, "  ")
				if !ok || len(digest) != 32 {
					return nil // names with a newline are written otherwise, and left out
				}
				if v, ok := away["/"+name]; ok && v.but != pkg {
					name = v.to
				}
				return l.add(name, digest)
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// conffiles takes the configuration files of installed packages, which md5sums leave out.
func (l *loader) conffiles() error {
	in := false
	return lines(filepath.Join(l.root, dpkgStatus), func(line string) error {
		if !strings.HasPrefix(line, " ") {
			in = strings.HasPrefix(line, "Conffiles:")
			return nil
		}
		f := strings.Fields(line)
		if !in || len(f) != 2 { // a third word says that it is obsolete, or that it is to be removed
			return nil
		}
		return l.add(f[0], f[1])
	})
}

// diversions reads three lines each: the name, where it goes, and whose stays.
func (l *loader) diversions() (map[string]diversion, error) {
	out := map[string]diversion{}
	var three []string
	err := lines(filepath.Join(l.root, dpkgDiversions), func(line string) error {
		if three = append(three, line); len(three) == 3 {
			out[three[0]] = diversion{to: three[1], but: three[2]}
			three = three[:0]
		}
		return nil
	})
	return out, err
}

// lines calls f for each line of a file; one that is not there has none.
func lines(name string, f func(string) error) error {
	r, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer r.Close()
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 64<<10), maxLine)
	for s.Scan() {
		if err := f(s.Text()); err != nil {
			return err
		}
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
