package e2e

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/client"
)

// TestAnInvestigationPackageIsCollected asks for the package of this host by the command
// line, kills the agent on the way, and reads what comes.
func TestAnInvestigationPackageIsCollected(t *testing.T) {
	s := startServer(t)
	a := startAgent(t, s, "")
	m := s.onlyDevice(t)

	// A program with a name of its own that runs on, and one that ran and is gone.
	dir := t.TempDir()
	running, gone := filepath.Join(dir, unique("runs-")), filepath.Join(dir, unique("ran-"))
	for _, p := range []string{running, gone} {
		command(t, "cp", "/bin/sleep", p)
	}
	cmd := exec.Command(running, "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })

	file := filepath.Join(dir, "package.zip")
	collect := exec.Command(bin("vedette"), "--profile", s.profilePath(), "device", "collect", m.Name, "--out", file, "--timeout", "10m")
	var out buffer
	collect.Stdout, collect.Stderr = &out, &out
	if err := collect.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- collect.Wait() }()
	await(t, "the agent to be on it", func() error {
		if parts, _ := filepath.Glob(filepath.Join(a.state, "collect", "*.part")); len(parts) == 0 {
			return os.ErrNotExist
		}
		return nil
	})
	a.kill()
	a.restart(t)
	select {
	case err := <-ended:
		if err != nil {
			t.Fatalf("device collect: %v\n%s\n%s", err, &out, a.out)
		}
	case <-time.After(11 * time.Minute):
		t.Fatalf("device collect does not end\n%s", &out)
	}
	t.Logf("%s", &out)

	content := unpacked(t, file)
	var manifest struct {
		About struct{ Command, Host string }
		Files []struct{ Name, SHA256 string }
	}
	if err := json.Unmarshal(content["manifest.json"], &manifest); err != nil {
		t.Fatal(err)
	}
	if len(manifest.Files) != len(content)-1 || len(manifest.Files) < 100 {
		t.Errorf("%d files, %d in the manifest", len(content), len(manifest.Files))
	}
	for _, f := range manifest.Files {
		if sum := sha256.Sum256(content[f.Name]); hex.EncodeToString(sum[:]) != f.SHA256 {
			t.Errorf("%s is not what the manifest says", f.Name)
		}
	}
	if !slices.ContainsFunc(table(t, content["Processes/Processes.csv"]), func(r map[string]string) bool {
		return r["ProcessId"] == strconv.Itoa(cmd.Process.Pid) && r["Executable"] == running && len(r["SHA256"]) == 64
	}) {
		t.Error("a running program is not in the package")
	}
	for _, r := range table(t, content["CollectionSummaryReport.csv"]) {
		if r["Status"] == "Failed" {
			t.Errorf("%s failed: %s %s", r["Data point"], r["Error code"], r["Detail"])
		}
	}
	if b := content["CollectionSummaryReport.xlsx"]; !strings.HasPrefix(string(b), "PK") {
		t.Error("the summary has no workbook")
	}
	if left, _ := os.ReadDir(filepath.Join(a.state, "collect")); len(left) > 0 {
		t.Errorf("left on the device: %v", left)
	}

	// One action, proven; the same package again by its link, which another cannot use for long.
	var act client.Action
	if err := json.Unmarshal([]byte(s.cli(t, "-o", "json", "action", "get", manifest.About.Command)), &act); err != nil || act.Status != "Succeeded" {
		t.Errorf("%+v %v", act, err)
	}
	link, err := s.ResultLink(t.Context(), &act, 0)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.httpClient(t).Get(link)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	again, err := io.ReadAll(resp.Body)
	if first, ferr := os.ReadFile(file); err != nil || ferr != nil || resp.StatusCode != http.StatusOK || string(again) != string(first) {
		t.Errorf("by its link: %d, %d bytes, %v %v", resp.StatusCode, len(again), err, ferr)
	}
	broken, err := s.httpClient(t).Get(link[:len(link)-1] + "!")
	if err != nil {
		t.Fatal(err)
	}
	broken.Body.Close()
	if broken.StatusCode != http.StatusNotFound {
		t.Errorf("a link that was changed: %d", broken.StatusCode)
	}

	// What the agent saw is in the package, though it is gone.
	command(t, gone, "0")
	command(t, "rm", gone)
	s.huntUntil(t, "the program that is gone", `DeviceProcessEvents | where FolderPath == "`+gone+`" | count`, func(rows []map[string]any) bool { return len(rows) == 1 && rows[0]["Count"] != 0.0 })
	second := filepath.Join(dir, "second.zip")
	s.cli(t, "device", "collect", m.ID, "--out", second, "--comment", "again")
	if !slices.ContainsFunc(table(t, unpacked(t, second)["Recent files/RecentlySeen.csv"]), func(r map[string]string) bool {
		return r["Path"] == gone && r["ThereNow"] == "no" && r["Action"] == "ProcessCreated"
	}) {
		t.Error("a program that was run and deleted is not in the package")
	}
}

// unpacked returns the files of a ZIP by name.
func unpacked(t *testing.T, file string) map[string][]byte {
	t.Helper()
	z, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	out := map[string][]byte{}
	for _, f := range z.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(in)
		if err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		out[f.Name] = b
	}
	return out
}

// table reads CSV by the names of its columns.
func table(t *testing.T, raw []byte) (out []map[string]string) {
	t.Helper()
	all, err := csv.NewReader(strings.NewReader(string(raw))).ReadAll()
	if err != nil || len(all) == 0 {
		t.Fatalf("no table: %v", err)
	}
	for _, cells := range all[1:] {
		r := map[string]string{}
		for i, c := range cells {
			r[all[0][i]] = c
		}
		out = append(out, r)
	}
	return out
}
