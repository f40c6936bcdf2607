// Package duckdb is the embedded telemetry store: one journal that acknowledges, Parquet
// segments that are queried, and DuckDB in worker processes that query them.
//
// It holds no DuckDB itself: the serving process writes segments with package parquet and
// hands queries to killable workers (package worker), each of which sees one tenant's
// files and nothing else of the machine.
//
// The invariant: a batch is in exactly one of journal and segments. A cut moves it from
// the one to the other in one transaction of the manifest, which names the segments, the
// journal's position and the sequences committed; what is behind that position is cut
// again after a crash, and files that the manifest does not name are removed.
//
// Lock order: manifestMu, then mu or seenMu, never both. Start with Store, then cut.go, manifest.go, merge.go
// and pool.go. Decisions: docs/design/0002-telemetry-manifest.md.
package duckdb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vedette-edr/vedette/journal"
	"github.com/vedette-edr/vedette/kql/funcs"
	"github.com/vedette-edr/vedette/kql/geoip"
	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/telemetry"
)

// Config says how a store works. Dir, Tables and Decode are required.
type Config struct {
	// Dir is the store's directory; it is made when missing, for its owner alone.
	Dir string
	// Tables are the physical tables with their columns in stored order. Columns may be
	// added between runs: rows written before have null there.
	Tables []telemetry.Table
	// Decode turns Batch.Raw into events and gaps when the journal is replayed.
	Decode func(raw []byte) ([]*event.Event, []event.Gap, error)
	// Clock is the server's clock; nil means time.Now.
	Clock func() time.Time

	// CutEvery is how long rows wait to become queryable; 0 means 500 ms.
	CutEvery time.Duration
	// MergeEvery is how often segments are looked at for merging and retention; 0 means
	// 20 s, negative never.
	MergeEvery time.Duration
	// Retention is how long rows are kept, by ingestion time; 0 means 30 days.
	Retention time.Duration
	// Reserve is the free space in bytes below which nothing more is taken in, so that
	// what was acknowledged can still become segments; 0 means 256 MiB.
	Reserve int64
	// MaxPending bounds the raw bytes acknowledged and not yet in segments; 0 means 32 MiB.
	MaxPending int64

	Workers WorkerConfig
}

// Store is the embedded telemetry store. All methods may be called by many goroutines.
type Store struct {
	cfg      Config
	clock    func() time.Time
	tables   map[string]*tableShape
	journal  *journal.Journal
	manifest *manifest // used by the cutter and the merger, under manifestMu
	pool     *pool
	places   funcs.Places // nil for none; stays open, a query that is still running may ask
	// interpreters bounds the queries that run in this process in part.
	interpreters *queue
	fetching     chan struct{} // one for each query that has external files in memory

	manifestMu sync.Mutex
	nextID     atomic.Int64 // last segment id given out

	mu      sync.Mutex
	drained *sync.Cond           // the cutter took what was pending
	pending []*work              // journalled, not yet cut
	backlog int64                // raw bytes of pending and of what is being cut
	flight  *sync.WaitGroup      // appends between journal and pending
	files   map[place][]*segment // published, by id; slices are never changed in place
	trash   []discarded          // unpublished, still on disk
	readers map[uint64]struct{}  // generations in which running queries began
	gen     uint64               // counts queries
	trouble map[string]string    // what is degraded and why
	damage  string               // what of the journal could not be read back
	counts  telemetry.Status     // the counters of it

	seenMu sync.Mutex
	seen   map[stream]*seen

	kick chan struct{} // asks for a cut before its time
	stop context.CancelFunc
	done sync.WaitGroup
}

// place is a tenant's part of a table.
type place struct {
	tenant ident.TenantID
	table  string
}

// discarded is a file that running queries may still read.
type discarded struct {
	path string
	gen  uint64
}

var _ telemetry.Store = (*Store)(nil)

// Open opens the store and recovers what a crash interrupted: acknowledged batches that
// are in no segment are queued for the next cut. Only one process may have it open.
func Open(cfg Config) (*Store, error) {
	if cfg.Dir == "" || len(cfg.Tables) == 0 || cfg.Decode == nil {
		return nil, errors.New("telemetry store: Dir, Tables and Decode are required")
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	cfg.CutEvery = cmp.Or(cfg.CutEvery, 500*time.Millisecond)
	cfg.MergeEvery = cmp.Or(cfg.MergeEvery, 20*time.Second)
	cfg.Retention = cmp.Or(cfg.Retention, 30*24*time.Hour)
	cfg.Reserve = cmp.Or(cfg.Reserve, 256<<20)
	cfg.MaxPending = cmp.Or(cfg.MaxPending, 32<<20)
	s := &Store{cfg: cfg, clock: cfg.Clock, flight: new(sync.WaitGroup), files: map[place][]*segment{},
		readers: map[uint64]struct{}{}, trouble: map[string]string{}, kick: make(chan struct{}, 1), fetching: make(chan struct{}, maxFetching),
		interpreters: newQueue(maxInterpreting)}
	s.drained = sync.NewCond(&s.mu)
	var err error
	if s.tables, err = shapes(cfg.Tables); err != nil {
		return nil, fmt.Errorf("telemetry store: %w", err)
	}
	if cfg.Workers.Places != "" {
		if s.places, err = geoip.Open(cfg.Workers.Places); err != nil {
			return nil, fmt.Errorf("telemetry store: %w", err)
		}
	}
	if err := s.recover(); err != nil {
		_ = s.closeFiles() // why it cannot be opened is what counts
		return nil, fmt.Errorf("telemetry store %s: %w", cfg.Dir, err)
	}
	if s.pool, err = newPool(cfg.Workers, s.scratch(), s.segmentDir); err != nil {
		_ = s.closeFiles() // why it cannot be opened is what counts
		return nil, fmt.Errorf("telemetry store: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.done.Go(func() { s.cutLoop(ctx) })
	if cfg.MergeEvery > 0 {
		s.done.Go(func() { s.mergeLoop(ctx) })
	}
	return s, nil
}

func (s *Store) segmentDir(t ident.TenantID) string {
	return filepath.Join(s.cfg.Dir, "segments", string(t))
}

func (s *Store) path(g *segment) string { return filepath.Join(s.segmentDir(g.tenant), g.name()) }

// stream returns the state of k, which it makes when there is none. seenMu is held, or
// the store is not open yet.
func (s *Store) stream(k stream) *seen {
	q := s.seen[k]
	if q == nil {
		q = &seen{}
		s.seen[k] = q
	}
	return q
}

// Status implements telemetry.Store.
func (s *Store) Status() telemetry.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.counts
	oldest := int64(0)
	for _, list := range s.files {
		st.Segments += len(list)
		for _, g := range list {
			if oldest == 0 || g.minIngest < oldest {
				oldest = g.minIngest
			}
		}
	}
	if oldest > 0 {
		st.Oldest = event.FromTicks(oldest)
	}
	st.JournalSize = s.backlog
	st.Workers = s.pool.alive()
	st.Degraded = s.damage
	for _, part := range []string{partAppend, partSpace, partCut, partMerge} {
		if why := s.trouble[part]; why != "" {
			if st.Degraded != "" {
				st.Degraded += "; "
			}
			st.Degraded += part + ": " + why
		}
	}
	st.Sandbox = s.pool.sandbox()
	return st
}

// The parts whose trouble Status names.
const (
	partAppend = "intake"
	partSpace  = "disk space"
	partCut    = "segments"
	partMerge  = "merging"
)

// report notes or clears the trouble of a part.
func (s *Store) report(part string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		delete(s.trouble, part)
		return
	}
	s.trouble[part] = err.Error()
}

// hurt notes what was lost, for Status.
func (s *Store) hurt(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.damage = what
}

// Close cuts what is pending, if it can, and stops the workers. What could not be cut
// stays in the journal.
func (s *Store) Close() error {
	s.stop()
	s.done.Wait()
	_ = s.cut()
	s.pool.close()
	return s.closeFiles()
}

func (s *Store) closeFiles() error {
	var err error
	if s.journal != nil {
		err = s.journal.Close()
	}
	if s.manifest != nil {
		err = errors.Join(err, s.manifest.close())
	}
	return err
}

// storeFull is the answer while nothing can be taken in.
func storeFull(op string, cause error, detail string) error {
	return &errs.E{Op: op, Kind: errs.Unavailable, Code: errs.StoreFull, Detail: detail, Retry: 5 * time.Second, Err: cause}
}
