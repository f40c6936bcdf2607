package e2e

import (
	"crypto/rand"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/vedette-edr/vedette/client"
)

// eicar is written in two parts, so that no scanner takes this program for it.
const eicar = `X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-` + `ANTIVIRUS-TEST-FILE!$H+H*`

// confine hides from an agent what of this machine its scans and searches would look at: it
// sees the test's own directory, that of its program, which may be anywhere, and empty ones in
// place of those that everybody writes to.
const confine = `set -e
mount -t tmpfs none /mnt
mkdir /mnt/own /mnt/cron /mnt/bin
mount --bind "$1" /mnt/own
mount --bind "$2" /mnt/bin
mount --bind /mnt/cron /etc/cron.d
printf '* * * * * root /bin/true\n* * * * * root %s/victim/evil\n' "$1" > /etc/cron.d/evil
for d in /tmp /var/tmp /dev/shm /home /root /srv /opt; do mount -t tmpfs none $d; done
mkdir -p "$1" "$2"
mount --bind /mnt/own "$1"
mount --bind /mnt/bin "$2"
umount /mnt/own /mnt/bin
shift 2
exec "$@"`

// confined starts an agent that sees nothing but dir of what is written to.
func confined(t *testing.T, s *server, dir string) *agentRun {
	t.Helper()
	a := &agentRun{state: filepath.Join(dir, "state"), instance: unique("t")}
	ca, err := os.ReadFile(s.profile.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	// The server's directory is among those that the agent does not see.
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), ca, 0o644); err != nil {
		t.Fatal(err)
	}
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte(s.profile.EnrollmentToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a.args = []string{"unshare", "--mount", "--propagation", "private", "sh", "-c", confine, "sh", dir, filepath.Dir(bin("vedette-agent")),
		bin("vedette-agent"), "run", "--server", "https://" + s.addr, "--enroll-token-file", token,
		"--ca", filepath.Join(dir, "ca.pem"), "--state-dir", a.state, "--instance", a.instance}
	a.restart(t)
	return a
}

// TestAFileIsTakenFromADeviceAndGivenBack quarantines a running program on every device
// that saw it, with the cron entry that starts it, and gives it back.
func TestAFileIsTakenFromADeviceAndGivenBack(t *testing.T) {
	s := startServer(t)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	a := confined(t, s, dir)
	s.onlyDevice(t)

	evil := filepath.Join(dir, "victim", "evil")
	raw, err := os.ReadFile("/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	raw = append(raw, rand.Text()...)
	sum := sha1.Sum(raw)
	digest := hex.EncodeToString(sum[:])
	if err := os.MkdirAll(filepath.Dir(evil), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(evil, raw, 0o750); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(evil)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(evil, "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	s.huntUntil(t, "the program in telemetry", `DeviceProcessEvents | where SHA1 == "`+digest+`" | project FolderPath`, func(rows []map[string]any) bool {
		if len(rows) == 0 { // on a busy machine a first run is reported before its file was read
			command(t, evil, "0")
		}
		return len(rows) > 0
	})

	var shown client.FileAction
	if err := json.Unmarshal([]byte(s.cli(t, "-o", "json", "file", "quarantine", digest, "--everywhere", "--dry-run")), &shown); err != nil {
		t.Fatal(err)
	}
	if !shown.Counted || shown.Seen != 1 || shown.Accepted != 1 || shown.SHA1 != digest || len(shown.Paths) == 0 || shown.Paths[0] != evil || shown.Names[0] != "evil" {
		t.Errorf("shown before: %+v", shown)
	}
	if _, err := os.Stat(evil); err != nil {
		t.Fatalf("counting changed something: %v", err)
	}

	out := s.cli(t, "-o", "json", "file", "quarantine", digest, "--everywhere", "--comment", "end-to-end test", "--wait", "60s")
	if err := json.Unmarshal([]byte(out), &shown); err != nil || len(shown.Outcomes) != 1 || shown.Outcomes[0].Status != "Succeeded" {
		t.Fatalf("%v: %s\n%s", err, out, a.out)
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the program ended as %v", err)
	}
	if _, err := os.Lstat(evil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
	cron := fmt.Sprintf("/proc/%d/root/etc/cron.d/evil", a.cmd.Process.Pid)
	if got, err := os.ReadFile(cron); err != nil || string(got) != "* * * * * root /bin/true\n" {
		t.Errorf("the cron file is %q, %v", got, err)
	}

	// The action center offers the undo, and it is one.
	var undone client.ActionDetail
	if err := json.Unmarshal([]byte(s.cli(t, "-o", "json", "action", "undo", shown.Outcomes[0].Action, "--comment", "it was ours")), &undone); err != nil {
		t.Fatal(err)
	}
	await(t, "the file to be given back", func() error {
		var act client.Action
		if err := json.Unmarshal([]byte(s.cli(t, "-o", "json", "action", "get", undone.ID)), &act); err != nil {
			return err
		}
		if act.Status != "Succeeded" || act.Type != "RestoreFile" {
			return fmt.Errorf("%+v", act)
		}
		return nil
	})
	after, err := os.Stat(evil)
	if err != nil {
		t.Fatal(err)
	}
	x, y := before.Sys().(*syscall.Stat_t), after.Sys().(*syscall.Stat_t)
	if got, err := os.ReadFile(evil); err != nil || string(got) != string(raw) || before.Mode() != after.Mode() || x.Uid != y.Uid || !before.ModTime().Equal(after.ModTime()) {
		t.Errorf("it came back as another: %v %v %v", before, after, err)
	}
	if got, err := os.ReadFile(cron); err != nil || !strings.Contains(string(got), evil) {
		t.Errorf("the cron file is %q, %v", got, err)
	}
	if out := s.cli(t, "-o", "json", "action", "get", shown.Outcomes[0].Action); !strings.Contains(out, "reverted") {
		t.Errorf("the quarantine is not reverted: %s", out)
	}
}

// TestAScanFindsReportsAndTakes scans a device on which the EICAR test file lies.
func TestAScanFindsReportsAndTakes(t *testing.T) {
	s := startServer(t)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	a := confined(t, s, dir)
	d := s.onlyDevice(t)
	file := filepath.Join(dir, "eicar.com")
	if err := os.WriteFile(file, []byte(eicar), 0o644); err != nil {
		t.Fatal(err)
	}
	var act client.Action
	out := s.cli(t, "-o", "json", "device", "scan", d.Name, "--comment", "end-to-end test", "--cpu", "100", "--wait", "100s")
	if err := json.Unmarshal([]byte(out), &act); err != nil || act.Status != "Succeeded" {
		t.Fatalf("%v: %s\n%s", err, out, a.out)
	}
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the test file is still there: %v", err)
	}
	// This program holds the test file in its memory, which the scan reports as well.
	rows := s.huntUntil(t, "the events of the scan", `DeviceEvents | where ActionType in ("AntivirusDetection", "AntivirusScanCompleted")
		| where FileName == "eicar.com" or ActionType == "AntivirusScanCompleted"
		| project ActionType, FileName, SHA1, Threat = tostring(AdditionalFields.ThreatName), Done = tostring(AdditionalFields.Action) | order by ActionType asc`,
		func(rows []map[string]any) bool { return len(rows) == 2 })
	if r := rows[0]; r["FileName"] != "eicar.com" || r["SHA1"] != "3395856ce81f2b7382dee72602f798b642f14140" || r["Done"] != "Quarantined" {
		t.Errorf("%v", r)
	}
	await(t, "the alert", func() error {
		if out := s.cli(t, "-o", "json", "alert", "list"); !strings.Contains(out, "An antivirus scan found malware in eicar.com") {
			return errors.New(out)
		}
		return nil
	})
	if out := s.cli(t, "-o", "json", "file", "restore", "3395856ce81f2b7382dee72602f798b642f14140", "--device", d.Name, "--comment", "it was a drill"); !strings.Contains(out, "Succeeded") {
		t.Errorf("restore: %s", out)
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != eicar {
		t.Errorf("%q %v", got, err)
	}
}
