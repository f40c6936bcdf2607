package archive

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"
	"pgregory.net/rapid"
)

func clock() time.Time { return time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC) }

func writer(t *testing.T, c Config) (*Writer, *bytes.Buffer) {
	t.Helper()
	if c.Total == 0 {
		c.Total = 1 << 30
	}
	if c.Packed == 0 {
		c.Packed = 1 << 30
	}
	c.Dir, c.Now = t.TempDir(), clock
	b := &bytes.Buffer{}
	return NewWriter(b, c), b
}

func put(t *testing.T, w *Writer, folder, name string, content []byte) *Entry {
	t.Helper()
	e, err := w.Create(folder, name, Info{Source: "/" + name, Modified: clock().Add(-time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestWhatIsPutInComesOut(t *testing.T) {
	w, b := writer(t, Config{})
	random := make([]byte, 3<<20) // more than memory, and nothing to pack
	rand.New(rand.NewSource(1)).Read(random)
	want := map[string][]byte{"a/empty": nil, "a/text.csv": bytes.Repeat([]byte("0123456789"), 100_000), "b/random": random}
	// All at once, as several points and their tables are.
	var wg sync.WaitGroup
	for name, content := range want {
		wg.Go(func() {
			e, err := w.Create("", name, Info{Source: "test"})
			if err != nil {
				t.Error(err)
				return
			}
			for c := content; len(c) > 0; {
				n := min(len(c), 1000)
				if _, err := e.Write(c[:n]); err != nil {
					t.Error(err)
					return
				}
				c = c[n:]
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if left, _ := os.ReadDir(w.cfg.Dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := w.Close(map[string]string{"host": "x"}); err != nil {
		t.Fatal(err)
	}
	m, err := Verify(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Files) != 3 || !json.Valid(m.About) || !strings.Contains(string(m.About), "host") {
		t.Errorf("manifest: %+v", m)
	}
	// Another implementation of ZIP agrees, and so does sha256sum.
	dir := t.TempDir()
	file := filepath.Join(dir, "p.zip")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("unzip", "-q", "-d", dir, file).CombinedOutput(); err != nil {
		t.Fatalf("unzip: %v: %s", err, out)
	}
	for _, f := range m.Files {
		got, err := os.ReadFile(filepath.Join(dir, f.Name))
		if err != nil || !bytes.Equal(got, want[f.Name]) {
			t.Errorf("%s: %d bytes, want %d: %v", f.Name, len(got), len(want[f.Name]), err)
		}
		out, err := exec.Command("sha256sum", filepath.Join(dir, f.Name)).Output()
		if err != nil || !strings.HasPrefix(string(out), f.SHA256) {
			t.Errorf("%s: manifest %s, sha256sum %s (%v)", f.Name, f.SHA256, out, err)
		}
	}
}

func TestAnArchiveThatWasChangedIsNotVerified(t *testing.T) {
	w, b := writer(t, Config{})
	put(t, w, "a", "x", []byte("the content of x"))
	put(t, w, "a", "y", []byte("the content of y"))
	if err := w.Close(nil); err != nil {
		t.Fatal(err)
	}
	whole := b.Bytes()
	if _, err := Verify(bytes.NewReader(whole), int64(len(whole))); err != nil {
		t.Fatal(err)
	}
	r, err := zip.NewReader(bytes.NewReader(whole), int64(len(whole)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.File {
		at, err := f.DataOffset()
		if err != nil {
			t.Fatal(err)
		}
		for i := range int64(f.CompressedSize64) {
			bad := bytes.Clone(whole)
			bad[at+i] ^= 0x40
			if _, err := Verify(bytes.NewReader(bad), int64(len(bad))); err == nil && !sameContents(t, whole, bad) {
				t.Errorf("%s: a changed byte at %d is not noticed", f.Name, i)
			}
		}
	}
	for _, n := range []int{0, 1, len(whole) / 2, len(whole) - 1} {
		if _, err := Verify(bytes.NewReader(whole[:n]), int64(n)); err == nil {
			t.Errorf("the first %d bytes are taken for the archive", n)
		}
	}
	// A file that the manifest does not know.
	var more bytes.Buffer
	z := zip.NewWriter(&more)
	f, _ := z.Create("stranger")
	f.Write([]byte("x"))
	for _, old := range r.File {
		if err := z.Copy(old); err != nil {
			t.Fatal(err)
		}
	}
	z.Close()
	if _, err := Verify(bytes.NewReader(more.Bytes()), int64(more.Len())); err == nil {
		t.Error("a file beyond the manifest is not noticed")
	}
}

func TestLimitsCutAndSaySo(t *testing.T) {
	w, b := writer(t, Config{Total: 1000})
	put(t, w, "", "first", bytes.Repeat([]byte("x"), 900))
	e, err := w.Create("", "second", Info{})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := e.Write(bytes.Repeat([]byte("y"), 300)); n != 100 || !errors.Is(err, ErrFull) {
		t.Errorf("%d bytes, %v", n, err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
	if _, err := e.Write([]byte("z")); !errors.Is(err, ErrClosed) {
		t.Errorf("writing after the end: %v", err)
	}
	dropped, err := w.Create("", "third", Info{})
	if err != nil {
		t.Fatal(err)
	}
	dropped.Drop()
	if err := w.Close(nil); err != nil {
		t.Fatal(err)
	}
	m, err := Verify(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Files) != 2 || m.Files[0].Cut != "" || m.Files[1].Cut == "" || m.Files[1].Size != 100 {
		t.Errorf("manifest: %+v", m.Files)
	}
}

func TestThePackedSizeIsBounded(t *testing.T) {
	w, b := writer(t, Config{Packed: 2 << 20})
	random := make([]byte, 8<<20)
	rand.New(rand.NewSource(2)).Read(random)
	e, err := w.Create("", "random", Info{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{e}, bytes.NewReader(random), make([]byte, 32<<10))
	if !errors.Is(err, ErrFull) {
		t.Errorf("8 MiB that cannot be packed: %v", err)
	}
	e.Close()
	w.Close(nil)
	if b.Len() > 3<<20 {
		t.Errorf("the archive has %d bytes", b.Len())
	}
}

// sameContents compares two archives file by file: some bits of a packed one mean nothing.
func sameContents(t *testing.T, a, b []byte) bool {
	t.Helper()
	read := func(raw []byte) (out []string) {
		z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range z.File {
			in, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			content, err := io.ReadAll(in)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, f.Name, string(content))
		}
		return out
	}
	return cmp.Equal(read(a), read(b))
}

// brokenFile is a disk that becomes full.
type brokenFile struct{ left int }

var errDisk = errors.New("no space left on device")

func (b *brokenFile) Write(p []byte) (int, error) {
	if b.left < len(p) {
		return 0, errDisk
	}
	b.left -= len(p)
	return len(p), nil
}

func TestAFullDiskIsNotSilent(t *testing.T) {
	for _, left := range []int{0, 10, 5000} {
		w := NewWriter(&brokenFile{left}, Config{Dir: t.TempDir(), Total: 1 << 30, Packed: 1 << 30, Now: clock})
		random := make([]byte, 20_000)
		rand.New(rand.NewSource(3)).Read(random)
		e, err := w.Create("", "x", Info{})
		if err == nil {
			e.Write(random)
			err = e.Close()
		}
		if !errors.Is(errors.Join(err, w.Close(nil)), errDisk) || !errors.Is(w.Err(), errDisk) {
			t.Errorf("%d bytes left: %v, %v", left, err, w.Err())
		}
	}
}

func TestHostileNamesAreHarmlessAndDiffer(t *testing.T) {
	n := newNames()
	for _, c := range [][2]string{
		{"etc/cron.d/job", "etc/cron.d/job"},
		{"../../../etc/passwd", ".%2E/.%2E/.%2E/etc/passwd"},
		{"/abs//./x", "abs/x"},
		{"a\nb\x1b[2Jc", "a%0Ab%1B[2Jc"},
		{"bad\xff\xfe", "bad%FF%FE"},
		{`C:\x|y`, "C%3A%5Cx%7Cy"},
		{"right\u202eto left", "right%E2%80%AEto left"},
		{"con", "_con"}, {"COM1.txt", "_COM1.txt"}, {"dot.", "dot%2E"}, {"blank ", "blank%20"},
		{"", "_"}, {"Same", "Same"}, {"same", "same~1"}, {"SAME", "SAME~2"}, {"x.csv", "x.csv"}, {"X.csv", "X~1.csv"},
		{"100%", "100%25"}, {ManifestName, "manifest~1.json"},
	} {
		if got := n.unique("", c[0]); got != c[1] {
			t.Errorf("%q: %q, want %q", c[0], got, c[1])
		}
	}
}

func TestNamesAlwaysStayInTheArchive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := newNames()
		seen := map[string]bool{}
		for _, name := range rapid.SliceOfN(rapid.OneOf(rapid.String(), rapid.StringN(300, 600, -1), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })), 1, 8).Draw(t, "names") {
			got := n.unique("f", name)
			if seen[strings.ToLower(got)] {
				t.Fatalf("%q twice", got)
			}
			seen[strings.ToLower(got)] = true
			if !filepath.IsLocal(got) || !utf8.ValidString(got) || len(got) > maxPath+300 || strings.ContainsAny(got, "\\:\n\x00") || strings.Contains(got, "..") && strings.Contains("/"+got+"/", "/../") {
				t.Fatalf("%q became %q", name, got)
			}
			for part := range strings.SplitSeq(got, "/") {
				if len(part) > maxPart+8 {
					t.Fatalf("a part of %d bytes", len(part))
				}
			}
		}
	})
}

func TestCellsCannotForgeOrCompute(t *testing.T) {
	for _, c := range [][2]string{
		{"plain text", "plain text"}, {"", ""}, {"ünïcode ✓", "ünïcode ✓"},
		{"=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"}, {"+1+1", "'+1+1"}, {"-2", "-2"}, {"-bash", "'-bash"}, {"@SUM(1)", "'@SUM(1)"}, {"'quoted", "''quoted"},
		{"two\nlines", `"two\nlines"`}, {"\x1b[31mred", `"\x1b[31mred"`}, {"bad\xff", `"bad\xff"`}, {`"quoted"`, `"\"quoted\""`}, {"tab\t=1", `"tab\t=1"`},
		{"a\u202eb", `"a\u202eb"`}, {`back\slash`, `back\slash`},
	} {
		if got := Cell(c[0]); got != c[1] {
			t.Errorf("%q: %s, want %s", c[0], got, c[1])
		}
	}
	long := Cell(strings.Repeat("é", 40_000))
	if len(long) > maxCell+40 || !utf8.ValidString(long) || !strings.HasSuffix(long, "(80000 bytes)") {
		t.Errorf("a long one: %d bytes, ends with %q", len(long), long[len(long)-20:])
	}
}

func outcomes() []Outcome {
	return []Outcome{
		{Folder: "Processes", Point: "Processes", Source: "/proc/*", Status: Succeeded, Code: "0", Files: 1, Bytes: 1 << 40, Started: clock(), Duration: 1500 * time.Millisecond},
		{Folder: "Logs", Point: "Journal <&>", Source: "=HYPERLINK(\"http://x\")", Status: Failed, Code: "exit:1", Detail: "line one\nline two", Started: clock()},
	}
}

// want is what both forms of the summary must have.
func want() [][]string {
	return [][]string{
		{"Folder", "Data point", "Command", "Status", "Error code", "Detail", "Files", "Bytes", "Start time (UTC)", "Duration (ms)"},
		{"Processes", "Processes", "/proc/*", "Succeeded", "0", "", "1", "1099511627776", "2026-11-22T03:00:00.000Z", "1500"},
		{"Logs", "Journal <&>", `'=HYPERLINK("http://x")`, "Failed", "exit:1", `"line one\nline two"`, "0", "0", "2026-11-22T03:00:00.000Z", "0"},
	}
}

func TestTheSummaryIsOpenedByOtherReaders(t *testing.T) {
	var table, book bytes.Buffer
	if err := SummaryCSV(&table, outcomes()); err != nil {
		t.Fatal(err)
	}
	if err := SummaryXLSX(&book, outcomes()); err != nil {
		t.Fatal(err)
	}
	got, err := csv.NewReader(&table).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want(), got); diff != "" {
		t.Errorf("CSV (-want +got):\n%s", diff)
	}
	x, err := excelize.OpenReader(&book)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if got, err = x.GetRows(x.GetSheetList()[0]); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want(), got); diff != "" {
		t.Errorf("XLSX (-want +got):\n%s", diff)
	}
	if f, err := x.GetCellFormula("Summary", "C3"); err != nil || f != "" {
		t.Errorf("a formula: %q, %v", f, err)
	}
	style, err := x.GetCellStyle("Summary", "A1")
	if err != nil || style == 0 {
		t.Errorf("the first row is not set off: %d, %v", style, err)
	}
}

func TestManifestHashesAreOfTheContent(t *testing.T) {
	w, _ := writer(t, Config{})
	put(t, w, "", "x", []byte("abc"))
	sum := sha256.Sum256([]byte("abc"))
	items := w.Items()
	if items[0].SHA256 != hex.EncodeToString(sum[:]) || items[0].Size != 3 || !items[0].Modified.Equal(clock().Add(-time.Hour)) {
		t.Errorf("%+v", items[0])
	}
}
