package software

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Databases of package managers that only Owners reads.
const (
	dpkgInfo  = "var/lib/dpkg/info"
	apkFiles  = "lib/apk/db/installed"
	apkMoved  = "usr/lib/apk/db/installed"
	pacmanDir = "var/lib/pacman/local"
)

// Owner is the package that a file belongs to, and what it shipped there: digests in
// lower-case hexadecimal, "" where its database has none.
type Owner struct{ Package, MD5, SHA256 string }

// Genuine reports whether a file with these digests is what the package shipped. Without a
// digest to compare with it is taken to be.
func (o Owner) Genuine(md5, sha256 string) bool {
	switch {
	case o.SHA256 != "":
		return o.SHA256 == sha256
	case o.MD5 != "":
		return o.MD5 == md5
	}
	return true
}

// Owners says which of the files at paths, absolute below the root, belong to an installed
// package of dpkg, rpm, apk or pacman. A database that cannot be read is an error beside
// what the others say.
func (c *Collector) Owners(ctx context.Context, paths []string) (map[string]Owner, error) {
	o := owners{want: map[string][]string{}, found: map[string]Owner{}}
	for _, p := range paths {
		p = path.Clean(p)
		for _, alias := range aliases(p) {
			o.want[alias] = append(o.want[alias], p)
		}
	}
	var all []error
	for _, read := range []func(*owners) error{c.dpkgOwners, c.rpmOwners, c.apkOwners, c.pacmanOwners} {
		if ctx.Err() != nil {
			break
		}
		if err := read(&o); err != nil {
			all = append(all, err)
		}
	}
	return o.found, errors.Join(append(all, ctx.Err())...)
}

type owners struct {
	want  map[string][]string // the paths asked for, by each name that a database may give them
	found map[string]Owner
}

func (o *owners) owns(by Owner, file string) {
	for _, p := range o.want[file] {
		o.found[p] = by
	}
}

// aliases are the names of a path where /bin, /sbin and /lib are links into /usr.
func aliases(p string) []string {
	out := []string{p}
	for _, d := range []string{"/bin/", "/sbin/", "/lib/", "/lib32/", "/lib64/", "/libx32/"} {
		if strings.HasPrefix(p, d) {
			out = append(out, "/usr"+p)
		}
		if strings.HasPrefix(p, "/usr"+d) {
			out = append(out, strings.TrimPrefix(p, "/usr"))
		}
	}
	// Some have /usr/sbin as a link to /usr/bin.
	for _, q := range slices.Clone(out) {
		if rest, ok := strings.CutPrefix(q, "/usr/bin/"); ok {
			out = append(out, "/usr/sbin/"+rest, "/sbin/"+rest)
		}
	}
	return out
}

// lines calls each with every line of a file.
func lines(name string, each func(string)) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	sc.Buffer(make([]byte, 64<<10), 1<<20)
	for sc.Scan() {
		each(sc.Text())
	}
	return sc.Err()
}

func (c *Collector) dpkgOwners(o *owners) error {
	lists, err := filepath.Glob(c.path(dpkgInfo) + "/*.list")
	if err != nil {
		return err
	}
	for _, l := range lists {
		base := strings.TrimSuffix(l, ".list")
		pkg, _, _ := strings.Cut(filepath.Base(base), ":")
		owned := false
		if err := lines(l, func(file string) {
			if len(o.want[file]) > 0 {
				o.owns(Owner{Package: pkg}, file)
				owned = true
			}
		}); err != nil && !absent(err) {
			return fmt.Errorf("dpkg: %w", err)
		}
		if !owned {
			continue
		}
		if err := lines(base+".md5sums", func(line string) {
			sum, file, _ := strings.Cut(line, "  ")
			o.owns(Owner{Package: pkg, MD5: sum}, "/"+file)
		}); err != nil && !absent(err) {
			return fmt.Errorf("dpkg: %w", err)
		}
	}
	return nil
}

func (c *Collector) rpmOwners(o *owners) error {
	for _, name := range rpmFiles {
		st, err := os.Stat(c.path(name))
		if err != nil || st.Size() == 0 {
			continue
		}
		list, err := c.rpmList(name)
		if err != nil {
			return fmt.Errorf("rpm: %s: %w", name, err)
		}
		for _, p := range list {
			files, err := p.InstalledFiles()
			if err != nil {
				return fmt.Errorf("rpm: %s: %w", clean(p.Name), err)
			}
			for _, f := range files {
				by := Owner{Package: p.Name}
				switch len(f.Digest) {
				case 64:
					by.SHA256 = f.Digest
				case 32:
					by.MD5 = f.Digest
				}
				o.owns(by, f.Path)
			}
		}
		return nil
	}
	return nil
}

// apkOwners reads the installed database of apk: P: is a package, F: a directory, R: a file
// in it.
func (c *Collector) apkOwners(o *owners) error {
	for _, name := range []string{apkFiles, apkMoved} {
		var pkg, dir string
		err := lines(c.path(name), func(l string) {
			key, value, _ := strings.Cut(l, ":")
			switch key {
			case "P":
				pkg, dir = value, ""
			case "F":
				dir = value
			case "R":
				o.owns(Owner{Package: pkg}, path.Join("/", dir, value))
			}
		})
		if err != nil && !absent(err) {
			return fmt.Errorf("apk: %w", err)
		}
	}
	return nil
}

// pacmanOwners reads the files list of each package of pacman.
func (c *Collector) pacmanOwners(o *owners) error {
	lists, err := filepath.Glob(c.path(pacmanDir) + "/*/files")
	if err != nil {
		return err
	}
	for _, l := range lists {
		pkg := filepath.Base(filepath.Dir(l))
		if err := lines(l, func(file string) { o.owns(Owner{Package: pkg}, "/"+file) }); err != nil && !absent(err) {
			return fmt.Errorf("pacman: %w", err)
		}
	}
	return nil
}
