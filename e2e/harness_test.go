package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/client"
)

// patience bounds every wait for something that should happen soon: generous, because
// machines of continuous integration are slow and shared. $VEDETTE_PATIENCE is another, for
// machines that are emulated.
var patience = 60 * time.Second

var binDir string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		if os.Geteuid() != 0 {
			fmt.Fprintln(os.Stderr, "the end-to-end tests need root: sensors, namespaces and logons do")
			return 1
		}
		if v := os.Getenv("VEDETTE_PATIENCE"); v != "" {
			var err error
			if patience, err = time.ParseDuration(v); err != nil {
				fmt.Fprintln(os.Stderr, "VEDETTE_PATIENCE:", err)
				return 1
			}
		}
		binDir = os.Getenv("VEDETTE_BIN")
		if binDir == "" {
			dir, err := os.MkdirTemp("", "vedette-bin-")
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
			defer os.RemoveAll(dir)
			binDir = dir
			for _, name := range []string{"vedetted", "vedette-agent", "vedette"} {
				build := exec.Command("go", "build", "-o", filepath.Join(dir, name), "../cmd/"+name)
				build.Stderr = os.Stderr
				if err := build.Run(); err != nil {
					fmt.Fprintln(os.Stderr, "building", name+":", err)
					return 1
				}
			}
			// A module of its own, so that its dependencies are not the server's.
			build := exec.Command("go", "build", "-o", filepath.Join(dir, "identityprovider"), ".")
			build.Dir, build.Stderr = "identityprovider", os.Stderr
			if err := build.Run(); err != nil {
				fmt.Fprintln(os.Stderr, "building identityprovider:", err)
				return 1
			}
		}
		return m.Run()
	}())
}

func bin(name string) string { return filepath.Join(binDir, name) }

// unique returns a short name that no other test run uses.
func unique(prefix string) string {
	var b [4]byte
	rand.Read(b[:])
	return prefix + hex.EncodeToString(b[:])
}

// process is one program under test, with its output kept for failures.
type process struct {
	cmd *exec.Cmd
	out *buffer
	end chan struct{}
	err error
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// start runs a program until the test ends, and shows its last output if the test failed.
func start(t testing.TB, name string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(name, args...), out: &buffer{}, end: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.end)
	}()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			lines := slices.DeleteFunc(strings.Split(p.out.String(), "\n"), func(l string) bool {
				return strings.Contains(l, "msg=request") && strings.Contains(l, "status=20")
			})
			t.Logf("%s %s said:\n%s", filepath.Base(name), strings.Join(args, " "), strings.Join(lines[max(0, len(lines)-60):], "\n"))
		}
	})
	return p
}

// stop asks the program to end, and insists after a while.
func (p *process) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.end:
	case <-time.After(20 * time.Second):
		p.kill()
	}
}

// kill ends the program as a crash would.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.end
}

func (p *process) running() bool {
	select {
	case <-p.end:
		return false
	default:
		return true
	}
}

// server is a running vedetted with a client of its API.
type server struct {
	*process
	dir     string   // its data directory
	addr    string   // host:port of its HTTPS listener
	ns      string   // network namespace, "" for the host's
	flags   []string // further flags
	program []string // what starts it; nil for vedetted itself
	*client.Client
	profile *client.Profile
}

// freePort returns a port of loopback that nobody listens on. It is not one of those that the
// kernel gives to connections (32768 and above), which one could take before a server does.
func freePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+mathrand.IntN(20_000)))
		if err == nil {
			defer l.Close()
			return l.Addr().(*net.TCPAddr).Port
		}
	}
	t.Fatal("no port is free")
	return 0
}

// startServer starts a server on an empty data directory and waits until it is ready.
func startServer(t testing.TB) *server {
	t.Helper()
	s := &server{dir: t.TempDir(), addr: fmt.Sprintf("127.0.0.1:%d", freePort(t))}
	s.start(t)
	return s
}

// start starts (again) the server on its directory and address.
func (s *server) start(t testing.TB) {
	t.Helper()
	s.process = s.launch(t)
	s.awaitProfile(t)
	hc := s.httpClient(t)
	await(t, "the server to be ready", func() error {
		if !s.running() {
			t.Fatalf("vedetted ended: %v\n%s", s.err, s.out)
		}
		resp, err := hc.Get("https://" + s.addr + "/readyz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("/readyz answers %s", resp.Status)
		}
		return nil
	})
}

// part asks /readyz for the state of one part.
func (s *server) part(t testing.TB, name string) (p struct{ Part, State, Detail string }) {
	t.Helper()
	resp, err := s.httpClient(t).Get("https://" + s.addr + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var sum struct {
		Parts []struct{ Part, State, Detail string }
	}
	if err := json.NewDecoder(resp.Body).Decode(&sum); err != nil {
		t.Fatal(err)
	}
	for _, p := range sum.Parts {
		if p.Part == name {
			return p
		}
	}
	t.Fatalf("/readyz knows no part %q: %v", name, sum)
	return p
}

// launch starts the program and waits for nothing.
func (s *server) launch(t testing.TB) *process {
	t.Helper()
	args := s.program
	if args == nil {
		args = []string{bin("vedetted")}
	}
	args = slices.Concat(args, []string{"serve", "--data-dir", s.dir, "--listen", s.addr, "--rate-limit", "off"}, s.flags)
	return start(t, args[0], args[1:]...)
}

func (s *server) awaitProfile(t testing.TB) {
	t.Helper()
	await(t, "bootstrap.json", func() error {
		if !s.running() {
			t.Fatalf("vedetted ended: %v\n%s", s.err, s.out)
		}
		p, err := client.LoadProfile(s.profilePath())
		if err != nil {
			return err
		}
		s.profile = p
		s.Client, err = client.New(*p)
		return err
	})
}

func (s *server) profilePath() string { return filepath.Join(s.dir, "bootstrap.json") }

// httpClient returns a client that trusts the server's authority and sends no token.
func (s *server) httpClient(t testing.TB) *http.Client {
	t.Helper()
	tr := http.DefaultTransport.(*http.Transport).Clone()
	tr.TLSClientConfig = trust(t, s.profile.CAFile)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 30 * time.Second}
}

// cli runs the vedette command against the server and returns what it printed.
func (s *server) cli(t testing.TB, args ...string) string {
	t.Helper()
	cmd := exec.Command(bin("vedette"), append([]string{"--profile", s.profilePath()}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("vedette %s: %v\n%s%s", strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String()
}

// agentRun is a running vedette-agent.
type agentRun struct {
	*process
	state, instance string
	args            []string
}

// startAgent enrols an agent on this host, inside the network namespace ns unless it is "".
func startAgent(t testing.TB, s *server, ns string) *agentRun {
	t.Helper()
	a := &agentRun{state: t.TempDir(), instance: unique("t")}
	tokenFile := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(tokenFile, []byte(s.profile.EnrollmentToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a.args = []string{bin("vedette-agent"), "run", "--server", "https://" + s.addr, "--enroll-token-file", tokenFile,
		"--ca", s.profile.CAFile, "--state-dir", a.state, "--instance", a.instance}
	if ns != "" {
		a.args = append([]string{"ip", "netns", "exec", ns}, a.args...)
	}
	a.restart(t)
	return a
}

// restart starts the agent (again) and waits until its sensors watch.
func (a *agentRun) restart(t testing.TB) {
	t.Helper()
	a.process = start(t, a.args[0], a.args[1:]...)
	await(t, "the sensors", func() error {
		if !a.running() {
			t.Fatalf("vedette-agent ended: %v\n%s", a.err, a.out)
		}
		out, err := exec.Command(bin("vedette-agent"), "status", "--json", "--state-dir", a.state).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%v: %s", err, out)
		}
		var st struct{ Ready bool }
		if err := json.Unmarshal(out, &st); err != nil {
			return err
		}
		if st.Ready {
			return nil
		}
		return fmt.Errorf("not yet: %s", out)
	})
}

// onlyDevice waits until exactly one device reports as active and returns it.
func (s *server) onlyDevice(t testing.TB) *client.Machine {
	t.Helper()
	var m client.Machine
	await(t, "one active device", func() error {
		all, err := client.All[client.Machine](context.Background(), s.Client, "/api/machines", client.List{})
		if err != nil {
			return err
		}
		if len(all) != 1 || all[0].HealthStatus != "Active" {
			return fmt.Errorf("%d devices: %+v", len(all), all)
		}
		m = all[0]
		return nil
	})
	return &m
}

// hunt runs a query that must succeed.
func (s *server) hunt(t testing.TB, query string) *client.HuntResult {
	t.Helper()
	r, err := s.Hunt(context.Background(), query)
	if err != nil {
		t.Fatalf("hunt %s: %v", query, err)
	}
	return r
}

// huntUntil runs a query until its answer satisfies ok.
func (s *server) huntUntil(t testing.TB, what, query string, ok func([]map[string]any) bool) []map[string]any {
	t.Helper()
	var rows []map[string]any
	await(t, what, func() error {
		r, err := s.Hunt(context.Background(), query)
		if err != nil {
			return err
		}
		if rows = r.Results; !ok(rows) {
			return fmt.Errorf("%d rows: %.2000v", len(rows), rows)
		}
		return nil
	})
	return rows
}

// await calls f until it returns nil.
func await(t testing.TB, what string, f func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s: %v", patience, what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// command runs a program that must succeed.
func command(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func mustJSON(t testing.TB, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
