package software

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	dpkgStatus = "var/lib/dpkg/status"
	dpkgParts  = "var/lib/dpkg/status.d" // of images without a package manager
)

// dpkg reads dpkg's status file. Its format: deb-control fields, stanzas apart by an empty
// line (dpkg(1), deb-control(5)).
func (c *Collector) dpkg(release string) ([]Package, error) {
	text, err := c.read(dpkgStatus)
	var out []Package
	if err == nil {
		for stanza := range strings.SplitSeq(text, "\n\n") {
			if p, ok := c.deb(stanza, release, true); ok {
				out = append(out, p)
			}
		}
	}
	parts, globErr := filepath.Glob(c.path(dpkgParts + "/*"))
	for _, f := range parts {
		if strings.HasSuffix(f, ".md5sums") {
			continue
		}
		rel, relErr := filepath.Rel(c.root, f)
		if relErr != nil {
			continue
		}
		if text, err := c.read(rel); err == nil {
			for stanza := range strings.SplitSeq(text, "\n\n") {
				if p, ok := c.deb(stanza, release, false); ok {
					out = append(out, p)
				}
			}
		}
	}
	if err != nil && absent(err) {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("dpkg: %w", err)
	}
	return out, errors.Join(err, globErr)
}

// deb reads one stanza; ok is false for what is not installed.
func (c *Collector) deb(stanza, release string, stated bool) (p Package, ok bool) {
	p = Package{Kind: Deb, Release: release}
	installed := !stated
	for line := range strings.SplitSeq(stanza, "\n") {
		name, value, found := strings.Cut(line, ":")
		if !found || strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
			continue
		}
		value = strings.TrimSpace(value)
		switch name {
		case "Package":
			p.Name = clean(value)
		case "Version":
			p.Version = clean(value)
		case "Architecture":
			p.Arch = clean(value)
		case "Source":
			source, version, _ := strings.Cut(value, "(")
			p.Source, p.SourceVersion = clean(source), clean(strings.TrimSuffix(version, ")"))
		case "Maintainer":
			p.Vendor = clean(value)
		case "Status":
			// want, error, state: a package that is only configured for removal still runs.
			f := strings.Fields(value)
			installed = len(f) == 3 && !slices.Contains([]string{"not-installed", "config-files"}, f[2])
		}
	}
	if !installed || p.Name == "" || p.Version == "" {
		return p, false
	}
	if p.Source == "" {
		p.Source = p.Name
	}
	if p.SourceVersion == "" {
		p.SourceVersion = p.Version
	}
	p.Installed, p.Paths = c.debFiles(p.Name, p.Arch)
	return p, true
}

// debFiles says when a package's list of files was written, which is when it was unpacked,
// and names some of its programs.
func (c *Collector) debFiles(name, arch string) (int64, []string) {
	for _, list := range []string{name + ":" + arch, name} {
		rel := "var/lib/dpkg/info/" + filepath.Base(list) + ".list"
		st, err := os.Stat(c.path(rel))
		if err != nil {
			continue
		}
		text, err := c.read(rel)
		if err != nil {
			return st.ModTime().Unix(), nil
		}
		return st.ModTime().Unix(), programs(strings.Split(text, "\n"))
	}
	return 0, nil
}

// programs picks the files below a directory of programs, or else of libraries.
func programs(files []string) []string {
	var out []string
	for _, f := range files {
		dir := filepath.Dir(f)
		if filepath.Base(dir) != "bin" && filepath.Base(dir) != "sbin" || len(f) > maxText {
			continue
		}
		if out = append(out, clean(f)); len(out) == MaxPaths {
			break
		}
	}
	return out
}
