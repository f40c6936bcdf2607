package persistence

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAPathIsMentionedAsAWholeWordAlone(t *testing.T) {
	for line, want := range map[string]bool{
		"* * * * * root /opt/evil":        true,
		"/opt/evil -x":                    true,
		"ExecStart=/opt/evil":             true,
		"ExecStart=-/opt/evil run":        true,
		`RUN+="/opt/evil"`:                true,
		"sh -c '/opt/evil;true'":          true,
		"x=/opt/evil:/opt/other":          true,
		"(/opt/evil&)":                    true,
		"/opt/evil/sub":                   false,
		"/opt/evil.bak":                   false,
		"/srv/opt/evil":                   false,
		"/opt/evilness":                   false,
		"/opt/evil2 and then /opt/evil":   true,
		"http://host/opt/evil is no path": false,
	} {
		if got := mentions(line, "/opt/evil"); got != want {
			t.Errorf("%q: %v", line, got)
		}
	}
	if !slices.Contains(spellings("/home/ann/x y", "/home/ann"), "~/x y") || !slices.Contains(spellings("/home/ann/x y", ""), `/home/ann/x\ y`) {
		t.Error(spellings("/home/ann/x y", "/home/ann"))
	}
}

// taker is a quarantine that is a directory.
type taker struct{ dir string }

func (q taker) Take(_ context.Context, f *os.File, path string) (string, error) {
	id := strings.ReplaceAll(path, "/", "_")
	return id, errors.Join(os.Rename(path, filepath.Join(q.dir, id)))
}

func (q taker) Give(_ context.Context, id string) error {
	return os.Rename(filepath.Join(q.dir, id), strings.ReplaceAll(id, "_", "/"))
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func nothing(Change) error { return nil }

func TestAHomeIsNotLeft(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f := &Finder{Root: root, Homes: []Home{{"ann", "/home/ann"}, {"bob", "/home/bob"}}}
	put(t, filepath.Join(root, "secret"), "/opt/evil\n")
	put(t, filepath.Join(root, "home/ann/dotfiles/bashrc"), "alias x=y\n~/evil &\n")
	put(t, filepath.Join(root, "home/bob/x"), "")
	// A link within the home is followed, one that leads out is not.
	for name, to := range map[string]string{"home/ann/.bashrc": "dotfiles/bashrc", "home/bob/.bashrc": "../../secret", "home/bob/.profile": filepath.Join(root, "secret")} {
		if err := os.Symlink(to, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	found, err := f.Find(t.Context(), []string{"/opt/evil", filepath.Join(root, "home/ann/evil")})
	if err != nil || len(found) != 1 || found[0].Lines[0] != 2 {
		t.Fatalf("%+v, %v", found, err)
	}
	c, err := Detach(t.Context(), found[0], taker{t.TempDir()}, nothing)
	if err != nil {
		t.Fatal(err)
	}
	if to, err := os.Readlink(filepath.Join(root, "home/ann/.bashrc")); err != nil || to != "dotfiles/bashrc" {
		t.Errorf("the link: %q %v", to, err)
	}
	real := filepath.Join(root, "home/ann/dotfiles/bashrc")
	if got, _ := os.ReadFile(real); string(got) != "alias x=y\n:\n" {
		t.Errorf("%q", got)
	}
	if err := Attach(t.Context(), c, taker{}); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(real); string(got) != "alias x=y\n~/evil &\n" {
		t.Errorf("%q", got)
	}
}

func TestAFileKeepsWhatItIs(t *testing.T) {
	root := t.TempDir()
	p := filepath.Join(root, "etc/cron.d/x")
	put(t, p, "1 * * * * root /opt/evil\nlast line without an end")
	if err := os.Chown(p, 1234, 2345); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(p, 0o640); err != nil {
		t.Fatal(err)
	}
	attr := unix.Setxattr(p, "user.origin", []byte("x"), 0)
	// What an intruder makes immutable is changed all the same, where the file system knows that.
	fd, err := os.Open(p)
	if err != nil {
		t.Fatal(err)
	}
	_ = unix.IoctlSetPointerInt(int(fd.Fd()), unix.FS_IOC_SETFLAGS, unix.STATX_ATTR_IMMUTABLE)
	fd.Close()
	found, err := (&Finder{Root: root}).Find(t.Context(), []string{"/opt/evil"})
	if err != nil || len(found) != 1 {
		t.Fatalf("%+v %v", found, err)
	}
	kept := 0
	c, err := Detach(t.Context(), found[0], nil, func(c Change) error { kept++; return nil })
	if err != nil || kept != 1 {
		t.Fatal(kept, err)
	}
	var st unix.Stat_t
	if err := unix.Stat(p, &st); err != nil {
		t.Fatal(err)
	}
	value := make([]byte, 8)
	n, _ := unix.Getxattr(p, "user.origin", value)
	if st.Uid != 1234 || st.Gid != 2345 || st.Mode&0o7777 != 0o640 || attr == nil && !bytes.Equal(value[:max(n, 0)], []byte("x")) {
		t.Errorf("%d:%d %o %q", st.Uid, st.Gid, st.Mode, value)
	}
	if got, _ := os.ReadFile(p); string(got) != "last line without an end" {
		t.Errorf("%q", got)
	}
	if err := Attach(t.Context(), c, nil); err != nil {
		t.Error(err)
	}
	if err := Attach(t.Context(), c, nil); err != nil {
		t.Errorf("again: %v", err)
	}
	if got, _ := os.ReadFile(p); string(got) != "1 * * * * root /opt/evil\nlast line without an end" {
		t.Errorf("%q", got)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(p), ".*")); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestACompoundCommandIsLeft(t *testing.T) {
	for script, whole := range map[string]bool{
		"/opt/evil\n":                                   true,
		"[ -x /opt/evil ] && /opt/evil\n":               true,
		"if [ -x /opt/evil ]; then /opt/evil; fi\n":     true,
		"if true; then\n  /opt/evil\nfi\n":              true,
		"if [ -x /opt/evil ]; then\n  true\nfi\n":       false,
		"true && \\\n/opt/evil\n":                       false,
		"/opt/evil |\ncat\n":                            false,
		"cat <<E /opt/evil\nE\n":                        false,
		"case x in\nx) /opt/evil ;;\nesac\n":            false,
		"echo \"begins\n/opt/evil\"\n":                  false,
		"f() {\n  /opt/evil\n}\n":                       true,
		"for i in 1 2; do /opt/evil\ndone\n":            false,
		"while :; do /opt/evil; sleep 1; done &\n":      true,
		"nohup /opt/evil >/dev/null 2>&1 &\nexit 0\n":   true,
		"else /opt/evil\n":                              false,
		"# /opt/evil\nexec 3< /opt/evil; . /opt/evil\n": true,
	} {
		root := t.TempDir()
		put(t, filepath.Join(root, "etc/rc.local"), script)
		found, err := (&Finder{Root: root}).Find(t.Context(), []string{"/opt/evil"})
		if err != nil || len(found) != 1 {
			t.Fatalf("%q: %+v %v", script, found, err)
		}
		_, err = Detach(t.Context(), found[0], nil, nothing)
		if errors.Is(err, ErrCompound) == whole {
			t.Errorf("%q: %v", script, err)
		}
		if got, _ := os.ReadFile(filepath.Join(root, "etc/rc.local")); !whole && string(got) != script {
			t.Errorf("%q was left as %q", script, got)
		}
	}
}

func TestNamedAreThePathsThatStartByThemselves(t *testing.T) {
	root := t.TempDir()
	put(t, filepath.Join(root, "etc/cron.d/x"), "1 * * * * root /usr/bin/job --file=/var/x\n# /not/this\n")
	put(t, filepath.Join(root, "etc/systemd/system/a.service"), "[Service]\nExecStart=-/usr/sbin/daemon -f\nDescription=/not/this/either\n")
	got, err := (&Finder{Root: root}).Named(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"/usr/bin/job", "/var/x"} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is not among %q", want, got)
		}
	}
	if !slices.ContainsFunc(got, func(s string) bool { return strings.HasSuffix(s, "/usr/sbin/daemon") }) || slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "/not") }) {
		t.Errorf("%q", got)
	}
}
