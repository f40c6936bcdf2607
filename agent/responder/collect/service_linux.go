package collect

import (
	"cmp"
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/vedette-edr/vedette/agent/responder/collect/rootfs"
)

// services asks the service manager for the state of what it runs.
func (d *device) services(t *Task, r *rootfs.Root) error {
	if _, err := r.Lstat("run/systemd/system", rootfs.NoLinks); err == nil {
		for _, v := range []struct {
			file string
			args []string
		}{
			{"Services.json", []string{"list-units", "--all", "--output=json"}},
			{"Services.txt", []string{"list-units", "--all", "--full", "--plain"}},
			{"UnitFiles.txt", []string{"list-unit-files", "--full"}},
			{"Sockets.txt", []string{"list-sockets", "--all", "--full"}},
			{"FailedServices.txt", []string{"list-units", "--failed", "--full", "--plain"}},
		} {
			if err := d.run(t, v.file, maxOutput, append([]string{"systemctl", "--no-pager"}, v.args...)...); err != nil {
				if full(err) || errors.Is(err, ErrAbsent) {
					return err
				}
				t.Note(err, "%s", v.file) // older ones have no JSON
			}
		}
		return nil
	}
	// Without systemd: who supervises, and what it is told to.
	tab, err := t.Table("Services.csv", "Manager", "Service", "Path", "Enabled", "State")
	if err != nil {
		return err
	}
	defer tab.end()
	n := 0
	row := func(cells ...string) error { n++; return tab.Row(cells...) }
	enabled := map[string][]string{}
	for _, p := range r.Glob("etc/rc?.d/S*", rootfs.FollowLinks) {
		if base := path.Base(p); len(base) > 3 {
			enabled[base[3:]] = append(enabled[base[3:]], path.Base(path.Dir(p)))
		}
	}
	for _, p := range r.Glob("etc/init.d/*", rootfs.FollowLinks) {
		name := path.Base(p)
		if err := row("init", name, "/"+p, strings.Join(enabled[name], " "), r.Text("run/"+name+".pid")); err != nil {
			return err
		}
	}
	for _, p := range r.Glob("etc/runlevels/*/*", rootfs.FollowLinks) {
		if err := row("openrc", path.Base(p), "/"+p, path.Base(path.Dir(p)), map[bool]string{true: "started"}[len(r.Glob("run/openrc/started/"+path.Base(p), rootfs.FollowLinks)) > 0]); err != nil {
			return err
		}
	}
	for _, dir := range []string{"etc/service", "var/service", "run/runit/service", "etc/s6/sv"} {
		for _, p := range r.Glob(dir+"/*", rootfs.FollowLinks) {
			if err := row("runit", path.Base(p), "/"+p, "1", cmp.Or(r.Text(p+"/supervise/stat"), "")); err != nil {
				return err
			}
		}
	}
	if err := tab.Close(); err != nil {
		return err
	}
	if n == 0 {
		t.Note(nil, "no service manager that is known runs here")
	}
	return nil
}

// schedule lists what is to be run when: of cron, anacron, at and systemd's timers.
func (d *device) schedule(t *Task, r *rootfs.Root) error {
	tab, err := t.Table("ScheduledTasks.csv", "Kind", "Source", "Line", "User", "Schedule", "Command")
	if err != nil {
		return err
	}
	defer tab.end()
	for _, v := range []struct {
		pattern string
		user    string // whose all lines are; "" where each line says it
	}{{"etc/crontab", ""}, {"etc/cron.d/*", ""}, {"var/spool/cron/crontabs/*", "*"}, {"var/spool/cron/tabs/*", "*"}, {"var/spool/cron/*", "*"}, {"etc/crontabs/*", "*"}} {
		for _, p := range r.Glob(v.pattern, rootfs.FollowLinks) {
			user := v.user
			if user == "*" {
				user = path.Base(p)
			}
			b, more, err := r.Read(p, rootfs.FollowLinks, maxAutorun)
			if err != nil {
				d.missed(t, p, err)
				continue
			}
			if more {
				tab.Cut("/%s: only the first MiB", p)
			}
			for _, c := range crontab(string(b), user) {
				if err := tab.Row("cron", "/"+p, itoa(c.line), c.user, c.schedule, c.command); err != nil {
					return err
				}
			}
		}
	}
	for _, every := range []string{"hourly", "daily", "weekly", "monthly", "yearly"} {
		for _, p := range r.Glob("etc/cron."+every+"/*", rootfs.FollowLinks) {
			if path.Base(p) == ".placeholder" {
				continue
			}
			if err := tab.Row("cron", "/"+p, "", "root", "@"+every, "/"+p); err != nil {
				return err
			}
		}
	}
	b, _, _ := r.Read("etc/anacrontab", rootfs.FollowLinks, maxAutorun) // many have none
	for i, line := range strings.Split(string(b), "\n") {
		if f := strings.Fields(line); len(f) >= 4 && !strings.HasPrefix(f[0], "#") && !strings.Contains(f[0], "=") {
			if err := tab.Row("anacron", "/etc/anacrontab", itoa(i+1), "root", "every "+f[0]+" days", strings.Join(f[3:], " ")); err != nil {
				return err
			}
		}
	}
	for _, p := range slices.Concat(r.Glob("var/spool/at/a*", rootfs.FollowLinks), r.Glob("var/spool/cron/atjobs/*", rootfs.FollowLinks)) {
		st, err := r.Lstat(p, rootfs.FollowLinks)
		if err != nil || !st.IsRegular() {
			continue
		}
		if err := tab.Row("at", "/"+p, "", d.user(st.UID), "created "+when(st.Modified), "(the file is among the autoruns)"); err != nil {
			return err
		}
	}
	for _, dir := range []string{"etc/systemd", "run/systemd", "usr/lib/systemd", "usr/local/lib/systemd"} {
		for _, kind := range []string{"system", "user"} {
			for _, p := range r.Glob(dir+"/"+kind+"/*.timer", rootfs.FollowLinks) {
				b, _, err := r.Read(p, rootfs.FollowLinks, maxAutorun)
				if err != nil {
					continue // masked
				}
				if err := tab.Row("systemd timer", "/"+p, "", kind, keys(string(b), "On"), cmp.Or(keys(string(b), "Unit="), strings.TrimSuffix(path.Base(p), ".timer")+".service")); err != nil {
					return err
				}
			}
		}
	}
	if err := tab.Close(); err != nil {
		return err
	}
	if _, err := r.Lstat("run/systemd/system", rootfs.NoLinks); err == nil {
		if err := d.run(t, "Timers.txt", maxOutput, "systemctl", "--no-pager", "list-timers", "--all", "--full"); err != nil && !errors.Is(err, ErrAbsent) {
			return err
		}
	}
	return nil
}

// keys are the lines of a unit that begin so.
func keys(text, prefix string) string {
	var out []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, prefix) {
			out = append(out, line)
		}
	}
	return strings.Join(out, "; ")
}

// cronLine is one entry of a crontab (crontab(5)).
type cronLine struct {
	line                    int
	user, schedule, command string
}

// crontab reads a crontab; user is whose it is, "" where each line names the user.
func crontab(text, user string) []cronLine {
	var out []cronLine
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		f := strings.Fields(line)
		if len(f) < 2 || strings.HasPrefix(line, "#") {
			continue
		}
		fields := 5
		if strings.HasPrefix(f[0], "@") {
			fields = 1
		} else if name, _, ok := strings.Cut(line, "="); ok && !strings.ContainsAny(strings.TrimSpace(name), " \t*/,") {
			continue // a setting
		}
		who, words := user, f
		if who == "" {
			if len(f) < fields+2 {
				continue
			}
			who, words = f[fields], slices.Concat(f[:fields], f[fields+1:])
		}
		if len(words) <= fields {
			continue
		}
		out = append(out, cronLine{n, who, strings.Join(words[:fields], " "), strings.Join(words[fields:], " ")})
	}
	return out
}
