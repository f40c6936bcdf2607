package journal

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// FuzzOpen opens a journal whose newest segment was overwritten from a place on with
// arbitrary bytes. It must open, and every record read must be one that was appended.
func FuzzOpen(f *testing.F) {
	dir := f.TempDir()
	j, err := Open(dir, Options{SegmentSize: 400, Rand: rand.NewChaCha8([32]byte{})})
	if err != nil {
		f.Fatal(err)
	}
	known := map[string]bool{}
	for i := range 16 {
		s := fmt.Sprintf("record number %d of the fuzzed journal", i)
		known[s] = true
		if _, err := j.Append([]byte(s)); err != nil {
			f.Fatal(err)
		}
	}
	_ = j.Close()
	names, _ := filepath.Glob(filepath.Join(dir, "*.seg"))
	whole := map[string][]byte{}
	for _, name := range names {
		if whole[filepath.Base(name)], err = os.ReadFile(name); err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(0), uint16(0), whole[filepath.Base(name)])
	}
	f.Add(uint8(1), uint16(44), []byte{0, 0, 0, 0, 1, 2, 3, 4})
	f.Add(uint8(2), uint16(100), bytes.Repeat([]byte{0xff}, 300))
	f.Add(uint8(9), uint16(60), []byte{})
	f.Fuzz(func(t *testing.T, which uint8, at uint16, data []byte) {
		d := newDisk(1)
		for i, name := range names {
			b := append([]byte(nil), whole[filepath.Base(name)]...)
			if i == int(which)%len(names) {
				keep := min(int(at), len(b))
				if which >= 128 {
					b = append(b[:keep:keep], data...)
				} else {
					b = put(b, int64(keep), data)
				}
			}
			p := &platter{now: b, safe: b}
			d.live[filepath.Base(name)], d.durable[filepath.Base(name)] = p, p
		}
		j, err := Open("", Options{fs: d})
		if err != nil {
			t.Fatalf("Open: %v", err)
		}
		defer j.Close()
		got, _ := readAll(t, j, Position{})
		seen := map[string]bool{}
		for _, s := range got {
			if !known[s] {
				t.Fatalf("record %q was never appended", s)
			}
			if seen[s] {
				t.Fatalf("record %q was read twice", s)
			}
			seen[s] = true
		}
	})
}
