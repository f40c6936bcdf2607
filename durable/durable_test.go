//go:build linux

package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestWriteReplaces(t *testing.T) {
	name := filepath.Join(t.TempDir(), "state")
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	for _, c := range []struct {
		text string
		mode fs.FileMode
	}{{"one", 0o600}, {"", 0o644}, {strings.Repeat("x", 1<<20), 0o755}} {
		if err := os.WriteFile(name+".new", []byte("left by a crash"), 0o400); err != nil {
			t.Fatal(err)
		}
		if err := Write(name, []byte(c.text), c.mode); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(name)
		if err != nil || string(got) != c.text {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if st, err := os.Stat(name); err != nil || st.Mode().Perm() != c.mode {
			t.Errorf("mode %v, %v", st.Mode(), err)
		}
		if _, err := os.Stat(name + ".new"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("something is left: %v", err)
		}
	}
	if err := errors.Join(Remove(name), Remove(name)); err != nil {
		t.Error(err)
	}
}

func TestAFailureReplacesNothing(t *testing.T) {
	name := filepath.Join(t.TempDir(), "state")
	if err := Write(name, []byte("whole"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	err := WriteTo(name, 0o600, func(w io.Writer) error {
		_, err := io.WriteString(w, "half")
		return errors.Join(err, broken)
	})
	if !errors.Is(err, broken) {
		t.Error(err)
	}
	got, err := os.ReadFile(name)
	if err != nil || string(got) != "whole" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := os.Stat(name + ".new"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something is left: %v", err)
	}
	if err := Write(filepath.Join(name, "below", "a file"), nil, 0o600); err == nil {
		t.Error("a file below a file was written")
	}
}

// The kernel is asked to put first the content and then the name on the disk: strace sees the
// calls in their order.
func TestWhatIsWrittenIsOnTheDisk(t *testing.T) {
	if name := os.Getenv("DURABLE_TEST_FILE"); name != "" {
		if err := Write(name, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	dir := t.TempDir()
	trace := filepath.Join(dir, "trace")
	cmd := exec.Command("strace", "-f", "-y", "-e", "trace=fsync,rename,renameat,renameat2", "-o", trace, os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), "DURABLE_TEST_FILE="+filepath.Join(dir, "state"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	raw, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	rest := string(raw)
	for _, want := range []string{"fsync(", dir + "/state.new>", "rename", dir + `/state"`, "fsync(", dir + ">"} {
		_, after, ok := strings.Cut(rest, want)
		if !ok {
			t.Fatalf("%s is not there, or not in its order:\n%s", want, raw)
		}
		rest = after
	}
}
