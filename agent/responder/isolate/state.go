package isolate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/vedette-edr/vedette/durable"
)

const maxState = 1 << 20 // bytes of the state file that are read

// saved is the state file: what must hold after the agent or the device starts again.
type saved struct {
	Releasing bool      `json:"releasing,omitempty"` // a release had begun
	Since     time.Time `json:"since"`
	Policy    Policy    `json:"policy"`
	// Mark is on the sockets that may reach everything; 0 until there was an isolation.
	Mark uint32 `json:"mark,omitempty"`
	// Away are other network namespaces that have the rules too, by their inode.
	Away []uint64 `json:"away,omitempty"`
}

// load returns nil when there is no file.
func load(path string) (*saved, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("isolation state: %w", err)
	}
	if len(b) > maxState {
		return nil, fmt.Errorf("isolation state %s: %d bytes is too long", path, len(b))
	}
	var s saved
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("isolation state %s: %w", path, err)
	}
	return &s, nil
}

// store replaces the file and returns once it is on disk.
func store(path string, s saved) error {
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("isolation state: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("isolation state: %w", err)
	}
	if err := durable.Write(path, b, 0o600); err != nil {
		return fmt.Errorf("isolation state: %w", err)
	}
	return nil
}

func remove(path string) error {
	if err := durable.Remove(path); err != nil {
		return fmt.Errorf("isolation state: %w", err)
	}
	return nil
}
