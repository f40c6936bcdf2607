package e2e

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/mounttest"

	"github.com/vedette-edr/vedette/client"
)

// apart makes the first argument the root of a mount and a pid namespace: what happens
// there sees neither files nor processes of this machine, and is asked about nothing of it.
const apart = `set -e
cd "$1"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 none dev
mkdir dev/pts
mount --bind /dev/pts dev/pts
ln -s pts/ptmx dev/ptmx
for d in null zero urandom tty; do cp -a /dev/$d dev/$d; done
pivot_root . old
shift
umount -l old
exec "$@"`

// ownRoot is a device of its own: a file system with a few programs that packages brought,
// and an agent in it.
type ownRoot struct {
	*agentRun
	t    *testing.T
	root string
	init int // the agent, the first process there
}

// startApart starts an agent in a root of its own.
func startApart(t *testing.T, s *server) *ownRoot {
	t.Helper()
	o := &ownRoot{t: t, root: mounttest.Tmpfs(t, "mode=755")}
	for _, d := range []string{"proc", "sys", "dev", "old", "tmp", "run", "opt", "usr/bin", "usr/local/sbin", "var/lib/dpkg/info", "etc/vedette"} {
		if err := os.MkdirAll(filepath.Join(o.root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("usr/bin", filepath.Join(o.root, "bin")); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range []string{"sh", "true", "cat", "sleep", "umount", "nft"} {
		names = append(names, o.install(p)...)
	}
	o.pack("base", names...)
	for from, to := range map[string]string{"/etc/os-release": "etc/os-release", "/etc/passwd": "etc/passwd", "/etc/group": "etc/group", s.profile.CAFile: "etc/vedette/ca.crt", bin("vedette-agent"): "usr/local/sbin/vedette-agent"} {
		copyFile(t, from, filepath.Join(o.root, to), 0o755)
	}
	if err := os.WriteFile(filepath.Join(o.root, "etc/vedette/token"), []byte(s.profile.EnrollmentToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := &agentRun{state: filepath.Join(o.root, "var/lib/vedette-agent"), instance: unique("t")}
	a.args = []string{"unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--propagation", "private", "sh", "-c", apart, "sh", o.root,
		"/usr/local/sbin/vedette-agent", "run", "--server", "https://" + s.addr, "--enroll-token-file", "/etc/vedette/token",
		"--ca", "/etc/vedette/ca.crt", "--state-dir", "/var/lib/vedette-agent", "--instance", a.instance}
	o.agentRun = a
	a.restart(t)
	o.look()
	t.Cleanup(func() { a.kill() }) // unshare passes no other signal on
	return o
}

// look finds the agent.
func (o *ownRoot) look() {
	o.t.Helper()
	await(o.t, "the agent's process", func() error {
		out, err := exec.Command("pgrep", "-P", strconv.Itoa(o.cmd.Process.Pid)).Output()
		if err == nil {
			o.init, err = strconv.Atoi(strings.TrimSpace(string(out)))
		}
		return err
	})
}

// begin starts the agent again, as after a crash, and returns once it has told the service manager that it
// is ready, whatever it has not begun yet.
func (o *ownRoot) begin() {
	o.t.Helper()
	o.kill()
	name := "@vedette-test-" + o.instance
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		o.t.Fatal(err)
	}
	defer l.Close()
	o.process = start(o.t, "env", append([]string{"NOTIFY_SOCKET=" + name}, o.args...)...)
	if err := l.SetReadDeadline(time.Now().Add(patience)); err != nil {
		o.t.Fatal(err)
	}
	b := make([]byte, 64)
	if n, err := l.Read(b); err != nil || string(b[:n]) != "READY=1" {
		o.t.Fatalf("%q, %v", b[:n], err)
	}
	o.look()
}

// install copies a program of this machine, with its libraries, and returns their names.
func (o *ownRoot) install(program string) []string {
	o.t.Helper()
	real, err := exec.LookPath(program)
	if err == nil {
		real, err = filepath.EvalSymlinks(real)
	}
	if err != nil {
		o.t.Fatal(err)
	}
	names := []string{"usr/bin/" + program}
	copyFile(o.t, real, filepath.Join(o.root, names[0]), 0o755)
	for _, m := range regexp.MustCompile(`(/\S+) \(0x`).FindAllStringSubmatch(command(o.t, "ldd", real), -1) {
		name := m[1][1:]
		names = append(names, name)
		if err := os.MkdirAll(filepath.Join(o.root, filepath.Dir(name)), 0o755); err != nil {
			o.t.Fatal(err)
		}
		copyFile(o.t, m[1], filepath.Join(o.root, name), 0o755)
	}
	return names
}

// pack says that a package brought the files as they are.
func (o *ownRoot) pack(name string, files ...string) {
	o.t.Helper()
	var list strings.Builder
	for _, f := range files {
		raw, err := os.ReadFile(filepath.Join(o.root, f))
		if err != nil {
			o.t.Fatal(err)
		}
		sum := md5.Sum(raw)
		fmt.Fprintf(&list, "%s  %s\n", hex.EncodeToString(sum[:]), f)
	}
	if err := os.WriteFile(filepath.Join(o.root, "var/lib/dpkg/info", name+".md5sums"), []byte(list.String()), 0o644); err != nil {
		o.t.Fatal(err)
	}
}

// put writes a program that no package brought.
func (o *ownRoot) put(name, text string) string {
	o.t.Helper()
	if err := os.WriteFile(filepath.Join(o.root, name), []byte(text), 0o755); err != nil {
		o.t.Fatal(err)
	}
	return "/" + name
}

// within is the command that runs a program there.
func (o *ownRoot) within(args ...string) []string {
	return append([]string{"nsenter", "--target", strconv.Itoa(o.init), "--mount", "--pid", "--root", "--wd"}, args...)
}

// run runs a program there.
func (o *ownRoot) run(args ...string) (string, error) {
	argv := o.within(args...)
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	return string(out), err
}

// TestARestrictedDeviceRunsWhatPackagesBrought restricts a device through the command line:
// what packages brought runs and nothing else, the hunt shows it, live
// response and packages work on, and everything runs again afterwards, also when the device
// leaves while it is restricted.
func TestARestrictedDeviceRunsWhatPackagesBrought(t *testing.T) {
	s := startServer(t)
	o := startApart(t, s)
	device := s.onlyDevice(t)
	script := o.put("opt/"+unique("evil")+".sh", "#!/bin/sh\necho ran\n")
	raw, err := os.ReadFile(filepath.Join(o.root, "usr/bin/true"))
	if err != nil {
		t.Fatal(err)
	}
	program := o.put("opt/"+unique("evil"), string(raw)+"changed")
	ran := func(want bool, argv ...string) {
		t.Helper()
		if out, err := o.run(argv...); (err == nil) != want {
			t.Errorf("%q: %v %s", argv, err, out)
		}
	}
	everything := func(want bool) {
		t.Helper()
		ran(want, script)
		ran(want, "/bin/sh", script)
		ran(want, program)
		ran(true, "/bin/true")
		ran(true, "/bin/sh", "-c", "cat /etc/os-release && true")
	}
	everything(true)
	act := func(verb ...string) client.ActionDetail {
		t.Helper()
		var a client.Action
		out := s.cli(t, append(append([]string{"-o", "json", "device"}, verb...), device.Name, "--comment", "end-to-end test", "--wait", "60s")...)
		if err := json.Unmarshal([]byte(out), &a); err != nil || a.Status != "Succeeded" {
			t.Fatalf("%v: %s\n%s", err, out, o.out)
		}
		d, err := s.ActionDetail(context.Background(), a.ID)
		if err != nil {
			t.Fatal(err)
		}
		return *d
	}
	act("restrict")
	everything(false)
	o.begin()
	everything(false)

	for action, file := range map[string]string{"AppControlExecutableBlocked": program, "AppControlScriptBlocked": script} {
		rows := s.huntUntil(t, action, fmt.Sprintf(`DeviceEvents | where ActionType == "%s" and FolderPath == "%s" | project DeviceName, FileName, AdditionalFields`, action, file),
			func(rows []map[string]any) bool { return len(rows) > 0 })
		if more := fmt.Sprint(rows[0]["AdditionalFields"]); rows[0]["DeviceName"] != device.Name || rows[0]["FileName"] != filepath.Base(file) || !strings.Contains(more, "RestrictCodeExecution") {
			t.Errorf("%s: %v", action, rows[0])
		}
	}
	// Who tries at a terminal is told there, though the shell's child that tried ends at once.
	asks := strings.Join(o.within("/bin/sh", "-c", "'"+program+"; cat /etc/os-release >/dev/null; sleep 2'"), " ")
	if out := command(t, "script", "-qec", "chmod 620 $(tty); "+asks, "/dev/null"); !strings.Contains(out, "lets only trusted programs run on this device") || !strings.Contains(out, filepath.Base(program)) {
		t.Errorf("the terminal shows %q", out)
	}
	// The agent starts programs of the device all the while, about which the kernel asks it: an
	// investigation package asks nft, and a session of live response has a shell.
	s.cli(t, "device", "collect", device.Name, "--comment", "end-to-end test", "--wait", "--timeout", "120s", "--out", filepath.Join(t.TempDir(), "package.zip"))
	l := openLive(t, s, device.ID, "advanced")
	shell := l.begin("shell")
	l.types(shell, "/bin/cat /etc/os-release; "+program+"; "+script+"; echo tr''ied\n")
	l.says(shell, "tried")
	if got := l.out[shell]; !strings.Contains(got, "PRETTY_NAME=") || strings.Count(got, "ermi") != 2 || strings.Contains(got, "\nran") {
		t.Errorf("the shell shows %q", got)
	}
	l.types(shell, "exit\n")

	act("unrestrict")
	everything(true)

	act("restrict")
	ran(false, script)
	left, err := s.Act(context.Background(), device.ID, "offboard", map[string]any{"Comment": "it is sold"})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the device to leave", func() error {
		d, err := s.ActionDetail(context.Background(), left.ID)
		if err == nil && d.State != "verified" {
			err = fmt.Errorf("it is %s: %s", d.State, d.Truth)
		}
		return err
	})
	everything(true)
	if _, err := os.Stat(filepath.Join(o.state, "restrict.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the restriction comes back with the next start: %v", err)
	}
}
