package software

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestOwnersAgreeWithDpkg asks dpkg itself about programs of this machine.
func TestOwnersAgreeWithDpkg(t *testing.T) {
	if _, err := exec.LookPath("dpkg"); err != nil {
		t.Skip("this machine has no dpkg")
	}
	paths := []string{"/bin/ls", "/usr/bin/ls", "/usr/bin/env", "/usr/sbin/useradd", "/etc/passwd", "/usr/local/bin/nothing", "/tmp/x"}
	got, err := New("").Owners(context.Background(), paths)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		want := ""
		for _, alias := range aliases(p) {
			if out, err := exec.Command("dpkg", "-S", alias).Output(); err == nil {
				want, _, _ = strings.Cut(string(out), ":")
			}
		}
		if got[p].Package != want {
			t.Errorf("%s belongs to %q, dpkg says %q", p, got[p].Package, want)
		}
		if raw, err := os.ReadFile(p); err == nil && got[p].MD5 != "" {
			s := md5.Sum(raw)
			if !got[p].Genuine(hex.EncodeToString(s[:]), "") || got[p].Genuine(strings.Repeat("0", 32), "") {
				t.Errorf("%s: its digest is %s, not the shipped %s", p, hex.EncodeToString(s[:]), got[p].MD5)
			}
		}
	}
	if got["/usr/bin/ls"].MD5 == "" {
		t.Error("the digest of ls is not known")
	}
}

func TestOwnersOfApkAndPacman(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"lib/apk/db/installed":              "P:musl\nV:1\nF:lib\nR:ld-musl.so\nZ:Q1x\nF:etc\n\nP:busybox\nF:bin\nR:busybox\n",
		"var/lib/pacman/local/bash-5/files": "%FILES%\nusr/\nusr/bin/bash\n",
	} {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := New(root).Owners(context.Background(), []string{"/lib/ld-musl.so", "/usr/bin/busybox", "/bin/bash", "/etc", "/nothing"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Owner{"/lib/ld-musl.so": {Package: "musl"}, "/usr/bin/busybox": {Package: "busybox"}, "/bin/bash": {Package: "bash-5"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
