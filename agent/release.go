package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/vedette-edr/vedette/agent/link"
	"github.com/vedette-edr/vedette/wire"
)

// releaseSocket is where a running agent takes release codes from whoever may enter the
// state directory. Only the agent itself can end an isolation while it runs: it owns the
// rules.
const releaseSocket = "release.sock"

// releasesFile remembers the codes that were used, and what the server is still to hear.
const releasesFile = "releases.json"

const (
	releaseTimeout = 30 * time.Second // of one request; probes take seconds
	maxCode        = 4 << 10          // bytes that are read of a request
	maxReleases    = 1000
)

// Released is what became of a release by code.
type Released struct {
	Problem  string          `json:"problem,omitempty"`  // why it was refused or failed; "" for neither
	Verified bool            `json:"verified"`           // probes have shown that the device is released
	Evidence json.RawMessage `json:"evidence,omitempty"` // what the probes saw
}

// usedRelease is one code that ended an isolation.
type usedRelease struct {
	Code    string    `json:"code"` // its SHA-256
	Expires time.Time `json:"expires"`
	At      time.Time `json:"at"`
	Told    bool      `json:"told"` // the server will hear of it
}

// releaser judges codes for one state directory.
type releaser struct {
	dir   string
	clock func() time.Time
	end   func(context.Context) Released // ends the isolation and looks whether it ended

	mu sync.Mutex
}

var errUsed = errors.New("this code was used already; ask the server for another")

// release ends the isolation if the code is good.
func (r *releaser) release(ctx context.Context, code string) Released {
	r.mu.Lock()
	defer r.mu.Unlock()
	fail := func(err error) Released { return Released{Problem: err.Error()} }
	id, err := link.Load(r.dir)
	if err != nil {
		return fail(err)
	}
	now := r.clock()
	expires, err := wire.VerifyRelease(code, id.Device, id.Incarnation, id.CommandKey, now)
	if err != nil {
		return fail(err)
	}
	used, err := r.used()
	if err != nil {
		return fail(err)
	}
	// The expiry and the device make the code: Ed25519 signs the same thing the same way, and
	// however it is spelt it is used once.
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %d", id.Device, id.Incarnation, expires.Unix()))
	name := hex.EncodeToString(sum[:])
	var kept []usedRelease
	for _, u := range used {
		if u.Code == name {
			return fail(errUsed)
		}
		if now.Before(u.Expires) || !u.Told {
			kept = append(kept, u)
		}
	}
	if len(kept) >= maxReleases {
		return fail(errors.New("too many codes were used"))
	}
	out := r.end(ctx)
	if out.Problem != "" {
		return out
	}
	if err := r.keep(append(kept, usedRelease{Code: name, Expires: expires, At: now.UTC()})); err != nil {
		out.Problem = "the device is released, but that could not be noted: " + err.Error()
	}
	return out
}

func (r *releaser) used() ([]usedRelease, error) {
	raw, err := os.ReadFile(filepath.Join(r.dir, releasesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []usedRelease
	if err := json.Unmarshal(raw, &out); err != nil {
		// Whoever can damage the file can do more than use a code twice.
		return nil, nil
	}
	return out, nil
}

func (r *releaser) keep(list []usedRelease) error {
	raw, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return replace(filepath.Join(r.dir, releasesFile), raw, 0o600)
}

// tell calls f for each release that the server has not heard of.
func (r *releaser) tell(f func(at time.Time)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	used, err := r.used()
	if err != nil {
		return err
	}
	news := false
	for i := range used {
		if !used[i].Told {
			f(used[i].At)
			used[i].Told, news = true, true
		}
	}
	if !news {
		return nil
	}
	return r.keep(used)
}

// serve answers requests at the socket until ctx ends. told is called after each release.
func (r *releaser) serve(ctx context.Context, told func()) error {
	path := filepath.Join(r.dir, releaseSocket)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return errors.Join(err, l.Close())
	}
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		r.answer(ctx, c, told)
	}
}

func (r *releaser) answer(ctx context.Context, c net.Conn, told func()) {
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
	defer cancel()
	if c.SetDeadline(time.Now().Add(releaseTimeout)) != nil {
		return
	}
	code, err := io.ReadAll(io.LimitReader(c, maxCode))
	if err != nil {
		return
	}
	out := r.release(ctx, string(code))
	if out.Problem == "" {
		told()
	}
	_ = json.NewEncoder(c).Encode(out) // who asked may be gone
}

// Release ends the isolation of this device by a code of its server, where it stands: by the
// agent that runs on the state directory, and without one if none does.
func Release(ctx context.Context, stateDir, instance, code string) (*Released, error) {
	if _, err := link.Load(stateDir); err != nil {
		return nil, fmt.Errorf("no agent was enrolled with the state directory %s; give --state-dir: %w", stateDir, err)
	}
	c, err := net.DialTimeout("unix", filepath.Join(stateDir, releaseSocket), statusTimeout)
	if err != nil {
		return releaseWithoutAgent(ctx, stateDir, instance, code)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(releaseTimeout + statusTimeout)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(c, code); err != nil {
		return nil, err
	}
	if err := c.(*net.UnixConn).CloseWrite(); err != nil {
		return nil, err
	}
	var out Released
	if err := json.NewDecoder(c).Decode(&out); err != nil {
		return nil, fmt.Errorf("the agent did not answer: %w", err)
	}
	return &out, nil
}

// releaseWithoutAgent does it in this process, which an agent that runs would not let it:
// the state directory is locked meanwhile.
func releaseWithoutAgent(ctx context.Context, stateDir, instance, code string) (*Released, error) {
	unlock, err := lock(ctx, filepath.Join(stateDir, "lock"), lockPatience)
	if err != nil {
		return nil, err
	}
	defer unlock()
	end, closing, err := isolationOf(stateDir, instance)
	if err != nil {
		return nil, err
	}
	defer closing()
	r := &releaser{dir: stateDir, clock: link.OpenClock(stateDir, time.Now).Now, end: end}
	out := r.release(ctx, code)
	return &out, nil
}
