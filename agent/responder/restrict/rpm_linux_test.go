package restrict

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestADeviceOfRpmIsRestricted has rpm itself say what a package brought, in a database of its
// own making: the only one of the device.
func TestADeviceOfRpmIsRestricted(t *testing.T) {
	for _, tool := range []string{"rpm", "rpmbuild"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatal(tool + " is not here: tools/setup.sh test installs it")
		}
	}
	l := newLab(t)
	raw, err := os.ReadFile(filepath.Join(l.root, "var/lib/dpkg/info/base.md5sums"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(l.root, "var/lib/dpkg")); err != nil {
		t.Fatal(err)
	}
	var files, list strings.Builder
	seen := map[string]bool{}
	for line := range strings.Lines(string(raw)) {
		_, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		if !seen[name] {
			seen[name] = true
			fmt.Fprintf(&files, " %s", name)
			fmt.Fprintf(&list, "/%s\n", name)
		}
	}
	top := t.TempDir()
	spec := filepath.Join(top, "base.spec")
	text := `%define __os_install_post %{nil}
%define _binaries_in_noarch_packages_terminate_build 0
Name: base
Version: 1
Release: 1
Summary: base
License: none
BuildArch: noarch
AutoReqProv: no
%description
base
%install
mkdir -p %{buildroot}
cd ` + l.root + ` && cp --parents -a` + files.String() + ` %{buildroot}
%files
` + list.String()
	if err := os.WriteFile(spec, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("rpmbuild", "--quiet", "-bb", "--define", "_topdir "+top, spec).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	built, _ := filepath.Glob(top + "/RPMS/noarch/*.rpm") // a malformed pattern is its only error
	if len(built) != 1 {
		t.Fatalf("built %q", built)
	}
	rpm := func(args ...string) {
		t.Helper()
		out, err := exec.Command("rpm", append([]string{"--root", l.root, "--dbpath", "/var/lib/rpm", "--nodeps", "--force-debian", "--justdb"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("rpm %q: %v %s", args, err, out)
		}
	}
	rpm("-i", built[0])
	l.put("tmp/evil.sh", "#!/bin/sh\necho ran\n")
	l.put("usr/bin/newcomer", string(mustRead(t, filepath.Join(l.root, "usr/bin/true")))+"changed")
	l.start()
	l.restrict(Params{})
	l.runs("/bin/true")
	l.runs("/bin/sh", "-c", "cat /usr/bin/true >/dev/null && perl -e 1")
	l.denied("/tmp/evil.sh")
	l.denied("/usr/bin/newcomer")
	// What a package's file became is not what it brought.
	l.put("usr/bin/cp", "#!/bin/sh\necho ran\n")
	l.denied("/bin/cp")
	l.unrestrict()
	l.runs("/tmp/evil.sh")
	// Without any package nothing could be trusted.
	rpm("-e", "base")
	l.stop()
	l.start()
	if r := l.do(KindRestrict, Params{}); r.State == "verified" || l.r.Active() {
		t.Errorf("restricted by an empty database: %+v", r)
	}
	l.runs("/bin/true")
}
