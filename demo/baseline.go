package demo

import (
	"fmt"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/schema/event"
)

// site is a host of the world that devices talk to.
type site struct {
	name string
	ip   string
}

var sites = []site{
	{"deb.debian.org", "198.51.100.10"}, {"security.debian.org", "198.51.100.11"}, {"mirror.halden.example", "10.20.6.40"}, {"github.example", "198.51.100.20"},
	{"registry.npm.example", "198.51.100.21"}, {"pypi.example", "198.51.100.22"}, {"time.halden.example", "10.20.6.12"}, {"mail.halden.example", "10.20.6.14"},
	{"crm.saas.example", "192.0.2.40"}, {"video.saas.example", "192.0.2.41"}, {"docs.saas.example", "192.0.2.42"}, {"news.example", "192.0.2.60"},
	{"weather.example", "192.0.2.61"}, {"bank.example", "192.0.2.62"}, {"travel.example", "192.0.2.63"}, {"cdn.example", "192.0.2.70"},
}

// chore is one thing that devices of a role do all the time: a program by another one.
type chore struct {
	by, byCmd string
	path, cmd string
	as        string // "" for the laptop's owner, root on servers
	site      int    // index of sites plus one; 0 talks to nobody
	writes    string // "" writes nothing
}

var everywhere = []chore{
	{"/usr/sbin/cron", "/usr/sbin/cron -f", "/usr/lib/sysstat/sa1", "/usr/lib/sysstat/sa1 1 1", "root", 0, "/var/log/sysstat/sa22"},
	{"/usr/sbin/cron", "/usr/sbin/cron -f", "/usr/bin/run-parts", "run-parts --report /etc/cron.hourly", "root", 0, ""},
	{"/usr/lib/systemd/systemd", "/sbin/init", "/usr/lib/systemd/systemd-timesyncd", "/usr/lib/systemd/systemd-timesyncd", "systemd-timesync", 7, ""},
	{"/usr/lib/apt/apt.systemd.daily", "/bin/sh /usr/lib/apt/apt.systemd.daily update", "/usr/bin/apt-get", "apt-get -qq -y update", "root", 1, "/var/lib/apt/lists/partial/InRelease"},
	{"/usr/lib/systemd/systemd", "/sbin/init", "/usr/sbin/logrotate", "/usr/sbin/logrotate /etc/logrotate.conf", "root", 0, "/var/lib/logrotate/status"},
	{"/usr/lib/systemd/systemd", "/sbin/init", "/usr/lib/systemd/systemd-tmpfiles", "systemd-tmpfiles --clean", "root", 0, ""},
}

var chores = map[string][]chore{
	"web": {
		{"/usr/sbin/nginx", "nginx: worker process", "/usr/sbin/nginx", "nginx: worker process", "www-data", 0, "/var/cache/nginx/proxy/7/29/a91c"},
		{"/usr/sbin/php-fpm8.2", "php-fpm: pool www", "/usr/sbin/php-fpm8.2", "php-fpm: pool www", "www-data", 0, "/var/lib/php/sessions/sess_91ab"},
		{"/usr/bin/certbot", "/usr/bin/python3 /usr/bin/certbot renew", "/usr/bin/openssl", "openssl ocsp -no_nonce", "root", 16, ""},
	},
	"app": {
		{"/usr/lib/jvm/java-17-openjdk-amd64/bin/java", "java -jar /opt/orders/orders.jar", "/usr/bin/stat", "stat -f -c %a /var/lib/orders", "orders", 0, "/var/lib/orders/journal/000231.log"},
		{"/usr/bin/node", "node /srv/portal/server.js", "/usr/bin/node", "node /srv/portal/worker.js", "portal", 9, "/srv/portal/tmp/render-11.html"},
	},
	"db": {
		{"/usr/lib/postgresql/15/bin/postgres", "postgres: checkpointer", "/usr/lib/postgresql/15/bin/postgres", "postgres: autovacuum worker", "postgres", 0, "/var/lib/postgresql/15/main/base/16384/2619"},
		{"/usr/sbin/cron", "/usr/sbin/cron -f", "/usr/bin/pg_basebackup", "pg_basebackup -D /var/backups/pg -Ft -z", "postgres", 0, "/var/backups/pg/base.tar.gz"},
	},
	"file": {
		{"/usr/sbin/smbd", "/usr/sbin/smbd --foreground", "/usr/sbin/smbd", "/usr/sbin/smbd: client", "root", 0, "/srv/share/Projects/plan-2026.ods"},
		{"/usr/sbin/cron", "/usr/sbin/cron -f", "/usr/bin/restic", "restic backup /srv/share", "root", 0, "/srv/backup/data/4f/4f21"},
	},
	"build": {
		{"/usr/bin/gitlab-runner", "gitlab-runner run", "/usr/bin/git", "git fetch origin --prune", "runner", 4, "/builds/portal/.git/FETCH_HEAD"},
		{"/usr/bin/gitlab-runner", "gitlab-runner run", "/usr/bin/make", "make -j4 test", "runner", 0, "/builds/portal/out/report.xml"},
		{"/usr/bin/make", "make -j4 test", "/usr/bin/gcc", "gcc -O2 -c parse.c -o parse.o", "runner", 0, "/builds/portal/parse.o"},
		{"/usr/bin/make", "make image", "/usr/bin/npm", "npm ci --ignore-scripts", "runner", 5, "/builds/portal/package-lock.json"},
	},
	"infra": {
		{"/usr/sbin/named", "/usr/sbin/named -f -u bind", "/usr/sbin/rndc", "rndc status", "bind", 0, "/var/cache/bind/managed-keys.bind.jnl"},
		{"/usr/bin/prometheus", "prometheus --config.file=/etc/prometheus/prometheus.yml", "/usr/bin/promtool", "promtool check config /etc/prometheus/prometheus.yml", "prometheus", 0, "/var/lib/prometheus/wal/00000112"},
	},
	"laptop": {
		{"/usr/bin/gnome-shell", "/usr/bin/gnome-shell", "/usr/lib/firefox-esr/firefox-esr", "/usr/lib/firefox-esr/firefox-esr", "", 12, "/home/%s/.mozilla/firefox/p1.default/cookies.sqlite-wal"},
		{"/usr/lib/firefox-esr/firefox-esr", "/usr/lib/firefox-esr/firefox-esr", "/usr/lib/firefox-esr/firefox-esr", "firefox-esr -contentproc -childID 3", "", 16, ""},
		{"/usr/bin/gnome-shell", "/usr/bin/gnome-shell", "/usr/bin/thunderbird", "/usr/bin/thunderbird", "", 8, "/home/%s/.thunderbird/p1.default/ImapMail/INBOX.msf"},
		{"/usr/bin/gnome-shell", "/usr/bin/gnome-shell", "/usr/lib/libreoffice/program/soffice.bin", "soffice.bin --calc", "", 0, "/home/%s/Documents/budget.ods"},
		{"/usr/bin/bash", "bash", "/usr/bin/git", "git pull --rebase", "", 4, "/home/%s/src/portal/.git/FETCH_HEAD"},
		{"/usr/bin/bash", "bash", "/usr/bin/ls", "ls -la", "", 0, ""},
		{"/usr/bin/bash", "bash", "/usr/bin/vim.basic", "vim notes.md", "", 0, "/home/%s/notes.md"},
		{"/usr/bin/gnome-shell", "/usr/bin/gnome-shell", "/usr/bin/nautilus", "nautilus --gapplication-service", "", 0, "/home/%s/Downloads/report.pdf"},
	},
}

// busy is how many chores a device does in an hour, about.
func busy(h *host, at time.Time) float64 {
	hour, day := at.UTC().Hour(), at.UTC().Weekday()
	office := day != time.Saturday && day != time.Sunday && hour >= 7 && hour < 17
	switch {
	case h.role == "laptop" && !office:
		return 0.12 // most are closed
	case h.role == "laptop":
		return 5
	case h.role == "build" && office:
		return 9
	case office:
		return 4.5
	}
	return 2.2
}

// everyday is what a device does between two times beside the attacks.
func everyday(c *company, h *host, from, to time.Time, density float64) []*event.Event {
	a := newActor(c.seed, h, from.Format(time.RFC3339), from)
	want := busy(h, from.Add(to.Sub(from)/2)) * to.Sub(from).Hours() * density
	n := int(want)
	if a.rand.Float64() < want-float64(n) {
		n++
	}
	if n == 0 {
		return nil
	}
	parents := map[string]*event.Process{}
	at := make([]time.Duration, n)
	for i := range at {
		at[i] = time.Duration(float64(to.Sub(from)) * (float64(i) + a.rand.Float64()) / float64(n))
	}
	own := append(append([]chore{}, chores[h.role]...), chores[h.role]...)
	own = append(own, everywhere...)
	for _, d := range at {
		a.now = from.Add(d)
		a.chore(c, &own[a.rand.IntN(len(own))], parents)
		if a.rand.IntN(9) == 0 {
			a.visit(c)
		}
	}
	return a.made
}

// chore does one thing.
func (a *actor) chore(c *company, w *chore, parents map[string]*event.Process) {
	login := w.as
	if login == "" {
		login = "root"
		if a.h.owner != nil {
			login = a.h.owner.login
		}
	}
	acct := a.h.account(login, c.uidOf(login))
	by := parents[w.by]
	if by == nil {
		by = a.begin(w.by, w.byCmd, acct, nil)
		by.Start = a.now.Add(-time.Duration(a.rand.IntN(86_400)) * time.Second)
		parents[w.by] = by
	}
	p := a.runAs(by, w.path, w.cmd, acct, nil)
	if w.site > 0 {
		s := sites[(w.site-1+a.rand.IntN(3))%len(sites)]
		a.resolve(p, s.name, s.ip)
		a.connect(p, s.ip, 443, s.name)
	}
	if w.writes != "" {
		name := w.writes
		if strings.Contains(name, "%s") {
			name = fmt.Sprintf(name, login)
		}
		a.file(p, [...]string{"FileModified", "FileCreated"}[a.rand.IntN(2)], file(name, fmt.Sprint(name, a.rand.IntN(50)), a.rand.Int64N(4<<20)))
	}
}

// visit is somebody who logs on to the device, or mistypes.
func (a *actor) visit(c *company) {
	p := c.people[a.rand.IntN(min(len(c.people), 40))]
	if a.h.owner != nil {
		acct, by := a.h.account(a.h.owner.login, a.h.owner.uid), a.begin("/usr/sbin/gdm3", "gdm-session-worker", root(a.h), nil)
		a.add(&event.Event{Table: event.LogonEvents, Action: "LogonSuccess", Initiating: by, Account: &acct,
			Logon: &event.Logon{Type: "Interactive", ID: uint64(a.rand.Uint32()), Protocol: "gdm-password"}})
		return
	}
	from := c.laptopOf(p.login)
	if a.rand.IntN(12) == 0 {
		a.logon(p.login, p.uid, from.ip, from.name, "InvalidUserNameOrPassword")
		a.after(4 * time.Second)
	}
	sh := a.logon(p.login, p.uid, from.ip, from.name, "")
	for range 1 + a.rand.IntN(3) {
		a.after(time.Duration(3+a.rand.IntN(40)) * time.Second)
		cmd := visits[a.rand.IntN(len(visits))]
		a.run(sh, "/usr/bin/"+strings.Fields(cmd)[0], cmd)
	}
}

var visits = []string{"journalctl -n 200", "systemctl status nginx", "df -h", "uptime", "less /var/log/dpkg.log", "free -m", "htop", "tail -f /var/log/nginx/access.log", "du -sh /var/lib"}
