package link

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/vedette-edr/vedette/wire"
	"github.com/vedette-edr/vedette/wire/wirepb"
)

// ledger remembers the commands of which this device knows until they can no longer be
// replayed: until their lifetime is over. It is on disk before a command runs.
type ledger struct {
	file string

	mu      sync.Mutex
	entries map[string]*entry
}

type entry struct {
	Expires  time.Time `json:"expires"`
	Taken    time.Time `json:"taken"`              // for the order after a restart
	Envelope []byte    `json:"envelope,omitempty"` // while it is not finished
}

// maxLedger bounds the ledger; within 30 days a device has no use for more commands.
const maxLedger = 10_000

func openLedger(dir string) (*ledger, error) {
	g := &ledger{file: filepath.Join(dir, "commands.json"), entries: map[string]*entry{}}
	b, err := os.ReadFile(g.file)
	if errors.Is(err, fs.ErrNotExist) {
		return g, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &g.entries)
	}
	if err != nil {
		return nil, fmt.Errorf("link: ledger of commands: %w", err)
	}
	return g, nil
}

func (g *ledger) save() error {
	b, err := json.Marshal(g.entries)
	if err == nil {
		err = replace(g.file, b)
	}
	if err != nil {
		return fmt.Errorf("link: ledger of commands: %w", err)
	}
	return nil
}

func (g *ledger) has(id string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.entries[id] != nil
}

// ids returns the commands that are known and alive at now, sorted.
func (g *ledger) ids(now time.Time) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []string
	for id, e := range g.entries {
		if now.Before(e.Expires) || e.Envelope != nil {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// take notes a command and reports whether it is new.
func (g *ledger) take(c *wire.Command, e *wirepb.Envelope) (bool, error) {
	b, err := proto.Marshal(e)
	if err != nil {
		return false, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.entries[c.ID] != nil {
		return false, nil
	}
	if len(g.entries) >= maxLedger {
		return false, errLedger
	}
	g.entries[c.ID] = &entry{Expires: c.Expires, Taken: time.Now(), Envelope: b}
	if err := g.save(); err != nil {
		delete(g.entries, c.ID)
		return false, err
	}
	return true, nil
}

// done notes that a command's result is on disk, and forgets what has expired at now.
func (g *ledger) done(c *wire.Command, now time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	e := g.entries[c.ID]
	if e == nil {
		e = &entry{Expires: c.Expires, Taken: time.Now()}
		g.entries[c.ID] = e
	}
	e.Envelope = nil
	for id, e := range g.entries {
		if over := now.Sub(e.Expires); over > 24*time.Hour || over >= 0 && e.Envelope == nil {
			delete(g.entries, id)
		}
	}
	return g.save()
}

// unfinished returns the commands that were taken and have no result yet, in order.
func (g *ledger) unfinished() []*wirepb.Envelope {
	g.mu.Lock()
	defer g.mu.Unlock()
	var open []*entry
	for _, e := range g.entries {
		if e.Envelope != nil {
			open = append(open, e)
		}
	}
	slices.SortFunc(open, func(a, b *entry) int { return a.Taken.Compare(b.Taken) })
	var out []*wirepb.Envelope
	for _, e := range open {
		m := &wirepb.Envelope{}
		if proto.Unmarshal(e.Envelope, m) == nil {
			out = append(out, m)
		}
	}
	return out
}

// text bounds s to n bytes of valid UTF-8.
func text(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.ToValidUTF8(s, "")
}
