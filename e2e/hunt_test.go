package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestHuntShowsWhatReallyRan enrols this host, runs a program that exists nowhere else,
// and finds it with every column that coreutils can compute independently.
func TestHuntShowsWhatReallyRan(t *testing.T) {
	s := startServer(t)
	startAgent(t, s, "")
	device := s.onlyDevice(t)

	name := unique("vedette-e2e-")
	path := filepath.Join(t.TempDir(), name)
	program, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	// Bytes after the end of an ELF file do not matter to the loader, and make its hashes unique.
	if err := os.WriteFile(path, append(program, name...), 0o755); err != nil {
		t.Fatal(err)
	}
	digest := func(tool string) string {
		return strings.Fields(command(t, tool, path))[0]
	}
	shell := exec.Command("/bin/sh", "-c", fmt.Sprintf(`%s --flag 'two words' ""; :`, path))
	if out, err := shell.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}

	rows := s.huntUntil(t, "the process in DeviceProcessEvents",
		fmt.Sprintf(`DeviceProcessEvents | where Timestamp > ago(5m) | where FileName == "%s"`, name),
		func(rows []map[string]any) bool { return len(rows) > 0 })
	if len(rows) != 1 {
		t.Fatalf("%d rows for one process: %v", len(rows), rows)
	}
	row := rows[0]
	for column, want := range map[string]any{
		"DeviceId":                     device.ID,
		"DeviceName":                   device.Name,
		"ActionType":                   "ProcessCreated",
		"FileName":                     name,
		"FolderPath":                   path,
		"SHA1":                         digest("sha1sum"),
		"SHA256":                       digest("sha256sum"),
		"MD5":                          digest("md5sum"),
		"ProcessCommandLine":           path + " --flag 'two words' ''",
		"AccountName":                  "root",
		"InitiatingProcessFileName":    filepath.Base(resolve(t, "/bin/sh")),
		"InitiatingProcessFolderPath":  resolve(t, "/bin/sh"),
		"InitiatingProcessAccountName": "root",
		"InitiatingProcessId":          float64(shell.Process.Pid),
		"InitiatingProcessParentId":    float64(os.Getpid()),
	} {
		if got := row[column]; got != want {
			t.Errorf("%s = %v, want %v", column, got, want)
		}
	}
	if got := fmt.Sprint(row["InitiatingProcessCommandLine"]); !strings.Contains(got, path) || !strings.Contains(got, "/bin/sh -c ") {
		t.Errorf("InitiatingProcessCommandLine = %q", got)
	}
	if sh := strings.Fields(command(t, "sha256sum", resolve(t, "/bin/sh")))[0]; row["InitiatingProcessSHA256"] != sh {
		t.Errorf("InitiatingProcessSHA256 = %v, want %v", row["InitiatingProcessSHA256"], sh)
	}

	// The query of the README, through the command line.
	table := s.cli(t, "hunt", "DeviceProcessEvents | where Timestamp > ago(5m) | summarize count() by FileName | top 10 by count_")
	if lines := strings.Split(strings.TrimSpace(table), "\n"); len(lines) < 2 || strings.Join(strings.Fields(lines[0]), " ") != "FileName count_" {
		t.Errorf("vedette hunt printed:\n%s", table)
	}
}

func resolve(t *testing.T, path string) string {
	t.Helper()
	p, err := filepath.EvalSymlinks(path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
