package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-edr/vedette/schema/event"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// watch is a clock that a test moves.
type watch struct{ now time.Time }

func (w *watch) time() time.Time { return w.now }

func newTable(t *testing.T, cfg Config) (*Table, *watch) {
	t.Helper()
	w := &watch{now: epoch}
	cfg.Now, cfg.BootID = w.time, "boot"
	passwd := filepath.Join(t.TempDir(), "passwd")
	if err := os.WriteFile(passwd, []byte("root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/:/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.Accounts = NewAccounts(passwd, w.time)
	return New(cfg), w
}

// ref is a process that started n milliseconds after the boot.
func ref(pid uint32, ms int64, parent uint32, parentMs int64) Ref {
	return Ref{
		PID: pid, Start: ms * 1e6, StartTime: epoch.Add(time.Duration(ms) * time.Millisecond),
		PPID: parent, ParentStart: parentMs * 1e6, UID: 1000, Comm: "comm",
	}
}

func image(name string, at int64) Image {
	return Image{File: event.File{Name: name, Path: "/bin/" + name, Size: 1}, CommandLine: name, At: at * 1e6}
}

// far is a pid that no process has, so that /proc adds nothing.
const far = 1 << 30

func TestForkThenExecIsCreatedByTheParent(t *testing.T) {
	tab, _ := newTable(t, Config{})
	parent, child := ref(far+1, 1000, 0, 0), ref(far+2, 2000, far+1, 1000)
	shell, _ := tab.Exec(parent, image("sh", 1500))
	forked := tab.Fork(parent, child)
	if forked.Image.Name != "sh" || forked.Key == shell.Key || forked.Parent.PID != parent.PID {
		t.Errorf("forked %+v", forked)
	}
	ls, by := tab.Exec(child, image("ls", 2500))
	if by != shell {
		t.Errorf("created by %+v, want the shell", by)
	}
	want := event.Parent{PID: parent.PID, FileName: "sh", Start: parent.StartTime}
	if d := cmp.Diff(want, ls.Parent); d != "" {
		t.Error(d)
	}
	again, by := tab.Exec(child, image("cat", 2600))
	if by != ls || again.Key == ls.Key || again.Parent != ls.Parent || !again.Start.Equal(ls.Start) {
		t.Errorf("second exec %+v by %+v", again, by)
	}
	if got := tab.Lookup(child.PID); got != again {
		t.Errorf("lookup %+v", got)
	}
	if ls.Image.Name != "ls" {
		t.Error("a value that was handed out changed")
	}
}

func TestPidIsReused(t *testing.T) {
	tab, _ := newTable(t, Config{})
	old, _ := tab.Exec(ref(far, 1000, 0, 0), image("old", 1000))
	if got := tab.Exit(ref(far, 1000, 0, 0)); got != old {
		t.Errorf("exit of %+v", got)
	}
	if tab.Lookup(far) != old {
		t.Error("a process that just ended is not found")
	}
	now := tab.Find(ref(far, 9000, 0, 0))
	if now.Key == old.Key || now.Image.Name != "comm" || tab.Lookup(far) != now {
		t.Errorf("found %+v", now)
	}
	// Nothing runs under that pid: the second one is over too.
	if s := tab.Stats(); s.Live != 0 || s.Ended != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestStartFromProcIsTheSameProcess(t *testing.T) {
	tab, _ := newTable(t, Config{})
	coarse := ref(far, 1230, 0, 0)
	exact := coarse
	exact.Start += 7_654_321 // within the same 10 ms
	if a, b := tab.Find(coarse), tab.Find(exact); a != b {
		t.Errorf("%+v and %+v", a, b)
	}
}

func TestTableStaysInItsBounds(t *testing.T) {
	tab, w := newTable(t, Config{MaxLive: 10, MaxEnded: 5, Linger: time.Minute})
	for i := range uint32(25) {
		tab.Exec(ref(far+i, int64(i)*100, 0, 0), image("x", 1))
	}
	if s := tab.Stats(); s.Live != 10 || s.Evicted != 15 || s.Adopted != 25 {
		t.Errorf("stats %+v", s)
	}
	for i := range uint32(10) {
		tab.Exit(ref(far+15+i, int64(15+i)*100, 0, 0))
	}
	by := ref(far+50, 0, 0, 0)
	tab.Exec(by, image("by", 1))
	tab.Fork(by, ref(far+99, 100_000, by.PID, 0))
	if s := tab.Stats(); s.Ended != 5 || s.Dropped != 5 {
		t.Errorf("stats %+v", s)
	}
	w.now = w.now.Add(2 * time.Minute)
	tab.Fork(by, ref(far+98, 100_000, by.PID, 0))
	if s := tab.Stats(); s.Ended != 0 || s.Dropped != 5 {
		t.Errorf("stats %+v", s)
	}
	if tab.Lookup(far+24) != nil {
		t.Error("found after its time")
	}
}

func TestTextsStayInTheirBounds(t *testing.T) {
	const budget = 1 << 20
	tab, _ := newTable(t, Config{MaxText: budget})
	long := func(i uint32) string { return fmt.Sprint(i) + strings.Repeat("é", 16<<10) }
	for i := range uint32(1000) {
		r := ref(far+i, int64(i)*100, 0, 0)
		img := image("x", 1)
		img.CommandLine = long(i)
		now, _ := tab.Exec(r, img)
		if now.CommandLine != long(i) {
			t.Fatal("the event of the exec itself is cut")
		}
		tab.Fork(r, ref(far+1000+i, int64(i)*100, r.PID, 0))
		if i%2 == 0 {
			tab.Exec(r, img) // again in the same process
		}
	}
	held := func() (n int) {
		for i := range uint32(2000) {
			if p := tab.Lookup(far + i); p != nil {
				n += textOf(p)
				if !utf8.ValidString(p.CommandLine) {
					t.Fatalf("cut inside a character: %q", p.CommandLine)
				}
			}
		}
		return n
	}
	// What is cut is still as long as a cut text may be.
	if n := held(); n > budget+2000*3*(clipped+8) || tab.Stats().Clipped == 0 {
		t.Errorf("%d bytes held, %+v", n, tab.Stats())
	}
	if got := tab.Lookup(far + 999).CommandLine; !strings.HasPrefix(got, "999é") || !strings.HasSuffix(got, "…") {
		t.Errorf("the beginning is not kept: %.40q", got)
	}
	for i := range uint32(1000) {
		tab.Exit(ref(far+i, int64(i)*100, 0, 0))
		tab.Exit(ref(far+1000+i, int64(i)*100, 0, 0))
	}
	tab.cfg.Now = func() time.Time { return epoch.Add(time.Hour) }
	tab.Fork(ref(far+5000, 1, 0, 0), ref(far+5001, 1, far+5000, 1))
	if n := held(); n != 0 || tab.text > 100 {
		t.Errorf("%d bytes held and %d counted of processes that are gone", n, tab.text)
	}
}

func TestUserChange(t *testing.T) {
	tab, _ := newTable(t, Config{})
	r := ref(far, 1000, 0, 0)
	r.UID = 0
	root := tab.Find(r)
	r.UID = 1000
	ann := tab.Find(r)
	if root.Account.Name != "root" || root.Integrity != "System" || ann.Account.Name != "ann" || ann.Integrity != "Medium" {
		t.Errorf("%+v, then %+v", root.Account, ann.Account)
	}
	if root.Key != ann.Key {
		t.Error("another user made another process")
	}
	r.UID, r.Old = 0, true
	if tab.Find(r) != ann {
		t.Error("old knowledge overrode new")
	}
}

func TestSetImageKeepsToItsKey(t *testing.T) {
	tab, _ := newTable(t, Config{})
	r := ref(far, 1000, 0, 0)
	a, _ := tab.Exec(r, image("a", 1100))
	b, _ := tab.Exec(r, image("b", 1200))
	tab.SetImage(far, a.Key, event.File{Name: "a", SHA256: "aa"})
	if tab.Lookup(far) != b {
		t.Error("the image before was set on the image now")
	}
	tab.SetImage(far, b.Key, event.File{Name: "b", SHA256: "bb"})
	if got := tab.Lookup(far); got.Image.SHA256 != "bb" || got.Key != b.Key || b.Image.SHA256 != "" {
		t.Errorf("now %+v, was %+v", got.Image, b.Image)
	}
}

func TestAccountsFollowTheFile(t *testing.T) {
	tab, w := newTable(t, Config{})
	a := tab.cfg.Accounts
	if got := a.Lookup(1000).Name; got != "ann" {
		t.Fatalf("1000 is %q", got)
	}
	if got := a.Lookup(1001); got.Name != "" || got.SID != "1001" {
		t.Errorf("1001 is %+v", got)
	}
	// As useradd does: another file under the same name.
	next := a.path + "+"
	if err := os.WriteFile(next, []byte("bad line\nx:y:z\nbob:x:1001:1::/:\nbob2:x:1001:1::/:\nann:x:1000:1::/:"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, a.path); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(time.Minute)
	if got := a.Lookup(1001).Name; got != "bob" {
		t.Errorf("1001 is %q, want bob", got)
	}
	if err := os.Remove(a.path); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(time.Minute)
	if got := a.Lookup(1001).Name; got != "bob" {
		t.Errorf("without a file 1001 is %q, want bob still", got)
	}
}

func TestSnapshotFindsThisProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	up, err := os.ReadFile("/proc/uptime")
	if err != nil {
		t.Fatal(err)
	}
	var secs float64
	if _, err := fmt.Sscan(string(up), &secs); err != nil {
		t.Fatal(err)
	}
	boot := time.Now().Add(-time.Duration(secs * float64(time.Second)))
	tab := New(Config{})
	found, err := tab.Snapshot(boot)
	if err != nil || len(found) == 0 {
		t.Fatal(len(found), err)
	}
	p := tab.Lookup(uint32(os.Getpid()))
	if p == nil {
		t.Fatal("not found")
	}
	exe, _ := os.Executable()
	wd, _ := os.Getwd()
	if p.Image.Path != exe || p.WorkingDir != wd || p.CommandLine != CommandLine(os.Args) {
		t.Errorf("%+v", p)
	}
	if p.Parent.PID != uint32(os.Getppid()) || p.Parent.FileName == "" {
		t.Errorf("parent %+v", p.Parent)
	}
	if age := time.Since(p.Start); age < 0 || age > 10*time.Minute {
		t.Errorf("started %v", p.Start)
	}
	if again, _ := tab.Snapshot(boot); len(again) > 50 {
		t.Errorf("%d processes were added twice", len(again))
	}
}

func TestCommandLineIsReadBackByAShell(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash")
	}
	args := []string{
		"", " ", "plain", "/usr/bin/x-y_z.1", "two words", "it's", `"quoted"`, "$HOME", "`id`", "a\nb", "tab\there",
		"\x1b[31m", "back\\slash", "'", "''\n'", "*", "?", "[a]", "{a,b}", "~", "~root", "a~b", "#no", "a#b", "a=b", "!x", "&", "|", ";",
		"<", ">", "(", ")", "é", "日本", "\xff\xfe", "ok\xc3", "\u2028", "--opt=va lue", "\x7f", "\ufffd",
	}
	out, err := exec.Command(bash, "--norc", "-c", `printf '%s\0' `+CommandLine(args)).Output()
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	if d := cmp.Diff(args, got); d != "" {
		t.Error(d)
	}
}

func FuzzText(f *testing.F) {
	f.Add("plain")
	f.Add("\xff\xc3é\x00'\n")
	f.Fuzz(func(t *testing.T, s string) {
		for _, out := range []string{Text(s), CommandLine([]string{s, s})} {
			if strings.ToValidUTF8(out, "") != out {
				t.Errorf("%q is no UTF-8", out)
			}
		}
		if strings.ToValidUTF8(s, "") == s && Text(s) != s {
			t.Errorf("%q became %q", s, Text(s))
		}
	})
}
