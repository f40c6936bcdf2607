package posture

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Check is the state of one configuration of the server's list.
type Check struct {
	ID         string `json:"id"`
	Applicable bool   `json:"applicable"` // false when the device does not have what it is about
	Compliant  bool   `json:"compliant"`
	Value      string `json:"value,omitempty"` // what was found
}

// checks makes every check. Their meaning is the server's, package vulnerability; the ids
// agree by a test there.
func (c *Collector) checks() []Check {
	ssh, installed := c.sshd()
	out := []Check{
		c.sysctl("scid-90001", "kernel/randomize_va_space", func(n int) bool { return n == 2 }),
		c.sysctl("scid-90002", "kernel/kptr_restrict", func(n int) bool { return n >= 1 }),
		c.sysctl("scid-90003", "fs/protected_symlinks", func(n int) bool { return n == 1 }),
		c.sysctl("scid-90004", "fs/protected_hardlinks", func(n int) bool { return n == 1 }),
		c.sysctl("scid-90005", "fs/suid_dumpable", func(n int) bool { return n != 1 }),
		c.sysctl("scid-90006", "net/ipv4/tcp_syncookies", func(n int) bool { return n >= 1 }),
		c.sysctl("scid-90007", "net/ipv4/conf/all/accept_source_route", func(n int) bool { return n == 0 }),
	}
	// The defaults are those of sshd_config(5).
	out = append(out,
		setting("scid-90008", installed, ssh, "permitrootlogin", "prohibit-password", func(v string) bool { return v != "yes" }),
		setting("scid-90009", installed, ssh, "permitemptypasswords", "no", func(v string) bool { return v == "no" }))
	out = append(out, c.accounts()...)
	return out
}

func (c *Collector) sysctl(id, name string, good func(int) bool) Check {
	v := c.line("proc/sys/" + name)
	n, err := strconv.Atoi(v)
	if err != nil {
		return Check{ID: id}
	}
	return Check{ID: id, Applicable: true, Compliant: good(n), Value: v}
}

func setting(id string, installed bool, conf map[string]string, name, otherwise string, good func(string) bool) Check {
	if !installed {
		return Check{ID: id}
	}
	v, ok := conf[name]
	if !ok {
		v = otherwise
	}
	return Check{ID: id, Applicable: true, Compliant: good(strings.ToLower(v)), Value: clean(v)}
}

// maxIncluded bounds the files of one sshd_config.
const maxIncluded = 64

// sshd reads the global part of sshd_config: for each keyword the first value counts, in
// the order of the text with Include in its place; what follows Match is conditional.
func (c *Collector) sshd() (map[string]string, bool) {
	conf, left := map[string]string{}, maxIncluded
	ok := c.sshdFile("etc/ssh/sshd_config", conf, &left)
	return conf, ok
}

func (c *Collector) sshdFile(name string, conf map[string]string, left *int) bool {
	if *left--; *left < 0 {
		return false
	}
	text, err := c.text(name)
	if err != nil {
		return false
	}
	for line := range strings.SplitSeq(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(strings.Replace(line, "=", " ", 1))
		if len(f) < 2 {
			continue
		}
		key := strings.ToLower(f[0])
		if key == "match" {
			break
		}
		if key == "include" {
			for _, pattern := range f[1:] {
				if !filepath.IsAbs(pattern) {
					pattern = filepath.Join("/etc/ssh", pattern)
				}
				files, _ := filepath.Glob(c.path(pattern))
				slices.Sort(files)
				for _, file := range files {
					if rel, err := filepath.Rel(c.cfg.Root, file); err == nil {
						c.sshdFile(rel, conf, left)
					}
				}
			}
			continue
		}
		if _, set := conf[key]; !set {
			conf[key] = strings.Trim(f[1], `"`)
		}
	}
	return true
}

// accounts checks the account files.
func (c *Collector) accounts() []Check {
	mode, empty, roots := Check{ID: "scid-90010"}, Check{ID: "scid-90011"}, Check{ID: "scid-90012"}
	if st, err := os.Stat(c.path("etc/shadow")); err == nil {
		mode.Applicable, mode.Compliant, mode.Value = true, st.Mode().Perm()&0o037 == 0, st.Mode().Perm().String()
	}
	if text, err := c.text("etc/shadow"); err == nil {
		n := 0
		for line := range strings.SplitSeq(text, "\n") {
			if f := strings.Split(line, ":"); len(f) > 2 && f[0] != "" && f[1] == "" {
				n++
			}
		}
		empty.Applicable, empty.Compliant, empty.Value = true, n == 0, strconv.Itoa(n)
	}
	if text, err := c.text("etc/passwd"); err == nil {
		n := 0
		for line := range strings.SplitSeq(text, "\n") {
			if f := strings.Split(line, ":"); len(f) > 2 && f[2] == "0" {
				n++
			}
		}
		roots.Applicable, roots.Compliant, roots.Value = true, n <= 1, strconv.Itoa(n)
	}
	return []Check{mode, empty, roots}
}
