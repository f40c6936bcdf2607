package software

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	rpmdb "github.com/knqyf263/go-rpmdb/pkg"
	_ "modernc.org/sqlite" // the driver that rpmdb opens databases of rpm 4.16 and later with
)

// rpmFiles is where rpm keeps its database: SQLite, NDB (SUSE) or Berkeley DB (until RHEL 8).
var rpmFiles = []string{
	"usr/lib/sysimage/rpm/rpmdb.sqlite", "var/lib/rpm/rpmdb.sqlite",
	"usr/lib/sysimage/rpm/Packages.db", "var/lib/rpm/Packages.db",
	"usr/lib/sysimage/rpm/Packages", "var/lib/rpm/Packages",
}

// rpm reads the first of rpm's databases that is there.
func (c *Collector) rpm(release string) ([]Package, error) {
	for _, name := range rpmFiles {
		st, err := os.Stat(c.path(name))
		if err != nil || st.Size() == 0 {
			continue
		}
		list, err := c.rpmList(name)
		if err != nil {
			return nil, fmt.Errorf("rpm: %s: %w", name, err)
		}
		var out []Package
		for _, p := range list {
			if p.Name == "gpg-pubkey" {
				continue // a key that is kept as if it were a package
			}
			out = append(out, rpmPackage(p, release))
		}
		return out, nil
	}
	return nil, nil
}

// rpmList turns the reader's panics over a damaged file into errors.
func (c *Collector) rpmList(name string) (list []*rpmdb.PackageInfo, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the database is damaged: %v", p)
		}
	}()
	db, err := rpmdb.Open(c.path(name))
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }()
	return db.ListPackages()
}

func rpmPackage(p *rpmdb.PackageInfo, release string) Package {
	version := p.Version + "-" + p.Release
	if p.Epoch != nil && *p.Epoch != 0 {
		version = strconv.Itoa(*p.Epoch) + ":" + version
	}
	out := Package{Kind: Rpm, Name: clean(p.Name), Version: clean(version), Arch: clean(p.Arch), Vendor: clean(p.Vendor),
		Release: release, Source: clean(sourceName(p.SourceRpm)), Installed: int64(p.InstallTime)}
	if files, err := p.InstalledFileNames(); err == nil {
		out.Paths = programs(files)
	}
	return out
}

// sourceName is the name in name-version-release.src.rpm.
func sourceName(file string) string {
	s := strings.TrimSuffix(strings.TrimSuffix(file, ".rpm"), ".src")
	for range 2 {
		i := strings.LastIndexByte(s, '-')
		if i < 0 {
			return ""
		}
		s = s[:i]
	}
	return s
}
