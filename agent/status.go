package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"
)

// statusSocket is where a running agent answers its Status to whoever may enter the state
// directory.
const statusSocket = "status.sock"

// statusTimeout bounds one question.
const statusTimeout = 5 * time.Second

func (a *Agent) serveStatus(ctx context.Context) error {
	path := filepath.Join(a.conf.StateDir, statusSocket)
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		// Long state directories exceed what a socket's name may hold; the agent works without.
		a.conf.Log.Warn("no status socket", "err", err)
		return nil
	}
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	started := time.Now()
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		// Without a deadline one who asks and does not read would stop the answers to all.
		if c.SetDeadline(time.Now().Add(statusTimeout)) == nil {
			json.NewEncoder(c).Encode(a.status(started))
		}
		c.Close()
	}
}

// AskStatus asks the agent that runs on a state directory.
func AskStatus(stateDir string) (*Status, error) {
	if _, err := os.Stat(stateDir); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no state directory %s: no agent was started with it; give --state-dir", stateDir)
	} else if err != nil {
		return nil, err
	}
	// The name of a socket is limited to about a hundred bytes; a relative one is shorter.
	path := filepath.Join(stateDir, statusSocket)
	c, err := net.DialTimeout("unix", path, statusTimeout)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("only the user that runs the agent may ask it, which is root as a rule: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("no agent answers on %s: it does not run, or is not enrolled yet (its log says why): %w", stateDir, err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(statusTimeout)); err != nil {
		return nil, err
	}
	var s Status
	if err := json.NewDecoder(c).Decode(&s); err != nil {
		return nil, err
	}
	return &s, nil
}
