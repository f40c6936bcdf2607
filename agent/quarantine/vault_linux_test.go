package quarantine

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func open(t *testing.T, cfg Config) *Vault {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = filepath.Join(t.TempDir(), "vault")
	}
	v, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func source(t *testing.T, path string) Source {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return Source{File: f, Path: path}
}

func put(t *testing.T, path string, b []byte, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// look is everything of a file that quarantine promises to give back.
func look(t *testing.T, path string) (out struct {
	Content  []byte
	Mode     uint32
	UID, GID uint32
	Modified int64
	Attr     string
}) {
	t.Helper()
	var err error
	if out.Content, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	out.Mode, out.UID, out.GID, out.Modified = st.Mode, st.Uid, st.Gid, st.Mtim.Nano()
	b := make([]byte, 64)
	if n, err := unix.Getxattr(path, "user.origin", b); err == nil {
		out.Attr = string(b[:n])
	}
	return out
}

func TestAFileIsTakenAndGivenBackAsItWas(t *testing.T) {
	for _, size := range []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 3*chunkSize + 17} {
		v := open(t, Config{})
		path := filepath.Join(t.TempDir(), "evil")
		content := make([]byte, size)
		rand.Read(content)
		put(t, path, content, 0o4755)
		if os.Geteuid() == 0 {
			if err := os.Chown(path, 12345, 23456); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, 0o755|os.ModeSetuid); err != nil {
				t.Fatal(err)
			}
		}
		if err := unix.Setxattr(path, "user.origin", []byte("somewhere"), 0); err != nil {
			t.Log("this file system keeps no attributes:", err)
		}
		if err := os.Chtimes(path, time.Now(), time.Unix(1_600_000_000, 123_456_789)); err != nil {
			t.Fatal(err)
		}
		before := look(t, path)
		item, err := v.Take(context.Background(), source(t, path), Reason{Indicator: 7})
		if err != nil || item.State != Quarantined {
			t.Fatalf("take: %+v, %v", item, err)
		}
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the file is still there: %v", err)
		}
		if got, err := v.Restore(context.Background(), item.ID, ""); err != nil || got != path {
			t.Fatalf("restore: %q, %v", got, err)
		}
		if diff := cmp.Diff(before, look(t, path)); diff != "" {
			t.Errorf("%d bytes: %s", size, diff)
		}
		out, err := exec.Command("sha256sum", path).Output()
		if err != nil || !strings.HasPrefix(string(out), item.SHA256) {
			t.Errorf("sha256sum says %s, the manifest %s (%v)", out, item.SHA256, err)
		}
		if _, err := v.Restore(context.Background(), item.ID, ""); !errors.Is(err, fs.ErrExist) {
			t.Errorf("a second restore overwrites: %v", err)
		}
	}
}

func TestTheVaultHoldsNothingThatCouldRun(t *testing.T) {
	v := open(t, Config{})
	dir := t.TempDir()
	path := filepath.Join(dir, "script")
	marker := []byte("#!/bin/sh\necho unmistakable-marker\n")
	put(t, path, marker, 0o755)
	item, err := v.Take(context.Background(), source(t, path), Reason{})
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(v.cfg.Dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		if st.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", p, st.Mode())
		}
		b, err := os.ReadFile(p)
		if bytes.Contains(b, []byte("unmistakable")) {
			t.Errorf("%s holds the content as it was", p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// Anything changed in the sealed file shows, and nothing is then given back.
	sealed := v.path(item.ID + sealedSuffix)
	good, err := os.ReadFile(sealed)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{"a bit": flip(good, len(good)-3), "cut": good[:len(good)-1], "nothing": nil, "more": append(bytes.Clone(good), 0), "magic": flip(good, 1)} {
		if err := os.WriteFile(sealed, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Restore(context.Background(), item.ID, ""); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s changed: %v", name, err)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func flip(b []byte, at int) []byte {
	c := bytes.Clone(b)
	c[at] ^= 1
	return c
}

func TestAFileThatWasReplacedStays(t *testing.T) {
	v := open(t, Config{})
	path := filepath.Join(t.TempDir(), "f")
	put(t, path, []byte("bad"), 0o755)
	src := source(t, path)
	put(t, path+".new", []byte("innocent"), 0o644)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	item, err := v.Take(context.Background(), src, Reason{})
	if !errors.Is(err, ErrNotThere) || item.State != Sealed {
		t.Errorf("%+v, %v", item, err)
	}
	if got := look(t, path); string(got.Content) != "innocent" || got.Mode&0o777 != 0o644 {
		t.Errorf("the other file is %+v", got)
	}
	var out bytes.Buffer
	f, err := os.Open(v.path(item.ID + sealedSuffix))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unseal(&out, f, v.master, item.ID); err != nil || out.String() != "bad" {
		t.Errorf("sealed: %q, %v", out.String(), err)
	}
}

func TestWhatIsNotTakenIsLeftAsItWas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	put(t, path, make([]byte, 100_000), 0o755)
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	for name, c := range map[string]struct {
		ctx    context.Context
		cfg    Config
		expect string
		want   error
	}{
		"full":       {context.Background(), Config{MaxBytes: 1000}, "", ErrFull},
		"no disk":    {context.Background(), Config{Reserve: 1 << 60}, "", ErrFull},
		"cancelled":  {cancelled, Config{}, "", context.Canceled},
		"unexpected": {context.Background(), Config{}, strings.Repeat("0", 64), ErrUnexpected},
	} {
		v := open(t, c.cfg)
		src := source(t, path)
		src.Expect = c.expect
		if _, err := v.Take(c.ctx, src, Reason{}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if got := look(t, path); got.Mode&0o7777 != 0o755 {
			t.Errorf("%s: mode %o", name, got.Mode)
		}
		if len(v.Items()) != 0 {
			t.Errorf("%s: %v", name, v.Items())
		}
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if _, err := open(t, Config{}).Take(context.Background(), Source{File: dir, Path: dir.Name()}, Reason{}); !errors.Is(err, ErrNotAFile) {
		t.Errorf("a directory: %v", err)
	}
}

func TestTheVaultOutlivesTheAgent(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "vault")
	v := open(t, Config{Dir: dir})
	path := filepath.Join(t.TempDir(), "f")
	put(t, path, []byte("bad"), 0o755)
	if err := os.Link(path, path+".link"); err != nil {
		t.Fatal(err)
	}
	item, err := v.Take(context.Background(), source(t, path), Reason{Note: "n"})
	if err != nil {
		t.Fatal(err)
	}
	if item.OtherLinks != 1 {
		t.Errorf("%d other links", item.OtherLinks)
	}
	if st, err := os.Stat(path + ".link"); err != nil || st.Mode().Perm() != 0 {
		t.Errorf("the other link: %v, %v", st.Mode(), err)
	}
	// A crash in the middle of another one.
	for _, n := range []string{tmpPrefix + "x", strings.Repeat("a", 32) + sealedSuffix} {
		if err := os.WriteFile(filepath.Join(dir, n), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again := open(t, Config{Dir: dir})
	if diff := cmp.Diff([]Item{item}, again.Items()); diff != "" {
		t.Error(diff)
	}
	if names, _ := os.ReadDir(dir); len(names) != 3 {
		t.Errorf("swept to %v", names)
	}
	if again.used != v.used {
		t.Errorf("%d bytes used, then %d", v.used, again.used)
	}
	if _, err := again.Restore(context.Background(), item.ID, path+".back"); err != nil {
		t.Error(err)
	}
	if err := again.Remove(item.ID); err != nil {
		t.Error(err)
	}
	if _, err := again.Item(item.ID); !errors.Is(err, ErrUnknown) || again.used != 0 {
		t.Errorf("after removal: %v, %d bytes", err, again.used)
	}
	if err := os.Remove(filepath.Join(dir, keyFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Dir: dir}); err != nil {
		t.Errorf("an empty vault without a key: %v", err)
	}
}

// A manifest that is damaged is told, and what it belongs to is kept: it may be all that is
// left of a file.
func TestADamagedManifestLosesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "vault")
	v := open(t, Config{Dir: dir})
	path := filepath.Join(t.TempDir(), "f")
	put(t, path, []byte("bad"), 0o755)
	item, err := v.Take(context.Background(), source(t, path), Reason{})
	if err != nil {
		t.Fatal(err)
	}
	manifest := filepath.Join(dir, item.ID+itemSuffix)
	whole, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(manifest, whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	var told []string
	again := open(t, Config{Dir: dir, Problem: func(err error) { told = append(told, err.Error()) }})
	if len(told) != 1 || !strings.Contains(told[0], manifest) || len(again.Items()) != 0 || again.used != v.used {
		t.Errorf("told %q of %d items, %d bytes used of %d", told, len(again.Items()), again.used, v.used)
	}
	if err := os.Remove(filepath.Join(dir, keyFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Dir: dir}); err == nil {
		t.Error("a new key was made over what is sealed with the old one")
	}
	if err := errors.Join(os.WriteFile(filepath.Join(dir, keyFile), v.master, 0o600), os.WriteFile(manifest, whole, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, Config{Dir: dir}).Restore(context.Background(), item.ID, path); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "bad" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestSealIsBoundToItsItem(t *testing.T) {
	var b, out bytes.Buffer
	key := make([]byte, 32)
	if err := seal(&b, strings.NewReader("text"), key, "one", func(int) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := unseal(io.Discard, bytes.NewReader(b.Bytes()), key, "two"); !errors.Is(err, ErrDamaged) {
		t.Errorf("as another item: %v", err)
	}
	if err := unseal(&out, &b, key, "one"); err != nil || out.String() != "text" {
		t.Errorf("%q, %v", out.String(), err)
	}
}
