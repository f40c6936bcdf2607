package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/client"
)

// TestPeopleWorkInThePortal has browsers do with a real device what is more than looking:
// a live response session, an action of two people, an indicator and a rule.
func TestPeopleWorkInThePortal(t *testing.T) {
	s := startServer(t)
	startAgent(t, s, "")
	d := s.onlyDevice(t)
	dir := t.TempDir()
	file := func(name, content string, mode os.FileMode) string {
		t.Helper()
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(content), mode))
		return path
	}

	t.Run("a live response session is typed and replayed", func(t *testing.T) {
		content := "of case 4711\n"
		evidence, hostile := file("evidence", content, 0o600), file("hostile", hostileText, 0o600)
		script := file("greet.sh", "#!/bin/sh\necho \"hello $1 $2\"\ncat "+hostile+"\n", 0o600)
		journey(t, "", "https://"+s.addr, s.profile, "live", "DEVICE="+d.Name, "EVIDENCE="+evidence, "CONTENT="+content, "HOSTILE="+hostile, "SCRIPT="+script)
		// The server's own record of it.
		all, err := s.LiveSessions(t.Context(), client.List{})
		must(t, err)
		if len(all) != 1 || all[0].Comment != "Evidence of case 4711" || !strings.HasPrefix(all[0].Reason, "closed by") || len(all[0].Files) != 1 {
			t.Fatalf("sessions: %+v", all)
		}
		commands, err := s.LiveCommands(t.Context(), all[0].ID)
		must(t, err)
		if len(commands) != 7 || commands[1].Line != "fileinfo "+evidence || commands[5].Line != "shell" {
			t.Errorf("commands: %+v", commands)
		}
	})

	// A session in which nobody says anything outlasts whatever is small.
	quiet, begun := openLive(t, s, d.ID, "basic"), time.Now()

	t.Run("a second person approves an action", func(t *testing.T) {
		var roles struct{ Value []struct{ ID, Name string } }
		must(t, s.Do(t.Context(), http.MethodGet, "/api/vedette/roles", nil, &roles))
		role := ""
		for _, r := range roles.Value {
			if r.Name == "Security Administrator" {
				role = r.ID
			}
		}
		const login, password = "second", "a password of the second person"
		must(t, s.Do(t.Context(), http.MethodPost, "/api/vedette/users", map[string]any{"login": login, "roles": []string{role}, "password": password}, nil))
		journey(t, "", "https://"+s.addr, s.profile, "approve", "DEVICE="+d.Name, "SECOND="+login, "SECOND_PASSWORD="+password)
	})

	t.Run("an indicator of a file and a rule of a hunt raise alerts", func(t *testing.T) {
		raw, err := os.ReadFile("/bin/true")
		must(t, err)
		program := file(unique("tool"), string(raw)+unique("of nobody's package"), 0o755)
		raw, err = os.ReadFile(program)
		must(t, err)
		sum := sha256.Sum256(raw)
		hash := hex.EncodeToString(sum[:])
		await(t, "the program to be known", func() error {
			must(t, exec.Command(program).Run())
			if out := s.cli(t, "hunt", `DeviceProcessEvents | where SHA256 == "`+hash+`" | project SHA256`); !strings.Contains(out, hash) {
				return errors.New(out)
			}
			return nil
		})
		journey(t, "", "https://"+s.addr, s.profile, "detect", "PROGRAM="+program, "SHA256="+hash)
	})

	time.Sleep(time.Until(begun.Add(70 * time.Second))) // beyond the minute that requests have for their bodies
	if out, _ := quiet.ok("pwd"); out != "/\n" {
		t.Errorf("after %v: %q", time.Since(begun), out)
	}
}
