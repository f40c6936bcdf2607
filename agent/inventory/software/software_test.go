package software

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v", name, args, err)
	}
	return string(out)
}

// dpkg-query is another reader of the same database.
func TestDebsAreThoseOfDpkgQuery(t *testing.T) {
	if _, err := exec.LookPath("dpkg-query"); err != nil {
		t.Skip("this is no system of dpkg")
	}
	want := strings.Split(strings.TrimSpace(output(t, "dpkg-query", "-W", "-f",
		"${db:Status-Status}|${Package}|${Version}|${Architecture}|${source:Package}|${source:Version}\n")), "\n")
	want = slices.DeleteFunc(want, func(l string) bool {
		return strings.HasPrefix(l, "config-files|") || strings.HasPrefix(l, "not-installed|")
	})
	for i, l := range want {
		_, want[i], _ = strings.Cut(l, "|")
	}
	list, problems := New("").Collect()
	if len(problems) > 0 {
		t.Errorf("problems: %v", problems)
	}
	var got []string
	programs := 0
	for _, p := range list {
		if p.Kind != Deb {
			continue
		}
		got = append(got, strings.Join([]string{p.Name, p.Version, p.Arch, p.Source, p.SourceVersion}, "|"))
		if p.Installed == 0 {
			t.Errorf("%s has no time of installation", p.Name)
		}
		if p.Release == "" {
			t.Fatalf("%s has no release", p.Name)
		}
		programs += len(p.Paths)
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("packages (-dpkg-query +ours):\n%s", diff)
	}
	if programs == 0 {
		t.Error("no program is named")
	}
}

const spec = `Name: %s
Version: %s
Release: 3
%s
Summary: test
License: none
Vendor: Example Corp
BuildArch: noarch
%%description
test
%%install
mkdir -p %%{buildroot}/usr/bin
touch %%{buildroot}/usr/bin/%s
%%files
/usr/bin/%s
`

// rpm itself builds packages, installs them under another root and lists them.
func TestRpmsAreThoseOfRpm(t *testing.T) {
	for _, tool := range []string{"rpm", "rpmbuild"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatal(tool + " is not here: tools/setup.sh test installs it")
		}
	}
	root, top := t.TempDir(), t.TempDir()
	for _, p := range []struct{ name, version, epoch string }{{"alpha", "1.2~rc1", ""}, {"beta-tools", "3.0", "Epoch: 2"}} {
		file := filepath.Join(top, p.name+".spec")
		if err := os.WriteFile(file, fmt.Appendf(nil, spec, p.name, p.version, p.epoch, p.name, p.name), 0o600); err != nil {
			t.Fatal(err)
		}
		output(t, "rpmbuild", "--quiet", "--define", "_topdir "+top, "-bb", file)
	}
	built, err := filepath.Glob(top + "/RPMS/noarch/*.rpm")
	if err != nil || len(built) != 2 {
		t.Fatalf("built %v, %v", built, err)
	}
	output(t, "rpm", append([]string{"--root", root, "--dbpath", "/var/lib/rpm", "--nodeps", "--force-debian", "-i"}, built...)...)
	want := strings.Split(strings.TrimSpace(output(t, "rpm", "--root", root, "--dbpath", "/var/lib/rpm", "-qa", "--qf",
		"%{NAME}|%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}|%{ARCH}|%{VENDOR}|%{INSTALLTIME}\n")), "\n")
	for i, l := range want {
		f := strings.SplitN(l, "|", 2)
		want[i] = f[0] + "|" + f[1]
	}
	list, problems := New(root).Collect()
	if len(problems) > 0 {
		t.Errorf("problems: %v", problems)
	}
	var got []string
	for _, p := range list {
		got = append(got, fmt.Sprintf("%s|%s|%s|%s|%d", p.Name, p.Version, p.Arch, p.Vendor, p.Installed))
		if p.Source != p.Name || !slices.Equal(p.Paths, []string{"/usr/bin/" + p.Name}) {
			t.Errorf("%s: source %q, paths %v", p.Name, p.Source, p.Paths)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("packages (-rpm +ours):\n%s", diff)
	}
}

func write(t *testing.T, root, name, text string) {
	t.Helper()
	p := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What is kept of a database is its packages, not the files that they were read from.
func TestTheDatabaseIsNotKeptInMemory(t *testing.T) {
	root := t.TempDir()
	var status strings.Builder
	for i := range 100 {
		name := fmt.Sprintf("p%d", i)
		fmt.Fprintf(&status, "Package: %s\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n", name)
		write(t, root, "var/lib/dpkg/info/"+name+".list", "/usr/bin/"+name+"\n"+strings.Repeat("/usr/share/doc/a-file\n", 5000))
	}
	write(t, root, dpkgStatus, status.String())
	live := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	c := New(root)
	before := live()
	list, _ := c.Collect()
	if len(list) != 100 || len(list[0].Paths) != 1 {
		t.Fatalf("%d packages: %+v", len(list), list[0])
	}
	if after := live(); after > before+1<<20 {
		t.Errorf("%d KiB are live for 100 packages", (after-before)>>10)
	}
	runtime.KeepAlive(c)
}

func TestWhatIsRemovedOrDamagedIsNotInstalled(t *testing.T) {
	root := t.TempDir()
	write(t, root, dpkgStatus, "Package: a\nStatus: install ok installed\nVersion: 1\nArchitecture: all\nSource: s (2)\n\n"+
		"Package: b\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: c\nStatus: install ok installed\n\n\xff\xfe: x\n")
	write(t, root, "var/lib/rpm/Packages", strings.Repeat("garbage", 1000))
	write(t, root, "etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n")
	c := New(root)
	list, problems := c.Collect()
	want := []Package{{Kind: Deb, Name: "a", Version: "1", Arch: "all", Source: "s", SourceVersion: "2", Release: "debian:12"}}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(problems) != 1 || !strings.Contains(problems[0], "rpm") {
		t.Errorf("problems: %q, want one of rpm", problems)
	}
	write(t, root, dpkgStatus, "Package: a\nStatus: install ok installed\nVersion: 10\nArchitecture: all\n\n")
	if list, _ = c.Collect(); list[0].Version != "10" {
		t.Errorf("a change went unnoticed: %+v", list)
	}
}
