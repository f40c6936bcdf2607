package trust

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vedette-edr/vedette/agent/hash"
)

func sumsOf(b []byte) hash.Sums {
	m, s1, s2 := md5.Sum(b), sha1.Sum(b), sha256.Sum256(b)
	return hash.Sums{MD5: hex.EncodeToString(m[:]), SHA1: hex.EncodeToString(s1[:]), SHA256: hex.EncodeToString(s2[:])}
}

func write(t *testing.T, root, name, text string) {
	t.Helper()
	p := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestDpkg(t *testing.T) {
	root := t.TempDir()
	if err := os.Symlink("usr/bin", filepath.Join(root, "bin")); err != nil {
		t.Fatal(err)
	}
	a, b, c, d := sumsOf([]byte("a")), sumsOf([]byte("b")), sumsOf([]byte("c")), sumsOf([]byte("d"))
	write(t, root, dpkgStatus, "Package: a\nStatus: install ok installed\nConffiles:\n /etc/init.d/a "+c.MD5+"\n /etc/old "+c.MD5+" obsolete\nDescription: a\n /etc/no "+c.MD5+"\n")
	write(t, root, dpkgInfo+"/a:amd64.md5sums", a.MD5+"  bin/a\n"+b.MD5+"  usr/lib/liba.so\n"+d.MD5+"  usr/bin/sh\n\\"+a.MD5+"  usr/bin/odd\\n\n")
	write(t, root, dpkgInfo+"/b.md5sums", b.MD5+"  usr/bin/sh\n")
	write(t, root, dpkgDiversions, "/usr/bin/sh\n/usr/bin/sh.distrib\nb\n")
	db := New(root)
	if news, err := db.Refresh(); err != nil || !news {
		t.Fatal(news, err)
	}
	for _, x := range []struct {
		name string
		sums hash.Sums
		want bool
	}{
		{"/usr/bin/a", a, true}, {"/bin/a", a, false}, {"/usr/bin/a", b, false}, {"/tmp/a", a, false}, {"/usr/lib/liba.so", b, true},
		{"/etc/init.d/a", c, true}, {"/etc/old", c, false}, {"/etc/no", c, false},
		{"/usr/bin/sh", b, true}, {"/usr/bin/sh", d, false}, {"/usr/bin/sh.distrib", d, true}, {"/usr/bin/a", hash.Sums{}, false},
	} {
		if got := db.Has(x.name, x.sums); got != x.want {
			t.Errorf("Has(%s, %s) = %v", x.name, x.sums.MD5, got)
		}
	}
	if news, err := db.Refresh(); news || err != nil {
		t.Errorf("nothing changed: %v %v", news, err)
	}
	// A package that comes is known; a database that goes leaves what was known.
	write(t, root, dpkgInfo+"/c.md5sums", c.MD5+"  usr/bin/c\n")
	if _, err := db.Refresh(); err != nil || !db.Has("/usr/bin/c", c) {
		t.Errorf("a new package: %v", err)
	}
	if err := os.RemoveAll(filepath.Join(root, "var")); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Refresh(); err == nil || !db.Has("/usr/bin/a", a) {
		t.Errorf("without databases: %v", err)
	}
}

// What dpkg --verify finds unchanged must be known, on the machine that runs the test.
func TestThisMachinesPackages(t *testing.T) {
	if _, err := exec.LookPath("dpkg-query"); err != nil {
		t.Skip("this machine has no dpkg")
	}
	db := New("")
	if _, err := db.Refresh(); err != nil {
		t.Fatal(err)
	}
	for _, pkg := range []string{"coreutils", "libc6", "dpkg"} {
		list, err := exec.Command("dpkg-query", "-L", pkg).Output()
		if err != nil {
			t.Fatal(err)
		}
		verify, _ := exec.Command("dpkg", "--verify", pkg).Output() // it fails where something changed
		n := 0
		for name := range strings.Lines(string(list)) {
			name = strings.TrimSpace(name)
			st, err := os.Lstat(name)
			if err != nil || !st.Mode().IsRegular() || strings.Contains(string(verify), name) {
				continue
			}
			real, err := filepath.EvalSymlinks(name)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := os.ReadFile(real)
			if err != nil {
				t.Fatal(err)
			}
			if !db.Has(real, sumsOf(raw)) {
				t.Errorf("%s of %s is not known", real, pkg)
			}
			if db.Has(real, sumsOf(append(raw, 0))) {
				t.Errorf("%s with other content is known", real)
			}
			n++
		}
		if n == 0 {
			t.Errorf("no file of %s was looked at", pkg)
		}
	}
	t.Logf("%d files are known", db.Len())
}

// An rpm database that rpm itself made.
func TestRpm(t *testing.T) {
	for _, tool := range []string{"rpm", "rpmbuild"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("this machine has no " + tool)
		}
	}
	top, root := t.TempDir(), t.TempDir()
	write(t, top, "x.spec", "Name: x\nVersion: 1\nRelease: 1\nSummary: x\nLicense: x\nBuildArch: noarch\n%description\nx\n%install\nmkdir -p %{buildroot}/usr/bin\nprintf hello >%{buildroot}/usr/bin/x\n%files\n/usr/bin/x\n")
	if out, err := exec.Command("rpmbuild", "-bb", "--define", "_topdir "+top, filepath.Join(top, "x.spec")).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	pkgs, _ := filepath.Glob(top + "/RPMS/noarch/*.rpm")
	if out, err := exec.Command("rpm", append([]string{"--root", root, "--dbpath", "/var/lib/rpm", "--nodeps", "--noscripts", "-i"}, pkgs...)...).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	db := New(root)
	if _, err := db.Refresh(); err != nil {
		list, _ := exec.Command("find", root).Output()
		t.Fatalf("%v\n%s", err, list)
	}
	if !db.Has("/usr/bin/x", sumsOf([]byte("hello"))) || db.Has("/usr/bin/x", sumsOf([]byte("other"))) {
		t.Error("the file of the package is not known as it is")
	}
}
