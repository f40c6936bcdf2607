package e2e

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/vedette-edr/vedette/client"
)

// TestAReleaseCodeFreesADeviceThatLostItsServer cuts the cable to the server of an isolated
// device and ends its isolation with a code, with the agent running and without.
func TestAReleaseCodeFreesADeviceThatLostItsServer(t *testing.T) {
	n := newNetwork(t)
	s := &server{dir: t.TempDir(), addr: serverV4 + ":8443", ns: n.server}
	s.process = start(t, "ip", "netns", "exec", n.server, bin("vedetted"), "serve", "--data-dir", s.dir, "--listen", ":8443", "--rate-limit", "off")
	s.awaitProfile(t)
	cli := func(args ...string) (string, error) {
		out, err := exec.Command("ip", append([]string{"netns", "exec", n.server, bin("vedette"), "--profile", s.profilePath(), "-o", "json"}, args...)...).CombinedOutput()
		return string(out), err
	}
	a := startAgent(t, s, n.device)
	var devices []client.Machine
	await(t, "the device to report", func() error {
		out, err := cli("device", "list")
		if err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(out), &devices); err != nil || len(devices) != 1 || devices[0].HealthStatus != "Active" {
			return &exec.Error{Name: out, Err: exec.ErrNotFound}
		}
		return nil
	})
	listen(t, n.other, 80)
	isolate := func() {
		t.Helper()
		if out, err := cli("device", "isolate", devices[0].ID, "--comment", "end-to-end test", "--wait", "45s"); err != nil {
			t.Fatalf("isolate: %v\n%s", err, out)
		}
		if reach(n.device, otherV4+":80") == nil {
			t.Fatal("the device is not isolated")
		}
	}
	code := func() string {
		t.Helper()
		out, err := cli("device", "release-code", devices[0].ID, "--comment", "it lost its route")
		if err != nil {
			t.Fatalf("release-code: %v\n%s", err, out)
		}
		var c struct {
			Code string `json:"code"`
		}
		decodeLast(t, out, &c)
		return c.Code
	}
	release := func(c string) (string, error) {
		out, err := exec.Command("ip", "netns", "exec", n.device, bin("vedette-agent"), "release", "--state-dir", a.state, "--instance", a.instance, "--code", c).CombinedOutput()
		return string(out), err
	}
	isolate()
	first := code()
	command(t, "ip", "-n", n.server, "link", "set", n.serverIf, "down")
	if out, err := release(strings.Replace(first, first[20:25], "AAAAA", 1)); err == nil {
		t.Errorf("a mistyped code: %s", out)
	}
	if reach(n.device, otherV4+":80") == nil {
		t.Error("a mistyped code released the device")
	}
	if out, err := release(first); err != nil {
		t.Fatalf("release: %v %s", err, out)
	}
	if err := reach(n.device, otherV4+":80"); err != nil {
		t.Errorf("after the code: %v", err)
	}
	if out, err := release(first); err == nil || !strings.Contains(out, "used") {
		t.Errorf("the same code again: %v %s", err, out)
	}
	command(t, "ip", "-n", n.server, "link", "set", n.serverIf, "up")
	command(t, "ip", "-n", n.server, "-6", "addr", "replace", serverV6+"/64", "dev", n.serverIf, "nodad")
	await(t, "the server to hear of it", func() error {
		out, err := cli("hunt", `DeviceEvents | where ActionType == "IsolationReleasedByCode"`)
		if err != nil || !strings.Contains(out, "IsolationReleasedByCode") {
			return &exec.Error{Name: out, Err: exec.ErrNotFound}
		}
		return nil
	})

	// Without an agent the command does it itself.
	isolate()
	second := code()
	a.kill()
	if reach(n.device, otherV4+":80") == nil {
		t.Error("the isolation ended with the agent")
	}
	if out, err := release(second); err != nil {
		t.Fatalf("release without an agent: %v %s", err, out)
	}
	if err := reach(n.device, otherV4+":80"); err != nil {
		t.Errorf("after the code: %v", err)
	}
}
