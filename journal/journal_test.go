package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func open(t *testing.T, dir string, o Options) *Journal {
	t.Helper()
	j, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

// readAll returns the records from a position on, and the damage met.
func readAll(t *testing.T, j *Journal, from Position) (records []string, damage []CorruptError) {
	t.Helper()
	r, err := j.Read(from)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for {
		b, err := r.Next()
		var c *CorruptError
		switch {
		case err == io.EOF:
			return records, damage
		case errors.As(err, &c):
			damage = append(damage, *c)
		case err != nil:
			t.Fatal(err)
		default:
			records = append(records, string(b))
		}
	}
}

func appendText(t *testing.T, j *Journal, text ...string) Position {
	t.Helper()
	var last Position
	for _, s := range text {
		p, err := j.Append([]byte(s))
		if err != nil {
			t.Fatal(err)
		}
		last = p
	}
	return last
}

func TestReopen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "j")
	j := open(t, dir, Options{})
	first := appendText(t, j, "one")
	appendText(t, j, "", "three")
	if _, err := Open(dir, Options{lockWait: 50 * time.Millisecond}); !errors.Is(err, ErrLocked) {
		t.Errorf("second Open: %v, want ErrLocked", err)
	}
	end := j.End()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Append([]byte("late")); !errors.Is(err, ErrClosed) {
		t.Errorf("Append after Close: %v", err)
	}
	j = open(t, dir, Options{})
	if j.End() != end {
		t.Errorf("End %v after reopening, %v before", j.End(), end)
	}
	if p := appendText(t, j, "four"); p.Compare(end) <= 0 {
		t.Errorf("position %v is not behind %v", p, end)
	}
	got, damage := readAll(t, j, first)
	if diff := cmp.Diff([]string{"", "three", "four"}, got); diff != "" || damage != nil {
		t.Errorf("records (-want +got):\n%s damage %v", diff, damage)
	}
	if _, err := j.Read(Position{99, 0}); !errors.Is(err, ErrBeyond) {
		t.Errorf("Read beyond the end: %v", err)
	}
}

func TestReaderFollows(t *testing.T) {
	j := open(t, t.TempDir(), Options{SegmentSize: 200})
	r, err := j.Read(Position{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for i := range 40 {
		want := fmt.Sprintf("record %d", i)
		pos := appendText(t, j, want)
		b, err := r.Next()
		if err != nil || string(b) != want {
			t.Fatalf("Next: %q, %v; want %q", b, err, want)
		}
		if r.Position() != pos {
			t.Fatalf("Position %v, want %v", r.Position(), pos)
		}
		if _, err := r.Next(); err != io.EOF {
			t.Fatalf("Next at the end: %v", err)
		}
	}
}

func TestRelease(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Options{SegmentSize: 200})
	var positions []Position
	for i := range 30 {
		positions = append(positions, appendText(t, j, fmt.Sprintf("record %02d", i)))
	}
	before := j.Size()
	if err := j.Release(positions[19]); err != nil {
		t.Fatal(err)
	}
	if j.Size() >= before {
		t.Errorf("size %d after Release, %d before", j.Size(), before)
	}
	got, _ := readAll(t, j, positions[19])
	if len(got) != 10 || got[0] != "record 20" {
		t.Errorf("left behind the released: %v", got)
	}
	if err := j.Release(j.End()); err != nil {
		t.Fatal(err)
	}
	end := j.End()
	_ = j.Close()
	j = open(t, dir, Options{SegmentSize: 200})
	if p := appendText(t, j, "new"); p.Compare(end) <= 0 {
		t.Errorf("position %v after all was released at %v", p, end)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*.seg")); len(files) > 2 {
		t.Errorf("%d segments left", len(files))
	}
}

func TestTooLarge(t *testing.T) {
	j := open(t, t.TempDir(), Options{MaxRecord: 100})
	if _, err := j.Append(make([]byte, 101)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	if _, err := j.Append(make([]byte, 100)); err != nil {
		t.Error(err)
	}
}

func TestFullDiskRecovers(t *testing.T) {
	d := newDisk(3)
	j, err := Open("", Options{fs: d})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	appendText(t, j, "before")
	d.room = 50
	for range 3 {
		if _, err := j.Append(make([]byte, 100)); !errors.Is(err, ErrFull) {
			t.Fatalf("Append on a full disk: %v, want ErrFull", err)
		}
	}
	d.room = -1
	appendText(t, j, "after")
	got, damage := readAll(t, j, Position{})
	if diff := cmp.Diff([]string{"before", "after"}, got); diff != "" || damage != nil {
		t.Errorf("records (-want +got):\n%s damage %v", diff, damage)
	}
}

// TestDamage alters one byte at a time in the middle of a journal on disk.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Options{SegmentSize: 300})
	var want []string
	for i := range 12 {
		want = append(want, fmt.Sprintf("the record with the number %02d", i))
	}
	appendText(t, j, want...)
	_ = j.Close()
	names, _ := filepath.Glob(filepath.Join(dir, "*.seg"))
	if len(names) < 2 {
		t.Fatalf("%d segments", len(names))
	}
	whole, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	for i := headerSize; i < len(whole); i++ {
		b := append([]byte(nil), whole...)
		b[i] ^= 0x40
		if err := os.WriteFile(names[0], b, 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := Open(dir, Options{})
		if err != nil {
			t.Fatalf("byte %d: %v", i, err)
		}
		got, damage := readAll(t, j, Position{})
		_ = j.Close()
		// Padding behind a record is not covered: changing it harms nothing.
		if len(got) == len(want) && damage == nil {
			continue
		}
		if len(got) != len(want)-1 || len(damage) != 1 {
			t.Fatalf("byte %d: %d records, damage %v", i, len(got), damage)
		}
		if damage[0].From > int64(i) || damage[0].To <= int64(i) {
			t.Fatalf("byte %d: damage reported at %v", i, damage[0])
		}
	}
	// A header carries no records.
	b := append([]byte(nil), whole...)
	b[0] ^= 1
	if err := os.WriteFile(names[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	j = open(t, dir, Options{})
	if got, damage := readAll(t, j, Position{}); len(got) != len(want) || damage != nil {
		t.Errorf("with a damaged header: %d records, damage %v", len(got), damage)
	}
}

func TestMissingSegment(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Options{SegmentSize: 200})
	for i := range 20 {
		appendText(t, j, fmt.Sprintf("record %02d", i))
	}
	_ = j.Close()
	names, _ := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err := os.Remove(names[1]); err != nil {
		t.Fatal(err)
	}
	j = open(t, dir, Options{})
	if j.Recovery().Missing != 1 {
		t.Errorf("Recovery %+v, want one segment missing", j.Recovery())
	}
}

func TestLockIsAwaited(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Options{})
	time.AfterFunc(100*time.Millisecond, func() { _ = j.Close() })
	open(t, dir, Options{})
}
