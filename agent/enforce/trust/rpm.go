package trust

import (
	"fmt"
	"os"
	"path/filepath"

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
func (l *loader) rpm() error {
	for _, name := range rpmFiles {
		file := filepath.Join(l.root, name)
		if st, err := os.Stat(file); err != nil || st.Size() == 0 {
			continue
		}
		if err := l.rpmFiles(file); err != nil {
			return fmt.Errorf("rpm: %s: %w", name, err)
		}
		return nil
	}
	return nil
}

// rpmFiles turns the reader's panics over a damaged file into errors.
func (l *loader) rpmFiles(file string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the database is damaged: %v", p)
		}
	}()
	db, err := rpmdb.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // it was read only
	list, err := db.ListPackages()
	if err != nil {
		return err
	}
	for _, p := range list {
		files, err := p.InstalledFiles()
		if err != nil {
			return fmt.Errorf("files of %s: %w", p.Name, err)
		}
		for _, f := range files {
			if err := l.add(f.Path, f.Digest); err != nil {
				return err
			}
		}
	}
	return nil
}
