package e2e

import (
	"archive/tar"
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/client"
)

// virtual is a virtual machine with Debian and a shell on its second serial line. Its
// network is QEMU's own: this machine's loopback is 10.0.2.2 there.
type virtual struct {
	*process
	t     *testing.T
	line  net.Conn
	said  *bufio.Reader
	calls int
}

// bootPatience bounds the wait for a machine that is emulated.
const bootPatience = 15 * time.Minute

// bootVirtual boots the image that tools/vm.sh made in images, with files on its second disk.
func bootVirtual(t *testing.T, images string, files map[string]string) *virtual {
	t.Helper()
	dir := t.TempDir()
	command(t, "cp", "--sparse=always", filepath.Join(images, "disk"), filepath.Join(dir, "disk"))
	archive, err := os.Create(filepath.Join(dir, "files.tar"))
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(archive)
	for name, from := range files {
		raw, err := os.ReadFile(from)
		if err == nil {
			err = w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(raw)), ModTime: time.Now()})
		}
		if err == nil {
			_, err = w.Write(raw)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "serial")
	v := &virtual{t: t, process: start(t, "qemu-system-x86_64", "-nodefaults", "-display", "none", "-m", "1536", "-smp", "1", "-cpu", "Nehalem",
		"-kernel", filepath.Join(images, "vmlinuz"), "-initrd", filepath.Join(images, "initrd"),
		"-append", "console=ttyS0 panic=-1 quiet systemd.show_status=0 net.ifnames=0",
		"-serial", "stdio", "-chardev", "socket,id=shell,server=on,wait=off,path="+socket, "-serial", "chardev:shell",
		"-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net",
		"-drive", "if=virtio,format=raw,cache=unsafe,file="+filepath.Join(dir, "disk"),
		"-drive", "if=virtio,format=raw,readonly=on,file="+archive.Name())}
	await(t, "the machine", func() error {
		if !v.running() {
			t.Fatalf("qemu ended: %v %s", v.err, v.out)
		}
		v.line, err = net.Dial("unix", socket)
		return err
	})
	t.Cleanup(func() { v.line.Close() })
	v.said = bufio.NewReader(v.line)
	v.booted()
	return v
}

// booted waits until the machine's shell answers.
func (v *virtual) booted() {
	v.t.Helper()
	began := time.Now()
	for {
		v.calls++
		mark := fmt.Sprintf("@up %d@", v.calls)
		// The shell may get the end of a line alone: one without quotes leaves none open.
		if _, err := fmt.Fprintf(v.line, "\necho @\\up %d@\n", v.calls); err != nil {
			v.t.Fatal(err)
		}
		if _, ok := v.until(mark, 5*time.Second); ok {
			v.t.Logf("up after %s", time.Since(began).Round(time.Second))
			return
		}
		if time.Since(began) > bootPatience || !v.running() {
			v.t.Fatalf("the machine does not come up: %s", v.out)
		}
	}
}

// restart restarts the machine as its user would.
func (v *virtual) restart() {
	v.t.Helper()
	if _, err := io.WriteString(v.line, "reboot; while :; do sleep 1; done\n"); err != nil {
		v.t.Fatal(err)
	}
	v.booted() // the shell of before answers no more
}

func (v *virtual) until(mark string, d time.Duration) (string, bool) {
	if err := v.line.SetReadDeadline(time.Now().Add(d)); err != nil {
		v.t.Fatal(err)
	}
	var all strings.Builder
	for !strings.Contains(all.String(), mark) {
		b, err := v.said.ReadByte()
		if err != nil {
			return all.String(), false
		}
		all.WriteByte(b)
	}
	return all.String(), true
}

// sh runs a line of shell there and returns what it printed, and its exit code.
func (v *virtual) sh(line string) (string, int) {
	v.t.Helper()
	v.calls++
	mark := fmt.Sprintf("@end %d ", v.calls)
	if _, err := fmt.Fprintf(v.line, "{ %s\n} </dev/null 2>&1; echo '@end' %d $?'@'\n", line, v.calls); err != nil {
		v.t.Fatal(err)
	}
	out, ok := v.until(mark, 10*time.Minute)
	code, ended := v.until("@", 10*time.Second)
	n, err := strconv.Atoi(strings.TrimSuffix(code, "@"))
	if !ok || !ended || err != nil {
		v.t.Fatalf("%s: no end: %q", line, out+code)
	}
	return strings.TrimSuffix(out, mark), n
}

func (v *virtual) must(line string) string {
	v.t.Helper()
	out, code := v.sh(line)
	if code != 0 {
		v.t.Fatalf("%s: exit %d: %s", line, code, out)
	}
	return out
}

// TestAContainedDeviceRestarts restarts a device, which systemd runs, while it is isolated and
// restricted. Both are in force again before anything can talk or run that should not, and
// end when they are ended.
func TestAContainedDeviceRestarts(t *testing.T) {
	images := os.Getenv("VEDETTE_VM")
	if images == "" {
		t.Skip("make vm runs it, with images of virtual machines in VEDETTE_VM")
	}
	var reached atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reached.Add(1)
		_, _ = io.WriteString(w, "hello")
	}))
	t.Cleanup(other.Close)
	_, port, err := net.SplitHostPort(other.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ask := "curl -sS -m 5 http://10.0.2.2:" + port + "/"
	s := &server{dir: t.TempDir(), addr: fmt.Sprintf("127.0.0.1:%d", freePort(t)), flags: []string{"--name", "127.0.0.1", "--name", "10.0.2.2"}}
	s.start(t)
	v := bootVirtual(t, images, map[string]string{"vedette-agent": bin("vedette-agent"), "ca.crt": s.profile.CAFile})
	_, serverPort, _ := net.SplitHostPort(s.addr)
	// Emulated and on a busy machine, what is ready in a second elsewhere is not in twenty.
	v.must("mkdir -p /etc/systemd/system/vedette-agent.service.d; printf '[Service]\\nTimeoutStartSec=600\\n' > /etc/systemd/system/vedette-agent.service.d/slow.conf")
	t.Log(v.must(fmt.Sprintf("/vm/vedette-agent install --server https://10.0.2.2:%s --ca /vm/ca.crt --enroll-token %s", serverPort, s.profile.EnrollmentToken)))
	device := s.onlyDevice(t)
	act := func(verb ...string) {
		t.Helper()
		var a client.Action
		out := s.cli(t, append(append([]string{"-o", "json", "device"}, verb...), device.Name, "--comment", "a restart", "--wait", "8m")...)
		if err := json.Unmarshal([]byte(out), &a); err != nil || a.Status != "Succeeded" {
			t.Fatalf("%s: %v: %s", verb, err, out)
		}
	}
	// What every start of the device tries as early as it can, and what it says.
	v.must(`printf '#!/bin/sh\necho ran\n' > /root/evil.sh; chmod 755 /root/evil.sh; cat > /etc/systemd/system/early.service <<'EOF'
[Unit]
DefaultDependencies=no
After=network-pre.target systemd-networkd.service
Before=sysinit.target
[Service]
Type=oneshot
TimeoutStartSec=600
ExecStart=/bin/sh -c '/root/evil.sh > /root/early 2>&1; for i in 1 2 3 4; do ` + ask + ` && echo reached >> /root/early; sleep 0.5; done; echo tried >> /root/early'
[Install]
WantedBy=multi-user.target
EOF
systemctl enable early.service; sync`)
	works := func(want bool) {
		t.Helper()
		before := reached.Load()
		if out, code := v.sh("/root/evil.sh"); (code == 0) != want {
			t.Errorf("what no package brought: exit %d: %s", code, out)
		}
		if out, code := v.sh(ask); (code == 0) != want || (reached.Load() > before) != want {
			t.Errorf("asking somebody else: exit %d: %s", code, out)
		}
		v.must("/bin/ls /root > /dev/null")
	}
	works(true)
	act("restrict")
	act("isolate", "--force-self") // by its address it is this very machine
	works(false)
	if out, _ := v.sh("script -qec '/root/evil.sh; sleep 3' /dev/null"); !strings.Contains(out, "lets only trusted programs run on this device") {
		t.Errorf("who tries is told %q", out)
	}
	s.huntUntil(t, "the attempt", `DeviceEvents | where ActionType in ("AppControlExecutableBlocked", "AppControlScriptBlocked") and FileName == "evil.sh"`,
		func(rows []map[string]any) bool { return len(rows) > 0 })

	before, seen := reached.Load(), v.must("cat /proc/sys/kernel/random/boot_id")
	v.must("rm -f /root/early; sync")
	v.restart()
	if now := v.must("cat /proc/sys/kernel/random/boot_id"); now == seen {
		t.Fatal("it did not restart")
	}
	works(false)
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Second) {
		early, _ := v.sh("cat /root/early")
		if strings.Contains(early, "tried") {
			if strings.Contains(early, "ran\n") || strings.Contains(early, "reached") || !strings.Contains(early, "ermission denied") && !strings.Contains(early, "not permitted") {
				t.Errorf("while it started: %s", early)
			}
			break
		}
		if time.Now().After(end) {
			t.Fatalf("nothing was tried: %q", early)
		}
	}
	if n := reached.Load() - before; n > 0 {
		t.Errorf("somebody else was reached %d times", n)
	}
	t.Log(v.must("systemd-analyze critical-chain vedette-agent.service --no-pager; systemctl --no-pager show -p ActiveEnterTimestampMonotonic vedette-agent.service systemd-networkd.service early.service"))
	act("unisolate")
	act("unrestrict")
	works(true)
}
