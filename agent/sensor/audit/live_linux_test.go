package audit

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/agent/passwd"
	"github.com/vedette-edr/vedette/agent/sensor"
	"github.com/vedette-edr/vedette/schema/event"
)

// sink keeps what a sensor emits.
type sink struct {
	mu     sync.Mutex
	events []*event.Event
	gaps   []event.Gap
}

func (s *sink) Emit(e *event.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

func (s *sink) Lost(g event.Gap) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gaps = append(s.gaps, g)
}

// of returns the events of one account.
func (s *sink) of(account string) []*event.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*event.Event
	for _, e := range s.events {
		if e.Account.Name == account {
			out = append(out, e)
		}
	}
	return out
}

// wait polls until the account's events, as lines, contain all of want.
func (s *sink) wait(t *testing.T, account string, want ...string) []*event.Event {
	t.Helper()
	var lines []string
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		events := s.of(account)
		lines = lines[:0]
		for _, e := range events {
			lines = append(lines, short(e))
		}
		all := strings.Join(lines, "\n") + "\n"
		missing := false
		for _, w := range want {
			missing = missing || !strings.Contains(all, w+"\n")
		}
		if !missing {
			return events
		}
	}
	t.Fatalf("events of %s:\n%s\nwant all of:\n%s", account, strings.Join(lines, "\n"), strings.Join(want, "\n"))
	return nil
}

func short(e *event.Event) string {
	s := e.Action + " " + e.Logon.Type + " " + e.Logon.Protocol
	if e.Logon.Failure != "" {
		s += " " + e.Logon.Failure
	}
	return s
}

func needRoot(t *testing.T, tools ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s", tool)
		}
	}
}

// start runs a sensor until the test ends or stop is called, and waits until it works.
func start(t *testing.T, cfg Config, facility string) (out *sink, s *Sensor, stop func()) {
	t.Helper()
	s, out = New(cfg), &sink{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, out) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("run: %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("the sensor did not stop")
		}
	})
	t.Cleanup(stop)
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		for _, f := range s.Facilities() {
			if f.Name == facility && f.State != sensor.Missing {
				return out, s, stop
			}
			if f.Name == facReadLog && f.State == sensor.Missing && facility == facReadLog {
				t.Skipf("audit cannot be had here: %s", f.Detail)
			}
		}
	}
	t.Fatalf("not working: %+v", s.Facilities())
	return nil, nil, nil
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

const password = "Correct.horse7"

// addUser makes a local user that the test's end removes.
func addUser(t *testing.T, tag string) string {
	t.Helper()
	name := fmt.Sprintf("vdt-test-%s%x", tag, os.Getpid())
	run(t, "useradd", "-m", "-d", filepath.Join(os.TempDir(), name), "-s", "/bin/bash", name)
	t.Cleanup(func() {
		if out, err := exec.Command("userdel", "-f", "-r", name).CombinedOutput(); err != nil && !bytes.Contains(out, []byte("mail spool")) {
			t.Errorf("userdel: %v\n%s", err, out)
		}
	})
	c := exec.Command("chpasswd")
	c.Stdin = strings.NewReader(name + ":" + password + "\n")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("chpasswd: %v\n%s", err, out)
	}
	return name
}

// server is an sshd of the test's own.
type server struct {
	dir, key string
	port     int
}

func startSSHD(t *testing.T, pam string) *server {
	t.Helper()
	dir, err := os.MkdirTemp("", "vdt-sshd-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { // sshd reads the keys as the user
		t.Fatal(err)
	}
	s := &server{dir: dir, key: dir + "/client"}
	run(t, "ssh-keygen", "-qt", "ed25519", "-N", "", "-f", dir+"/host")
	run(t, "ssh-keygen", "-qt", "ed25519", "-N", "", "-f", s.key)
	l, err := net.Listen("tcp", "127.0.0.77:0")
	if err != nil {
		t.Fatal(err)
	}
	s.port = l.Addr().(*net.TCPAddr).Port
	l.Close()
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		t.Fatal(err)
	}
	cfg := fmt.Sprintf("Port %d\nListenAddress 127.0.0.77\nHostKey %s/host\nPidFile %s/pid\nUsePAM %s\n"+
		"AuthorizedKeysFile %s/client.pub\nStrictModes no\nPasswordAuthentication yes\n"+
		"KbdInteractiveAuthentication no\n", s.port, dir, dir, pam, dir)
	if err := os.WriteFile(dir+"/config", []byte(cfg), 0o600); err != nil {
		t.Fatal(err)
	}
	ask := "#!/bin/sh\necho \"$VDT_PASSWORD\"\n"
	if err := os.WriteFile(dir+"/ask", []byte(ask), 0o700); err != nil {
		t.Fatal(err)
	}
	path, _ := exec.LookPath("sshd")
	cmd := exec.Command(path, "-D", "-f", dir+"/config", "-E", dir+"/log")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", s.addr())
		if err == nil {
			c.Close()
			return s
		}
		if time.Now().After(end) {
			log, _ := os.ReadFile(dir + "/log")
			t.Fatalf("sshd did not start: %v\n%s", err, log)
		}
	}
}

func (s *server) addr() string { return net.JoinHostPort("127.0.0.77", strconv.Itoa(s.port)) }

// ssh logs in as user; an empty password means with the key. It returns the error of ssh.
func (s *server) ssh(t *testing.T, user, password, tty, command string) error {
	t.Helper()
	args := []string{"-p", strconv.Itoa(s.port), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
		"-o", "LogLevel=ERROR", "-o", "NumberOfPasswordPrompts=1", "-F", "/dev/null", tty}
	if password == "" {
		args = append(args, "-i", s.key, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes")
	} else {
		args = append(args, "-o", "PubkeyAuthentication=no")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, "ssh", append(args, "-l", user, "127.0.0.77", command)...)
	c.Env = append(os.Environ(), "SSH_ASKPASS="+s.dir+"/ask", "SSH_ASKPASS_REQUIRE=force", "VDT_PASSWORD="+password)
	out, err := c.CombinedOutput()
	t.Logf("ssh %s %s: %v %s", user, tty, err, bytes.TrimSpace(out))
	return err
}

// count returns how many of the events are one line.
func count(events []*event.Event, line string) int {
	n := 0
	for _, e := range events {
		if short(e) == line {
			n++
		}
	}
	return n
}

func TestRealSSHSessions(t *testing.T) {
	needRoot(t, "sshd", "ssh", "ssh-keygen", "useradd", "userdel", "chpasswd")
	user := addUser(t, "s")
	srv := startSSHD(t, "yes")
	lookup := func(pid uint32) *event.Process { return &event.Process{PID: pid} }
	out, _, _ := start(t, Config{Lookup: lookup, Mark: filepath.Join(t.TempDir(), "mark"), Hold: time.Minute}, facReadLog)
	began := time.Now()

	if err := srv.ssh(t, user, "", "-tt", "tty"); err != nil {
		t.Fatal(err)
	}
	if err := srv.ssh(t, user, password, "-tt", "tty"); err != nil {
		t.Fatal(err)
	}
	if err := srv.ssh(t, user, "", "-T", "true"); err != nil {
		t.Fatal(err)
	}
	if err := srv.ssh(t, user, "wrong", "-T", "true"); err == nil {
		t.Fatal("a wrong password was let in")
	}
	out.wait(t, user, "LogonSuccess RemoteInteractive ssh", "LogonSuccess Network ssh", "Logoff RemoteInteractive ssh",
		"Logoff Network ssh", "LogonFailed Network ssh InvalidUserNameOrPassword")
	// A last session whose end has been seen shows that nothing more is to come of the others.
	if err := srv.ssh(t, user, "", "-tt", "true"); err != nil {
		t.Fatal(err)
	}
	var events []*event.Event
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if events = out.of(user); count(events, "Logoff RemoteInteractive ssh") == 3 {
			break
		}
	}
	for line, want := range map[string]int{
		"LogonSuccess RemoteInteractive ssh": 3, "LogonSuccess Network ssh": 1,
		"LogonFailed Network ssh InvalidUserNameOrPassword": 1,
		"Logoff RemoteInteractive ssh":                      3, "Logoff Network ssh": 1,
	} {
		if got := count(events, line); got != want {
			t.Errorf("%d × %s, want %d", got, line, want)
		}
	}
	u, _ := passwd.NewCache("/").DB().ByName(user)
	ids := map[uint64]bool{}
	for _, e := range events {
		if e.Account.SID != itoa(u.UID) || e.Logon.RemoteIP != "127.0.0.1" || e.Logon.LocalAdmin {
			t.Errorf("%s: account %+v, logon %+v", short(e), e.Account, e.Logon)
		}
		if e.Initiating == nil || e.Initiating.PID == 0 {
			t.Errorf("%s: no process", short(e))
		}
		if e.Boot == 0 || e.Time.Before(began.Add(-time.Second)) || e.Time.After(time.Now().Add(time.Second)) {
			t.Errorf("%s: time %v, boot %d", short(e), e.Time, e.Boot)
		}
		if e.Action == "LogonSuccess" {
			if e.Logon.ID == 0 || ids[e.Logon.ID] {
				t.Errorf("session id %d is unset or used twice", e.Logon.ID)
			}
			ids[e.Logon.ID] = true
		}
	}
}

func TestRealSSHUnknownUserAndWithoutPAM(t *testing.T) {
	needRoot(t, "sshd", "ssh", "ssh-keygen", "useradd", "userdel", "chpasswd")
	user := addUser(t, "n")
	out, _, _ := start(t, Config{}, facReadLog)
	nobody := fmt.Sprintf("no one %x", os.Getpid())
	if err := startSSHD(t, "yes").ssh(t, nobody, "x", "-T", "true"); err == nil {
		t.Fatal("an unknown user was let in")
	}
	out.wait(t, nobody, "LogonFailed Network ssh InvalidUserNameOrPassword")
	srv := startSSHD(t, "no")
	if err := srv.ssh(t, user, "", "-tt", "tty"); err != nil {
		t.Fatal(err)
	}
	if err := srv.ssh(t, user, "wrong", "-T", "true"); err == nil {
		t.Fatal("a wrong password was let in")
	}
	out.wait(t, user, "LogonSuccess RemoteInteractive ssh", "LogonFailed Network ssh ConnectionClosed")
}

func TestRealSu(t *testing.T) {
	needRoot(t, "su", "script", "useradd", "userdel", "chpasswd")
	user := addUser(t, "u")
	out, _, _ := start(t, Config{}, facReadLog)
	run(t, "script", "-qec", "su - "+user+" -c tty", "/dev/null")
	// A login as root from the user, with no password given.
	_ = exec.Command("su", user, "-c", "setsid su "+user+" -c true </dev/null").Run()
	events := out.wait(t, user, "LogonSuccess Interactive su", "Logoff Interactive su",
		"LogonSuccess Batch su", "LogonFailed Batch su InvalidUserNameOrPassword")
	if n := count(events, "LogonSuccess Interactive su"); n != 1 {
		t.Errorf("%d interactive logons of one su", n)
	}
}

func TestAuditIsPutBack(t *testing.T) {
	needRoot(t)
	c, err := openControl()
	if err != nil {
		t.Skipf("audit cannot be had here: %v", err)
	}
	defer c.Close()
	before, err := c.status()
	if err != nil {
		t.Skipf("audit cannot be had here: %v", err)
	}
	if !before.unowned() {
		t.Skipf("somebody owns audit: %+v", before)
	}
	mark := filepath.Join(t.TempDir(), "mark")
	out, _, stop := start(t, Config{Mark: mark}, facReadLog)
	if s, err := c.status(); err != nil || s.Enabled != 1 || s.PID != 0 {
		t.Errorf("while running: %+v, %v", s, err)
	}
	if _, err := os.Stat(mark); err != nil {
		t.Errorf("no mark: %v", err)
	}
	if listeners() > 1 {
		t.Skip("another agent came to use audit")
	}
	// Somebody turns it off: it comes back, and the gap is told.
	if err := c.enable(0); err != nil {
		t.Fatal(err)
	}
	ok := false
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end) && !ok; time.Sleep(10 * time.Millisecond) {
		s, _ := c.status()
		out.mu.Lock()
		ok = s.Enabled == 1 && len(out.gaps) > 0 && strings.Contains(out.gaps[0].Reason, "turned off")
		out.mu.Unlock()
	}
	if !ok {
		t.Error("audit was not turned on again, or its gap was not told")
	}
	// While somebody else listens it stays on; the last one turns it off.
	second, _, stopSecond := start(t, Config{Mark: mark}, facReadLog)
	stop()
	if s, err := c.status(); err != nil || s.Enabled != 1 {
		t.Errorf("while another agent listens: %+v, %v", s, err)
	}
	stopSecond()
	if len(second.gaps) > 0 {
		t.Errorf("the second agent's gaps: %+v", second.gaps)
	}
	if listeners() > 0 {
		t.Skip("another agent came to use audit")
	}
	if after, err := c.status(); err != nil || !after.unowned() {
		t.Errorf("afterwards: %+v, %v; before: %+v", after, err, before)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("the mark is still there")
	}
	if err := c.taskNever(msgDelRule); err == nil {
		t.Error("the task rule was still there")
	}
}

func TestSuccessorOfAKilledAgentPutsAuditBack(t *testing.T) {
	needRoot(t)
	c, err := openControl()
	if err != nil {
		t.Skipf("audit cannot be had here: %v", err)
	}
	defer c.Close()
	if s, err := c.status(); err != nil || !s.unowned() {
		t.Skipf("somebody owns audit: %+v, %v", s, err)
	}
	t.Cleanup(func() { _ = c.taskNever(msgDelRule); _ = c.enable(0) })
	mark := filepath.Join(t.TempDir(), "mark")
	if _, on, err := newOwner(c, mark).acquire(); err != nil || !on { // and never restored
		t.Fatalf("acquire: %v, %v", on, err)
	}
	next := newOwner(c, mark)
	if _, on, err := next.acquire(); err != nil || on || !next.mine {
		t.Fatalf("the successor: %+v, %v, %v", next, on, err)
	}
	if err := next.restore(0); err != nil {
		t.Fatal(err)
	}
	if s, err := c.status(); err != nil || !s.unowned() && listeners() == 0 {
		t.Errorf("afterwards: %+v, %v", s, err)
	}
}

func TestFallbackFollowsTheLoginRecords(t *testing.T) {
	needRoot(t, "sshd", "ssh", "ssh-keygen", "useradd", "userdel", "chpasswd")
	for _, f := range []string{"/var/log/wtmp", "/var/log/btmp"} {
		if _, err := os.Stat(f); err != nil {
			t.Skipf("sshd writes no login records here: %v", err)
		}
	}
	user := addUser(t, "w")
	srv := startSSHD(t, "yes")
	out, _, _ := start(t, Config{NoAudit: true}, facUtmp)
	if err := srv.ssh(t, user, "", "-tt", "tty"); err != nil {
		t.Fatal(err)
	}
	if err := srv.ssh(t, user, "wrong", "-T", "true"); err == nil {
		t.Fatal("a wrong password was let in")
	}
	events := out.wait(t, user, "LogonSuccess RemoteInteractive ", "Logoff RemoteInteractive ",
		"LogonFailed Network ssh InvalidUserNameOrPassword")
	for _, e := range events {
		if e.Logon.RemoteIP != "127.0.0.1" || time.Since(e.Time) > 5*time.Minute || e.Account.SID == "" {
			t.Errorf("%s at %v from %q, account %+v", short(e), e.Time, e.Logon.RemoteIP, e.Account)
		}
	}
}
