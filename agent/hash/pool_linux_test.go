package hash

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tool asks one of the system's own digest programs.
func tool(t *testing.T, name, file string) string {
	t.Helper()
	out, err := exec.Command(name, file).Output()
	if err != nil {
		t.Fatal(err)
	}
	sum, _, _ := strings.Cut(string(out), " ")
	return sum
}

type result struct {
	sums Sums
	err  error
}

func ask(t *testing.T, p *Pool, id ID, paths ...string) result {
	t.Helper()
	ch := make(chan result, 1)
	if err := p.Submit(id, paths, func(s Sums, err error) { ch <- result{s, err} }); err != nil {
		return result{err: err}
	}
	select {
	case r := <-ch:
		return r
	case <-time.After(30 * time.Second):
		t.Fatal("no answer")
		return result{}
	}
}

func newPool(t *testing.T, cfg Config) *Pool {
	t.Helper()
	p := NewPool(cfg)
	t.Cleanup(p.Close)
	return p
}

func write(t *testing.T, name string, b []byte) ID {
	t.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	id, err := Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// later is a clock that makes every file look old enough to be remembered.
func later() time.Time { return time.Now().Add(time.Hour) }

func TestDigestsAreThoseOfTheSystemsTools(t *testing.T) {
	p := newPool(t, Config{Now: later})
	for _, n := range []int{0, 1, 300_000, 1 << 20} {
		name := filepath.Join(t.TempDir(), "file")
		id := write(t, name, bytes.Repeat([]byte{'v'}, n))
		r := ask(t, p, id, "/not/there", name)
		if r.err != nil {
			t.Fatal(r.err)
		}
		want := Sums{SHA1: tool(t, "sha1sum", name), SHA256: tool(t, "sha256sum", name), MD5: tool(t, "md5sum", name)}
		if r.sums != want {
			t.Errorf("%d bytes: %+v, want %+v", n, r.sums, want)
		}
		if got, ok := p.Lookup(id); !ok || got != want {
			t.Errorf("%d bytes: not remembered", n)
		}
	}
	if s := p.Stats(); s.Read != 4 || s.Hits != 4 || s.Bytes != 1+300_000+1<<20 {
		t.Errorf("stats %+v", s)
	}
}

func TestAnotherFileGetsNoDigest(t *testing.T) {
	p := newPool(t, Config{})
	dir := t.TempDir()
	name := filepath.Join(dir, "file")
	id := write(t, name, []byte("good"))
	write(t, name+"2", []byte("evil"))
	if err := os.Rename(name+"2", name); err != nil {
		t.Fatal(err)
	}
	if r := ask(t, p, id, name); !errors.Is(r.err, ErrChanged) {
		t.Errorf("replaced: %+v", r)
	}
	id = write(t, name, []byte("good again"))
	if err := os.WriteFile(name, []byte("evil again"), 0o600); err != nil {
		t.Fatal(err)
	}
	when := time.Unix(0, id.MTime)
	if err := os.Chtimes(name, when, when); err != nil {
		t.Fatal(err)
	}
	if now, err := Stat(name); err != nil || now.CTime == id.CTime {
		t.Skip("the file system's clock is too coarse to tell")
	}
	if r := ask(t, p, id, name); !errors.Is(r.err, ErrChanged) {
		t.Errorf("overwritten, with its modification time put back: %+v", r)
	}
	if r := ask(t, p, id, filepath.Join(dir, "gone")); !errors.Is(r.err, ErrChanged) {
		t.Errorf("gone: %+v", r)
	}
	if s := p.Stats(); s.Changed != 3 || s.Read != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestWhatIsNoRegularFileIsNotOpened(t *testing.T) {
	p := newPool(t, Config{})
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{fifo, dir, "/dev/zero"} {
		id, err := Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if r := ask(t, p, id, name); !errors.Is(r.err, ErrChanged) {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestLimits(t *testing.T) {
	p := newPool(t, Config{MaxSize: 10, Workers: 1, Queue: 1})
	name := filepath.Join(t.TempDir(), "file")
	if r := ask(t, p, write(t, name, make([]byte, 11)), name); r.err != ErrTooLarge {
		t.Errorf("too large: %v", r.err)
	}
	// The worker is kept busy by its own report, and one file fills the queue.
	hold, held := make(chan struct{}), make(chan struct{})
	if err := p.Submit(ID{Ino: 1}, nil, func(Sums, error) { close(held); <-hold }); err != nil {
		t.Fatal(err)
	}
	<-held
	var wg sync.WaitGroup
	wg.Add(2)
	for range 2 { // the same file twice takes one place
		if err := p.Submit(ID{Ino: 2}, nil, func(Sums, error) { wg.Done() }); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Submit(ID{Ino: 3}, nil, nil); err != ErrBusy {
		t.Errorf("third file: %v", err)
	}
	close(hold)
	wg.Wait()
	p.Close()
	if err := p.Submit(ID{Ino: 4}, nil, nil); err != ErrClosed {
		t.Errorf("closed: %v", err)
	}
	if s := p.Stats(); s.TooLarge != 1 || s.Busy != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestCacheForgetsWhatIsNotUsed(t *testing.T) {
	c := newCache(2)
	c.put(ID{Ino: 1}, Sums{MD5: "1"})
	c.put(ID{Ino: 2}, Sums{MD5: "2"})
	c.get(ID{Ino: 1})
	c.put(ID{Ino: 3}, Sums{MD5: "3"})
	for ino, want := range map[uint64]bool{1: true, 2: false, 3: true} {
		if _, ok := c.get(ID{Ino: ino}); ok != want {
			t.Errorf("%d: %v", ino, ok)
		}
	}
}

func TestAFreshFileIsNotRemembered(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	id := write(t, name, []byte("x"))
	p := newPool(t, Config{Now: func() time.Time { return time.Unix(0, id.CTime) }})
	if r := ask(t, p, id, name); r.err != nil {
		t.Fatal(r.err)
	}
	// Within one tick of the file system's clock it could change again unseen.
	if _, ok := p.Lookup(id); ok {
		t.Error("remembered")
	}
}
