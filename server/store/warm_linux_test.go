package store

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestWarmingKeepsTheLocks asks the kernel: SQLite's lock
// on the database's file is there after all of it was read, and goes with the store.
func TestWarmingKeepsTheLocks(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(t.Context(), Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	s.warming.done.Wait()
	path := filepath.Join(dir, "control.db")
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !locked(t, path) {
		t.Error("nobody holds a lock")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if locked(t, path) {
		t.Error("the lock is still held")
	}
}

// locked reports whether a process has a lock on a file.
func locked(t *testing.T, path string) bool {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile("/proc/locks")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		// "1: POSIX ADVISORY READ 4711 fe:00:12345 ..."
		if f := strings.Fields(line); len(f) > 5 && strings.HasSuffix(f[5], ":"+strconv.FormatUint(st.Ino, 10)) {
			return true
		}
	}
	return false
}
