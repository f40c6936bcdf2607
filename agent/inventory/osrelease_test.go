package inventory

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestOSRelease(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"debian", "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nID=debian\n",
			"Debian|12|Debian GNU/Linux 12 (bookworm)"},
		{"ubuntu", "NAME='Ubuntu'\nID=ubuntu\nVERSION_ID='22.04'\nPRETTY_NAME='Ubuntu 22.04.4 LTS'\n", "Ubuntu|22.04|Ubuntu 22.04.4 LTS"},
		{"rhel", "NAME=\"Red Hat Enterprise Linux\"\nID=\"rhel\"\nVERSION_ID=\"9.4\"\nPRETTY_NAME=\"Red Hat Enterprise Linux 9.4 (Plow)\"\n",
			"RedHatEnterpriseLinux|9.4|Red Hat Enterprise Linux 9.4 (Plow)"},
		{"unnumbered", "ID=debian\nVERSION_CODENAME=trixie\n# ID=x\n", "Debian|trixie|"},
		{"unknown", "NAME=\"My \\\"own\\\" \\$ystem\"\nID=own\n", `My "own" $ystem||`},
		{"hostile", "NAME=" + strings.Repeat("A", 1000) + "\x1b[31m\xff\n", strings.Repeat("A", MaxText) + "||"},
		{"empty", "", "||"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			os := osRelease(tt.text)
			if got := os.Distribution + "|" + os.Version + "|" + os.VersionInfo; got != tt.want || os.Platform != "Linux" {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestArchitecture(t *testing.T) {
	for machine, want := range map[string]string{"x86_64": "64-bit x64", "aarch64": "64-bit arm64", "i686": "32-bit x86", "riscv64": "64-bit riscv64"} {
		a, p := architecture(machine)
		if diff := cmp.Diff(want, a+" "+p); diff != "" {
			t.Errorf("%s (-want +got):\n%s", machine, diff)
		}
	}
}

func TestDigestLeavesOutTheTime(t *testing.T) {
	r := Report{Hostname: "a", Time: time.Unix(1, 0)}
	s := r
	s.Time = time.Unix(2, 0)
	if r.Digest() != s.Digest() {
		t.Error("the time changed the digest")
	}
	s.Hostname = "b"
	if r.Digest() == s.Digest() {
		t.Error("another name did not change the digest")
	}
}
