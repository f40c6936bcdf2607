package account

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-edr/vedette/agent/sensor"
	"github.com/vedette-edr/vedette/schema/event"
)

type sink struct {
	mu     sync.Mutex
	events []*event.Event
}

func (s *sink) Emit(e *event.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

func (s *sink) Lost(event.Gap) {}

// lab is a root of its own with a sensor on it.
type lab struct {
	t    *testing.T
	root string
	out  *sink
	s    *Sensor
}

func newLab(t *testing.T, files map[string]string) *lab {
	t.Helper()
	return newQuietLab(t, files, 50*time.Millisecond)
}

func newQuietLab(t *testing.T, files map[string]string, quiet time.Duration) *lab {
	t.Helper()
	l := &lab{t: t, root: t.TempDir(), out: &sink{}}
	l.write("etc/passwd", "root:x:0:0:root:/root:/bin/bash\n")
	l.write("etc/group", "root:x:0:\nsudo:x:27:\n")
	l.write("etc/shadow", "root:*:19000:0:99999:7:::\n")
	l.write("etc/gshadow", "root:*::\nsudo:*::\n")
	for name, text := range files {
		l.write(name, text)
	}
	l.s = New(Config{
		Root: l.root, Host: "host1", Quiet: quiet,
		Writer: func(path string) *event.Process { return &event.Process{CommandLine: path} },
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.s.Run(ctx, l.out) }()
	t.Cleanup(func() {
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
	for end := time.Now().Add(20 * time.Second); len(l.s.Facilities()) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the sensor did not start")
		}
	}
	for _, f := range l.s.Facilities() {
		if f.State != sensor.Working {
			t.Fatalf("facility: %+v", f)
		}
	}
	return l
}

// write replaces a file by renaming over it.
func (l *lab) write(name, text string) {
	l.t.Helper()
	p := filepath.Join(l.root, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(p+".tmp~", []byte(text), 0o644); err != nil {
		l.t.Fatal(err)
	}
	if err := os.Rename(p+".tmp~", p); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) run(name string, args ...string) {
	l.t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		l.t.Skipf("needs %s", name)
	}
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		l.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// expect waits for exactly these "Action subject" lines, in any order, and forgets them.
func (l *lab) expect(want ...string) []*event.Event {
	l.t.Helper()
	slices.Sort(want)
	var got []string
	var events []*event.Event
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		l.out.mu.Lock()
		events = slices.Clone(l.out.events)
		l.out.mu.Unlock()
		got = got[:0]
		for _, e := range events {
			got = append(got, e.Action+" "+subject(e))
		}
		slices.Sort(got)
		if len(got) >= len(want) {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		l.t.Errorf("events (-want +got):\n%s", diff)
	}
	l.out.mu.Lock()
	l.out.events = l.out.events[len(events):]
	l.out.mu.Unlock()
	return events
}

func fields(e *event.Event) map[string]any {
	m := map[string]any{}
	if e.Additional != "" {
		if err := json.Unmarshal([]byte(e.Additional), &m); err != nil {
			panic(err)
		}
	}
	return m
}

func subject(e *event.Event) string {
	var s []string
	if e.Account != nil {
		s = append(s, e.Account.Name+"/"+e.Account.SID)
	}
	f := fields(e)
	for _, k := range []string{"GroupName", "ServiceName", "TaskName", "ServiceStartType"} {
		if v, ok := f[k].(string); ok {
			s = append(s, v)
		}
	}
	if p, ok := f["ModifiedProperties"].([]any); ok {
		for _, v := range p {
			s = append(s, v.(string))
		}
	}
	return strings.Join(s, " ")
}

func TestAccountToolsAreSeen(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	l := newLab(t, nil)
	l.run("useradd", "-P", l.root, "-u", "1500", "-U", "-s", "/bin/bash", "mara")
	events := l.expect("UserAccountCreated mara/1500", "SecurityGroupCreated mara")
	for _, e := range events {
		if e.Initiating == nil || !strings.HasPrefix(e.Initiating.CommandLine, l.root+"/etc/") || e.Table != event.DeviceEvents {
			t.Errorf("event: %+v", e)
		}
		if e.Action == "UserAccountCreated" && (e.Account.Domain != "host1" || e.File.Path != "/etc/passwd" || fields(e)["Shell"] != "/bin/bash") {
			t.Errorf("event: %+v %+v %s", e, e.Account, e.Additional)
		}
	}
	l.run("usermod", "-P", l.root, "-aG", "sudo", "mara")
	e := l.expect("UserAccountAddedToLocalGroup mara/1500 sudo")
	if diff := cmp.Diff(map[string]any{"GroupName": "sudo", "GroupSid": "27", "GroupDomainName": "host1", "MemberSid": "1500"}, fields(e[0])); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	l.run("usermod", "-P", l.root, "-p", "$6$abc$def", "mara")
	e = l.expect("UserAccountModified mara/1500 Locked Password")
	if strings.Contains(e[0].Additional, "def") || fields(e[0])["IsLocalAdmin"] != true || e[0].File.Path != "/etc/shadow" {
		t.Errorf("event: %+v", e[0])
	}
	l.run("usermod", "-P", l.root, "-p", "$6$abc$xyz", "mara")
	l.expect("UserAccountModified mara/1500 Password")
	l.run("usermod", "-P", l.root, "-L", "mara")
	l.expect("UserAccountModified mara/1500 Locked")
	l.run("usermod", "-P", l.root, "-s", "/bin/sh", "mara")
	e = l.expect("UserAccountModified mara/1500 Shell")
	if p, _ := fields(e[0])["PreviousValues"].(map[string]any); p["Shell"] != "/bin/bash" {
		t.Errorf("previous values: %s", e[0].Additional)
	}
	l.run("userdel", "-P", l.root, "mara")
	l.expect("UserAccountDeleted mara/1500", "UserAccountRemovedFromLocalGroup mara/1500 sudo")
	l.run("groupdel", "-P", l.root, "mara")
	l.expect("SecurityGroupDeleted mara")
}

func TestAnAccountThatIsGoneBeforeAllIsQuietIsSeen(t *testing.T) {
	l := newQuietLab(t, nil, time.Hour)
	l.write("etc/passwd", "root:x:0:0:root:/root:/bin/bash\nshort:x:1000:1000::/:/bin/sh\n")
	await := func(action string) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			l.out.mu.Lock()
			found := slices.ContainsFunc(l.out.events, func(e *event.Event) bool {
				return e.Action == action && e.Account.Name == "short" && e.Initiating != nil
			})
			l.out.mu.Unlock()
			if found {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("no %s", action)
			}
		}
	}
	await("UserAccountCreated")
	l.write("etc/passwd", "root:x:0:0:root:/root:/bin/bash\n")
	await("UserAccountDeleted")
}

func TestBackdoorLinesAreSeenHoweverTheyAreWritten(t *testing.T) {
	l := newLab(t, nil)
	f, err := os.OpenFile(filepath.Join(l.root, "etc/passwd"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("toor::0:0::/:/bin/sh\nnot a line\n"); err != nil {
		t.Fatal(err)
	}
	f.Close()
	e := l.expect("UserAccountCreated toor/0")
	if len(e) == 1 && fields(e[0])["IsLocalAdmin"] != true {
		t.Errorf("fields: %s", e[0].Additional)
	}
	// The file gone for a moment is nobody's deletion.
	if err := os.Rename(filepath.Join(l.root, "etc/passwd"), filepath.Join(l.root, "etc/passwd.away")); err != nil {
		t.Fatal(err)
	}
	missing := func() bool {
		return slices.ContainsFunc(l.s.Facilities(), func(f sensor.Facility) bool { return f.State == sensor.Missing })
	}
	for end := time.Now().Add(20 * time.Second); !missing() && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
	}
	l.write("etc/passwd", "root:x:0:0:root:/root:/bin/bash\neve:x:1:1::/:/bin/sh\n")
	l.expect("UserAccountCreated eve/1", "UserAccountDeleted toor/0")
}

const unitText = "[Unit]\nDescription=x\n[Service]\nType=forking\nUser=web\nExecStart=/usr/bin/web \\\n  --flag\n[Install]\nWantedBy=multi-user.target\n"

func TestServicesAreSeen(t *testing.T) {
	l := newLab(t, map[string]string{
		"usr/lib/systemd/system/old.service":   "[Service]\nExecStart=/bin/old\n",
		"usr/lib/systemd/system/gone@.service": "[Service]\nExecStart=/bin/gone %i\n[Install]\nWantedBy=multi-user.target\n",
	})
	l.write("etc/systemd/system/web.service", unitText)
	e := l.expect("ServiceInstalled web.service Disabled")
	want := map[string]any{
		"ServiceName": "web.service", "ServiceAccount": "web", "ServiceType": "forking",
		"ServiceStartType": "Disabled", "ServiceCommand": "ExecStart=/usr/bin/web    --flag",
	}
	if diff := cmp.Diff(want, fields(e[0])); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	if f := e[0].File; f.Path != "/etc/systemd/system/web.service" || f.Name != "web.service" || f.Size != int64(len(unitText)) || len(f.SHA256) != 64 {
		t.Errorf("file: %+v", f)
	}
	l.write("etc/systemd/system/web.service", strings.ReplaceAll(unitText, "/usr/bin/web", "/tmp/.x"))
	l.expect("ServiceModified web.service Disabled Content Command")
	wants := filepath.Join(l.root, "etc/systemd/system/multi-user.target.wants")
	if err := os.Mkdir(wants, 0o755); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{
		wants + "/web.service":    "/etc/systemd/system/web.service",
		wants + "/gone@a.service": "/usr/lib/systemd/system/gone@.service",
	} {
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
	l.expect("ServiceModified web.service Enabled StartType", "ServiceModified gone@.service Enabled StartType")
	l.write("etc/systemd/system/old.service.d/10-x.conf", "[Service]\nExecStart=\nExecStart=/bin/evil\n")
	e = l.expect("ServiceModified old.service Static DropIn Command")
	if fields(e[0])["ServiceCommand"] != "ExecStart=/bin/evil" {
		t.Errorf("fields: %s", e[0].Additional)
	}
	if err := os.Symlink("/dev/null", filepath.Join(l.root, "etc/systemd/system/old.service")); err != nil {
		t.Fatal(err)
	}
	l.expect("ServiceModified old.service Masked Content DropIn Path StartType Command")
	if err := os.Symlink("web.service", filepath.Join(l.root, "etc/systemd/system/alias.service")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(l.root, "etc/systemd/system/web.service")); err != nil {
		t.Fatal(err)
	}
	l.expect("ServiceDeleted web.service Enabled")
	l.write("etc/init.d/legacy", "#!/bin/sh\n")
	l.expect("ServiceInstalled legacy Enabled")
}

func TestTasksAreSeen(t *testing.T) {
	l := newLab(t, map[string]string{"etc/crontab": "# none\n"})
	l.write("etc/cron.d/job", "* * * * * root /tmp/x\n")
	e := l.expect("ScheduledTaskCreated /etc/cron.d/job")
	if fields(e[0])["TaskContent"] != "* * * * * root /tmp/x\n" {
		t.Errorf("fields: %s", e[0].Additional)
	}
	l.write("etc/crontab", "* * * * * root /tmp/y\n")
	l.expect("ScheduledTaskUpdated /etc/crontab Content Command")
	l.write("var/spool/cron/crontabs/ann", "@reboot /tmp/z\n")
	e = l.expect("ScheduledTaskCreated /var/spool/cron/crontabs/ann")
	if fields(e[0])["TaskAccount"] != "ann" {
		t.Errorf("fields: %s", e[0].Additional)
	}
	l.write("run/systemd/transient/run-1.timer", "[Timer]\nOnCalendar=daily\n")
	l.expect("ScheduledTaskCreated run-1.timer")
	if err := os.RemoveAll(filepath.Join(l.root, "run/systemd")); err != nil {
		t.Fatal(err)
	}
	l.expect("ScheduledTaskDeleted run-1.timer")
	l.write("run/systemd/transient/run-2.timer", "[Timer]\nOnBootSec=1\n")
	l.expect("ScheduledTaskCreated run-2.timer")
	// A pipe in the directory must not hold the sensor up.
	l.run("mkfifo", filepath.Join(l.root, "etc/cron.d/pipe"))
	if err := os.Remove(filepath.Join(l.root, "etc/cron.d/job")); err != nil {
		t.Fatal(err)
	}
	l.expect("ScheduledTaskDeleted /etc/cron.d/job")
}

func TestSystemctlEnableIsSeen(t *testing.T) {
	l := newLab(t, map[string]string{"usr/lib/systemd/system/web.service": unitText})
	l.run("systemctl", "--root="+l.root, "enable", "web.service")
	l.expect("ServiceModified web.service Enabled StartType")
	l.run("systemctl", "--root="+l.root, "disable", "web.service")
	l.expect("ServiceModified web.service Disabled StartType")
}
