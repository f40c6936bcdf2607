package expert_test

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"mime/quotedprintable"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func newReader(b []byte) io.Reader { return bytes.NewReader(b) }

func decoded(t *testing.T, encoding string, r io.Reader) string {
	t.Helper()
	switch strings.ToLower(encoding) {
	case "base64":
		r = base64.NewDecoder(base64.StdEncoding, r)
	case "quoted-printable":
		r = quotedprintable.NewReader(r)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// unpack unpacks a bundle with unzip and has sha256sum check it, as its receiver would, and
// returns its files by path.
func unpack(t *testing.T, b []byte) map[string]string {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "bundle.zip")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	for _, c := range [][]string{{"unzip", "-q", file, "-d", out}, {"sh", "-c", "cd \"$1\" && sha256sum --quiet --strict --check SHA256SUMS", "sh", out}} {
		if said, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", c, err, said)
		}
	}
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range z.File {
		if !filepath.IsLocal(f.Name) || strings.ContainsAny(f.Name, "\\:\n\r") {
			t.Errorf("the bundle has a file %q", f.Name)
		}
		text, err := os.ReadFile(filepath.Join(out, f.Name))
		if err != nil {
			t.Fatal(err)
		}
		files[f.Name] = string(text)
	}
	// Each file is in the list of hashes, but for the list.
	if n := strings.Count(files["SHA256SUMS"], "\n"); n != len(files)-1 {
		t.Errorf("%d hashes of %d files", n, len(files))
	}
	return files
}

// lacks returns what a bundle says that it lacks.
func lacks(t *testing.T, files map[string]string) string {
	t.Helper()
	var c struct {
		Lacks []struct{ What, Why string }
	}
	if err := json.Unmarshal([]byte(files["case.json"]), &c); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, l := range c.Lacks {
		out = append(out, l.What+": "+l.Why)
	}
	return strings.Join(out, "\n")
}
