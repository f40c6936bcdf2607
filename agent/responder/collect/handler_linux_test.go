package collect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/responder"
	"github.com/vedette-edr/vedette/agent/responder/collect/archive"
)

// textPoint is a point that writes one file.
func textPoint(name, content string) Point {
	return Point{Folder: "F", Name: name, Source: "test", Take: func(t *Task) error { return t.Text(name+".txt", "", content) }}
}

func handler(t *testing.T, c Config) (*Handler, *taker) {
	t.Helper()
	server := &taker{path: filepath.Join(t.TempDir(), "got.zip")}
	if c.Dir == "" {
		c.Dir = filepath.Join(t.TempDir(), "collect")
	}
	if c.Server == nil {
		c.Server = server
	}
	h, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return h, server
}

func summary(t *testing.T, path string) map[string]map[string]string {
	t.Helper()
	z := unzip(t, path)
	out := map[string]map[string]string{}
	for _, r := range rows(t, z["CollectionSummaryReport.csv"]) {
		out[r["Data point"]] = r
	}
	return out
}

func TestEachPointFaresOnItsOwn(t *testing.T) {
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	late := make(chan error, 1)
	h, server := handler(t, Config{Host: "we/ird\nhost", Points: []Point{
		textPoint("first", "1"),
		{Folder: "F", Name: "panics", Take: func(*Task) error { panic("oh") }},
		{Folder: "F", Name: "absent", Take: func(*Task) error { return ErrAbsent }},
		{Folder: "F", Name: "refused", Take: func(*Task) error { return &os.PathError{Op: "open", Path: "/x", Err: unix.EACCES} }},
		{Folder: "F", Name: "hangs", Time: 50 * time.Millisecond, Take: func(t *Task) error {
			f, err := t.Create("half.txt", archive.Info{})
			if err != nil {
				return err
			}
			if _, err := f.Write([]byte("as far as it came")); err != nil {
				return err
			}
			<-release // as a read from a server that is gone
			_, err = f.Write([]byte("too late"))
			late <- err
			return nil
		}},
		{Folder: "F", Name: "floods", Bytes: 1000, Take: func(t *Task) error {
			f, err := t.Create("flood.txt", archive.Info{})
			if err != nil {
				return err
			}
			_, err = io.Copy(f, io.LimitReader(zeroes{}, 1<<30))
			return err
		}},
		{Folder: "F", Name: "notes", Take: func(t *Task) error {
			for i := range 100 {
				t.Note(unix.EIO, "file %d", i)
			}
			return nil
		}},
		textPoint("last", "2"),
	}})
	r := h.Handle(t.Context(), responder.Command{ID: "a", Kind: Kind})
	if r.State != responder.Verified || !strings.Contains(string(r.Evidence), `"wanting":["panics","refused","hangs","floods","notes"]`) {
		t.Fatalf("%+v %s", r, r.Evidence)
	}
	if server.name == "" || strings.ContainsAny(server.name, "/\n") || !strings.HasPrefix(server.name, "InvestigationPackage_we_ird_host_") {
		t.Errorf("name: %q", server.name)
	}
	got := summary(t, server.path)
	for name, want := range map[string][2]string{
		"first": {"Succeeded", "0"}, "panics": {"Failed", "error"}, "absent": {"NotAvailable", "0"}, "refused": {"Failed", "EACCES"},
		"hangs": {"TimedOut", "timeout"}, "floods": {"PartiallySucceeded", "limit"}, "notes": {"PartiallySucceeded", "EIO"}, "last": {"Succeeded", "0"},
	} {
		if s := got[name]; s["Status"] != want[0] || s["Error code"] != want[1] {
			t.Errorf("%s: %v, want %v", name, s, want)
		}
	}
	if s := got["notes"]["Detail"]; !strings.Contains(s, "and 80 more") {
		t.Errorf("notes: %s", s)
	}
	files := unzip(t, server.path)
	if b := contents(t, files["F/half.txt"]); string(b) != "as far as it came" {
		t.Errorf("of the one that hung: %q", b)
	}
	if b := contents(t, files["F/flood.txt"]); len(b) != 1000 {
		t.Errorf("of the one that flooded: %d bytes", len(b))
	}
	release <- struct{}{}
	if err := <-late; err == nil {
		t.Error("one that was left behind could still write")
	}
}

type zeroes struct{}

func (zeroes) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestPointsRunAtTheLowestPriority(t *testing.T) {
	var nice int
	var class uintptr
	h, _ := handler(t, Config{Points: []Point{{Folder: "F", Name: "x", Take: func(*Task) error {
		out, err := exec.Command("nice").Output() // and what they start
		fmt.Sscan(string(out), &nice)
		class, _, _ = unix.Syscall(unix.SYS_IOPRIO_GET, 1, 0, 0)
		return err
	}}}})
	if r := h.Handle(t.Context(), responder.Command{ID: "a"}); r.State != responder.Verified {
		t.Fatalf("%+v", r)
	}
	if nice != 19 || class != bestEffort|lowest {
		t.Errorf("nice %d, I/O class %#x", nice, class)
	}
	out, err := exec.Command("nice").Output()
	if strings.TrimSpace(string(out)) == "19" || err != nil {
		t.Errorf("it stayed: %s %v", out, err)
	}
}

func TestAPackageIsHandedOverAfterTheAgentBeganAnew(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "collect")
	taken := 0
	points := []Point{{Folder: "F", Name: "x", Take: func(t *Task) error { taken++; return t.Text("x", "", "content") }}}
	h, server := handler(t, Config{Dir: dir, Points: points})
	// The agent ends, by a signal, while the package is on its way.
	ctx, end := context.WithCancelCause(t.Context())
	h.cfg.Server = &ending{taker: server, stop: func() { end(errors.New("terminated")) }}
	if r := h.Handle(ctx, responder.Command{ID: "a"}); r.State != responder.Failed {
		t.Fatalf("%+v", r)
	}
	again, server2 := handler(t, Config{Dir: dir, Points: points})
	r := again.Handle(t.Context(), responder.Command{ID: "a"})
	if r.State != responder.Verified || taken != 1 || !strings.Contains(string(r.Evidence), `"collectedBefore":true`) {
		t.Errorf("%+v %s; collected %d times", r, r.Evidence, taken)
	}
	if b := contents(t, unzip(t, server2.path)["F/x"]); string(b) != "content" {
		t.Errorf("%q", b)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// ending is a server on whose connection the agent ends.
type ending struct {
	*taker
	stop func()
}

func (s *ending) Upload(ctx context.Context, _ string, _ int, _ string, _ *os.File) error {
	s.stop()
	<-ctx.Done()
	return ctx.Err()
}

func TestACancelledPackageIsRemoved(t *testing.T) {
	h, server := handler(t, Config{Points: []Point{textPoint("x", "1")}})
	ctx, stop := context.WithCancelCause(t.Context())
	h.cfg.Server = &ending{taker: server, stop: func() { stop(responder.ErrStopped) }}
	if r := h.Handle(ctx, responder.Command{ID: "a"}); r.State != responder.Failed {
		t.Fatalf("%+v", r)
	}
	if left, _ := os.ReadDir(h.cfg.Dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestADamagedPackageIsMadeAnew(t *testing.T) {
	dir := t.TempDir()
	h, server := handler(t, Config{Dir: dir, Points: []Point{textPoint("x", strings.Repeat("content ", 1000))}})
	ctx, stop := context.WithCancelCause(t.Context())
	h.cfg.Server = &ending{taker: server, stop: func() { stop(errors.New("terminated")) }}
	h.Handle(ctx, responder.Command{ID: "a"})
	left, err := filepath.Glob(filepath.Join(dir, "*.zip"))
	if err != nil || len(left) != 1 {
		t.Fatalf("%v %v", left, err)
	}
	b, err := os.ReadFile(left[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(left[0], b[:len(b)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	h.cfg.Server = server
	if r := h.Handle(t.Context(), responder.Command{ID: "a"}); r.State != responder.Verified || strings.Contains(string(r.Evidence), "collectedBefore") {
		t.Errorf("%+v %s", r, r.Evidence)
	}
}

func TestARefusedUploadFailsAndLeavesNothing(t *testing.T) {
	h, server := handler(t, Config{Points: []Point{textPoint("x", "1")}})
	server.refuse = errors.New("the tenant's room is used up")
	r := h.Handle(t.Context(), responder.Command{ID: "../../etc/x"})
	if r.State != responder.Failed || !strings.Contains(r.Detail, "used up") {
		t.Errorf("%+v", r)
	}
	if left, _ := os.ReadDir(h.cfg.Dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestTooLittleRoomIsSaidBeforehand(t *testing.T) {
	h, server := handler(t, Config{Points: []Point{textPoint("x", "1")}, Space: func(string) (int64, error) { return 300 << 20, nil }})
	r := h.Handle(t.Context(), responder.Command{ID: "a"})
	if r.State != responder.Failed || !strings.Contains(r.Detail, "300 MiB free") || server.uploads != 0 {
		t.Errorf("%+v", r)
	}
}

// TestAFullDiskIsAClearError fills a small file system of its own, in a mount namespace of
// its own, while a package is made on it.
func TestAFullDiskIsAClearError(t *testing.T) {
	root(t)
	if os.Getenv("COLLECT_FULL") == "" {
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(exe, "-test.run=^TestAFullDiskIsAClearError$", "-test.v")
		cmd.Env = append(os.Environ(), "COLLECT_FULL="+t.TempDir())
		cmd.SysProcAttr = &unix.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
		if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "SKIP") {
			t.Fatalf("%v: %s", err, out)
		}
		return
	}
	dir := os.Getenv("COLLECT_FULL")
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("collect", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Fatal(err)
	}
	random, err := os.Open("/dev/urandom")
	if err != nil {
		t.Fatal(err)
	}
	defer random.Close()
	reached := false
	h, server := handler(t, Config{Dir: filepath.Join(dir, "collect"), Space: func(string) (int64, error) { return 10 << 30, nil }, Points: []Point{
		textPoint("first", "1"),
		{Folder: "F", Name: "much", Take: func(t *Task) error {
			f, err := t.Create("much", archive.Info{})
			if err != nil {
				return err
			}
			_, err = io.Copy(f, io.LimitReader(random, 16<<20))
			return err
		}},
		{Folder: "F", Name: "after", Take: func(*Task) error { reached = true; return nil }},
	}})
	r := h.Handle(t.Context(), responder.Command{ID: "a"})
	if r.State != responder.Failed || !strings.Contains(r.Detail, "no space left on device") || !strings.Contains(r.Detail, "much") || server.uploads != 0 || reached {
		t.Errorf("%+v; went on: %v", r, reached)
	}
	if left, _ := os.ReadDir(h.cfg.Dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	var sf unix.Statfs_t
	if err := unix.Statfs(dir, &sf); err != nil || sf.Bfree+2 < sf.Blocks {
		t.Errorf("%d of %d blocks are free: %v", sf.Bfree, sf.Blocks, err)
	}
}

func TestWhatAnEarlierAgentLeftIsRemoved(t *testing.T) {
	dir := t.TempDir()
	for name, age := range map[string]time.Duration{"new.zip": time.Hour, "old.zip": 48 * time.Hour, "x.zip.part": 0, "entry-123": 0} {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(p, time.Now().Add(-age), time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	handler(t, Config{Dir: dir})
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 || left[0].Name() != "new.zip" {
		t.Errorf("left: %v %v", left, err)
	}
}
