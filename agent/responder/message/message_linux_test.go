package message

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/responder"
	"github.com/vedette-edr/vedette/agent/utmp"
)

const nobody = 65534

func handle(t *testing.T, h *Handler, p Params) (responder.Result, Evidence) {
	t.Helper()
	raw, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	r := h.Handle(t.Context(), responder.Command{ID: "1", Kind: Kind, Params: raw})
	var ev Evidence
	if len(r.Evidence) > 0 {
		if err := json.Unmarshal(r.Evidence, &ev); err != nil {
			t.Fatal(err)
		}
	}
	return r, ev
}

func newHandler(t *testing.T, c Config) *Handler {
	t.Helper()
	if c.Proc == "" {
		c.Proc = t.TempDir() // nobody's programs but those of the test
	}
	h := New(c)
	t.Cleanup(h.Close)
	return h
}

// terminal opens a pseudo terminal and returns its other end and its name below /dev.
func terminal(t *testing.T) (*os.File, string) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := os.NewFile(uintptr(fd), "ptmx")
	t.Cleanup(func() { p.Close() })
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("pts/%d", n)
	other, err := os.OpenFile("/dev/"+name, os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	return p, name
}

// logOn writes a utmp of sessions at these lines.
func logOn(t *testing.T, run string, lines ...string) {
	t.Helper()
	var all []byte
	for _, l := range lines {
		r := make([]byte, utmp.Size)
		binary.NativeEndian.PutUint16(r, utmp.User)
		copy(r[8:40], l)
		copy(r[44:76], "ana")
		all = append(all, r...)
	}
	if err := os.WriteFile(filepath.Join(run, "utmp"), all, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestTerminalsOfSessionsAreWrittenTo(t *testing.T) {
	run := t.TempDir()
	yes, yesName := terminal(t)
	no, noName := terminal(t)
	logind, logindName := terminal(t)
	for n, mode := range map[string]os.FileMode{yesName: 0o620, noName: 0o600, logindName: 0o620} {
		if err := os.Chmod("/dev/"+n, mode); err != nil {
			t.Fatal(err)
		}
	}
	logOn(t, run, yesName, noName, "../etc/passwd", "null", "", "pts/99999")
	if err := os.MkdirAll(filepath.Join(run, "systemd/sessions"), 0o755); err != nil {
		t.Fatal(err)
	}
	text := "UID=1000\nUSER=ben\nTYPE=tty\nTTY=" + logindName + "\n"
	if err := os.WriteFile(filepath.Join(run, "systemd/sessions/c1"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	h := newHandler(t, Config{Run: run})
	read := func(f *os.File) string {
		f.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		b := make([]byte, 4096)
		n, _ := f.Read(b)
		return string(b[:n])
	}
	r, ev := handle(t, h, Params{Title: "Careful", Text: "Save your work.\nWe restart."})
	if r.State != responder.Verified || !strings.Contains(r.Detail, "2 of 6 terminals") {
		t.Errorf("%+v", r)
	}
	for name, f := range map[string]*os.File{"utmp": yes, "logind": logind} {
		if got := read(f); !strings.Contains(got, "*** Careful ***") || !strings.Contains(got, "Save your work.\r") || !strings.Contains(got, "We restart.") {
			t.Errorf("%s read %q", name, got)
		}
	}
	if got := read(no); got != "" {
		t.Errorf("mesg n was told %q", got)
	}
	for _, p := range ev.Terminals {
		if want := p.Where == yesName || p.Where == logindName; p.Shown != want || p.Shown == (p.Detail != "") {
			t.Errorf("%+v", p)
		}
	}
	if _, ev = handle(t, h, Params{Text: "Fire.", Level: "critical"}); !strings.Contains(read(no), "Fire.") {
		t.Errorf("a critical message: %+v", ev)
	}
	if got, err := os.ReadFile(filepath.Join(run, "motd.d/50-vedette")); err != nil || !strings.Contains(string(got), "Fire.") || strings.Contains(string(got), "Careful") {
		t.Errorf("for those who log on: %q %v", got, err)
	}
}

func TestNobodyIsLoggedOn(t *testing.T) {
	run := t.TempDir()
	r, _ := handle(t, newHandler(t, Config{Run: run}), Params{Text: "x"})
	if r.State != responder.Verified || !strings.Contains(r.Detail, "nobody is logged on") {
		t.Errorf("%+v", r)
	}
	logOn(t, run, "null")
	if r, _ = handle(t, newHandler(t, Config{Run: run}), Params{Text: "x"}); r.State != responder.Applied {
		t.Errorf("nobody could be told: %+v", r)
	}
	if r, _ = handle(t, newHandler(t, Config{Run: "/dev/null/run"}), Params{Text: "x"}); r.State != responder.Failed {
		t.Errorf("nothing could be written: %+v", r)
	}
	// A fragment that an earlier agent left does not stand for ever.
	old := time.Now().Add(-2 * fragmentLife)
	name := filepath.Join(run, "motd.d/50-vedette")
	if err := os.Chtimes(name, old, old); err != nil {
		t.Fatal(err)
	}
	newHandler(t, Config{Run: run})
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(name); os.IsNotExist(err) {
			break
		}
		if time.Now().After(end) {
			t.Fatal("it still stands")
		}
	}
}

func TestWhoLogsOnToADeviceThatLeftIsToldNothing(t *testing.T) {
	run := t.TempDir()
	h := newHandler(t, Config{Run: run})
	if r, _ := handle(t, h, Params{Text: "Careful."}); r.State != responder.Verified {
		t.Fatalf("%+v", r)
	}
	for range 2 { // nothing to take away is no error
		if err := h.Withdraw(); err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(filepath.Join(run, "motd.d")); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestMessagesAreChecked(t *testing.T) {
	h := newHandler(t, Config{Run: t.TempDir()})
	for name, p := range map[string]Params{
		"empty": {Text: "\n"}, "long": {Text: strings.Repeat("x", maxText+1)}, "level": {Text: "x", Level: "loud"}, "title": {Text: "x", Title: strings.Repeat("x", maxTitle+1)},
	} {
		if r, _ := handle(t, h, p); r.State != responder.Refused {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if p, err := (Params{Text: "a\x1b[2Jb\u202e"}).normal(); err != nil || p.Text != "a?[2Jb?" {
		t.Errorf("%q %v", p.Text, err)
	}
}

// desktop is a notification server on a bus of its own, which the reference implementation
// serves as another user.
type desktop struct {
	bus  string
	seen chan []any
}

// Notify implements org.freedesktop.Notifications.
func (d *desktop) Notify(app string, replaces uint32, icon, summary, body string, actions []string, hints map[string]dbus.Variant, timeout int32) (uint32, *dbus.Error) {
	d.seen <- []any{app, summary, body, hints["urgency"].Value()}
	return 7, nil
}

// session starts a bus for nobody below run, with a desktop on it if wanted.
func newDesktop(t *testing.T, run string, server bool) *desktop {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	if _, err := exec.LookPath("dbus-daemon"); err != nil {
		t.Skip("needs dbus-daemon")
	}
	for d := run; d != "/" && d != os.TempDir(); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(run, "user", fmt.Sprint(nobody))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	d := &desktop{bus: filepath.Join(dir, "bus"), seen: make(chan []any, 10)}
	cmd := exec.Command("dbus-daemon", "--session", "--nofork", "--nopidfile", "--address=unix:path="+d.bus)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	var raw *net.UnixConn
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		var err error
		if raw, err = dialAs(bus{nobody, d.bus}); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { raw.Close() })
	if !server {
		return d
	}
	raw.SetDeadline(time.Time{})
	c, err := dbus.NewConn(raw)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.Auth([]dbus.Auth{dbus.AuthExternal(fmt.Sprint(nobody))}); err != nil {
		t.Fatal(err)
	}
	if err := c.Hello(); err != nil {
		t.Fatal(err)
	}
	if err := c.Export(d, notifyPath, notifications); err != nil {
		t.Fatal(err)
	}
	if _, err := c.RequestName(notifications, 0); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDesktopsShowTheMessage(t *testing.T) {
	run := t.TempDir()
	d := newDesktop(t, run, true)
	// Somebody's socket in somebody else's place, one that nobody answers at, one that does not end.
	for _, uid := range []string{"1", "2"} {
		if err := os.MkdirAll(filepath.Join(run, "user", uid), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	silent, err := net.Listen("unix", filepath.Join(run, "user/1/bus"))
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if err := os.Chmod(filepath.Join(run, "user/1/bus"), 0o777); err != nil {
		t.Fatal(err)
	}
	h := newHandler(t, Config{Run: run, Users: func(uid uint32) string {
		if uid == nobody {
			return "nobody"
		}
		return ""
	}})
	r, ev := handle(t, h, Params{Title: "Careful", Text: "<b>Save</b> & go", Level: "critical"})
	if r.State != responder.Verified || !strings.Contains(r.Detail, "1 of 2 desktops") {
		t.Errorf("%+v", r)
	}
	select {
	case got := <-d.seen:
		if fmt.Sprint(got) != "[Vedette Careful &lt;b&gt;Save&lt;/b&gt; &amp; go 2]" {
			t.Errorf("the desktop was told %v", got)
		}
	case <-time.After(20 * time.Second):
		t.Error("the desktop was told nothing")
	}
	for _, p := range ev.Desktops {
		switch p.User {
		case "nobody":
			if !p.Shown || p.Where != d.bus {
				t.Errorf("%+v", p)
			}
		case "1":
			if p.Shown || !strings.Contains(p.Detail, "is of user 0") {
				t.Errorf("%+v", p)
			}
		default:
			t.Errorf("%+v", p)
		}
	}
}

func TestABusWithoutADesktopIsTold(t *testing.T) {
	run := t.TempDir()
	d := newDesktop(t, run, false)
	r, ev := handle(t, newHandler(t, Config{Run: run}), Params{Text: "x"})
	if r.State != responder.Applied || len(ev.Desktops) != 1 || ev.Desktops[0].Shown || ev.Desktops[0].Where != d.bus || ev.Desktops[0].Detail == "" {
		t.Errorf("%+v %+v", r, ev)
	}
}

func TestOnlySocketsOfABusAddressAreTaken(t *testing.T) {
	for in, want := range map[string]string{
		"unix:path=/run/user/1000/bus":                        "[/run/user/1000/bus]",
		"unix:abstract=/tmp/dbus-x,guid=ab":                   "[@/tmp/dbus-x]",
		"unix:path=/a%20b;unix:path=relative":                 "[/a b]",
		"unixexec:path=/bin/sh,argv1=-c;tcp:host=evil,port=1": "[]",
		"":                                      "[]",
		"unix:path=" + strings.Repeat("/x", 80): "[]",
	} {
		if got := fmt.Sprint(socketsOf(in)); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
