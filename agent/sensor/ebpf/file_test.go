//go:build linux

package ebpf

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-edr/vedette/schema/event"
)

func TestFilesByRelativeNamesAndDescriptors(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "left out")
	if err := os.Mkdir(out, 0o755); err != nil {
		t.Fatal(err)
	}
	s := newStage(t, Config{Exclude: []Exclusion{{Path: out}, {Path: dir, Program: "/bin/somebody-else"}}})
	s.need("bpf:file")
	_, pid := s.show("files", dir)
	s.wait("deletion", func(e *event.Event) bool { return e.Action == "FileDeleted" })
	type row struct{ Action, Path, Previous string }
	var got []row
	for _, e := range s.all(func(e *event.Event) bool { return e.Table == event.FileEvents }) {
		if rel, err := filepath.Rel(dir, e.File.Path); err != nil || rel[0] == '.' {
			continue // the Go runtime opens files of its own
		}
		r := row{e.Action, e.File.Path, ""}
		if e.Previous != nil {
			r.Previous = e.Previous.Path
		}
		if e.Initiating.PID != pid {
			t.Errorf("%s by %d, want %d", r.Path, e.Initiating.PID, pid)
		}
		got = append(got, r)
	}
	file := filepath.Join(dir, "sub", "new file")
	renamed := filepath.Join(dir, "renamed")
	want := []row{
		{"FileCreated", file, ""},
		{"FileModified", file, ""},
		{"FileRenamed", renamed, file},
		{"FileDeleted", renamed, ""},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if n := s.sensor.Stats().Excluded; n != 1 {
		t.Errorf("%d events excluded, want 1", n)
	}
}

func TestReadingASecretIsReported(t *testing.T) {
	dir := t.TempDir()
	secret, link, plain := filepath.Join(dir, "id_ed25519"), filepath.Join(dir, "innocent"), filepath.Join(dir, "id_ed25519.pub")
	for _, p := range []string{secret, plain} {
		if err := os.WriteFile(p, []byte("x\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(secret, link); err != nil {
		t.Fatal(err)
	}
	s := newStage(t, Config{})
	s.need("bpf:file")
	// The second file is the same by another name, within the window of repetitions.
	cmd := s.command("/bin/cat", plain, link, secret)
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	pid := uint32(cmd.Process.Pid)
	s.wait("end", action(pid, "ProcessTerminated"))
	got := s.all(action(pid, "SensitiveFileRead"))
	if len(got) != 1 {
		t.Fatalf("%d readings reported, want 1:\n%s", len(got), s.dump())
	}
	if e := got[0]; e.Table != event.DeviceEvents || e.File.Path != secret || e.File.Name != "id_ed25519" || e.Initiating.Image.Name != "cat" {
		t.Errorf("event %s", line(e))
	}
	if c := s.sensor.Stats().Kernel["read"]; c.Sent != 1 || c.Suppressed != 1 {
		t.Errorf("counted %+v, want one sent and one suppressed", c)
	}
}
