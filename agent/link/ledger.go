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

	"github.com/vedette-edr/vedette/durable"
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
	Begun    bool      `json:"begun,omitempty"`    // its handler may have been called
	Result   []byte    `json:"result,omitempty"`   // until the spool has it
}

// opened is a command that was taken and has no result yet.
type opened struct {
	envelope *wirepb.Envelope
	begun    bool
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
		err = durable.Write(g.file, b, 0o600)
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

// begin notes that a command's handler is about to be called.
func (g *ledger) begin(id string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	e := g.entries[id]
	if e == nil || e.Begun {
		return nil
	}
	e.Begun = true
	if err := g.save(); err != nil {
		e.Begun = false
		return err
	}
	return nil
}

// done notes a command's result, with which it is finished and never runs again, and forgets
// what has expired at now.
func (g *ledger) done(c *wire.Command, result []byte, now time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	e := g.entries[c.ID]
	if e == nil {
		e = &entry{Expires: c.Expires, Taken: time.Now()}
		g.entries[c.ID] = e
	}
	was := *e
	e.Envelope, e.Begun, e.Result = nil, false, result
	for id, e := range g.entries {
		if over := now.Sub(e.Expires); over > 24*time.Hour || over >= 0 && e.Envelope == nil && e.Result == nil {
			delete(g.entries, id)
		}
	}
	if err := g.save(); err != nil {
		*e = was
		return err
	}
	return nil
}

// owedResult is a result that the spool does not have.
type owedResult struct {
	command string
	result  []byte
	taken   time.Time
}

// owed returns the results that the spool does not have, in the order of their commands.
func (g *ledger) owed() []owedResult {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []owedResult
	for id, e := range g.entries {
		if e.Result != nil {
			out = append(out, owedResult{id, e.Result, e.Taken})
		}
	}
	slices.SortFunc(out, func(a, b owedResult) int { return a.taken.Compare(b.taken) })
	return out
}

// handed forgets a result that the spool has. It is written with the next change: what is
// handed over twice is reported twice.
func (g *ledger) handed(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if e := g.entries[id]; e != nil {
		e.Result = nil
	}
}

// unfinished returns the commands that were taken and have no result yet, in order.
func (g *ledger) unfinished() []opened {
	g.mu.Lock()
	defer g.mu.Unlock()
	var open []*entry
	for _, e := range g.entries {
		if e.Envelope != nil {
			open = append(open, e)
		}
	}
	slices.SortFunc(open, func(a, b *entry) int { return a.Taken.Compare(b.Taken) })
	var out []opened
	for _, e := range open {
		m := &wirepb.Envelope{}
		if proto.Unmarshal(e.Envelope, m) == nil {
			out = append(out, opened{m, e.Begun})
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
