package ingest_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/ingest"
	"github.com/vedette-edr/vedette/server/telemetry"
)

// narrow is a subscription that tells how many events had no room.
type narrow struct {
	events  chan alert.Created
	mu      sync.Mutex
	dropped uint64
}

func (n *narrow) Events() <-chan alert.Created { return n.events }

func (n *narrow) Dropped() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dropped
}

func (n *narrow) publish(a *alert.Alert) {
	select {
	case n.events <- alert.Created{Alert: a}:
	default:
		n.mu.Lock()
		n.dropped++
		n.mu.Unlock()
	}
}

// fullStore takes nothing until it is told to.
type fullStore struct {
	telemetry.Appender
	mu   sync.Mutex
	full bool
	rows map[string]int
	hit  chan struct{}
}

func (f *fullStore) AppendRows(_ context.Context, _ ident.TenantID, table string, rows []telemetry.Row) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case f.hit <- struct{}{}:
	default:
	}
	if f.full {
		return &errs.E{Kind: errs.Unavailable, Code: errs.StoreFull, Err: errors.New("full")}
	}
	f.rows[table] += len(rows)
	return nil
}

// More alerts than can wait come while the store takes nothing: they must be asked for
// once it does, from a time that none of them is older than.
func TestAlertsThatHadNoRoomAreAskedForAgain(t *testing.T) {
	store := &fullStore{full: true, rows: map[string]int{}, hit: make(chan struct{}, 1)}
	sub := &narrow{events: make(chan alert.Created, 2)}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	missed := make(chan time.Time, 10)
	done := make(chan error, 1)
	go func() {
		w := ingest.NewAlertRows(store, time.Now, slog.New(slog.DiscardHandler))
		done <- w.Run(ctx, sub, func(_ context.Context, since time.Time) { missed <- since })
	}()
	begin := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	make1 := func(i int) *alert.Alert { return &alert.Alert{Created: begin.Add(time.Duration(i) * time.Second)} }
	sub.publish(make1(0))
	<-store.hit // the first alert is being insisted on
	for i := 1; i < 10; i++ {
		sub.publish(make1(i))
	}
	store.mu.Lock()
	store.full = false
	store.mu.Unlock()
	select {
	case since := <-missed:
		if since.After(begin.Add(3 * time.Second)) {
			t.Errorf("asked for alerts since %v, the first without room was made at %v", since, begin.Add(3*time.Second))
		}
		store.mu.Lock()
		if store.rows["AlertInfo"] != 3 {
			t.Errorf("asked when %d alerts had their rows, want the 3 that had room", store.rows["AlertInfo"])
		}
		store.mu.Unlock()
	case <-ctx.Done():
		t.Fatal("nobody asked for the alerts that had no room")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
