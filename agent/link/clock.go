package link

import (
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Clock tells the server's time: what the server said last, carried on by a clock that
// nobody can set and that counts sleep. What it was told outlasts the agent: after a
// restart within the same boot it goes on, and after another boot it never tells a time
// before what the server said last. Its methods may be called from any goroutine.
type Clock struct {
	device func() time.Time
	path   string // "" keeps nothing
	bootID string

	mu    sync.Mutex
	said  time.Time     // by the server, in this boot; zero for never
	at    time.Duration // since boot, when it said so
	floor time.Time     // by the server, in an earlier boot
	saved time.Duration // since boot, when it was last kept; 0 for not yet
}

const (
	clockFile = "clock.json"
	saveEvery = time.Minute
)

// keptClock is what the file holds.
type keptClock struct {
	Said   time.Time     `json:"said"`
	At     time.Duration `json:"at"`
	BootID string        `json:"bootId"`
}

// OpenClock returns the clock that is kept in a state directory, "" for one that is not
// kept. device is the device's own clock, which is told while the server has said nothing.
func OpenClock(stateDir string, device func() time.Time) *Clock {
	c := &Clock{device: device, bootID: bootID()}
	if stateDir == "" {
		return c
	}
	c.path = filepath.Join(stateDir, clockFile)
	var k keptClock
	raw, err := os.ReadFile(c.path)
	if err != nil || json.Unmarshal(raw, &k) != nil {
		return c // as on the first day
	}
	if k.BootID != "" && k.BootID == c.bootID && k.At <= sinceBoot() {
		c.said, c.at = k.Said, k.At
	} else {
		c.floor = k.Said
	}
	return c
}

// Now returns the server's time as far as it is known, else the device's own.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.said.IsZero() {
		return c.said.Add(sinceBoot() - c.at)
	}
	if now := c.device(); now.After(c.floor) {
		return now
	}
	return c.floor
}

// heard notes what the server says. What cannot be kept is only lost by a restart.
func (c *Clock) heard(said time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.said, c.at = said, sinceBoot()
	if c.path == "" || c.saved != 0 && c.at-c.saved < saveEvery {
		return
	}
	c.saved = c.at
	raw, err := json.Marshal(keptClock{Said: said.UTC(), At: c.at, BootID: c.bootID})
	if err == nil && os.WriteFile(c.path+".new", raw, 0o600) == nil {
		_ = os.Rename(c.path+".new", c.path)
	}
}
