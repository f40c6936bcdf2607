package trust

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/vedette-edr/vedette/agent/hash"
)

// maxEntries bounds the files that are known of all packages.
const maxEntries = 4_000_000

// kind is how a file's content was digested.
type kind uint8

const (
	byMD5 kind = iota
	bySHA1
	bySHA256
)

// entry is one file of a package: 32 bytes, so that the half a million files of a desktop
// are 16 MB. Of a digest the first 128 bits are kept: to make another file with these is as hard
// as for MD5, which is all that dpkg has.
type entry struct {
	path   uint64 // FNV-1a of the name
	digest [16]byte
	kind   kind
}

// Database is the files of the packages below a root. It is safe for concurrent use.
type Database struct {
	root string

	mu      sync.RWMutex
	mark    string  // of the state of the packages' databases that was read
	entries []entry // by path
}

// New returns a Database of what is installed under root, "" for /. It is empty until
// Refresh.
func New(root string) *Database {
	return &Database{root: cmp.Or(root, "/")}
}

// Len is how many files are known.
func (d *Database) Len() int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return len(d.entries)
}

// Has reports whether the file of that name, absolute below the root and without links in
// it, with that content is as a package installed it.
func (d *Database) Has(name string, sums hash.Sums) bool {
	h := nameHash(name)
	d.mu.RLock()
	defer d.mu.RUnlock()
	i, _ := slices.BinarySearchFunc(d.entries, h, func(e entry, h uint64) int { return cmp.Compare(e.path, h) })
	for ; i < len(d.entries) && d.entries[i].path == h; i++ {
		e := &d.entries[i]
		text := sums.MD5
		switch e.kind {
		case bySHA1:
			text = sums.SHA1
		case bySHA256:
			text = sums.SHA256
		}
		if got, ok := shorten(text); ok && got == e.digest {
			return true
		}
	}
	return false
}

// Refresh reads the packages' databases if they changed since. An error leaves what was
// known in force; it reports whether there is something new.
func (d *Database) Refresh() (bool, error) {
	mark := d.state()
	d.mu.RLock()
	same := mark == d.mark && d.mark != ""
	d.mu.RUnlock()
	if same {
		return false, nil
	}
	l := &loader{Database: d, moved: merged(d.root)}
	err := errors.Join(l.dpkg(), l.rpm())
	if err == nil && len(l.out) == 0 {
		err = errors.New("no package manager's database was found (dpkg, rpm)")
	}
	if err != nil {
		return false, fmt.Errorf("packages' files: %w", err)
	}
	slices.SortFunc(l.out, func(a, b entry) int { return cmp.Compare(a.path, b.path) })
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mark, d.entries = mark, slices.Clip(l.out)
	return true, nil
}

// Forget frees what is known.
func (d *Database) Forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mark, d.entries = "", nil
}

// state tells one state of the databases from another.
func (d *Database) state() string {
	var b strings.Builder
	for _, name := range append([]string{dpkgStatus, dpkgInfo, dpkgParts, dpkgDiversions}, rpmFiles...) {
		for _, n := range []string{name, name + "-wal"} {
			if st, err := os.Stat(filepath.Join(d.root, n)); err == nil {
				fmt.Fprintf(&b, "%s %d %d\n", n, st.Size(), st.ModTime().UnixNano())
			}
		}
	}
	return b.String()
}

func nameHash(name string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // never fails
	return h.Sum64()
}

// shorten returns the first 128 bits of a digest in hexadecimal.
func shorten(text string) (out [16]byte, ok bool) {
	if len(text) < 32 {
		return out, false
	}
	_, err := hex.Decode(out[:], []byte(text[:32]))
	return out, err == nil && binary.BigEndian.Uint64(out[:]) != 0
}

// loader reads databases.
type loader struct {
	*Database
	moved map[string]string // directories of the root that are links into another
	out   []entry
}

// merged returns the directories of the root that a merged /usr made links of: packages may
// still name their files by them.
func merged(root string) map[string]string {
	out := map[string]string{}
	list, _ := os.ReadDir(root) // a root that cannot be read has no packages
	for _, e := range list {
		if e.Type()&fs.ModeSymlink == 0 {
			continue
		}
		if to, err := os.Readlink(filepath.Join(root, e.Name())); err == nil {
			out[e.Name()] = path.Clean("/" + to)
		}
	}
	return out
}

// add takes one file, by its name with or without a slash before it.
func (l *loader) add(name, digest string) error {
	k := byMD5
	switch len(digest) {
	case 32:
	case 40:
		k = bySHA1
	case 64:
		k = bySHA256
	default:
		return nil // of an algorithm that nobody computes: not known as a package's
	}
	d, ok := shorten(strings.ToLower(digest))
	if !ok {
		return nil
	}
	name = path.Clean("/" + name)
	first, rest, _ := strings.Cut(name[1:], "/")
	if to, ok := l.moved[first]; ok {
		name = path.Join(to, rest)
	}
	if len(l.out) >= maxEntries {
		return fmt.Errorf("the packages have more than %d files", maxEntries)
	}
	l.out = append(l.out, entry{path: nameHash(name), digest: d, kind: k})
	return nil
}
