package isolate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"github.com/vedette-edr/vedette/agent/responder/isolate/mark"
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
	// Rand makes the mark of allowed sockets; nil means of crypto/rand.
	Rand func() uint32
}

// Isolator isolates the network namespace that the process is in. It is safe for
// concurrent use. While it is open it owns the table on kernels that can; Close gives the
// ownership up but releases nothing.
type Isolator struct {
	cfg   Config
	name  string // of the table
	state string // path of the state file

	machine bool // this is the machine's own network namespace

	mu         sync.Mutex
	wish       uint32           // table flags to ask for
	home       *site            // the namespace that the process is in
	away       map[uint64]*site // others, to which devices were moved, by their inode
	awayBefore []uint64         // the same of an agent before this one, for a release
	saved      *saved           // nil when not isolated
	speakers   *mark.Marker     // marks the sockets of allowed programs; nil when there are none
	broken     error            // why it does not
}

// Status is how things stand.
type Status struct {
	Isolated bool      `json:"isolated"` // the table is there
	Since    time.Time `json:"since,omitzero"`
	Policy   Policy    `json:"policy"`
	Owned    bool      `json:"owned"`    // nobody else can change the table
	Dropped4 uint64    `json:"dropped4"` // packets dropped since the table was made
	Dropped6 uint64    `json:"dropped6"`
	// Frames counts frames that were dropped where they left a device: what no address
	// table sees.
	Frames uint64 `json:"droppedFrames,omitempty"`
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
	if cfg.Rand == nil {
		cfg.Rand = randomMark
	}
	home, err := openSite()
	if err != nil {
		return nil, err
	}
	i := &Isolator{
		cfg: cfg, name: "vedette_isolate_" + cfg.Instance,
		state: filepath.Join(cfg.StateDir, "isolate.json"), home: home, away: map[uint64]*site{},
		wish: flagOwner | flagPersist,
	}
	own, err := namespaceOf("/proc/thread-self/ns/net")
	first, err1 := namespaceOf("/proc/1/ns/net")
	i.machine = err == nil && err1 == nil && own == first
	return i, nil
}

// Close gives up the ownership of the tables, which stay, and every socket. Allowed programs
// can begin nothing new from then on.
func (i *Isolator) Close() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.silence()
	err := i.home.close()
	for _, s := range i.away {
		err = errors.Join(err, s.close())
	}
	return err
}

// ruleset is what is to be in force. i.mu is held, and i.saved is not nil.
func (i *Isolator) ruleset() ruleset { return ruleset{Policy: i.saved.Policy, mark: i.saved.Mark} }

// silence ends the marking of sockets.
func (i *Isolator) silence() {
	if i.speakers != nil {
		i.speakers.Close()
		i.speakers = nil
	}
	i.broken = nil
}

// speak has the sockets of the policy's programs marked from now on.
func (i *Isolator) speak() error {
	i.silence()
	p := i.saved.Policy
	if !p.speakers() {
		return nil
	}
	i.speakers, i.broken = mark.New(mark.Config{Instance: i.cfg.Instance, Mark: i.saved.Mark, Programs: p.Allow.Programs, Cgroups: p.Allow.Cgroups})
	return i.broken
}

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
		want.Since, want.Mark, want.Away = before.Since, before.Mark, before.Away
	}
	for want.Mark == 0 {
		want.Mark = i.cfg.Rand()
	}
	// Written first: an agent that is killed in between isolates when it starts again.
	if err := store(i.state, want); err != nil {
		return 0, err
	}
	fresh := i.saved == nil
	changed := fresh || !i.saved.Policy.equal(p)
	old := i.saved
	i.saved = &want
	if changed || i.damaged() != "" {
		err := i.install()
		if err == nil && changed {
			err = i.speak()
		}
		if err != nil {
			i.saved = old
			err = errors.Join(err, i.undo(before))
			if old == nil && before == nil {
				// Nothing was in force, and nothing is to stay.
				i.silence()
				err = errors.Join(err, i.home.nft.uninstall(i.name))
				i.home.made = nil
			} else if old != nil {
				err = errors.Join(err, i.install(), i.speak())
			}
			return 0, err
		}
	}
	if fresh && (i.machine || len(want.Away) > 0) {
		i.follow(nil)
	}
	own, err := ownAddresses()
	if err == nil {
		ended, err = session.Destroy(func(r netip.AddrPort) bool { return !p.allows(r) && !own.has(r.Addr()) }, session.TCP)
	}
	if err != nil {
		return ended, fmt.Errorf("%w: %w", ErrSessions, err)
	}
	return ended, nil
}

// follow pursues devices that left and keeps where to. It returns what is to be told.
func (i *Isolator) follow(gone []link) []string {
	told, more := i.pursue(gone)
	if more {
		if err := store(i.state, *i.saved); err != nil {
			told = append(told, err.Error())
		}
	}
	return told
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

// install brings what is saved into force everywhere. i.mu is held.
func (i *Isolator) install() error {
	if err := i.home.install(i.name, i.ruleset(), i.wish); err != nil {
		return fmt.Errorf("isolation rules: %w", err)
	}
	var failed error
	for ino, s := range i.away {
		if err := s.install(i.name, i.ruleset(), i.wish); err != nil {
			failed = errors.Join(failed, fmt.Errorf("isolation rules in network namespace %d: %w", ino, err))
		}
	}
	return failed
}

// damaged says what of the tables is not as install left it, "" for nothing.
func (i *Isolator) damaged() string {
	return i.everySite(func(s *site) string { return s.damage(i.name) })
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
		mark = *i.saved
		mark.Releasing = true
	} else if before, err := load(i.state); err == nil && before != nil {
		mark = *before
		mark.Releasing = true
	}
	if err := store(i.state, mark); err != nil {
		return err
	}
	i.awayBefore = mark.Away
	if err := errors.Join(i.home.nft.uninstall(i.name), i.returnAway()); err != nil {
		return fmt.Errorf("release: %w", err)
	}
	i.silence()
	i.saved, i.home.made, i.awayBefore = nil, nil, nil
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
	t, err := i.home.nft.table(byAddress, i.name)
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
	t, err := i.home.nft.table(byAddress, i.name)
	if err != nil || t == nil {
		return st, err
	}
	ct, err := i.home.nft.content(byAddress, i.name)
	if err != nil {
		return st, err
	}
	st.Isolated = true
	st.Owned = t.flags&flagOwner != 0 && t.owner == i.home.nft.Port()
	st.Dropped4, st.Dropped6 = ct.drops4, ct.drops6
	if i.home.made != nil && i.home.made.linkless == nil {
		if ct, err = i.home.nft.content(byLink, i.name); err != nil {
			return st, err
		}
		st.Frames = ct.frames
	}
	return st, nil
}

func randomMark() uint32 {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return native.Uint32(b[:])
}
