package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vedette-edr/vedette/client"
)

// TestSelectiveIsolationAndAMessage isolates a device but for one address and one program,
// and tells its users why. The device has a /run of its own: the message is for nobody else.
func TestSelectiveIsolationAndAMessage(t *testing.T) {
	n := newNetwork(t)
	s := &server{dir: t.TempDir(), addr: serverV4 + ":8443", ns: n.server}
	s.process = start(t, "ip", "netns", "exec", n.server, bin("vedetted"), "serve", "--data-dir", s.dir, "--listen", ":8443", "--rate-limit", "off")
	s.awaitProfile(t)
	cli := func(args ...string) (string, error) {
		out, err := exec.Command("ip", append([]string{"netns", "exec", n.server, bin("vedette"), "--profile", s.profilePath(), "-o", "json"}, args...)...).CombinedOutput()
		return string(out), err
	}
	a := &agentRun{state: t.TempDir(), instance: unique("t")}
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(s.profile.EnrollmentToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	seen := t.TempDir()
	a.args = []string{"ip", "netns", "exec", n.device, "sh", "-c", `mount --bind "$0" /run && exec "$@"`, seen,
		bin("vedette-agent"), "run", "--server", "https://" + s.addr, "--enroll-token-file", token, "--ca", s.profile.CAFile, "--state-dir", a.state, "--instance", a.instance}
	a.restart(t)
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
	id := devices[0].ID
	listen(t, n.other, 80)
	listen(t, n.other, 8080)
	program := command(t, "python3", "-c", "import sys; print(sys.executable)")
	program = command(t, "readlink", "-f", strings.TrimSpace(program))
	program = strings.TrimSpace(program)
	try := func(python, addr string) error {
		host, port, _ := strings.Cut(addr, ":")
		out, err := exec.Command("ip", "netns", "exec", n.device, python, "-c",
			"import socket,sys; s=socket.create_connection((sys.argv[1],int(sys.argv[2])),2); s.send(b'x'); sys.exit(0 if s.recv(1)==b'x' else 1)", host, port).CombinedOutput()
		if err != nil {
			return &exec.Error{Name: string(out), Err: err}
		}
		return nil
	}
	if err := try(program, otherV4+":80"); err != nil {
		t.Fatal(err)
	}
	out, err := cli("device", "isolate", id, "--comment", "end-to-end test", "--wait", "45s", "--allow-address", otherV4+":8080/tcp", "--allow-program", program)
	if err != nil {
		t.Fatalf("isolate: %v\n%s", err, out)
	}
	var act client.Action
	decodeLast(t, out, &act)
	if act.Status != "Succeeded" || act.Scope == nil || *act.Scope != "Selective" {
		t.Errorf("the action says %+v", act)
	}
	if err := reach(n.device, otherV4+":80"); err == nil {
		t.Error("a program that is not allowed gets out")
	}
	if err := reach(n.device, otherV4+":8080"); err != nil {
		t.Errorf("the allowed address: %v", err)
	}
	if err := try(program, otherV4+":80"); err != nil {
		t.Errorf("the allowed program: %v", err)
	}

	out, err = cli("device", "notify", id, "This device is isolated.\nCall 4711.", "--title", "Security", "--wait", "45s")
	if err != nil {
		t.Fatalf("notify: %v\n%s", err, out)
	}
	decodeLast(t, out, &act)
	if act.Status != "Succeeded" || act.Type != "NotifyUser" {
		t.Errorf("the action says %+v", act)
	}
	text, err := os.ReadFile(filepath.Join(seen, "motd.d", "50-vedette"))
	if err != nil || !strings.Contains(string(text), "Call 4711.") {
		t.Errorf("who logs on is shown %q: %v", text, err)
	}
	if out, err = cli("device", "unisolate", id, "--comment", "end-to-end test", "--wait", "45s"); err != nil {
		t.Fatalf("unisolate: %v\n%s", err, out)
	}
	if err := reach(n.device, otherV4+":80"); err != nil {
		t.Errorf("after release: %v", err)
	}
}
