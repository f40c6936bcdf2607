package scan

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/mounttest"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/enforce/file"
	"github.com/vedette-edr/vedette/agent/hash"
)

type world struct {
	*testing.T
	dir  string
	conf Config

	mu    sync.Mutex
	found []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	pool := hash.NewPool(hash.Config{})
	t.Cleanup(pool.Close)
	w := &world{T: t, dir: t.TempDir()}
	w.conf = Config{Pool: pool, Roots: []string{w.dir}, Processes: func() []uint32 { return nil }, Clamd: []string{"/nonexistent"}}
	return w
}

func (w *world) put(name string, content []byte) string {
	w.Helper()
	p := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		w.Fatal(err)
	}
	if err := os.WriteFile(p, content, 0o600); err != nil {
		w.Fatal(err)
	}
	return p
}

// scan returns what was found, as "path member engine threat".
func (w *world) scan(ctx context.Context, j Job) (Report, error) {
	w.Helper()
	w.found = nil
	j.Found = func(s Seen) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, f := range s.Findings {
			rel, _ := filepath.Rel(w.dir, s.Object.Path)
			w.found = append(w.found, fmt.Sprintf("%s|%s|%s|%s", rel, f.Member, f.Engine, f.Threat))
		}
	}
	rep, err := New(w.conf).Run(ctx, j)
	slices.Sort(w.found)
	return rep, err
}

func zipOf(t *testing.T, files map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, content := range files {
		f, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzOf(t *testing.T, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func packed(t *testing.T, with string, content []byte) []byte {
	t.Helper()
	cmd := exec.Command(with, "-c")
	cmd.Stdin = bytes.NewReader(content)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", with, err)
	}
	return out
}

func TestEICARIsFoundWhereverItIsPacked(t *testing.T) {
	w := newWorld(t)
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	w.put("plain.com", eicar)
	w.put("with space at the end", append(bytes.Clone(eicar), " \r\n\t"...))
	w.put("a\nline feed/\xff\xfe\x1b[31m", eicar)
	w.put("in.zip", zipOf(t, map[string][]byte{"dir/x": eicar, "y": []byte("no")}))
	w.put("in.tar", tarOf(eicar))
	w.put("in.tgz", gzOf(t, tarOf(eicar)))
	w.put("in.zst", enc.EncodeAll(tarOf(eicar), nil))
	w.put("in.bz2", packed(t, "bzip2", eicar))
	w.put("nested", gzOf(t, zipOf(t, map[string][]byte{"inner.tar": tarOf(zipOf(t, map[string][]byte{"deep": eicar}))})))
	w.put("../"+filepath.Base(w.dir)+"/innocent", []byte("nothing"))
	w.put("empty", nil)
	w.put("too long", append(bytes.Clone(eicar), bytes.Repeat([]byte(" "), 100)...))
	w.put("quoted", append([]byte("see: "), eicar...))
	w.put("followed", append(bytes.Clone(eicar), "by text"...))

	rep, err := w.scan(t.Context(), Job{Kind: Full, Percent: 100})
	if err != nil {
		t.Fatal(err)
	}
	const e = "|Signature|EICAR-Test-File"
	want := []string{
		"a\nline feed/\xff\xfe\x1b[31m|" + e, "in.bz2|content" + e, "in.tar|proof" + e, "in.tgz|content!proof" + e, "in.zip|dir/x" + e, "in.zst|content!proof" + e,
		"nested|content!inner.tar!proof!deep" + e, "plain.com|" + e, "with space at the end|" + e,
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, w.found); diff != "" {
		t.Error(diff)
	}
	if !rep.Complete || rep.Threats != len(want) || rep.Files != 14 {
		t.Errorf("%+v", rep)
	}
}

func TestIndicatorsAreFoundInFilesAndMembers(t *testing.T) {
	w := newWorld(t)
	bad := []byte("bad content " + rand.Text())
	d := newDigester()
	_, _ = d.Write(bad)
	sums := d.sums()
	w.conf.Indicators = func() bool { return true }
	w.conf.Decide = func(s hash.Sums) file.Decision {
		if s.SHA256 == sums.SHA256 || s.MD5 == sums.MD5 && s.SHA1 == sums.SHA1 {
			return file.Decision{Action: file.Block, ID: 7}
		}
		return file.Decision{}
	}
	w.put("bad", bad)
	w.put("bad.tgz", gzOf(t, tarOf(bad)))
	w.put("good", []byte("good"))
	large := make([]byte, 3<<20)
	w.put("large", large)
	if _, err := w.scan(t.Context(), Job{Kind: Quick, Percent: 100}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"bad.tgz|content!proof|Indicator|indicator", "bad||Indicator|indicator"}, w.found); diff != "" {
		t.Error(diff)
	}
}

func TestHostileArchivesAndFilesAreBounded(t *testing.T) {
	w := newWorld(t)
	w.conf.Indicators = func() bool { return true } // so that all is read
	// More than a gibibyte of zeros in a megabyte.
	w.put("bomb.gz", bytes.Repeat(gzOf(t, make([]byte, 16<<20)), maxUnpacked>>24+1))
	deep := eicar
	for range maxDepth + 1 {
		deep = gzOf(t, deep)
	}
	w.put("deep", deep)
	// A gzip file that unpacks to itself would be without end; this one is long.
	many := map[string][]byte{}
	for i := range maxMembers + 1 {
		many[fmt.Sprint(i)] = nil
	}
	w.put("many.zip", zipOf(t, many))
	w.put("damaged.zip", []byte("PK\x03\x04 and nothing that makes sense"))
	w.put("cut.tgz", gzOf(t, tarOf(eicar))[:40])
	giant := w.put("giant", nil)
	if err := os.Truncate(giant, 10<<30); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(w.dir, "pipe"), 0o666); err != nil {
		t.Fatal(err)
	}
	_ = unix.Mknod(filepath.Join(w.dir, "zero"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))) // where device files can be made
	if err := os.Symlink("/", filepath.Join(w.dir, "everything")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("loop", filepath.Join(w.dir, "loop")); err != nil {
		t.Fatal(err)
	}
	w.put("z-last", eicar)
	rep, err := w.scan(t.Context(), Job{Kind: Full, Percent: 100})
	if err != nil {
		t.Fatal(err)
	}
	if len(w.found) != 1 || !strings.HasPrefix(w.found[0], "z-last|") {
		t.Errorf("found %q", w.found)
	}
	if rep.Bounded != 3 || rep.TooLarge != 1 || rep.Damaged < 2 || rep.Complete {
		t.Errorf("%+v", rep)
	}
}

func TestFileSystemsOfOthersAreNotEntered(t *testing.T) {
	w := newWorld(t)
	proc := filepath.Join(w.dir, "proc")
	inside := filepath.Join(w.dir, "tmpfs")
	for dir, kind := range map[string]string{proc: "proc", inside: "tmpfs"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		mounttest.At(t, dir, kind, "")
	}
	w.put("tmpfs/found", eicar)
	rep, err := w.scan(t.Context(), Job{Kind: Full, Percent: 100})
	if err != nil {
		t.Fatal(err)
	}
	if len(w.found) != 1 || rep.Foreign != 1 || rep.Files != 1 {
		t.Errorf("%q %+v", w.found, rep)
	}
}

func TestMemoryOfProcesses(t *testing.T) {
	w := newWorld(t)
	cmd := exec.Command("/proc/self/exe", "hold-eicar")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if _, err := io.ReadFull(out, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	sleeper := exec.Command("sleep", "600")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sleeper.Process.Kill(); _ = sleeper.Wait() })
	w.conf.Processes = func() []uint32 {
		return []uint32{uint32(sleeper.Process.Pid), uint32(cmd.Process.Pid), 1 << 22}
	}
	var seen []Seen
	rep, err := New(w.conf).Run(t.Context(), Job{Kind: Quick, Percent: 100, Found: func(s Seen) { seen = append(seen, s) }})
	if err != nil {
		t.Fatal(err)
	}
	if len(seen) != 1 || !seen[0].Object.Memory || seen[0].Object.PID != uint32(cmd.Process.Pid) || seen[0].Findings[0].Threat != eicarThreat {
		t.Errorf("%+v", seen)
	}
	if rep.Processes != 2 || rep.Memory == 0 || !rep.Complete {
		t.Errorf("%+v", rep)
	}
}

func TestProcessorTimeStaysBelowItsShare(t *testing.T) {
	w := newWorld(t)
	w.conf.Indicators = func() bool { return true } // so that all is read
	for i := range 12 {
		b := make([]byte, 4<<20)
		rand.Read(b)
		w.put(fmt.Sprint(i), b)
	}
	spent := func() time.Duration {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	for _, percent := range []int{100, 20, 10} {
		began, before := time.Now(), spent()
		rep, err := w.scan(t.Context(), Job{Kind: Full, Percent: percent})
		if err != nil {
			t.Fatal(err)
		}
		// What the kernel says of the whole process, collection of garbage included.
		wall := time.Since(began)
		whole := float64(spent()-before) / float64(wall)
		limit := float64(percent) / 100
		t.Logf("%d%%: %.2f s of processor in %v, a share of %.3f; of the whole process %.3f", percent, rep.CPU, wall, rep.Share, whole)
		if rep.Share > limit*1.1+0.01 || whole > limit*1.3+0.05 {
			t.Errorf("at %d%% the share was %.3f, of the whole process %.3f", percent, rep.Share, whole)
		}
		if rep.CPU <= 0 {
			t.Error("no processor time was measured")
		}
	}
}

func TestAScanCanBeHeldAndEnded(t *testing.T) {
	w := newWorld(t)
	for i := range 200 {
		w.put(fmt.Sprint(i), []byte("x"))
	}
	gate := &Gate{}
	if !gate.Pause() || gate.Pause() || !gate.Paused() {
		t.Error("the gate does not shut once")
	}
	type end struct {
		rep Report
		err error
	}
	ended := make(chan end, 1)
	go func() {
		rep, err := New(w.conf).Run(t.Context(), Job{Kind: Full, Gate: gate})
		ended <- end{rep, err}
	}()
	select {
	case e := <-ended:
		t.Fatalf("it went through a shut gate: %+v", e)
	case <-time.After(300 * time.Millisecond):
	}
	if !gate.Resume() || gate.Resume() {
		t.Error("the gate does not open once")
	}
	e := <-ended
	if e.err != nil || e.rep.Files != 200 {
		t.Errorf("%+v", e)
	}
	gate.Pause()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		rep, err := New(w.conf).Run(ctx, Job{Kind: Full, Gate: gate})
		ended <- end{rep, err}
	}()
	cancel()
	if e := <-ended; !errors.Is(e.err, context.Canceled) || e.rep.Complete {
		t.Errorf("%+v", e)
	}
}

func rules(t *testing.T, name, text string) Rules {
	t.Helper()
	p := filepath.Join(t.TempDir(), "rules")
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return Rules{Name: name, File: f}
}

func TestYARARulesAreAskedAboutFilesAndMemory(t *testing.T) {
	w := newWorld(t)
	marker := "marker-" + rand.Text()
	w.put("bad\nname /proc/self/fd/4", []byte("x "+marker+" y"))
	w.put("good", []byte("nothing"))
	for i := range 2 * maxBatch {
		w.put(fmt.Sprintf("many/%d", i), []byte(fmt.Sprint("text ", i)))
	}
	w.put("many/last", []byte(marker))
	good := rules(t, "mine.yar", `rule has_marker { strings: $a = "`+marker+`" condition: $a }`)
	bad := rules(t, "broken.yar", `rule broken { condition: nonsense }`)
	rep, err := w.scan(t.Context(), Job{Kind: Full, Percent: 100, Rules: []Rules{bad, good}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"bad\nname /proc/self/fd/4||YARA|has_marker", "many/last||YARA|has_marker"}, w.found); diff != "" {
		t.Error(diff)
	}
	e := rep.Engines[slices.IndexFunc(rep.Engines, func(e Engine) bool { return e.Name == EngineYARA })]
	if !e.Used || e.Version == "" || !strings.Contains(e.Detail, "broken.yar") || rep.CPU == 0 {
		t.Errorf("%+v", e)
	}
}

// TestTheYARAProgramHasNoRights looks at what the helper leaves: its user, network and
// what it may write.
func TestTheYARAProgramHasNoRights(t *testing.T) {
	y := &yara{program: "/bin/sh", spent: func(time.Duration) {}}
	out, bad, err := y.run(t.Context(), nil, "-c", "id -u; grep -c : /proc/net/dev; grep NoNewPrivs /proc/self/status; ulimit -f; touch "+filepath.Join(t.TempDir(), "x")+" 2>&1 || echo cannot write; grep CapEff /proc/self/status")
	if err != nil {
		t.Fatalf("%v: %s", err, bad)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	text := string(out)
	if lines[0] != "65534" || lines[1] != "1" || !strings.Contains(text, "NoNewPrivs:\t1") || !strings.Contains(text, "cannot write") || !strings.Contains(text, "CapEff:\t0000000000000004") {
		t.Errorf("%q", text)
	}
}
