package e2e

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMetricsAreForThisMachine asks for the metrics from the server's own machine and from
// another one.
func TestMetricsAreForThisMachine(t *testing.T) {
	n := newNetwork(t)
	s := &server{dir: t.TempDir(), addr: serverV4 + ":8443", program: []string{"ip", "netns", "exec", n.server, bin("vedetted")}}
	s.process = s.launch(t)
	s.awaitProfile(t)
	get := func(ns, path string) (status int, body string, err error) {
		tr := &http.Transport{TLSClientConfig: trust(t, s.profile.CAFile), DisableKeepAlives: true,
			DialContext: func(context.Context, string, string) (net.Conn, error) { return dial(ns, s.addr) }}
		resp, err := (&http.Client{Transport: tr, Timeout: 20 * time.Second}).Get("https://" + s.addr + path)
		if err != nil {
			return 0, "", err
		}
		defer resp.Body.Close()
		raw, err := io.ReadAll(resp.Body)
		return resp.StatusCode, string(raw), err
	}
	await(t, "the server to be ready for the other machine", func() error {
		status, _, err := get(n.device, "/healthz")
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("%d", status)
		}
		return err
	})
	if status, body, err := get(n.device, "/metrics"); err != nil || status != http.StatusForbidden || strings.Contains(body, "vedette_") {
		t.Errorf("metrics for another machine: %d %.200s, %v", status, body, err)
	}
	if status, body, err := get(n.server, "/metrics"); err != nil || status != http.StatusOK || !strings.Contains(body, "vedette_ingest_batches_total") {
		t.Errorf("metrics for the machine itself: %d %.200s, %v", status, body, err)
	}
}

// TestPlainHTTPOnLoopbackAlone starts the server with a listener without TLS.
func TestPlainHTTPOnLoopbackAlone(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:80", "example.com:80"} {
		p := start(t, bin("vedetted"), "serve", "--data-dir", t.TempDir(), "--listen", fmt.Sprintf("127.0.0.1:%d", freePort(t)), "--listen-http", addr, "--rate-limit", "off")
		ended(t, p, "loopback")
	}
	plain := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	s := &server{dir: t.TempDir(), addr: fmt.Sprintf("127.0.0.1:%d", freePort(t)), flags: []string{"--listen-http", plain}}
	s.start(t)
	resp, err := http.Get("http://" + plain + "/api/alerts")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("without TLS and token: %s", resp.Status)
	}
}

// ended expects a program to end with an error that holds the text.
func ended(t *testing.T, p *process, text string) {
	t.Helper()
	select {
	case <-p.end:
	case <-time.After(patience):
		t.Fatalf("it still runs:\n%s", p.out)
	}
	if p.err == nil || !strings.Contains(p.out.String(), text) {
		t.Errorf("it ended with %v and does not say %q:\n%s", p.err, text, p.out)
	}
}

// TestTwoOnOneDirectory starts a second server on a data directory and a second agent on a
// state directory; both refuse, and the first ones go on.
func TestTwoOnOneDirectory(t *testing.T) {
	s := startServer(t)
	ended(t, start(t, bin("vedetted"), "serve", "--data-dir", s.dir, "--listen", fmt.Sprintf("127.0.0.1:%d", freePort(t))),
		"another server runs on the data directory")
	a := startAgent(t, s, "")
	ended(t, start(t, a.args[0], a.args[1:]...), "another agent runs on this state directory")
	if d := s.onlyDevice(t); d.HealthStatus != "Active" || !a.running() {
		t.Errorf("the first agent: %+v", d)
	}
	// A killed server's directory is free at once.
	s.kill()
	s.start(t)
}

// TestInstallAndUninstall installs below a directory, as packages and images do, and
// expects exactly the files it speaks of, and afterwards none.
func TestInstallAndUninstall(t *testing.T) {
	root := t.TempDir()
	other := filepath.Join(root, "etc", "vedette", "other")
	if err := os.MkdirAll(filepath.Dir(other), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other, []byte("somebody else's"), 0o644); err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, []byte("a certificate"), 0o644); err != nil {
		t.Fatal(err)
	}
	want := map[string]os.FileMode{
		"usr/local/sbin/vedette-agent":             0o755,
		"etc/systemd/system/vedette-agent.service": 0o644,
		"etc/vedette/ca.crt":                       0o644,
		"etc/vedette/enroll.token":                 0o600,
	}
	for range 2 { // doing it again is no error
		out := command(t, bin("vedette-agent"), "install", "--root", root, "--server", "https://vedette.example:8443", "--enroll-token", "vet_secret", "--ca", ca)
		for name := range want {
			if !strings.Contains(out, filepath.Join(root, name)) {
				t.Errorf("install does not speak of %s:\n%s", name, out)
			}
		}
		if strings.Contains(out, "vet_secret") {
			t.Errorf("install prints the token:\n%s", out)
		}
	}
	got := files(t, root)
	delete(got, "etc/vedette/other")
	if !maps.Equal(got, want) {
		t.Errorf("installed %v, want %v", got, want)
	}
	unit, err := os.ReadFile(filepath.Join(root, "etc/systemd/system/vedette-agent.service"))
	if err != nil || !strings.Contains(string(unit), "ExecStart=/usr/local/sbin/vedette-agent run --server https://vedette.example:8443") || strings.Contains(string(unit), root) || strings.Contains(string(unit), "vet_secret") {
		t.Errorf("the unit (%v):\n%s", err, unit)
	}
	// What the agent would keep there.
	state := filepath.Join(root, "var/lib/vedette-agent")
	if err := os.MkdirAll(filepath.Join(state, "spool"), 0o700); err != nil {
		t.Fatal(err)
	}
	command(t, bin("vedette-agent"), "uninstall", "--root", root, "--keep-state")
	if _, err := os.Stat(state); err != nil {
		t.Errorf("the state is to be kept: %v", err)
	}
	command(t, bin("vedette-agent"), "uninstall", "--root", root)
	command(t, bin("vedette-agent"), "uninstall", "--root", root) // nothing is left to remove
	if left := slices.Sorted(maps.Keys(files(t, root))); !slices.Equal(left, []string{"etc/vedette/other"}) {
		t.Errorf("after uninstalling there is %v", left)
	}
	if _, err := os.Stat(state); err == nil {
		t.Error("the state is still there")
	}
}

// files returns the modes of the regular files below a directory.
func files(t *testing.T, root string) map[string]os.FileMode {
	t.Helper()
	out := map[string]os.FileMode{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		out[rel] = info.Mode()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
