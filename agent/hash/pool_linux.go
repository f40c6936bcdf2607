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
	ErrClosed   = errors.New("pool is closed")
)

// Config bounds a Pool. The zero value works.
type Config struct {
	Entries int              // digests kept; 0 means 16384
	MaxSize int64            // bytes of the largest file that is read; 0 means 256 MiB
	Workers int              // files read at once; 0 means 2
	Queue   int              // files that may wait; 0 means 4096
	Now     func() time.Time // nil means time.Now
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

	hits, read, bytes, tooLarge, changed, busy, failed atomic.Uint64
}

type job struct {
	id    ID
	paths []string
	tell  []func(Sums, error)
}

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
	}
	for range cfg.Workers {
		p.done.Go(func() { p.work(ctx) })
	}
	return p
}

// Close waits for the workers to end; files that still wait are told ErrClosed.
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
	p.done.Wait()
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
	if j := p.running[id]; j != nil {
		j.tell = append(j.tell, tell)
		j.paths = append(j.paths, paths...)
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
		sums, err := p.sum(ctx, j, buf)
		p.mu.Lock()
		p.forget(j)
		tell := j.tell
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

// sum tries the paths of j, those too that are added while it runs.
func (p *Pool) sum(ctx context.Context, j *job, buf []byte) (Sums, error) {
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
		sums, n, err = readFile(ctx, name, j.id, buf)
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
