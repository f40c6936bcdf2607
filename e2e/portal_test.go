package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/client"
)

// journey runs a browser against the server: web/journeys/NAME.mjs, within a network
// namespace when ns is not "", so that nothing beyond it can be reached.
func journey(t testing.TB, ns, url string, who *client.Profile, name string, env ...string) {
	t.Helper()
	dir, err := filepath.Abs("../web")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "playwright-core")); err != nil {
		t.Fatalf("the journeys need the portal's packages: make web (%v)", err)
	}
	args := []string{"node", filepath.Join("journeys", name+".mjs")}
	if ns != "" {
		args = append([]string{"ip", "netns", "exec", ns}, args...)
	}
	shots := os.Getenv("VEDETTE_SHOTS")
	if shots == "" {
		shots = t.TempDir()
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), append([]string{"VEDETTE_URL=" + url, "VEDETTE_USER=" + who.AdminUser, "VEDETTE_PASSWORD=" + who.AdminPassword,
		"SHOTS=" + filepath.Join(shots, name)}, env...)...)
	done := make(chan struct{})
	var out []byte
	go func() {
		defer close(done)
		out, err = cmd.CombinedOutput()
	}()
	select {
	case <-done:
	case <-time.After(25 * time.Minute): // every page takes as long as the machine is busy
		cmd.Process.Kill()
		<-done
		t.Fatalf("the journey %s takes too long:\n%s", name, out)
	}
	if err != nil {
		t.Fatalf("the journey %s: %v\n%s", name, err, out)
	}
	t.Logf("%s", out)
}

// hostileProgram is a program's name that runs where a page takes it for anything but text.
const hostileProgram = `<img src=x onerror=window.__pwned=1>`

// TestAnAnalystRespondsInThePortal raises an alert by an indicator on a device in a
// namespace and has a browser go from the alert to its device, isolate and release it.
func TestAnAnalystRespondsInThePortal(t *testing.T) {
	n := newNetwork(t)
	s := &server{dir: t.TempDir(), addr: serverV4 + ":8443", ns: n.server}
	s.process = start(t, "ip", "netns", "exec", n.server, bin("vedetted"), "serve", "--data-dir", s.dir, "--listen", ":8443")
	s.awaitProfile(t)
	cli := func(args ...string) (string, error) {
		cmd := exec.Command("ip", append([]string{"netns", "exec", n.server, bin("vedette"), "--profile", s.profilePath(), "-o", "json"}, args...)...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	startAgent(t, s, n.device)
	var device client.Machine
	await(t, "the device to report", func() error {
		out, err := cli("device", "list")
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		var all []client.Machine
		if err := json.Unmarshal([]byte(out), &all); err != nil || len(all) != 1 || all[0].HealthStatus != "Active" {
			return fmt.Errorf("%v: %s", err, out)
		}
		device = all[0]
		return nil
	})
	title := unique("Known bad address ")
	if out, err := cli("indicator", "create", "IpAddress", otherV4, "--severity", "High", "--title", title); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	listen(t, n.other, 80)
	program := filepath.Join(t.TempDir(), hostileProgram)
	raw, err := os.ReadFile("/bin/bash")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, raw, 0o755); err != nil {
		t.Fatal(err)
	}
	await(t, "the alert", func() error {
		// The indicator is in force when the call returns; the connection may be sensed late.
		_ = exec.Command("ip", "netns", "exec", n.device, program, "-c", "exec 3<>/dev/tcp/"+otherV4+"/80").Run()
		out, err := cli("alert", "list")
		if err != nil || !strings.Contains(out, title) {
			return fmt.Errorf("%v: %s", err, out)
		}
		return nil
	})
	journey(t, n.server, "https://"+serverV4+":8443", s.profile, "respond", "ALERT="+title, "DEVICE="+device.Name, "HOSTILE="+hostileProgram)
	journey(t, n.server, "https://"+serverV4+":8443", s.profile, "keyboard", "ALERT="+title, "DEVICE="+device.Name)
	journey(t, n.server, "https://"+serverV4+":8443", s.profile, "budget")

	// No page may have broken its policy, whether or not the browser told the journey.
	out, err := exec.Command("ip", "netns", "exec", n.server, "curl", "-ks", "https://127.0.0.1:8443/metrics").Output()
	if err != nil || !strings.Contains(string(out), "vedette_portal_policy_reports_total 0") {
		t.Errorf("reports of a broken policy: %v\n%s", err, out)
	}
}

// TestThePortalIsInTheServer asks for the page as whoever comes first does.
func TestThePortalIsInTheServer(t *testing.T) {
	s := startServer(t)
	res, err := s.httpClient(t).Get(s.profile.PortalURL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK || !strings.Contains(res.Header.Get("Content-Security-Policy"), "script-src 'self'") {
		t.Errorf("%s, policy %q: was the server built with make build?", res.Status, res.Header.Get("Content-Security-Policy"))
	}
}
