package rootfs

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/mount"
)

// tree makes a throw-away root; a name that ends with / is a directory, a text that begins
// with "-> " a link.
func tree(t *testing.T, files map[string]string) *Root {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		p := filepath.Join(dir, name)
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(p, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if to, ok := strings.CutPrefix(text, "-> "); ok {
			err = os.Symlink(to, p)
		} else {
			err = os.WriteFile(p, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func TestNothingOutsideTheRootIsRead(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("outside"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := tree(t, map[string]string{
		"a/plain": "inside", "a/abs": "-> " + secret, "a/up": "-> ../../../../../../" + secret, "a/in": "-> /a/plain", "a/rel": "-> plain",
		"loop": "-> loop", "proc": "-> /proc/self/root" + secret, "home/u": "-> /a",
	})
	read := func(p string, l Links) string {
		b, _, err := r.Read(p, l, 100)
		if err != nil {
			return "error"
		}
		return string(b)
	}
	for _, c := range []struct{ path, none, follow string }{
		{"a/plain", "inside", "inside"}, {"/a/plain", "inside", "inside"}, {"a/../a/plain", "inside", "inside"}, {"../../a/plain", "inside", "inside"},
		{"a/in", "error", "inside"}, {"a/rel", "error", "inside"}, {"home/u/plain", "error", "inside"},
		{"a/abs", "error", "error"}, {"a/up", "error", "error"}, {"loop", "error", "error"}, {"proc", "error", "error"}, {"missing", "error", "error"}, {"a", "error", "error"}, {"", "error", "error"},
	} {
		if got := read(c.path, NoLinks); got != c.none {
			t.Errorf("%q without links: %q, want %q", c.path, got, c.none)
		}
		if got := read(c.path, FollowLinks); got != c.follow {
			t.Errorf("%q with links: %q, want %q", c.path, got, c.follow)
		}
	}
}

func TestOnlyRegularFilesAreOpened(t *testing.T) {
	r := tree(t, map[string]string{"dir/": "", "file": ""})
	if err := unix.Mkfifo(filepath.Join(r.Name(), "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mknod(filepath.Join(r.Name(), "tty"), unix.S_IFCHR|0o600, int(unix.Mkdev(5, 0))); err != nil && os.Geteuid() == 0 {
		t.Fatal(err)
	}
	done := make(chan bool)
	go func() {
		defer close(done)
		for _, name := range []string{"fifo", "tty", "dir"} {
			if _, _, err := r.Open(name, FollowLinks); !errors.Is(err, ErrNotRegular) && !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := r.Walk("", NoLinks, 3, func(f Found) error {
			if in, _, err := f.Open(); (err == nil) != (f.Path == "file") {
				t.Errorf("%s: %v", f.Path, err)
			} else if err == nil {
				in.Close()
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("a pipe was opened and waited for")
	}
}

func TestReadingLeavesNoTrace(t *testing.T) {
	r := tree(t, map[string]string{"dir/file": "x"})
	old := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	for _, p := range []string{"dir/file", "dir"} {
		if err := os.Chtimes(filepath.Join(r.Name(), p), old, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := r.Read("dir/file", NoLinks, 10); err != nil {
		t.Fatal(err)
	}
	if names, _, err := r.ReadDir("dir", NoLinks); err != nil || !slices.Equal(names, []string{"file"}) {
		t.Fatalf("%v %v", names, err)
	}
	for _, p := range []string{"dir/file", "dir"} {
		if st, err := r.Lstat(p, NoLinks); err != nil || !st.Accessed.Equal(old) {
			t.Errorf("%s was accessed at %v: %v", p, st.Accessed, err)
		}
	}
}

func TestStatAgreesWithTheSystem(t *testing.T) {
	r := tree(t, map[string]string{"file": "12345", "link": "-> file"})
	if err := os.Chmod(filepath.Join(r.Name(), "file"), 0o4751|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	var want unix.Stat_t
	if err := unix.Stat(filepath.Join(r.Name(), "file"), &want); err != nil {
		t.Fatal(err)
	}
	st, err := r.Lstat("file", NoLinks)
	if err != nil || st.Size != 5 || st.Mode != want.Mode || st.Ino != want.Ino || st.Dev != want.Dev || st.UID != want.Uid || st.Perm() != "4751" || st.Type() != "file" ||
		st.Modified.UnixNano() != want.Mtim.Nano() || st.Changed.UnixNano() != want.Ctim.Nano() || !st.Born.IsZero() && st.Born.After(st.Changed) {
		t.Errorf("%+v, want %+v: %v", st, want, err)
	}
	if st, err := r.Lstat("link", NoLinks); err != nil || !st.IsLink() {
		t.Errorf("%+v %v", st, err)
	}
	if to, err := r.Readlink("link", NoLinks); err != nil || to != "file" {
		t.Errorf("%q %v", to, err)
	}
}

func TestGlobAndWalk(t *testing.T) {
	r := tree(t, map[string]string{
		"etc/cron.d/a": "1", "etc/cron.d/b\nc": "2", "etc/cron.daily/x": "3", "etc/deep/1/2/3/f": "4", "etc/deep/g": "5", "lib": "-> usr/lib", "usr/lib/rules/r": "6",
		"home/u/.config": "-> /etc",
	})
	for _, c := range []struct {
		pattern string
		links   Links
		want    []string
	}{
		{"etc/cron.d/*", FollowLinks, []string{"etc/cron.d/a", "etc/cron.d/b\nc"}},
		{"etc/cron.*/*", FollowLinks, []string{"etc/cron.d/a", "etc/cron.d/b\nc", "etc/cron.daily/x"}},
		{"etc/deep/**", FollowLinks, []string{"etc/deep/1/2/3/f", "etc/deep/g"}},
		{"lib/rules/*", FollowLinks, []string{"lib/rules/r"}},
		{"lib/rules/*", NoLinks, nil},
		{"home/*/.config/cron.d/*", NoLinks, nil},
		{"none/*", FollowLinks, nil}, {"etc/[", FollowLinks, nil},
	} {
		if got := r.Glob(c.pattern, c.links); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.pattern, got, c.want)
		}
	}
	var got []string
	err := r.Walk("etc", NoLinks, 3, func(f Found) error {
		if f.Path == "etc/cron.d" {
			return filepath.SkipDir
		}
		got = append(got, f.Path)
		return nil
	})
	if want := []string{"etc/cron.daily", "etc/cron.daily/x", "etc/deep", "etc/deep/1", "etc/deep/1/2", "etc/deep/g"}; !slices.Equal(got, want) {
		t.Errorf("walk: %q, want %q", got, want)
	}
	if !errors.Is(err, errDeep) {
		t.Errorf("what lies too deep is not told: %v", err)
	}
	if err := r.Walk("etc", NoLinks, 9, func(Found) error { return ErrStop }); err != nil {
		t.Errorf("stopped: %v", err)
	}
}

func TestAGrowingFileIsReadToItsBound(t *testing.T) {
	r := tree(t, map[string]string{"log": strings.Repeat("x", 1000)})
	b, more, err := r.Read("log", NoLinks, 100)
	if err != nil || len(b) != 100 || !more {
		t.Errorf("%d bytes, %v, %v", len(b), more, err)
	}
	b, more, err = r.Read("log", NoLinks, 1000)
	if err != nil || len(b) != 1000 || more {
		t.Errorf("%d bytes, %v, %v", len(b), more, err)
	}
	f, _, err := r.Open("log", NoLinks)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if b, err := io.ReadAll(f); err != nil || len(b) != 1000 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

func TestMountsAreThoseBelowTheRoot(t *testing.T) {
	const raw = `22 1 253:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:5 / /srv/root rw - tmpfs tmpfs rw
31 30 0:6 /sub /srv/root/mnt\040x rw,nosuid master:1 - nfs4 host:/exp rw,vers=4.2
32 22 0:7 / /srv/rootless rw - tmpfs tmpfs rw
garbage
`
	all := below(mount.Parse([]byte(raw)), "/")
	if len(all) != 4 || all[2].Point != "/srv/root/mnt x" || all[2].Source != "host:/exp" || all[2].Root != "/sub" || all[2].ID != 31 || all[2].Parent != 30 || !all[2].Remote() || all[0].Remote() {
		t.Errorf("%+v", all)
	}
	lower := below(mount.Parse([]byte(raw)), "/srv/root")
	if len(lower) != 2 || lower[0].Point != "/" || lower[1].Point != "/mnt x" {
		t.Errorf("%+v", lower)
	}
}

func TestRemoteFileSystemsAreNotEntered(t *testing.T) {
	r := tree(t, map[string]string{"mnt/share/file": "x", "mnt/shared/file": "y"})
	r.skip = []string{"mnt/share"}
	if _, _, err := r.Open("mnt/share/file", FollowLinks); !errors.Is(err, ErrRemote) {
		t.Errorf("open: %v", err)
	}
	if _, err := r.Lstat("mnt/share", NoLinks); !errors.Is(err, ErrRemote) {
		t.Errorf("stat: %v", err)
	}
	if _, _, err := r.Open("mnt/shared/file", FollowLinks); err != nil {
		t.Errorf("its neighbour: %v", err)
	}
	var got []string
	if err := r.Walk("", NoLinks, 9, func(f Found) error { got = append(got, f.Path); return nil }); err != nil || !slices.Equal(got, []string{"mnt", "mnt/shared", "mnt/shared/file"}) {
		t.Errorf("walk: %q %v", got, err)
	}
}
