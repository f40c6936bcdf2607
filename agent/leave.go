package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/vedette-edr/vedette/agent/policy"
)

// leaver keeps whether this device has been offboarded, over restarts: an agent that was
// does nothing more until it is given another token.
type leaver struct {
	file    string
	token   string // SHA-256 of the token that this agent was started with; "" for none
	outcome policy.Offboarding

	mu   sync.Mutex
	mark *leave
	gone chan struct{} // closed when the server has the device's last word
}

// leave is what the file holds.
type leave struct {
	Command string `json:"command"`
	Token   string `json:"token,omitempty"` // that the agent had then: it does not bring the device back
	Told    bool   `json:"told"`            // the server has the last word
}

// openLeaver reads whether the device has left. A token that is not the one of then ends
// that: somebody enrols the device anew.
func openLeaver(c Config) (*leaver, error) {
	l := &leaver{file: filepath.Join(c.StateDir, "offboarded.json"), outcome: c.floor.Offboarding, gone: make(chan struct{})}
	if l.outcome == "" {
		l.outcome = policy.Idle
	}
	if c.Token != "" {
		sum := sha256.Sum256([]byte(c.Token))
		l.token = hex.EncodeToString(sum[:])
	}
	raw, err := os.ReadFile(l.file)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	var m leave
	if err == nil {
		err = json.Unmarshal(raw, &m)
	}
	if err != nil {
		return nil, fmt.Errorf("whether this device was offboarded cannot be read: %w", err)
	}
	if l.token != "" && l.token != m.Token && m.Told {
		return l, os.Remove(l.file)
	}
	l.mark = &m
	return l, nil
}

// left reports whether the device has left and the server knows.
func (l *leaver) left() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mark != nil && l.mark.Told
}

// leaving reports whether a command's result is the device's last word; with "", whether
// there is one.
func (l *leaver) leaving(command string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mark != nil && (command == "" || l.mark.Command == command)
}

// leave writes down that the device leaves by a command.
func (l *leaver) leave(command string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := &leave{Command: command, Token: l.token}
	if err := l.write(m); err != nil {
		return err
	}
	l.mark = m
	return nil
}

func (l *leaver) write(m *leave) error {
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return replace(l.file, raw, 0o600)
}

// told is called with each command whose result the server has.
func (l *leaver) told(command string) {
	if !l.leaving(command) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	m := *l.mark
	m.Told = true
	// Where this cannot be written the next start tells the server again, which does not
	// know the device then, and that is as good.
	_ = l.write(&m)
	if !l.mark.Told {
		l.mark = &m
		close(l.gone)
	}
}

// idle keeps an agent that has left from doing anything until ctx ends, or removes it.
func (l *leaver) idle(ctx context.Context, c Config) error {
	if l.outcome == policy.Uninstall {
		err := removeSelf(ctx, c)
		if err == nil {
			c.Log.Info("this device was offboarded, and the agent removes itself")
			return nil
		}
		c.Log.Error("the agent cannot remove itself", "err", err)
	}
	if err := notifyReady(); err != nil {
		c.Log.Warn("the service manager was not told", "err", err)
	}
	c.Log.Info("this device was offboarded: the agent does nothing until it is started with another enrolment token")
	<-ctx.Done()
	return nil
}

// removeSelf removes the agent: as a service by another one, because stopping the service
// ends this process, and otherwise what it keeps, but for files in quarantine, which are the
// device's own.
func removeSelf(ctx context.Context, c Config) error {
	if _, err := os.Stat("/" + installedUnit); err == nil && systemd() && c.StateDir == "/"+installedState {
		out, err := exec.CommandContext(ctx, "systemd-run", "--collect", "--no-block", "/"+installedProgram, "uninstall", "--keep-state").CombinedOutput()
		if err != nil {
			return fmt.Errorf("systemd-run: %w: %s", err, out)
		}
	}
	entries, err := os.ReadDir(c.StateDir)
	if err != nil {
		return err
	}
	var failed []error
	for _, e := range entries {
		switch e.Name() {
		case "quarantine", "remediation", "offboarded.json", "lock":
		default:
			failed = append(failed, os.RemoveAll(filepath.Join(c.StateDir, e.Name())))
		}
	}
	return errors.Join(failed...)
}
