package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/vedette-edr/vedette/client"
)

// nobody is an unprivileged user and group of every Linux.
const nobody = 65534

// asNobody runs a program as an unprivileged user without any capability.
var asNobody = []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"}

// contained runs a program as root of a container would: with a pid namespace and a view
// of the file system of its own, and none of the capabilities that sensors need.
var contained = []string{"unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--ipc", "--uts",
	"setpriv", "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"}

// openDir makes a directory that everybody may enter, for programs that are not root's.
func openDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "vedette-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// copyFile gives a file to everybody.
func copyFile(t testing.TB, from, to string, mode os.FileMode) string {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, mode); err != nil {
		t.Fatal(err)
	}
	return to
}

// nobodysDir makes a directory inside dir that belongs to the unprivileged user.
func nobodysDir(t testing.TB, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestAgentWithoutPrivileges starts the agent where it may see nothing. It says what it
// lacks and how to get it, on the device and on the server, and goes on.
func TestAgentWithoutPrivileges(t *testing.T) {
	s := startServer(t)
	dir := openDir(t)
	program := copyFile(t, bin("vedette-agent"), filepath.Join(dir, "vedette-agent"), 0o755)
	ca := copyFile(t, s.profile.CAFile, filepath.Join(dir, "ca.crt"), 0o644)
	for name, wrapper := range map[string][]string{"nobody": asNobody, "container": contained} {
		t.Run(name, func(t *testing.T) {
			state := nobodysDir(t, dir, name)
			if name == "container" { // root without capabilities may not enter another user's directory
				if err := os.Chown(state, 0, 0); err != nil {
					t.Fatal(err)
				}
			}
			before := s.deviceIDs(t)
			args := append(slices.Clone(wrapper), program, "run", "--server", "https://"+s.addr, "--ca", ca,
				"--enroll-token", s.profile.EnrollmentToken, "--state-dir", state, "--instance", unique("n"))
			p := start(t, args[0], args[1:]...)
			t.Cleanup(p.kill) // unshare passes no other signal on
			var st struct {
				Ready      bool
				Device     string
				Facilities []client.Facility
			}
			await(t, "the agent to know what it lacks", func() error {
				if !p.running() {
					t.Fatalf("vedette-agent ended: %v\n%s", p.err, p.out)
				}
				out, err := exec.Command(bin("vedette-agent"), "status", "--json", "--state-dir", state).CombinedOutput()
				if err != nil {
					return fmt.Errorf("%v: %s", err, out)
				}
				if err := json.Unmarshal(out, &st); err != nil {
					return err
				}
				if !st.Ready {
					return fmt.Errorf("not yet: %s", out)
				}
				return nil
			})
			lacking(t, "the agent's status", st.Facilities)
			text := command(t, bin("vedette-agent"), "status", "--state-dir", state)
			if !strings.Contains(text, "is missing") || !strings.Contains(text, "to mend it:") {
				t.Errorf("vedette-agent status prints:\n%s", text)
			}
			await(t, "the agent's log to say what it lacks", func() error {
				if said := p.out.String(); !strings.Contains(said, "not everything can be seen") || !strings.Contains(said, "remedy=") {
					return fmt.Errorf("it says:\n%s", said)
				}
				return nil
			})
			if said := p.out.String(); strings.Contains(said, "watching isolation") {
				t.Errorf("the log complains a second time of isolation, which is a facility that is missing:\n%s", said)
			}
			if slices.Contains(before, st.Device) {
				t.Errorf("the device %s was there before", st.Device)
			}
			await(t, "the server to say it too", func() error {
				h, err := s.Health(context.Background(), st.Device)
				if err != nil {
					return err
				}
				if len(h.Facilities) == 0 || len(h.Problems) == 0 {
					return fmt.Errorf("%+v", h)
				}
				if !slices.ContainsFunc(h.Facilities, func(f client.Facility) bool { return f.Name == "bpf" }) {
					return fmt.Errorf("%+v", h.Facilities)
				}
				lacking(t, "the server", h.Facilities)
				return nil
			})
		})
	}
}

// lacking expects the sensors of the kernel to be missing, each with a reason and a remedy.
func lacking(t *testing.T, who string, fs []client.Facility) {
	t.Helper()
	found := false
	for _, f := range fs {
		if f.State == "working" {
			continue
		}
		found = found || f.Name == "bpf" && f.State == "missing"
		if f.Detail == "" {
			t.Errorf("%s: %s is %s without a reason", who, f.Name, f.State)
		}
		// Against what no build of the agent does yet there is no remedy.
		if f.State == "missing" && f.Remedy == "" && !strings.HasPrefix(f.Name, "enforce:") {
			t.Errorf("%s: %s is missing without a remedy: %s", who, f.Name, f.Detail)
		}
	}
	if !found {
		t.Errorf("%s does not say that bpf is missing: %+v", who, fs)
	}
}

func (s *server) deviceIDs(t testing.TB) (ids []string) {
	t.Helper()
	// The published API answers 404 while there is none.
	all, _ := client.All[client.Machine](context.Background(), s.Client, "/api/machines", client.List{})
	for _, m := range all {
		ids = append(ids, m.ID)
	}
	return ids
}

// TestServerWithoutRoot runs the server as an unprivileged user: devices report, hunts
// run, and what their sandbox lacks is said.
func TestServerWithoutRoot(t *testing.T) {
	dir := openDir(t)
	program := copyFile(t, bin("vedetted"), filepath.Join(dir, "vedetted"), 0o755)
	s := &server{dir: nobodysDir(t, dir, "data"), addr: fmt.Sprintf("127.0.0.1:%d", freePort(t)), program: append(slices.Clone(asNobody), program)}
	s.start(t)
	f := startFleet(t, s, 1, nil)
	d := f.Devices()[0]
	marker := unique("user")
	d.Emit(d.Numbered(marker, 0, 100)...)
	s.expectOnce(t, f, marker, map[string]int{d.Name(): 100})
	p := s.part(t, "query sandbox")
	if p.State != "ok" {
		t.Errorf("the sandbox says %+v", p)
	}
	t.Logf("without root the sandbox says: %s", p.Detail)
	info, err := os.Stat(filepath.Join(s.dir, "control.db"))
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; owner != nobody {
		t.Errorf("the control store belongs to user %d: the server was not unprivileged", owner)
	}
}
