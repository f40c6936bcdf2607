package collect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/hash"
	"github.com/vedette-edr/vedette/agent/inventory"
	"github.com/vedette-edr/vedette/agent/inventory/posture"
	"github.com/vedette-edr/vedette/agent/inventory/software"
	"github.com/vedette-edr/vedette/agent/launch"
	"github.com/vedette-edr/vedette/agent/passwd"
	"github.com/vedette-edr/vedette/agent/recent"
	"github.com/vedette-edr/vedette/agent/responder/collect/archive"
	"github.com/vedette-edr/vedette/agent/responder/collect/rootfs"
)

// Device is what the data points of Linux are taken from.
type Device struct {
	// Root holds the device's files; "" means /. What the kernel answers by calls is that
	// of the namespaces that the process is in, whatever Root is.
	Root   string
	Hashes *hash.Pool // digests files
	// Inventory, Software and Posture are the agent's own; nil makes them of Root.
	Inventory *inventory.Collector
	Software  *software.Collector
	Posture   *posture.Collector
	// Recent is what the agent saw being run and made lately, oldest first; nil for nothing.
	Recent func() []recent.Trace
	// Agent says how the agent itself does; nil for nothing.
	Agent func() any
	// Exclude are directories that are not searched, the agent's own.
	Exclude []string
	Now     func() time.Time // nil for time.Now
}

// device is a Device with what it leaves out, opened for one point at a time.
type device struct {
	Device
	accounts *passwd.Cache
}

// with opens the root for a point.
func (d *device) with(take func(*Task, *rootfs.Root) error) func(*Task) error {
	return func(t *Task) error {
		r, err := rootfs.Open(d.Root)
		if err != nil {
			return err
		}
		defer r.Close()
		return take(t, r)
	}
}

// path is a file of /proc or /sys.
func (d *device) path(name string) string { return path.Join(d.Root, name) }

// user names an account, by its number when it has no name.
func (d *device) user(uid uint32) string {
	if u, ok := d.accounts.DB().ByUID(uid); ok {
		return u.Name
	}
	return strconv.FormatUint(uint64(uid), 10)
}

func (d *device) group(gid uint32) string {
	for _, g := range d.accounts.DB().Groups {
		if g.GID == gid {
			return g.Name
		}
	}
	return strconv.FormatUint(uint64(gid), 10)
}

// maxHomes bounds the users whose directories are looked into.
const maxHomes = 2000

// home is a user's directory.
type home struct {
	user string
	dir  string // below the root
}

// homes are the directories of users who have one, each once: those of the accounts, and
// what lies in /home beside them. System directories that an account names are none.
func (d *device) homes(t *Task, r *rootfs.Root) []home {
	var out []home
	seen := map[string]bool{}
	add := func(user, dir string) {
		dir = strings.TrimPrefix(path.Clean("/"+dir), "/")
		// Some systems keep /root and /home elsewhere, by a link that is the system's own.
		top, rest, _ := strings.Cut(dir, "/")
		if to, err := r.Readlink(top, rootfs.NoLinks); err == nil {
			if !path.IsAbs(to) {
				to = "/" + to
			}
			dir = strings.TrimPrefix(path.Join(to, rest), "/")
		}
		if dir == "" || seen[dir] || len(out) == maxHomes {
			return
		}
		switch top, _, _ := strings.Cut(dir, "/"); {
		case slices.Contains([]string{"bin", "sbin", "dev", "proc", "sys", "usr", "run", "etc", "nonexistent"}, top):
			return
		case dir == "home", dir == "var", dir == "tmp", dir == "var/tmp":
			return
		}
		if st, err := r.Lstat(dir, rootfs.NoLinks); err != nil || !st.IsDir() {
			if errors.Is(err, rootfs.ErrRemote) {
				t.Note(err, "/%s of %s", dir, user)
			}
			return
		}
		seen[dir] = true
		out = append(out, home{user, dir})
	}
	add("root", "root")
	for _, u := range d.accounts.DB().Users {
		add(u.Name, u.Home)
	}
	names, _, _ := r.ReadDir("home", rootfs.NoLinks) // a device without /home has none there
	for _, n := range names {
		add(n, "home/"+n)
	}
	if len(out) == maxHomes {
		t.Note(nil, "only the first %d users' directories are looked into", maxHomes)
	}
	return out
}

// copying says what is copied of one file.
type copying struct {
	links rootfs.Links
	most  int64               // bytes
	tail  bool                // of a longer file the end and not the beginning
	clean func([]byte) []byte // takes secrets out of a file, which is then read whole; nil for none
}

// errLeft is that a file is not copied for what it is.
var errLeft = errors.New("not copied")

// copy brings one file into the package, below the point's folder under its own path.
func (d *device) copy(t *Task, r *rootfs.Root, name string, c copying) error {
	f, st, err := r.Open(name, c.links)
	if err != nil {
		return err
	}
	defer f.Close()
	return copyFile(t, f, strings.TrimPrefix(name, "/"), name, st, c)
}

// copyFile brings what is open, and has a name on the device, into the package as a file.
func copyFile(t *Task, f *os.File, file, name string, st rootfs.Stat, c copying) error {
	out, err := t.Create(file, archive.Info{Source: "/" + strings.TrimPrefix(name, "/"), Modified: st.Modified})
	if err != nil {
		return err
	}
	defer out.end()
	skipped := int64(0)
	if c.tail && st.Size > c.most {
		if skipped, err = f.Seek(st.Size-c.most, io.SeekStart); err != nil {
			skipped = 0
		}
	}
	var in io.Reader = io.LimitReader(f, c.most)
	if c.clean != nil {
		b, err := io.ReadAll(in)
		if err != nil {
			out.Drop()
			return err
		}
		in = bytes.NewReader(c.clean(b))
	}
	n, err := io.Copy(out, in)
	switch {
	case err != nil && n == 0:
		out.Drop() // what cannot be read has no content to show
	case err != nil:
		out.Cut("%v", err)
	case skipped > 0:
		out.Cut("the first %d of %d bytes are left out", skipped, st.Size)
		t.Note(nil, "%s: the last %d of %d bytes", "/"+name, n, st.Size)
	default:
		if more, _ := f.Read(make([]byte, 1)); more > 0 && c.clean == nil || c.clean != nil && st.Size > c.most {
			out.Cut("only the first %d bytes; the file has %d", n, st.Size)
			t.Note(nil, "%s: the first %d of %d bytes", "/"+name, n, st.Size)
		}
	}
	if err != nil {
		return err
	}
	return out.Close()
}

// copyAll copies what fits the patterns. A pattern that fits nothing is no trouble.
func (d *device) copyAll(t *Task, r *rootfs.Root, c copying, patterns ...string) error {
	for _, p := range patterns {
		for _, name := range r.Glob(p, c.links) {
			if err := t.ctx.Err(); err != nil {
				return err
			}
			if err := d.copy(t, r, name, c); err != nil {
				if full(err) {
					return err
				}
				d.missed(t, name, err)
			}
		}
	}
	return nil
}

// missed notes a file that could not be copied, unless it is none or gone.
func (d *device) missed(t *Task, name string, err error) {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, rootfs.ErrNotRegular) || errors.Is(err, errLeft) {
		return
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	t.Note(err, "/%s", name)
}

// full reports whether an error ends the whole point.
func full(err error) bool {
	return errors.Is(err, archive.ErrFull) || errors.Is(err, errPointFull) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.Is(err, archive.ErrClosed)
}

// digest returns a file's digests; ones that were not taken are empty and noted, when that
// is not for the file's size.
func (d *device) digest(t *Task, f *os.File) (hash.Sums, string) {
	_, sums, err := d.Hashes.File(t.ctx, f)
	switch {
	case err == nil:
		return sums, ""
	case errors.Is(err, hash.ErrTooLarge):
		return hash.Sums{}, "too large"
	case errors.Is(err, hash.ErrChanged):
		return hash.Sums{}, "changes"
	}
	return hash.Sums{}, code(err)
}

// programs are where programs of the system are looked for, and nowhere else.
var programs = []string{"/usr/sbin", "/usr/bin", "/sbin", "/bin"}

// maxOutput is how many bytes of a program's output are kept unless the caller says so.
const maxOutput = 16 << 20

// run runs a program of the device and brings its output into a file of the package. One
// that the device does not have is ErrAbsent.
func (d *device) run(t *Task, file string, most int64, argv ...string) error {
	if d.Root != "/" {
		return ErrAbsent // another root's programs are not ours to run
	}
	exe := ""
	for _, dir := range programs {
		st, err := os.Stat(path.Join(dir, argv[0]))
		if err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			exe = path.Join(dir, argv[0])
			break
		}
	}
	if exe == "" {
		return ErrAbsent
	}
	out, err := t.Create(file, archive.Info{Source: exe + " " + strings.Join(argv[1:], " ")})
	if err != nil {
		return err
	}
	defer out.end()
	cmd := launch.Command(t.ctx, "", exe, argv[1:]...)
	cmd.Env = []string{"PATH=" + strings.Join(programs, ":"), "LC_ALL=C.UTF-8", "SYSTEMD_COLORS=0", "SYSTEMD_PAGER=", "HOME=/"}
	cmd.Dir = "/"
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	// Its children end with it.
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = time.Second
	var complaint bytes.Buffer
	limit := &limited{w: out, left: most}
	cmd.Stdout, cmd.Stderr = limit, &limited{w: &complaint, left: 2000}
	err = launch.Run(cmd)
	switch {
	case limit.full:
		out.Cut("only the first %d bytes of the output", most)
		t.Note(nil, "%s: only the first %d bytes of the output", argv[0], most)
		return nil
	case t.ctx.Err() != nil:
		return t.ctx.Err()
	case err != nil:
		out.Cut("%v", err)
		return fmt.Errorf("%s: %w: %s", argv[0], err, strings.TrimSpace(complaint.String()))
	}
	return nil
}

// limited writes as much as may be written, and then breaks the pipe.
type limited struct {
	w    io.Writer
	left int64
	full bool
}

// Write implements io.Writer.
func (l *limited) Write(b []byte) (int, error) {
	n, err := l.w.Write(b[:min(int64(len(b)), l.left)])
	l.left -= int64(n)
	if err == nil && n < len(b) {
		l.full = true
		err = io.ErrShortWrite
	}
	return n, err
}

// when is a time in tables, "" for none.
func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

func itoa[T ~int | ~int32 | ~int64 | ~uint16 | ~uint32 | ~uint64 | ~uint8](n T) string {
	return fmt.Sprint(n)
}

// read returns a file of /proc or /sys, "" when it cannot be read. Those are the kernel's:
// they are regular, there, and never wait.
func (d *device) read(name string, most int64) []byte {
	f, err := os.Open(d.path(name))
	if err != nil {
		return nil
	}
	defer f.Close()
	b, _ := io.ReadAll(io.LimitReader(f, most))
	return b
}

func (d *device) line(name string) string {
	s, _, _ := strings.Cut(string(d.read(name, 4096)), "\n")
	return strings.TrimSpace(strings.TrimRight(s, "\x00"))
}

// skip passes over a file, or a directory with what is in it.
func skip(f rootfs.Found) error {
	if f.Stat.IsDir() {
		return fs.SkipDir
	}
	return nil
}
