package persistence

import (
	"path/filepath"
	"strings"
)

// Kind is a way in which something is started by itself.
type Kind string

// The kinds.
const (
	Cron      Kind = "cron"
	At        Kind = "at"
	Systemd   Kind = "systemd"
	Autostart Kind = "autostart" // XDG desktop entries
	Startup   Kind = "startup"   // rc.local, init.d, inittab
	Profile   Kind = "profile"   // shells and logins
	Preload   Kind = "preload"   // ld.so.preload
	Udev      Kind = "udev"
	Module    Kind = "modprobe" // install commands of modules
)

// Entry is one place that names a file.
type Entry struct {
	Kind  Kind   `json:"kind"`
	Path  string `json:"path"` // of the file that the entry is in
	Names string `json:"names"`
	Lines []int  `json:"lines,omitempty"` // their numbers, from 1; none when the file as a whole is the entry
	whole bool   // the file is taken, not lines of it
	home  string // the directory that the file's name is resolved below; "" for none
	shell bool   // a line is replaced by one that does nothing
}

// Line is one line that was taken away.
type Line struct {
	Number int    `json:"number"` // from 1, in the file as it was
	Text   []byte `json:"text"`   // with its end
	Now    []byte `json:"now,omitempty"`
}

// Link is a symbolic link that was taken away.
type Link struct {
	Path   string `json:"path"`
	Target string `json:"target"`
}

// Change is what Detach did about one Entry, for people and for Attach.
type Change struct {
	Kind   Kind   `json:"kind"`
	Path   string `json:"path"`
	Names  string `json:"names"`
	Home   string `json:"home,omitempty"`
	Lines  []Line `json:"lines,omitempty"`
	Before string `json:"before,omitempty"` // SHA-256 of the file
	After  string `json:"after,omitempty"`
	Whole  bool   `json:"whole,omitempty"` // the file as a whole is taken
	Item   string `json:"item,omitempty"`  // its id in the quarantine; "" before it is there
	Links  []Link `json:"links,omitempty"`
	Undone bool   `json:"undone,omitempty"`
}

// source is a place where entries are.
type source struct {
	kind  Kind
	glob  string // below the root, or below a home
	whole bool   // the file is the entry
	shell bool
	line  func(line string) bool // whether a line can start something; nil for every line that is no comment
}

func execLine(keys ...string) func(string) bool {
	return func(line string) bool {
		key, _, ok := strings.Cut(line, "=")
		if !ok {
			return false
		}
		key = strings.TrimSpace(key)
		for _, k := range keys {
			if key == k || strings.HasSuffix(k, "*") && strings.HasPrefix(key, strings.TrimSuffix(k, "*")) {
				return true
			}
		}
		return false
	}
}

var (
	unitLine = execLine("Exec*", "Environment", "EnvironmentFile", "PathExists", "PathModified", "PathChanged")
	deskLine = execLine("Exec", "TryExec")
)

// system lists the places of the whole machine.
var system = []source{
	{kind: Cron, glob: "etc/crontab"}, {kind: Cron, glob: "etc/anacrontab"}, {kind: Cron, glob: "etc/cron.d/*"},
	{kind: Cron, glob: "var/spool/cron/crontabs/*"}, {kind: Cron, glob: "var/spool/cron/*"}, {kind: Cron, glob: "var/spool/cron/tabs/*"},
	{kind: Cron, glob: "etc/cron.hourly/*", shell: true}, {kind: Cron, glob: "etc/cron.daily/*", shell: true},
	{kind: Cron, glob: "etc/cron.weekly/*", shell: true}, {kind: Cron, glob: "etc/cron.monthly/*", shell: true},
	{kind: At, glob: "var/spool/cron/atjobs/*", whole: true}, {kind: At, glob: "var/spool/at/*", whole: true},
	{kind: Systemd, glob: "etc/systemd/*/*.service", whole: true, line: unitLine}, {kind: Systemd, glob: "etc/systemd/*/*.d/*.conf", whole: true, line: unitLine},
	{kind: Systemd, glob: "etc/systemd/*/*.path", whole: true, line: unitLine}, {kind: Systemd, glob: "etc/systemd/*/*.socket", whole: true, line: unitLine},
	{kind: Systemd, glob: "run/systemd/system/*.service", whole: true, line: unitLine}, {kind: Systemd, glob: "usr/local/lib/systemd/*/*.service", whole: true, line: unitLine},
	{kind: Systemd, glob: "usr/lib/systemd/*/*.service", whole: true, line: unitLine}, {kind: Systemd, glob: "lib/systemd/*/*.service", whole: true, line: unitLine},
	{kind: Autostart, glob: "etc/xdg/autostart/*.desktop", whole: true, line: deskLine},
	{kind: Startup, glob: "etc/rc.local", shell: true}, {kind: Startup, glob: "etc/rc.d/rc.local", shell: true}, {kind: Startup, glob: "etc/init.d/*", shell: true}, {kind: Startup, glob: "etc/inittab"},
	{kind: Profile, glob: "etc/profile", shell: true}, {kind: Profile, glob: "etc/profile.d/*", shell: true}, {kind: Profile, glob: "etc/bash.bashrc", shell: true},
	{kind: Profile, glob: "etc/bashrc", shell: true}, {kind: Profile, glob: "etc/zsh/*", shell: true}, {kind: Profile, glob: "etc/environment"},
	{kind: Profile, glob: "etc/X11/Xsession.d/*", shell: true}, {kind: Profile, glob: "etc/update-motd.d/*", shell: true},
	{kind: Preload, glob: "etc/ld.so.preload"},
	{kind: Udev, glob: "etc/udev/rules.d/*.rules"}, {kind: Module, glob: "etc/modprobe.d/*.conf"},
}

// personal lists the places below each home.
var personal = []source{
	{kind: Systemd, glob: ".config/systemd/user/*.service", whole: true, line: unitLine}, {kind: Systemd, glob: ".local/share/systemd/user/*.service", whole: true, line: unitLine},
	{kind: Autostart, glob: ".config/autostart/*.desktop", whole: true, line: deskLine}, {kind: Autostart, glob: ".config/autostart-scripts/*", shell: true},
	{kind: Profile, glob: ".bashrc", shell: true}, {kind: Profile, glob: ".bash_profile", shell: true}, {kind: Profile, glob: ".bash_login", shell: true},
	{kind: Profile, glob: ".bash_logout", shell: true}, {kind: Profile, glob: ".profile", shell: true}, {kind: Profile, glob: ".zshrc", shell: true},
	{kind: Profile, glob: ".zprofile", shell: true}, {kind: Profile, glob: ".zshenv", shell: true}, {kind: Profile, glob: ".zlogin", shell: true},
	{kind: Profile, glob: ".xprofile", shell: true}, {kind: Profile, glob: ".xinitrc", shell: true}, {kind: Profile, glob: ".xsession", shell: true},
	{kind: Profile, glob: ".xsessionrc", shell: true}, {kind: Profile, glob: ".ssh/rc", shell: true},
	{kind: Profile, glob: ".pam_environment"},
}

// mentions reports whether a line names a path as a whole word: not as part of a longer
// name.
func mentions(line, path string) bool {
	for at := 0; ; {
		i := strings.Index(line[at:], path)
		if i < 0 {
			return false
		}
		i += at
		before, after := byte(' '), byte(' ')
		if i > 0 {
			before = line[i-1]
		}
		if e := i + len(path); e < len(line) {
			after = line[e]
		}
		if !partOfName(before) && !partOfName(after) && !(before == '\\') {
			return true
		}
		at = i + 1
	}
}

func partOfName(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '_' || b == '.' || b == '/' || b == '~' || b == '%' || b == '+' || b == ',' || b >= 0x80
}

// spellings are the ways in which an entry may name a path.
func spellings(path, home string) []string {
	out := []string{path}
	if strings.ContainsAny(path, " \t") {
		out = append(out, strings.NewReplacer(" ", `\ `, "\t", "\\\t").Replace(path), strings.ReplaceAll(path, " ", `\x20`))
	}
	if home != "" && home != "/" {
		if rest, ok := strings.CutPrefix(path, filepath.Clean(home)+"/"); ok {
			for _, h := range []string{"~", "$HOME", "${HOME}", `"$HOME"`, `"${HOME}"`, "%h"} {
				out = append(out, h+"/"+rest)
			}
		}
	}
	return out
}

// comment reports whether a line says nothing to whoever reads the file.
func comment(line string) bool {
	s := strings.TrimSpace(line)
	return s == "" || s[0] == '#' || s[0] == ';'
}

// Whole reports whether the file as a whole is the entry.
func (e Entry) Whole() bool { return e.whole }
