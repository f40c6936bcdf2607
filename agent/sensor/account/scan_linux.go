package account

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Directories of units from the strongest to the weakest: a name in an earlier one hides
// the same name in later ones.
var unitDirs = []string{
	"etc/systemd/system", "run/systemd/system", "run/systemd/transient",
	"usr/local/lib/systemd/system", "usr/lib/systemd/system", "lib/systemd/system",
}

// Directories with one script or table a file.
var (
	initDirs = []string{"etc/init.d", "etc/rc.d/init.d"}
	cronDirs = []string{
		"etc/cron.d", "etc/cron.hourly", "etc/cron.daily", "etc/cron.weekly", "etc/cron.monthly",
		"var/spool/cron/crontabs", "var/spool/cron",
	}
)

const (
	crontab  = "etc/crontab"
	maxUnits = 20000   // files of all directories that are looked at
	maxUnit  = 1 << 20 // bytes of one file that are read
)

// scanner reads the state of services and tasks, and reads no file again that did not
// change. It belongs to one goroutine.
type scanner struct {
	root string
	seen map[string]cached // by path; replaced by each scan
}

type cached struct {
	dev, ino     uint64
	size         int64
	mtime, ctime unix.Timespec
	text, sum    string
}

// scan is one reading of everything; dirs are the directories it looked into.
type scan struct {
	units map[string]unit
	dirs  []string
	cut   bool // there were more than maxUnits files

	s     *scanner
	fresh map[string]cached
	n     int
}

func (s *scanner) scan() *scan {
	c := &scan{units: map[string]unit{}, s: s, fresh: map[string]cached{}}
	wanted := map[string]bool{} // names that a target pulls in
	dropins := map[string][]string{}
	for _, dir := range unitDirs {
		for _, e := range c.list(dir) {
			name := e.Name()
			p := filepath.Join(dir, name)
			switch {
			case e.IsDir() && (strings.HasSuffix(name, ".wants") || strings.HasSuffix(name, ".requires") || strings.HasSuffix(name, ".upholds")):
				for _, w := range c.list(p) {
					wanted[template(w.Name())] = true
				}
			case e.IsDir() && strings.HasSuffix(name, ".d"):
				for _, d := range c.list(p) {
					if strings.HasSuffix(d.Name(), ".conf") {
						of := strings.TrimSuffix(name, ".d")
						dropins[of] = append(dropins[of], filepath.Join(p, d.Name()))
					}
				}
			case !e.IsDir():
				c.unit(p, name)
			}
		}
	}
	for name, u := range c.units {
		if u.start == "Masked" {
			continue
		}
		sum := sha256.New()
		for _, p := range dropins[name] {
			text, one, _, err := c.read(p)
			if err != nil {
				continue
			}
			sum.Write([]byte(p + "\x00" + one + "\x00"))
			u.readUnit(text)
			u.dropins = hex.EncodeToString(sum.Sum(nil))
		}
		if wanted[name] {
			u.start = "Enabled"
		}
		c.units[name] = u
	}
	for _, dir := range initDirs {
		for _, e := range c.list(dir) {
			if name := e.Name(); !e.IsDir() && name != "README" && !strings.HasPrefix(name, ".") {
				c.plain(service, name, filepath.Join(dir, name), unit{typ: "init script", start: "Enabled", account: "root"})
			}
		}
	}
	for _, dir := range cronDirs {
		for _, e := range c.list(dir) {
			if name := e.Name(); !e.IsDir() && !strings.HasPrefix(name, ".") {
				u := unit{typ: "cron", start: "Enabled"}
				if strings.HasPrefix(dir, "var/spool") {
					u.account = name
				}
				c.plain(task, "/"+filepath.Join(dir, name), filepath.Join(dir, name), u)
			}
		}
	}
	c.plain(task, "/"+crontab, crontab, unit{typ: "cron", start: "Enabled"})
	s.seen = c.fresh
	return c
}

// template returns the name of the file that defines a unit: foo@.service for foo@x.service.
func template(name string) string {
	at, dot := strings.IndexByte(name, '@'), strings.LastIndexByte(name, '.')
	if at < 0 || dot < at {
		return name
	}
	return name[:at+1] + name[dot:]
}

// list returns the entries of a directory, none when it cannot be read, and remembers it.
func (c *scan) list(dir string) []os.DirEntry {
	full := filepath.Join(c.s.root, dir)
	real, err := filepath.EvalSymlinks(full)
	if err == nil && real != full && slices.Contains(c.dirs, real) {
		return nil // lib is usr/lib on most systems
	}
	if err == nil {
		full = real
	}
	c.dirs = append(c.dirs, full)
	entries, err := os.ReadDir(full)
	if err != nil {
		return nil
	}
	if c.n += len(entries); c.n > maxUnits {
		c.cut = true
		return nil
	}
	return entries
}

// unit takes in one file of a unit directory.
func (c *scan) unit(p, name string) {
	k, ok := unitKind(name)
	if _, hidden := c.units[name]; !ok || hidden {
		return
	}
	u := unit{kind: k, name: name, path: p, start: "Static"}
	if k == service {
		u.account, u.typ = "root", strings.TrimPrefix(filepath.Ext(name), ".")
		if u.typ == "service" {
			u.typ = "simple"
		}
	}
	if to, err := os.Readlink(filepath.Join(c.s.root, p)); err == nil {
		switch {
		case to == "/dev/null":
			u.start = "Masked"
			c.units[name] = u
			return
		case filepath.Base(to) != name:
			if _, ok := unitKind(to); ok {
				return // another name of a unit that has its own file
			}
		}
	}
	text, sum, size, err := c.read(p)
	if err != nil {
		return
	}
	u.sha256, u.size = sum, size
	u.readUnit(text)
	c.units[name] = u
}

func (c *scan) plain(k kind, name, p string, u unit) {
	text, sum, size, err := c.read(p)
	if err != nil {
		return
	}
	u.kind, u.name, u.path, u.sha256, u.size = k, name, p, sum, size
	if k == task {
		u.command = clip(text)
	}
	c.units[name] = u
}

var errNotRegular = errors.New("not a regular file")

// read returns a file's text and the sum of it. An absolute link is followed within the root.
func (c *scan) read(p string) (text, sum string, size int64, err error) {
	full := filepath.Join(c.s.root, p)
	if to, err := os.Readlink(full); err == nil && filepath.IsAbs(to) && c.s.root != "/" {
		full = filepath.Join(c.s.root, to)
	}
	// Neither a pipe nor a device may hold the scan up.
	fd, err := unix.Open(full, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return "", "", 0, err
	}
	f := os.NewFile(uintptr(fd), full)
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "", "", 0, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return "", "", 0, errNotRegular
	}
	now := cached{dev: uint64(st.Dev), ino: st.Ino, size: st.Size, mtime: st.Mtim, ctime: st.Ctim}
	old, ok := c.s.seen[p]
	now.text, now.sum = old.text, old.sum
	if !ok || now != old {
		b, err := io.ReadAll(io.LimitReader(f, maxUnit))
		if err != nil {
			return "", "", 0, err
		}
		h := sha256.Sum256(b)
		now.sum = hex.EncodeToString(h[:])
		if len(b) > 16*maxText {
			b = b[:16*maxText]
		}
		now.text = string(b)
	}
	keep := now
	if age := time.Since(time.Unix(now.ctime.Unix())); age < time.Second {
		keep.size = -1 // a second write within one tick of the clock would look the same
	}
	c.fresh[p] = keep
	return now.text, now.sum, now.size, nil
}
