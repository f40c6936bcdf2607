package e2e

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/vedette-edr/vedette/client"
)

// TestIsolationCutsADeviceOffAndBack runs server, device and a third host in network
// namespaces, isolates the device through the API, and looks at the cables.
func TestIsolationCutsADeviceOffAndBack(t *testing.T) {
	n := newNetwork(t)
	s := &server{dir: t.TempDir(), addr: serverV4 + ":8443", ns: n.server}
	s.process = start(t, "ip", "netns", "exec", n.server, bin("vedetted"), "serve", "--data-dir", s.dir, "--listen", ":8443", "--rate-limit", "off")
	s.awaitProfile(t)
	// The command line runs where the server can be reached.
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
			return &exec.Error{Name: out, Err: err}
		}
		var all []client.Machine
		if err := json.Unmarshal([]byte(out), &all); err != nil {
			return err
		}
		if len(all) != 1 || all[0].HealthStatus != "Active" {
			return &exec.Error{Name: out, Err: exec.ErrNotFound}
		}
		device = all[0]
		return nil
	})

	listen(t, n.other, 80)
	listen(t, n.server, 80)
	listen(t, n.device, 22)
	open := map[string][2]string{
		"device to other over IPv4":             {n.device, otherV4 + ":80"},
		"device to other over IPv6":             {n.device, "[" + otherV6 + "]:80"},
		"device to another port of the server":  {n.device, serverV4 + ":80"},
		"other to device over IPv4":             {n.other, deviceOther4 + ":22"},
		"other to device over IPv6":             {n.other, "[" + deviceOth6 + "]:22"},
		"server's host to the device's own ssh": {n.server, deviceV4 + ":22"},
	}
	for what, way := range open {
		if err := reach(way[0], way[1]); err != nil {
			t.Fatalf("before isolation, %s: %v", what, err)
		}
	}
	attacker, err := dial(n.device, otherV4+":80")
	if err != nil {
		t.Fatal(err)
	}
	defer attacker.Close()
	if err := echo(attacker); err != nil {
		t.Fatalf("the session that isolation should end does not work: %v", err)
	}

	out, err := cli("device", "isolate", device.Name, "--comment", "end-to-end test", "--wait", "45s")
	if err != nil {
		t.Fatalf("isolate: %v\n%s", err, out)
	}
	var act client.Action
	decodeLast(t, out, &act)
	if act.Status != "Succeeded" || act.Type != "Isolate" || act.MachineID != device.ID {
		t.Fatalf("the action says %+v", act)
	}

	// From here on nothing but neighbour discovery may leave the device towards the other.
	packets := watch(t, n.other, n.otherIf, "(ip or ip6) and not icmp6")
	for what, way := range open {
		if err := reach(way[0], way[1]); err == nil {
			t.Errorf("isolated, and yet %s works", what)
		}
	}
	if err := echo(attacker); err == nil {
		t.Error("isolated, and yet a session from before goes on")
	}
	if err := reach(n.device, "127.0.0.1:22"); err != nil {
		t.Errorf("loopback of the isolated device: %v", err)
	}
	for _, p := range packets() {
		// Attempts of the other towards the device may be seen; nothing may come from the device.
		if strings.Contains(p, " "+deviceOther4+".") && strings.Index(p, deviceOther4) < strings.Index(p, " > ") ||
			strings.Contains(p, deviceOth6) && strings.Index(p, deviceOth6) < strings.Index(p, " > ") {
			t.Errorf("a packet left the isolated device: %s", p)
		}
	}

	// The device still talks to the server: its health goes on, and so does its telemetry.
	marker := unique("vedette-isolated-")
	command(t, "ip", "netns", "exec", n.device, "/bin/sh", "-c", ": "+marker+"; /bin/true "+marker)
	await(t, "telemetry from the isolated device", func() error {
		out, err := cli("hunt", `DeviceProcessEvents | where ProcessCommandLine has "`+marker+`" and FileName == "true"`)
		if err != nil || !strings.Contains(out, marker) {
			return &exec.Error{Name: out, Err: exec.ErrNotFound}
		}
		return nil
	})

	out, err = cli("device", "unisolate", device.Name, "--comment", "end-to-end test", "--wait", "45s")
	if err != nil {
		t.Fatalf("unisolate: %v\n%s", err, out)
	}
	decodeLast(t, out, &act)
	if act.Status != "Succeeded" || act.Type != "Unisolate" {
		t.Fatalf("the action says %+v", act)
	}
	for what, way := range open {
		if err := reach(way[0], way[1]); err != nil {
			t.Errorf("after release, %s: %v", what, err)
		}
	}
	if tables := command(t, "ip", "netns", "exec", n.device, "nft", "list", "tables"); strings.Contains(tables, "vedette") {
		t.Errorf("after release the device still has %s", tables)
	}
}

// TestIsolationOfTheServersOwnHostIsRefused guards whoever runs both on one machine.
func TestIsolationOfTheServersOwnHostIsRefused(t *testing.T) {
	s := startServer(t)
	startAgent(t, s, "")
	device := s.onlyDevice(t)
	cmd := exec.Command(bin("vedette"), "--profile", s.profilePath(), "device", "isolate", device.ID, "--comment", "should be refused")
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatalf("isolation of the server's own host was accepted:\n%s", out)
	}
	if !strings.Contains(string(out), "--force-self") {
		t.Errorf("the refusal does not say what to do: %s", out)
	}
	if tables := command(t, "nft", "list", "tables"); strings.Contains(tables, "vedette_isolate") {
		t.Errorf("this host has %s", tables)
	}
}

// TestForcedIsolationOfTheServersOwnHost isolates server and agent in one namespace, where
// the operator said so, and releases them over loopback.
func TestForcedIsolationOfTheServersOwnHost(t *testing.T) {
	n := newNetwork(t)
	s := &server{dir: t.TempDir(), addr: "127.0.0.1:8443", ns: n.server}
	s.process = start(t, "ip", "netns", "exec", n.server, bin("vedetted"), "serve", "--data-dir", s.dir, "--listen", ":8443", "--rate-limit", "off")
	s.awaitProfile(t)
	cli := func(args ...string) (string, error) {
		cmd := exec.Command("ip", append([]string{"netns", "exec", n.server, bin("vedette"), "--profile", s.profilePath(), "-o", "json"}, args...)...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	await(t, "the server", func() error { return reach(n.server, "127.0.0.1:8443", connectOnly) })
	startAgent(t, s, n.server)
	listen(t, n.server, 80)
	if err := reach(n.device, serverV4+":80"); err != nil {
		t.Fatal(err)
	}
	var devices []client.Machine
	out, err := cli("device", "list")
	if err != nil || json.Unmarshal([]byte(out), &devices) != nil || len(devices) != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	id := devices[0].ID
	if out, err := cli("device", "isolate", id, "--comment", "not meant"); err == nil || !strings.Contains(out, "--force-self") {
		t.Fatalf("without being forced: %v: %s", err, out)
	}
	if out, err := cli("device", "isolate", id, "--comment", "meant", "--force-self", "--wait", "45s"); err != nil {
		t.Fatalf("forced: %v: %s", err, out)
	}
	if err := reach(n.device, serverV4+":80"); err == nil {
		t.Error("isolated, and yet its port 80 can be reached")
	}
	if out, err := cli("device", "unisolate", id, "--comment", "enough", "--wait", "45s"); err != nil {
		t.Fatalf("unisolate: %v: %s", err, out)
	}
	if err := reach(n.device, serverV4+":80"); err != nil {
		t.Errorf("after release: %v", err)
	}
}

// decodeLast reads the JSON object that a command printed after its progress lines.
func decodeLast(t *testing.T, out string, v any) {
	t.Helper()
	i := strings.Index(out, "{")
	if i < 0 {
		t.Fatalf("no JSON in %q", out)
	}
	if err := json.Unmarshal([]byte(out[i:]), v); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
}
