package export

import (
	"bufio"
	"compress/gzip"
	"context"
	"net/url"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/errs"
)

func TestALinkFetchesItsFileUntilItEnds(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	dir := t.TempDir()
	f := New(dir, []byte("key"), func() time.Time { return now })
	links, err := f.Create(context.Background(), "Test", time.Hour, func(emit func(any) error) error {
		for i := range 3 {
			if err := emit(map[string]int{"n": i}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || len(links) != 1 {
		t.Fatalf("links %v, %v", links, err)
	}
	u, err := url.Parse(links[0])
	if err != nil {
		t.Fatal(err)
	}
	base, sig := path.Base(u.Path), u.Query().Get("sig")
	r, _, name, err := f.Open(base, sig)
	if err != nil || name != "Test-0.json.gz" {
		t.Fatalf("%q, %v", name, err)
	}
	defer r.Close()
	z, err := gzip.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for s := bufio.NewScanner(z); s.Scan(); lines++ {
	}
	if lines != 3 {
		t.Errorf("%d lines, want 3", lines)
	}
	later := strings.Replace(base, "1", "2", 1)
	for name, c := range map[string][2]string{"forged": {base, "x"}, "another life": {later, sig}, "path": {"../" + base, sig}} {
		if _, _, _, err := f.Open(c[0], c[1]); !errs.Is(err, errs.Denied) {
			t.Errorf("%s: got %v, want denied", name, err)
		}
	}
	now = now.Add(time.Hour)
	if _, _, _, err := f.Open(base, sig); !errs.Is(err, errs.Denied) {
		t.Errorf("expired: got %v", err)
	}
	if err := f.Sweep(); err != nil {
		t.Fatal(err)
	}
	now = now.Add(-time.Hour)
	if _, _, _, err := f.Open(base, sig); !errs.Is(err, errs.NotFound) {
		t.Errorf("swept: got %v", err)
	}
}
