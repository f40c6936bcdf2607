package audit

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-edr/vedette/agent/passwd"
	"github.com/vedette-edr/vedette/schema/event"
)

const accounts = "root:x:0:0::/root:/bin/sh\nvera:x:1001:1001::/home/vera:/bin/bash\n" +
	"oper:x:1002:1002::/home/oper:/bin/bash\n"

func testTracker(t *testing.T) *tracker {
	t.Helper()
	root := t.TempDir()
	if err := os.Mkdir(root+"/etc", 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"passwd": accounts, "group": "sudo:x:27:oper\n"} {
		if err := os.WriteFile(root+"/etc/"+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return newTracker("host1", passwd.NewCache(root).DB, nil, 2*time.Second)
}

// play feeds "type text" lines by their own time stamps and returns one line per event.
func play(t *testing.T, tr *tracker, lines []string) []string {
	t.Helper()
	var out []string
	take := func(events []*event.Event) {
		for _, e := range events {
			out = append(out, line(e))
		}
	}
	for _, l := range lines {
		typ, text, _ := strings.Cut(l, " ")
		n, err := strconv.ParseUint(typ, 10, 16)
		if err != nil {
			t.Fatalf("line %q: %v", l, err)
		}
		r, err := parseRecord(uint16(n), text)
		if err != nil {
			t.Fatalf("line %q: %v", l, err)
		}
		take(tr.expire(r.Time))
		take(tr.feed(r, r.Time))
	}
	take(tr.flush())
	if tr.held != 0 {
		t.Errorf("%d still held after a flush", tr.held)
	}
	return out
}

func line(e *event.Event) string {
	l := e.Logon
	s := fmt.Sprintf("%s %s %s %s/%s id=%d ip=%s", e.Action, l.Type, l.Protocol, e.Account.Name, e.Account.SID, l.ID, l.RemoteIP)
	if l.Failure != "" {
		s += " " + l.Failure
	}
	if l.LocalAdmin {
		s += " admin"
	}
	return s
}

func readLines(t *testing.T, name string) []string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var lines []string
	for s := bufio.NewScanner(f); s.Scan(); {
		if !strings.HasPrefix(s.Text(), "#") {
			lines = append(lines, s.Text())
		}
	}
	return lines
}

func TestMessagesOfDebianYieldOneLogonPerSession(t *testing.T) {
	got := play(t, testTracker(t), readLines(t, "testdata/debian12.txt"))
	want := []string{
		"LogonSuccess Batch su vera/1001 id=0 ip=",
		"Logoff Batch su vera/1001 id=0 ip=",
		"LogonSuccess Batch su vera/1001 id=0 ip=",
		"LogonFailed Batch su root/0 id=0 ip= InvalidUserNameOrPassword admin",
		"Logoff Batch su vera/1001 id=0 ip=",
		"LogonSuccess Interactive su vera/1001 id=0 ip=",
		"Logoff Interactive su vera/1001 id=0 ip=",
		"LogonSuccess Network ssh vera/1001 id=1 ip=127.0.0.1",
		"Logoff Network ssh vera/1001 id=1 ip=127.0.0.1",
		"LogonSuccess RemoteInteractive ssh vera/1001 id=2 ip=127.0.0.1",
		"Logoff RemoteInteractive ssh vera/1001 id=2 ip=127.0.0.1",
		"LogonSuccess RemoteInteractive ssh vera/1001 id=3 ip=127.0.0.1",
		"Logoff RemoteInteractive ssh vera/1001 id=3 ip=127.0.0.1",
		"LogonFailed Network ssh vera/1001 id=0 ip=127.0.0.1 InvalidUserNameOrPassword",
		"LogonFailed Network ssh no such user/ id=0 ip=127.0.0.1 InvalidUserNameOrPassword",
		"LogonSuccess RemoteInteractive ssh vera/1001 id=0 ip=127.0.0.1",
		"LogonFailed Network ssh vera/1001 id=0 ip=127.0.0.1 ConnectionClosed",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

const at = "audit(1795296110.000:1): "

func TestLogonTypes(t *testing.T) {
	unsetIDs := "pid=7 uid=0 auid=4294967295 ses=4294967295 "
	start := func(ids, acct, exe, addr, term string) string {
		return "1105 " + at + ids + "msg='op=PAM:session_open grantors=pam_unix acct=\"" + acct + "\" exe=\"" + exe +
			"\" hostname=" + addr + " addr=" + addr + " terminal=" + term + " res=success'"
	}
	tests := []struct{ name, line, want string }{
		{"sudo", start("pid=7 uid=1002 auid=1002 ses=4 ", "root", "/usr/bin/sudo", "?", "/dev/pts/1"),
			"LogonSuccess Interactive sudo root/0 id=4 ip= admin"},
		{"login", start("pid=7 uid=0 auid=1002 ses=9 ", "oper", "/usr/bin/login", "?", "/dev/tty1"),
			"LogonSuccess Interactive login oper/1002 id=9 ip= admin"},
		{"cron", start("pid=7 uid=0 auid=1001 ses=5 ", "vera", "/usr/sbin/cron", "?", "cron"),
			"LogonSuccess Batch cron vera/1001 id=5 ip="},
		{"crond", start("pid=7 uid=0 auid=1001 ses=5 ", "vera", "/usr/sbin/crond", "?", "cron"),
			"LogonSuccess Batch cron vera/1001 id=5 ip="},
		{"user-manager", start("pid=7 uid=0 auid=1001 ses=6 ", "vera", "/usr/lib/systemd/systemd", "?", "?"),
			"LogonSuccess Service systemd vera/1001 id=6 ip="},
		{"ftp", start(unsetIDs, "vera", "/usr/sbin/vsftpd", "192.0.2.7", "ftp"),
			"LogonSuccess Network vsftpd vera/1001 id=0 ip=192.0.2.7"},
		{"display-manager", start("pid=7 uid=0 auid=1001 ses=6 ", "vera", "/usr/libexec/gdm-session-worker", "?", "/dev/tty2"),
			"LogonSuccess Interactive gdm-session-worker vera/1001 id=6 ip="},
		{"directory-account", start("pid=7 uid=0 auid=70001 ses=6 ", "ldapuser", "/usr/bin/login", "?", "/dev/tty2"),
			"LogonSuccess Interactive login ldapuser/70001 id=6 ip="},
		{"unlock", "1100 " + at + unsetIDs + "msg='op=PAM:authentication acct=\"vera\" exe=\"/usr/bin/swaylock\" hostname=? addr=? terminal=? res=success'",
			"LogonSuccess Unlock swaylock vera/1001 id=0 ip="},
		{"locked-account", "1101 " + at + unsetIDs + "msg='op=PAM:accounting acct=\"vera\" exe=\"/usr/sbin/sshd\" hostname=192.0.2.1 addr=192.0.2.1 terminal=ssh res=failed'",
			"LogonFailed Network ssh vera/1001 id=0 ip=192.0.2.1 AccountRestricted"},
		{"numeric-result", "1112 " + at + unsetIDs + "msg='op=login acct=\"vera\" exe=\"/usr/bin/login\" hostname=? addr=? terminal=/dev/tty1 res=0'",
			"LogonFailed Interactive login vera/1001 id=0 ip= InvalidUserNameOrPassword"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := play(t, testTracker(t), []string{tt.line})
			if diff := cmp.Diff([]string{tt.want}, got); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPasswdToolsAreNoLogons(t *testing.T) {
	got := play(t, testTracker(t), []string{
		"1100 " + at + "pid=7 uid=1001 msg='op=PAM:authentication acct=\"vera\" exe=\"/usr/bin/passwd\" hostname=? addr=? terminal=/dev/pts/0 res=failed'",
	})
	if len(got) != 0 {
		t.Errorf("events: %v", got)
	}
}

func TestTerminalThatComesLateUpgradesTheSession(t *testing.T) {
	ids := "pid=7 uid=0 auid=1001 ses=8 "
	got := play(t, testTracker(t), []string{
		"1105 " + at + ids + "msg='op=PAM:session_open acct=\"vera\" exe=\"/usr/sbin/sshd\" hostname=h addr=192.0.2.9 terminal=ssh res=success'",
		"1112 audit(1795296140.000:2): " + ids + "msg='op=login id=1001 exe=\"/usr/sbin/sshd\" hostname=h addr=192.0.2.9 terminal=/dev/pts/3 res=success'",
		"1112 audit(1795296141.000:3): " + ids + "msg='op=login id=1001 exe=\"/usr/sbin/sshd\" hostname=h addr=192.0.2.9 terminal=/dev/pts/4 res=success'",
	})
	want := []string{
		"LogonSuccess Network ssh vera/1001 id=8 ip=192.0.2.9",
		"LogonSuccess RemoteInteractive ssh vera/1001 id=8 ip=192.0.2.9",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestProcessIsTheOneThatSpoke(t *testing.T) {
	tr := testTracker(t)
	alive := &event.Process{PID: 7, Image: event.File{Path: "/tmp/not-sshd"}}
	tr.lookup = func(pid uint32) *event.Process {
		if pid == 7 {
			return alive
		}
		return nil
	}
	r, err := parseRecord(typeUserStart, at+"pid=7 uid=0 auid=1001 ses=8 msg='op=PAM:session_open acct=\"vera\" exe=\"/usr/sbin/sshd\" hostname=h addr=192.0.2.9 terminal=ssh res=success'")
	if err != nil {
		t.Fatal(err)
	}
	tr.feed(r, r.Time)
	proc := alive
	alive = nil // gone before the session is told
	events := tr.flush()
	if len(events) != 1 || events[0].Initiating != proc {
		t.Fatalf("events: %+v", events)
	}
	// The program in the message is only what the sender says.
	if !strings.Contains(events[0].Additional, `"ReportedProgram":"/usr/sbin/sshd"`) {
		t.Errorf("additional fields: %s", events[0].Additional)
	}
}

func TestHostileTextStaysInItsField(t *testing.T) {
	hexed := func(s string) string { return fmt.Sprintf("%X", s) }
	name := "x' res=success addr=6.6.6.6\n\x00\xff" + strings.Repeat("A", 400)
	r, err := parseRecord(typeUserAuth, at+"pid=9 uid=0 auid=4294967295 ses=4294967295 msg='op=PAM:authentication acct="+
		hexed(name)+` exe="/usr/sbin/sshd" hostname=evil addr=192.0.2.3 addr=6.6.6.6 pid=1 terminal=ssh res=failed'`)
	if err != nil {
		t.Fatal(err)
	}
	if r.PID != 9 || r.Addr != "192.0.2.3" || r.Success || !r.Failed {
		t.Errorf("record = %+v", r)
	}
	if want := clean(name, maxName); r.Acct != want || len(r.Acct) > maxName+8 {
		t.Errorf("acct = %q", r.Acct)
	}
	e := testTracker(t).feed(r, r.Time)
	if len(e) != 1 || e[0].Action != "LogonFailed" || e[0].Logon.RemoteIP != "192.0.2.3" {
		t.Errorf("events = %+v", e)
	}
}

func TestManyProcessesStayBounded(t *testing.T) {
	tr := testTracker(t)
	now := time.Unix(1795296110, 0)
	var n int
	for pid := range uint32(3 * maxTracked) {
		r := record{Type: typeUserStart, Time: now, PID: pid, Session: pid, Op: "PAM:session_open", Acct: "vera", ID: unset,
			LoginUID: unset, Exe: "/usr/sbin/sshd", Addr: "192.0.2.1", Terminal: "ssh", Success: true}
		n += len(tr.feed(r, now))
		r.Type, r.Success, r.Failed, r.PID = typeUserLogin, false, true, pid+1<<24
		n += len(tr.feed(r, now))
	}
	if len(tr.sessions) > maxTracked || len(tr.failures) > maxTracked {
		t.Errorf("held: %d sessions, %d failures", len(tr.sessions), len(tr.failures))
	}
	n += len(tr.flush())
	if n != 6*maxTracked || tr.held != 0 {
		t.Errorf("%d events of %d, %d held", n, 6*maxTracked, tr.held)
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add(uint16(1105), at+"pid=7 uid=0 auid=1 ses=1 msg='op=PAM:session_open acct=6162 exe=\"/usr/bin/su\" hostname=? addr=? terminal=? res=success'")
	f.Add(uint16(1112), `audit(1.1:1): pid= msg='acct=" res='`)
	f.Fuzz(func(t *testing.T, typ uint16, text string) {
		r, err := parseRecord(typ, text)
		if err != nil {
			return
		}
		for _, v := range []string{r.Acct, r.Exe, r.Addr, r.Terminal, r.Hostname, r.Op} {
			if strings.ToValidUTF8(v, "") != v || len(v) > 3*maxValue {
				t.Errorf("value %q", v)
			}
		}
	})
}
