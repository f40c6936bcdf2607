package collect

import (
	"archive/zip"
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"strings"
	"sync"
	"testing"

	"github.com/vedette-edr/vedette/agent/hash"
	"github.com/vedette-edr/vedette/agent/responder"
)

// taker is a server that keeps what it is given in a file.
type taker struct {
	path string
	name string
	size int64

	mu       sync.Mutex
	progress []responder.Progress
	refuse   error
	uploads  int
}

func (s *taker) Upload(_ context.Context, _ string, _ int, name string, f *os.File) error {
	s.uploads++
	if s.refuse != nil {
		return s.refuse
	}
	out, err := os.Create(s.path)
	if err != nil {
		return err
	}
	defer out.Close()
	s.name = name
	s.size, err = io.Copy(out, f)
	return err
}

func (*taker) Fetch(context.Context, string, string, io.Writer) error { return nil }

func (s *taker) Progress(_ string, p responder.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.progress = append(s.progress, p)
}

// collected runs points and returns the files of the package by name.
func collected(t *testing.T, points []Point) (map[string]*zip.File, Evidence) {
	t.Helper()
	server := &taker{path: filepath.Join(t.TempDir(), "got.zip")}
	h, err := New(Config{Dir: filepath.Join(t.TempDir(), "collect"), Host: "test", Server: server, Points: points})
	if err != nil {
		t.Fatal(err)
	}
	r := h.Handle(t.Context(), responder.Command{ID: "1", Kind: Kind})
	if r.State != responder.Verified {
		t.Fatalf("result: %+v", r)
	}
	var ev Evidence
	if err := json.Unmarshal(r.Evidence, &ev); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(h.cfg.Dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	z, err := zip.OpenReader(server.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { z.Close() })
	files := map[string]*zip.File{}
	for _, f := range z.File {
		files[f.Name] = f
	}
	if p := server.progress; len(p) == 0 || p[len(p)-1].Percent != 90 {
		t.Errorf("progress: %+v", p)
	}
	return files, ev
}

func contents(t *testing.T, f *zip.File) []byte {
	t.Helper()
	if f == nil {
		t.Fatal("the file is not in the package")
	}
	in, err := f.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	b, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// rows reads a table by the names of its columns.
func rows(t *testing.T, f *zip.File) []map[string]string {
	t.Helper()
	r := csv.NewReader(strings.NewReader(string(contents(t, f))))
	all, err := r.ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", f.Name, err)
	}
	var out []map[string]string
	for _, cells := range all[1:] {
		m := map[string]string{}
		for i, c := range cells {
			m[all[0][i]] = c
		}
		out = append(out, m)
	}
	return out
}

func tool(t *testing.T, argv ...string) string {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", argv, err)
	}
	return string(out)
}

// theHost collects everything of this machine once for all tests that compare it.
var theHost = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "collect-host-")
	if err != nil {
		return "", err
	}
	pool := hash.NewPool(hash.Config{})
	defer pool.Close()
	server := &taker{path: filepath.Join(dir, "got.zip")}
	h, err := New(Config{Dir: filepath.Join(dir, "collect"), Host: "host", Server: server, Points: Points(Device{Hashes: pool})})
	if err != nil {
		return dir, err
	}
	r := h.Handle(context.Background(), responder.Command{ID: "host", Kind: Kind})
	return dir, os.WriteFile(filepath.Join(dir, "result"), []byte(string(r.State)+"\n"+r.Detail+"\n"+string(r.Evidence)), 0o600)
})
