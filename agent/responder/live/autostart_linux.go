package live

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// place is somewhere that things start from by themselves.
type place struct {
	method string
	glob   string // below the root; ~ stands for the home of everybody
	task   bool   // it has times: scheduledtasks lists it
	lines  bool   // each line is one thing
}

// places lists what the system and its people start by themselves from.
var places = []place{
	{"cron", "/etc/crontab", true, true},
	{"cron", "/etc/anacrontab", true, true},
	{"cron", "/etc/cron.d/*", true, true},
	{"cron", "/etc/cron.hourly/*", true, false},
	{"cron", "/etc/cron.daily/*", true, false},
	{"cron", "/etc/cron.weekly/*", true, false},
	{"cron", "/etc/cron.monthly/*", true, false},
	{"cron", "/var/spool/cron/*", true, true},
	{"cron", "/var/spool/cron/crontabs/*", true, true},
	{"at", "/var/spool/cron/atjobs/*", true, false},
	{"at", "/var/spool/at/*", true, false},
	{"timer", "/etc/systemd/system/*.timer", true, false},
	{"timer", "/run/systemd/system/*.timer", true, false},
	{"timer", "/usr/lib/systemd/system/*.timer", true, false},
	{"timer", "~/.config/systemd/user/*.timer", true, false},
	{"service", "/etc/systemd/system/*.service", false, false},
	{"service", "/etc/systemd/user/*.service", false, false},
	{"service", "/run/systemd/system/*.service", false, false},
	{"service", "~/.config/systemd/user/*.service", false, false},
	{"generator", "/etc/systemd/system-generators/*", false, false},
	{"init", "/etc/init.d/*", false, false},
	{"init", "/etc/inittab", false, true},
	{"startup", "/etc/rc.local", false, true},
	{"startup", "/etc/rc.d/rc.local", false, true},
	{"preload", "/etc/ld.so.preload", false, true},
	{"preload", "/etc/ld.so.conf.d/*", false, true},
	{"module", "/etc/modules", false, true},
	{"module", "/etc/modules-load.d/*", false, true},
	{"module", "/etc/modprobe.d/*", false, true},
	{"udev", "/etc/udev/rules.d/*", false, true},
	{"profile", "/etc/profile", false, false},
	{"profile", "/etc/profile.d/*", false, false},
	{"profile", "/etc/bash.bashrc", false, false},
	{"profile", "/etc/environment", false, true},
	{"profile", "~/.profile", false, false},
	{"profile", "~/.bash_profile", false, false},
	{"profile", "~/.bash_login", false, false},
	{"profile", "~/.bash_logout", false, false},
	{"profile", "~/.bashrc", false, false},
	{"profile", "~/.zshrc", false, false},
	{"profile", "~/.zshenv", false, false},
	{"autostart", "/etc/xdg/autostart/*", false, false},
	{"autostart", "~/.config/autostart/*", false, false},
	{"ssh", "~/.ssh/authorized_keys", false, true},
	{"ssh", "~/.ssh/rc", false, false},
	{"ssh", "/etc/ssh/sshrc", false, false},
	{"motd", "/etc/update-motd.d/*", false, false},
	{"network", "/etc/network/if-up.d/*", false, false},
	{"network", "/etc/NetworkManager/dispatcher.d/*", false, false},
	{"package", "/etc/apt/apt.conf.d/*", false, true},
	{"pam", "/etc/pam.d/*", false, true},
}

// files returns the files of a place, with whose they are.
func (p place) files() map[string]string {
	globs := map[string]string{p.glob: ""}
	if rest, ok := strings.CutPrefix(p.glob, "~"); ok {
		globs = map[string]string{}
		raw, err := os.ReadFile("/etc/passwd")
		if err != nil {
			return nil
		}
		for row := range strings.Lines(string(raw)) {
			f := strings.Split(row, ":")
			// A home with wild cards in its name would mean others.
			if len(f) > 5 && strings.HasPrefix(f[5], "/") && !strings.ContainsAny(f[5], `*?[\`) && f[5] != "/" {
				globs[filepath.Join(f[5], rest)] = f[0]
			}
		}
	}
	out := map[string]string{}
	for g, user := range globs {
		names, err := filepath.Glob(g)
		if err != nil {
			continue
		}
		for _, n := range names {
			out[n] = user
		}
	}
	return out
}

// maxSource bounds what is read of one file of a place.
const maxSource = 256 << 10

// starts adds what starts from a file.
func (s *space) starts(t *table, p place, name, user string) error {
	root, err := openFolder("/")
	if err != nil {
		return err
	}
	defer root.close()
	f, st, err := root.regular(name, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return nil // a directory, or a link to nowhere
	}
	defer func() { _ = f.Close() }() // it was only read
	if user == "" {
		user = s.live.userName(st.Uid)
	}
	modified := time.Unix(st.Mtim.Unix()).UTC()
	if !p.lines && p.method != "timer" && p.method != "service" && p.method != "autostart" {
		t.add(p.method, name, user, modified, "")
		return nil
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxSource))
	if err != nil || !utf8.Valid(raw) {
		t.add(p.method, name, user, modified, "")
		return nil
	}
	if !p.lines {
		t.add(p.method, name, user, modified, strings.Join(settings(raw), "; "))
		return nil
	}
	for row := range bytes.Lines(raw) {
		if l := strings.TrimSpace(string(row)); l != "" && l[0] != '#' && l[0] != ';' {
			t.add(p.method, name, user, modified, l)
		}
	}
	return nil
}

// settings are the lines of a unit or desktop entry that say what is run, and when.
func settings(raw []byte) []string {
	var out []string
	for row := range bytes.Lines(raw) {
		l := strings.TrimSpace(string(row))
		for _, k := range []string{"Exec", "On", "Unit=", "TryExec="} {
			if strings.HasPrefix(l, k) && strings.Contains(l, "=") {
				out = append(out, l)
				break
			}
		}
	}
	return out
}

func (s *space) gather(ctx context.Context, keep func(place) bool) (*table, error) {
	t := &table{columns: []string{"method", "path", "user", "modified", "what"}}
	for _, p := range places {
		if !keep(p) {
			continue
		}
		files := p.files()
		for _, name := range slices.Sorted(maps.Keys(files)) {
			if err := ctx.Err(); err != nil {
				return nil, context.Cause(ctx)
			}
			if len(t.rows) >= maxEntries {
				return nil, fmt.Errorf("there are more than %d entries", maxEntries)
			}
			if err := s.starts(t, p, name, files[name]); err != nil {
				return nil, err
			}
		}
	}
	return t, nil
}

func (s *space) persistence(ctx context.Context, l *line, w io.Writer) error {
	if err := l.only(0, 0); err != nil {
		return err
	}
	t, err := s.gather(ctx, func(place) bool { return true })
	if err != nil {
		return err
	}
	return t.write(w, l.json)
}

func (s *space) scheduledTasks(ctx context.Context, l *line, w io.Writer) error {
	if err := l.only(0, 1); err != nil {
		return err
	}
	t, err := s.gather(ctx, func(p place) bool { return p.task })
	if err != nil {
		return err
	}
	if len(l.args) == 1 {
		all := t.rows
		t.rows = nil
		for _, r := range all {
			if r[1] == l.args[0] || filepath.Base(r[1].(string)) == l.args[0] {
				t.rows = append(t.rows, r)
			}
		}
		if len(t.rows) == 0 {
			return errors.New("there is no such task")
		}
	}
	return t.write(w, l.json)
}

// isTask reports whether a path is that of a scheduled task.
func isTask(name string) bool {
	for _, p := range places {
		if _, ok := p.files()[name]; ok && p.task {
			return true
		}
	}
	return false
}
