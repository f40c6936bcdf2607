package posture

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/wire"
)

func decode[T any](t *testing.T, items []json.RawMessage) []T {
	t.Helper()
	out := make([]T, len(items))
	for i, raw := range items {
		if len(raw) > wire.MaxSectionItem {
			t.Errorf("an item of %d bytes", len(raw))
		}
		if err := json.Unmarshal(raw, &out[i]); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// openssl reads the same certificates.
func TestCertificatesAreThoseOfOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not here")
	}
	root := t.TempDir()
	dir := filepath.Join(root, "etc/ssl/certs")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "a.pem")
	if out, err := exec.Command("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", filepath.Join(root, "key"), "-out", file,
		"-days", "30", "-subj", "/C=DE/O=Example/CN=test").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.Command("openssl", "x509", "-in", file, "-noout", "-fingerprint", "-sha1", "-serial").Output()
	if err != nil {
		t.Fatal(err)
	}
	list := decode[Certificate](t, New(Config{Root: root}).Collect().Certificates)
	if len(list) != 1 {
		t.Fatalf("%d certificates", len(list))
	}
	said := strings.ToLower(strings.ReplaceAll(string(out), ":", ""))
	c := list[0]
	if !strings.Contains(said, c.Thumbprint) || !strings.Contains(said, c.Serial) || c.KeyLength != 2048 || !c.SelfSigned || c.Subject["Organization"] != "Example" || c.Path != "/etc/ssl/certs/a.pem" {
		t.Errorf("%+v; openssl says %s", c, out)
	}
}

func TestSettingsOfThisHostAreThoseOfTheKernel(t *testing.T) {
	for _, c := range decode[Check](t, New(Config{}).Collect().Configuration) {
		if c.ID == "scid-90001" {
			raw, err := os.ReadFile("/proc/sys/kernel/randomize_va_space")
			if err != nil {
				t.Skip(err)
			}
			if v := strings.TrimSpace(string(raw)); c.Value != v || c.Compliant != (v == "2") {
				t.Errorf("%+v, the kernel says %s", c, v)
			}
		}
	}
}

func TestFilesOfUsersAreBoundedAndRead(t *testing.T) {
	root := t.TempDir()
	put := func(name, text string) {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("etc/passwd", "root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n")
	put("etc/shadow", "root:!:1::::::\nann::1::::::\n")
	put("etc/ssh/sshd_config", "Include sshd_config.d/*.conf\nPermitRootLogin no\nMatch User x\nPermitEmptyPasswords yes\n")
	put("etc/ssh/sshd_config.d/a.conf", "PermitRootLogin yes\n")
	id := strings.Repeat("a", 32)
	put("home/ann/.config/chromium/Default/Extensions/"+id+"/1.0/manifest.json", `{"name":"Ext","version":"1.0","permissions":["tabs",{"x":1}],"host_permissions":["<all_urls>"]}`)
	put("home/ann/.config/chromium/Default/Extensions/"+strings.Repeat("b", 32)+"/1.0/manifest.json", `{`)
	put("home/ann/.mozilla/firefox/p/extensions.json", `{"addons":[{"id":"u@x","type":"extension","location":"app-profile","version":"2","active":true,"installDate":1700000000000,"defaultLocale":{"name":"U"}},{"id":"s","type":"extension","location":"app-builtin"}]}`)
	now := time.Now()
	r := New(Config{Root: root, Now: func() time.Time { return now }}).Collect()
	got := map[string]Check{}
	for _, c := range decode[Check](t, r.Configuration) {
		got[c.ID] = c
	}
	for id, compliant := range map[string]bool{"scid-90008": false, "scid-90009": true, "scid-90010": true, "scid-90011": false, "scid-90012": false} {
		if c := got[id]; !c.Applicable || c.Compliant != compliant {
			t.Errorf("%s: %+v, want compliant %v", id, c, compliant)
		}
	}
	if got["scid-90001"].Applicable {
		t.Error("a setting that is not there is applicable")
	}
	list := decode[Extension](t, r.Extensions)
	if len(list) != 2 || list[0].ID != id || len(list[0].Permissions) != 2 || list[1].ID != "u@x" || list[1].Installed != 1700000000 {
		t.Errorf("extensions: %+v", list)
	}
}
