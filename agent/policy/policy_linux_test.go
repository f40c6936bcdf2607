package policy

import (
	"crypto/ed25519"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWhatIsNotWhollyUnderstoodIsRefused(t *testing.T) {
	key := KeyText(make(ed25519.PublicKey, ed25519.PublicKeySize))
	for text, want := range map[string]string{
		`{"refused":["a"]}`:                         "unknown field",
		`{"refuse":["Isolate"]}`:                    "refuse[0]",
		`{"refuse":["isolate"]} x`:                  "behind",
		`{"approvers":[{"name":"a","key":"AAAA"}]}`: "approvers[0]",
		`{"approvers":[{"name":"a","key":"` + key + `"},{"name":"b","key":"` + key + `"}]}`: "approvers[1]",
		`{"thresholds":{"isolate":1}}`: "isolate needs 1",
		`{"approvers":[{"name":"a","key":"` + key + `"}],"thresholds":{"isolate":-1}}`: "isolate needs -1",
		`{"protectedPaths":["srv"]}`: "protectedPaths[0]",
		`{"offboard":"explode"}`:     "offboard",
		`[]`:                         "array",
		``:                           "EOF",
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	p, err := Parse([]byte(`{"refuse":["liveresponse"],"approvers":[{"name":"ana","key":"` + key + `"}],"thresholds":{"isolate":1},"protectedPaths":["/srv/db/"],"offboard":"refuse"}`))
	if err != nil || len(p.Keys()) != 1 || p.Thresholds["isolate"] != 1 {
		t.Fatalf("%+v, %v", p, err)
	}
	if got := strings.Join(p.Refuses(), " "); got != "liveresponse offboard" {
		t.Errorf("refuses %s", got)
	}
	for path, want := range map[string]string{"/srv/db": "/srv/db", "/srv/db/x": "/srv/db", "/srv/db/../db/x": "/srv/db", "/srv/dbx": "", "/srv": ""} {
		if got := p.ProtectsPath(path); got != want {
			t.Errorf("%s is protected by %q, want %q", path, got, want)
		}
	}
}

func TestTheFileIsFoundAndTrusted(t *testing.T) {
	dir := t.TempDir()
	if _, from, err := Load("", dir); err != nil || from != "" && from != System {
		t.Errorf("without a file: %q, %v", from, err)
	}
	if _, _, err := Load(filepath.Join(dir, "named"), dir); err == nil {
		t.Error("a file that was named and is not there was passed over")
	}
	file := filepath.Join(dir, "policy.json")
	write := func(mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(file, []byte(`{"refuse":["offboard"]}`), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
	}
	write(0o644)
	if p, from, err := Load("", dir); err != nil || from != file || len(p.Refused) != 1 || p.ProtectsPath(file) == "" || p.ProtectsPath(System) == "" {
		t.Errorf("%+v from %q, %v", p, from, err)
	}
	write(0o666)
	if _, _, err := Load("", dir); err == nil {
		t.Error("a file that everybody may write was trusted")
	}
	write(0o600)
	if os.Geteuid() == 0 {
		if err := os.Chown(file, 12345, 12345); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Load("", dir); err == nil {
			t.Error("somebody else's file was trusted")
		}
	}
}
