package e2e

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/client"
)

// uniqueProgram is a copy of a program that no other file equals.
func uniqueProgram(t testing.TB, dir, of string) (path, sum string) {
	t.Helper()
	real, err := exec.LookPath(of)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(real)
	if err != nil {
		t.Fatal(err)
	}
	b = append(b, unique("e2e")...)
	path = filepath.Join(dir, unique("prog"))
	if err := os.WriteFile(path, b, 0o755); err != nil {
		t.Fatal(err)
	}
	s := sha256.Sum256(b)
	return path, hex.EncodeToString(s[:])
}

// indicate posts an indicator and returns its id.
func (s *server) indicate(t testing.TB, kind, value, action string, more map[string]any) string {
	t.Helper()
	body := map[string]any{"indicatorValue": value, "indicatorType": kind, "action": action, "title": "e2e " + value,
		"description": "d", "severity": "High", "generateAlert": action != "Allowed"}
	for k, v := range more {
		body[k] = v
	}
	var made struct{ ID string }
	if err := s.Do(context.Background(), http.MethodPost, "/api/indicators", body, &made); err != nil {
		t.Fatal(err)
	}
	return made.ID
}

// refusedToRun says why a program was not refused, nil when it was.
func refusedToRun(path string, args ...string) error {
	err := exec.Command(path, args...).Run()
	if errors.Is(err, syscall.EPERM) {
		return nil
	}
	return fmt.Errorf("%s: %v", path, err)
}

// TestBlockedFileIsNotRunOnTheDevice blocks files by digest through the published API and
// runs them: from a directory, from a mount namespace of their own, given to a shell, and
// while the agent hangs.
func TestBlockedFileIsNotRunOnTheDevice(t *testing.T) {
	dir := t.TempDir()
	bad, sum := uniqueProgram(t, dir, "true")
	content, err := os.ReadFile(bad)
	if err != nil {
		t.Fatal(err)
	}
	whole := t
	s := startServer(t)
	a := startAgent(t, s, "")
	s.onlyDevice(t)
	if err := exec.Command(bad).Run(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	id := s.indicate(t, "FileSha256", sum, "Block", nil)
	await(t, "the block", func() error { return refusedToRun(bad) })
	t.Logf("refused %s after POST began", time.Since(began).Round(time.Millisecond))

	s.huntUntil(t, "the refusal", `DeviceEvents | where ActionType == "AntivirusDetection" and SHA256 == "`+sum+`"
		| project FileName, FolderPath, InitiatingProcessFileName, Id = tostring(AdditionalFields.IndicatorId), Threat = tostring(AdditionalFields.ThreatName)`,
		func(rows []map[string]any) bool {
			return len(rows) > 0 && rows[0]["FileName"] == filepath.Base(bad) && rows[0]["Id"] == id &&
				rows[0]["Threat"] == "EUS:Win32/CustomEnterpriseBlock!cl" && rows[0]["InitiatingProcessFileName"] != ""
		})
	await(t, "its alert", func() error {
		all, err := client.All[client.Alert](context.Background(), s.Client, "/api/alerts", client.List{Expand: "evidence"})
		if err != nil {
			return err
		}
		for _, x := range all {
			if x.Title != "e2e "+sum {
				continue
			}
			for _, e := range x.Evidence {
				if e.Type == "File" && e.Detection != nil && *e.Detection == "Blocked" {
					return nil
				}
			}
		}
		return fmt.Errorf("%d alerts, none of a file that was blocked", len(all))
	})
	quiet, quietSum := uniqueProgram(t, dir, "true")
	quietID := s.indicate(t, "FileSha256", quietSum, "Block", map[string]any{"generateAlert": false})
	await(t, "the block without an alert", func() error { return refusedToRun(quiet) })
	s.huntUntil(t, "its own name", `DeviceEvents | where ActionType == "AntivirusDetection" and SHA256 == "`+quietSum+`"
		| project Id = tostring(AdditionalFields.IndicatorId), Threat = tostring(AdditionalFields.ThreatName)`,
		func(rows []map[string]any) bool {
			return len(rows) > 0 && rows[0]["Id"] == quietID && rows[0]["Threat"] == "EUS:Win32/CustomEnterpriseNoAlertBlock!cl"
		})
	await(t, "its statistics", func() error {
		var x client.IndicatorStats
		if err := s.Do(context.Background(), http.MethodGet, "/api/indicators/"+quietID+"/stats", nil, &x); err != nil {
			return err
		}
		if x.Blocks == 0 || x.Alerts != 0 {
			return fmt.Errorf("%+v", x)
		}
		return nil
	})
	await(t, "coverage", func() error {
		var c struct {
			UpToDate        int64
			EnforcingByType map[string]int
		}
		if err := s.Do(context.Background(), http.MethodGet, "/api/vedette/indicators/coverage", nil, &c); err != nil {
			return err
		}
		for _, kind := range []string{"FileSha256", "DomainName", "Url", "IpAddress"} {
			if c.UpToDate != 1 || c.EnforcingByType[kind] != 1 {
				return fmt.Errorf("coverage %+v", c)
			}
		}
		return nil
	})

	t.Run("in a mount namespace of its own", func(t *testing.T) {
		await(t, "the refusal", func() error {
			cmd := exec.Command("unshare", "-m", "sh", "-c", `mount -t tmpfs none "$1" && cat > "$1/x" && chmod 755 "$1/x" && sleep 3 && "$1/x"`, "sh", t.TempDir())
			cmd.Stdin = bytes.NewReader(content) // the file itself can be read by nobody any more
			out, err := cmd.CombinedOutput()
			if err == nil || !bytes.Contains(out, []byte("not permitted")) {
				return fmt.Errorf("%v %s", err, out)
			}
			return nil
		})
	})
	t.Run("as a script of a shell", func(t *testing.T) {
		script := filepath.Join(dir, unique("script"))
		text := "#!/bin/sh\n# " + unique("") + "\nsleep 30\n"
		if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		h := sha256.Sum256([]byte(text))
		s.indicate(t, "FileSha256", hex.EncodeToString(h[:]), "Block", nil)
		await(t, "the script by itself", func() error { return refusedToRun(script) })
		if err := exec.Command("sh", script).Run(); err == nil {
			t.Error("a shell runs the script")
		}
	})
	t.Run("unless a stronger digest is allowed", func(t *testing.T) {
		path, sum := uniqueProgram(t, dir, "true")
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		weak := md5.Sum(raw)
		s.indicate(t, "FileMd5", hex.EncodeToString(weak[:]), "Block", nil)
		await(t, "the block", func() error { return refusedToRun(path) })
		s.indicate(t, "FileSha256", sum, "Allowed", nil)
		await(t, "the permission", func() error { return exec.Command(path).Run() })
	})
	t.Run("and nobody waits for an agent that hangs", func(t *testing.T) {
		if err := a.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		innocent, _ := uniqueProgram(t, dir, "true")
		if err := exec.Command(innocent).Run(); err != nil {
			t.Error(err)
		}
		t.Logf("ran %s after the agent was stopped", time.Since(began).Round(time.Millisecond))
		if d := time.Since(began); d > 15*time.Second {
			t.Errorf("it waited for %s", d)
		}
		<-a.end
		a.restart(whole)
		await(t, "the block by the next agent", func() error { return refusedToRun(bad) })
	})
	t.Run("until it expires, with the server away", func(t *testing.T) {
		path, sum := uniqueProgram(t, dir, "true")
		until := time.Now().Add(8 * time.Second).Truncate(time.Second)
		s.indicate(t, "FileSha256", sum, "Block", map[string]any{"expirationTime": until.UTC().Format(time.RFC3339)})
		await(t, "the block", func() error {
			err := refusedToRun(path)
			if err != nil && time.Now().After(until) {
				out, _ := exec.Command(bin("vedette-agent"), "status", "--state-dir", a.state).CombinedOutput()
				t.Fatalf("it was not in force in time: %v\n%s", err, out)
			}
			return err
		})
		s.kill()
		for exec.Command(path).Run() != nil {
			if time.Since(until) > 5*time.Second {
				t.Fatal("it does not expire")
			}
			time.Sleep(5 * time.Millisecond)
		}
		if d := time.Since(until); d < -100*time.Millisecond || d > time.Second {
			t.Errorf("it expired %s late", d)
		}
		s.start(whole)
	})
}

// TestRemediatedFileIsEndedAndPutIntoQuarantine blocks and remediates a file that runs.
func TestRemediatedFileIsEndedAndPutIntoQuarantine(t *testing.T) {
	path, sum := uniqueProgram(t, t.TempDir(), "sleep")
	s := startServer(t)
	a := startAgent(t, s, "")
	s.onlyDevice(t)
	cmd := exec.Command(path, "300")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s.indicate(t, "FileSha256", sum, "BlockAndRemediate", nil)
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("it ends with %v", err)
	}
	t.Logf("ended %s after POST began", time.Since(began).Round(time.Millisecond))
	await(t, "the file to be gone", func() error {
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			return fmt.Errorf("stat: %v", err)
		}
		return nil
	})
	s.huntUntil(t, "the remediation", `DeviceEvents | where ActionType == "AntivirusDetection" and SHA256 == "`+sum+`" and AdditionalFields.Action == "Quarantined"
		| project Path = FolderPath, Remediated = tobool(AdditionalFields.WasRemediated), Item = tostring(AdditionalFields.QuarantineId)`,
		func(rows []map[string]any) bool {
			if len(rows) == 0 || rows[0]["Remediated"] != true {
				return false
			}
			raw, err := os.ReadFile(filepath.Join(a.state, "quarantine", fmt.Sprint(rows[0]["Item"])+".json"))
			return err == nil && bytes.Contains(raw, []byte(path)) && bytes.Contains(raw, []byte(sum))
		})
}
