package remediate

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/agent/persistence"
	"github.com/vedette-edr/vedette/durable"
)

// record is what one command took away beside the content of files: what its undoing needs.
type record struct {
	Command string               `json:"command"`
	SHA1    string               `json:"sha1"`
	SHA256  string               `json:"sha256"`
	At      time.Time            `json:"at"`
	Items   []string             `json:"items,omitempty"` // of the quarantine
	Links   []link               `json:"links,omitempty"`
	Changes []persistence.Change `json:"changes,omitempty"`
}

// link is a further name of a file that was taken.
type link struct {
	Path string `json:"path"`
	Item string `json:"item"`
	Done bool   `json:"done,omitempty"` // given back
}

var commandForm = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

// ledger keeps records, a file for each command.
type ledger struct{ dir string }

func (l ledger) path(command string) string { return filepath.Join(l.dir, command+".json") }

// load returns the record of a command; a new one when there is none.
func (l ledger) load(command string) (*record, error) {
	if !commandForm.MatchString(command) {
		return nil, fmt.Errorf("remediate: %q is no id of a command", command)
	}
	raw, err := os.ReadFile(l.path(command))
	if errors.Is(err, os.ErrNotExist) {
		return &record{Command: command}, nil
	}
	if err != nil {
		return nil, err
	}
	r := &record{}
	if err := json.Unmarshal(raw, r); err != nil {
		return nil, fmt.Errorf("remediate: %s: %w", l.path(command), err)
	}
	return r, nil
}

func (l ledger) save(r *record) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return durable.Write(l.path(r.Command), append(raw, '\n'), 0o600)
}

// all returns every record, the oldest first. One that cannot be read is told.
func (l ledger) all() ([]*record, error) {
	names, err := os.ReadDir(l.dir)
	if err != nil {
		return nil, err
	}
	var out []*record
	var bad []error
	for _, n := range names {
		command, ok := strings.CutSuffix(n.Name(), ".json")
		if !ok || !commandForm.MatchString(command) {
			continue
		}
		r, err := l.load(command)
		if err != nil {
			bad = append(bad, err)
			continue
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b *record) int { return a.At.Compare(b.At) })
	return out, errors.Join(bad...)
}
