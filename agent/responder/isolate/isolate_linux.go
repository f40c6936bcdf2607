package isolate

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/vedette-edr/vedette/agent/session"
)

// Config is what an Isolator needs.
type Config struct {
	// Instance names the agent on this kernel: letters, digits, - and _, at most 32.
	Instance string
	// StateDir holds the state file, which must outlive a reboot.
	StateDir string
	// Tampered, if set, is called by Watch with what it found changed and put back.
	Tampered func(detail string)
	// Timeout bounds each probe; 0 means 5 s.
	Timeout time.Duration
	// Now is the wall clock; nil means time.Now.
	Now func() time.Time
}

// Isolator isolates the network namespace that the process is in. It is safe for
// concurrent use. While it is open it owns the table on kernels that can; Close gives the
// ownership up but releases nothing.
type Isolator struct {
	cfg   Config
	name  string // of the table
	state string // path of the state file

	mu    sync.Mutex
	wish  uint32   // table flags to ask for
	conn  *conn    // the owner's socket
	saved *saved   // nil when not isolated
	made  *content // what install left; nil when not known
	flags uint32   // of the table install left
}

// Status is how things stand.
type Status struct {
	Isolated bool      `json:"isolated"` // the table is there
	Since    time.Time `json:"since,omitzero"`
	Policy   Policy    `json:"policy"`
	Owned    bool      `json:"owned"`    // nobody else can change the table
	Dropped4 uint64    `json:"dropped4"` // packets dropped since the table was made
	Dropped6 uint64    `json:"dropped6"`
}

var instanceName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

// New returns an Isolator; it touches nothing but opens a netlink socket.
func New(cfg Config) (*Isolator, error) {
	if !instanceName.MatchString(cfg.Instance) {
		return nil, fmt.Errorf("instance %q: letters, digits, - and _, at most 32", cfg.Instance)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c, err := dial()
	if err != nil {
		return nil, err
	}
	return &Isolator{
		cfg: cfg, name: "vedette_isolate_" + cfg.Instance,
		state: filepath.Join(cfg.StateDir, "isolate.json"), conn: c,
		wish: flagOwner | flagPersist,
	}, nil
}

// Close gives up the ownership of the table, which stays, and every socket.
func (i *Isolator) Close() error { return i.conn.Close() }

// Apply isolates, or changes what an isolated device may reach. Applying the same policy
// again changes nothing that is in order. It returns how many sessions were ended; an
// error with ErrSessions means that the rules are in force but old sessions could not be
// ended. After any other error of a first Apply the device is as it was.
func (i *Isolator) Apply(ctx context.Context, p Policy) (ended int, err error) {
	p, err = p.normal()
	if err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	want := saved{Since: i.cfg.Now().UTC(), Policy: p}
	before := i.saved
	if before == nil {
		// A state file that cannot be read is no reason not to isolate.
		before, _ = load(i.state)
	}
	if before != nil && !before.Releasing {
		want.Since = before.Since
	}
	// Written first: an agent that is killed in between isolates when it starts again.
	if err := store(i.state, want); err != nil {
		return 0, err
	}
	if i.saved == nil || !i.saved.Policy.equal(p) || i.damage() != "" {
		if err := i.install(p); err != nil {
			return 0, errors.Join(err, i.undo(before))
		}
	}
	i.saved = &want
	own, err := ownAddresses()
	if err == nil {
		ended, err = session.Destroy(func(r netip.AddrPort) bool { return !p.allows(r) && !own.has(r.Addr()) }, session.TCP)
	}
	if err != nil {
		return ended, fmt.Errorf("%w: %w", ErrSessions, err)
	}
	return ended, nil
}

// ErrSessions says that the rules hold but that sessions from before were not ended; their
// packets are dropped all the same.
var ErrSessions = errors.New("old sessions were not ended")

func (i *Isolator) undo(before *saved) error {
	if before == nil {
		return remove(i.state)
	}
	return store(i.state, *before)
}

func (i *Isolator) install(p Policy) error {
	flags, err := i.conn.install(i.name, p, i.wish)
	if err != nil {
		return fmt.Errorf("isolation rules: %w", err)
	}
	i.flags = flags
	ct, err := i.conn.content(i.name)
	if err != nil {
		return fmt.Errorf("isolation rules: %w", err)
	}
	i.made = &ct
	return nil
}

// damage says what of the table is not as install left it, "" for nothing.
func (i *Isolator) damage() string {
	t, err := i.conn.table(i.name)
	switch {
	case err != nil:
		return err.Error()
	case t == nil:
		return "the table is gone"
	case i.made == nil:
		return "the table is not of this run"
	case t.flags != i.flags:
		return fmt.Sprintf("the table's flags are %#x, not %#x", t.flags, i.flags)
	case t.flags&flagOwner != 0 && t.owner != i.conn.Port():
		return "another process owns the table"
	}
	ct, err := i.conn.content(i.name)
	switch {
	case err != nil:
		return err.Error()
	case !slices.Equal(ct.chains, expectedChains):
		return fmt.Sprintf("the chains are %v", ct.chains)
	case !slices.Equal(ct.rules, i.made.rules):
		return fmt.Sprintf("the rules were changed: %d of %d", len(ct.rules), len(i.made.rules))
	}
	return ""
}

// Release ends the isolation. Releasing a device that is not isolated is no error.
func (i *Isolator) Release(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	mark := saved{Releasing: true}
	if i.saved != nil {
		mark.Since, mark.Policy = i.saved.Since, i.saved.Policy
	}
	if err := store(i.state, mark); err != nil {
		return err
	}
	if err := i.conn.uninstall(i.name); err != nil {
		return fmt.Errorf("release: %w", err)
	}
	i.saved, i.made = nil, nil
	return remove(i.state)
}

// Restore brings the device to what the state file says: at the agent's start, before
// anything else speaks to the network. It takes the ownership of a table that a killed
// agent left, and finishes a release that was begun. It reports whether the device is
// isolated afterwards.
func (i *Isolator) Restore(ctx context.Context) (bool, error) {
	s, err := load(i.state)
	if err != nil {
		return i.there(), err
	}
	switch {
	case s == nil:
		// A table without a state file is not ours to judge: Status shows it.
		return i.there(), nil
	case s.Releasing:
		return false, i.Release(ctx)
	}
	_, err = i.Apply(ctx, s.Policy)
	if errors.Is(err, ErrSessions) {
		err = nil
	}
	return i.there(), err
}

func (i *Isolator) there() bool {
	t, err := i.conn.table(i.name)
	return err == nil && t != nil
}

// Status reads how things stand from the kernel.
func (i *Isolator) Status() (Status, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	var st Status
	if i.saved != nil {
		st.Since, st.Policy = i.saved.Since, i.saved.Policy
	}
	t, err := i.conn.table(i.name)
	if err != nil || t == nil {
		return st, err
	}
	ct, err := i.conn.content(i.name)
	if err != nil {
		return st, err
	}
	st.Isolated = true
	st.Owned = t.flags&flagOwner != 0 && t.owner == i.conn.Port()
	st.Dropped4, st.Dropped6 = ct.drops4, ct.drops6
	return st, nil
}
