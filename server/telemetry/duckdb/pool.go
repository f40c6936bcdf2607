package duckdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/telemetry"
)

// WorkerConfig says how query workers are run. The zero value is fit for use by a program
// whose command "worker" calls worker.Main.
type WorkerConfig struct {
	// Command starts a worker; its setup is added as the last argument. Empty means this
	// executable with the argument "worker".
	Command []string
	// Size is how many queries run at once; 0 means one per CPU, at least 2. One more may
	// for a caller who has none running, and another one for such a tenant.
	Size int
	// Threads of one query; 0 means one per CPU, at most 4.
	Threads int
	// Memory is the most resident bytes of one worker; 0 means 1 GiB.
	Memory int64
	// Idle is how long a worker waits for the next query of its tenant; 0 means 1 minute.
	Idle time.Duration
	// UID and GID are what workers become when the server is root; 0 means 65534.
	UID, GID int
	// Places is a file in MaxMind's format that says where addresses are; "" for none.
	Places string
	// Limits are the defaults and upper bounds of queries. Zero fields mean 100,000 rows,
	// 124 MB, 200 s, 400 s of CPU, and Memory.
	Limits telemetry.Limits
}

func (c *WorkerConfig) defaults() error {
	if len(c.Command) == 0 {
		exe, err := os.Executable()
		if err != nil {
			return fmt.Errorf("own executable: %w", err)
		}
		c.Command = []string{exe, "worker"}
	}
	orElse(&c.Size, max(2, runtime.NumCPU()))
	orElse(&c.Threads, min(4, runtime.NumCPU()))
	orElse(&c.Memory, 1<<30)
	orElse(&c.Idle, time.Minute)
	orElse(&c.UID, 65534)
	orElse(&c.GID, 65534)
	orElse(&c.Limits.Rows, 100_000)
	orElse(&c.Limits.Bytes, 124<<20)
	orElse(&c.Limits.Time, 200*time.Second)
	orElse(&c.Limits.CPU, 400*time.Second)
	orElse(&c.Limits.Memory, c.Memory)
	return nil
}

func orElse[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// bounded returns l with what is zero or too much replaced by the configured limits.
func (c *WorkerConfig) bounded(l telemetry.Limits) telemetry.Limits {
	return telemetry.Limits{
		Rows: atMost(l.Rows, c.Limits.Rows), Bytes: atMost(l.Bytes, c.Limits.Bytes), Time: atMost(l.Time, c.Limits.Time),
		CPU: atMost(l.CPU, c.Limits.CPU), Memory: atMost(l.Memory, c.Limits.Memory),
	}
}

func atMost[T int | int64 | time.Duration](v, limit T) T {
	if v <= 0 {
		return limit
	}
	return min(v, limit)
}

// pool keeps workers. A worker serves one tenant for all its life.
type pool struct {
	cfg  WorkerConfig
	data func(ident.TenantID) string
	root string // empty directory that sandboxes are built on
	turn *queue // who may run a query

	mu     sync.Mutex
	idle   []*process // oldest use first
	busy   int
	lacks  string
	closed bool
}

// newPool makes a pool whose workers see the directories that data names. In scratch it
// makes the directory that their own file systems are mounted on.
func newPool(cfg WorkerConfig, scratch string, data func(ident.TenantID) string) (*pool, error) {
	if err := cfg.defaults(); err != nil {
		return nil, err
	}
	root, err := filepath.Abs(filepath.Join(scratch, "root"))
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(root, 0o755); err != nil {
		return nil, err
	}
	return &pool{cfg: cfg, data: data, root: root, turn: newQueue(cfg.Size)}, nil
}

var errPoolClosed = errors.New("the store is closed")

// get returns a worker for a tenant, which the caller gives to put or discard.
func (p *pool) get(ctx context.Context, who party) (*process, error) {
	if err := p.turn.enter(ctx, who); err != nil {
		return nil, err
	}
	t := who.tenant
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		p.turn.leave(who)
		return nil, errPoolClosed
	}
	p.busy++
	for i := len(p.idle) - 1; i >= 0; i-- {
		if w := p.idle[i]; w.tenant == t {
			p.idle = append(p.idle[:i:i], p.idle[i+1:]...)
			p.mu.Unlock()
			w.party = who
			return w, nil
		}
	}
	var spare *process
	if len(p.idle) > 0 && len(p.idle)+p.busy > p.cfg.Size {
		spare, p.idle = p.idle[0], p.idle[1:]
	}
	p.mu.Unlock()
	if spare != nil {
		spare.kill()
	}
	w, err := p.start(t, "")
	if err != nil {
		p.leave(who)
		return nil, err
	}
	w.party = who
	return w, nil
}

func (p *pool) leave(who party) {
	p.mu.Lock()
	p.busy--
	p.mu.Unlock()
	p.turn.leave(who)
}

// put gives back a worker that is ready for the next query.
func (p *pool) put(w *process) {
	who := w.party // w is another one's once it is idle
	p.mu.Lock()
	keep := !p.closed
	if keep {
		p.idle = append(p.idle, w)
		w.idle = time.AfterFunc(p.cfg.Idle, func() { p.retire(w) })
	}
	p.mu.Unlock()
	if !keep {
		w.kill()
	}
	p.leave(who)
}

// retire kills a worker that waited long enough, if it still waits.
func (p *pool) retire(w *process) {
	p.mu.Lock()
	found := false
	for i, q := range p.idle {
		if q == w {
			p.idle = append(p.idle[:i:i], p.idle[i+1:]...)
			found = true
			break
		}
	}
	p.mu.Unlock()
	if found {
		w.kill()
	}
}

// discard kills a worker that must not be used again.
func (p *pool) discard(w *process) {
	w.kill()
	p.leave(w.party)
}

// start starts a worker; out is a directory that it may write to, or "".
func (p *pool) start(t ident.TenantID, out string) (*process, error) {
	data := p.data(t)
	// A tenant without segments has an empty directory, not another one's.
	if err := os.MkdirAll(data, 0o755); err != nil {
		return nil, err
	}
	data, err := filepath.Abs(data)
	if err != nil {
		return nil, err
	}
	w, err := startProcess(&p.cfg, p.root, data, out)
	if err != nil {
		return nil, err
	}
	w.tenant = t
	p.mu.Lock()
	p.lacks = w.lacks
	p.mu.Unlock()
	return w, nil
}

func (p *pool) alive() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle) + p.busy
}

func (p *pool) sandbox() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lacks
}

// close kills idle workers, waits for running queries, and lets no more begin.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, w := range idle {
		w.kill()
	}
	p.turn.close()
}
