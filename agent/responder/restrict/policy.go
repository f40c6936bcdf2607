package restrict

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/vedette-edr/vedette/durable"
)

// Bounds of what is listed.
const (
	maxHashes = 1000
	maxDirs   = 64
	maxPath   = 4096    // bytes
	maxState  = 4 << 20 // bytes of the state file that are read
)

// Params are the parameters of KindRestrict.
type Params struct {
	// Hashes are SHA-256 or SHA-1 digests in hexadecimal of files that may run.
	Hashes []string `json:"hashes,omitempty"`
	// Directories are absolute paths below which everything may run.
	Directories []string `json:"directories,omitempty"`
}

func (p Params) normal() (Params, error) {
	if len(p.Hashes) > maxHashes || len(p.Directories) > maxDirs {
		return p, fmt.Errorf("at most %d hashes and %d directories", maxHashes, maxDirs)
	}
	out := Params{Directories: slices.Clone(p.Directories)}
	for _, h := range p.Hashes {
		h = strings.ToLower(h)
		if (len(h) != 40 && len(h) != 64) || strings.Trim(h, "0123456789abcdef") != "" {
			return p, fmt.Errorf("hash %q is neither SHA-256 nor SHA-1", h)
		}
		out.Hashes = append(out.Hashes, h)
	}
	for _, d := range out.Directories {
		if len(d) > maxPath || !path.IsAbs(d) || path.Clean(d) != d || d == "/" || strings.ContainsFunc(d, unicode.IsControl) {
			return p, fmt.Errorf("directory %q is no clean absolute path", d)
		}
	}
	slices.Sort(out.Hashes)
	slices.Sort(out.Directories)
	out.Hashes, out.Directories = slices.Compact(out.Hashes), slices.Compact(out.Directories)
	return out, nil
}

// essential is a file of the floor that no package explains: trusted as it was when the
// restriction began.
type essential struct {
	Path   string `json:"path"` // below the root
	SHA256 string `json:"sha256"`
}

// saved is the state file: what must hold after the agent or the device starts again.
type saved struct {
	Since  time.Time   `json:"since"`
	Params Params      `json:"params"`
	Floor  []essential `json:"floor,omitempty"`
}

// load returns nil when there is no file.
func load(name string) (*saved, error) {
	st, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && st.Size() > maxState {
		err = fmt.Errorf("%d bytes is too long", st.Size())
	}
	if err != nil {
		return nil, fmt.Errorf("restriction state: %w", err)
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("restriction state: %w", err)
	}
	var s saved
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("restriction state %s: %w", name, err)
	}
	if s.Params, err = s.Params.normal(); err != nil {
		return nil, fmt.Errorf("restriction state %s: %w", name, err)
	}
	return &s, nil
}

// store replaces the file and returns once it is on disk.
func store(name string, s saved) error {
	raw, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("restriction state: %w", err)
	}
	if err := durable.Write(name, raw, 0o600); err != nil {
		return fmt.Errorf("restriction state: %w", err)
	}
	return nil
}

func remove(name string) error {
	if err := durable.Remove(name); err != nil {
		return fmt.Errorf("restriction state: %w", err)
	}
	return nil
}
