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
