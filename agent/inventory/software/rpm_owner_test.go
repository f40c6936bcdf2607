package software

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// ownerSpec is a package with files of every kind that a database of rpm has.
const ownerSpec = `Name: %NAME%
Version: 1
Release: 1
Summary: test
License: none
BuildArch: noarch
%DIGEST%
%description
test
%install
mkdir -p %{buildroot}/usr/bin %{buildroot}/usr/sbin %{buildroot}/etc %{buildroot}/opt/%NAME%/deep "%{buildroot}/opt/%NAME%/a b"
echo program > %{buildroot}/usr/bin/%NAME%
echo daemon > %{buildroot}/usr/sbin/%NAME%d
echo setting > %{buildroot}/etc/%NAME%.conf
ln -s %NAME% %{buildroot}/usr/bin/%NAME%-link
echo spaced > "%{buildroot}/opt/%NAME%/a b/c d"
echo ghost > %{buildroot}/opt/%NAME%/ghost
%files
/usr/bin/%NAME%
/usr/bin/%NAME%-link
/usr/sbin/%NAME%d
%config(noreplace) /etc/%NAME%.conf
/opt/%NAME%
%ghost /opt/%NAME%/ghost
`

// TestOwnersAgreeWithRpm has rpm build packages, one of them with the digests of old ones,
// install them under another root, and say whose each file is and what was shipped there.
func TestOwnersAgreeWithRpm(t *testing.T) {
	for _, tool := range []string{"rpm", "rpmbuild"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatal(tool + " is not here: tools/setup.sh test installs it")
		}
	}
	root, top := t.TempDir(), t.TempDir()
	for name, digest := range map[string]string{"modern": "", "ancient": "%define _binary_filedigest_algorithm 1"} {
		file := filepath.Join(top, name+".spec")
		if err := os.WriteFile(file, []byte(strings.NewReplacer("%NAME%", name, "%DIGEST%", digest).Replace(ownerSpec)), 0o600); err != nil {
			t.Fatal(err)
		}
		output(t, "rpmbuild", "--quiet", "--define", "_topdir "+top, "-bb", file)
	}
	built, err := filepath.Glob(top + "/RPMS/noarch/*.rpm")
	if err != nil || len(built) != 2 {
		t.Fatalf("built %v, %v", built, err)
	}
	at := []string{"--root", root, "--dbpath", "/var/lib/rpm"}
	output(t, "rpm", append(append(at, "--nodeps", "--force-debian", "-i"), built...)...)
	if st, err := os.Stat(filepath.Join(root, "var/lib/rpm/rpmdb.sqlite")); err != nil || st.Size() == 0 {
		t.Fatalf("rpm's database: %v", err)
	}
	// Whose file it is, its digest ("" for what has none), its name.
	said := output(t, "rpm", append(at, "-qa", "--qf", "[%{=NAME}\t%{FILEDIGESTS}\t%{FILENAMES}\n]")...)
	shipped, paths := map[string]Owner{}, []string{"/usr/bin/nobody", "/opt", "/etc/passwd"}
	for line := range strings.Lines(said) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", 3)
		if len(f) != 3 {
			t.Fatalf("rpm says %q", line)
		}
		want := Owner{Package: f[0]}
		if len(f[1]) == 32 {
			want.MD5 = f[1]
		} else {
			want.SHA256 = f[1]
		}
		shipped[f[2]], paths = want, append(paths, f[2])
	}
	if len(shipped) != 18 {
		t.Errorf("rpm knows %d files:\n%s", len(shipped), said)
	}
	got, err := New(root).Owners(t.Context(), paths)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		if got[p] != shipped[p] {
			t.Errorf("%s is of %+v, rpm says %+v", p, got[p], shipped[p])
		}
	}
	for _, p := range []string{"/usr/bin/modern", "/usr/bin/ancient", "/opt/modern/a b/c d", "/etc/ancient.conf"} {
		raw, err := os.ReadFile(filepath.Join(root, p))
		if err != nil {
			t.Fatal(err)
		}
		if !genuine(got[p], raw) || genuine(got[p], append(raw, '!')) {
			t.Errorf("%s: what was shipped is not told from what was not: %+v", p, got[p])
		}
	}
	// /bin is a link into /usr on such systems.
	if by, err := New(root).Owners(t.Context(), []string{"/bin/modern"}); err != nil || by["/bin/modern"].Package != "modern" {
		t.Errorf("%v, %v", by, err)
	}
	output(t, "rpm", append(at, "--nodeps", "--force-debian", "-e", "ancient")...)
	if by, err := New(root).Owners(t.Context(), []string{"/usr/bin/ancient", "/usr/bin/modern"}); err != nil || by["/usr/bin/ancient"].Package != "" || by["/usr/bin/modern"].Package != "modern" {
		t.Errorf("after one went: %v, %v", by, err)
	}
}

func genuine(o Owner, raw []byte) bool {
	m, s := md5.Sum(raw), sha256.Sum256(raw)
	return o.Genuine(hex.EncodeToString(m[:]), hex.EncodeToString(s[:]))
}
