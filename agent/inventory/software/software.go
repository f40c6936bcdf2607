// Package software says which packages are installed on a device: those of dpkg and rpm,
// snaps and flatpaks.
//
// It reads the package managers' own databases and runs none of them, so that it works
// under any root and while one of them is at work. What cannot be read stands in the
// problems that Collect returns; a list that ends early is never taken for a whole one.
// Texts and lists are bounded. Start at Collector.Collect.
package software

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
)

// Bounds of the list.
const (
	MaxPackages = 20_000
	MaxPaths    = 4 // programs named of one package
	maxText     = 256
	maxFile     = 64 << 20 // bytes of a package manager's text file
)

// Kinds of package.
const (
	Deb     = "deb"
	Rpm     = "rpm"
	Snap    = "snap"
	Flatpak = "flatpak"
)

// Package is one installed package. Its JSON form is what the server reads.
type Package struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Version string `json:"version"` // as the package manager prints it; [epoch:]version-release for rpm
	Arch    string `json:"arch,omitempty"`
	// Source and SourceVersion are the source package that a deb was built from, the name
	// of the source package alone for an rpm.
	Source        string `json:"source,omitempty"`
	SourceVersion string `json:"sourceVersion,omitempty"`
	Vendor        string `json:"vendor,omitempty"` // as the package states it
	// Release is the distribution and its version, such as debian:12, from os-release; ""
	// for packages that are not the distribution's.
	Release   string   `json:"release,omitempty"`
	Installed int64    `json:"installed,omitempty"` // Unix seconds; of the last change where only that is known
	Paths     []string `json:"paths,omitempty"`     // of programs it holds, some of them
}

// Collector reads the packages under a root. It is safe for concurrent use and remembers
// what it read: as long as the databases do not change, Collect costs a few stats.
type Collector struct {
	root string

	mu       sync.Mutex
	mark     string
	packages []Package
	problems []string
}

// New returns a Collector of what is installed under root, "" for /.
func New(root string) *Collector { return &Collector{root: cmp.Or(root, "/")} }

// Collect returns the packages in a fixed order, and what could not be read. The slices are
// not the caller's to change.
func (c *Collector) Collect() ([]Package, []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	mark := c.databases()
	if mark == c.mark && c.mark != "" {
		return c.packages, c.problems
	}
	var out []Package
	var problems []string
	release := c.release()
	for _, read := range []func(string) ([]Package, error){c.dpkg, c.rpm, c.snaps, c.flatpaks} {
		ps, err := read(release)
		if err != nil {
			problems = append(problems, clean(err.Error()))
		}
		out = append(out, ps...)
	}
	slices.SortFunc(out, func(a, b Package) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Arch, b.Arch), cmp.Compare(a.Version, b.Version))
	})
	if len(out) > MaxPackages {
		problems = append(problems, fmt.Sprintf("%d of %d packages", MaxPackages, len(out)))
		out = out[:MaxPackages]
	}
	c.mark, c.packages, c.problems = mark, out, problems
	return out, problems
}

// databases tells one state of the databases from another.
func (c *Collector) databases() string {
	var b strings.Builder
	for _, name := range []string{dpkgStatus, dpkgParts, "etc/os-release", "usr/lib/os-release", snapDir, flatpakDir} {
		c.stat(&b, name)
	}
	for _, name := range rpmFiles {
		c.stat(&b, name)
		c.stat(&b, name+"-wal")
	}
	return b.String()
}

func (c *Collector) stat(b *strings.Builder, name string) {
	if st, err := os.Stat(c.path(name)); err == nil {
		fmt.Fprintf(b, "%s %d %d\n", name, st.Size(), st.ModTime().UnixNano())
	}
}

func (c *Collector) path(name string) string { return filepath.Join(c.root, name) }

// read returns a text file whole, or an error when it is larger than maxFile.
func (c *Collector) read(name string) (string, error) {
	st, err := os.Stat(c.path(name))
	if err != nil {
		return "", err
	}
	if st.Size() > maxFile || !st.Mode().IsRegular() {
		return "", fmt.Errorf("%s: no regular file of at most %d bytes", name, maxFile)
	}
	raw, err := os.ReadFile(c.path(name))
	return string(raw), err
}

// release is ID:VERSION_ID of os-release, "" when either is missing.
func (c *Collector) release() string {
	text, err := c.read("etc/os-release")
	if err != nil {
		text, _ = c.read("usr/lib/os-release")
	}
	field := map[string]string{}
	for line := range strings.SplitSeq(text, "\n") {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok {
			field[name] = clean(strings.Trim(value, `"'`))
		}
	}
	if field["ID"] == "" || field["VERSION_ID"] == "" {
		return ""
	}
	return strings.ToLower(field["ID"]) + ":" + field["VERSION_ID"]
}

// clean makes a text fit for a report, and no part of the file it comes from: a name may
// not hold a whole database in memory.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(strings.TrimSpace(s), "\uFFFD"))
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "")
	}
	return strings.Clone(s)
}

const (
	snapDir    = "snap"
	flatpakDir = "var/lib/flatpak/app"
)

// snaps are the current revisions below /snap, each of which says its version in
// meta/snap.yaml; of that file two lines are needed and read.
func (c *Collector) snaps(string) ([]Package, error) {
	files, err := filepath.Glob(c.path(snapDir + "/*/current/meta/snap.yaml"))
	if err != nil {
		return nil, err
	}
	var out []Package
	for _, f := range files[:min(len(files), MaxPackages)] {
		rel, err := filepath.Rel(c.root, f)
		if err != nil {
			return out, err
		}
		text, err := c.read(rel)
		if err != nil {
			continue // a snap that is being changed
		}
		p := Package{Kind: Snap}
		for line := range strings.SplitSeq(text, "\n") {
			if v, ok := strings.CutPrefix(line, "name:"); ok {
				p.Name = clean(strings.Trim(strings.TrimSpace(v), `"'`))
			}
			if v, ok := strings.CutPrefix(line, "version:"); ok {
				p.Version = clean(strings.Trim(strings.TrimSpace(v), `"'`))
			}
		}
		if p.Name == "" || p.Version == "" {
			continue
		}
		p.Installed = changed(f)
		out = append(out, p)
	}
	return out, nil
}

// flatpaks are the applications of the system's installation. Their version is that of the
// newest release in their metainfo where they have one, else the commit.
func (c *Collector) flatpaks(string) ([]Package, error) {
	links, err := filepath.Glob(c.path(flatpakDir + "/*/current/active"))
	if err != nil {
		return nil, err
	}
	var out []Package
	for _, l := range links[:min(len(links), MaxPackages)] {
		commit, err := os.Readlink(l)
		if err != nil || len(filepath.Base(commit)) < 12 {
			continue
		}
		name := filepath.Base(filepath.Dir(filepath.Dir(l)))
		out = append(out, Package{Kind: Flatpak, Name: clean(name), Version: clean(filepath.Base(commit)[:12]), Installed: changed(l)})
	}
	return out, nil
}

// changed is when a file was changed, in Unix seconds; 0 when it cannot be said.
func changed(path string) int64 {
	st, err := os.Lstat(path)
	if err != nil || st.ModTime().Before(time.Unix(0, 0)) {
		return 0
	}
	return st.ModTime().Unix()
}

func absent(err error) bool { return err == nil || errors.Is(err, fs.ErrNotExist) }

// Items renders packages as items of the inventory's section.
func Items(ps []Package) []json.RawMessage {
	out := make([]json.RawMessage, 0, len(ps))
	for _, p := range ps {
		raw, err := json.Marshal(p)
		if err == nil { // plain values: cannot fail
			out = append(out, raw)
		}
	}
	return out
}
