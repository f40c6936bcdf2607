package agent

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestInstalledUnitHoldsTheNetworkUntilIsolationIsRestored(t *testing.T) {
	root := t.TempDir()
	in := Installation{Root: root, Server: "https://server.test:8443", Token: "secret", Exclude: []string{"/var/lib/x=/bin/y"}}
	var out bytes.Buffer
	if err := Install(&out, in); err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(root, installedUnit)
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Type=notify", "Before=network-pre.target", "Wants=network-pre.target", "StartLimitIntervalSec=0",
		" --exclude-path /var/lib/x=/bin/y"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the unit lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "secret") {
		t.Error("the token stands in a file that everybody reads")
	}
	if fi, err := os.Stat(filepath.Join(root, installedToken)); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("token file: %v %v", fi, err)
	}
	if check, err := exec.LookPath("systemd-analyze"); err == nil {
		if out, err := exec.Command(check, "verify", "--root="+root, "--man=no", unit).CombinedOutput(); err != nil &&
			strings.Contains(string(out), "vedette-agent.service:") {
			t.Errorf("systemd-analyze: %s", out)
		}
	}
	if err := Uninstall(&out, root, false); err != nil {
		t.Fatal(err)
	}
	filepath.Walk(root, func(path string, fi os.FileInfo, err error) error {
		if err == nil && !fi.IsDir() {
			t.Errorf("left behind: %s", path)
		}
		return nil
	})
}

func TestUnsafeValuesDoNotComeIntoTheUnit(t *testing.T) {
	for _, in := range []Installation{
		{Server: "http://plain"}, {Server: "https://x\nExecStartPre=/bin/evil"},
		{Server: "https://x", Exclude: []string{"/a\nUser=nobody"}}, {Server: "https://x", Exclude: []string{"relative"}},
	} {
		in.Root = t.TempDir()
		if err := Install(&bytes.Buffer{}, in); err == nil {
			t.Errorf("%+v was installed", in)
		}
	}
}

func TestTheServiceManagerIsTold(t *testing.T) {
	dir, err := os.MkdirTemp("", "n")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, name := range []string{filepath.Join(dir, "s"), "@vedette-test-" + filepath.Base(dir)} {
		l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv("NOTIFY_SOCKET", name)
		if err := notifyReady(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		b := make([]byte, 64)
		l.SetReadDeadline(time.Now().Add(20 * time.Second))
		if n, err := l.Read(b); err != nil || string(b[:n]) != "READY=1" {
			t.Errorf("%s: %q, %v", name, b[:n], err)
		}
		l.Close()
	}
	t.Setenv("NOTIFY_SOCKET", "")
	if err := notifyReady(); err != nil {
		t.Error(err)
	}
}
