package agent

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExclusionsNameWhatTheKernelNames(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(program, link); err != nil {
		t.Fatal(err)
	}
	got, err := parseExclusions([]string{"/a=b/", "/srv/x=" + link, link, "/new=/bin/absent-one"})
	if err != nil {
		t.Fatal(err)
	}
	want := []exclusion{{"/a=b", ""}, {"/srv/x", program}, {link, ""}, {program, ""}, {"/new", "/bin/absent-one"}}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(exclusion{})); d != "" {
		t.Error(d)
	}
	for _, bad := range []string{"", "relative", "x=/bin/y"} {
		if got, err := parseExclusions([]string{bad}); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}
