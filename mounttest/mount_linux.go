package mounttest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Tmpfs mounts an empty file system in memory, with options such as "size=4m", and returns
// its directory.
func Tmpfs(t testing.TB, options string) string {
	t.Helper()
	dir := t.TempDir()
	At(t, dir, "tmpfs", options)
	return dir
}

// At mounts a file system of a kind at a directory.
func At(t testing.TB, dir, kind, options string) {
	t.Helper()
	root(t)
	if err := unix.Mount(kind, dir, kind, 0, options); err != nil {
		t.Fatalf("mounting a %s at %s: %v", kind, dir, err)
	}
	unmount(t, dir)
}

// Disk mounts an empty ext4 of a size as truncate(1) reads it, such as "64M", and returns its
// directory.
func Disk(t testing.TB, size string) string {
	t.Helper()
	root(t)
	dir, image := t.TempDir(), filepath.Join(t.TempDir(), "disk")
	for _, c := range [][]string{{"truncate", "-s", size, image}, {"mkfs.ext4", "-q", image}, {"mount", "-o", "loop", image, dir}} {
		if out, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v %s", c, err, out)
		}
	}
	unmount(t, dir)
	return dir
}

func root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
}

func unmount(t testing.TB, dir string) {
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmounting %s: %v", dir, err)
		}
	})
}
