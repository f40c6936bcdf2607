package ingest_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/bus"
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
	sub, quiet := &narrow{events: make(chan alert.Created, 2)}, (&bus.Topic[alert.Updated]{}).Subscribe(1)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	missed := make(chan time.Time, 10)
	done := make(chan error, 1)
	go func() {
		w := ingest.NewAlertRows(store, time.Now, slog.New(slog.DiscardHandler))
		done <- w.Run(ctx, sub, quiet, func(_ context.Context, since time.Time) { missed <- since })
	}()
	begin := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	make1 := func(i int) *alert.Alert {
		at := begin.Add(time.Duration(i) * time.Second)
		return &alert.Alert{Created: at, Updated: at}
	}
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

// Evidence that is added to an alert gets its rows, and no row twice.
func TestAddedEvidenceIsHuntable(t *testing.T) {
	store := &fullStore{rows: map[string]int{}, hit: make(chan struct{}, 100)}
	created, updated := &bus.Topic[alert.Created]{}, &bus.Topic[alert.Updated]{}
	c, u := created.Subscribe(10), updated.Subscribe(10)
	a := &alert.Alert{Evidence: []alert.Evidence{{Type: "Ip", IP: "192.0.2.1"}}}
	more := &alert.Alert{Evidence: append(a.Evidence, alert.Evidence{Type: "Ip", IP: "192.0.2.2"}, alert.Evidence{Type: "Ip", IP: "192.0.2.3"})}
	created.Publish(alert.Created{Alert: a})
	updated.Publish(alert.Updated{Alert: more, Added: 2})
	updated.Publish(alert.Updated{Alert: more})
	c.Close()
	u.Close()
	w := ingest.NewAlertRows(store, time.Now, slog.New(slog.DiscardHandler))
	// Either subscription's end ends it: twice takes both.
	for range 2 {
		if err := w.Run(t.Context(), c, u, func(context.Context, time.Time) { t.Error("nothing was dropped") }); err != nil {
			t.Fatal(err)
		}
	}
	for len(c.Events())+len(u.Events()) > 0 {
		if err := w.Run(t.Context(), c, u, nil); err != nil {
			t.Fatal(err)
		}
	}
	if store.rows["AlertInfo"] != 1 || store.rows["AlertEvidence"] != 4 {
		t.Errorf("rows %v", store.rows)
	}
}
