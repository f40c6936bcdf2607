package walk

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/mount"
)

func tree(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a/b/c/file", "a/other", "line\nfeed/\xff\xfe", "top"} {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for from, to := range map[string]string{"a/up": "..", "a/loop": "loop", "outside": "/etc", "file": "top"} {
		if err := os.Symlink(to, filepath.Join(dir, from)); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(filepath.Join(dir, "pipe"), 0o666); err != nil {
		t.Fatal(err)
	}
	return dir
}

func files(t *testing.T, c Config) ([]string, Stats) {
	t.Helper()
	var out []string
	st, err := Walk(t.Context(), c, func(f *File) error {
		out = append(out, f.Path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return out, st
}

// TestItMeetsWhatFindMeets compares with find(1), which stays on the file system and
// follows no links either.
func TestItMeetsWhatFindMeets(t *testing.T) {
	for _, dir := range []string{tree(t), "/usr/share/doc"} {
		raw, err := exec.Command("find", dir, "-xdev", "-type", "f", "-print0").Output()
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Split(strings.TrimSuffix(string(raw), "\x00"), "\x00")
		slices.Sort(want)
		got, st := files(t, Config{Roots: []string{dir}})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", dir, diff)
		}
		if st.Files != int64(len(want)) || st.Problems != 0 {
			t.Errorf("%s: %+v", dir, st)
		}
	}
}

func TestAFileThatIsReplacedIsNotOpened(t *testing.T) {
	dir := tree(t)
	n := 0
	_, err := Walk(t.Context(), Config{Roots: []string{dir}}, func(f *File) error {
		n++
		good, err := f.Open()
		if err != nil {
			return err
		}
		raw, err := io.ReadAll(good)
		good.Close()
		if err != nil || !strings.HasSuffix(f.Path, string(raw)) {
			t.Errorf("%q holds %q, %v", f.Path, raw, err)
		}
		for what, replace := range map[string]func() error{
			"a link": func() error { return os.Symlink("/etc/passwd", f.Path) },
			"a pipe": func() error { return unix.Mkfifo(f.Path, 0o666) },
			"another": func() error {
				return errors.Join(os.WriteFile(f.Path+".new", nil, 0o600), os.Rename(f.Path+".new", f.Path))
			},
		} {
			// The inode is held, so that the new file does not get the same.
			if err := os.Rename(f.Path, filepath.Join(t.TempDir(), "held")); err != nil {
				return err
			}
			if err := replace(); err != nil {
				return err
			}
			if open, err := f.Open(); !errors.Is(err, ErrChanged) {
				t.Errorf("%s in the place of %q: %v %v", what, f.Path, open, err)
			}
		}
		return nil
	})
	if err != nil || n == 0 {
		t.Error(n, err)
	}
}

func TestRootsAreNotFollowedAndFilesAreRoots(t *testing.T) {
	dir := tree(t)
	var bad []string
	got, st := files(t, Config{Roots: []string{filepath.Join(dir, "outside"), filepath.Join(dir, "top"), filepath.Join(dir, "missing"), filepath.Join(dir, "pipe")},
		Problem: func(p string, _ error) { bad = append(bad, p) }})
	if diff := cmp.Diff([]string{filepath.Join(dir, "top")}, got); diff != "" {
		t.Error(diff)
	}
	if len(bad) != 1 || st.Problems != 1 || st.Others != 1 {
		t.Errorf("%q %+v", bad, st)
	}
	if _, err := OpenFile(filepath.Join(dir, "file")); !errors.Is(err, unix.ELOOP) {
		t.Errorf("a link: %v", err)
	}
	if _, err := OpenFile(filepath.Join(dir, "pipe")); !errors.Is(err, ErrChanged) {
		t.Errorf("a pipe: %v", err)
	}
}

func TestItEndsWithItsContextAndSkips(t *testing.T) {
	dir := tree(t)
	got, _ := files(t, Config{Roots: []string{dir}, Skip: func(p string) bool { return p == filepath.Join(dir, "a") }})
	if len(got) != 2 {
		t.Errorf("%q", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Walk(ctx, Config{Roots: []string{dir}}, func(*File) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestDirectoriesWithoutEndAreBounded(t *testing.T) {
	dir := t.TempDir()
	at, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range maxDepth + 50 {
		if err := unix.Mkdirat(at, "d", 0o755); err != nil {
			t.Fatal(err)
		}
		next, err := unix.Openat(at, "d", unix.O_PATH|unix.O_DIRECTORY, 0)
		unix.Close(at)
		if err != nil {
			t.Fatal(err)
		}
		at = next
	}
	unix.Close(at)
	_, st := files(t, Config{Roots: []string{dir}})
	if st.Problems != 1 || st.Dirs != maxDepth+1 {
		t.Errorf("%+v", st)
	}
}

func TestTheLastMountAtAPathIsTheOneThatIsSeen(t *testing.T) {
	under, over, other := mount.Mount{ID: 1, Point: "/over", Type: "tmpfs"}, mount.Mount{ID: 2, Point: "/over", Type: "nfs4"}, mount.Mount{ID: 3, Point: "/other"}
	if diff := cmp.Diff([]mount.Mount{over, other}, visible([]mount.Mount{under, over, other})); diff != "" {
		t.Error(diff)
	}
}
