package hash

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// The reasons for which a file gets no digest.
var (
	ErrTooLarge = errors.New("file is larger than the limit")
	ErrChanged  = errors.New("file is not the one that was reported")
	ErrBusy     = errors.New("too many files wait to be read")
	ErrStuck    = errors.New("the file system does not answer")
	ErrClosed   = errors.New("pool is closed")
)

// Config bounds a Pool. The zero value works.
type Config struct {
	Entries  int              // digests kept; 0 means 16384
	MaxSize  int64            // bytes of the largest file that is read; 0 means 256 MiB
	Workers  int              // files read at once; 0 means 2
	Queue    int              // files that may wait; 0 means 4096
	Patience time.Duration    // how long a read may make no progress; 0 means 10 s
	Now      func() time.Time // nil means time.Now
}

// Pool reads files in the background with a fixed number of workers. Its methods may be
// called from any goroutine.
type Pool struct {
	cfg   Config
	cache *cache
	jobs  chan *job
	stop  context.CancelFunc
	done  sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	running map[ID]*job
	joined  int            // callers that wait for a job of another's
	stuck   int            // workers that were replaced and have not come back
	stuckOn map[uint64]int // the same by device

	hits, read, bytes, tooLarge, changed, busy, failed atomic.Uint64
}

type job struct {
	id    ID
	paths []string
	tell  []func(Sums, error)
	over  bool // its callers were told
}

// maxPaths bounds the places where one file is looked for.
const maxPaths = 64

// Reading may never end: a file of a network that is gone, or of a user's own file system.
// Such a read keeps its worker, which is replaced, until there are maxStuck, and nothing else on
// that device is read meanwhile.
const (
	maxStuck = 16
	parting  = 2 * time.Second // how long Close waits for workers
)

// Stats counts what a Pool did.
type Stats struct {
	Hits     uint64 // asked for and known
	Read     uint64 // files read
	Bytes    uint64 // bytes read
	TooLarge uint64 // not read for their size
	Changed  uint64 // gone or replaced before they could be read
	Busy     uint64 // not read because too many were waiting
	Failed   uint64 // not read for another reason
}

// NewPool starts the workers; Close ends them.
func NewPool(cfg Config) *Pool {
	if cfg.Entries <= 0 {
		cfg.Entries = 16384
	}
	if cfg.MaxSize <= 0 {
		cfg.MaxSize = 256 << 20
	}
	if cfg.Workers <= 0 {
		cfg.Workers = 2
	}
	if cfg.Queue <= 0 {
		cfg.Queue = 4096
	}
	if cfg.Patience <= 0 {
		cfg.Patience = 10 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	ctx, stop := context.WithCancel(context.Background())
	p := &Pool{
		cfg:     cfg,
		cache:   newCache(cfg.Entries),
		jobs:    make(chan *job, cfg.Queue),
		stop:    stop,
		running: make(map[ID]*job),
		stuckOn: make(map[uint64]int),
	}
	for range cfg.Workers {
		p.hire(ctx)
	}
	return p
}

// hire starts a worker.
func (p *Pool) hire(ctx context.Context) {
	p.done.Go(func() { p.work(ctx) })
}

// abandon gives up j, whose read makes no progress: its callers are told, and another
// worker takes the place of the one that may never come back.
func (p *Pool) abandon(ctx context.Context, j *job) {
	p.mu.Lock()
	if p.closed || j.over || p.stuck >= maxStuck {
		p.mu.Unlock()
		return
	}
	j.over = true
	p.stuck++
	p.stuckOn[j.id.Dev]++
	tell := p.finish(j)
	p.hire(ctx)
	p.mu.Unlock()
	for _, f := range tell {
		f(Sums{}, ErrStuck)
	}
}

// finish takes j out and returns whom to tell. p.mu is held.
func (p *Pool) finish(j *job) []func(Sums, error) {
	p.forget(j)
	tell := j.tell
	j.tell = nil
	p.joined -= len(tell) - 1
	return tell
}

// Close waits for the workers to end; files that still wait are told ErrClosed. It does not
// wait for a worker whose read does not end.
func (p *Pool) Close() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.closed = true
	close(p.jobs)
	p.mu.Unlock()
	p.stop()
	ended := make(chan struct{})
	go func() {
		p.done.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(parting):
	}
}

// Lookup returns the digests of id if they are known.
func (p *Pool) Lookup(id ID) (Sums, bool) {
	s, ok := p.cache.get(id)
	if ok {
		p.hits.Add(1)
	}
	return s, ok
}

// Submit asks for the digests of id, which is to be found under one of paths, tried in
// turn. After nil, tell is called once, from a worker; after an error it is not called. A
// file that waits or is being read already is not read twice.
func (p *Pool) Submit(id ID, paths []string, tell func(Sums, error)) error {
	if id.Size > p.cfg.MaxSize {
		p.tooLarge.Add(1)
		return ErrTooLarge
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	if p.stuckOn[id.Dev] > 0 {
		p.failed.Add(1)
		return ErrStuck
	}
	if j := p.running[id]; j != nil {
		// A file may wait for long behind big ones while it is run again and again.
		if p.joined >= p.cfg.Queue {
			p.busy.Add(1)
			return ErrBusy
		}
		p.joined++
		j.tell = append(j.tell, tell)
		if len(j.paths) < maxPaths {
			j.paths = append(j.paths, paths...)
		}
		return nil
	}
	j := &job{id: id, paths: paths, tell: []func(Sums, error){tell}}
	select {
	case p.jobs <- j:
		p.running[id] = j
		return nil
	default:
		p.busy.Add(1)
		return ErrBusy
	}
}

// Stats returns what the pool did so far.
func (p *Pool) Stats() Stats {
	return Stats{
		Hits: p.hits.Load(), Read: p.read.Load(), Bytes: p.bytes.Load(), TooLarge: p.tooLarge.Load(),
		Changed: p.changed.Load(), Busy: p.busy.Load(), Failed: p.failed.Load(),
	}
}

func (p *Pool) work(ctx context.Context) {
	buf := make([]byte, 256<<10)
	for j := range p.jobs {
		late := time.AfterFunc(p.cfg.Patience, func() { p.abandon(ctx, j) })
		sums, err := p.sum(ctx, j, buf, func() { late.Reset(p.cfg.Patience) })
		late.Stop()
		p.mu.Lock()
		if j.over {
			p.stuck--
			if p.stuckOn[j.id.Dev]--; p.stuckOn[j.id.Dev] == 0 {
				delete(p.stuckOn, j.id.Dev)
			}
			p.mu.Unlock()
			return // another works in this place
		}
		j.over = true
		tell := p.finish(j)
		p.mu.Unlock()
		for _, f := range tell {
			f(sums, err)
		}
	}
}

// forget takes j out of those that others may join. p.mu is held.
func (p *Pool) forget(j *job) {
	if p.running[j.id] == j {
		delete(p.running, j.id)
	}
}

// sum tries the paths of j, those too that are added while it runs. It calls progress
// again and again while there is some.
func (p *Pool) sum(ctx context.Context, j *job, buf []byte, progress func()) (Sums, error) {
	if s, ok := p.Lookup(j.id); ok {
		return s, nil // read between the caller's Lookup and its Submit
	}
	err := ErrChanged
	for i := 0; ; i++ {
		p.mu.Lock()
		if i >= len(j.paths) {
			p.forget(j) // under the same lock, so that nobody adds a path that is not tried
			p.mu.Unlock()
			break
		}
		name := j.paths[i]
		p.mu.Unlock()
		var sums Sums
		var n int64
		sums, n, err = readFile(ctx, name, j.id, buf, progress)
		if err == nil {
			p.read.Add(1)
			p.bytes.Add(uint64(n))
			if p.settled(j.id) {
				p.cache.put(j.id, sums)
			}
			return sums, nil
		}
	}
	switch {
	case ctx.Err() != nil:
		return Sums{}, ErrClosed
	case errors.Is(err, ErrChanged):
		p.changed.Add(1)
	default:
		p.failed.Add(1)
	}
	return Sums{}, err
}

// settled reports whether a later write would show in the file's times: the kernel's clock
// for them may stand still for one tick, 10 ms at most, in which a file can change unseen.
func (p *Pool) settled(id ID) bool {
	age := p.cfg.Now().UnixNano() - id.CTime
	return age < 0 || age > int64(50*time.Millisecond)
}
