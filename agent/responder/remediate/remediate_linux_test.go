package remediate

import (
	"bytes"
	"crypto/rand"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/hash"
	"github.com/vedette-edr/vedette/agent/persistence"
	"github.com/vedette-edr/vedette/agent/quarantine"
	"github.com/vedette-edr/vedette/agent/responder"
)

// device is a throw-away directory that stands for the device's disks.
type device struct {
	*testing.T
	dir, state string
	conf       Config
	vault      quarantine.Config
	// sizes of what was put there, by digest: who knows the size need not read all that runs
	// on this machine.
	sizes map[string]int64
}

func newDevice(t *testing.T) *device {
	t.Helper()
	d := &device{T: t, dir: t.TempDir(), state: t.TempDir(), sizes: map[string]int64{}}
	pool := hash.NewPool(hash.Config{})
	t.Cleanup(pool.Close)
	d.vault = quarantine.Config{Dir: filepath.Join(d.state, "quarantine")}
	d.conf = Config{
		Dir: filepath.Join(d.state, "remediation"), Pool: pool, Own: []string{d.state}, Roots: []string{d.dir},
		Persistence: func() *persistence.Finder {
			return &persistence.Finder{Root: d.dir, Homes: []persistence.Home{{User: "ann", Dir: "/home/ann"}}}
		},
	}
	return d
}

// handler is that of an agent that just started on the device.
func (d *device) handler() *Handler {
	d.Helper()
	v, err := quarantine.Open(d.vault)
	if err != nil {
		d.Fatal(err)
	}
	c := d.conf
	c.Vault = v
	r, err := New(c)
	if err != nil {
		d.Fatal(err)
	}
	return &Handler{r}
}

func (d *device) put(rel string, content []byte, mode os.FileMode) string {
	d.Helper()
	path := filepath.Join(d.dir, rel)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		d.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		d.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		d.Fatal(err)
	}
	d.sizes[digestOf(content)] = int64(len(content))
	return path
}

// program is a copy of a real program with a digest of its own.
func (d *device) program(rel, of string) (path, digest string) {
	d.Helper()
	raw, err := os.ReadFile(of)
	if err != nil {
		d.Fatal(err)
	}
	raw = append(raw, []byte(rand.Text())...)
	return d.put(rel, raw, 0o755), digestOf(raw)
}

func digestOf(raw []byte) string {
	s := sha1.Sum(raw)
	return hex.EncodeToString(s[:])
}

func (d *device) do(h *Handler, kind string, params any) (responder.Result, Evidence) {
	d.Helper()
	if target, ok := params.(Target); ok && target.Size == 0 {
		target.Size = d.sizes[target.SHA1]
		params = target
	}
	raw, err := json.Marshal(params)
	if err != nil {
		d.Fatal(err)
	}
	r := h.Handle(d.Context(), responder.Command{ID: strings.ToLower(rand.Text()), Kind: kind, Params: raw})
	var e Evidence
	if len(r.Evidence) > 0 {
		if err := json.Unmarshal(r.Evidence, &e); err != nil {
			d.Fatal(err)
		}
	}
	return r, e
}

// start runs a program until the test ends, and tells how it ended.
func (d *device) start(path string, args ...string) (pid int, ended chan error) {
	d.Helper()
	cmd := exec.Command(path, args...)
	if err := cmd.Start(); err != nil {
		d.Fatal(err)
	}
	ended = make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	d.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd.Process.Pid, ended
}

func killed(t *testing.T, what string, ended chan error) {
	t.Helper()
	select {
	case err := <-ended:
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.String() != "signal: killed" {
			t.Errorf("%s ended as %v", what, err)
		}
	case <-time.After(10 * time.Second):
		t.Errorf("%s still runs", what)
	}
}

func gone(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there: %v", path, err)
	}
}

// look is what quarantine promises to give back, seen by the kernel.
func look(t *testing.T, path string) string {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return err.Error()
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	attr := make([]byte, 64)
	n, _ := unix.Getxattr(path, "user.origin", attr)
	return fmt.Sprintf("%s mode %o owner %d:%d modified %d attribute %q", digestOf(raw), st.Mode, st.Uid, st.Gid, st.Mtim.Nano(), attr[:max(n, 0)])
}

func TestAFileIsStoppedTakenAndGivenBack(t *testing.T) {
	d := newDevice(t)
	path, digest := d.program("opt/evil", "/bin/sleep")
	copied := filepath.Join(d.dir, "home/ann/a copy\nwith a line feed")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d.put("home/ann/a copy\nwith a line feed", raw, 0o700)
	second := filepath.Join(d.dir, "opt/evil-second-name")
	if err := os.Link(path, second); err != nil {
		t.Fatal(err)
	}
	innocent := d.put("opt/innocent", raw[:len(raw)-1], 0o755)
	if err := os.Chown(path, 12345, 23456); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o755|os.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setxattr(path, "user.origin", []byte("somewhere"), 0); err != nil {
		t.Log("this file system keeps no attributes:", err)
	}
	if err := os.Chtimes(path, time.Unix(1_500_000_000, 1), time.Unix(1_600_000_000, 123_456_789)); err != nil {
		t.Fatal(err)
	}
	before := map[string]string{}
	for _, p := range []string{path, copied, second} {
		before[p] = look(t, p)
	}
	_, one := d.start(path, "600")
	_, two := d.start(copied, "600")
	_, other := d.start(innocent, "600")

	r, e := d.do(d.handler(), KindQuarantine, Target{SHA1: digest})
	if r.State != responder.Verified {
		t.Fatalf("%s: %s\n%s", r.State, r.Detail, r.Evidence)
	}
	killed(t, "the program", one)
	killed(t, "its copy", two)
	for p := range before {
		gone(t, p)
	}
	if len(e.Processes) != 2 || len(e.Files) != 3 || e.SHA1 != digest {
		t.Errorf("evidence: %s", r.Evidence)
	}
	select {
	case err := <-other:
		t.Errorf("an innocent process ended: %v", err)
	default:
	}
	if _, err := os.Stat(innocent); err != nil {
		t.Error(err)
	}

	// Another agent process gives back what the one before took.
	r, e = d.do(d.handler(), KindRestore, Wanted{SHA1: digest})
	if r.State != responder.Verified {
		t.Fatalf("restore: %s: %s\n%s", r.State, r.Detail, r.Evidence)
	}
	for p, was := range before {
		if diff := cmp.Diff(was, look(t, p)); diff != "" {
			t.Errorf("%q: %s", p, diff)
		}
	}
	a, _ := os.Stat(path)
	if b, err := os.Stat(second); err != nil || !os.SameFile(a, b) {
		t.Errorf("the two names are not one file any more: %v", err)
	}
	// A command may come again.
	if r, _ := d.do(d.handler(), KindRestore, Wanted{SHA1: digest}); r.State != responder.Verified {
		t.Errorf("again: %s: %s", r.State, r.Detail)
	}
	if out, err := exec.Command("sha1sum", path).Output(); err != nil || !strings.HasPrefix(string(out), digest) {
		t.Errorf("sha1sum: %s %v", out, err)
	}
	_ = e
}

func TestDeletedProgramsLibrariesAndScriptsAreStopped(t *testing.T) {
	d := newDevice(t)
	t.Run("a program whose file is deleted", func(t *testing.T) {
		path, digest := d.program("tmp/deleted", "/bin/sleep")
		_, ended := d.start(path, "600")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		r, e := d.do(d.handler(), KindQuarantine, Target{SHA1: digest})
		killed(t, "it", ended)
		if r.State != responder.Verified || len(e.Files) == 0 || e.Files[0].State != Kept || e.Files[0].Item == "" {
			t.Errorf("%s: %s\n%s", r.State, r.Detail, r.Evidence)
		}
	})
	t.Run("a library", func(t *testing.T) {
		lib, digest := d.program("lib/evil.so", libc(t))
		sleep, err := exec.LookPath("sleep")
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(sleep, "600")
		cmd.Env = append(os.Environ(), "LD_PRELOAD="+lib)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		await(t, "the library to be mapped", func() bool {
			raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/maps", cmd.Process.Pid))
			return bytes.Contains(raw, []byte(lib))
		})
		r, e := d.do(d.handler(), KindQuarantine, Target{SHA1: digest})
		killed(t, "who has it mapped", ended)
		gone(t, lib)
		if r.State != responder.Verified || len(e.Processes) == 0 || e.Processes[0].Via != "library" {
			t.Errorf("%s: %s\n%s", r.State, r.Detail, r.Evidence)
		}
	})
	t.Run("a script", func(t *testing.T) {
		content := []byte("#!/bin/sh\n# " + rand.Text() + "\nwhile :; do sleep 1; done\n")
		path := d.put("tmp/script", content, 0o755)
		_, ended := d.start("/bin/sh", path)
		r, e := d.do(d.handler(), KindQuarantine, Target{SHA1: digestOf(content)})
		killed(t, "the shell that runs it", ended)
		gone(t, path)
		if r.State != responder.Verified || len(e.Processes) != 1 || e.Processes[0].Via != "script" {
			t.Errorf("%s: %s\n%s", r.State, r.Detail, r.Evidence)
		}
	})
}

func libc(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	_ = raw // this program may be static
	found, _ := filepath.Glob("/lib/*-linux-gnu/libdl.so.2")
	if len(found) == 0 {
		t.Fatal("no libdl.so.2 to copy")
	}
	return found[0]
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for until := time.Now().Add(10 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestWhatStartsItIsTakenAwayAndPutBack(t *testing.T) {
	d := newDevice(t)
	path, digest := d.program("opt/evil", "/bin/sleep")
	was := map[string][]byte{}
	entry := func(rel, content string) {
		p := d.put(rel, []byte(content), 0o644)
		was[p] = []byte(content)
	}
	entry("etc/crontab", "SHELL=/bin/sh\n# "+path+" is bad\n* * * * * root "+path+" 1\n0 1 * * * root "+path+"ly\n")
	entry("var/spool/cron/crontabs/ann", "@reboot "+path)
	entry("etc/systemd/system/evil.service", "[Service]\nExecStart="+path+" 600\nRestart=always\n")
	entry("etc/xdg/autostart/evil.desktop", "[Desktop Entry]\nExec="+path+"\n")
	entry("etc/rc.local", "#!/bin/sh\n"+path+" &\nexit 0\n")
	entry("home/ann/.bashrc", "alias ll='ls -l'\nif true; then "+path+" & fi\n")
	entry("etc/ld.so.preload", "/lib/good.so "+path+"\n")
	entry("etc/udev/rules.d/99-evil.rules", `ACTION=="add", RUN+="`+path+` 1"`+"\n")
	wants := filepath.Join(d.dir, "etc/systemd/system/multi-user.target.wants/evil.service")
	if err := os.MkdirAll(filepath.Dir(wants), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../evil.service", wants); err != nil {
		t.Fatal(err)
	}
	entry("home/ann/.profile", "if true; then\n"+path+"\nfi\nfor i in 1; do "+path+"\ndone\n")

	r, e := d.do(d.handler(), KindQuarantine, Target{SHA1: digest, Paths: []string{path}, Size: 0})
	if r.State != responder.Applied { // .profile has a line that cannot be taken out alone
		t.Fatalf("%s: %s\n%s", r.State, r.Detail, r.Evidence)
	}
	left := 0
	for _, x := range e.Entries {
		if x.State == Left {
			left++
			if !strings.HasSuffix(x.Path, ".profile") {
				t.Errorf("left: %+v", x)
			}
		}
	}
	if left != 1 || len(e.Entries) != 9 {
		t.Errorf("%d entries, %d left: %+v", len(e.Entries), left, e.Entries)
	}
	want := map[string]string{
		"etc/crontab":                     "SHELL=/bin/sh\n# " + path + " is bad\n0 1 * * * root " + path + "ly\n",
		"var/spool/cron/crontabs/ann":     "",
		"etc/rc.local":                    "#!/bin/sh\n:\nexit 0\n",
		"home/ann/.bashrc":                "alias ll='ls -l'\n:\n",
		"etc/ld.so.preload":               "/lib/good.so\n",
		"etc/udev/rules.d/99-evil.rules":  "",
		"etc/systemd/system/evil.service": "gone", "etc/xdg/autostart/evil.desktop": "gone",
	}
	for rel, content := range want {
		got, err := os.ReadFile(filepath.Join(d.dir, rel))
		if content == "gone" {
			gone(t, filepath.Join(d.dir, rel))
		} else if err != nil || string(got) != content {
			t.Errorf("%s is now %q, %v", rel, got, err)
		}
	}
	gone(t, wants)

	// Somebody changes one of them meanwhile.
	if err := os.WriteFile(filepath.Join(d.dir, "etc/crontab"), []byte("SHELL=/bin/bash\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	delete(was, filepath.Join(d.dir, "etc/crontab"))
	r, _ = d.do(d.handler(), KindRestore, Wanted{SHA1: digest})
	if r.State != responder.Verified {
		t.Fatalf("%s: %s\n%s", r.State, r.Detail, r.Evidence)
	}
	for p, content := range was {
		if got, err := os.ReadFile(p); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s is %q, was %q (%v)", p, got, content, err)
		}
	}
	if to, err := os.Readlink(wants); err != nil || to != "../evil.service" {
		t.Errorf("the unit's link: %q, %v", to, err)
	}
	got, err := os.ReadFile(filepath.Join(d.dir, "etc/crontab"))
	if err != nil || !strings.HasPrefix(string(got), "SHELL=/bin/bash\n") || !strings.Contains(string(got), "root "+path+" 1\n") {
		t.Errorf("the changed file is %q", got)
	}
}
