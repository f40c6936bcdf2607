package account

import (
	"path"
	"strings"
)

const maxText = 4096 // bytes of a command or a cron table that go into an event

// kind says what a unit is to a hunter.
type kind uint8

const (
	service kind = iota
	task
)

// actions returns the ActionTypes of creation, change and deletion.
func (k kind) actions() [3]string {
	if k == task {
		return [3]string{"ScheduledTaskCreated", "ScheduledTaskUpdated", "ScheduledTaskDeleted"}
	}
	return [3]string{"ServiceInstalled", "ServiceModified", "ServiceDeleted"}
}

// unit is one service or task as its files say.
type unit struct {
	kind    kind
	name    string // nginx.service, backup.timer, /etc/cron.d/job
	path    string // of the file that defines it, from the root
	size    int64
	sha256  string // of that file
	dropins string // sum over the drop-in files
	account string // runs as
	typ     string // simple, forking, …, init script, cron
	start   string // Enabled, Disabled, Static, Masked
	command string // what it runs
}

func (u unit) equal(v unit) bool { return u == v }

// changes names what differs between two states of one unit.
func (u unit) changes(was unit) []string {
	var out []string
	note := func(name string, differs bool) {
		if differs {
			out = append(out, name)
		}
	}
	note("Content", u.sha256 != was.sha256)
	note("DropIn", u.dropins != was.dropins)
	note("Path", u.path != was.path)
	note("StartType", u.start != was.start)
	note("Command", u.command != was.command)
	note("Account", u.account != was.account)
	return out
}

// fields are the additional fields of an event about u.
func (u unit) fields() map[string]any {
	if u.kind == task {
		return map[string]any{"TaskName": u.name, "TaskContent": u.command, "TaskAccount": u.account, "StartType": u.start}
	}
	return map[string]any{
		"ServiceName": u.name, "ServiceAccount": u.account, "ServiceType": u.typ,
		"ServiceStartType": u.start, "ServiceCommand": u.command,
	}
}

// unitKind classes a file of a unit directory by its name.
func unitKind(name string) (kind, bool) {
	switch path.Ext(name) {
	case ".service", ".socket", ".path":
		return service, true
	case ".timer":
		return task, true
	}
	return 0, false
}

// readUnit takes the facts that matter from the text of a unit file; later texts (its
// drop-ins) override earlier ones, and an empty assignment clears a list, as in systemd.
func (u *unit) readUnit(text string) {
	install := false
	section := ""
	var commands []string
	if u.command != "" {
		commands = strings.Split(u.command, "\n")
	}
	text = strings.ReplaceAll(text, "\\\n", " ")
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = line
			continue
		}
		key, val, ok := strings.Cut(line, "=")
		if !ok || strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue
		}
		key, val = strings.TrimSpace(key), strings.TrimSpace(val)
		switch {
		case section == "[Install]":
			install = install || key == "WantedBy" || key == "RequiredBy" || key == "Alias" || key == "UpheldBy"
		case key == "User":
			u.account = clip(val)
		case key == "Type":
			u.typ = clip(val)
		case strings.HasPrefix(key, "Exec"), strings.HasPrefix(key, "Listen"), strings.HasPrefix(key, "On") && section == "[Timer]",
			strings.HasPrefix(key, "Path") && section == "[Path]", key == "Unit" && section != "[Unit]":
			if val == "" {
				commands = slicesDeletePrefix(commands, key+"=")
				continue
			}
			commands = append(commands, key+"="+val)
		}
	}
	u.command = clip(strings.Join(commands, "\n"))
	if install && u.start == "Static" {
		u.start = "Disabled"
	}
}

func slicesDeletePrefix(list []string, prefix string) []string {
	out := list[:0]
	for _, s := range list {
		if !strings.HasPrefix(s, prefix) {
			out = append(out, s)
		}
	}
	return out
}

// clip bounds a text and makes it valid UTF-8.
func clip(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
